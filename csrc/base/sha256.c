#include "base/sha256.h"

#include <string.h>

#include "base/sha256_ni.h"

enum { BLOCK = 64 };

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
    0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
    0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
    0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
    0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
    0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
    0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2,
};

static uint32_t rotate(uint32_t x, uint32_t by)
{
    return (x >> by) | (x << (32 - by));
}

static void expand(const uint8_t *block, uint32_t w[64])
{
    for (int32_t i = 0; i < 16; i++) {
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | (uint32_t)block[4 * i + 3];
    }
    for (int32_t i = 16; i < 64; i++) {
        uint32_t a = w[i - 15];
        uint32_t b = w[i - 2];
        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ (a >> 3)) + w[i - 7] +
               (rotate(b, 17) ^ rotate(b, 19) ^ (b >> 10));
    }
}

static void absorb(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[64];
    uint32_t v[8];
    expand(block, w);
    memcpy(v, state, sizeof v);
    for (int32_t i = 0; i < 64; i++) {
        uint32_t e = v[4];
        uint32_t a = v[0];
        uint32_t t1 = v[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                      ((e & v[5]) ^ (~e & v[6])) + round_constants[i] + w[i];
        uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
                      ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int32_t i = 0; i < 8; i++) {
        state[i] += v[i];
    }
}

static void absorb_all(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    if (rt_sha256_ni_usable()) {
        rt_sha256_ni_absorb(state, blocks, count, round_constants);
        return;
    }
    for (; count > 0; count--, blocks += BLOCK) {
        absorb(state, blocks);
    }
}

void rt_sha256_init(rt_sha256_state *state)
{
    *state =
        (rt_sha256_state){.words = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void rt_sha256_add(rt_sha256_state *state, const void *data, size_t bytes)
{
    const uint8_t *next = data;
    size_t waiting = (size_t)(state->bytes % BLOCK);
    state->bytes += bytes;
    if (waiting > 0) {
        size_t part = bytes < BLOCK - waiting ? bytes : BLOCK - waiting;
        memcpy(state->rest + waiting, next, part);
        if (waiting + part < BLOCK) {
            return;
        }
        absorb_all(state->words, state->rest, 1);
        next += part;
        bytes -= part;
    }
    absorb_all(state->words, next, bytes / BLOCK);
    if (bytes % BLOCK > 0) {
        memcpy(state->rest, next + bytes / BLOCK * BLOCK, bytes % BLOCK);
    }
}

void rt_sha256_end(const rt_sha256_state *state, uint8_t digest[RT_SHA256_BYTES])
{
    uint32_t words[8];
    memcpy(words, state->words, sizeof words);
    /* The tail: the rest, a one bit, zeros, the length in bits. */
    uint8_t tail[2 * BLOCK] = {0};
    size_t left = (size_t)(state->bytes % BLOCK);
    size_t tail_bytes = left + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
    memcpy(tail, state->rest, left);
    tail[left] = 0x80;
    uint64_t bits = state->bytes * 8;
    for (size_t i = 0; i < 8; i++) {
        tail[tail_bytes - 1 - i] = (uint8_t)(bits >> (8 * i));
    }
    absorb_all(words, tail, tail_bytes / BLOCK);
    for (size_t i = 0; i < RT_SHA256_BYTES; i++) {
        digest[i] = (uint8_t)(words[i / 4] >> (24 - 8 * (i % 4)));
    }
}

void rt_sha256(const void *data, size_t bytes, uint8_t digest[RT_SHA256_BYTES])
{
    rt_sha256_state state;
    rt_sha256_init(&state);
    rt_sha256_add(&state, data, bytes);
    rt_sha256_end(&state, digest);
}
