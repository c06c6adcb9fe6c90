#include <math.h>
#include <string.h>

#include "base/philox.h"
#include "evaluation/paired.h"
#include "evaluation/wide.h"
#include "parallel/task.h"
#include "tests/test.h"

enum { ROWS = 600, DAYS = 3, LEVELS = 2, TABLE = DAYS * LEVELS * RT_PAIRED_SUMS * 2 };

static int32_t day[ROWS];
static int32_t level[ROWS];
static uint8_t y[ROWS];
static double score[2][ROWS];

static rt_paired_rows random_rows(void)
{
    static uint32_t words[3 * ROWS];
    rt_philox_fill(8, 1, 0, 3 * ROWS, words);
    for (int i = 0; i < ROWS; i++) {
        day[i] = (int32_t)(words[i] % DAYS);
        level[i] = (int32_t)(words[i] / 7 % LEVELS);
        y[i] = (words[i] >> 20) & 1;
        score[0][i] = (double)(words[ROWS + i] % 40) / 39.0; /* ties */
        score[1][i] = (double)words[2 * ROWS + i] / 4294967295.0;
    }
    return (rt_paired_rows){day, level, y, score[0], score[1], ROWS, DAYS, LEVELS};
}

typedef struct paired_call {
    rt_paired_rows rows;
    rt_score_kind kind;
    int32_t n_threads;
    int64_t sums[TABLE];
} paired_call;

static rt_status run(void *argument, rt_error *err)
{
    paired_call *c = argument;
    return rt_sum_paired(&c->rows, c->kind, c->n_threads, NULL, c->sums, err);
}

static double sum_at(const paired_call *c, int of_day, int of_level, int which)
{
    rt_int128 sum;
    memcpy(&sum, c->sums + ((of_day * LEVELS + of_level) * RT_PAIRED_SUMS + which) * 2,
           sizeof sum);
    return (double)sum;
}

/* The value of row i by its definition, over the rows of its level. */
static double value_of(rt_score_kind kind, const double *s, int i)
{
    const double q = fmin(fmax(y[i] != 0 ? s[i] : 1.0 - s[i], 0x1p-52), 1.0 - 0x1p-52);
    double auc = 0.0;
    double precision = 0.0;
    for (int j = 0; j < ROWS; j++) {
        double at_or_above[2] = {0.0, 0.0};
        if (level[j] != level[i]) {
            continue;
        }
        auc += y[j] == y[i] ? 0.0 : s[j] < s[i] ? 2.0 : s[j] == s[i] ? 1.0 : 0.0;
        for (int k = 0; k < ROWS; k++) {
            at_or_above[y[k]] += level[k] == level[i] && s[k] >= s[j] ? 1.0 : 0.0;
        }
        const double said = at_or_above[0] + at_or_above[1];
        if (j == i && y[i] == 1) {
            precision += at_or_above[1] / said;
        }
        if (y[j] == 1 && s[j] <= s[i]) {
            precision += (y[i] == 1 ? at_or_above[0] : -at_or_above[1]) / (said * said);
        }
    }
    const double values[] = {-log(q) * 0x1p40, (s[i] - y[i]) * (s[i] - y[i]) * 0x1p40,
                             auc, precision * 0x1p46};
    return values[kind];
}

static void sums_are_those_of_the_definitions(void)
{
    for (rt_score_kind kind = RT_LOG_LOSS; kind < RT_KS; kind++) {
        paired_call c = {random_rows(), kind, 2, {0}};
        double sums[DAYS][LEVELS][RT_PAIRED_SUMS] = {{{0.0}}};
        TRY(rt_task_run(run, &c, NULL));
        for (int i = 0; i < ROWS; i++) {
            const double a = value_of(kind, score[0], i);
            const double b = value_of(kind, score[1], i);
            double *sum = sums[day[i]][level[i]] + y[i];
            sum[0] += a;
            sum[2] += b;
            sum[4] += (b - a) * (b - a);
        }
        for (int i = 0; i < DAYS * LEVELS * RT_PAIRED_SUMS; i++) {
            const double found =
                sum_at(&c, i / RT_PAIRED_SUMS / LEVELS, i / RT_PAIRED_SUMS % LEVELS,
                       i % RT_PAIRED_SUMS);
            const double expected =
                sums[i / RT_PAIRED_SUMS / LEVELS][i / RT_PAIRED_SUMS % LEVELS]
                    [i % RT_PAIRED_SUMS];
            CHECK(fabs(found - expected) <= 1e-9 * fabs(expected));
        }
    }
done:;
}

