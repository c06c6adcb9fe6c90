/* Decisions of two models side by side: counts of agreement and flips, and a histogram
 * of each model's scores. Unit: rows. */
#include "evaluation/shadow.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

#include "base/math.h"
#include "evaluation/counting.h"

static const char where[] = "rt_shadow_count";

/* The struct is a row of counters, so a team's tables of it merge by addition
 * like any other table. */
enum { N_COUNTS = sizeof(rt_shadow_counts) / sizeof(int64_t) };
_Static_assert(N_COUNTS == 10 + 2 * RT_SCORE_BINS, "a table of int64_t, no padding");

static inline bool is_good(double score)
{
    return score >= 0.0 && score <= 1.0; /* false for NaN */
}

static inline int bin_of(double score)
{
    int bin = (int)(score * RT_SCORE_BINS);
    return bin < RT_SCORE_BINS ? bin : RT_SCORE_BINS - 1; /* 1.0 joins the last bin */
}

static inline void compare_row(const rt_shadow_rows *rows, double champion,
                               double challenger, rt_shadow_counts *counts)
{
    bool champion_says = champion >= rows->champion_threshold;
    bool challenger_says = challenger >= rows->challenger_threshold;
    counts->compared++;
    counts->champion_positive += champion_says;
    counts->challenger_positive += challenger_says;
    counts->flips_up += !champion_says && challenger_says;
    counts->flips_down += champion_says && !challenger_says;
    counts->score_counts[0][bin_of(champion)]++;
    counts->score_counts[1][bin_of(challenger)]++;
}

static int64_t count_pairs(const void *input, int64_t begin, int64_t end,
                           int64_t *table)
{
    const rt_shadow_rows *rows = input;
    rt_shadow_counts *counts = (rt_shadow_counts *)table;

    counts->rows += end - begin;
    for (int64_t i = begin; i < end; i++) {
        double champion = rows->champion[i];
        double challenger = rows->challenger[i];
        bool champion_good = is_good(champion);
        bool challenger_good = is_good(challenger);
        counts->champion_bad += !champion_good;
        counts->challenger_bad += !challenger_good;
        if (champion_good && challenger_good) {
            compare_row(rows, champion, challenger, counts);
        }
    }
    return -1;
}

/* A table of counts merges by addition, extremes do not: hence a pass of their own. */
static void find_extremes(const double *score, int64_t n_rows, rt_shadow_counts *counts)
{
    double low = INFINITY;
    double high = -1.0;
    for (int64_t i = 0; i < n_rows; i++) {
        low = is_good(score[i]) && score[i] < low ? score[i] : low;
        high = is_good(score[i]) && score[i] > high ? score[i] : high;
    }
    bool none = high < 0.0;
    counts->challenger_low = none ? INT64_MAX : (int64_t)rt_to_bits(low + 0.0);
    counts->challenger_high = none ? 0 : (int64_t)rt_to_bits(high + 0.0);
}

rt_status rt_shadow_count(const rt_shadow_rows *rows, int32_t n_threads, rt_ctl *ctl,
                          rt_shadow_counts *counts, rt_error *err)
{
    int64_t bad = -1;
    rt_count_job job = {.counter = count_pairs,
                        .input = rows,
                        .n_rows = rows->n_rows,
                        .n_counts = N_COUNTS,
                        .n_threads = n_threads,
                        .where = where};
    if (isnan(rows->champion_threshold) || isnan(rows->challenger_threshold)) {
        return rt_fail(err, RT_INVALID, where, "%s_threshold is NaN",
                       isnan(rows->champion_threshold) ? "champion" : "challenger");
    }
    rt_status status = rt_count_rows(&job, ctl, (int64_t *)counts, &bad, err);
    if (status == RT_OK) {
        assert(bad < 0 && counts->rows == rows->n_rows);
        assert(counts->compared <= counts->rows);
        find_extremes(rows->challenger, rows->n_rows, counts);
    }
    return status;
}
