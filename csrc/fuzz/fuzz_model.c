/* libFuzzer entry: any bytes as a model file.
 *
 * The input is read as it is, and once more with its stated length and checksum
 * put right, since a fuzzer would never find a SHA-256 by itself and the parts
 * behind it deserve the test. What passes is predicted with and must write its
 * own bytes again.
 *
 * RT_FUZZ_PLANTED builds in a bug that the fuzzer must find (make -C csrc fuzz-model).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/sha256.h"
#include "model/layout.h"
#include "model/predict.h"
#include "model/read.h"
#include "model/write.h"

enum { PROBE_FEATURES = 64, LENGTH_AT = 16, FEATURES_AT = 24 };

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
}

static void try_bytes(const uint8_t *data, size_t bytes)
{
    rt_model model;
    rt_error err;
#ifdef RT_FUZZ_PLANTED
    static uint8_t seen[PROBE_FEATURES];
    if (bytes >= RT_HEADER_BYTES) {
        seen[data[FEATURES_AT]] = 1; /* the bug: a count is believed unchecked */
    }
#endif
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
