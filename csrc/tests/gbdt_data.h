/* Data for the tests of the tree code: a table that has everything in it, and
 * training of it to model bytes. */
#ifndef RT_TESTS_GBDT_DATA_H
#define RT_TESTS_GBDT_DATA_H

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "gbdt/fit.h"
#include "model/model.h"
#include "parallel/task.h"

enum { TEST_FEATURES = 5, TEST_LEVELS = 12 };

/* Columns: number, number with NaN, level, constant, wide-ranging with +-inf and
 * 1e30. The label depends on the first three. */
typedef struct test_table {
    float *x;
    uint8_t *y;
    double *w;
    int64_t rows;
} test_table;

static inline double test_uniform(uint64_t key, int64_t at)
{
    return (double)(rt_draw64(key, (uint64_t)at) >> 11) * 0x1p-53;
}

static inline void test_row(float *x, uint8_t *y, int64_t i, uint64_t seed)
{
    double a = test_uniform(seed, 8 * i) * 4.0 - 2.0;
    double b = test_uniform(seed, 8 * i + 1) * 4.0 - 2.0;
    int32_t level = (int32_t)(test_uniform(seed, 8 * i + 2) * TEST_LEVELS);
    double extreme = test_uniform(seed, 8 * i + 3);
    double lift = a + (b > 0.5 ? 1.0 : 0.0) + (level % 3 == 0 ? 1.0 : -0.5);
    x[0] = (float)a;
    x[1] = b < -1.5 ? NAN : (float)b;
    x[2] = (float)level;
    x[3] = 7.0f;
    x[4] = extreme < 0.01   ? INFINITY
           : extreme < 0.02 ? -INFINITY
           : extreme < 0.1  ? 1e30f
                            : (float)(extreme * 1e6);
    *y = test_uniform(seed, 8 * i + 4) < 1.0 / (1.0 + exp(-lift)) ? 1 : 0;
}

static inline rt_status test_table_init(test_table *t, int64_t rows)
{
    void *block = NULL;
    memset(t, 0, sizeof *t);
    t->rows = rows;
    rt_status status =
        rt_alloc(&block, rows * TEST_FEATURES, sizeof(float), "test", NULL);
    t->x = block;
    if (status == RT_OK) {
        status = rt_alloc(&block, rows, 1, "test", NULL);
        t->y = block;
    }
    if (status == RT_OK) {
        status = rt_alloc(&block, rows, sizeof(double), "test", NULL);
        t->w = block;
    }
    for (int64_t i = 0; i < rows && status == RT_OK; i++) {
        test_row(t->x + i * TEST_FEATURES, t->y + i, i, 42);
        t->w[i] = 1.0;
    }
    return status;
}

static inline void test_table_clear(test_table *t)
{
    rt_free(t->x);
    rt_free(t->y);
    rt_free(t->w);
}

typedef struct test_fit {
    rt_gbdt_data data;
    rt_gbdt_params params;
    int32_t threads;
    rt_ctl ctl;
    rt_gbdt_report report;
    rt_model model;
} test_fit;

static const int32_t test_levels[TEST_FEATURES] = {0, 0, TEST_LEVELS, 0, 0};

static inline void test_fit_init(test_fit *fit, const test_table *t, int32_t threads)
{
    memset(fit, 0, sizeof *fit);
    fit->data = (rt_gbdt_data){
        .rows = {.x = {.data = (const char *)t->x,
                       .rows = t->rows,
                       .columns = TEST_FEATURES,
                       .row_bytes = TEST_FEATURES * sizeof(float),
                       .column_bytes = sizeof(float)},
                 .label = t->y},
        .loss = RT_LOSS_BINARY,
        .levels = test_levels,
    };
    fit->params = rt_gbdt_defaults();
    fit->params.value[RT_P_N_ESTIMATORS] = 8;
    fit->params.value[RT_P_MIN_SAMPLES_LEAF] = 5;
    fit->params.value[RT_P_MAX_LEAF_NODES] = 12;
    fit->params.value[RT_P_LEARNING_RATE] = 0.12;
    fit->params.value[RT_P_L2_REGULARIZATION] = 5;
    fit->params.value[RT_P_COLSAMPLE] = 0.8;
    fit->params.value[RT_P_SUBSAMPLE] = 0.8;
    fit->params.value[RT_P_MAX_BINS] = 63;
    fit->params.value[RT_P_CAT_SMOOTH] = 2;
    fit->params.value[RT_P_MIN_DATA_PER_GROUP] = 10;
    fit->threads = threads;
}

static inline rt_status test_name_features(rt_model *model, rt_error *err)
{
    static const char names[] = "number"
                                "gaps"
                                "levelabcdefghijkl"
                                "constant"
                                "extreme";
    static const uint8_t lengths[] = {6, 4, 5, 1, 1, 1, 1, 1, 1,
                                      1, 1, 1, 1, 1, 1, 8, 7};
    const int64_t texts = sizeof lengths;
    rt_status status =
        rt_model_init(model, TEST_FEATURES, texts, sizeof names - 1, err);
    if (status != RT_OK) {
        return status;
    }
    memcpy(model->text, names, sizeof names - 1);
    for (int64_t i = 0; i < texts; i++) {
        model->text_start[i + 1] = model->text_start[i] + lengths[i];
    }
    model->features[2].kind = RT_CATEGORICAL;
    model->features[2].n_categories = TEST_LEVELS;
    return rt_model_link(model, err);
}

static inline rt_status test_fit_body(void *argument, rt_error *err)
{
    test_fit *fit = argument;
    rt_status status = test_name_features(&fit->model, err);
    fit->model.params = fit->params;
    fit->model.seed = 9;
    if (status == RT_OK) {
        status = rt_gbdt_fit(&fit->data, &fit->params, 9, fit->threads, &fit->ctl,
                             &fit->model.forest, &fit->report, err);
    }
    return status == RT_OK ? rt_model_check(&fit->model, err) : status;
}

/* Trains on a task; fit->model is to be cleared by the caller in any case. */
static inline rt_status test_train(test_fit *fit, rt_error *err)
{
    return rt_task_run(test_fit_body, fit, err);
}

#endif
