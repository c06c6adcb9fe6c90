/* Sizes that cannot wrap. Rows are int64_t, features and bins int32_t. */
#ifndef RT_BASE_SIZES_H
#define RT_BASE_SIZES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool rt_size_array(int64_t count, size_t item_bytes, size_t *bytes)
{
    return count >= 0 && (uint64_t)count <= SIZE_MAX / 2 &&
           !__builtin_mul_overflow((size_t)count, item_bytes, bytes) &&
           *bytes <= SIZE_MAX / 2;
}

static inline bool rt_mul_i64(int64_t a, int64_t b, int64_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

static inline bool rt_add_i64(int64_t a, int64_t b, int64_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

#endif
