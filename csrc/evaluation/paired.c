/* Values of rows under two models, then their sums. Losses are computed as they are
 * added; places among the other rows come from a ranking per level and model.
 *
 *   ROC AUC: placements of DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988).
 *   Average precision: its derivative by the weight of a row, which is what a further
 *   positive adds to its own precision and to that of all positives below it.
 *
 * Unit: see paired.h. */
#include "evaluation/paired.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/exact_sum.h"
#include "base/limits.h"
#include "base/math.h"
#include "evaluation/counting.h"
#include "evaluation/ranking.h"
#include "evaluation/wide.h"
#include "parallel/placement.h"
#include "parallel/threads.h"

static const char where[] = "rt_sum_paired";

static const double LOSS_ONE = 1099511627776.0;       /* 2^40 */
static const double PRECISION_ONE = 70368744177664.0; /* 2^46: see place_precision */
static const double LEAST = 2.2204460492503131e-16;   /* 2^-52 */

enum { MODELS = 2 };

typedef struct sum_input {
    const rt_paired_rows *rows;
    rt_score_kind kind;
    const int64_t *value[MODELS]; /* of a kind that ranks */
} sum_input;

static inline bool is_loss(rt_score_kind kind)
{
    return kind == RT_LOG_LOSS || kind == RT_BRIER;
}

static inline int64_t fixed_of(double x, double one)
{
    return rt_round_i64(x * one);
}

static inline int64_t loss_of(rt_score_kind kind, uint8_t y, double p)
{
    if (kind == RT_BRIER) {
        return fixed_of((p - y) * (p - y), LOSS_ONE);
    }
    double q = y != 0 ? p : 1.0 - p;
    q = q < LEAST ? LEAST : q;
    return fixed_of(-rt_log(q > 1.0 - LEAST ? 1.0 - LEAST : q), LOSS_ONE);
}

static int64_t add_rows(const void *argument, int64_t begin, int64_t end,
                        int64_t *counts)
{
    const sum_input *input = argument;
    const rt_paired_rows *rows = input->rows;
    const bool computed = is_loss(input->kind);
    rt_int128 *sums = (rt_int128 *)counts;
    for (int64_t i = begin; i < end; i++) {
        const uint8_t y = rows->y[i];
        int64_t old =
            computed ? loss_of(input->kind, y, rows->champion[i]) : input->value[0][i];
        int64_t new = computed ? loss_of(input->kind, y, rows->challenger[i])
                               : input->value[1][i];
        rt_int128 *sum =
            sums +
            ((int64_t)rows->day[i] * rows->n_levels + rows->level[i]) * RT_PAIRED_SUMS +
            y;
        sum[0] += old;
        sum[2] += new;
        sum[4] += (rt_int128)(new - old) * (new - old);
    }
    return -1;
}

/* -- ranked values ------------------------------------------------------------ */

/* One level's rows in a ranking; `order` says which row of all each of them is, and is
 * NULL where it is the same one. */
typedef struct level_rows {
    rt_ranking ranking;
    const uint32_t *order;
    int64_t n_of[2]; /* negatives, positives */
} level_rows;

static inline int64_t row_of(const level_rows *level, uint64_t item)
{
    const int64_t row = rt_item_row(item);
    return level->order == NULL ? row : level->order[row];
}

static void place_auc(const level_rows *level, int64_t *value)
{
    const rt_ranking *r = &level->ranking;
    int64_t below[2] = {0, 0};
    int64_t here[2];
    for (int64_t begin = 0; begin < r->n_rows;) {
        const int64_t end = rt_group_end(r, begin, here);
        for (; begin < end; begin++) {
            const int other = 1 - rt_item_label(r->items[begin]);
            value[row_of(level, r->items[begin])] = 2 * below[other] + here[other];
        }
        below[0] += here[0];
        below[1] += here[1];
    }
}

/* The value of a positive is at most 2, and the squares of all negatives' sum up to
 * less than 4 per row, so 2^31 rows of squares in 2^-92 stay below 2^127. */
static void place_precision(const level_rows *level, int64_t *value)
{
    const rt_ranking *r = &level->ranking;
    int64_t fp = level->n_of[0]; /* of those at or above the group */
    int64_t tp = level->n_of[1];
    int64_t here[2];
    rt_exact_sum gain = {0.0, 0.0};
    rt_exact_sum loss = {0.0, 0.0};
    int64_t of[2] = {0, 0};
    for (int64_t begin = 0; begin < r->n_rows;) {
        const int64_t end = rt_group_end(r, begin, here);
        if (here[1] > 0) { /* a group of negatives adds nothing to those above */
            const double said = (double)(tp + fp);
            const double precision = (double)tp / said;
            const double weight = (double)here[1] / said;
            rt_exact_add(&gain, weight * ((double)fp / said));
            rt_exact_add(&loss, weight * precision);
            of[0] = -fixed_of(rt_exact_value(&loss), PRECISION_ONE);
            of[1] = fixed_of(precision + rt_exact_value(&gain), PRECISION_ONE);
        }
        for (; begin < end; begin++) {
            value[row_of(level, r->items[begin])] = of[rt_item_label(r->items[begin])];
        }
        fp -= here[0];
        tp -= here[1];
    }
}

