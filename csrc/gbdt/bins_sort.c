/* Least-significant-digit radix sort of 64-bit keys. Equal keys are identical,
 * so the result is unique; digits on which all keys agree cost one look (widened
 * float32 values have three such bytes). */
#include "gbdt/bins.h"

#include <string.h>

#include "base/math.h"

enum { DIGITS = 8, RADIX = 256 };

uint64_t rt_key_of(double x)
{
    uint64_t bits = rt_to_bits(x + 0.0); /* -0 + 0 = +0 */
    return bits >> 63 ? ~bits : bits | 0x8000000000000000u;
}

double rt_key_value(uint64_t key)
{
    return rt_from_bits(key >> 63 ? key & 0x7fffffffffffffffu : ~key);
}

static void insertion_sort(uint64_t *keys, int64_t count)
{
    for (int64_t i = 1; i < count; i++) {
        uint64_t key = keys[i];
        int64_t at = i;
        for (; at > 0 && keys[at - 1] > key; at--) {
            keys[at] = keys[at - 1];
        }
        keys[at] = key;
    }
}

static void count_digits(const uint64_t *keys, int64_t count,
                         int64_t counts[DIGITS][RADIX])
{
    memset(counts, 0, sizeof(int64_t) * DIGITS * RADIX);
    for (int64_t i = 0; i < count; i++) {
        for (int32_t digit = 0; digit < DIGITS; digit++) {
            counts[digit][(keys[i] >> (8 * digit)) & 255]++;
        }
    }
}

static void scatter(const uint64_t *from, uint64_t *to, int64_t count, int32_t digit,
                    int64_t *counts)
{
    int64_t next = 0;
    for (int32_t value = 0; value < RADIX; value++) {
        int64_t here = counts[value];
        counts[value] = next;
        next += here;
    }
    for (int64_t i = 0; i < count; i++) {
        to[counts[(from[i] >> (8 * digit)) & 255]++] = from[i];
    }
}

void rt_sort_keys(uint64_t *keys, uint64_t *spare, int64_t count)
{
    int64_t counts[DIGITS][RADIX];
    uint64_t *from = keys;
    uint64_t *to = spare;

    if (count < 64) {
        insertion_sort(keys, count);
        return;
    }
    count_digits(keys, count, counts);
    for (int32_t digit = 0; digit < DIGITS; digit++) {
        if (counts[digit][(keys[0] >> (8 * digit)) & 255] == count) {
            continue;
        }
        scatter(from, to, count, digit, counts[digit]);
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != keys) {
        memcpy(keys, from, (size_t)count * sizeof *keys);
    }
}
