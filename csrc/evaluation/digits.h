/* Exact sums of doubles as digits that merge by addition.
 *
 * A sum is kept in digits of 32 bits, each in an int64_t, the first a multiple of
 * 2^-128: a double falls on three of them, and fewer than 2^31 of them carry out of
 * none. So partial sums add up digit by digit, in any order and tree, to the same one
 * (after Neal, "Fast exact summation using small and large superaccumulators", 2015).
 */
#ifndef RT_EVALUATION_DIGITS_H
#define RT_EVALUATION_DIGITS_H

#include <assert.h>
#include <stdint.h>

#include "base/math.h"
#include "evaluation/wide.h"

enum {
    RT_DIGIT_BITS = 32,
    RT_DIGITS_BELOW_ONE = 4, /* they end at 2^-128 */
    RT_DIGITS = 10,          /* room for 2^160 and a sign */
    RT_DIGITS_POINT = RT_DIGIT_BITS * RT_DIGITS_BELOW_ONE /* the 128 of 2^-128 */
};

/* Adds x, finite and at most 2^160, rounded to a multiple of 2^-128. */
static inline void rt_digits_add(int64_t *digits, double x)
{
    const uint64_t bits = rt_to_bits(x);
    const int exponent = (int)(bits >> 52 & 0x7ff);
    int place = exponent - 1075 + RT_DIGITS_POINT; /* of the mantissa's last bit */
    int64_t mantissa = (int64_t)((bits & 0xfffffffffffffULL) | 0x10000000000000ULL);
    if (place < 0) {
        if (place < -53) {
            return; /* below half of the last place, zero and subnormal numbers too */
        }
        mantissa = (mantissa + ((int64_t)1 << (-place - 1))) >> -place;
        place = 0;
    }
    mantissa = bits >> 63 != 0 ? -mantissa : mantissa;
    assert(place / RT_DIGIT_BITS + 2 < RT_DIGITS);
    const rt_int128 moved = (rt_int128)mantissa * ((int64_t)1 << place % RT_DIGIT_BITS);
    int64_t *at = digits + place / RT_DIGIT_BITS;
    at[0] += (int64_t)(moved & 0xffffffff);
    at[1] += (int64_t)(moved >> 32 & 0xffffffff);
    at[2] += (int64_t)(moved >> 64);
}

/* Carries, so that all digits but the last lie in [0, 2^32). */
static inline void rt_digits_settle(int64_t *digits)
{
    for (int i = 0; i < RT_DIGITS - 1; i++) {
        const int64_t low = digits[i] & 0xffffffff;
        digits[i + 1] += (digits[i] - low) / ((int64_t)1 << RT_DIGIT_BITS);
        digits[i] = low;
    }
}

#endif