static void place_ks(const level_rows *level, int64_t *value)
{
    const rt_ranking *r = &level->ranking;
    int64_t above[2] = {level->n_of[0], level->n_of[1]};
    int64_t here[2];
    int64_t best = INT64_MIN;
    int64_t from = 0;
    for (int64_t begin = 0; begin < r->n_rows;) {
        const int64_t gap = above[1] * level->n_of[0] - above[0] * level->n_of[1];
        if (gap >= best) { /* of equal ones the highest */
            best = gap;
            from = begin;
        }
        begin = rt_group_end(r, begin, here);
        above[0] -= here[0];
        above[1] -= here[1];
    }
    from = best > 0 ? from : r->n_rows; /* above all scores the gap is 0 */
    for (int64_t i = 0; i < r->n_rows; i++) {
        value[row_of(level, r->items[i])] = i >= from;
    }
}

static void (*const PLACE[RT_SCORE_KINDS])(const level_rows *, int64_t *) = {
    [RT_ROC_AUC] = place_auc,
    [RT_AVERAGE_PRECISION] = place_precision,
    [RT_KS] = place_ks,
};

/* What ranking needs; the last three are for rows of more than one level. */
typedef struct workspace {
    void *value[MODELS];
    void *items, *scratch;
    void *order, *y, *score;
} workspace;

static rt_status open_workspace(workspace *w, const rt_paired_rows *rows, rt_error *err)
{
    const int64_t gathered = rows->n_levels > 1 ? rows->n_rows : 0;
    const struct {
        void **block;
        int64_t count;
        size_t bytes;
    } blocks[] = {
        {&w->value[0], rows->n_rows, sizeof(int64_t)},
        {&w->value[1], rows->n_rows, sizeof(int64_t)},
        {&w->items, rows->n_rows, sizeof(uint64_t)},
        {&w->scratch, rows->n_rows, sizeof(uint64_t)},
        {&w->order, gathered, sizeof(uint32_t)},
        {&w->y, gathered, sizeof(uint8_t)},
        {&w->score, gathered, sizeof(double)},
    };
    rt_status status = RT_OK;
    for (size_t i = 0; status == RT_OK && i < sizeof blocks / sizeof blocks[0]; i++) {
        status = rt_alloc_scratch(blocks[i].block, blocks[i].count, blocks[i].bytes,
                                  where, err);
    }
    return status;
}

static void close_workspace(workspace *w)
{
    void *const blocks[] = {w->value[0], w->value[1], w->items, w->scratch,
                            w->order,    w->y,        w->score};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        rt_free(blocks[i]);
    }
}

static rt_status place_level(level_rows *level, workspace *w,
                             const rt_paired_rows *rows, rt_score_kind kind,
                             rt_error *err)
{
    static const char *const names[MODELS] = {"champion", "challenger"};
    const double *const scores[MODELS] = {rows->champion, rows->challenger};
    rt_ranking *r = &level->ranking;
    uint8_t *y = w->y;
    double *gathered = w->score;
    level->n_of[1] = 0;
    for (int64_t i = 0; i < r->n_rows; i++) {
        const uint8_t label = rows->y[level->order == NULL ? i : level->order[i]];
        if (level->order != NULL) {
            y[i] = label;
        }
        level->n_of[1] += label;
    }
    level->n_of[0] = r->n_rows - level->n_of[1];
    r->y = level->order == NULL ? rows->y : y;
    rt_status status = RT_OK;
    for (int model = 0; status == RT_OK && model < MODELS; model++) {
        for (int64_t i = 0; level->order != NULL && i < r->n_rows; i++) {
            gathered[i] = scores[model][level->order[i]];
        }
        status = rt_rank_rows(r, level->order == NULL ? scores[model] : gathered,
                              names[model], err);
        if (status == RT_OK) {
            PLACE[kind](level, w->value[model]);
        }
    }
    return status;
}

/* Rows by level, in their order within it: the end of each level. */
static void order_by_level(const rt_paired_rows *rows, uint32_t *order, int64_t *ends)
{
    for (int64_t i = 0; i < rows->n_rows; i++) {
        ends[rows->level[i]]++;
    }
    int64_t begin = 0;
    for (int32_t level = 0; level < rows->n_levels; level++) {
        const int64_t count = ends[level];
        ends[level] = begin;
        begin += count;
    }
    for (int64_t i = 0; i < rows->n_rows; i++) {
        order[ends[rows->level[i]]++] = (uint32_t)i;
    }
}

