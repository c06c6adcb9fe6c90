/* DeLong's test of two AUCs, as integers. The two models rank the rows in two
 * ways, so placements are written back to their rows before they are paired. */
#include <math.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/radix_sort.h"
#include "base/spread.h"
#include "base/task.h"
#include "kernels/ranks.h"

__extension__ typedef unsigned __int128 uint128;

static const char where[] = "rt_delong_sums";

typedef struct ranking {
    const uint8_t *y;
    int64_t n_rows;
    rt_ranked *items, *scratch;
    int32_t threads;
    rt_ctl *ctl;
} ranking;

static rt_status fill_items(const ranking *r, const double *score, const char *name,
                            rt_error *err)
{
    for (int64_t i = 0; i < r->n_rows; i++) {
        if (isnan(score[i])) {
            return rt_fail(err, RT_INVALID, where, "%s[%lld] is NaN, it has no rank",
                           name, (long long)i);
        }
        /* The label rides in the row's low bit: the walk below then reads no
         * memory out of order. */
        r->items[i] =
            (rt_ranked){rt_key_of_double(score[i]), (uint64_t)i << 1 | r->y[i]};
    }
    return RT_OK;
}

/* placement[row]: twice the other class below, plus the other class tied. */
static void place(const ranking *r, uint32_t *placement)
{
    uint32_t below[2] = {0, 0}; /* negatives, positives; doubled they fit 32 bits */
    for (int64_t begin = 0; begin < r->n_rows;) {
        uint32_t here[2] = {0, 0};
        int64_t end = begin;
        while (end < r->n_rows && r->items[end].key == r->items[begin].key) {
            here[r->items[end++].row & 1]++;
        }
        for (int64_t i = begin; i < end; i++) {
            uint64_t row = r->items[i].row;
            uint64_t other = 1 - (row & 1);
            placement[row >> 1] = 2 * below[other] + here[other];
        }
        below[0] += here[0];
        below[1] += here[1];
        begin = end;
    }
}

static rt_status rank_model(const ranking *r, const double *score, const char *name,
                            uint32_t *placement, rt_error *err)
{
    rt_status status = fill_items(r, score, name, err);
    if (status == RT_OK) {
        status =
            rt_sort_ranked(r->items, r->scratch, r->n_rows, r->threads, r->ctl, err);
    }
    if (status == RT_OK) {
        place(r, placement);
    }
    return status;
}

static void add_to(rt_wide *total, uint128 x)
{
    uint128 sum = ((uint128)total->high << 64 | total->low) + x;
    *total = (rt_wide){(uint64_t)(sum >> 64), (uint64_t)sum};
}

/* A placement is below 2^32 and a product below 2^64, so 2^31 rows stay below
 * 2^95. */
static void sum_up(const uint8_t *y, const uint32_t *a, const uint32_t *b,
                   int64_t n_rows, rt_delong *delong)
{
    uint128 sum[2][2] = {{0, 0}, {0, 0}};
    uint128 product[2][3] = {{0, 0, 0}, {0, 0, 0}};
    for (int64_t i = 0; i < n_rows; i++) {
        int class = 1 - y[i];
        uint64_t of_a = a[i];
        uint64_t of_b = b[i];
        sum[class][0] += of_a;
        sum[class][1] += of_b;
        product[class][0] += of_a * of_a;
        product[class][1] += of_b * of_b;
        product[class][2] += of_a * of_b;
        delong->n_pos += y[i];
    }
    delong->n_neg = n_rows - delong->n_pos;
    for (int class = 0; class < 2; class ++) {
        add_to(&delong->sum[class][0], sum[class][0]);
        add_to(&delong->sum[class][1], sum[class][1]);
        for (int pair = 0; pair < 3; pair++) {
            add_to(&delong->product[class][pair], product[class][pair]);
        }
    }
}

static rt_status check_rows(const uint8_t *y, int64_t n_rows, int32_t n_threads,
                            rt_error *err)
{
    if (n_threads < 0 || n_threads > RT_MAX_THREADS) {
        return rt_fail(err, RT_INVALID, where, "n_threads is %d, it must lie in 0..%d",
                       n_threads, RT_MAX_THREADS);
    }
    if (n_rows > INT32_MAX) {
        return rt_fail(err, RT_LIMIT, where, "%lld rows pass the limit of %d",
                       (long long)n_rows, INT32_MAX);
    }
    for (int64_t i = 0; i < n_rows; i++) {
        if (y[i] > 1) {
            return rt_fail(err, RT_INVALID, where, "y[%lld] is %d, it must be 0 or 1",
                           (long long)i, y[i]);
        }
    }
    return RT_OK;
}

rt_status rt_delong_sums(const uint8_t *y, const double *score_a, const double *score_b,
                         int64_t n_rows, int32_t n_threads, rt_ctl *ctl,
                         rt_delong *delong, rt_error *err)
{
    void *items = NULL;
    void *scratch = NULL;
    void *placements = NULL;

    *delong = (rt_delong){0};
    rt_status status = check_rows(y, n_rows, n_threads, err);
    if (status != RT_OK) {
        return status;
    }
    if ((status = rt_alloc_scratch(&items, n_rows, sizeof(rt_ranked), where, err)) !=
            RT_OK ||
        (status = rt_alloc_scratch(&scratch, n_rows, sizeof(rt_ranked), where, err)) !=
            RT_OK ||
        (status = rt_alloc_scratch(&placements, 2 * n_rows, sizeof(uint32_t), where,
                                   err)) != RT_OK) {
        goto done;
    }
    uint32_t *of_a = placements;
    uint32_t *of_b = of_a + n_rows;
    ranking r = {y, n_rows, items, scratch, rt_resolve_threads(n_threads), ctl};
    rt_spread_team(r.threads);
    status = rank_model(&r, score_a, "score_a", of_a, err);
    if (status == RT_OK) {
        status = rank_model(&r, score_b, "score_b", of_b, err);
    }
    if (status == RT_OK) {
        sum_up(y, of_a, of_b, n_rows, delong);
    }
done:
    rt_free(placements);
    rt_free(scratch);
    rt_free(items);
    return status;
}
