/* Gradient boosted trees for a yes/no label, trained to the same bits by any
 * number of threads. */
#ifndef RT_KERNELS_GBDT_H
#define RT_KERNELS_GBDT_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"
#include "kernels/forest.h"
#include "kernels/gbdt_params.h"
#include "kernels/matrix.h"

typedef struct rt_gbdt_data {
    rt_matrix x;
    const uint8_t *label;  /* [rows] 0 or 1 */
    const double *weight;  /* [rows] >= 0, or NULL: all 1. 0 = the row is absent */
    const int32_t *levels; /* [columns] as in rt_forest; a categorical column
                              holds the number of its level */
} rt_gbdt_data;

/* What happened; no part of the model. */
typedef struct rt_gbdt_report {
    _Atomic int32_t team; /* threads that really ran; may be read meanwhile */
    int64_t rows;         /* rows with weight */
    int32_t rounds;       /* trees tried */
} rt_gbdt_report;

/* Trains into `forest` (cleared on failure). Opens parallel regions: call it on
 * a task. ctl->done counts finished rounds. */
RT_CHECKED rt_status rt_gbdt_fit(const rt_gbdt_data *data, const rt_gbdt_params *params,
                                 uint64_t seed, int32_t n_threads, rt_ctl *ctl,
                                 rt_forest *forest, rt_gbdt_report *report,
                                 rt_error *err);

#endif
