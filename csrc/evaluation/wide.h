/* Integers that outgrow 64 bits: sums over pairs of rows, of which 2^31 rows have 2^62.
 */
#ifndef RT_EVALUATION_WIDE_H
#define RT_EVALUATION_WIDE_H

#include <stdint.h>

__extension__ typedef unsigned __int128 rt_uint128;
__extension__ typedef __int128 rt_int128;

/* One of them as two words, for those who know no such type. */
typedef struct rt_wide {
    uint64_t high, low;
} rt_wide;

static inline rt_wide rt_wide_of(rt_uint128 x)
{
    return (rt_wide){(uint64_t)(x >> 64), (uint64_t)x};
}

#endif
