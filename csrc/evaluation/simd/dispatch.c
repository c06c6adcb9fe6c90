/* The baseline build of the block, and the choice among the builds. This file has no
 * target of its own, so it runs on every processor. */
#include "evaluation/simd/dispatch.h"

#include "base/isa.h"

#define RT_ADD_AMOUNTS rt_add_amounts_baseline
#define RT_AMOUNT_LANES 2
#include "evaluation/simd/block.h"

rt_amount_adder rt_amount_adder_in_use(void)
{
/* On other processors there is the baseline alone. */
#if defined(__x86_64__)
    switch (rt_isa_in_use()) {
    case RT_ISA_AVX512:
        return rt_add_amounts_avx512;
    case RT_ISA_AVX2:
        return rt_add_amounts_avx2;
    case RT_ISA_BASELINE:
        break;
    }
#endif
    return rt_add_amounts_baseline;
}
