/* Linear models by Newton's method, fitted to the same bits by any number of threads.
 *
 * Every step is one pass over the rows: linear sums, loss, first and second derivatives
 * of a block while it lies in the cache. Blocks have 1,024 rows; runs of blocks, cut by
 * the shape of the data alone, are summed in order, and so are the runs. Of many rows a
 * sixteenth is fitted first, but for least squares: the steps begin there. */
#ifndef RT_LINEAR_FIT_H
#define RT_LINEAR_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ctl.h"
#include "base/matrix.h"
#include "base/status.h"
#include "linear/linear.h"
#include "linear/params.h"
#include "linear/prior.h"

/* Numbers of a fit: outputs times (1 + slopes). Their square is held in memory. */
enum { RT_LINEAR_MOST_NUMBERS = 2048 };

typedef struct rt_linear_rows {
    rt_matrix x; /* NaN: missing; a categorical column holds a level's number */
    const double *target;  /* [rows] 0 or 1, a class, an amount, an amount >= 0 */
    const double *weight;  /* [rows] >= 0, or NULL: all 1. 0 = the row is absent */
    const int32_t *levels; /* [columns] as in rt_linear */
    rt_linear_loss loss;
    int32_t classes; /* of softmax */
} rt_linear_rows;

typedef struct rt_linear_report {
    int32_t team;       /* threads that ran */
    int32_t iterations; /* steps taken on all rows */
    bool converged;
    double loss;     /* with the penalty, before the last step */
    double gradient; /* the largest first derivative there, over the sum of weights */
} rt_linear_report;

/* Fits into `linear` (cleared on failure), after a prior (NULL: none), and keeps what
 * the next fit needs: RT_MEMORY_NONE, _DIAGONAL or _FULL. Rows of one class give slopes
 * of 0 and the log-odds of n + 1/2 rows against 1/2. Opens parallel regions: call it on
 * a task. ctl->done counts passes. */
RT_CHECKED rt_status rt_linear_fit(const rt_linear_rows *rows,
                                   const rt_linear_params *params,
                                   const rt_linear_prior *prior,
                                   rt_linear_memory remember, int32_t n_threads,
                                   rt_ctl *ctl, rt_linear *linear,
                                   rt_linear_report *report, rt_error *err);

#endif
