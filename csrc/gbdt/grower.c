/* Grows one tree, leaf by leaf: the open leaf with the best gain is split next
 * (ties: the older leaf; depth-wise, the shallowest comes first) until none gains or
 * max_leaf_nodes is reached.
 *
 * Only the smaller child's histogram is built from rows: the larger one's is the
 * parent's minus that, exactly. Unit: a step is the split of one leaf. */
#include "gbdt/grower.h"

#include <assert.h>

#include "gbdt/grower_leaves.h"
#include "gbdt/grower_memory.h"
#include "gbdt/grower_rows.h"
#include "gbdt/grower_search.h"

/* Who works on a node. Large ones: each rank its own rows, which costs three barriers
 * and a merge. Nodes with fewer bytes of bins than this (some 100 microseconds of work)
 * have their columns shared, so that nothing is to be merged; the smallest are left to
 * rank 0. On a busy machine a barrier can cost a wake-up: when rank 0 has had to sleep
 * too often, it does all but the large ones alone. None of this changes a result. */
enum {
    BY_COLUMNS_BYTES = 256 * 1024,
    ALONE_CELLS = 8 * 1024,
    LONG_WAITS_MAX = 16 /* and a quarter of all */
};

/* Unit: bytes of bins, one for each row and byte of the shape. */
static bool is_small(const rt_grower *grower, int64_t rows)
{
    return rows * grower->tree.shape.groups < BY_COLUMNS_BYTES;
}

/* Is a small node worth a meeting of all ranks, and do they come in time? */
static bool worth_sharing(const rt_grower *grower, int64_t rows)
{
    /* Additions of the step: the smaller child has at most half of the rows, and the
     * histograms of both are walked through. */
    int64_t cells =
        rows / 2 * grower->tree.shape.groups +
        2 * (int64_t)grower->tree.shape.features * grower->tree.shape.stride;
    return cells >= ALONE_CELLS &&
           grower->meetings.slept <= LONG_WAITS_MAX + grower->meetings.held / 4;
}

/* Can a leaf of that many rows and depth have children at all? Each needs min_rows, and
 * one in any case. */
static bool may_split(const rt_grower *grower, int64_t rows, int32_t depth)
{
    int32_t max_depth = rt_param_i32(grower->params, RT_P_MAX_DEPTH);
    return rows >= 2 * grower->tree.rules.min_rows && rows >= 2 &&
           (max_depth == 0 || depth < max_depth);
}

/* A leaf until it is split. Its cover comes from the histogram; a final leaf gets the
 * exact one with its value. */
static int32_t add_node(rt_grower *grower, const rt_leaf *leaf)
{
    int32_t at = grower->tree.n_nodes++;
    grower->tree.node[at] =
        (rt_node){.feature = RT_LEAF, .set = -1, .rows = (uint32_t)leaf->rows};
    grower->tree.stats[at] =
        (rt_node_stats){.cover = (double)leaf->sums.h * grower->tree.rules.h_unit};
    return at;
}

/* All bins of any one feature sum to the whole node: the first spares a sum over all
 * rows. */
static rt_sums sum_node(const rt_grower *grower, const rt_histogram *histogram)
{
    rt_sums sums = {0, 0, 0};
    for (int32_t bin = 0;
         bin <= grower->bins->cuts[grower->tree.shape.feature[0]].n_bins; bin++) {
        sums = rt_sums_plus(sums, rt_sums_cell(histogram, bin));
    }
    return sums;
}

/* Rank 0: an empty tree of one leaf. Slots of the tree before are all free again, the
 * lowest on top, so that trees use the same memory, which is warm. */
