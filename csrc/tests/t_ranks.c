#include <math.h>
#include <string.h>

#include "base/philox.h"
#include "base/radix_sort.h"
#include "base/rng.h"
#include "evaluation/delong.h"
#include "evaluation/distances.h"
#include "evaluation/ranks.h"
#include "tests/test.h"

enum { ROWS = 500, MANY = 40000 };

static void keys_order_like_numbers(void)
{
    const double ascending[] = {-INFINITY, -1e300, -1.0,      -1e-320, 0.0,
                                5e-324,    1.0,    1.0000001, 1e300,   INFINITY};
    for (int i = 0; i < 10; i++) {
        CHECK(rt_double_of_key(rt_key_of_double(ascending[i])) == ascending[i]);
        CHECK(i == 0 ||
              rt_key_of_double(ascending[i - 1]) < rt_key_of_double(ascending[i]));
    }
    CHECK(rt_key_of_double(-0.0) == rt_key_of_double(0.0));
}

static void sorting_orders_any_keys(void)
{
    uint64_t keys[ROWS];
    uint64_t scratch[ROWS];
    uint32_t words[2 * ROWS];
    uint64_t sum = 0;
    rt_philox_fill(5, 0, 0, 2 * ROWS, words);
    for (int i = 0; i < ROWS; i++) {
        keys[i] = ((uint64_t)words[2 * i] << 32 | words[2 * i + 1]) >> (i % 40);
        sum += keys[i];
    }
    TRY(rt_sort_u64(keys, scratch, ROWS, 1, NULL, NULL));
    for (int i = 0; i < ROWS; i++) {
        CHECK(i == 0 || keys[i - 1] <= keys[i]);
        sum -= keys[i];
    }
    CHECK(sum == 0);
    TRY(rt_sort_u64(keys, scratch, 0, 1, NULL, NULL));
done:;
}

static rt_status auc_of(const uint8_t *y, const double *score, int64_t n_rows,
                        rt_auc *auc, rt_error *err)
{
    rt_scored_rows rows = {y, score, n_rows, 0, 1};
    return rt_roc_auc(&rows, NULL, auc, err);
}

static void ties_count_one_half(void)
{
    const uint8_t y[] = {0, 1, 1, 0};
    const double score[] = {0.1, 0.2, 0.3, 0.2};
    rt_auc auc;
    TRY(auc_of(y, score, 4, &auc, NULL));
    CHECK(auc.u2.high == 0 && auc.u2.low == 7 && auc.n_pos == 2 && auc.n_neg == 2);
done:;
}

static void every_pair_is_counted(void)
{
    uint8_t y[ROWS];
    double score[ROWS];
    uint32_t words[ROWS];
    uint64_t u2 = 0;
    rt_auc auc;
    rt_philox_fill(9, 1, 0, ROWS, words);
    for (int i = 0; i < ROWS; i++) {
        y[i] = (uint8_t)(words[i] & 1);
        score[i] = (double)(words[i] >> 8) / ((words[i] >> 1 & 1) != 0 ? 64.0 : 1e6);
        score[i] = i % 3 == 0 ? floor(score[i] / 1e4) : -score[i];
    }
    for (int i = 0; i < ROWS * ROWS; i++) {
        int a = i / ROWS;
        int b = i % ROWS;
        if (y[a] == 1 && y[b] == 0) {
            u2 += score[a] > score[b] ? 2 : score[a] == score[b];
        }
    }
    TRY(auc_of(y, score, ROWS, &auc, NULL));
    CHECK(auc.u2.low == u2 && auc.u2.high == 0);
done:;
}

static void one_class_and_no_rows_give_zero_pairs(void)
{
    const uint8_t y[] = {1, 1};
    const double score[] = {0.5, INFINITY};
    rt_auc auc;
    TRY(auc_of(y, score, 2, &auc, NULL));
    CHECK(auc.u2.low == 0 && auc.n_pos == 2 && auc.n_neg == 0);
    TRY(auc_of(y, score, 0, &auc, NULL));
    CHECK(auc.n_pos == 0 && auc.n_neg == 0);
done:;
}

