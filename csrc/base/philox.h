/* Philox4x32-10: random numbers as a pure function of (key, counter).
 *
 * Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3",
 * SC'11. Nothing is carried from one draw to the next, so the k-th number of a
 * stream is the same for any thread count, chunking or order of asking. */
#ifndef RT_BASE_PHILOX_H
#define RT_BASE_PHILOX_H

#include <stdint.h>

typedef struct rt_philox_block {
    uint32_t word[4];
} rt_philox_block;

/* The bijection itself: ten rounds over `counter` under `key`. */
rt_philox_block rt_philox(rt_philox_block counter, uint32_t key0, uint32_t key1);

/* Words first .. first + count - 1 of stream `stream` under `seed`. Block b of
 * a stream is the counter (b, stream), low words first; word w lies in block
 * w / 4. */
void rt_philox_fill(uint64_t seed, uint64_t stream, uint64_t first, int64_t count,
                    uint32_t *out);

#endif
