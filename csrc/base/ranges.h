/* How items are split among ranks: contiguous ranges that ascend with the rank and
 * differ by at most one item. */
#ifndef RT_BASE_RANGES_H
#define RT_BASE_RANGES_H

#include <stdint.h>

/* The first of `count` items of rank `rank` of `ranks`; rank == ranks gives `count`,
 * so a rank's range ends where the next one's begins. No product: it cannot wrap. */
static inline int64_t rt_range_begin(int64_t count, int32_t rank, int32_t ranks)
{
    const int64_t extra = count % ranks;
    return count / ranks * rank + (rank < extra ? rank : extra);
}

#endif
