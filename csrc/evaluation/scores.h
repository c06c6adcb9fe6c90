/* How good probabilities are, from labels and scores in [0, 1]: sums in fixed
 * point, so that any order, chunking and team gives the same bits.
 *
 * A term is rounded once to a multiple of 2^-40 (an error of at most 2^-41 per
 * row) and added as an integer. A sum has two words, whole units and 2^-40ths:
 * 36 * 2^40 per row would overflow one int64 after 2^17 rows. */
#ifndef RT_EVALUATION_SCORES_H
#define RT_EVALUATION_SCORES_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"

enum { RT_FIXED_BITS = 40, RT_CALIBRATION_BINS = 15 };

/* units + parts 2^-40 with 0 <= parts < 2^40. */
typedef struct rt_fixed {
    int64_t units, parts;
} rt_fixed;

/* Equal-width bins [k/15, (k+1)/15); a score of 1 joins the last. */
typedef struct rt_calibration_bin {
    int64_t rows;
    int64_t positives;
    rt_fixed score;
} rt_calibration_bin;

typedef struct rt_score_sums {
    int64_t rows;
    int64_t positives;
    rt_fixed log_loss; /* -ln p of what happened; p clipped to [2^-52, 1 - 2^-52] */
    rt_fixed brier;    /* (p - y)^2 */
    rt_calibration_bin bins[RT_CALIBRATION_BINS];
} rt_score_sums;

/* y is 0 or 1, score lies in [0, 1]. Must run inside a task. */
RT_CHECKED rt_status rt_sum_scores(const uint8_t *y, const double *score,
                                   int64_t n_rows, int32_t n_threads, rt_ctl *ctl,
                                   rt_score_sums *sums, rt_error *err);

/* Gradient and Hessian of the log-likelihood of P(y = 1) = s(a + b l), where
 * l = logit of the clipped score and s the logistic function: what one Newton
 * step of the calibration line needs. With e = y - s and w = s (1 - s): */
typedef struct rt_line_sums {
    rt_fixed e, el, w, wl, wll;
} rt_line_sums;

RT_CHECKED rt_status rt_sum_line(const uint8_t *y, const double *score, int64_t n_rows,
                                 double intercept, double slope, int32_t n_threads,
                                 rt_ctl *ctl, rt_line_sums *sums, rt_error *err);

#endif
