#include <string.h>

#include "base/alloc.h"
#include "evaluation/accumulator.h"
#include "tests/test.h"

static const uint64_t edges[] = {1, 2};

static rt_accum runs_of(const int64_t *counts, int64_t n_runs)
{
    return (rt_accum){
        .kind = RT_ACCUM_RUNS, .n_axes = 2, .axis = {n_runs, 3}, .counts = counts};
}

static void bytes_come_back(void)
{
    const int64_t counts[] = {1, 2, 3, 4, 5, INT64_MAX};
    uint8_t bytes[256];
    uint8_t again[256];
    void *block = NULL;
    rt_accum read;
    rt_accum a = {.kind = RT_ACCUM_DRIFT,
                  .n_axes = 2,
                  .axis = {2, 3},
                  .n_basis = 2,
                  .basis = edges,
                  .counts = counts};
    TRY(rt_accum_check(&a, NULL));
    CHECK(rt_accum_bytes(&a) == 16 + 8 * (2 + 2 + 6));
    rt_accum_write(&a, bytes);
    TRY(rt_accum_read(bytes, rt_accum_bytes(&a), &read, &block, NULL));
    CHECK(memcmp(read.counts, counts, sizeof counts) == 0);
    CHECK(memcmp(read.basis, edges, sizeof edges) == 0);
    rt_accum_write(&read, again);
    CHECK(memcmp(bytes, again, (size_t)rt_accum_bytes(&a)) == 0);
done:
    rt_free(block);
}

static void runs_merge_by_key(void)
{
    const int64_t x[] = {-5, 1, 0, 7, 2, 2};
    const int64_t z[] = {-9, 0, 1, -5, 3, 4, 8, 1, 1};
    const int64_t want[] = {-9, 0, 1, -5, 4, 4, 7, 2, 2, 8, 1, 1};
    void *block = NULL;
    rt_accum a = runs_of(x, 2);
    rt_accum b = runs_of(z, 3);
    rt_accum merged;
    TRY(rt_accum_check(&a, NULL));
    TRY(rt_accum_check(&b, NULL));
    TRY(rt_accum_merge(&a, &b, &merged, &block, NULL));
    CHECK(merged.axis[0] == 4 && merged.n_counts == 12);
    CHECK(memcmp(merged.counts, want, sizeof want) == 0);
done:
    rt_free(block);
}

static void sums_that_do_not_fit_are_refused(void)
{
    const int64_t counts[] = {1, INT64_MAX};
    void *block = NULL;
    rt_accum merged;
    rt_accum a = {
        .kind = RT_ACCUM_DRIFT, .n_axes = 2, .axis = {1, 2}, .counts = counts};
    TRY(rt_accum_check(&a, NULL));
    rt_status status = rt_accum_merge(&a, &a, &merged, &block, NULL);
    CHECK(status == RT_LIMIT || (rt_test_faulting && status == RT_NO_MEMORY));
done:
    rt_free(block);
}

/* Whatever one byte becomes: refused, or a well-formed accumulator again. */
static void any_damaged_byte_is_refused_or_harmless(void)
{
    const int64_t counts[] = {-5, 1, 0, 7, 2, 2};
    uint8_t bytes[128];
    rt_accum a = runs_of(counts, 2);
    TRY(rt_accum_check(&a, NULL));
    rt_accum_write(&a, bytes);
    int64_t size = rt_accum_bytes(&a);
    for (int64_t i = 0; i < size * 256; i++) {
        uint8_t before = bytes[i / 256];
        void *block = NULL;
        rt_accum read;
        bytes[i / 256] = (uint8_t)(i % 256);
        rt_status status = rt_accum_read(bytes, size, &read, &block, NULL);
        CHECK(status == RT_OK || status == RT_CORRUPT ||
              (rt_test_faulting && status == RT_NO_MEMORY));
        rt_free(block);
        bytes[i / 256] = before;
        if (rt_test_faulting && i > 3 * 256) {
            break; /* the failing allocation has been met */
        }
    }
    for (int64_t n = 0; n < size; n++) {
        void *block = NULL;
        rt_accum read;
        CHECK(rt_accum_read(bytes, n, &read, &block, NULL) == RT_CORRUPT);
        rt_free(block);
    }
done:;
}

static const rt_test tests[] = {
    {"bytes come back", bytes_come_back},
    {"runs merge by key", runs_merge_by_key},
    {"sums that do not fit are refused", sums_that_do_not_fit_are_refused},
    {"any damaged byte is refused or harmless",
     any_damaged_byte_is_refused_or_harmless},
};

RT_TEST_MAIN(tests)
