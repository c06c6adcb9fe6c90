#include "evaluation/ranks.h"

#include <assert.h>
#include <math.h>
#include <omp.h>
#include <stdbool.h>

#include "base/alloc.h"
#include "base/exact_sum.h"
#include "base/limits.h"
#include "base/radix_sort.h"
#include "base/ranges.h"
#include "parallel/placement.h"
#include "parallel/threads.h"

__extension__ typedef unsigned __int128 uint128;

enum { BLOCK_ROWS = 1 << 20, ROWS_PER_THREAD = 1 << 16 };

/* Keys of the positives, then of the negatives, each sorted. */
typedef struct rt_lists {
    void *keys, *scratch;
    int64_t n_pos, n_neg;
} rt_lists;

#define SCORE float
#define WORD uint32_t
#define KEY_OF rt_key_of_float
#define SORT rt_sort_u32
#define NAMED(name) name##_f32
#include "evaluation/ranks_body.h"
#undef NAMED
#undef SORT
#undef KEY_OF
#undef WORD
#undef SCORE

#define SCORE double
#define WORD uint64_t
#define KEY_OF rt_key_of_double
#define SORT rt_sort_u64
#define NAMED(name) name##_f64
#include "evaluation/ranks_body.h"

static int32_t team_size(int64_t n_rows, int32_t n_threads)
{
    return rt_useful_threads(n_threads, n_rows, ROWS_PER_THREAD);
}

static int64_t count_positives(const uint8_t *y, int64_t begin, int64_t end)
{
    int64_t positives = 0;
    for (int64_t i = begin; i < end; i++) {
        positives += y[i];
    }
    return positives;
}

static rt_status check_labels(const uint8_t *y, int64_t n_rows, const char *where,
                              rt_error *err)
{
    unsigned worst = 0;
    int64_t i = 0;
    for (i = 0; i < n_rows; i++) { /* one OR per label: the compiler vectorises it */
        worst |= y[i];
    }
    if (worst <= 1) {
        return RT_OK;
    }
    for (i = 0; y[i] <= 1; i++) {
    }
    return rt_fail(err, RT_INVALID, where, "y[%lld] is %d, it must be 0 or 1",
                   (long long)i, y[i]);
}

/* Each thread splits its share; where its positives and negatives go follows
 * from the positives in the shares before. Shares ascend with the rank, so
 * the first share with a bad row has the first of all. */
static int64_t split_all(const rt_scored_rows *rows, int32_t team, rt_ctl *ctl,
                         rt_lists *lists)
{
    int64_t bad[RT_MAX_THREADS];
    int64_t n_pos = lists->n_pos;
    rt_spread_team(team);
#pragma omp parallel for num_threads(team) schedule(static)
    for (int32_t rank = 0; rank < team; rank++) {
        int64_t begin = rt_range_begin(rows->n_rows, rank, team);
        int64_t end = rt_range_begin(rows->n_rows, rank + 1, team);
        bad[rank] = -1;
        int64_t before = count_positives(rows->y, 0, begin);
        int64_t at[2] = {before, n_pos + begin - before};
        for (; begin < end && !rt_ctl_cancelled(ctl); begin += BLOCK_ROWS) {
            int64_t stop = end - begin > BLOCK_ROWS ? begin + BLOCK_ROWS : end;
            int64_t found = rows->is_float != 0
                                ? split_rows_f32(rows, begin, stop, lists->keys, at)
                                : split_rows_f64(rows, begin, stop, lists->keys, at);
            if (found >= 0) {
                bad[rank] = found;
                break;
            }
            int64_t positives = count_positives(rows->y, begin, stop);
            at[0] += positives;
            at[1] += stop - begin - positives;
        }
    }
    for (int32_t rank = 0; rank < team; rank++) {
        if (bad[rank] >= 0) {
            return bad[rank];
        }
    }
    return -1;
}

/* Fills both lists, sorted. The caller frees them whatever comes back. */
static rt_status make_lists(const rt_scored_rows *rows, int32_t team, rt_ctl *ctl,
                            const char *where, rt_lists *lists, rt_error *err)
{
    size_t bytes = rows->is_float != 0 ? sizeof(uint32_t) : sizeof(uint64_t);
    rt_status status = check_labels(rows->y, rows->n_rows, where, err);
    if (status == RT_OK) {
        status = rt_alloc_scratch(&lists->keys, rows->n_rows, bytes, where, err);
    }
    if (status == RT_OK) {
        status = rt_alloc_scratch(&lists->scratch, rows->n_rows, bytes, where, err);
    }
    if (status != RT_OK) {
        return status;
    }
    lists->n_pos = count_positives(rows->y, 0, rows->n_rows);
    lists->n_neg = rows->n_rows - lists->n_pos;
    int64_t bad = split_all(rows, team, ctl, lists);
    if (bad >= 0) {
        return rt_fail(err, RT_INVALID, where, "score[%lld] is NaN, it has no rank",
                       (long long)bad);
    }
    if (rt_ctl_cancelled(ctl)) {
        return rt_fail(err, RT_CANCELLED, where, "cancelled while ranking");
    }
    return rows->is_float != 0 ? sort_lists_f32(lists, team, ctl, err)
                               : sort_lists_f64(lists, team, ctl, err);
}

static void free_lists(rt_lists *lists)
{
    rt_free(lists->scratch);
    rt_free(lists->keys);
}

