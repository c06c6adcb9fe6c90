#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "gbdt/simd/dispatch.h"
#include "tests/test.h"

/* The build for processors that convert between doubles and whole numbers by vectors,
 * made for this one: its conversions are the language's. */
#define RT_HOT by_instructions
#define RT_HOT_NAME "by instructions"
#define RT_HOT_CONVERTS
#include "gbdt/simd/loops.h"

enum { ROWS = 500, COLUMNS = 21, NARROW = 40, BINS = 30, ROW_BYTES = 24, SCANS = 3000 };

static const rt_hot *const hots[] = {&rt_hot_baseline, &by_instructions};

static double uniform(uint64_t number)
{
    return (double)(rt_mix64(number) >> 11) * 0x1p-53;
}

/* Errors up to the bound of 4, ties, and weights from nothing to all there is. */
static void draw_rows(double *p, double *target, double *weight, uint64_t seed)
{
    for (int32_t i = 0; i < RT_HOT_BATCH; i++) {
        const uint64_t number = seed * RT_HOT_BATCH + (uint64_t)i;
        p[i] = i % 7 == 0 ? 9.0 * (uniform(number) - 0.5) : uniform(number);
        p[i] = i % 5 == 0 ? (double)(number % 4096) * 0x1p-37 : p[i];
        target[i] = i % 2 == 0 ? 0.0 : 1.0;
        weight[i] = i % 3 == 0 ? 1.0 : ldexp(uniform(number + 9), (int)(number % 24));
    }
}

static void conversions_are_equal(void)
{
    double p[RT_HOT_BATCH], target[RT_HOT_BATCH], weight[RT_HOT_BATCH];
    rt_gradient exact[2][RT_HOT_BATCH];
    int64_t packed[2][RT_HOT_BATCH];
    for (uint64_t seed = 1; seed <= 200; seed++) {
        rt_hot_derive job[2];
        draw_rows(p, target, weight, seed);
        for (int32_t k = 0; k < 2; k++) {
            job[k] = (rt_hot_derive){.count = RT_HOT_BATCH,
                                     .p = p,
                                     .target = target,
                                     .weight = seed % 2 == 0 ? weight : NULL,
                                     .weight_scale = seed % 3 == 0 ? 0.37 : 1.0,
                                     .g_steps = 0x1p36,
                                     .h_steps = 0x1p32,
                                     .square = seed % 4 == 0,
                                     .h_factor = 1.0};
            hots[k]->derive(&job[k], exact[k]);
            hots[k]->pack(exact[k], RT_HOT_BATCH, (int64_t)seed, seed, 0x1p-25, 0x1p-22,
                          packed[k]);
        }
        CHECK(job[0].most_g == job[1].most_g && job[0].most_h == job[1].most_h);
        CHECK(memcmp(exact[0], exact[1], sizeof exact[0]) == 0);
        CHECK(memcmp(packed[0], packed[1], sizeof packed[0]) == 0);
    }
}

/* Whole weights give what that many copies of the row sum to, and halves go to the even
 * number. */
static void weights_are_copies(void)
{
    for (int32_t i = 0; i < 1000; i++) {
        const double p = i % 2 == 0 ? uniform((uint64_t)i) : (2 * i + 1) * 0x1p-37;
        const double target = 0.0;
        const double weight = 1.0 + i % 9;
        rt_gradient once, often;
        rt_hot_derive job = {.count = 1,
                             .p = &p,
                             .target = &target,
                             .weight_scale = 1.0,
                             .g_steps = 0x1p36,
                             .h_steps = 0x1p32,
                             .h_factor = 1.0};
        rt_hot_baseline.derive(&job, &once);
        job.weight = &weight;
        rt_hot_baseline.derive(&job, &often);
        CHECK(once.g == (int64_t)rint(p * 0x1p36));
        CHECK(often.g == once.g * (int64_t)weight);
        CHECK(often.h == once.h * (uint64_t)weight);
    }
}

/* A feature's histogram whose sums are as large as they may become. */
static void draw_bins(int64_t *g, int64_t *h, uint32_t *rows, rt_hot_scan *job,
                      uint64_t seed)
{
    *job = (rt_hot_scan){.g = g, .h = h, .rows = rows, .bins = (int32_t)(seed % 255)};
    for (int32_t i = 0; i < job->bins; i++) {
        const uint64_t bits = rt_mix64(seed * 1000 + (uint64_t)i);
        const bool empty = seed % 2 == 0 && bits % 3 == 0;
        rows[i] = empty ? 0 : (uint32_t)(bits % 50);
        h[i] = rows[i] == 0 ? 0 : (int64_t)(bits >> 26);
        g[i] = rows[i] == 0 ? 0 : (int64_t)(rt_mix64(bits) >> 18) - ((int64_t)1 << 45);
        job->node_g += g[i];
        job->node_h += h[i];
        job->node_rows += rows[i];
    }
    job->first_g = seed % 5 == 0 ? 12345 : 0;
    job->first_h = job->first_rows = seed % 5 == 0 ? 10 : 0;
    job->node_g += job->first_g + 77;
    job->node_h += job->first_h + 77;
    job->node_rows += job->first_rows + 7;
    job->g_unit = 0x1p-36;
    job->h_unit = 0x1p-32;
    job->l2 = seed % 3 == 0 ? 0.0 : 1.0;
    job->min_child_weight = seed % 7 == 0 ? 60.0 : 1e-3;
    job->min_rows = (int64_t)(seed % 200);
}