static rt_status place_levels(const rt_paired_rows *rows, rt_score_kind kind,
                              int32_t threads, rt_ctl *ctl, workspace *w, rt_error *err)
{
    rt_ranking ranking = {rows->y, rows->n_rows, w->items, w->scratch,
                          threads, ctl,          where};
    rt_spread_team(threads);
    if (rows->n_levels == 1) {
        level_rows all = {ranking, NULL, {0, 0}};
        return place_level(&all, w, rows, kind, err);
    }
    void *ends = NULL;
    rt_status status = rt_alloc(&ends, rows->n_levels, sizeof(int64_t), where, err);
    if (status != RT_OK) {
        return status;
    }
    order_by_level(rows, w->order, ends);
    int64_t begin = 0;
    for (int32_t i = 0; status == RT_OK && i < rows->n_levels; i++) {
        const int64_t end = ((const int64_t *)ends)[i];
        level_rows level = {ranking, (const uint32_t *)w->order + begin, {0, 0}};
        level.ranking.n_rows = end - begin;
        status = place_level(&level, w, rows, kind, err);
        begin = end;
    }
    rt_free(ends);
    return status;
}

/* -- checks ------------------------------------------------------------------- */

static inline bool has_value(rt_score_kind kind, double score)
{
    return is_loss(kind) ? score >= 0.0 && score <= 1.0 : !isnan(score);
}

static rt_status refuse_score(const char *name, int64_t row, double score,
                              rt_score_kind kind, rt_error *err)
{
    return rt_fail(
        err, RT_INVALID, where, "%s[%lld] is %g, %s", name, (long long)row, score,
        is_loss(kind) ? "it must lie in 0..1: it is a probability" : "it has no rank");
}

static rt_status explain(const rt_paired_rows *rows, rt_score_kind kind, int64_t row,
                         rt_error *err)
{
    const struct {
        const char *name;
        int32_t value, bound;
    } fields[] = {{"day", rows->day[row], rows->n_days},
                  {"level", rows->level[row], rows->n_levels},
                  {"y", rows->y[row], 2}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i].value < 0 || fields[i].value >= fields[i].bound) {
            return rt_fail(err, RT_INVALID, where,
                           "%s[%lld] is %d, it must lie in 0..%d", fields[i].name,
                           (long long)row, fields[i].value, fields[i].bound - 1);
        }
    }
    return has_value(kind, rows->champion[row])
               ? refuse_score("challenger", row, rows->challenger[row], kind, err)
               : refuse_score("champion", row, rows->champion[row], kind, err);
}

static rt_status check_rows(const rt_paired_rows *rows, rt_score_kind kind,
                            rt_error *err)
{
    if (rows->n_rows > INT32_MAX) {
        return rt_fail(err, RT_LIMIT, where, "%lld rows pass the limit of %d",
                       (long long)rows->n_rows, INT32_MAX);
    }
    if (rows->n_days < 0 || rows->n_levels < 0) {
        return rt_fail(err, RT_INVALID, where,
                       "there are %d days and %d levels, neither can be negative",
                       rows->n_days, rows->n_levels);
    }
    for (int64_t i = 0; i < rows->n_rows; i++) {
        /* as unsigned, a negative number is too large as well */
        if ((uint32_t)rows->day[i] >= (uint32_t)rows->n_days ||
            (uint32_t)rows->level[i] >= (uint32_t)rows->n_levels || rows->y[i] > 1 ||
            !has_value(kind, rows->champion[i]) ||
            !has_value(kind, rows->challenger[i])) {
            return explain(rows, kind, i, err);
        }
    }
    return RT_OK;
}

rt_status rt_sum_paired(const rt_paired_rows *rows, rt_score_kind kind,
                        int32_t n_threads, rt_ctl *ctl, int64_t *sums, rt_error *err)
{
    workspace w = {{NULL, NULL}, NULL, NULL, NULL, NULL, NULL};
    int64_t bad = -1;
    assert(kind >= 0 && kind < RT_SCORE_KINDS);
    rt_status status = rt_check_threads(n_threads, where, err);
    if (status == RT_OK) {
        status = check_rows(rows, kind, err);
    }
    if (status == RT_OK && !is_loss(kind)) {
        status = open_workspace(&w, rows, err);
        if (status == RT_OK) {
            status =
                place_levels(rows, kind, rt_resolve_threads(n_threads), ctl, &w, err);
        }
    }
    if (status == RT_OK) {
        const sum_input input = {rows, kind, {w.value[0], w.value[1]}};
        const rt_count_job job = {.counter = add_rows,
                                  .input = &input,
                                  .n_rows = rows->n_rows,
                                  .n_counts = (int64_t)rows->n_days * rows->n_levels *
                                              RT_PAIRED_SUMS * 2,
                                  .n_threads = n_threads,
                                  .where = where,
                                  .wide = true};
        status = rt_count_rows(&job, ctl, sums, &bad, err);
    }
    close_workspace(&w);
    return status;
}
