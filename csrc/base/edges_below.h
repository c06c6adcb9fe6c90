/* How many of some ascending edges lie below each number: what puts numbers in bins. */
#ifndef RT_BASE_EDGES_BELOW_H
#define RT_BASE_EDGES_BELOW_H

#include <stdint.h>

/* below[i] = how many of the `n_edges` ascending edges are < x[i]; NaN: none. Built
 * once per instruction set (base/isa.h): comparisons and integers, so all give the
 * same. */
void rt_edges_below(const double *x, int64_t count, const double *edges,
                    int32_t n_edges, int32_t *below);

#endif
