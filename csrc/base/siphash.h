/* SipHash-2-4 (Aumasson, Bernstein 2012): a keyed 64-bit hash that nobody can steer
 * without the key. */
#ifndef RT_BASE_SIPHASH_H
#define RT_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

enum { RT_SIPHASH_KEY_BYTES = 16 };

uint64_t rt_siphash(const uint8_t key[RT_SIPHASH_KEY_BYTES], const void *data,
                    size_t bytes);

/* Hashes of `count` texts that lie one after the other: text i has the bytes from
 * bounds[i] up to bounds[i + 1]. */
void rt_siphash_all(const uint8_t key[RT_SIPHASH_KEY_BYTES], const uint8_t *data,
                    const int64_t *bounds, int64_t count, uint64_t *out);

#endif
