#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/philox.h"
#include "evaluation/counting.h"
#include "evaluation/drift.h"
#include "evaluation/quantiles.h"
#include "parallel/task.h"
#include "tests/test.h"

enum { ROWS = 3000, DAYS = 5, EDGES = 3, WIDTH = EDGES + 1 + RT_DRIFT_EXTRA };

typedef struct drift_call {
    rt_drift_column column;
    int32_t n_threads;
    int64_t *counts;
} drift_call;

static rt_status run_drift(void *argument, rt_error *err)
{
    drift_call *call = argument;
    return rt_drift_counts(&call->column, call->n_threads, NULL, call->counts, err);
}

static void edges_are_nearest_rank_order_statistics(void)
{
    const double x[] = {5.0, NAN, 1.0, INFINITY, 2.0, 4.0, -INFINITY, 3.0};
    double edges[4];
    int32_t n_edges = 0;
    TRY(rt_quantile_edges(x, 8, 5, NULL, edges, &n_edges, NULL));
    CHECK(n_edges == 4);
    CHECK(edges[0] == 1.0 && edges[1] == 2.0 && edges[2] == 3.0 && edges[3] == 4.0);
    TRY(rt_quantile_edges(x, 8, 2, NULL, edges, &n_edges, NULL));
    CHECK(n_edges == 1 && edges[0] == 3.0);
done:;
}

static void equal_edges_collapse_and_zeros_are_one_value(void)
{
    const double x[] = {0.0, -0.0, 0.0, -0.0, 7.0};
    const double none[] = {NAN, INFINITY};
    double edges[9];
    int32_t n_edges = 0;
    TRY(rt_quantile_edges(x, 5, 10, NULL, edges, &n_edges, NULL));
    CHECK(n_edges == 2 && edges[0] == 0.0 && edges[1] == 7.0);
    TRY(rt_quantile_edges(none, 2, 10, NULL, edges, &n_edges, NULL));
    CHECK(n_edges == 0);
    TRY(rt_quantile_edges(x, 5, 1, NULL, edges, &n_edges, NULL));
    CHECK(n_edges == 0);
    CHECK(rt_quantile_edges(x, 5, 0, NULL, edges, &n_edges, NULL) == RT_INVALID);
done:;
}

static void every_value_meets_its_bin(void)
{
    const double x[] = {-1.0, 0.0, 0.5, 1.0, 2.0, 2.5, -INFINITY, INFINITY, NAN};
    const int32_t day[] = {0, 0, 0, 0, 0, 0, 1, 1, 1};
    const double edges[EDGES] = {0.0, 1.0, 2.0};
    const int64_t want[2 * WIDTH] = {2, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1};
    int64_t counts[2 * WIDTH] = {0};
    drift_call call = {{x, day, edges, 9, EDGES, 2}, 1, counts};
    TRY(rt_task_run(run_drift, &call, NULL));
    CHECK(memcmp(counts, want, sizeof want) == 0);
done:;
}

static void any_team_gives_the_same_counts(void)
{
    static double x[ROWS];
    static int32_t day[ROWS];
    static uint32_t words[ROWS];
    const double edges[EDGES] = {0.25, 0.5, 0.75};
    int64_t counts[2][DAYS * WIDTH];
    const int32_t teams[] = {1, 2, 3, 7};

    rt_philox_fill(3, 0, 0, ROWS, words);
    for (int i = 0; i < ROWS; i++) {
        x[i] = words[i] % 17 == 0 ? NAN : (double)words[i] / 4294967296.0;
        day[i] = (int32_t)(words[i] % DAYS);
    }
    for (int i = 0; i < 4; i++) {
        drift_call call = {{x, day, edges, ROWS, EDGES, DAYS}, teams[i], counts[i > 0]};
        TRY(rt_task_run(run_drift, &call, NULL));
        CHECK(memcmp(counts[0], counts[i > 0], sizeof counts[0]) == 0);
    }
done:;
}

static void the_first_bad_row_is_named(void)
{
    static double x[ROWS];
    static int32_t day[ROWS];
    int64_t counts[DAYS * WIDTH];
    const double edges[EDGES] = {0.0, 1.0, 2.0};
    rt_error err = {0};
    day[1234] = DAYS;
    day[2999] = -1;
    for (int32_t team = 1; team <= 7; team += 3) {
        drift_call call = {{x, day, edges, ROWS, EDGES, DAYS}, team, counts};
        rt_status status = rt_task_run(run_drift, &call, &err);
        if (status == RT_NO_MEMORY && rt_test_faulting) {
            break;
        }
        CHECK(status == RT_INVALID);
        CHECK(strcmp(err.message, "day[1234] is 5, it must lie in 0..4") == 0);
    }
    memset(day, 0, sizeof day);
}

