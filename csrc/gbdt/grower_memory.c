/* The grower's memory: one table of arrays, made once for a fit, and a pool of
 * histograms that only grows. Unit: histograms are counted in cells, see histogram.h.
 */
#include "gbdt/grower_memory.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

/* A column needs two kinds of rows to be split: two bins, or one and missing ones.
 * Others are left out once here, not by every tree. */
static int32_t list_usable(const rt_bins *bins, int32_t *usable)
{
    int32_t count = 0;
    for (int32_t f = 0; f < bins->features; f++) {
        const rt_cut *cut = &bins->cuts[f];
        if (cut->n_bins + (cut->has_missing ? 1 : 0) >= 2) { /* as kinds of rows */
            usable[count++] = f;
        }
    }
    return count;
}

/* No tree can have more leaves than rows allow. All arrays by leaf are sized by this,
 * so a generous max_leaf_nodes costs nothing on few rows. */
static int32_t leaves_possible(const rt_gbdt_params *params, int64_t rows)
{
    int64_t wanted = (int64_t)params->value[RT_P_MAX_LEAF_NODES];
    int64_t possible = rows / (int64_t)params->value[RT_P_MIN_SAMPLES_LEAF];
    possible = possible < 1 ? 1 : possible;
    return (int32_t)(wanted < possible ? wanted : possible);
}

/* How many histograms of one byte all columns have: a usable feature one, and each of
 * its further parts another. */
static int64_t histograms(const rt_bins *bins, int32_t usable)
{
    int64_t count = usable;
    for (int32_t c = bins->features; c < bins->n_cuts; c++) {
        count += rt_cut_in_use(bins, c) ? 1 : 0;
    }
    return count;
}

/* All in one table: it is either made as a whole or not at all. */
static rt_status alloc_arrays(rt_grower *grower, rt_error *err)
{
    const int64_t features = grower->bins->features;
    const int64_t cuts = grower->bins->n_cuts;
    const int64_t rows = grower->bins->rows;
    const int64_t leaves = grower->max_leaves;
    const rt_block blocks[] = {
        /* Rows are parted in place with the help of a spare array as long. */
        RT_BLOCK(grower->rows.order, rows),
        RT_BLOCK(grower->rows.spare, rows),
        /* Only levels that go on in further parts ask several bytes at a split. */
        RT_BLOCK(grower->rows.side, cuts > features ? rows : 0),
        RT_BLOCK(grower->rows.node, rows),
        /* Every rank has a run of each leaf, and sums of each node. */
        RT_BLOCK(grower->rows.run, grower->threads * leaves),
        /* A binary tree of n leaves has 2n - 1 nodes; rows left out go to one more. */
        RT_BLOCK(grower->rank.node_sums, 2 * grower->threads * leaves),
        /* The shape of a tree has at most a byte for each cut. */
        RT_BLOCK(grower->columns.drawn, cuts),
        RT_BLOCK(grower->tree.shape.group, cuts),
        RT_BLOCK(grower->tree.shape.first, cuts),
        RT_BLOCK(grower->tree.shape.next, cuts),
        RT_BLOCK(grower->tree.shape.place, cuts),
        RT_BLOCK(grower->columns.usable, features),
        /* Draws, and the scratch of their sort. */
        RT_BLOCK(grower->columns.draw, 2 * features),
        RT_BLOCK(grower->rank.scratch, grower->threads),
        /* One more than leaves: a parent's is still there while a child's is made. */
        RT_BLOCK(grower->pool.slot, leaves + 1),
        RT_BLOCK(grower->pool.free, leaves + 1),
        RT_BLOCK(grower->rank.candidates, grower->threads),
        RT_BLOCK(grower->tree.leaf, leaves),
        RT_BLOCK(grower->tree.node, 2 * leaves),
        RT_BLOCK(grower->tree.stats, 2 * leaves),
        RT_BLOCK(grower->tree.split, 2 * leaves),
    };
    return rt_alloc_all(blocks, sizeof blocks / sizeof blocks[0], "rt_grower_init",
                        err);
}

