/* DeLong's test of two AUCs, as integers. The two models rank the rows in two
 * ways, so placements are written back to their rows before they are paired. */
#include "evaluation/delong.h"

#include <assert.h>

#include "base/alloc.h"
#include "evaluation/ranking.h"
#include "parallel/placement.h"
#include "parallel/threads.h"

static const char where[] = "rt_delong_sums";

/* Twice the rows of the other class below, plus those of it tied; 32 bits hold it. */
static void place(const rt_ranking *r, uint32_t *placement)
{
    int64_t below[2] = {0, 0};
    int64_t here[2];
    for (int64_t begin = 0; begin < r->n_rows;) {
        const int64_t end = rt_group_end(r, begin, here);
        for (; begin < end; begin++) {
            const int other = 1 - rt_item_label(r->items[begin]);
            placement[rt_item_row(r->items[begin])] =
                (uint32_t)(2 * below[other] + here[other]);
        }
        below[0] += here[0];
        below[1] += here[1];
    }
    assert(below[0] + below[1] == r->n_rows);
}

static rt_status rank_model(const rt_ranking *r, const double *score, const char *name,
                            uint32_t *placement, rt_error *err)
{
    rt_status status = rt_rank_rows(r, score, name, err);
    if (status == RT_OK) {
        place(r, placement);
    }
    return status;
}

static void add_to(rt_wide *total, rt_uint128 x)
{
    rt_uint128 sum = ((rt_uint128)total->high << 64 | total->low) + x;
    *total = (rt_wide){(uint64_t)(sum >> 64), (uint64_t)sum};
}

/* A placement is below 2^32 and a product below 2^64, so 2^31 rows stay below
 * 2^95. */
static void sum_up(const uint8_t *y, const uint32_t *a, const uint32_t *b,
                   int64_t n_rows, rt_delong *delong)
{
    rt_uint128 sum[2][2] = {{0, 0}, {0, 0}};
    rt_uint128 product[2][3] = {{0, 0, 0}, {0, 0, 0}};
    for (int64_t i = 0; i < n_rows; i++) {
        int group = 1 - y[i]; /* rt_delong begins with the positives */
        uint64_t of_a = a[i];
        uint64_t of_b = b[i];
        sum[group][0] += of_a;
        sum[group][1] += of_b;
        product[group][0] += of_a * of_a;
        product[group][1] += of_b * of_b;
        product[group][2] += of_a * of_b;
        delong->n_pos += y[i];
    }
    delong->n_neg = n_rows - delong->n_pos;
    for (int group = 0; group < 2; group++) {
        add_to(&delong->sum[group][0], sum[group][0]);
        add_to(&delong->sum[group][1], sum[group][1]);
        for (int pair = 0; pair < 3; pair++) {
            add_to(&delong->product[group][pair], product[group][pair]);
        }
    }
}

static rt_status check_rows(const uint8_t *y, int64_t n_rows, rt_error *err)
{
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

    assert(n_rows >= 0);
    *delong = (rt_delong){0};
    rt_status status = rt_check_threads(n_threads, where, err);
    if (status == RT_OK) {
        status = check_rows(y, n_rows, err);
    }
    if (status == RT_OK) {
        status = rt_alloc_scratch(&items, n_rows, sizeof(uint64_t), where, err);
    }
    if (status == RT_OK) {
        status = rt_alloc_scratch(&scratch, n_rows, sizeof(uint64_t), where, err);
    }
    if (status == RT_OK) {
        status =
            rt_alloc_scratch(&placements, 2 * n_rows, sizeof(uint32_t), where, err);
    }
    if (status != RT_OK) {
        goto done;
    }
    uint32_t *of_a = placements;
    uint32_t *of_b = of_a + n_rows;
    rt_ranking r = {y,   n_rows, items, scratch, rt_resolve_threads(n_threads),
                    ctl, where};
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
