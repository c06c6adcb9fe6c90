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
    if (rt_isa_in_use() != RT_ISA_BASELINE) {
        return rt_add_amounts_avx2;
    }
#endif
    return rt_add_amounts_baseline;
}
