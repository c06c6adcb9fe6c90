/* A linear model: what a fit makes, prediction reads and the model file holds. */
#ifndef RT_LINEAR_LINEAR_H
#define RT_LINEAR_LINEAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ctl.h"
#include "base/matrix.h"
#include "base/status.h"

/* What the linear sums mean: log-odds, logarithms of shares, the amount, and the
 * logarithm of the amount. */
typedef enum rt_linear_loss {
    RT_LINEAR_LOGISTIC = 1,
    RT_LINEAR_SOFTMAX,
    RT_LINEAR_SQUARE,
    RT_LINEAR_POISSON
} rt_linear_loss;

enum { RT_LINEAR_MOST_OUTPUTS = 256, RT_LINEAR_MOST_PRECISION = 1 << 20 };

/* What a model keeps beside its slopes for what comes after it. */
typedef enum rt_linear_memory {
    RT_MEMORY_NONE,
    RT_MEMORY_ONLINE,   /* where learning row by row is (linear/online.h) */
    RT_MEMORY_DIAGONAL, /* weight of the rows, then second derivatives (linear/prior.h)
                         */
    RT_MEMORY_FULL      /* the same with mixed ones: the upper triangle by rows */
} rt_linear_memory;

/* A number has one slope, a category one for each of its levels; a level that is
 * missing or unknown adds nothing. */
typedef struct rt_linear {
    rt_linear_loss loss;
    int32_t n_outputs; /* classes of softmax, else 1 */
    int32_t n_features;
    int64_t n_slopes;  /* of one output */
    int32_t *levels;   /* [n_features] categories; 0: a number, -1: a category without
                          any known level */
    double *fill;      /* [n_features] stands for a missing number: the mean */
    double *intercept; /* [n_outputs] */
    double *slope;     /* [n_outputs][n_slopes], in the units of the data */
    rt_linear_memory kind;
    double *memory; /* [rt_linear_memory_length], NULL without one */
} rt_linear;

static inline int64_t rt_linear_width(int32_t levels)
{
    return levels == 0 ? 1 : levels > 0 ? levels : 0;
}

/* The parts of the memory of row by row, one after the other. */
enum {
    RT_ONLINE_ROWS,   /* that had a weight */
    RT_ONLINE_NORM,   /* sum of squares of all columns, each as a share of its size */
    RT_ONLINE_SHIFT,  /* of amounts */
    RT_ONLINE_SCALE,  /* of amounts, a power of two */
    RT_ONLINE_NUMBERS /* then: intercepts at the columns' fills [outputs]; sizes of the
                         columns [slopes]; squared gradients [outputs][1 + slopes] */
};

/* Numbers of a memory; -1 where they would be too many. */
static inline int64_t rt_linear_memory_length(rt_linear_memory kind, int64_t outputs,
                                              int64_t slopes)
{
    const int64_t n = outputs * (1 + slopes);
    switch (kind) {
    case RT_MEMORY_ONLINE:
        return RT_ONLINE_NUMBERS + outputs + slopes + n;
    case RT_MEMORY_DIAGONAL:
        return 1 + n;
    case RT_MEMORY_FULL:
        return n < RT_LINEAR_MOST_PRECISION ? 1 + n * (n + 1) / 2 : -1;
    case RT_MEMORY_NONE:
        break;
    }
    return 0;
}

/* A memory of that kind, zeroed. */
RT_CHECKED rt_status rt_linear_remember(rt_linear *linear, rt_linear_memory kind,
                                        rt_error *err);

/* Zeroed, but for the shape; `levels` is copied. */
RT_CHECKED rt_status rt_linear_init(rt_linear *linear, rt_linear_loss loss,
                                    int32_t n_outputs, int32_t n_features,
                                    const int32_t *levels, rt_error *err);
void rt_linear_clear(rt_linear *linear);

/* out[row][output]: the probability (of each class), or the amount. Slopes are added in
 * the order of features, so the bits depend on the row alone. With more than one thread
 * it opens a parallel region: call it on a task. */
RT_CHECKED rt_status rt_linear_predict(const rt_linear *linear, const rt_matrix *x,
                                       int32_t n_threads, rt_ctl *ctl, double *out,
                                       rt_error *err);

/* True when rt_linear_predict would use the calling thread only. */
bool rt_linear_runs_alone(const rt_linear *linear, int64_t rows);

#endif
