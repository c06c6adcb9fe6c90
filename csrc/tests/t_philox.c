/* Known answers of the authors' Random123 kat_vectors, philox4x32 10. */
#include <string.h>

#include "base/philox.h"
#include "tests/test.h"

static bool block_is(rt_philox_block got, const uint32_t *want)
{
    return memcmp(got.word, want, sizeof got.word) == 0;
}

static void known_answers_hold(void)
{
    const rt_philox_block zeros = {{0, 0, 0, 0}};
    const rt_philox_block ones = {{UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}};
    const rt_philox_block pi = {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}};
    CHECK(block_is(rt_philox(zeros, 0, 0),
                   (const uint32_t[]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    CHECK(block_is(rt_philox(ones, UINT32_MAX, UINT32_MAX),
                   (const uint32_t[]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    CHECK(block_is(rt_philox(pi, 0xa4093822, 0x299f31d0),
                   (const uint32_t[]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

static void a_stream_is_the_same_from_any_start(void)
{
    uint32_t whole[23];
    uint32_t part[23];
    rt_philox_fill(7, 11, 0, 23, whole);
    for (uint64_t first = 0; first < 23; first++) {
        rt_philox_fill(7, 11, first, 23 - (int64_t)first, part);
        CHECK(memcmp(part, whole + first, (23 - first) * sizeof *part) == 0);
    }
}

static void seeds_and_streams_use_all_64_bits(void)
{
    uint32_t words[3][4];
    rt_philox_fill(UINT64_C(1) << 40, 0, 0, 4, words[0]);
    rt_philox_fill(0, UINT64_C(1) << 40, 0, 4, words[1]);
    rt_philox_fill(0, 0, 0, 4, words[2]);
    CHECK(memcmp(words[0], words[2], sizeof words[0]) != 0);
    CHECK(memcmp(words[1], words[2], sizeof words[0]) != 0);
    CHECK(memcmp(words[0], words[1], sizeof words[0]) != 0);
}

static const rt_test tests[] = {
    {"philox known answers hold", known_answers_hold},
    {"a stream is the same from any start", a_stream_is_the_same_from_any_start},
    {"seeds and streams use all 64 bits", seeds_and_streams_use_all_64_bits},
};

RT_TEST_MAIN(tests)
