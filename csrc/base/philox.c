#include "base/philox.h"

enum { ROUNDS = 10 };

/* Multipliers and Weyl increments of the paper, table 2 and section 3. */
static const uint32_t multiplier_0 = 0xD2511F53u;
static const uint32_t multiplier_1 = 0xCD9E8D57u;
static const uint32_t weyl_0 = 0x9E3779B9u;
static const uint32_t weyl_1 = 0xBB67AE85u;

rt_philox_block rt_philox(rt_philox_block counter, uint32_t key0, uint32_t key1)
{
    uint32_t *c = counter.word;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t product_0 = (uint64_t)multiplier_0 * c[0];
        uint64_t product_1 = (uint64_t)multiplier_1 * c[2];
        uint32_t next_0 = (uint32_t)(product_1 >> 32) ^ c[1] ^ key0;
        uint32_t next_2 = (uint32_t)(product_0 >> 32) ^ c[3] ^ key1;
        c[1] = (uint32_t)product_1;
        c[3] = (uint32_t)product_0;
        c[0] = next_0;
        c[2] = next_2;
        key0 += weyl_0;
        key1 += weyl_1;
    }
    return counter;
}

static rt_philox_block stream_block(uint64_t seed, uint64_t stream, uint64_t block)
{
    rt_philox_block counter = {{(uint32_t)block, (uint32_t)(block >> 32),
                                (uint32_t)stream, (uint32_t)(stream >> 32)}};
    return rt_philox(counter, (uint32_t)seed, (uint32_t)(seed >> 32));
}

void rt_philox_fill(uint64_t seed, uint64_t stream, uint64_t first, int64_t count,
                    uint32_t *out)
{
    rt_philox_block current = {{0, 0, 0, 0}};
    for (int64_t i = 0; i < count; i++) {
        uint64_t word = first + (uint64_t)i;
        if (i == 0 || word % 4 == 0) {
            current = stream_block(seed, stream, word / 4);
        }
        out[i] = current.word[word % 4];
    }
}
