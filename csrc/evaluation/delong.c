/* DeLong's test of two AUCs, as integers. The two models rank the rows in two
 * ways, so placements are written back to their rows before they are paired. */
#include <math.h>

#include "base/alloc.h"
#include "base/radix_sort.h"
#include "evaluation/ranks.h"
#include "parallel/placement.h"
#include "parallel/threads.h"

__extension__ typedef unsigned __int128 uint128;

static const char where[] = "rt_delong_sums";

enum { FEW = 32 };

typedef struct ranking {
    const uint8_t *y;
    int64_t n_rows;
    uint64_t *items, *scratch;
    int32_t threads;
    rt_ctl *ctl;
} ranking;

/* Who is below whom, while rows are visited in ascending order. */
typedef struct places {
    const double *score;
    uint32_t *of_row;  /* twice the other class below, plus the other class tied */
    uint32_t below[2]; /* negatives, positives; doubled they fit 32 bits */
} places;

/* An item is what the row's key has above the least, cut to 32 bits, and beneath it the
 * row and its label: half the memory of a whole key and a row, and the walk below reads
 * no label out of order. */
static rt_status fill_items(const ranking *r, const double *score, const char *name,
                            rt_error *err)
{
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    for (int64_t i = 0; i < r->n_rows; i++) {
        if (isnan(score[i])) {
            return rt_fail(err, RT_INVALID, where, "%s[%lld] is NaN, it has no rank",
                           name, (long long)i);
        }
        const uint64_t key = rt_key_of_double(score[i]);
        least = key < least ? key : least;
        most = key > most ? key : most;
    }
    int32_t shift = 0;
    while (r->n_rows > 0 && ((most - least) >> shift) > UINT32_MAX) {
        shift++;
    }
    for (int64_t i = 0; i < r->n_rows; i++) {
        const uint64_t head = (rt_key_of_double(score[i]) - least) >> shift;
        r->items[i] = head << 32 | (uint64_t)i << 1 | r->y[i];
    }
    return RT_OK;
}

/* Rows whose scores are equal. */
static void place_tied(places *p, const rt_ranked *items, int64_t count)
{
    uint32_t here[2] = {0, 0};
    for (int64_t i = 0; i < count; i++) {
        here[items[i].row & 1]++;
    }
    for (int64_t i = 0; i < count; i++) {
        const uint64_t other = 1 - (items[i].row & 1);
        p->of_row[items[i].row >> 1] = 2 * p->below[other] + here[other];
    }
    p->below[0] += here[0];
    p->below[1] += here[1];
}

/* Rows whose keys begin alike: their whole keys decide. `ranked` has room for as many,
 * twice. */
static rt_status place_alike(places *p, const uint64_t *items, int64_t count,
                             rt_ranked *ranked, rt_error *err)
{
    for (int64_t i = 0; i < count; i++) {
        const uint64_t row = items[i] & UINT32_MAX;
        ranked[i] = (rt_ranked){rt_key_of_double(p->score[row >> 1]), row};
    }
    rt_status status = rt_sort_ranked(ranked, ranked + count, count, 1, NULL, err);
    for (int64_t begin = 0; status == RT_OK && begin < count;) {
        int64_t end = begin;
        while (end < count && ranked[end].key == ranked[begin].key) {
            end++;
        }
        place_tied(p, ranked + begin, end - begin);
        begin = end;
    }
    return status;
}

static rt_status place_many_alike(places *p, const uint64_t *items, int64_t count,
                                  rt_error *err)
{
    void *ranked = NULL;
    rt_status status =
        rt_alloc_scratch(&ranked, 2 * count, sizeof(rt_ranked), where, err);
    if (status == RT_OK) {
        status = place_alike(p, items, count, ranked, err);
    }
    rt_free(ranked);
    return status;
}

static rt_status place(const ranking *r, places *p, rt_error *err)
{
    rt_ranked few[2 * FEW];
    rt_status status = RT_OK;
    for (int64_t begin = 0; status == RT_OK && begin < r->n_rows;) {
        const uint64_t item = r->items[begin];
        int64_t end = begin + 1;
        while (end < r->n_rows && r->items[end] >> 32 == item >> 32) {
            end++;
        }
        if (end - begin == 1) {
            const uint64_t label = item & 1;
            p->of_row[(item & UINT32_MAX) >> 1] = 2 * p->below[1 - label];
            p->below[label]++;
        } else if (end - begin <= FEW) {
            status = place_alike(p, r->items + begin, end - begin, few, err);
        } else {
            status = place_many_alike(p, r->items + begin, end - begin, err);
        }
        begin = end;
    }
    return status;
}

static rt_status rank_model(const ranking *r, const double *score, const char *name,
                            uint32_t *placement, rt_error *err)
{
    places p = {score, placement, {0, 0}};
    rt_status status = fill_items(r, score, name, err);
    if (status == RT_OK) {
        status = rt_sort_u64(r->items, r->scratch, r->n_rows, r->threads, r->ctl, err);
    }
    return status == RT_OK ? place(r, &p, err) : status;
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

    *delong = (rt_delong){0};
    rt_status status = rt_check_threads(n_threads, where, err);
    if (status == RT_OK) {
        status = check_rows(y, n_rows, err);
    }
    if (status != RT_OK) {
        return status;
    }
    if ((status = rt_alloc_scratch(&items, n_rows, sizeof(uint64_t), where, err)) !=
            RT_OK ||
        (status = rt_alloc_scratch(&scratch, n_rows, sizeof(uint64_t), where, err)) !=
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
