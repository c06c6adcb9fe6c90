/* A radix sort of 32 bits of each key with the row beneath, then whole keys where those
 * bits tie: half the memory of a whole key and a row, and who walks the result reads no
 * label out of order. Unit: rows. */
#include "evaluation/ranking.h"

#include <math.h>

#include "base/alloc.h"
#include "base/radix_sort.h"

enum { FEW = 32 };

/* An item is what the row's key has above the least, cut to 32 bits, and beneath it the
 * row and its label. */
static rt_status fill_items(const rt_ranking *r, const double *score, const char *name,
                            rt_error *err)
{
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    for (int64_t i = 0; i < r->n_rows; i++) {
        if (isnan(score[i])) {
            return rt_fail(err, RT_INVALID, r->where, "%s[%lld] is NaN, it has no rank",
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

/* Puts `count` items whose keys begin alike in the order of their whole keys; `ranked`
 * has room for as many, twice. Returns the number of the next group through `group`. */
static rt_status order_alike(const rt_ranking *r, const double *score, int64_t begin,
                             int64_t count, rt_ranked *ranked, uint64_t *group,
                             rt_error *err)
{
    for (int64_t i = 0; i < count; i++) {
        const uint64_t item = r->items[begin + i] & UINT32_MAX;
        ranked[i] = (rt_ranked){rt_key_of_double(score[item >> 1]), item};
    }
    rt_status status = rt_sort_ranked(ranked, ranked + count, count, 1, NULL, err);
    for (int64_t i = 0; status == RT_OK && i < count; i++) {
        *group += i > 0 && ranked[i].key != ranked[i - 1].key;
        r->items[begin + i] = *group << 32 | ranked[i].row;
    }
    ++*group;
    return status;
}

static rt_status order_many_alike(const rt_ranking *r, const double *score,
                                  int64_t begin, int64_t count, uint64_t *group,
                                  rt_error *err)
{
    void *ranked = NULL;
    rt_status status =
        rt_alloc_scratch(&ranked, 2 * count, sizeof(rt_ranked), r->where, err);
    if (status == RT_OK) {
        status = order_alike(r, score, begin, count, ranked, group, err);
    }
    rt_free(ranked);
    return status;
}

/* Heads of keys become numbers of groups. */
static rt_status number_groups(const rt_ranking *r, const double *score, rt_error *err)
{
    rt_ranked few[2 * FEW];
    uint64_t group = 0;
    rt_status status = RT_OK;
    for (int64_t begin = 0; status == RT_OK && begin < r->n_rows;) {
        const uint32_t head = rt_item_group(r->items[begin]);
        int64_t end = begin + 1;
        while (end < r->n_rows && rt_item_group(r->items[end]) == head) {
            end++;
        }
        if (end - begin == 1) {
            r->items[begin] = group++ << 32 | (r->items[begin] & UINT32_MAX);
        } else if (end - begin <= FEW) {
            status = order_alike(r, score, begin, end - begin, few, &group, err);
        } else {
            status = order_many_alike(r, score, begin, end - begin, &group, err);
        }
        begin = end;
    }
    return status;
}

rt_status rt_rank_rows(const rt_ranking *r, const double *score, const char *name,
                       rt_error *err)
{
    if (r->n_rows > INT32_MAX) {
        return rt_fail(err, RT_LIMIT, r->where, "%lld rows pass the limit of %d",
                       (long long)r->n_rows, INT32_MAX);
    }
    rt_status status = fill_items(r, score, name, err);
    if (status == RT_OK) {
        status = rt_sort_u64(r->items, r->scratch, r->n_rows, r->threads, r->ctl, err);
    }
    return status == RT_OK ? number_groups(r, score, err) : status;
}
