#include <math.h>
#include <string.h>

#include "base/philox.h"
#include "evaluation/shadow.h"
#include "parallel/task.h"
#include "tests/test.h"

enum { ROWS = 1000 };

typedef struct shadow_call {
    rt_shadow_rows rows;
    int32_t n_threads;
    rt_shadow_counts *counts;
} shadow_call;

static rt_status run_shadow(void *argument, rt_error *err)
{
    shadow_call *call = argument;
    return rt_shadow_count(&call->rows, call->n_threads, NULL, call->counts, err);
}

static void decisions_flips_and_bins_are_counted(void)
{
    const double champion[] = {0.0, 0.49, 0.5, 1.0, 0.9};
    const double challenger[] = {0.3, 0.30, 0.3, 0.29, 0.05};
    rt_shadow_counts counts;
    shadow_call call = {{champion, challenger, 0.5, 0.3, 5}, 2, &counts};
    TRY(rt_task_run(run_shadow, &call, NULL));
    CHECK(counts.rows == 5 && counts.compared == 5);
    CHECK(counts.champion_positive == 3 && counts.challenger_positive == 3);
    CHECK(counts.flips_up == 2 && counts.flips_down == 2);
    CHECK(counts.challenger_low < counts.challenger_high);
    CHECK(counts.score_counts[0][0] == 1 && counts.score_counts[0][19] == 1);
    CHECK(counts.score_counts[1][6] == 3 && counts.score_counts[1][1] == 1);
done:;
}

static void bad_scores_are_counted_and_not_compared(void)
{
    const double champion[] = {NAN, 0.5, 0.5, -0.0, 0.5};
    const double challenger[] = {0.5, INFINITY, 1.0000001, 1.0, -1e-300};
    rt_shadow_counts counts;
    shadow_call call = {{champion, challenger, 0.5, 0.5, 5}, 1, &counts};
    TRY(rt_task_run(run_shadow, &call, NULL));
    CHECK(counts.rows == 5 && counts.compared == 1);
    CHECK(counts.champion_bad == 1 && counts.challenger_bad == 3);
    CHECK(counts.flips_up == 1 && counts.challenger_low < counts.challenger_high);
done:;
}

static void any_team_gives_the_same_counts(void)
{
    static double scores[2][ROWS];
    uint32_t words[2 * ROWS];
    rt_shadow_counts counts[2];
    const int32_t teams[] = {1, 2, 3, 7};
    rt_philox_fill(2, 0, 0, 2 * ROWS, words);
    for (int i = 0; i < 2 * ROWS; i++) {
        scores[i % 2][i / 2] =
            words[i] % 19 == 0 ? NAN : (double)words[i] / 4294967296.0;
    }
    for (int i = 0; i < 4; i++) {
        shadow_call call = {
            {scores[0], scores[1], 0.4, 0.6, ROWS}, teams[i], &counts[i > 0]};
        TRY(rt_task_run(run_shadow, &call, NULL));
        CHECK(memcmp(&counts[0], &counts[i > 0], sizeof counts[0]) == 0);
    }
done:;
}

static void no_rows_and_nan_thresholds(void)
{
    rt_shadow_counts counts;
    shadow_call call = {{NULL, NULL, 0.5, 0.5, 0}, 0, &counts};
    TRY(rt_task_run(run_shadow, &call, NULL));
    CHECK(counts.rows == 0 && counts.challenger_low > counts.challenger_high);
    call.rows.challenger_threshold = NAN;
    CHECK(rt_shadow_count(&call.rows, 1, NULL, &counts, NULL) == RT_INVALID);
done:;
}

static const rt_test tests[] = {
    {"decisions, flips and bins are counted", decisions_flips_and_bins_are_counted},
    {"bad scores are counted and not compared",
     bad_scores_are_counted_and_not_compared},
    {"any team gives the same counts", any_team_gives_the_same_counts},
    {"no rows, and NaN thresholds", no_rows_and_nan_thresholds},
};

RT_TEST_MAIN(tests)
