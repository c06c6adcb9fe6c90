#include "gbdt/grower_state.h"

#include <string.h>

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

static bool is_small(const rt_grower *grower, int64_t rows)
{
    return rows * grower->shape.groups < BY_COLUMNS_BYTES;
}

/* Is a small node worth a meeting of all ranks, and do they come in time? */
static bool worth_sharing(const rt_grower *grower, int64_t rows)
{
    int64_t cells = rows / 2 * grower->shape.groups +
                    2 * (int64_t)grower->shape.features * grower->shape.stride;
    return cells >= ALONE_CELLS &&
           grower->long_waits <= LONG_WAITS_MAX + grower->waits / 4;
}

/* Can a leaf of that many rows and depth have children at all? */
static bool may_split(const rt_grower *grower, int64_t rows, int32_t depth)
{
    int32_t max_depth = rt_param_i32(grower->params, RT_P_MAX_DEPTH);
    return rows >= 2 * grower->rules.min_rows && rows >= 2 &&
           (max_depth == 0 || depth < max_depth);
}

/* A histogram slot, from the free ones or new; called by one rank. */
static int32_t take_slot(rt_grower *grower)
{
    int32_t slot = grower->slots;
    if (grower->n_free > 0) {
        slot = grower->free_slot[--grower->n_free];
    } else {
        rt_status status =
            rt_histogram_init(&grower->slot[slot], grower->cells_room, &grower->error);
        if (status != RT_OK) {
            grower->status = status;
            return -1;
        }
        grower->slots++;
    }
    grower->slot[slot].is_wide = grower->gradients->wide;
    return slot;
}

static void drop_slot(rt_grower *grower, rt_leaf *leaf)
{
    if (leaf->slot >= 0) {
        grower->free_slot[grower->n_free++] = leaf->slot;
        leaf->slot = -1;
    }
}

static rt_split find_split(const rt_grower *grower, const rt_leaf *leaf, int32_t at)
{
    int32_t feature = grower->shape.feature[at];
    const rt_cut *cut = &grower->bins->cuts[feature];
    const rt_histogram *histogram = &grower->slot[leaf->slot];
    int64_t cells = (int64_t)at * grower->shape.stride;
    rt_split_rules rules = grower->rules;
    rt_split found;
    rules.range = leaf->range;
    rules.monotone = grower->monotone == NULL ? 0 : grower->monotone[feature];
    if (cut->levels == 0) {
        rt_split_numeric(&rules, cut, histogram, cells, leaf->sums, &found);
    } else {
        rt_split_categorical(&rules, cut, histogram, cells, leaf->sums, &found);
    }
    found.feature = feature;
    return found;
}

/* The larger gain comes first; of equal ones, that of the smaller feature. */
static bool is_better(const rt_split *split, const rt_split *than)
{
    return split->gain > than->gain ||
           (split->gain == than->gain && split->gain > 0.0 &&
            split->feature < than->feature);
}

/* Of the features in bytes [begin, end) of the shape. */
static rt_split best_split(const rt_grower *grower, const rt_leaf *leaf, int32_t begin,
                           int32_t end)
{
    const rt_hist_shape *shape = &grower->shape;
    rt_split best = {.gain = 0.0};
    int32_t best_at = -1;
    for (int32_t place = begin; place < end; place++) {
        for (int32_t at = shape->first[place]; at >= 0; at = shape->next[at]) {
            const rt_split found = find_split(grower, leaf, at);
            if (is_better(&found, &best)) {
                best = found;
                best_at = at;
            }
        }
    }
    if (best_at >= 0 && !best.categorical) {
        rt_split_left(&grower->bins->cuts[best.feature], &grower->slot[leaf->slot],
                      (int64_t)best_at * shape->stride, leaf->sums, &best);
    }
    return best;
}

/* This rank's candidates, by bytes [begin, end) of the shape, for those of the step's
 * leaves that may be split. */
static void find_splits(rt_grower *grower, int32_t rank, int32_t begin, int32_t end)
{
    rt_candidates *mine = &grower->candidates[rank];
    if (grower->step.split_left) {
        mine->left = best_split(grower, &grower->leaf[grower->step.left], begin, end);
    }
    if (grower->step.split_right) {
        mine->right = best_split(grower, &grower->leaf[grower->step.right], begin, end);
    }
}

/* A leaf that no split improves needs its histogram no more. */
static void settle(rt_grower *grower, rt_leaf *leaf)
{
    if (leaf->best.gain <= 0.0) {
        drop_slot(grower, leaf);
    }
}

/* Rank 0, when the first `ranks` have found theirs. */
static void choose_splits(rt_grower *grower, int32_t ranks)
{
    rt_leaf *left = &grower->leaf[grower->step.left];
    rt_leaf *right = &grower->leaf[grower->step.right];
    rt_candidates best = grower->candidates[0];
    for (int32_t rank = 1; rank < ranks; rank++) {
        const rt_candidates *other = &grower->candidates[rank];
        best.left = is_better(&other->left, &best.left) ? other->left : best.left;
        best.right = is_better(&other->right, &best.right) ? other->right : best.right;
    }
    if (grower->step.split_left) {
        left->best = best.left;
        settle(grower, left);
    }
    if (grower->step.split_right) {
        right->best = best.right;
        settle(grower, right);
    }
}