/* TPR - FPR at every score of a level; no threshold does better than the one found. */
static void ks_is_the_largest_gap(void)
{
    paired_call c = {random_rows(), RT_KS, 1, {0}};
    TRY(rt_task_run(run, &c, NULL));
    for (int which = 0; which < LEVELS; which++) {
        double n[2] = {0.0, 0.0};
        double best = 0.0;
        double said[2] = {0.0, 0.0};
        for (int i = 0; i < ROWS; i++) {
            n[y[i]] += level[i] == which ? 1.0 : 0.0;
        }
        for (int i = 0; i < ROWS; i++) {
            double above[2] = {0.0, 0.0};
            for (int j = 0; j < ROWS; j++) {
                above[y[j]] +=
                    level[j] == which && score[0][j] >= score[0][i] ? 1.0 : 0.0;
            }
            best = fmax(best, above[1] / n[1] - above[0] / n[0]);
        }
        for (int of_day = 0; of_day < DAYS; of_day++) {
            said[0] += sum_at(&c, of_day, which, 0);
            said[1] += sum_at(&c, of_day, which, 1);
        }
        CHECK(fabs(said[1] / n[1] - said[0] / n[0] - best) < 1e-12);
    }
done:;
}

static void any_team_and_order_give_the_same_sums(void)
{
    for (rt_score_kind kind = RT_LOG_LOSS; kind < RT_SCORE_KINDS; kind++) {
        paired_call first = {random_rows(), kind, 1, {0}};
        TRY(rt_task_run(run, &first, NULL));
        for (int team = 2; team <= 5; team++) {
            paired_call other = first;
            other.n_threads = team;
            for (int i = 0; i < ROWS / 2; i++) {
                const int j = ROWS - 1 - (i * team) % (ROWS / 2);
                int32_t swap = day[i];
                day[i] = day[j];
                day[j] = swap;
                swap = level[i];
                level[i] = level[j];
                level[j] = swap;
                const uint8_t label = y[i];
                y[i] = y[j];
                y[j] = label;
                for (int model = 0; model < 2; model++) {
                    const double x = score[model][i];
                    score[model][i] = score[model][j];
                    score[model][j] = x;
                }
            }
            TRY(rt_task_run(run, &other, NULL));
            CHECK(memcmp(first.sums, other.sums, sizeof first.sums) == 0);
        }
    }
done:;
}

static void no_rows_and_one_class_are_fine(void)
{
    for (rt_score_kind kind = RT_LOG_LOSS; kind < RT_SCORE_KINDS; kind++) {
        paired_call c = {random_rows(), kind, 1, {0}};
        memset(y, kind & 1, sizeof y);
        TRY(rt_task_run(run, &c, NULL));
        CHECK(kind != RT_ROC_AUC || sum_at(&c, 0, 0, 1) == 0.0);
        c.rows.n_rows = 0;
        TRY(rt_task_run(run, &c, NULL));
        CHECK(sum_at(&c, 0, 0, 0) == 0.0);
    }
done:;
}

static void refuse(paired_call *c, const char *message)
{
    rt_error err = {0};
    rt_status status = rt_task_run(run, c, &err);
    if (status == RT_NO_MEMORY && rt_test_faulting) {
        return;
    }
    CHECK(status == RT_INVALID || status == RT_LIMIT);
    CHECK(strstr(err.message, message) != NULL);
}

static void a_bad_row_is_named_with_its_argument(void)
{
    paired_call c = {random_rows(), RT_LOG_LOSS, 1, {0}};
    score[1][500] = 1.5;
    refuse(&c, "challenger[500] is 1.5, it must lie in 0..1");
    score[0][400] = NAN;
    c.kind = RT_KS;
    refuse(&c, "champion[400] is nan, it has no rank");
    y[300] = 2;
    refuse(&c, "y[300] is 2, it must lie in 0..1");
    level[200] = LEVELS;
    refuse(&c, "level[200] is 2, it must lie in 0..1");
    day[100] = -1;
    refuse(&c, "day[100] is -1, it must lie in 0..2");
    c.rows.n_days = -1;
    refuse(&c, "neither can be negative");
    c.rows.n_rows = (int64_t)INT32_MAX + 1;
    refuse(&c, "pass the limit");
}

static const rt_test tests[] = {
    {"sums are those of the definitions", sums_are_those_of_the_definitions},
    {"ks is the largest gap", ks_is_the_largest_gap},
    {"any team and order give the same sums", any_team_and_order_give_the_same_sums},
    {"no rows and one class are fine", no_rows_and_one_class_are_fine},
    {"a bad row is named with its argument", a_bad_row_is_named_with_its_argument},
};

RT_TEST_MAIN(tests)
