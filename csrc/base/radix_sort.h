/* Floats in the order of unsigned integers, and integers sorted by digits.
 *
 * Counts of equal keys decide everything built on this (quantiles, AUC), so
 * the map from float to key must keep all 53 bits and send equal numbers, the
 * two zeros included, to equal keys. */
#ifndef RT_BASE_RADIX_SORT_H
#define RT_BASE_RADIX_SORT_H

#include <stdint.h>
#include <string.h>

#include "base/ctl.h"
#include "base/status.h"

/* x must not be NaN. Positive numbers get the sign bit set, negative ones are
 * complemented: IEEE 754 sorts by magnitude within a sign. No branch: signs come in no
 * order. */
static inline uint64_t rt_key_of_double(double x)
{
    uint64_t bits = 0;
    double zero_unsigned = x + 0.0; /* -0.0 + 0.0 is +0.0 */
    memcpy(&bits, &zero_unsigned, sizeof bits);
    return bits ^ ((0 - (bits >> 63)) | UINT64_C(1) << 63);
}

static inline double rt_double_of_key(uint64_t key)
{
    double x = 0.0;
    uint64_t bits = key ^ (((key >> 63) - 1) | UINT64_C(1) << 63);
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t rt_key_of_float(float x)
{
    uint32_t bits = 0;
    float zero_unsigned = x + 0.0F;
    memcpy(&bits, &zero_unsigned, sizeof bits);
    return bits ^ ((bits >> 31) != 0 ? UINT32_MAX : UINT32_C(1) << 31);
}

/* A key that knows which row it came from. */
typedef struct rt_ranked {
    uint64_t key;
    uint64_t row;
} rt_ranked;

/* Sort items[0..count) ascending by key; `scratch` has room for as many. Items
 * of equal keys end in any order, so nothing may be built on that order. With
 * more than one thread they must run inside a task. Failures are RT_CANCELLED
 * and RT_NO_MEMORY (a table of counts per thread); `items` then holds no
 * particular order, and perhaps some items twice. */
RT_CHECKED rt_status rt_sort_u32(uint32_t *items, uint32_t *scratch, int64_t count,
                                 int32_t n_threads, rt_ctl *ctl, rt_error *err);
RT_CHECKED rt_status rt_sort_u64(uint64_t *items, uint64_t *scratch, int64_t count,
                                 int32_t n_threads, rt_ctl *ctl, rt_error *err);
RT_CHECKED rt_status rt_sort_ranked(rt_ranked *items, rt_ranked *scratch, int64_t count,
                                    int32_t n_threads, rt_ctl *ctl, rt_error *err);

/* The same by one thread that is part of a larger job: nothing to allocate, nothing to
 * cancel, so it cannot fail. */
void rt_sort_keys(uint64_t *keys, uint64_t *scratch, int64_t count);

#endif
