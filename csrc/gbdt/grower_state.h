/* Grows one tree, leaf by leaf: the open leaf with the best gain is split next
 * (ties: the older leaf; depth-wise, the shallowest comes first) until none gains or
 * max_leaf_nodes is reached.
 *
 * Every row belongs to one rank (team.h), which lists those of the tree in its part of
 * `order`; of each leaf it has a run of that, ascending, which a split parts. Only the
 * smaller child's histogram is built from rows: the larger one's is the parent's minus
 * that, exactly. */
#ifndef RT_GBDT_GROWER_STATE_H
#define RT_GBDT_GROWER_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/ctl.h"
#include "base/status.h"
#include "gbdt/bins.h"
#include "gbdt/forest.h"
#include "gbdt/gradient.h"
#include "gbdt/histogram.h"
#include "gbdt/params.h"
#include "gbdt/split.h"
#include "parallel/team.h"

typedef struct rt_leaf {
    int64_t rows;
    int32_t node, depth;
    int32_t slot; /* histogram, -1: it will never be split */
    rt_sums sums;
    double l2;
    rt_range range;
    rt_split best;
} rt_leaf;

/* The best splits of a step's leaves by one rank's columns; in lines of its own. */
typedef struct rt_candidates {
    _Alignas(RT_ALIGNMENT) rt_split left;
    rt_split right;
} rt_candidates;

typedef struct rt_grower {
    const rt_bins *bins;
    const rt_gbdt_params *params;
    const int8_t *monotone; /* [features] or NULL */
    rt_gradients *gradients;
    rt_ctl *ctl;

    int32_t *order;     /* [rows] rank after rank, those of the tree */
    int32_t *spare;     /* [rows] */
    int32_t *leaf_node; /* [rows] when the tree has grown */
    int64_t in_tree;    /* rows of the tree */
    rt_run *run;        /* [max_leaves][threads] of `order` */

    rt_hist_shape shape;
    int32_t *feature; /* [features] backs shape.feature */
    int32_t *usable;  /* features with something to split */
    uint64_t *rank;   /* [features] of the column draw */
    int32_t n_usable;
    rt_split_rules rules;
    rt_scratch *scratch; /* [threads] */
    int32_t threads;
    int64_t cells_room; /* cells of a full histogram */
    rt_histogram *slot; /* [slots], made when first needed */
    int32_t *free_slot;
    int32_t slots, n_free;
    rt_candidates *candidates; /* [threads] */

    rt_leaf *leaf;          /* [max_leaves] */
    rt_gradient *node_sums; /* [threads][2 * max_leaves] exact sums of a rank's rows */
    int32_t n_leaves, max_leaves;
    rt_node *node; /* [2 * max_leaves - 1], and what made each of them */
    rt_node_stats *stats;
    rt_split *split;
    int32_t n_nodes;

    /* The step all ranks are in, written by rank 0 between barriers. */
    struct {
        bool stop, by_columns, split_left, split_right;
        int32_t leaf, left, right, smaller, larger;
        const uint8_t *column; /* [rows] bytes, and which of them go left */
        uint8_t goes_left[256];
    } step;
    int64_t waits, long_waits; /* of rank 0 for nodes that were shared by columns */
    rt_status status;
    rt_error error;
} rt_grower;

RT_CHECKED rt_status rt_grower_init(rt_grower *grower, const rt_bins *bins,
                                    const rt_gbdt_params *params,
                                    const int8_t *monotone, rt_gradients *gradients,
                                    int32_t threads, rt_ctl *ctl, rt_error *err);
void rt_grower_clear(rt_grower *grower);

/* Chooses rows and columns of tree `number`; run by all ranks, ends with a
 * barrier. */
void rt_grower_sample(rt_grower *grower, uint64_t seed, int64_t number, rt_team team);

/* Grows the tree and gives its leaves their values; run by all ranks, ends with
 * a barrier. grower->status tells how it went. */
void rt_grower_grow(rt_grower *grower, rt_team team);

/* tree_leaves.c: gives the leaves of the grown tree their values; run by all ranks.
 * And adds them to all scores of the output; run by all ranks, ends with a barrier. */
void rt_grower_value_leaves(rt_grower *grower, rt_team team);
void rt_grower_apply(rt_grower *grower, int32_t output, rt_team team);

/* Appends the tree to the forest. A tree of one leaf adds nothing: it is left out,
 * but where outputs take turns it keeps the place. */
RT_CHECKED rt_status rt_grower_store(const rt_grower *grower, rt_forest *forest,
                                     rt_error *err);

static inline rt_run *rt_run_of(const rt_grower *grower, int32_t leaf, int32_t rank)
{
    return &grower->run[(int64_t)leaf * grower->threads + rank];
}

/* partition.c: puts into the step how rows are parted; then one rank's rows of the leaf
 * become those of the step's children. */
void rt_partition_plan(rt_grower *grower, const rt_split *split);
void rt_partition(rt_grower *grower, int32_t rank);

#endif
