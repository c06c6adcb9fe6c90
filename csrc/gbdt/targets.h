/* What is learnt from: the rows that have weight, one after the other, their
 * targets checked and scaled, and the scores to begin with. */
#ifndef RT_GBDT_TARGETS_H
#define RT_GBDT_TARGETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/matrix.h"
#include "base/status.h"
#include "gbdt/forest.h"

/* The caller's rows; borrowed. */
typedef struct rt_gbdt_rows {
    rt_matrix x;
    const uint8_t *label; /* [rows] the class, or NULL */
    const double *value;  /* [rows] of squared error, or NULL */
    const double *weight; /* [rows] >= 0, or NULL: all 1. 0 = the row is absent */
} rt_gbdt_rows;

typedef struct rt_dense_rows {
    int64_t count;
    int32_t *source; /* NULL: all rows of the matrix */
    uint8_t *label;
    double *value;  /* (target - lowest) / scale, in [0, 1] */
    double *weight; /* NULL: all 1 */
    double total_weight;
    double class_weight[RT_MAX_OUTPUTS];
    double lowest, scale;
    bool constant; /* all targets are one: there is nothing to learn */
} rt_dense_rows;

/* Refuses targets and weights that nothing can be learnt from, by row. `classes`:
 * 0 for squared error. */
RT_CHECKED rt_status rt_rows_check(const rt_gbdt_rows *rows, int32_t classes,
                                   int64_t *with_weight, rt_error *err);

/* Amounts and the scores that go with them. */
typedef struct rt_span {
    double low, high;
} rt_span;

/* Amounts are scaled to the span as well, or to themselves alone if it is NULL. */
RT_CHECKED rt_status rt_rows_gather(const rt_gbdt_rows *rows, int32_t classes,
                                    const rt_span *span, rt_dense_rows *out,
                                    rt_error *err);
void rt_rows_clear(rt_dense_rows *rows);

/* Log-odds, logarithms of shares, or the mean, in the target's own unit. */
void rt_rows_base(const rt_dense_rows *rows, rt_loss loss, int32_t outputs,
                  double *base);

#endif
