/* exp, log and the logistic function from additions and multiplications only.
 *
 * libm's versions differ between builds and machines in the last bit, and one
 * bit is enough to grow another tree. These use IEEE +, -, *, / in a fixed
 * order (the build forbids contraction to FMA), so every x86 level and every
 * compiler gives the same bits. */
#ifndef RT_BASE_MATH_H
#define RT_BASE_MATH_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline double rt_from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint64_t rt_to_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* 2^exponent for -1022 <= exponent <= 1023. */
static inline double rt_pow2(int32_t exponent)
{
    return rt_from_bits((uint64_t)(exponent + 1023) << 52);
}

/* Rounds half away from zero; |x| must stay below 2^63. Exact for every x that
 * is an integer already, whatever its size. */
static inline int64_t rt_round_i64(double x)
{
    if (x >= 4503599627370496.0 || x <= -4503599627370496.0) {
        return (int64_t)x; /* from 2^52 on a double has no fraction */
    }
    return (int64_t)(x < 0.0 ? x - 0.5 : x + 0.5);
}

/* x = k ln2 + r with |r| <= ln2 / 2, exp(x) = 2^k exp(r); exp(r) by its Taylor
 * polynomial of degree 13, whose remainder is below 2^-57. Arguments are held
 * within +-708, so the result is always finite and normal; NaN stays NaN. */
static inline double rt_exp(double x)
{
    static const double c[] = {
        1.0 / 6227020800.0,
        1.0 / 479001600.0,
        1.0 / 39916800.0,
        1.0 / 3628800.0,
        1.0 / 362880.0,
        1.0 / 40320.0,
        1.0 / 5040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    };
    const double to_integer = 6755399441055744.0; /* 1.5 * 2^52 */
    x = x < -708.0 ? -708.0 : x;
    x = x > 708.0 ? 708.0 : x;
    const double rounded = x * 1.4426950408889634074 + to_integer;
    double k = rounded - to_integer;
    double r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
    double sum = c[0];
    for (int32_t i = 1; i < 14; i++) {
        sum = sum * r + c[i];
    }
    /* The low bits of `rounded` are k: no cast, which NaN would not survive. */
    return sum * rt_from_bits((rt_to_bits(rounded) + 1023) << 52);
}

/* The logistic function, 1 / (1 + exp(-x)), without cancellation on either side. */
static inline double rt_sigmoid(double x)
{
    double z = rt_exp(x < 0.0 ? x : -x);
    return (x < 0.0 ? z : 1.0) / (1.0 + z);
}

/* Natural logarithm of a positive normal number: x = 2^e m with m in
 * [sqrt(1/2), sqrt(2)), log m = 2 atanh(f), f = (m-1)/(m+1), |f| <= 0.1716, so that the
 * series reaches full precision at f^21. */
static inline double rt_log(double x)
{
    uint64_t bits = rt_to_bits(x);
    int32_t exponent = (int32_t)(bits >> 52) - 1023;
    double m = rt_from_bits((bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
    const bool large = m > 1.4142135623730951;
    m = large ? m * 0.5 : m;
    exponent += large ? 1 : 0;
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

/* The smallest e with x <= 2^e, for a positive normal number. */
int32_t rt_ceil_log2(double x);

/* A foreign library may have set flush-to-zero in this thread. Work that runs
 * on the caller's thread brackets itself with these two. */
uint32_t rt_fp_enter(void);
void rt_fp_leave(uint32_t saved);

#endif
