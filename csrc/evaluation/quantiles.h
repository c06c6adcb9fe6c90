/* The edges of the bins that drift is counted in: exact quantiles of the reference. */
#ifndef RT_EVALUATION_QUANTILES_H
#define RT_EVALUATION_QUANTILES_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"

/* Inner edges of `n_bins` bins with as equal a number of finite values as ties
 * allow: edge i is the order statistic of rank ceil(i m / n_bins) among the m
 * finite values (the inverse of the empirical distribution, no interpolation:
 * an edge is always a value that occurred). Equal edges collapse. `edges` has
 * room for n_bins - 1. */
RT_CHECKED rt_status rt_quantile_edges(const double *x, int64_t n_rows, int32_t n_bins,
                                       rt_ctl *ctl, double *edges, int32_t *n_edges,
                                       rt_error *err);

#endif
