/* Memory of a linear model, and what it says of rows. */
#include "linear/linear.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/alloc.h"
#include "base/math.h"
#include "base/ranges.h"
#include "parallel/threads.h"

enum { BATCH = 256, ALONE = 32768 };

rt_status rt_linear_init(rt_linear *linear, rt_linear_loss loss, int32_t n_outputs,
                         int32_t n_features, const int32_t *levels, rt_error *err)
{
    memset(linear, 0, sizeof *linear);
    linear->loss = loss;
    linear->n_outputs = n_outputs;
    linear->n_features = n_features;
    for (int32_t f = 0; f < n_features; f++) {
        linear->n_slopes += rt_linear_width(levels[f]);
    }
    const rt_block blocks[] = {
        RT_BLOCK(linear->levels, n_features),
        RT_BLOCK(linear->fill, n_features),
        RT_BLOCK(linear->intercept, n_outputs),
        RT_BLOCK(linear->slope, n_outputs * linear->n_slopes),
    };
    rt_status status =
        rt_alloc_all(blocks, sizeof blocks / sizeof blocks[0], "rt_linear_init", err);
    if (status == RT_OK && n_features > 0) {
        memcpy(linear->levels, levels, (size_t)n_features * sizeof *levels);
    }
    return status;
}

rt_status rt_linear_remember(rt_linear *linear, rt_linear_memory kind, rt_error *err)
{
    const int64_t length =
        rt_linear_memory_length(kind, linear->n_outputs, linear->n_slopes);
    const rt_block block[] = {RT_BLOCK(linear->memory, length)};
    rt_status status = rt_alloc_all(block, 1, "rt_linear_remember", err);
    linear->kind = status == RT_OK ? kind : RT_MEMORY_NONE;
    return status;
}

void rt_linear_clear(rt_linear *linear)
{
    rt_free(linear->levels);
    rt_free(linear->fill);
    rt_free(linear->intercept);
    rt_free(linear->slope);
    rt_free(linear->memory);
    memset(linear, 0, sizeof *linear);
}

/* What one feature adds to a row of one output. */
static double part(const rt_linear *linear, int32_t feature, const double *slope,
                   double x)
{
    const int32_t levels = linear->levels[feature];
    if (levels == 0) {
        return slope[0] * (isnan(x) ? linear->fill[feature] : x);
    }
    if (!(x >= 0.0 && x < (double)levels) || (double)(int32_t)x != x) {
        return 0.0;
    }
    return slope[(int32_t)x];
}

/* Sums to what is predicted, in place. An infinity among the numbers may make a sum
 * that is no number: such a row says nothing, and gets the middle. */
static void finish(const rt_linear *linear, double *sum)
{
    const int32_t outputs = linear->n_outputs;
    double most = -INFINITY;
    double total = 0.0;
    for (int32_t k = 0; k < outputs; k++) {
        sum[k] = isnan(sum[k]) ? 0.0 : sum[k];
        sum[k] = sum[k] > 1e300 ? 1e300 : sum[k] < -1e300 ? -1e300 : sum[k];
        most = sum[k] > most ? sum[k] : most;
    }
    if (linear->loss == RT_LINEAR_LOGISTIC) {
        sum[0] = rt_sigmoid(sum[0]);
    } else if (linear->loss == RT_LINEAR_POISSON) {
        sum[0] = rt_exp(sum[0]);
    } else if (linear->loss == RT_LINEAR_SOFTMAX) {
        for (int32_t k = 0; k < outputs; k++) {
            sum[k] = rt_exp(sum[k] - most);
            total += sum[k];
        }
        for (int32_t k = 0; k < outputs; k++) {
            sum[k] /= total;
        }
    }
}

/* Column by column, so that either layout of the data is read along its lines. */
static void predict_batch(const rt_linear *linear, const rt_matrix *x, int64_t first,
                          int64_t rows, double *out)
{
    const int32_t outputs = linear->n_outputs;
    for (int64_t i = 0; i < rows * outputs; i++) {
        out[i] = linear->intercept[i % outputs];
    }
    int64_t at = 0;
    for (int32_t f = 0; f < linear->n_features; f++) {
        for (int64_t i = 0; i < rows; i++) {
            const double value = rt_matrix_at(x, first + i, f);
            for (int32_t k = 0; k < outputs; k++) {
                const double *slope = linear->slope + k * linear->n_slopes + at;
                out[i * outputs + k] += part(linear, f, slope, value);
            }
        }
        at += rt_linear_width(linear->levels[f]);
    }
    for (int64_t i = 0; i < rows; i++) {
        finish(linear, out + i * outputs);
    }
}

static void predict_range(const rt_linear *linear, const rt_matrix *x, int64_t begin,
                          int64_t end, rt_ctl *ctl, double *out)
{
    for (int64_t at = begin; at < end && !rt_ctl_cancelled(ctl); at += BATCH) {
        int64_t rows = end - at < BATCH ? end - at : BATCH;
        predict_batch(linear, x, at, rows, out + at * linear->n_outputs);
    }
}

bool rt_linear_runs_alone(const rt_linear *linear, int64_t rows)
{
    return rows < ALONE / (linear->n_features + 1) / linear->n_outputs;
}

rt_status rt_linear_predict(const rt_linear *linear, const rt_matrix *x,
                            int32_t n_threads, rt_ctl *ctl, double *out, rt_error *err)
{
    if (x->columns != linear->n_features) {
        return rt_fail(err, RT_INVALID, "rt_linear_predict",
                       "the data has %d columns, the model %d features", x->columns,
                       linear->n_features);
    }
    bool alone = rt_linear_runs_alone(linear, x->rows);
    const int32_t threads = alone ? 1 : rt_resolve_threads(n_threads);
    if (threads == 1) {
        predict_range(linear, x, 0, x->rows, ctl, out);
    } else {
#pragma omp parallel num_threads(threads) default(none) shared(linear, x, ctl, out)
        {
            const int32_t rank = omp_get_thread_num();
            const int32_t size = omp_get_num_threads();
            predict_range(linear, x, rt_range_begin(x->rows, rank, size),
                          rt_range_begin(x->rows, rank + 1, size), ctl, out);
        }
    }
    if (rt_ctl_cancelled(ctl)) {
        return rt_fail(err, RT_CANCELLED, "rt_linear_predict",
                       "prediction was asked to stop");
    }
    return RT_OK;
}
