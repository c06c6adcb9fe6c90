/* SHA-256 (FIPS 180-4): the model file's trailer and its reproducibility hash. */
#ifndef RT_BASE_SHA256_H
#define RT_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { RT_SHA256_BYTES = 32 };

/* Bytes that come in pieces: init, add ..., end. */
typedef struct rt_sha256_state {
    uint32_t words[8];
    uint64_t bytes;
    uint8_t rest[64]; /* bytes % 64 of them are waiting */
} rt_sha256_state;

void rt_sha256_init(rt_sha256_state *state);
void rt_sha256_add(rt_sha256_state *state, const void *data, size_t bytes);
void rt_sha256_end(const rt_sha256_state *state, uint8_t digest[RT_SHA256_BYTES]);

void rt_sha256(const void *data, size_t bytes, uint8_t digest[RT_SHA256_BYTES]);

#endif
