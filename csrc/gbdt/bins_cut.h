/* Where bins end. */
#ifndef RT_GBDT_BINS_CUT_H
#define RT_GBDT_BINS_CUT_H

#include <stdint.h>

#include "gbdt/bins.h"

/* n_bins and upper from `distinct` ascending keys with their counts, which sum to
 * `rows`. */
void rt_cut_numbers(rt_cut *cut, const uint64_t *keys, const uint64_t *counts,
                    int64_t distinct, int64_t rows, int32_t max_bins);

/* n_bins and both maps of all parts from the counts of all levels; `spare` is twice as
 * large. */
void rt_cut_levels(rt_cut *cut, uint64_t *counts, uint64_t *spare);

/* Some t with low <= t < high, exact in float32 where there is one. */
double rt_threshold_between(double low, double high);

#endif
