/* Is the AUC of one model above that of another on the same rows: the sums from which
 * DeLong's test follows. */
#ifndef RT_EVALUATION_DELONG_H
#define RT_EVALUATION_DELONG_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"
#include "evaluation/wide.h"

/* DeLong, DeLong & Clarke-Pearson (Biometrics 1988), by ranks (Sun & Xu 2014).
 * The placement of a positive is twice the negatives below it plus those that
 * tie; of a negative, the same among positives. AUC, its variance and the
 * covariance of two models are rational functions of the sums of placements and
 * of their products, so the test is exact until its last division.
 * Index: 0, 1 for the models' sums; 0 = aa, 1 = bb, 2 = ab for products. */
typedef struct rt_delong {
    rt_wide sum[2][2];     /* [positives, negatives][model] */
    rt_wide product[2][3]; /* [positives, negatives][aa, bb, ab] */
    int64_t n_pos;
    int64_t n_neg;
} rt_delong;

/* y is 0 or 1, scores are not NaN, at most 2^31 - 1 rows. Must run inside a task when
 * n_threads may pass 1. */
RT_CHECKED rt_status rt_delong_sums(const uint8_t *y, const double *score_a,
                                    const double *score_b, int64_t n_rows,
                                    int32_t n_threads, rt_ctl *ctl, rt_delong *delong,
                                    rt_error *err);

#endif