static void start_root(rt_grower *grower)
{
    grower->tree.rules =
        rt_split_rules_from(grower->params, grower->monotone != NULL,
                            grower->gradients->g_unit, grower->gradients->h_unit);
    grower->tree.n_nodes = 0;
    grower->tree.n_leaves = 1;
    grower->pool.n_free = 0;
    for (int32_t i = grower->pool.made; i > 0; i--) {
        grower->pool.free[grower->pool.n_free++] = i - 1;
    }
    grower->tree.leaf[0] = (rt_leaf){.rows = grower->tree.rows,
                                     .slot = -1,
                                     .l2 = grower->tree.rules.l2,
                                     .range = grower->tree.rules.range};
    /* The root is searched like the left child of a step that has no right one. */
    grower->step.left = 0;
    grower->step.right = 0;
    grower->step.split_left =
        may_split(grower, grower->tree.rows, 0) && grower->tree.shape.features > 0;
    grower->step.split_right = false;
    if (grower->step.split_left) {
        grower->tree.leaf[0].slot = rt_grower_take_slot(grower);
        grower->step.split_left = grower->status == RT_OK;
    }
}

/* This rank's rows of a leaf into its scratch. */
static void add_own_rows(rt_grower *grower, int32_t leaf, rt_team team)
{
    const rt_hist_view view = rt_grower_view(grower);
    rt_hist_add(&view, grower->rows.order, *rt_run_of(grower, leaf, team.rank),
                &grower->rank.scratch[team.rank]);
}

/* The bytes that are this rank's, where ranks share the columns. */
static rt_hist_part own_part(const rt_grower *grower, rt_team team)
{
    const int32_t groups = grower->tree.shape.groups;
    return (rt_hist_part){
        (int32_t)rt_range_begin(groups, team.rank, team.size),
        (int32_t)rt_range_begin(groups, team.rank + 1, team.size),
    };
}

/* The root's histogram, sums and candidates; all ranks. */
static void build_root(rt_grower *grower, rt_team team)
{
    const rt_hist_view view = rt_grower_view(grower);
    const rt_hist_part part = own_part(grower, team);
    rt_leaf *root = &grower->tree.leaf[0];
    const rt_hist_target target = {&grower->pool.slot[root->slot], NULL};
    add_own_rows(grower, 0, team);
    /* Merging reads the scratches of all ranks. */
    rt_team_barrier(team);
    rt_hist_merge(&view, part, grower->rank.scratch, team.size, target);
    rt_team_barrier(team);
    if (team.rank == 0) {
        root->sums = sum_node(grower, target.out);
        /* But for those that a cancelled build left out. */
        assert(root->sums.rows == root->rows || rt_ctl_cancelled(grower->ctl));
    }
    /* The search takes the sums of the root from here. */
    rt_team_barrier(team);
    rt_grower_find_splits(grower, team.rank, part);
    rt_team_barrier(team);
}

/* All ranks; ends without a barrier: rank 0 goes on to plan. */
static void grow_root(rt_grower *grower, rt_team team)
{
    if (team.rank == 0) {
        start_root(grower);
    }
    rt_team_barrier(team);
    if (grower->step.split_left) {
        build_root(grower, team);
    }
    if (team.rank == 0) {
        grower->tree.leaf[0].node = add_node(grower, &grower->tree.leaf[0]);
        rt_grower_choose_splits(grower, team.size);
    }
}

/* A split on a monotone feature parts the range at the middle of both values, so
 * that nothing below can bring them out of order. */
static void part_range(const rt_grower *grower, const rt_leaf *parent, rt_leaf *left,
                       rt_leaf *right)
{
    rt_split_rules rules = grower->tree.rules;
    int32_t rises =
        grower->monotone == NULL ? 0 : grower->monotone[parent->best.feature];
    rules.range = parent->range;
    if (rises == 0) {
        return;
    }
    double middle = 0.0;
    for (int32_t i = 0; i < 2; i++) {
        const rt_leaf *side = i == 0 ? left : right;
        middle += 0.5 * rt_leaf_value(&rules, (double)side->sums.g * rules.g_unit,
                                      (double)side->sums.h * rules.h_unit, side->l2);
    }
    *(rises > 0 ? &left->range.high : &left->range.low) = middle;
    *(rises > 0 ? &right->range.low : &right->range.high) = middle;
}

/* Rank 0 turns the chosen leaf into two. The left child takes its place, the
 * right one is new; histograms are planned only for children that may split. */
