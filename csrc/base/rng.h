/* Random numbers without a generator: a pure function of (seed, what for, tree,
 * index). No state means that no thread can draw another's number, so sampling
 * and rounding noise are equal for any team. The mixing function is the
 * finaliser of SplitMix64 (Steele, Lea, Flood 2014). */
#ifndef RT_BASE_RNG_H
#define RT_BASE_RNG_H

#include <stdint.h>

typedef enum rt_draw {
    RT_DRAW_ROWS = 1,
    RT_DRAW_COLUMNS = 2,
    RT_DRAW_NOISE = 3
} rt_draw;

static inline uint64_t rt_mix64(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* The key of one stream of draws. */
static inline uint64_t rt_draw_key(uint64_t seed, rt_draw what, uint64_t tree)
{
    uint64_t stream = rt_mix64(((uint64_t)what << 56) ^ (tree + 1));
    return rt_mix64(seed + 0x9e3779b97f4a7c15u) ^ stream;
}

/* 64 random bits for `index`. */
static inline uint64_t rt_draw64(uint64_t key, uint64_t index)
{
    return rt_mix64(key + (index + 1) * 0x9e3779b97f4a7c15u);
}

#endif
