/* The baseline build of the hot loops, and the choice among the builds. This file has
 * no target of its own, so it runs on every processor. */
#include "gbdt/simd/dispatch.h"

#define RT_HOT rt_hot_baseline
#define RT_HOT_NAME "baseline"
#include "gbdt/simd/loops.h"

const rt_hot *rt_hot_in_use(void)
{
/* On other processors there is the baseline alone. */
#if defined(__x86_64__)
    /* Asked each time: tests hold the levels against each other in one process. */
    switch (rt_isa_in_use()) {
    case RT_ISA_AVX512:
        return &rt_hot_avx512;
    case RT_ISA_AVX2:
        return &rt_hot_avx2;
    case RT_ISA_BASELINE:
        break;
    }
#endif
    return &rt_hot_baseline;
}
