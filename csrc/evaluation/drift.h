/* What drift is judged from: counts per day and bin.
 *
 * A column's counts for one day, of a day x bin table, for k edges:
 *
 *   x <= e0 | e0 < x <= e1 | ... | e(k-1) < x | -inf | +inf | NaN
 *   `--------------- k + 1 regular bins ------'
 *
 * and of a categorical column with L levels: level 0 .. L-1 | unseen | missing. */
#ifndef RT_EVALUATION_DRIFT_H
#define RT_EVALUATION_DRIFT_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"

enum { RT_DRIFT_EXTRA = 3, RT_CATEGORY_EXTRA = 2 };
enum { RT_CODE_MISSING = -1, RT_CODE_UNSEEN = -2 };

typedef struct rt_drift_column {
    const double *x;
    const int32_t *day;
    const double *edges; /* finite, strictly increasing */
    int64_t n_rows;
    int32_t n_edges;
    int32_t n_days;
} rt_drift_column;

/* counts: n_days x (n_edges + 1 + RT_DRIFT_EXTRA). */
RT_CHECKED rt_status rt_drift_counts(const rt_drift_column *column, int32_t n_threads,
                                     rt_ctl *ctl, int64_t *counts, rt_error *err);

typedef struct rt_category_column {
    const int32_t *code;
    const int32_t *day;
    int64_t n_rows;
    int32_t n_levels;
    int32_t n_days;
} rt_category_column;

/* counts: n_days x (n_levels + RT_CATEGORY_EXTRA). */
RT_CHECKED rt_status rt_category_counts(const rt_category_column *column,
                                        int32_t n_threads, rt_ctl *ctl, int64_t *counts,
                                        rt_error *err);

#endif