static void refuse(const uint8_t *y, const double *score, const char *message)
{
    rt_auc auc;
    rt_error err = {0};
    rt_status status = auc_of(y, score, 3, &auc, &err);
    if (status == RT_NO_MEMORY && rt_test_faulting) {
        return;
    }
    CHECK(status == RT_INVALID);
    CHECK(strcmp(err.message, message) == 0);
}

static void nan_and_other_labels_are_refused(void)
{
    uint8_t y[] = {0, 1, 1};
    double score[] = {0.5, NAN, 0.5};
    refuse(y, score, "score[1] is NaN, it has no rank");
    y[2] = 2; /* labels are looked at first */
    refuse(y, score, "y[2] is 2, it must be 0 or 1");
}

/* Enough items for the parallel split; half of them in one narrow band, so that
 * parts of very different size are sorted. */
static void large_sorts_are_sorted_for_any_team(void)
{
    void *block = NULL;
    void *scratch = NULL;
    TRY(rt_alloc(&block, MANY, sizeof(rt_ranked), "test", NULL));
    TRY(rt_alloc(&scratch, MANY, sizeof(rt_ranked), "test", NULL));
    rt_ranked *items = block;
    for (int team = 1; team <= 3; team++) {
        uint64_t sum = 0;
        for (uint64_t i = 0; i < MANY; i++) {
            uint64_t key = rt_philox((rt_philox_block){{(uint32_t)i}}, 1, 2).word[0];
            items[i] = (rt_ranked){i % 2 == 0 ? key << 31 : key & 0xffff, i};
        }
        TRY(rt_sort_ranked(items, scratch, MANY, team, NULL, NULL));
        for (int64_t i = 0; i < MANY; i++) {
            CHECK(i == 0 || items[i - 1].key <= items[i].key);
            sum += items[i].row;
        }
        CHECK(sum == (uint64_t)MANY * (MANY - 1) / 2);
    }
done:
    rt_free(scratch);
    rt_free(block);
}

static void floats_rank_like_doubles(void)
{
    uint8_t y[ROWS];
    float single[ROWS];
    double score[ROWS];
    uint32_t words[ROWS];
    rt_auc a;
    rt_auc b;
    rt_precision p;
    rt_precision q;
    rt_philox_fill(3, 1, 0, ROWS, words);
    for (int i = 0; i < ROWS; i++) {
        y[i] = (uint8_t)(words[i] & 1);
        single[i] = (float)((int)(words[i] >> 24) - 128) / 16.0F;
        score[i] = (double)single[i];
    }
    rt_scored_rows of_single = {y, single, ROWS, 1, 2};
    rt_scored_rows of_double = {y, score, ROWS, 0, 3};
    TRY(rt_roc_auc(&of_single, NULL, &a, NULL));
    TRY(rt_roc_auc(&of_double, NULL, &b, NULL));
    CHECK(memcmp(&a, &b, sizeof a) == 0);
    TRY(rt_average_precision(&of_single, NULL, &p, NULL));
    TRY(rt_average_precision(&of_double, NULL, &q, NULL));
    CHECK(memcmp(&p, &q, sizeof p) == 0);
    CHECK(p.weighted > 0.0 && p.weighted <= (double)p.n_pos);
done:;
}

/* Three positives, two negatives, by hand. Placements of model a: positives 1, 4, 4
 * (one tie), negatives 1, 3 ; a model that ranks all alike gives 2 and 3. */