static void make_children(rt_grower *grower)
{
    /* A copy: the left child takes the parent's place in the array. */
    rt_leaf parent = grower->tree.leaf[grower->step.leaf];
    const rt_split *split = &parent.best;
    assert(split->gain > 0.0 && grower->tree.n_leaves < grower->max_leaves);
    /* The last two leaves of a full tree are not split, so they need no histogram. */
    bool more = grower->tree.n_leaves + 1 < grower->max_leaves;
    rt_leaf left = {.rows = split->left.rows,
                    .depth = parent.depth + 1,
                    .slot = -1,
                    .sums = split->left,
                    .l2 = split->l2,
                    .range = parent.range};
    rt_leaf right = left;
    right.rows = parent.rows - left.rows;
    /* Exact: these are integers. */
    right.sums = rt_sums_minus(parent.sums, left.sums);
    part_range(grower, &parent, &left, &right);
    grower->step.split_left = more && may_split(grower, left.rows, left.depth);
    grower->step.split_right = more && may_split(grower, right.rows, right.depth);

    left.node = add_node(grower, &left);
    right.node = add_node(grower, &right);
    rt_node *node = &grower->tree.node[parent.node];
    node->feature = split->feature;
    node->left = left.node;
    node->right = right.node;
    grower->tree.stats[parent.node].gain = split->gain;
    grower->tree.split[parent.node] = *split;
    rt_partition_plan(grower, split);

    /* The larger child inherits the parent's histogram (and subtracts), the
     * smaller one gets a slot of its own. */
    bool left_smaller = left.rows < right.rows;
    rt_leaf *larger = left_smaller ? &right : &left;
    rt_leaf *smaller = left_smaller ? &left : &right;
    larger->slot = parent.slot;
    if (grower->step.split_left || grower->step.split_right) {
        smaller->slot = rt_grower_take_slot(grower);
    } else {
        rt_grower_drop_slot(grower, larger);
    }
    grower->step.left = grower->step.leaf;
    grower->step.right = grower->tree.n_leaves++;
    grower->step.smaller = left_smaller ? grower->step.left : grower->step.right;
    grower->step.larger = left_smaller ? grower->step.right : grower->step.left;
    grower->tree.leaf[grower->step.left] = left;
    grower->tree.leaf[grower->step.right] = right;
}

/* Rank 0 at the end of a step. Leaves that got a histogram only for their sibling's
 * sake give it back. */
static void finish_children(rt_grower *grower, int32_t ranks)
{
    rt_grower_choose_splits(grower, ranks);
    if (!grower->step.split_left) {
        rt_grower_drop_slot(grower, &grower->tree.leaf[grower->step.left]);
    }
    if (!grower->step.split_right) {
        rt_grower_drop_slot(grower, &grower->tree.leaf[grower->step.right]);
    }
}

/* The smaller child's histogram is made, and taken off the larger one's. */
static rt_hist_target children(rt_grower *grower)
{
    const rt_leaf *leaf = grower->tree.leaf;
    const rt_hist_target target = {
        &grower->pool.slot[leaf[grower->step.smaller].slot],
        &grower->pool.slot[leaf[grower->step.larger].slot],
    };
    assert(target.out != target.parent);
    return target;
}

/* Where no child may split nobody looks at histograms again. */
static bool wants_histograms(const rt_grower *grower)
{
    return grower->step.split_left || grower->step.split_right;
}

/* Large nodes: every rank adds its own rows, then takes its share of the columns. */
static void build_by_rows(rt_grower *grower, rt_team team)
{
    const rt_hist_view view = rt_grower_view(grower);
    const rt_hist_part part = own_part(grower, team);
    add_own_rows(grower, grower->step.smaller, team);
    rt_team_barrier(team);
    /* A rank searches the columns that it has merged: no barrier in between. */
    rt_hist_merge(&view, part, grower->rank.scratch, team.size, children(grower));
    rt_grower_find_splits(grower, team.rank, part);
}

/* Small nodes: one part of the shape by one rank, the rows of all `ranks`. */
static void build_part(rt_grower *grower, int32_t rank, int32_t ranks,
                       rt_hist_part part)
{
    const rt_hist_view view = rt_grower_view(grower);
    const rt_hist_runs rows = {grower->rows.order,
                               rt_run_of(grower, grower->step.smaller, 0), ranks};
    rt_hist_build_part(&view, rows, part, &grower->rank.scratch[rank],
                       children(grower));
    rt_grower_find_splits(grower, rank, part);
}

