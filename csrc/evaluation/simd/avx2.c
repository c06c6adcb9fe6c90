/* block.h for processors with AVX2. */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt"))),    \
                             apply_to = function)
#else
#pragma GCC target("avx2,bmi,bmi2,lzcnt,popcnt")
#endif
/* The target stands before any include: inline functions of base/ are built for it
 * too. */
#define RT_ADD_AMOUNTS rt_add_amounts_avx2
#define RT_AMOUNT_LANES 4
#include "evaluation/simd/block.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
/* A translation unit must not be empty. */
typedef int rt_add_amounts_avx2_is_not_built;
#endif