static int32_t add_node(rt_grower *grower, const rt_leaf *leaf)
{
    int32_t at = grower->n_nodes++;
    grower->node[at] =
        (rt_node){.feature = RT_LEAF, .set = -1, .rows = (uint32_t)leaf->rows};
    grower->stats[at] =
        (rt_node_stats){.cover = (double)leaf->sums.h * grower->rules.h_unit};
    return at;
}

/* All bins of any one feature sum to the whole node. */
static rt_sums sum_node(const rt_grower *grower, const rt_histogram *histogram)
{
    rt_sums sums = {0, 0, 0};
    for (int32_t bin = 0; bin <= grower->bins->cuts[grower->shape.feature[0]].n_bins;
         bin++) {
        sums = rt_sums_plus(sums, rt_sums_cell(histogram, bin));
    }
    return sums;
}

static void start_root(rt_grower *grower)
{
    grower->rules =
        rt_split_rules_from(grower->params, grower->monotone != NULL,
                            grower->gradients->g_unit, grower->gradients->h_unit);
    grower->n_nodes = 0;
    grower->n_leaves = 1;
    grower->n_free = 0;
    for (int32_t i = grower->slots; i > 0; i--) {
        grower->free_slot[grower->n_free++] = i - 1;
    }
    grower->leaf[0] = (rt_leaf){.rows = grower->in_tree,
                                .slot = -1,
                                .l2 = grower->rules.l2,
                                .range = grower->rules.range};
    grower->step.left = 0;
    grower->step.right = 0;
    grower->step.split_left =
        may_split(grower, grower->in_tree, 0) && grower->shape.features > 0;
    grower->step.split_right = false;
    if (grower->step.split_left) {
        grower->leaf[0].slot = take_slot(grower);
        grower->step.split_left = grower->status == RT_OK;
    }
}

/* This rank's rows of a leaf into its scratch. */
static void add_own_rows(rt_grower *grower, int32_t leaf, rt_team team)
{
    const rt_run run = *rt_run_of(grower, leaf, team.rank);
    rt_hist_add(grower->bins, grower->gradients, &grower->shape,
                grower->order + run.begin, run.rows, &grower->scratch[team.rank],
                grower->ctl);
}

/* Bytes [begin, end) of the shape from the scratch of all ranks. */
static void merge(rt_grower *grower, int32_t ranks, int32_t begin, int32_t end,
                  rt_histogram *out, rt_histogram *parent)
{
    rt_hist_merge(grower->bins, grower->gradients, &grower->shape, begin, end,
                  grower->scratch, ranks, out, parent);
}

/* The bytes that are this rank's, where ranks share the columns. */
static void own_bytes(const rt_grower *grower, rt_team team, int32_t *begin,
                      int32_t *end)
{
    int64_t first = 0;
    int64_t last = 0;
    rt_team_range(team, grower->shape.groups, &first, &last);
    *begin = (int32_t)first;
    *end = (int32_t)last;
}

/* The root's histogram, sums and candidates; all ranks. */
static void build_root(rt_grower *grower, rt_team team)
{
    rt_leaf *root = &grower->leaf[0];
    rt_histogram *histogram = &grower->slot[root->slot];
    int32_t begin = 0;
    int32_t end = 0;
    own_bytes(grower, team, &begin, &end);
    add_own_rows(grower, 0, team);
    rt_team_barrier(team);
    merge(grower, team.size, begin, end, histogram, NULL);
    rt_team_barrier(team);
    if (team.rank == 0) {
        root->sums = sum_node(grower, histogram);
    }
    rt_team_barrier(team);
    find_splits(grower, team.rank, begin, end);
    rt_team_barrier(team);
}

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
        grower->leaf[0].node = add_node(grower, &grower->leaf[0]);
        choose_splits(grower, team.size);
    }
}

/* A split on a monotone feature parts the range at the middle of both values, so
 * that nothing below can bring them out of order. */