static uint128 all_pairs(const rt_scored_rows *rows, const rt_lists *lists,
                         int32_t team, rt_ctl *ctl)
{
    uint128 part[RT_MAX_THREADS]; /* integers: any order gives the same sum */
    uint128 total = 0;
#pragma omp parallel for num_threads(team) schedule(static)
    for (int32_t rank = 0; rank < team; rank++) {
        int64_t begin = rt_range_begin(lists->n_pos, rank, team);
        int64_t end = rt_range_begin(lists->n_pos, rank + 1, team);
        part[rank] = rows->is_float != 0 ? count_pairs_f32(lists, begin, end, ctl)
                                         : count_pairs_f64(lists, begin, end, ctl);
    }
    for (int32_t rank = 0; rank < team; rank++) {
        total += part[rank];
    }
    return total;
}

rt_status rt_roc_auc(const rt_scored_rows *rows, rt_ctl *ctl, rt_auc *auc,
                     rt_error *err)
{
    static const char where[] = "rt_roc_auc";
    rt_lists lists = {NULL, NULL, 0, 0};

    *auc = (rt_auc){{0, 0}, 0, 0};
    rt_status status = rt_check_threads(rows->n_threads, where, err);
    if (status != RT_OK) {
        return status;
    }
    int32_t team = team_size(rows->n_rows, rows->n_threads);
    status = make_lists(rows, team, ctl, where, &lists, err);
    if (status == RT_OK) {
        uint128 u2 = all_pairs(rows, &lists, team, ctl);
        *auc = (rt_auc){{(uint64_t)(u2 >> 64), (uint64_t)u2}, lists.n_pos, lists.n_neg};
    }
    if (status == RT_OK && rt_ctl_cancelled(ctl)) {
        status = rt_fail(err, RT_CANCELLED, where, "cancelled while counting pairs");
    }
    free_lists(&lists);
    return status;
}

static inline uint64_t key_at(const rt_lists *lists, bool is_float, int64_t i)
{
    return is_float ? ((const uint32_t *)lists->keys)[i]
                    : ((const uint64_t *)lists->keys)[i];
}

/* Walks both lists down from the highest score. */
static double weigh_groups(const rt_lists *lists, bool is_float)
{
    rt_exact_sum sum = {0.0, 0.0};
    int64_t tp = 0;
    int64_t fp = 0;
    while (tp < lists->n_pos) {
        int64_t before = tp;
        uint64_t key = key_at(lists, is_float, lists->n_pos - 1 - tp);
        while (tp < lists->n_pos &&
               key_at(lists, is_float, lists->n_pos - 1 - tp) == key) {
            tp++;
        }
        while (fp < lists->n_neg &&
               key_at(lists, is_float, lists->n_pos + lists->n_neg - 1 - fp) >= key) {
            fp++;
        }
        double precision = (double)tp / (double)(tp + fp);
        rt_exact_add(&sum, (double)(tp - before) * precision);
    }
    return rt_exact_value(&sum);
}

rt_status rt_average_precision(const rt_scored_rows *rows, rt_ctl *ctl,
                               rt_precision *precision, rt_error *err)
{
    static const char where[] = "rt_average_precision";
    rt_lists lists = {NULL, NULL, 0, 0};

    *precision = (rt_precision){0.0, 0, 0};
    rt_status status = rt_check_threads(rows->n_threads, where, err);
    if (status != RT_OK) {
        return status;
    }
    status = make_lists(rows, team_size(rows->n_rows, rows->n_threads), ctl, where,
                        &lists, err);
    if (status == RT_OK) {
        *precision = (rt_precision){weigh_groups(&lists, rows->is_float != 0),
                                    lists.n_pos, lists.n_neg};
    }
    free_lists(&lists);
    return status;
}

/* A merge of the two lists; without `out` it only counts the runs. */
static int64_t write_runs(const rt_lists *lists, int64_t *out)
{
    const uint64_t *positive = lists->keys;
    const uint64_t *negative = positive + lists->n_pos;
    int64_t runs = 0;
    for (int64_t i = 0, j = 0; i < lists->n_pos || j < lists->n_neg; runs++) {
        bool from_positive =
            j == lists->n_neg || (i < lists->n_pos && positive[i] < negative[j]);
        uint64_t key = from_positive ? positive[i] : negative[j];
        int64_t first_i = i;
        int64_t first_j = j;
        while (i < lists->n_pos && positive[i] == key) {
            i++;
        }
        while (j < lists->n_neg && negative[j] == key) {
            j++;
        }
        if (out != NULL) {
            out[3 * runs] = (int64_t)(key ^ UINT64_C(1) << 63);
            out[3 * runs + 1] = i - first_i;
            out[3 * runs + 2] = j - first_j;
        }
    }
    return runs;
}

rt_status rt_rank_runs(const rt_scored_rows *rows, rt_ctl *ctl, void **block,
                       int64_t *n_runs, rt_error *err)
{
    static const char where[] = "rt_rank_runs";
    rt_lists lists = {NULL, NULL, 0, 0};

    *block = NULL;
    *n_runs = 0;
    assert(rows->is_float == 0);
    rt_status status = rt_check_threads(rows->n_threads, where, err);
    if (status != RT_OK) {
        return status;
    }
    status = make_lists(rows, team_size(rows->n_rows, rows->n_threads), ctl, where,
                        &lists, err);
    if (status == RT_OK) {
        *n_runs = write_runs(&lists, NULL);
        status = rt_alloc_scratch(block, 3 * *n_runs, sizeof(int64_t), where, err);
    }
    if (status == RT_OK) {
        (void)write_runs(&lists, *block);
    }
    free_lists(&lists);
    return status;
}
