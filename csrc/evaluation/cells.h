/* Label x champion's decision x challenger's decision, per day and slice.
 *
 * The eight cells are the sufficient statistic of everything the gates ask:
 * F1 of both models, their difference, its standard error by rows and by days,
 * and what they disagree on. Cell = 4 y + 2 champion + challenger.
 *
 * Several slice columns at once make a cube: one pass over the rows counts every
 * combination of levels, and each column, each chosen intersection and the total
 * are sums over the cube's other axes, which no longer cost anything by the row. */
#ifndef RT_EVALUATION_CELLS_H
#define RT_EVALUATION_CELLS_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"

enum { RT_CELLS = 8, RT_MAX_SLICE_COLUMNS = 8 };

typedef struct rt_joint_rows {
    const int32_t *day;
    const uint8_t *y;
    const uint8_t *champion;
    const uint8_t *challenger;
    int64_t n_rows;
    int32_t n_days;
    int32_t n_columns;
    const int32_t *level[RT_MAX_SLICE_COLUMNS]; /* every row has one per column */
    int32_t n_levels[RT_MAX_SLICE_COLUMNS];
} rt_joint_rows;

/* counts: n_days x n_levels[0] x ... x n_levels[n_columns - 1] x RT_CELLS. */
RT_CHECKED rt_status rt_joint_cells(const rt_joint_rows *rows, int32_t n_threads,
                                    rt_ctl *ctl, int64_t *counts, rt_error *err);

#endif