static void part_range(const rt_grower *grower, const rt_leaf *parent, rt_leaf *left,
                       rt_leaf *right)
{
    rt_split_rules rules = grower->rules;
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
    rt_leaf parent = grower->leaf[grower->step.leaf];
    const rt_split *split = &parent.best;
    bool more = grower->n_leaves + 1 < grower->max_leaves;
    rt_leaf left = {.rows = split->left.rows,
                    .depth = parent.depth + 1,
                    .slot = -1,
                    .sums = split->left,
                    .l2 = split->l2,
                    .range = parent.range};
    rt_leaf right = left;
    right.rows = parent.rows - left.rows;
    right.sums = rt_sums_minus(parent.sums, left.sums);
    part_range(grower, &parent, &left, &right);
    grower->step.split_left = more && may_split(grower, left.rows, left.depth);
    grower->step.split_right = more && may_split(grower, right.rows, right.depth);

    left.node = add_node(grower, &left);
    right.node = add_node(grower, &right);
    rt_node *node = &grower->node[parent.node];
    node->feature = split->feature;
    node->left = left.node;
    node->right = right.node;
    grower->stats[parent.node].gain = split->gain;
    grower->split[parent.node] = *split;
    rt_partition_plan(grower, split);

    /* The larger child inherits the parent's histogram (and subtracts), the
     * smaller one gets a slot of its own. */
    bool left_smaller = left.rows < right.rows;
    rt_leaf *larger = left_smaller ? &right : &left;
    rt_leaf *smaller = left_smaller ? &left : &right;
    larger->slot = parent.slot;
    if (grower->step.split_left || grower->step.split_right) {
        smaller->slot = take_slot(grower);
    } else {
        drop_slot(grower, larger);
    }
    grower->step.left = grower->step.leaf;
    grower->step.right = grower->n_leaves++;
    grower->step.smaller = left_smaller ? grower->step.left : grower->step.right;
    grower->step.larger = left_smaller ? grower->step.right : grower->step.left;
    grower->leaf[grower->step.left] = left;
    grower->leaf[grower->step.right] = right;
}

/* Rank 0 at the end of a step. Leaves that got a histogram only for their sibling's
 * sake give it back. */
static void finish_children(rt_grower *grower, int32_t ranks)
{
    choose_splits(grower, ranks);
    if (!grower->step.split_left) {
        drop_slot(grower, &grower->leaf[grower->step.left]);
    }
    if (!grower->step.split_right) {
        drop_slot(grower, &grower->leaf[grower->step.right]);
    }
}

static rt_histogram *slot_of(rt_grower *grower, int32_t leaf)
{
    return &grower->slot[grower->leaf[leaf].slot];
}

static bool wants_histograms(const rt_grower *grower)
{
    return grower->step.split_left || grower->step.split_right;
}

/* Large nodes: every rank adds its own rows, then takes its share of the columns. */
static void build_by_rows(rt_grower *grower, rt_team team)
{
    int32_t begin = 0;
    int32_t end = 0;
    add_own_rows(grower, grower->step.smaller, team);
    rt_team_barrier(team);
    own_bytes(grower, team, &begin, &end);
    merge(grower, team.size, begin, end, slot_of(grower, grower->step.smaller),
          slot_of(grower, grower->step.larger));
    find_splits(grower, team.rank, begin, end);
}

/* Small nodes: bytes [begin, end) of the shape by one rank, the rows of all `ranks`. */
static void build_part(rt_grower *grower, int32_t rank, int32_t ranks, int32_t begin,
                       int32_t end)
{
    rt_hist_build_part(grower->bins, grower->gradients, &grower->shape, grower->order,
                       rt_run_of(grower, grower->step.smaller, 0), ranks, begin, end,
                       &grower->scratch[rank], slot_of(grower, grower->step.smaller),
                       slot_of(grower, grower->step.larger), grower->ctl);
    find_splits(grower, rank, begin, end);
}

static void build_by_columns(rt_grower *grower, rt_team team)
{
    int32_t begin = 0;
    int32_t end = 0;
    rt_team_barrier(team); /* all have parted their rows */
    own_bytes(grower, team, &begin, &end);
    build_part(grower, team.rank, team.size, begin, end);
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
        grower->waits += grower->step.by_columns ? 1 : 0;
        grower->long_waits += grower->step.by_columns && slept ? 1 : 0;
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
        build_part(grower, 0, ranks, 0, grower->shape.groups);
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
    if (rt_ctl_cancelled(grower->ctl)) {
        grower->status = rt_fail(&grower->error, RT_CANCELLED, "rt_gbdt_fit",
                                 "training was asked to stop");
    }
    for (int32_t i = 0; i < grower->n_leaves; i++) {
        const rt_leaf *leaf = &grower->leaf[i];
        if (leaf->slot >= 0 &&
            (best < 0 || comes_before(grower, leaf, &grower->leaf[best]))) {
            best = i;
        }
    }
    grower->step.stop =
        grower->status != RT_OK || best < 0 || grower->n_leaves >= grower->max_leaves;
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
        const int64_t rows = grower->leaf[grower->step.leaf].rows;
        make_children(grower);
        if (grower->status != RT_OK) {
            continue; /* to be told to stop */
        }
        const bool small = is_small(grower, rows);
        grower->step.by_columns = small && wants_histograms(grower);
        if (ranks > 1 &&
            (!small || (grower->step.by_columns && worth_sharing(grower, rows)))) {
            return;
        }
        split_alone(grower, ranks);
    }
}

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
    if (grower->status == RT_OK && grower->n_leaves > 1) {
        rt_grower_value_leaves(grower, team);
    }
    rt_team_barrier(team);
}
