#include <float.h>
#include <math.h>
#include <string.h>

#include "base/edges_below.h"
#include "base/isa.h"
#include "base/math.h"
#include "base/radix_sort.h"
#include "base/rng.h"
#include "base/sha256.h"
#include "gbdt/bins_cut.h"
#include "tests/test.h"

static bool near(double ours, double theirs, double ulps)
{
    return fabs(ours - theirs) <= ulps * DBL_EPSILON * fabs(theirs);
}

static void exp_and_log_agree_with_libm(void)
{
    for (double x = -700.0; x < 700.0; x += 0.37) {
        CHECK(near(rt_exp(x), exp(x), 3.0));
        CHECK(near(rt_log(exp(x)), x, 3.0) || fabs(x) < 1.0);
    }
    CHECK(rt_to_bits(rt_exp(0.0)) == rt_to_bits(1.0));
    CHECK(fabs(rt_log(1.0)) <= 0.0);
    CHECK(near(rt_log(0.75), log(0.75), 3.0));
    CHECK(rt_exp(1e300) <= DBL_MAX);
    CHECK(rt_exp(-1e300) > 0.0);
    CHECK(isnan(rt_exp((double)NAN)));
}

static void the_logistic_function_is_symmetric_and_bounded(void)
{
    for (double x = 0.0; x < 60.0; x += 0.21) {
        CHECK(near(rt_sigmoid(x), 1.0 / (1.0 + exp(-x)), 4.0));
        CHECK(fabs(rt_sigmoid(-x) + rt_sigmoid(x) - 1.0) < 4.0 * DBL_EPSILON);
    }
    CHECK(rt_sigmoid(1e9) <= 1.0);
    CHECK(rt_sigmoid(-1e9) >= 0.0);
}

static void rounding_and_powers_are_exact(void)
{
    CHECK(rt_round_i64(2.5) == 3);
    CHECK(rt_round_i64(-2.5) == -3);
    CHECK(rt_round_i64(4503599627370497.0) == 4503599627370497);
    CHECK(rt_round_i64(0x1p60) == (int64_t)1 << 60);
    CHECK(rt_ceil_log2(1.0) == 0);
    CHECK(rt_ceil_log2(1.0000001) == 1);
    CHECK(rt_ceil_log2(0.25) == -2);
    CHECK(rt_to_bits(rt_pow2(-40)) == rt_to_bits(0x1p-40));
}

static bool digest_is(const char *text, size_t bytes, const uint8_t first[4])
{
    uint8_t digest[RT_SHA256_BYTES];
    rt_sha256(text, bytes, digest);
    return memcmp(digest, first, 4) == 0;
}

/* FIPS 180-4 examples, and the lengths around a block's end. */
static void sha256_gives_the_published_digests(void)
{
    static const char letters[] =
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    char zeros[120] = {0};
    CHECK(digest_is("abc", 3, (const uint8_t[]){0xba, 0x78, 0x16, 0xbf}));
    CHECK(digest_is("", 0, (const uint8_t[]){0xe3, 0xb0, 0xc4, 0x42}));
    CHECK(digest_is(letters, 56, (const uint8_t[]){0x24, 0x8d, 0x6a, 0x61}));
    CHECK(digest_is(zeros, 55, (const uint8_t[]){0x02, 0x77, 0x94, 0x66}));
    CHECK(digest_is(zeros, 64, (const uint8_t[]){0xf5, 0xa5, 0xfd, 0x42}));
}

/* Every length around two blocks, in two pieces: by plain C and as the processor can.
 */
static void sha256_is_the_same_at_every_level(void)
{
    enum { LENGTH_MAX = 200 };
    uint8_t data[LENGTH_MAX];
    for (int32_t i = 0; i < LENGTH_MAX; i++) {
        data[i] = (uint8_t)(i * 37 + 11);
    }
    for (size_t length = 0; length < LENGTH_MAX; length++) {
        uint8_t digest[2][RT_SHA256_BYTES];
        for (int32_t level = 0; level < 2; level++) {
            rt_sha256_state state;
            CHECK(rt_isa_force(level == 0 ? RT_ISA_BASELINE : rt_isa_best()));
            rt_sha256_init(&state);
            rt_sha256_add(&state, data, length / 3);
            rt_sha256_add(&state, data + length / 3, length - length / 3);
            rt_sha256_end(&state, digest[level]);
        }
        CHECK(memcmp(digest[0], digest[1], RT_SHA256_BYTES) == 0);
    }
}

/* Sizes on both sides of every threshold of the sort; keys that share their head, that
 * leave no bits below it, and all equal ones. */
