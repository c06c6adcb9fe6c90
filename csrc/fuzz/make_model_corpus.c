/* Writes a few small valid models into a folder, to start the fuzzer from:
 * make_model_corpus FOLDER */
#include <stdio.h>

#include "gbdt/refit.h"
#include "gbdt/rounds.h"
#include "model/write.h"
#include "tests/gbdt_data.h"
#include "tests/linear_data.h"

static rt_status write_file(const rt_model *model, const char *path)
{
    uint8_t *data = NULL;
    size_t bytes = 0;
    rt_status status = rt_model_write(model, &data, &bytes, NULL);
    FILE *file = status == RT_OK ? fopen(path, "wb") : NULL;
    if (file == NULL || fwrite(data, 1, bytes, file) != bytes) {
        status = RT_SYSTEM;
    }
    if (file != NULL && fclose(file) != 0) {
        status = RT_SYSTEM;
    }
    rt_free(data);
    return status;
}

static rt_status refit_body(void *argument, rt_error *err)
{
    test_fit *fit = argument;
    return rt_gbdt_refit(&fit->data.rows, &fit->params, 0.5, 1, NULL,
                         &fit->model.forest, err);
}

/* The oldest of more than one tree is dropped, and the leaves of the others refitted.
 */
static rt_status write_trees(const test_table *t, const char *path, int32_t trees,
                             int32_t leaves)
{
    test_fit fit;
    test_fit_init(&fit, t, 1);
    fit.params.value[RT_P_N_ESTIMATORS] = trees;
    fit.params.value[RT_P_MAX_LEAF_NODES] = leaves;
    rt_status status = test_train(&fit, NULL);
    if (status == RT_OK && trees > 1) {
        status = rt_forest_drop_rounds(&fit.model.forest, 1, NULL);
    }
    if (status == RT_OK && trees > 1) {
        status = rt_task_run(refit_body, &fit, NULL);
    }
    if (status == RT_OK) {
        status = write_file(&fit.model, path);
    }
    rt_model_clear(&fit.model);
    return status;
}

static rt_status write_linear(const char *folder, rt_linear_loss loss,
                              rt_linear_memory memory)
{
    const bool by_row = memory == RT_MEMORY_ONLINE;
    test_linear t = {.threads = 1, .remember = by_row ? RT_MEMORY_NONE : memory};
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/linear-%d-%d.rtm", folder, (int)loss,
                   (int)memory);
    test_linear_init(&t, loss, 1.0);
    rt_status status = by_row ? test_linear_learn(&t, 0, TEST_LINEAR_ROWS, NULL)
                              : test_linear_fit(&t, NULL);
    if (status == RT_OK) {
        status = write_file(&t.model, path);
    }
    rt_model_clear(&t.model);
    return status;
}

int main(int argc, char **argv)
{
    static const int32_t sizes[][2] = {{1, 2}, {1, 4}, {2, 6}, {4, 12}};
    test_table t = {0};
    rt_status status = argc == 2 ? test_table_init(&t, 500) : RT_INVALID;
    for (int32_t i = 0; i < 4 && status == RT_OK; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/model-%d.rtm", argv[1], i);
        status = write_trees(&t, path, sizes[i][0], sizes[i][1]);
    }
    for (int32_t loss = RT_LINEAR_LOGISTIC; loss <= RT_LINEAR_POISSON; loss++) {
        for (int32_t memory = RT_MEMORY_NONE; memory <= RT_MEMORY_FULL; memory++) {
            const bool poisson_by_row =
                loss == RT_LINEAR_POISSON && memory == RT_MEMORY_ONLINE;
            if (status == RT_OK && !poisson_by_row) {
                status = write_linear(argv[1], (rt_linear_loss)loss,
                                      (rt_linear_memory)memory);
            }
        }
    }
    test_table_clear(&t);
    if (status != RT_OK) {
        fprintf(stderr, "usage: make_model_corpus FOLDER (%s)\n",
                rt_status_name(status));
    }
    return status != RT_OK;
}
