#include "base/math.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

int32_t rt_ceil_log2(double x)
{
    uint64_t bits = rt_to_bits(x);
    int32_t exponent = (int32_t)(bits >> 52) - 1023;
    return (bits & 0x000fffffffffffffu) == 0 ? exponent : exponent + 1;
}

uint32_t rt_fp_enter(void)
{
#if defined(__x86_64__)
    uint32_t saved = _mm_getcsr();
    _mm_setcsr(0x1f80u); /* round to nearest, no flush-to-zero, all masked */
    return saved;
#else
    return 0;
#endif
}

void rt_fp_leave(uint32_t saved)
{
#if defined(__x86_64__)
    _mm_setcsr(saved);
#else
    (void)saved;
#endif
}
