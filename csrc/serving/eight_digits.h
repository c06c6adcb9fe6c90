/* Eight decimal digits at a time, as one word (after Lemire, "Number parsing at a
 * gigabyte per second", 2021). Unit: eight bytes. */
#ifndef RT_SERVING_EIGHT_DIGITS_H
#define RT_SERVING_EIGHT_DIGITS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { RT_EIGHT_DIGITS = 8, RT_EIGHT_DIGITS_POWER = 100000000 };

/* True when eight digits lie at `at`; *word is for rt_eight_digits_value. The first
 * digit is the lowest byte. */
static inline bool rt_are_eight_digits(const char *at, uint64_t *word)
{
    uint64_t bytes = 0;
    memcpy(&bytes, at, sizeof bytes);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    bytes = __builtin_bswap64(bytes);
#endif
    *word = bytes;
    /* The high half is 3, and adding 6 to the low one does not change that. */
    return ((bytes & 0xf0f0f0f0f0f0f0f0U) |
            ((bytes + 0x0606060606060606U) & 0xf0f0f0f0f0f0f0f0U) >> 4) ==
           0x3333333333333333U;
}

/* Pairs of digits, then pairs of pairs, then both halves. */
static inline uint64_t rt_eight_digits_value(uint64_t word)
{
    word -= 0x3030303030303030U;
    word = word * 10 + (word >> 8);
    const uint64_t low = (word & 0x000000ff000000ffU) * (100 + (1000000ULL << 32));
    const uint64_t high = (word >> 16 & 0x000000ff000000ffU) * (1 + (10000ULL << 32));
    return (low + high) >> 32;
}

#endif
