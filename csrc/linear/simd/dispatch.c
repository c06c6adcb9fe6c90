/* The baseline build of the loops, and the choice among the builds. This file has no
 * target of its own, so it runs on every processor. */
#include "linear/simd/dispatch.h"

#include "base/isa.h"

#define RT_LINEAR_LOOPS rt_linear_loops_baseline
#include "linear/simd/block.h"

const rt_linear_loops *rt_linear_loops_in_use(void)
{
/* On other processors there is the baseline alone. */
#if defined(__x86_64__)
    /* Asked each time: tests hold the levels against each other in one process. */
    switch (rt_isa_in_use()) {
    case RT_ISA_AVX512:
        return &rt_linear_loops_avx512;
    case RT_ISA_AVX2:
        return &rt_linear_loops_avx2;
    case RT_ISA_BASELINE:
        break;
    }
#endif
    return &rt_linear_loops_baseline;
}
