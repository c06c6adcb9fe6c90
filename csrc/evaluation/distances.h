/* How far apart two samples of a number lie: Kolmogorov-Smirnov, Wasserstein. */
#ifndef RT_EVALUATION_DISTANCES_H
#define RT_EVALUATION_DISTANCES_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"
#include "evaluation/wide.h"

/* With A(x), B(x) the counts at or below x:
 * KS: D+ = max (A n_b - B n_a) / (n_a n_b), D- the other way round; returned as
 * integers. Wasserstein-1: sum over neighbouring values of
 * (x' - x) |A n_b - B n_a| / (n_a n_b); a compensated sum in key order. */
typedef struct rt_distance {
    rt_wide above; /* D+ n_a n_b */
    rt_wide below; /* D- n_a n_b */
    double wasserstein;
} rt_distance;

/* Neither sample may hold a NaN. Must run inside a task when n_threads may pass 1. */
RT_CHECKED rt_status rt_sample_distance(const double *a, int64_t n_a, const double *b,
                                        int64_t n_b, int32_t n_threads, rt_ctl *ctl,
                                        rt_distance *distance, rt_error *err);

#endif
