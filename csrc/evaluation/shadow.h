/* Champion and challenger on the same requests, before any label is known. */
#ifndef RT_EVALUATION_SHADOW_H
#define RT_EVALUATION_SHADOW_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"

enum { RT_SCORE_BINS = 20 };

/* A score is good when it is finite and in [0, 1]. Rows where both scores are
 * good are compared; the others are only counted as bad. */
typedef struct rt_shadow_counts {
    int64_t rows;
    int64_t compared;
    int64_t champion_positive; /* of the compared rows, score >= threshold */
    int64_t challenger_positive;
    int64_t flips_up;   /* champion says 0, challenger 1 */
    int64_t flips_down; /* champion says 1, challenger 0 */
    int64_t champion_bad;
    int64_t challenger_bad;
    /* Least and greatest good challenger score as IEEE bits, which order like the
     * numbers from 0 on; low > high: there was none. Unlike "equal to the first
     * one", these merge. */
    int64_t challenger_low;
    int64_t challenger_high;
    int64_t score_counts[2][RT_SCORE_BINS]; /* compared rows; equal bins of [0, 1] */
} rt_shadow_counts;

typedef struct rt_shadow_rows {
    const double *champion;
    const double *challenger;
    double champion_threshold;
    double challenger_threshold;
    int64_t n_rows;
} rt_shadow_rows;

RT_CHECKED rt_status rt_shadow_count(const rt_shadow_rows *rows, int32_t n_threads,
                                     rt_ctl *ctl, rt_shadow_counts *counts,
                                     rt_error *err);

#endif
