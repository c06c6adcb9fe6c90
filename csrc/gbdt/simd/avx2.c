/* loops.h for processors with AVX2. */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt"))),    \
                             apply_to = function)
#else
#pragma GCC target("avx2,bmi,bmi2,lzcnt,popcnt")
#endif
/* The target stands before any include: inline functions of base/ are built for it
 * too. */
#define RT_HOT rt_hot_avx2
#define RT_HOT_NAME "avx2"
#include "gbdt/simd/loops.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
/* A translation unit must not be empty. */
typedef int rt_hot_avx2_is_not_built;
#endif
