/* What growing a tree works on, cut along how long it lives: what the fit gives and the
 * memory that trees use in turn; one tree; one step, which lies between two barriers.
 *
 * Every row belongs to one rank (parallel/team.h), which lists those of the tree in its
 * part of `rows.order`; of each leaf it has a run of that, ascending, which a split
 * parts. */
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
    int32_t slot; /* of the pool, -1: it will never be split */
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

/* Where rows are; the memory lasts for the fit, what is in it for a tree. */
typedef struct rt_tree_rows {
    int32_t *order; /* [rows] rank after rank, those of the tree */
    int32_t *spare; /* [rows] */
    uint8_t *side;  /* [rows] of those of a leaf that goes by several bytes: 1 = left */
    int32_t *node;  /* [rows] which leaf they are in, when the tree has grown */
    rt_run *run;    /* [max_leaves][threads] of `order` */
} rt_tree_rows;

/* Which columns have something to split, and those that are drawn for a tree. */
typedef struct rt_tree_columns {
    int32_t *usable; /* [n_usable] */
    int32_t n_usable;
    int32_t *drawn;  /* [n_cuts] backs the shape of the tree: features, then parts */
    int32_t n_drawn; /* features of them */
    uint64_t *draw;  /* [2 * features] draws, and room to sort them */
} rt_tree_columns;

/* Histograms of leaves that may still be split: made when first needed, then reused. */
typedef struct rt_slot_pool {
    rt_histogram *slot; /* [made] of `cells` each */
    int32_t *free;      /* [n_free] */
    int32_t made, n_free;
    int64_t cells;
} rt_slot_pool;

/* What each rank has for itself: [threads]. */
typedef struct rt_rank_memory {
    rt_scratch *scratch;
    rt_candidates *candidates;
    rt_gradient *node_sums; /* [2 * max_leaves] each: exact sums of its rows */
} rt_rank_memory;

/* One tree; its arrays lie in memory of the fit. */
typedef struct rt_tree {
    rt_hist_shape shape;
    rt_split_rules rules;
    int64_t rows;  /* of all ranks */
    rt_leaf *leaf; /* [n_leaves], room for max_leaves */
    int32_t n_leaves;
    rt_node *node; /* [n_nodes], and what made each of them */
    rt_node_stats *stats;
    rt_split *split;
    int32_t n_nodes;
} rt_tree;

/* The step all ranks are in, written by rank 0 between barriers. */
typedef struct rt_step {
    bool stop, by_columns, split_left, split_right;
    int32_t leaf, left, right, smaller, larger;
    int32_t parts;                       /* of the column that is split */
    const uint8_t *column[RT_PARTS_MAX]; /* [rows] bytes, and which of them go left */
    uint8_t goes_left[RT_PARTS_MAX][256];
} rt_step;

/* Of all ranks, for nodes that were shared by columns; rank 0 may have had to sleep. */
typedef struct rt_meetings {
    int64_t held, slept;
} rt_meetings;

typedef struct rt_grower {
    /* Given by the fit; borrowed. */
    const rt_bins *bins;
    const rt_gbdt_params *params;
    const int8_t *monotone; /* [features] or NULL */
    rt_gradients *gradients;
    rt_ctl *ctl;
    int32_t threads, max_leaves;
    /* For the fit. */
    rt_tree_rows rows;
    rt_tree_columns columns;
    rt_slot_pool pool;
    rt_rank_memory rank;
    rt_meetings meetings;
    rt_status status; /* how it went so far; rank 0 writes it */
    rt_error error;
    /* For a tree, and for a step of it. */
    rt_tree tree;
    rt_step step;
} rt_grower;

static inline rt_run *rt_run_of(const rt_grower *grower, int32_t leaf, int32_t rank)
{
    return &grower->rows.run[(int64_t)leaf * grower->threads + rank];
}

/* What histograms of the tree are made from. */
static inline rt_hist_view rt_grower_view(const rt_grower *grower)
{
    return (rt_hist_view){grower->bins, grower->gradients, &grower->tree.shape,
                          grower->ctl};
}

#endif