static void edges_out_of_order_are_refused(void)
{
    const double x[] = {1.0};
    const int32_t day[] = {0};
    const double doubled[] = {1.0, 1.0};
    const double infinite[] = {1.0, INFINITY};
    int64_t counts[6];
    rt_drift_column column = {x, day, doubled, 1, 2, 1};
    CHECK(rt_drift_counts(&column, 1, NULL, counts, NULL) == RT_INVALID);
    column.edges = infinite;
    CHECK(rt_drift_counts(&column, 1, NULL, counts, NULL) == RT_INVALID);
}

typedef struct category_call {
    rt_category_column column;
    int64_t *counts;
} category_call;

static rt_status run_category(void *argument, rt_error *err)
{
    category_call *call = argument;
    return rt_category_counts(&call->column, 3, NULL, call->counts, err);
}

static void categories_keep_unseen_and_missing_apart(void)
{
    int32_t code[] = {0, 2, 1, RT_CODE_MISSING, RT_CODE_UNSEEN, RT_CODE_UNSEEN};
    const int32_t day[] = {0, 0, 1, 1, 1, 0};
    const int64_t want[] = {1, 0, 1, 1, 0, 0, 1, 0, 1, 1};
    int64_t counts[10] = {0};
    rt_error err = {0};
    category_call call = {{code, day, 6, 3, 2}, counts};
    TRY(rt_task_run(run_category, &call, NULL));
    CHECK(memcmp(counts, want, sizeof want) == 0);
    code[4] = 3;
    rt_status status = rt_task_run(run_category, &call, &err);
    CHECK(status == RT_INVALID || (status == RT_NO_MEMORY && rt_test_faulting));
    CHECK(status == RT_NO_MEMORY || strncmp(err.message, "code[4] is 3", 12) == 0);
done:;
}

static int64_t count_team(const void *input, int64_t begin, int64_t end,
                          int64_t *counts)
{
    (void)input;
    counts[0] = omp_get_num_threads(); /* summed over the team: its square */
    counts[1] += end - begin;
    return -1;
}

static rt_status run_team(void *argument, rt_error *err)
{
    rt_count_job *job = argument;
    int64_t bad = -1;
    int64_t *counts = (int64_t *)job->input;
    return rt_count_rows(job, NULL, counts, &bad, err);
}

static void a_team_has_the_size_that_was_asked_for(void)
{
    for (int32_t team = 1; team <= 7; team++) {
        int64_t counts[2] = {0, 0};
        rt_count_job job = {.counter = count_team,
                            .input = counts,
                            .n_rows = 100,
                            .n_counts = 2,
                            .n_threads = team,
                            .where = "test"};
        TRY(rt_task_run(run_team, &job, NULL));
        CHECK(counts[0] == team * team);
        CHECK(counts[1] == 100);
    }
done:;
}

static void cancelling_stops_every_pass(void)
{
    const double x[] = {1.0, 2.0};
    const int32_t day[] = {0, 0};
    double edges[1] = {1.0};
    int32_t n_edges = 0;
    int64_t counts[5];
    rt_ctl ctl = {true, 0};
    rt_drift_column column = {x, day, edges, 2, 1, 1};
    rt_status status = rt_drift_counts(&column, 1, &ctl, counts, NULL);
    CHECK(status == RT_CANCELLED || (status == RT_NO_MEMORY && rt_test_faulting));
    status = rt_quantile_edges(x, 2, 2, &ctl, edges, &n_edges, NULL);
    CHECK(status == RT_CANCELLED || (status == RT_NO_MEMORY && rt_test_faulting));
}

static const rt_test tests[] = {
    {"edges are nearest-rank order statistics",
     edges_are_nearest_rank_order_statistics},
    {"equal edges collapse, zeros are one value",
     equal_edges_collapse_and_zeros_are_one_value},
    {"every value meets its bin", every_value_meets_its_bin},
    {"any team gives the same counts", any_team_gives_the_same_counts},
    {"the first bad row is named", the_first_bad_row_is_named},
    {"edges out of order are refused", edges_out_of_order_are_refused},
    {"categories keep unseen and missing apart",
     categories_keep_unseen_and_missing_apart},
    {"a team has the size that was asked for", a_team_has_the_size_that_was_asked_for},
    {"cancelling stops every pass", cancelling_stops_every_pass},
};

RT_TEST_MAIN(tests)
