/* A table with gaps and a category, and linear models of it. */
#ifndef RT_TESTS_LINEAR_DATA_H
#define RT_TESTS_LINEAR_DATA_H

#include <math.h>
#include <string.h>

#include "base/sha256.h"
#include "linear/fit.h"
#include "linear/online.h"
#include "model/check.h"
#include "model/read.h"
#include "model/write.h"
#include "parallel/task.h"
#include "tests/test.h"

enum { TEST_LINEAR_ROWS = 2500, TEST_LINEAR_FEATURES = 5, TEST_LINEAR_LEVELS = 4 };

typedef struct test_linear {
    rt_linear_rows rows;
    rt_linear_params params;
    const rt_linear_prior *prior;
    rt_linear_memory remember;
    int32_t threads;
    rt_ctl ctl;
    rt_linear_report report;
    rt_model model;
} test_linear;

static float test_linear_x[TEST_LINEAR_ROWS][TEST_LINEAR_FEATURES];
static double test_linear_y[RT_LINEAR_POISSON + 1][TEST_LINEAR_ROWS];

/* Numbers of quite different units; the third column is a category. */
static inline void test_linear_row(int32_t i)
{
    float *x = test_linear_x[i];
    double u[5];
    for (int32_t c = 0; c < 5; c++) {
        u[c] = fmod((double)(i + 1) * (0.61803398875 + 0.1234567 * c), 1.0);
    }
    x[0] = (float)(u[0] * 1000.0);
    x[1] = i % 11 == 0 ? NAN : (float)(u[1] - 0.5);
    x[2] = i % 13 == 0 ? NAN : (float)(i % TEST_LINEAR_LEVELS);
    x[3] = (float)(1e6 + u[2]);
    x[4] = (float)(u[3] * 1e-3);
    const double sum = 2.0 * u[0] - (isnan(x[1]) ? 0.0 : x[1]) + (i % 4 == 1) + u[2];
    test_linear_y[RT_LINEAR_LOGISTIC][i] = u[4] < 1.0 / (1.0 + exp(2.0 - sum));
    test_linear_y[RT_LINEAR_SOFTMAX][i] = floor(fmod(sum + 2.0 * u[4], 3.0));
    test_linear_y[RT_LINEAR_SQUARE][i] = sum + u[4];
    test_linear_y[RT_LINEAR_POISSON][i] = floor(3.0 * u[4] * exp(0.3 * sum));
}

static inline void test_linear_init(test_linear *t, rt_linear_loss loss, double l2)
{
    static const int32_t levels[TEST_LINEAR_FEATURES] = {0, 0, TEST_LINEAR_LEVELS, 0,
                                                         0};
    for (int32_t i = 0; i < TEST_LINEAR_ROWS; i++) {
        test_linear_row(i);
    }
    t->params = rt_linear_defaults();
    t->params.value[RT_LP_L2] = l2;
    t->params.value[RT_LP_TOLERANCE] = 1e-14;
    t->rows = (rt_linear_rows){
        .x = {.data = (const char *)test_linear_x,
              .rows = TEST_LINEAR_ROWS,
              .columns = TEST_LINEAR_FEATURES,
              .row_bytes = sizeof test_linear_x[0],
              .column_bytes = sizeof(float)},
        .target = test_linear_y[loss],
        .levels = levels,
        .loss = loss,
        .classes = loss == RT_LINEAR_SOFTMAX ? 3 : 0,
    };
}

/* Names by number; every level is one letter. */
static inline rt_status test_linear_names(test_linear *t, rt_error *err)
{
    const int32_t columns = t->rows.x.columns;
    int32_t texts = columns;
    for (int32_t f = 0; f < columns; f++) {
        texts += t->rows.levels[f];
    }
    rt_status status = rt_model_init(&t->model, columns, texts, texts, err);
    for (int32_t f = 0, at = 0; f < columns && status == RT_OK; f++) {
        t->model.features[f].kind = t->rows.levels[f] > 0 ? RT_CATEGORICAL : RT_NUMERIC;
        t->model.features[f].n_categories = t->rows.levels[f];
        for (int32_t i = 0; i <= t->rows.levels[f]; i++, at++) {
            t->model.text[at] = (char)('a' + at);
            t->model.text_start[at + 1] = at + 1;
        }
    }
    return status == RT_OK ? rt_model_link(&t->model, err) : status;
}

static inline rt_status test_linear_body(void *argument, rt_error *err)
{
    test_linear *t = argument;
    rt_model_clear(&t->model);
    rt_status status = test_linear_names(t, err);
    if (status == RT_OK) {
        t->model.linear_params = t->params;
        status = rt_linear_fit(&t->rows, &t->params, t->prior, t->remember, t->threads,
                               &t->ctl, &t->model.linear, &t->report, err);
    }
    return status == RT_OK ? rt_model_check(&t->model, err) : status;
}

