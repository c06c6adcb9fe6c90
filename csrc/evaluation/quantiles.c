/* Exact quantile edges by radix selection.
 *
 * One pass counts the top 16 bits of every ordered key. That places each wanted
 * rank in a bucket; only the keys of those buckets are gathered and sorted. For
 * ten quantiles of a smooth column this sorts a part of the rows, and for a
 * column of one value it sorts nothing but equal keys, which radix sort skips. */
#include "evaluation/quantiles.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/radix_sort.h"

enum { BUCKETS = 1 << 16, BUCKET_SHIFT = 48, BLOCK_ROWS = 1 << 20 };

static const char where[] = "rt_quantile_edges";

typedef struct selection {
    int64_t *size;   /* finite values per bucket */
    int64_t *start;  /* position of the bucket's keys in `keys`; -1: not gathered */
    uint64_t *keys;  /* the keys of the marked buckets */
    int64_t n_keys;  /* how many were gathered */
    int64_t n_value; /* finite values */
} selection;

static inline int64_t bucket_of(uint64_t key)
{
    return (int64_t)(key >> BUCKET_SHIFT);
}

static bool count_buckets(const double *x, int64_t n_rows, rt_ctl *ctl, selection *s)
{
    for (int64_t i = 0; i < n_rows; i++) {
        if (i % BLOCK_ROWS == 0 && rt_ctl_cancelled(ctl)) {
            return false;
        }
        if (isfinite(x[i])) {
            s->size[bucket_of(rt_key_of_double(x[i]))]++;
            s->n_value++;
        }
    }
    return true;
}

/* Rank of edge i, from 0: ceil(i m / n) - 1, without the product that could
 * pass 64 bits. */
static int64_t rank_of(int64_t m, int32_t i, int32_t n_bins)
{
    int64_t whole = m / n_bins * i;
    int64_t rest = (m % n_bins * i + n_bins - 1) / n_bins;
    int64_t rank = whole + rest;
    return rank > 0 ? rank - 1 : 0;
}

/* Marks the buckets that hold a wanted rank and gives them room, in order. */
static void mark_buckets(selection *s, int32_t n_bins)
{
    int32_t edge = 1;
    int64_t below = 0;
    for (int64_t bucket = 0; bucket < BUCKETS; bucket++) {
        s->start[bucket] = -1;
        int64_t next = below + s->size[bucket];
        while (edge < n_bins && rank_of(s->n_value, edge, n_bins) < next) {
            s->start[bucket] = s->n_keys;
            edge++;
        }
        s->n_keys += s->start[bucket] >= 0 ? s->size[bucket] : 0;
        below = next;
    }
    assert(edge == n_bins && below == s->n_value);
}

static bool gather(const double *x, int64_t n_rows, rt_ctl *ctl, selection *s)
{
    int64_t filled = 0;
    for (int64_t i = 0; i < n_rows; i++) {
        if (i % BLOCK_ROWS == 0 && rt_ctl_cancelled(ctl)) {
            return false;
        }
        if (isfinite(x[i])) {
            uint64_t key = rt_key_of_double(x[i]);
            if (s->start[bucket_of(key)] >= 0) {
                s->keys[filled++] = key;
            }
        }
    }
    assert(filled == s->n_keys);
    return true;
}

/* Buckets are ranges of the key, so sorting all gathered keys at once leaves
 * every bucket in the room that `start` names. */
static int32_t read_edges(const selection *s, int32_t n_bins, double *edges)
{
    int32_t found = 0;
    int64_t bucket = 0;
    int64_t below = 0;
    for (int32_t edge = 1; edge < n_bins; edge++) {
        int64_t rank = rank_of(s->n_value, edge, n_bins);
        while (below + s->size[bucket] <= rank) {
            below += s->size[bucket++];
        }
        double value = rt_double_of_key(s->keys[s->start[bucket] + rank - below]);
        if (found == 0 || edges[found - 1] < value) {
            edges[found++] = value;
        }
    }
    return found;
}

static rt_status sort_selected(const double *x, int64_t n_rows, rt_ctl *ctl,
                               selection *s, rt_error *err)
{
    void *keys = NULL;
    void *scratch = NULL;
    rt_status status = rt_alloc(&keys, s->n_keys, sizeof *s->keys, where, err);
    s->keys = keys; /* the caller frees it */
    if (status == RT_OK) {
        status = rt_alloc(&scratch, s->n_keys, sizeof *s->keys, where, err);
    }
    if (status != RT_OK) {
        goto done;
    }
    if (!gather(x, n_rows, ctl, s)) {
        status = rt_fail(err, RT_CANCELLED, where, "cancelled while gathering");
        goto done;
    }
    status = rt_sort_u64(s->keys, scratch, s->n_keys, 1, ctl, err);
done:
    rt_free(scratch);
    return status;
}

rt_status rt_quantile_edges(const double *x, int64_t n_rows, int32_t n_bins,
                            rt_ctl *ctl, double *edges, int32_t *n_edges, rt_error *err)
{
    void *tables = NULL;
    selection s = {NULL, NULL, NULL, 0, 0};

    assert(n_rows >= 0);
    *n_edges = 0;
    if (n_bins < 1 || n_bins > RT_MAX_DRIFT_BINS) {
        return rt_fail(err, RT_INVALID, where, "n_bins is %d, it must lie in 1..%d",
                       n_bins, RT_MAX_DRIFT_BINS);
    }
    rt_status status = rt_alloc(&tables, 2 * BUCKETS, sizeof *s.size, where, err);
    if (status != RT_OK) {
        goto done;
    }
    s.size = tables;
    s.start = s.size + BUCKETS;
    if (!count_buckets(x, n_rows, ctl, &s)) {
        status = rt_fail(err, RT_CANCELLED, where, "cancelled while counting");
        goto done;
    }
    if (s.n_value == 0) {
        goto done; /* no finite value: one bin, no edge */
    }
    mark_buckets(&s, n_bins);
    status = sort_selected(x, n_rows, ctl, &s, err);
    if (status == RT_OK) {
        *n_edges = read_edges(&s, n_bins, edges);
    }
done:
    rt_free(s.keys);
    rt_free(tables);
    return status;
}
