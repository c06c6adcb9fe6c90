#include <math.h>

#include "base/rng.h"
#include "gbdt/bins_join.h"
#include "tests/test.h"

enum { ROWS = 3000, ONE_HOT = 40, COLUMNS = ONE_HOT + 6 };

static float x[ROWS][COLUMNS];

/* A number, 40 columns of which one is set, three of 14 independent values each, one
 * that is often missing, and a number. */
static void draw(bool exclusive)
{
    for (int32_t i = 0; i < ROWS; i++) {
        uint64_t bits = rt_mix64((uint64_t)i + 1);
        float *row = x[i];
        for (int32_t j = 0; j < COLUMNS; j++) {
            row[j] = 0.0f;
        }
        row[0] = (float)(bits >> 40);
        for (int32_t j = 0; j < ONE_HOT; j++) {
            bool set =
                exclusive ? (int32_t)(bits % ONE_HOT) == j : (bits >> j & 1) != 0;
            row[1 + j] = set ? 1.0f : 0.0f;
        }
        bits = rt_mix64(bits);
        for (int32_t j = 1 + ONE_HOT; j < 4 + ONE_HOT; j++, bits /= 14) {
            row[j] = (float)(bits % 14);
        }
        row[4 + ONE_HOT] = bits % 3 == 0 ? NAN : (float)(bits % 2);
        row[5 + ONE_HOT] = (float)(bits >> 30);
    }
}

static rt_status make_bins(rt_bins *bins)
{
    static const int32_t levels[COLUMNS] = {0};
    rt_matrix matrix = {.data = (const char *)x,
                        .rows = ROWS,
                        .columns = COLUMNS,
                        .row_bytes = sizeof x[0],
                        .column_bytes = sizeof x[0][0]};
    rt_team alone = {0, 1, NULL};
    rt_status status = rt_bins_init(bins, ROWS, COLUMNS, levels, 255, 1, NULL);
    if (status == RT_OK) {
        rt_bins_cut(bins, &matrix, alone, NULL);
        rt_bins_group(bins);
        rt_bins_fill(bins, &matrix, alone, NULL);
        rt_bins_join(bins);
        rt_bins_lay_rows(bins, alone);
    }
    return status;
}

/* Every bin is read back from the row and from the column. */
static void check_bins(const rt_bins *bins)
{
    int32_t wrong = 0;
    for (int64_t i = 0; i < ROWS; i++) {
        for (int32_t f = 0; f < COLUMNS; f++) {
            const rt_cut *cut = &bins->cuts[f];
            int32_t bin = rt_bin_of_number(cut, (double)x[i][f]);
            uint8_t byte = bins->bytes[i * bins->stride + cut->group];
            wrong += cut->bin_of_byte[byte] != bin ? 1 : 0;
            wrong += rt_bins_column(bins, cut)[i] != byte ? 1 : 0;
        }
    }
    CHECK(wrong == 0);
}

static void columns_that_exclude_each_other_share_a_byte(void)
{
    rt_bins bins = {0};
    draw(true);
    TRY(make_bins(&bins));
    check_bins(&bins);
    CHECK(bins.joint);
    CHECK(bins.cuts[1].group == bins.cuts[ONE_HOT].group);
    CHECK(bins.groups == 5); /* two numbers; 40; 14 x 14; 14 x 3 */
    CHECK(bins.stride == 8);
done:
    rt_bins_clear(&bins);
}

static void columns_of_many_combinations_keep_their_bytes(void)
{
    rt_bins bins = {0};
    draw(false);
    TRY(make_bins(&bins));
    check_bins(&bins);
    CHECK(bins.groups == 9); /* two numbers; 5 x 8; 14 x 14; 14 x 3 */
done:
    rt_bins_clear(&bins);
}

/* 600 levels take three parts, in the order of the levels; each level has its bin in
 * one of them and is missing to the others. Level 7 never occurs. */
static void levels_go_on_in_further_bytes(void)
{
    enum { LEVELS = 600 };
    static float level[ROWS];
    const int32_t levels = LEVELS;
    const rt_matrix matrix = {.data = (const char *)level,
                              .rows = ROWS,
                              .columns = 1,
                              .row_bytes = sizeof level[0],
                              .column_bytes = sizeof level[0]};
    const rt_team alone = {0, 1, NULL};
    rt_bins bins = {0};
    for (int32_t i = 0; i < ROWS; i++) {
        level[i] = (float)(i % LEVELS == 7 ? 8 : i % LEVELS);
    }
    TRY(rt_bins_init(&bins, ROWS, 1, &levels, 255, 1, NULL));
    rt_bins_cut(&bins, &matrix, alone, NULL);
    rt_bins_group(&bins);
    rt_bins_fill(&bins, &matrix, alone, NULL);
    rt_bins_lay_rows(&bins, alone);
    CHECK(bins.n_cuts == 3 && bins.groups == 3);
    CHECK(bins.cuts[0].n_bins == 255 && bins.cuts[2].n_bins == LEVELS - 1 - 2 * 255);
    for (int32_t i = 0; i < ROWS; i++) {
        const int32_t at = (int32_t)level[i] - (level[i] > 7.0f ? 1 : 0);
        for (int32_t part = 0; part < 3; part++) {
            const rt_cut *cut = &bins.cuts[part];
            const uint8_t byte = bins.bytes[i * bins.stride + cut->group];
            const int32_t bin = at / 255 == part ? at % 255 : cut->n_bins;
            CHECK(cut->bin_of_byte[byte] == bin);
            CHECK(bin == cut->n_bins || cut->level_of_bin[bin] == (int32_t)level[i]);
        }
    }
done:
    rt_bins_clear(&bins);
}

static const rt_test tests[] = {
    {"levels go on in further bytes", levels_go_on_in_further_bytes},
    {"columns that exclude each other share a byte",
     columns_that_exclude_each_other_share_a_byte},
    {"columns of many combinations keep their bytes",
     columns_of_many_combinations_keep_their_bytes},
};

RT_TEST_MAIN(tests)
