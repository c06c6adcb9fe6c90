#include "base/isa.h"

#include <stdatomic.h>

static atomic_int forced = -1;

rt_isa rt_isa_best(void)
{
#if defined(__x86_64__)
    /* The set of x86-64-v4, and of -v3 without FMA, which is never used. */
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("bmi2")) {
        return RT_ISA_AVX512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2")) {
        return RT_ISA_AVX2;
    }
#endif
    return RT_ISA_BASELINE;
}

rt_isa rt_isa_in_use(void)
{
    int level = atomic_load_explicit(&forced, memory_order_relaxed);
    return level < 0 ? rt_isa_best() : (rt_isa)level;
}

bool rt_isa_force(rt_isa level)
{
    if (level > rt_isa_best()) {
        return false;
    }
    atomic_store_explicit(&forced, (int)level, memory_order_relaxed);
    return true;
}
