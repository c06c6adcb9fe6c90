/* libFuzzer entry: any bytes as a model file.
 *
 * The input is read as it is, and once more with its stated length and checksum
 * put right, since a fuzzer would never find a SHA-256 by itself and the parts
 * behind it deserve the test. What passes is predicted with, must write its own
 * bytes again, and goes on from two rows: trees have their leaves refitted and a
 * round dropped, a linear model learns row by row. What comes of that is a model
 * or an error.
 *
 * RT_FUZZ_PLANTED builds in a bug that the fuzzer must find (make -C csrc fuzz-model).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/sha256.h"
#include "gbdt/refit.h"
#include "gbdt/rounds.h"
#include "linear/online.h"
#include "model/check.h"
#include "model/layout.h"
#include "model/predict.h"
#include "model/read.h"
#include "model/write.h"

enum { PROBE_FEATURES = 64, LENGTH_AT = 16 };

static void predict_row(const rt_model *model, double fill)
{
    double x[PROBE_FEATURES];
    double p[RT_MAX_OUTPUTS];
    const bool linear = rt_model_is_linear(model);
    const bool labels = linear ? model->linear.loss <= RT_LINEAR_SOFTMAX
                               : model->forest.loss != RT_LOSS_SQUARE;
    const int32_t outputs = rt_model_outputs(model);
    for (int32_t i = 0; i < PROBE_FEATURES; i++) {
        x[i] = fill;
    }
    rt_matrix row = {.data = (const char *)x,
                     .rows = 1,
                     .columns = model->n_features,
                     .row_bytes = 0,
                     .column_bytes = sizeof(double),
                     .is_f64 = true};
    if (model->n_features > PROBE_FEATURES) {
        return;
    }
    if (rt_model_predict(model, &row, 1, NULL, p, NULL) != RT_OK) {
        __builtin_trap();
    }
    for (int32_t k = 0; k < outputs; k++) {
        if (!isfinite(p[k]) || (labels && !(p[k] >= 0.0 && p[k] <= 1.0))) {
            __builtin_trap();
        }
    }
}

static const double labels[] = {0.0, 1.0};

static rt_status refit(rt_model *model, const rt_matrix *x, double gamma)
{
    static const uint8_t classes[] = {0, 1};
    const rt_gbdt_rows rows = {.x = *x, .label = classes, .value = labels};
    rt_gbdt_rows asked = rows;
    asked.label = model->forest.loss == RT_LOSS_SQUARE ? NULL : rows.label;
    asked.value = model->forest.loss == RT_LOSS_SQUARE ? rows.value : NULL;
    rt_status status =
        rt_gbdt_refit(&asked, &model->params, gamma, 1, NULL, &model->forest, NULL);
    if (status == RT_OK && model->forest.n_trees > 0) {
        status = rt_forest_drop_rounds(&model->forest, 1, NULL);
    }
    return status;
}

static rt_status learn(rt_model *model, const rt_matrix *x)
{
    const rt_linear_rows rows = {.x = *x,
                                 .target = labels,
                                 .levels = model->linear.levels,
                                 .loss = model->linear.loss,
                                 .classes = model->linear.n_outputs};
    const bool intercept = model->linear_params.value[RT_LP_INTERCEPT] != 0.0;
    return rt_linear_learn(&rows, 0.5, intercept, NULL, &model->linear, NULL);
}

/* The model is of no use afterwards, unless it still passes the check. */
static void go_on(rt_model *model, double gamma)
{
    static const double x[2 * PROBE_FEATURES] = {1.0, NAN, 0.0, -2.5, 1e30};
    const rt_matrix rows = {.data = (const char *)x,
                            .rows = 2,
                            .columns = model->n_features,
                            .row_bytes = sizeof x / 2,
                            .column_bytes = sizeof(double),
                            .is_f64 = true};
    if (model->n_features > PROBE_FEATURES) {
        return;
    }
    rt_status status =
        rt_model_is_linear(model) ? learn(model, &rows) : refit(model, &rows, gamma);
    if (status == RT_OK && rt_model_check(model, NULL) == RT_OK) {
        predict_row(model, 1.0);
    }
}

static void use(rt_model *model, const uint8_t *data, size_t bytes)
{
    static const double fills[] = {NAN, -INFINITY, -1.0, 0.0, 0.5, 3.0, 1e30, INFINITY};
    uint8_t *again = NULL;
    size_t length = 0;
    for (size_t i = 0; i < sizeof fills / sizeof fills[0]; i++) {
        predict_row(model, fills[i]);
    }
    if (rt_model_write(model, &again, &length, NULL) != RT_OK || length != bytes ||
        memcmp(again, data, bytes) != 0) {
        __builtin_trap();
    }
    rt_free(again);
#ifdef RT_FUZZ_PLANTED
    static volatile uint8_t seen[4096];
    if (model->linear.kind == RT_MEMORY_ONLINE) {
        /* The bug: a number of what learning goes on from is believed unchecked. */
        seen[(size_t)model->linear.memory[RT_ONLINE_ROWS]] = 1;
    }
#endif
    go_on(model, data[bytes - 1] / 255.0);
}

static void try_bytes(const uint8_t *data, size_t bytes)
{
    rt_model model;
    rt_error err;
    if (rt_model_read(&model, data, bytes, &err) == RT_OK) {
        use(&model, data, bytes);
        rt_model_clear(&model);
    }
}

/* Length field and trailer as an honest writer would have set them. */
static void seal(uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < 8; i++) {
        data[LENGTH_AT + i] = (uint8_t)((uint64_t)bytes >> (8 * i));
    }
    size_t content = bytes - RT_SHA256_BYTES;
    rt_sha256(data, content, data + content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    try_bytes(data, bytes);
    if (bytes >= RT_HEADER_BYTES + RT_SHA256_BYTES) {
        void *copy = NULL; /* of exactly these bytes: a read past them is seen */
        if (rt_alloc(&copy, (int64_t)bytes, 1, "fuzz", NULL) == RT_OK) {
            memcpy(copy, data, bytes);
            seal(copy, bytes);
            try_bytes(copy, bytes);
            rt_free(copy);
        }
    }
    return 0;
}