rt_status rt_grower_init(rt_grower *grower, const rt_bins *bins,
                         const rt_gbdt_params *params, const int8_t *monotone,
                         rt_gradients *gradients, int32_t threads, rt_ctl *ctl,
                         rt_error *err)
{
    assert(bins->groups > 0 && threads > 0);
    memset(grower, 0, sizeof *grower);
    /* What is borrowed is not touched by rt_grower_clear. */
    grower->bins = bins;
    grower->params = params;
    grower->monotone = monotone;
    grower->gradients = gradients;
    grower->ctl = ctl;
    grower->threads = threads;
    grower->max_leaves = leaves_possible(params, bins->rows);

    rt_status status = alloc_arrays(grower, err);
    if (status != RT_OK) {
        goto done;
    }
    /* Columns that are constant in training are never drawn. */
    grower->columns.n_usable = list_usable(bins, grower->columns.usable);
    grower->tree.shape.feature = grower->columns.drawn;
    /* The same for all trees, whichever columns they draw: slots can be reused. */
    grower->tree.shape.stride = rt_hist_stride(bins);
    grower->tree.shape.group_stride = rt_hist_group_stride(bins);
    grower->pool.cells =
        histograms(bins, grower->columns.n_usable) * grower->tree.shape.stride;
    /* A scratch each, so that ranks never write to the same cell. */
    for (int32_t t = 0; t < threads && status == RT_OK; t++) {
        /* A scratch is by bytes of a row, a slot of the pool by features. */
        int64_t cells = (int64_t)bins->groups * grower->tree.shape.group_stride;
        /* Fewer rows are never packed, as a tree has no more rows than the fit. */
        bool packed = bins->rows > RT_WIDE_ROWS;
        status = rt_scratch_init(&grower->rank.scratch[t], cells, packed, err);
    }
done:
    if (status != RT_OK) {
        rt_grower_clear(grower);
    }
    return status;
}

/* A zeroed grower is fine, and one whose init failed halfway. */
void rt_grower_clear(rt_grower *grower)
{
    for (int32_t t = 0; grower->rank.scratch != NULL && t < grower->threads; t++) {
        rt_scratch_clear(&grower->rank.scratch[t]);
    }
    /* The pool's histograms were made one by one, the first `made` of them. */
    for (int32_t i = 0; grower->pool.slot != NULL && i < grower->pool.made; i++) {
        rt_histogram_clear(&grower->pool.slot[i]);
    }
    rt_free(grower->rows.order);
    rt_free(grower->rows.spare);
    rt_free(grower->rows.side);
    rt_free(grower->rows.node);
    rt_free(grower->rows.run);
    rt_free(grower->rank.node_sums);
    rt_free(grower->columns.drawn);
    rt_free(grower->tree.shape.group);
    rt_free(grower->tree.shape.first);
    rt_free(grower->tree.shape.next);
    rt_free(grower->tree.shape.place);
    rt_free(grower->columns.usable);
    rt_free(grower->columns.draw);
    rt_free(grower->rank.scratch);
    rt_free(grower->pool.slot);
    rt_free(grower->pool.free);
    rt_free(grower->rank.candidates);
    rt_free(grower->tree.leaf);
    rt_free(grower->tree.node);
    rt_free(grower->tree.stats);
    rt_free(grower->tree.split);
    memset(grower, 0, sizeof *grower);
}

/* Made on demand: memory follows the leaves that are open at once, not max_leaves. */
int32_t rt_grower_take_slot(rt_grower *grower)
{
    int32_t slot = grower->pool.made;
    /* One for each open leaf, and one more while a leaf becomes two. */
    assert(grower->pool.n_free > 0 || slot <= grower->max_leaves);
    if (grower->pool.n_free > 0) { /* the one given back last is the warmest */
        slot = grower->pool.free[--grower->pool.n_free];
    } else {
        rt_status status = rt_histogram_init(&grower->pool.slot[slot],
                                             grower->pool.cells, &grower->error);
        if (status != RT_OK) {
            grower->status = status;
            return -1;
        }
        grower->pool.made++;
    }
    /* Set anew each time: with drawn rows one tree may be wide and the next packed. */
    grower->pool.slot[slot].is_wide = grower->gradients->wide;
    return slot;
}

/* Leaves that never had one, or gave it back already, are fine. */
void rt_grower_drop_slot(rt_grower *grower, rt_leaf *leaf)
{
    if (leaf->slot >= 0) {
        assert(leaf->slot < grower->pool.made);
        assert(grower->pool.n_free < grower->pool.made);
        grower->pool.free[grower->pool.n_free++] = leaf->slot;
        leaf->slot = -1;
    }
}
