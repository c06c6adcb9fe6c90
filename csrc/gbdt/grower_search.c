/* The best split of a leaf over all columns of the tree. Each rank tries those of its
 * bytes of the shape, rank 0 takes the best of all. The order of candidates is total
 * (gain, then the smaller feature), so who tried which does not matter. */
#include "gbdt/grower_search.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "gbdt/grower_memory.h"
#include "gbdt/split_category.h"

/* One column of the leaf. What is missing of a numeric split is made up for the best of
 * all columns alone (rt_split_left). */
static void find_split(const rt_grower *grower, const rt_leaf *leaf, int32_t at,
                       rt_split *found)
{
    int32_t feature = grower->tree.shape.feature[at];
    const rt_cut *cut = &grower->bins->cuts[feature];
    const rt_histogram *histogram = &grower->pool.slot[leaf->slot];
    const int64_t cells = (int64_t)at * grower->tree.shape.stride;
    /* A copy: range and direction are this leaf's and this column's. */
    rt_split_rules rules = grower->tree.rules;
    rules.range = leaf->range;
    rules.monotone = grower->monotone == NULL ? 0 : grower->monotone[feature];
    if (cut->levels == 0) {
        rt_split_numeric(&rules, cut, histogram, cells, leaf->sums, found);
    } else {
        rt_split_categorical(&rules, cut, histogram, &cells, leaf->sums, found);
    }
    found->feature = feature;
}

/* The larger gain comes first; of equal ones, that of the smaller feature. A gain of 0
 * is no split, so its feature does not matter. */
static bool is_better(const rt_split *split, const rt_split *than)
{
    return split->gain > than->gain ||
           (split->gain == than->gain && split->gain > 0.0 &&
            split->feature < than->feature);
}

/* Of a numeric split there is no set to copy: 128 bytes for each feature of each
 * leaf. */
static bool take_better(rt_split *best, const rt_split *found)
{
    if (!is_better(found, best)) {
        return false;
    }
    memcpy(best, found, found->categorical ? sizeof *best : offsetof(rt_split, set));
    return true;
}

/* Has it further parts, or is it one? Their histograms may be other ranks'. */
static bool in_parts(const rt_grower *grower, int32_t at)
{
    const int32_t cut = grower->tree.shape.feature[at];
    /* Behind the drawn features there are only further parts. */
    return at >= grower->columns.n_drawn || rt_cut_has_parts(&grower->bins->cuts[cut]);
}

/* Of the features in one part of the shape that have one byte. */
static rt_split best_split(const rt_grower *grower, const rt_leaf *leaf,
                           rt_hist_part part)
{
    const rt_hist_shape *shape = &grower->tree.shape;
    rt_split best = {.gain = 0.0};
    /* Not cleared: a numeric split leaves the set as it is, and nobody reads it. */
    rt_split found;
    int32_t best_at = -1; /* its place in the shape; -1: none gains */
    for (int32_t place = part.begin; place < part.end; place++) {
        for (int32_t at = shape->first[place]; at >= 0; at = shape->next[at]) {
            if (in_parts(grower, at)) {
                continue;
            }
            find_split(grower, leaf, at, &found);
            best_at = take_better(&best, &found) ? at : best_at;
        }
    }
    if (best_at >= 0 && !best.categorical) {
        rt_split_left(&grower->bins->cuts[best.feature], &grower->pool.slot[leaf->slot],
                      (int64_t)best_at * shape->stride, leaf->sums, &best);
    }
    /* A side without rows would make a leaf that no row reaches. */
    assert(best_at < 0 || (best.left.rows > 0 && best.left.rows < leaf->sums.rows));
    return best;
}

void rt_grower_find_splits(rt_grower *grower, int32_t rank, rt_hist_part part)
{
    rt_candidates *mine = &grower->rank.candidates[rank];
    if (grower->step.split_left) {
        /* Sides that may not be split keep what an earlier step left there. */
        mine->left = best_split(grower, &grower->tree.leaf[grower->step.left], part);
    }
    if (grower->step.split_right) {
        mine->right = best_split(grower, &grower->tree.leaf[grower->step.right], part);
    }
}

/* Tries the features with several parts for a leaf that has the best split of all
 * others: by one rank, when all histograms are made. Parts lie behind the features, in
 * their order. */
static void try_parts(const rt_grower *grower, rt_leaf *leaf)
{
    const rt_hist_shape *shape = &grower->tree.shape;
    const rt_histogram *histogram = &grower->pool.slot[leaf->slot];
    int32_t next = grower->columns.n_drawn;
    rt_split_rules rules = grower->tree.rules;
    rules.range = leaf->range;
    rules.monotone = 0; /* levels have no order */
    for (int32_t at = 0; next < shape->features; at++) {
        const rt_cut *cut = &grower->bins->cuts[shape->feature[at]];
        int64_t cells[RT_PARTS_MAX] = {(int64_t)at * shape->stride};
        int32_t parts = 1;
        rt_split found;
        if (!in_parts(grower, at)) {
            continue;
        }
        for (const rt_cut *part = cut->more; part != NULL && part->n_bins > 0;
             part = part->more) {
            cells[parts++] = (int64_t)next++ * shape->stride;
        }
        rt_split_categorical(&rules, cut, histogram, cells, leaf->sums, &found);
        found.feature = shape->feature[at];
        /* By the same order as between columns, so parts do not come first or last. */
        take_better(&leaf->best, &found);
    }
}

/* A leaf that no split improves needs its histogram no more. */
static void settle(rt_grower *grower, rt_leaf *leaf)
{
    if (leaf->best.gain <= 0.0) {
        rt_grower_drop_slot(grower, leaf);
    }
}

void rt_grower_choose_splits(rt_grower *grower, int32_t ranks)
{
    rt_leaf *left = &grower->tree.leaf[grower->step.left];
    rt_leaf *right = &grower->tree.leaf[grower->step.right];
    /* Into the place of rank 0. A child that may not be split has stale candidates,
     * which are compared too and then not used. */
    rt_candidates *best = &grower->rank.candidates[0];
    for (int32_t rank = 1; rank < ranks; rank++) {
        const rt_candidates *other = &grower->rank.candidates[rank];
        take_better(&best->left, &other->left);
        take_better(&best->right, &other->right);
    }
    if (grower->step.split_left) {
        left->best = best->left;
        try_parts(grower, left);
        settle(grower, left);
    }
    if (grower->step.split_right) {
        right->best = best->right;
        try_parts(grower, right);
        settle(grower, right);
    }
}
