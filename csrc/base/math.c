#include "base/math.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* x = 2^e m with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh(f), f = (m-1)/(m+1),
 * |f| <= 0.1716, so that the series reaches full precision at f^21. */
double rt_log(double x)
{
    uint64_t bits = rt_to_bits(x);
    int32_t exponent = (int32_t)(bits >> 52) - 1023;
    double m = rt_from_bits((bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent += 1;
    }
    double f = (m - 1.0) / (m + 1.0);
    double square = f * f;
    double sum = 0.0;
    for (int32_t odd = 23; odd >= 3; odd -= 2) {
        sum = (sum + 1.0 / (double)odd) * square;
    }
    double k = (double)exponent;
    return k * 6.93147180369123816490e-01 +
           (k * 1.90821492927058770002e-10 + (2.0 * f + 2.0 * f * sum));
}

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