/* Ranks share the columns; each adds the rows of all. */
static void build_by_columns(rt_grower *grower, rt_team team)
{
    rt_team_barrier(team); /* all have parted their rows */
    build_part(grower, team.rank, team.size, own_part(grower, team));
}

/* What all ranks do together; ends with a barrier: rank 0 may plan the next. */
static void split(rt_grower *grower, rt_team team)
{
    rt_partition(grower, team.rank);
    if (grower->step.by_columns) {
        build_by_columns(grower, team);
    } else if (wants_histograms(grower)) {
        build_by_rows(grower, team);
    }
    const bool slept = rt_team_barrier(team);
    if (team.rank == 0) {
        grower->meetings.held += grower->step.by_columns ? 1 : 0;
        grower->meetings.slept += grower->step.by_columns && slept ? 1 : 0;
        finish_children(grower, team.size);
    }
}

/* Rank 0 for all. */
static void split_alone(rt_grower *grower, int32_t ranks)
{
    for (int32_t rank = 0; rank < ranks; rank++) {
        rt_partition(grower, rank);
    }
    if (wants_histograms(grower)) {
        build_part(grower, 0, ranks, (rt_hist_part){0, grower->tree.shape.groups});
    }
    finish_children(grower, 1);
}

/* Is it this leaf's turn before the other's? The older one's when they are equal. */
static bool comes_before(const rt_grower *grower, const rt_leaf *leaf,
                         const rt_leaf *other)
{
    if (rt_param_i32(grower->params, RT_P_DEPTH_WISE) != 0 &&
        leaf->depth != other->depth) {
        return leaf->depth < other->depth;
    }
    return leaf->best.gain > other->best.gain;
}

/* The next leaf to split; stop when none gains, or when asked to. */
static void pick(rt_grower *grower)
{
    int32_t best = -1;
    /* All other ranks wait for the plan: to stop here leaves nobody at a barrier. */
    if (rt_ctl_cancelled(grower->ctl)) {
        grower->status = rt_fail(&grower->error, RT_CANCELLED, "rt_gbdt_fit",
                                 "training was asked to stop");
    }
    /* A leaf with a slot has a split that gains; all others gave theirs back. */
    for (int32_t i = 0; i < grower->tree.n_leaves; i++) {
        const rt_leaf *leaf = &grower->tree.leaf[i];
        if (leaf->slot >= 0 &&
            (best < 0 || comes_before(grower, leaf, &grower->tree.leaf[best]))) {
            best = i;
        }
    }
    grower->step.stop = grower->status != RT_OK || best < 0 ||
                        grower->tree.n_leaves >= grower->max_leaves;
    grower->step.leaf = best;
}

/* Rank 0 picks leaves and splits the small ones, as far as it goes alone: up to a node
 * that all ranks share, or the end. */
static void plan(rt_grower *grower, int32_t ranks)
{
    for (;;) {
        pick(grower);
        if (grower->step.stop) {
            return;
        }
        const int64_t rows = grower->tree.leaf[grower->step.leaf].rows;
        make_children(grower);
        if (grower->status != RT_OK) {
            continue; /* pick sees the status and stops */
        }
        /* By the parent's rows, since all of them are parted. */
        const bool small = is_small(grower, rows);
        grower->step.by_columns = small && wants_histograms(grower);
        if (ranks > 1 &&
            (!small || (grower->step.by_columns && worth_sharing(grower, rows)))) {
            return;
        }
        split_alone(grower, ranks);
    }
}

/* Steps lie between barriers: one after the plan, one at the end of the split. */
void rt_grower_grow(rt_grower *grower, rt_team team)
{
    grow_root(grower, team);
    for (;;) {
        if (team.rank == 0) {
            plan(grower, team.size);
        }
        rt_team_barrier(team);
        if (grower->step.stop) {
            break;
        }
        split(grower, team);
    }
    if (grower->status == RT_OK && grower->tree.n_leaves > 1) {
        rt_grower_value_leaves(grower, team);
    }
    rt_team_barrier(team);
}
