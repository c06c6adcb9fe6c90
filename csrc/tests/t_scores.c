#include <math.h>
#include <string.h>

#include "base/philox.h"
#include "evaluation/scores.h"
#include "parallel/task.h"
#include "tests/test.h"

enum { ROWS = 20000 };

static uint8_t y[ROWS];
static double score[ROWS];

static void fill(void)
{
    static uint32_t words[ROWS];
    rt_philox_fill(4, 2, 0, ROWS, words);
    for (int i = 0; i < ROWS; i++) {
        y[i] = (uint8_t)(words[i] & 1);
        score[i] =
            i % 50 == 0 ? (double)(words[i] >> 31) : (double)words[i] / 4294967295.0;
    }
}

typedef struct call {
    int32_t n_threads;
    rt_score_sums sums;
    rt_line_sums line;
} call;

static rt_status run(void *argument, rt_error *err)
{
    call *c = argument;
    rt_status status = rt_sum_scores(y, score, ROWS, c->n_threads, NULL, &c->sums, err);
    if (status == RT_OK) {
        status =
            rt_sum_line(y, score, ROWS, 0.25, 0.5, c->n_threads, NULL, &c->line, err);
    }
    return status;
}

static double value(const rt_fixed *sum)
{
    return (double)sum->units + (double)sum->parts / 1099511627776.0;
}

static void sums_are_those_of_libm(void)
{
    call c = {.n_threads = 2};
    double loss = 0.0;
    double brier = 0.0;
    int64_t in_bins = 0;
    fill();
    TRY(rt_task_run(run, &c, NULL));
    for (int i = 0; i < ROWS; i++) {
        double p = y[i] != 0 ? score[i] : 1.0 - score[i];
        loss -= log(fmin(fmax(p, 0x1p-52), 1.0 - 0x1p-52));
        brier += (score[i] - y[i]) * (score[i] - y[i]);
    }
    for (int bin = 0; bin < RT_CALIBRATION_BINS; bin++) {
        in_bins += c.sums.bins[bin].rows;
    }
    CHECK(c.sums.rows == ROWS && in_bins == ROWS);
    CHECK(fabs(value(&c.sums.log_loss) - loss) < 1e-7);
    CHECK(fabs(value(&c.sums.brier) - brier) < 1e-7);
done:;
}

static void any_team_and_order_give_the_same_bits(void)
{
    call first = {.n_threads = 1};
    fill();
    TRY(rt_task_run(run, &first, NULL));
    for (int team = 2; team <= 7; team++) {
        call other = {.n_threads = team};
        for (int i = 0; i < ROWS / 2; i++) { /* another order each time */
            int j = (i * 7 + team) % ROWS;
            double swap = score[i];
            uint8_t label = y[i];
            score[i] = score[j];
            y[i] = y[j];
            score[j] = swap;
            y[j] = label;
        }
        TRY(rt_task_run(run, &other, NULL));
        CHECK(memcmp(&first.sums, &other.sums, sizeof first.sums) == 0);
        CHECK(memcmp(&first.line, &other.line, sizeof first.line) == 0);
    }
done:;
}

static void scores_that_are_no_probabilities_are_refused(void)
{
    const double bad[] = {NAN, -0.001, 1.001, INFINITY};
    fill();
    for (int i = 0; i < 4; i++) {
        call c = {.n_threads = 3};
        rt_error err = {0};
        score[777] = bad[i];
        rt_status status = rt_task_run(run, &c, &err);
        if (status == RT_NO_MEMORY && rt_test_faulting) {
            return;
        }
        CHECK(status == RT_INVALID && strstr(err.message, "score[777]") != NULL);
    }
}

static const rt_test tests[] = {
    {"sums are those of libm", sums_are_those_of_libm},
    {"any team and order give the same bits", any_team_and_order_give_the_same_bits},
    {"scores that are no probabilities are refused",
     scores_that_are_no_probabilities_are_refused},
};

RT_TEST_MAIN(tests)
