/* block.h for processors with AVX-512 (F, DQ, BW, VL). */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(                                                          \
    __attribute__((                                                                    \
        target("avx512f,avx512dq,avx512bw,avx512vl,avx2,bmi,bmi2,lzcnt,popcnt"))),     \
    apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,bmi,bmi2,lzcnt,popcnt")
#endif
/* The target stands before any include: inline functions of base/ are built for it
 * too. */
#define RT_ADD_AMOUNTS rt_add_amounts_avx512
#define RT_AMOUNT_LANES 8
#include "evaluation/simd/block.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
/* A translation unit must not be empty. */
typedef int rt_add_amounts_avx512_is_not_built;
#endif