static inline rt_status test_linear_fit(test_linear *t, rt_error *err)
{
    return rt_task_run(test_linear_body, t, err);
}

/* Learns from some rows after the others; a model of nothing begins. */
static inline rt_status test_linear_learn(test_linear *t, int64_t first, int64_t count,
                                          rt_error *err)
{
    rt_linear_rows rows = t->rows;
    rt_status status = RT_OK;
    if (!rt_model_is_linear(&t->model)) {
        status = test_linear_names(t, err);
        if (status == RT_OK) {
            const bool softmax = rows.loss == RT_LINEAR_SOFTMAX;
            status = rt_model_start_linear(&t->model, rows.loss,
                                           softmax ? rows.classes : 1, err);
        }
    }
    rows.x.data += first * rows.x.row_bytes;
    rows.x.rows = count;
    rows.target += first;
    if (status == RT_OK) {
        status = rt_linear_learn(&rows, 0.5, true, &t->ctl, &t->model.linear, err);
    }
    return status == RT_OK ? rt_model_check(&t->model, err) : status;
}

typedef struct test_linear_job {
    const test_linear *t;
    int32_t threads;
    double *out;
} test_linear_job;

static inline rt_status test_linear_predicted(void *argument, rt_error *err)
{
    const test_linear_job *job = argument;
    return rt_linear_predict(&job->t->model.linear, &job->t->rows.x, job->threads, NULL,
                             job->out, err);
}

static inline rt_status test_linear_predict(const test_linear *t, int32_t threads,
                                            double *out)
{
    test_linear_job job = {t, threads, out};
    return rt_task_run(test_linear_predicted, &job, NULL);
}

/* The largest derivative in an intercept, as a share of the rows: what is predicted
 * adds up to what was seen. */
static inline double test_linear_gradient(const test_linear *t)
{
    static double out[TEST_LINEAR_ROWS * 3];
    const int32_t outputs = t->model.linear.n_outputs;
    double most = 0.0;
    if (test_linear_predict(t, 1, out) != RT_OK) {
        return 0.0;
    }
    for (int32_t k = 0; k < outputs; k++) {
        double sum = 0.0;
        for (int64_t i = 0; i < TEST_LINEAR_ROWS; i++) {
            const double y = t->rows.target[i];
            sum += out[i * outputs + k] - (outputs > 1 ? y == (double)k : y);
        }
        most = fabs(sum) > most ? fabs(sum) : most;
    }
    return most / TEST_LINEAR_ROWS;
}

/* 1 if the bytes are a model, which must then predict and write itself again. */
static inline int32_t test_linear_use(const uint8_t *data, size_t bytes)
{
    static const double rows[3] = {NAN, -INFINITY, 1e300};
    rt_model model;
    uint8_t *again = NULL;
    size_t length = 0;
    double p[RT_LINEAR_MOST_OUTPUTS];
    rt_status status = rt_model_read(&model, data, bytes, NULL);
    CHECK(status == RT_OK || status == RT_CORRUPT);
    if (status != RT_OK) {
        return 0;
    }
    for (int32_t i = 0; i < 3; i++) {
        const rt_matrix x = {.data = (const char *)&rows[i],
                             .rows = 1,
                             .columns = model.n_features,
                             .is_f64 = true};
        CHECK(rt_linear_predict(&model.linear, &x, 1, NULL, p, NULL) == RT_OK);
        CHECK(isfinite(p[0]));
    }
    CHECK(rt_model_write(&model, &again, &length, NULL) == RT_OK);
    CHECK(length == bytes && memcmp(data, again, bytes) == 0);
    rt_free(again);
    rt_model_clear(&model);
    return 1;
}

/* Every byte changed in four ways and the sum of the file made anew: refused, or a
 * model that predicts. */
static inline void test_linear_reseal(uint8_t *data, size_t bytes)
{
    static const uint8_t changes[] = {0x01, 0x80, 0xff, 0x10};
    int32_t passed = 0;
    for (size_t i = 0; i < bytes - RT_SHA256_BYTES; i++) {
        const uint8_t before = data[i];
        for (size_t c = 0; c < sizeof changes; c++) {
            data[i] = before ^ changes[c];
            rt_sha256(data, bytes - RT_SHA256_BYTES, data + bytes - RT_SHA256_BYTES);
            passed += test_linear_use(data, bytes);
        }
        data[i] = before;
    }
    CHECK(passed > 0);
}

#endif