static void sorting_keys_sorts_numbers(void)
{
    enum { MOST = 5000 };
    static uint64_t keys[MOST];
    static uint64_t spare[MOST];
    const int64_t counts[] = {0, 1, 16, 17, 500, MOST};
    const int32_t shifts[] = {0, 11, 44, 60, 63};
    for (int32_t c = 0; c < 6; c++) {
        for (int32_t k = 0; k < 5; k++) {
            uint64_t sum = 0;
            for (int64_t i = 0; i < counts[c]; i++) {
                keys[i] = rt_mix64((uint64_t)i) >> (i % 3 == 0 ? shifts[k] : 0);
                sum += rt_mix64(keys[i]);
            }
            rt_sort_keys(keys, spare, counts[c]);
            for (int64_t i = 0; i < counts[c]; i++) {
                CHECK(i == 0 || keys[i - 1] <= keys[i]);
                sum -= rt_mix64(keys[i]);
            }
            CHECK(sum == 0);
        }
    }
}

/* Few edges are compared in turn and many searched: both, by every instruction set. */
static void edges_are_counted_alike_at_every_level(void)
{
    enum { ROWS = 300, MOST = 1000 };
    static double edges[MOST];
    static double x[ROWS];
    const int32_t counts[] = {0, 1, 2, 32, 33, MOST};
    for (int32_t i = 0; i < MOST; i++) {
        edges[i] = (double)i;
    }
    for (int32_t i = 0; i < ROWS; i++) {
        x[i] = (double)(i * 7919 % 2200) / 2.0 - 10.0;
    }
    x[1] = NAN;
    x[2] = INFINITY;
    x[3] = -INFINITY;
    for (int32_t c = 0; c < 6; c++) {
        for (int32_t level = RT_ISA_BASELINE; level <= (int32_t)rt_isa_best();
             level++) {
            int32_t below[ROWS];
            CHECK(rt_isa_force((rt_isa)level));
            rt_edges_below(x, ROWS, edges, counts[c], below);
            for (int32_t i = 0; i < ROWS; i++) {
                int32_t want = 0;
                while (want < counts[c] && edges[want] < x[i]) {
                    want++;
                }
                CHECK(below[i] == want);
            }
        }
    }
    CHECK(rt_isa_force(rt_isa_best()));
}

static void check_threshold(double low, double high, bool narrow)
{
    double t = rt_threshold_between(low, high);
    CHECK(low <= t && t < high);
    CHECK(!narrow || (double)(float)t == t);
}

static void thresholds_separate_neighbours_and_fit_float32(void)
{
    const float x = 1.25f;
    check_threshold(0.0, 1.0, true);
    check_threshold((double)x, (double)nextafterf(x, 2.0f), true);
    check_threshold(1e30, 2e30, true);
    check_threshold(-INFINITY, 3.0, true);
    check_threshold(3.0, INFINITY, true);
    check_threshold(-(double)FLT_MAX, (double)FLT_MAX, true);
    check_threshold(0.1, 0.2, true); /* neither is a float32 itself */
    check_threshold(1700000000.0, 1700000001.0, false); /* epoch seconds */
    check_threshold(1.0, nextafter(1.0, 2.0), false);
    check_threshold(-INFINITY, -DBL_MAX, false);
    check_threshold(DBL_MAX, INFINITY, false);
    check_threshold(0.0, 0x1p-1074, false);
}

static void frequent_values_get_bins_of_their_own(void)
{
    uint64_t keys[100];
    uint64_t counts[100];
    double upper[8];
    rt_cut cut = {.upper = upper};
    int64_t rows = 0;
    for (int32_t i = 0; i < 100; i++) {
        keys[i] = rt_key_of_double((double)i);
        counts[i] = i == 50 ? 1000 : 10;
        rows += (int64_t)counts[i];
    }
    rt_cut_numbers(&cut, keys, counts, 100, rows, 8);
    CHECK(cut.n_bins <= 8 && cut.n_bins >= 6);
    int32_t bin = rt_bin_of_number(&cut, 50.0);
    CHECK(bin != rt_bin_of_number(&cut, 49.0));
    CHECK(bin != rt_bin_of_number(&cut, 51.0));
    CHECK(rt_bin_of_number(&cut, NAN) == cut.n_bins);
    CHECK(rt_bin_of_number(&cut, INFINITY) == cut.n_bins - 1);
    CHECK(rt_bin_of_number(&cut, -INFINITY) == 0);
}

static const rt_test tests[] = {
    {"exp and log agree with libm", exp_and_log_agree_with_libm},
    {"the logistic function is symmetric and bounded",
     the_logistic_function_is_symmetric_and_bounded},
    {"rounding and powers are exact", rounding_and_powers_are_exact},
    {"sha256 gives the published digests", sha256_gives_the_published_digests},
    {"sha256 is the same at every level", sha256_is_the_same_at_every_level},
    {"sorting keys sorts numbers", sorting_keys_sorts_numbers},
    {"edges are counted alike at every level", edges_are_counted_alike_at_every_level},
    {"thresholds separate neighbours and fit float32",
     thresholds_separate_neighbours_and_fit_float32},
    {"frequent values get bins of their own", frequent_values_get_bins_of_their_own},
};

RT_TEST_MAIN(tests)
