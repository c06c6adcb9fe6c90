/* Words of 8 bytes, the last one filled up with the length. Names and numbers of rounds
 * are those of Aumasson and Bernstein (2012). Unit: one text. */
#include "base/siphash.h"

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

/* Little-endian, whatever the machine is; up to 8 bytes. */
static uint64_t load(const uint8_t *at, size_t bytes)
{
    uint64_t word = 0;
    for (size_t i = 0; i < bytes; i++) {
        word |= (uint64_t)at[i] << (8 * i);
    }
    return word;
}

/* SipRound: additions, rotations and exclusive ors, which take the same time for any
 * data. */
static void rounds(uint64_t v[4], int count)
{
    for (int i = 0; i < count; i++) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

/* The c = 2 rounds of SipHash-2-4 for each word. */
static void absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    rounds(v, 2);
    v[0] ^= word;
}

uint64_t rt_siphash(const uint8_t key[RT_SIPHASH_KEY_BYTES], const void *data,
                    size_t bytes)
{
    const uint8_t *at = data;
    const uint64_t k0 = load(key, 8);
    const uint64_t k1 = load(key + 8, 8);
    /* "somepseudorandomlygeneratedbytes": any constants do by which v0 and v1 differ
     * from v2 and v3. */
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575U, k1 ^ 0x646f72616e646f6dU,
                     k0 ^ 0x6c7967656e657261U, k1 ^ 0x7465646279746573U};
    const size_t rest = bytes % 8;
    for (size_t i = 0; i < bytes - rest; i += 8) {
        absorb(v, load(at + i, 8));
    }
    /* The length modulo 256 on top: texts that differ by zeros at the end differ
     * here. */
    absorb(v, (uint64_t)bytes << 56 | load(at + (bytes - rest), rest));
    /* A word that texts do not enter directly, so this marks the end; then d = 4
     * rounds. */
    v[2] ^= 0xff;
    rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void rt_siphash_all(const uint8_t key[RT_SIPHASH_KEY_BYTES], const uint8_t *data,
                    const int64_t *bounds, int64_t count, uint64_t *out)
{
    for (int64_t i = 0; i < count; i++) {
        out[i] = rt_siphash(key, data + bounds[i], (size_t)(bounds[i + 1] - bounds[i]));
    }
}