/* Bin by bin, by the words of simd/dispatch.h. */
static int32_t plain_scan(const rt_hot_scan *job, double *best)
{
    int64_t g = job->first_g, h = job->first_h, rows = job->first_rows;
    int32_t found = -1;
    for (int32_t i = 0; i < job->bins; i++) {
        g += job->g[i];
        h += job->h[i];
        rows += job->rows[i];
        const double a = (double)g * job->g_unit;
        const double b = (double)h * job->h_unit;
        const double c = (double)(job->node_g - g) * job->g_unit;
        const double d = (double)(job->node_h - h) * job->h_unit;
        const bool allowed = rows >= job->min_rows &&
                             job->node_rows - rows >= job->min_rows && h > 0 &&
                             job->node_h - h > 0 && b >= job->min_child_weight &&
                             d >= job->min_child_weight;
        const double score = (a * a * (d + job->l2) + c * c * (b + job->l2)) /
                             ((b + job->l2) * (d + job->l2));
        if (allowed && (found < 0 || score > *best)) {
            found = i;
            *best = score;
        }
    }
    return found;
}

static void best_bin_is_found(void)
{
    int64_t g[256], h[256];
    uint32_t rows[256];
    rt_gradient wide[256];
    int32_t none = 0;
    for (uint64_t seed = 0; seed < SCANS; seed++) {
        rt_hot_scan job;
        double wanted = 0.0;
        draw_bins(g, h, rows, &job, seed);
        const int32_t bin = plain_scan(&job, &wanted);
        none += bin < 0 ? 1 : 0;
        for (int32_t i = 0; i < job.bins; i++) {
            wide[i] = (rt_gradient){g[i], ((uint64_t)h[i] << RT_COUNT_BITS) + rows[i]};
        }
        for (int32_t k = 0; k < 4; k++) {
            double best = 0.0;
            job.wide = k < 2 ? NULL : wide;
            CHECK(hots[k % 2]->scan(&job, &best) == bin);
            CHECK(memcmp(&best, &wanted, sizeof best) == 0);
        }
    }
    CHECK(none > 0 && none < SCANS / 2);
}

static uint8_t bytes[ROWS][ROW_BYTES];
static int32_t order[ROWS];
static rt_gradient wide_values[ROWS];
static int64_t packed_values[ROWS];

static void check_cells(const rt_hot *hot, const rt_hot_rows *rows)
{
    static rt_gradient wide[COLUMNS * RT_HOT_STRIDE],
        wide_wanted[COLUMNS * RT_HOT_STRIDE];
    static int64_t packed[COLUMNS * RT_HOT_STRIDE],
        packed_wanted[COLUMNS * RT_HOT_STRIDE];
    memset(wide, 0, sizeof wide);
    memset(packed, 0, sizeof packed);
    memset(wide_wanted, 0, sizeof wide);
    memset(packed_wanted, 0, sizeof packed);
    for (int64_t i = 0; i < rows->count; i++) {
        for (int32_t j = 0; j < rows->features; j++) {
            const int32_t column = rows->feature == NULL ? j : rows->feature[j];
            const int64_t at = j * rows->stride + bytes[order[i]][column];
            wide_wanted[at].g += wide_values[order[i]].g;
            wide_wanted[at].h += wide_values[order[i]].h;
            packed_wanted[at] += packed_values[order[i]];
        }
    }
    hot->add_wide(rows, wide_values, wide);
    hot->add_packed(rows, packed_values, packed);
    CHECK(memcmp(wide, wide_wanted, sizeof wide) == 0);
    CHECK(memcmp(packed, packed_wanted, sizeof packed) == 0);
}

/* Every number of columns, by both strides; and every second column alone. */
static void rows_are_added(void)
{
    static int32_t every_second[COLUMNS];
    for (int32_t i = 0; i < ROWS; i++) {
        order[i] = i;
        wide_values[i] = (rt_gradient){i - 200, (uint64_t)i};
        packed_values[i] = i * (int64_t)77;
        for (int32_t j = 0; j < ROW_BYTES; j++) {
            bytes[i][j] = (uint8_t)(rt_mix64((uint64_t)(i * ROW_BYTES + j)) % BINS);
        }
    }
    for (int32_t j = 0; j < COLUMNS; j++) {
        every_second[j] = 2 * j;
    }
    for (int32_t features = 1; features <= COLUMNS; features++) {
        rt_hot_rows rows = {.bytes = bytes[0],
                            .row_bytes = ROW_BYTES,
                            .order = order,
                            .count = features % 2 == 0 ? ROWS : 9,
                            .features = features,
                            .stride = RT_HOT_STRIDE};
        check_cells(&rt_hot_baseline, &rows);
        rows.stride = NARROW;
        check_cells(&rt_hot_baseline, &rows);
        if (2 * features <= COLUMNS) {
            rows.feature = every_second;
            check_cells(&rt_hot_baseline, &rows);
        }
    }
}

static const rt_test tests[] = {
    {"conversions by bits and by instructions are equal", conversions_are_equal},
    {"a whole weight is that many copies", weights_are_copies},
    {"the best bin is the first of the largest scores", best_bin_is_found},
    {"rows are added for any number of columns and stride", rows_are_added},
};

RT_TEST_MAIN(tests)
