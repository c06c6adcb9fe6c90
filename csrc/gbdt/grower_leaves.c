/* What the leaves of a grown tree are worth, and adding it to the scores.
 *
 * A leaf's rows are scattered. Only which leaf a row is in is written leaf by leaf,
 * into an array that is small enough for a cache; gradients and scores are then read in
 * the order of memory. Every rank does so for its own rows. */
#include "gbdt/grower_leaves.h"

#include <assert.h>
#include <string.h>

/* Those left out of the tree get a node beyond the last. A tree of n leaves has 2n - 1
 * nodes, so with it there are 2n, for which node_sums has room. */
static void mark_left_out(rt_grower *grower, rt_team team)
{
    const int64_t rows = grower->bins->rows;
    for (rt_batch own = rt_batch_first(team, rows); own.begin < own.end;
         own = rt_batch_next(own)) {
        for (int64_t row = own.begin; row < own.end; row++) {
            grower->rows.node[row] = grower->tree.n_nodes;
        }
    }
}

/* grower->rows.node of this rank's rows. */
static void mark_rows(rt_grower *grower, rt_team team)
{
    /* Where all rows are in the tree each gets a leaf below. */
    if (grower->tree.rows < grower->bins->rows) {
        mark_left_out(grower, team);
    }
    for (int32_t i = 0; i < grower->tree.n_leaves; i++) {
        const rt_run run = *rt_run_of(grower, i, team.rank);
        for (int64_t at = run.begin; at < run.begin + run.rows; at++) {
            grower->rows.node[grower->rows.order[at]] = grower->tree.leaf[i].node;
        }
    }
}

/* Exact sums of this rank's rows, node by node: integers, so it does not matter in
 * which order the ranks are added up. */
static void sum_rows(rt_grower *grower, rt_team team)
{
    const int64_t rows = grower->bins->rows;
    const int64_t nodes = (int64_t)grower->tree.n_nodes + 1;
    rt_gradient *sums =
        grower->rank.node_sums + 2 * (int64_t)team.rank * grower->max_leaves;
    memset(sums, 0, (size_t)nodes * sizeof *sums);
    for (rt_batch own = rt_batch_first(team, rows); own.begin < own.end;
         own = rt_batch_next(own)) {
        for (int64_t row = own.begin; row < own.end; row++) {
            rt_gradient *sum = &sums[grower->rows.node[row]];
            sum->g += grower->gradients->exact[row].g;
            sum->h += grower->gradients->exact[row].h;
        }
    }
}

/* Newton step -G / (H + l2) (Chen, Guestrin 2016, equation 5), shrunk by the learning
 * rate (Friedman 2001). Below RT_WIDE_ROWS the histograms are exact already; above, G
 * and H come from the exact numbers of the leaf's rows. */
static void value_leaf(rt_grower *grower, const rt_leaf *leaf, int32_t ranks)
{
    const rt_gradients *gradients = grower->gradients;
    rt_sums sums = leaf->sums;
    /* Those of the histograms were rounded at random. */
    if (!gradients->wide) {
        sums = (rt_sums){0, 0, leaf->rows};
        for (int64_t r = 0; r < ranks; r++) {
            rt_gradient part =
                grower->rank.node_sums[2 * r * grower->max_leaves + leaf->node];
            sums.g += part.g;
            sums.h += (int64_t)part.h;
        }
    }
    assert(leaf->node < grower->tree.n_nodes && sums.h >= 0);
    double g = (double)sums.g * gradients->exact_g_unit;
    double h = (double)sums.h * gradients->exact_h_unit;
    double rate = grower->params->value[RT_P_LEARNING_RATE];
    rt_split_rules rules = grower->tree.rules;
    /* A leaf below monotone splits must not leave the range they gave it. */
    rules.range = leaf->range;
    grower->tree.node[leaf->node].value = rate * rt_leaf_value(&rules, g, h, leaf->l2);
    grower->tree.stats[leaf->node].cover = h;
}

void rt_grower_value_leaves(rt_grower *grower, rt_team team)
{
    mark_rows(grower, team);
    if (!grower->gradients->wide) {
        sum_rows(grower, team);
        rt_team_barrier(team);
    }
    /* A leaf is one rank's: nothing is shared, and the last barrier is the caller's. */
    for (int32_t i = team.rank; i < grower->tree.n_leaves; i += team.size) {
        value_leaf(grower, &grower->tree.leaf[i], team.size);
    }
}

/* A level is missing to all parts but its own. */
static bool goes_left(const rt_bins *bins, const rt_split *split, const uint8_t *bytes)
{
    const rt_cut *part = &bins->cuts[split->feature];
    bool left = false;
    for (int32_t i = 0; part != NULL && (i == 0 || part->n_bins > 0);
         part = part->more, i++) {
        const int32_t bin = part->bin_of_byte[bytes[part->group]];
        left |= rt_split_goes_left(split, i, bin, part->n_bins);
    }
    return left;
}

/* Rows that were left out find their leaf by their bins. */
static int32_t walk(const rt_grower *grower, int64_t row)
{
    const uint8_t *bytes = grower->bins->bytes + row * grower->bins->stride;
    int32_t at = 0;
    while (grower->tree.node[at].feature != RT_LEAF) {
        bool left = goes_left(grower->bins, &grower->tree.split[at], bytes);
        at = left ? grower->tree.node[at].left : grower->tree.node[at].right;
    }
    return at;
}

/* Scores are in units of the targets' scale: a power of two, so dividing is exact. */
void rt_grower_apply(rt_grower *grower, int32_t output, rt_team team)
{
    const int64_t rows = grower->bins->rows;
    double *score = grower->gradients->score + output * rows;
    const double per_unit = 1.0 / grower->gradients->targets.scale;
    /* A tree of one leaf adds 0, and its rows have not been marked. */
    const int64_t end = grower->tree.n_leaves > 1 ? rows : 0;
    for (rt_batch own = rt_batch_first(team, end); own.begin < own.end;
         own = rt_batch_next(own)) {
        for (int64_t row = own.begin; row < own.end; row++) {
            int32_t node = grower->rows.node[row];
            /* Left out of the tree, but its score takes the leaf all the same. */
            node = node < grower->tree.n_nodes ? node : walk(grower, row);
            score[row] += grower->tree.node[node].value * per_unit;
        }
    }
    rt_team_barrier(team);
}