static void placements_are_doubled_ranks_of_the_other_class(void)
{
    const uint8_t y[] = {1, 0, 1, 0, 1};
    const double a[] = {0.1, 0.1, 0.7, 0.2, 0.9};
    const double b[] = {0.5, 0.5, 0.5, 0.5, 0.5};
    rt_delong d;
    TRY(rt_delong_sums(y, a, b, 5, 1, NULL, &d, NULL));
    CHECK(d.n_pos == 3 && d.n_neg == 2);
    CHECK(d.sum[0][0].low == 1 + 4 + 4 && d.sum[0][1].low == 6);
    CHECK(d.sum[1][0].low == 1 + 2 && d.sum[1][1].low == 6);
    CHECK(d.product[0][0].low == 1 + 16 + 16 && d.product[0][2].low == 18);
    CHECK(d.product[1][0].low == 1 + 4 && d.product[1][1].low == 18);
done:;
}

/* A far outlier makes all other keys begin alike, in groups small and large, with ties.
 */
static void keys_that_begin_alike_are_told_apart(void)
{
    enum { ALIKE = 300 };
    static uint8_t y[ALIKE];
    static double score[ALIKE];
    rt_delong d;
    uint64_t sums[2] = {0, 0};
    for (int32_t i = 0; i < ALIKE; i++) {
        const uint64_t bits = rt_mix64((uint64_t)i + 1);
        y[i] = (uint8_t)(bits & 1);
        /* 20 rows are near 2, the others near 1; a third of the values occur often. */
        score[i] =
            (i < 20 ? 2.0 : 1.0) + (double)(bits % 3 == 0 ? 5 : bits >> 40) * 0x1p-50;
    }
    score[ALIKE - 1] = 1e300;
    score[ALIKE - 2] = -1e300;
    for (int32_t i = 0; i < ALIKE; i++) {
        for (int32_t j = 0; j < ALIKE; j++) {
            sums[1 - y[i]] += y[i] == y[j]           ? 0
                              : score[j] < score[i]  ? 2
                              : score[j] == score[i] ? 1
                                                     : 0;
        }
    }
    TRY(rt_delong_sums(y, score, score, ALIKE, 1, NULL, &d, NULL));
    CHECK(d.sum[0][0].low == sums[0] && d.sum[1][0].low == sums[1]);
    CHECK(d.sum[0][1].low == sums[0] && d.sum[1][1].low == sums[1]);
done:;
}

static void distances_of_samples(void)
{
    const double a[] = {0.0, 3.0, 1.0};
    const double b[] = {5.0, 8.0, 6.0, 0.0};
    const double bad[] = {1.0, NAN};
    rt_distance d;
    rt_error err = {0};
    TRY(rt_sample_distance(a, 3, a, 3, 1, NULL, &d, NULL));
    CHECK(d.above.low == 0 && d.below.low == 0 && d.wasserstein == 0.0);
    TRY(rt_sample_distance(a, 3, b, 4, 1, NULL, &d, NULL));
    CHECK(d.above.low == 9 && d.below.low == 0);
    CHECK(fabs(d.wasserstein - (1.0 / 12 + 5.0 / 12 * 2 + 0.75 * 2 + 0.5 + 0.25 * 2)) <
          1e-15);
    rt_status status = rt_sample_distance(a, 3, bad, 2, 1, NULL, &d, &err);
    CHECK(status == RT_INVALID || (rt_test_faulting && status == RT_NO_MEMORY));
done:;
}

static const rt_test tests[] = {
    {"keys order like numbers", keys_order_like_numbers},
    {"sorting orders any keys", sorting_orders_any_keys},
    {"ties count one half", ties_count_one_half},
    {"every pair is counted", every_pair_is_counted},
    {"one class and no rows give zero pairs", one_class_and_no_rows_give_zero_pairs},
    {"NaN and other labels are refused", nan_and_other_labels_are_refused},
    {"large sorts are sorted for any team", large_sorts_are_sorted_for_any_team},
    {"floats rank like doubles", floats_rank_like_doubles},
    {"placements are doubled ranks of the other class",
     placements_are_doubled_ranks_of_the_other_class},
    {"keys that begin alike are told apart", keys_that_begin_alike_are_told_apart},
    {"distances of samples", distances_of_samples},
};

RT_TEST_MAIN(tests)
