/* One team for all trees. For each: derivatives at the scores of now, the leaf of every
 * row, exact sums by leaf, new values, and those to the scores. Sums are of integers,
 * so no team shows in them. Unit: a tree. */
#include "gbdt/refit.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "gbdt/gradient.h"
#include "parallel/placement.h"
#include "parallel/team.h"
#include "parallel/threads.h"

enum { ROOM = 4 }; /* of the sums of leaves, for those of amounts */

static const char *const where = "rt_gbdt_refit";

typedef struct refit {
    const rt_matrix *x;
    const rt_gbdt_params *params;
    double gamma;
    rt_ctl *ctl;
    rt_forest *forest;
    rt_dense_rows rows; /* those with weight */
    rt_gradients gradients;
    int32_t *leaf;     /* [rows] that the row reaches in the tree of now */
    rt_gradient *sums; /* [threads][most nodes] */
    double *l2;        /* [most nodes] that the leaf's value was found with */
    int64_t most;
    int32_t threads;
    bool stop; /* rank 0 writes it between barriers */
    rt_barrier barrier;
} refit;

static int64_t most_nodes(const rt_forest *forest)
{
    int64_t most = 1;
    for (int32_t t = 0; t < forest->n_trees; t++) {
        const int64_t nodes = forest->start[t + 1] - forest->start[t];
        most = nodes > most ? nodes : most;
    }
    return most;
}

/* Rows to their leaves, and this rank's sums of derivatives by leaf. */
static void sum_leaves(refit *r, int32_t tree, rt_team team)
{
    rt_gradient *sums = r->sums + team.rank * r->most;
    const int64_t nodes = r->forest->start[tree + 1] - r->forest->start[tree];
    memset(sums, 0, (size_t)nodes * sizeof *sums);
    for (rt_batch own = rt_batch_first(team, r->rows.count); own.begin < own.end;
         own = rt_batch_next(own)) {
        for (int64_t i = own.begin; i < own.end; i++) {
            const int64_t row = r->rows.source == NULL ? i : r->rows.source[i];
            const int32_t leaf = rt_forest_reach(r->forest, tree, r->x, row);
            r->leaf[i] = leaf;
            sums[leaf].g += r->gradients.exact[i].g;
            sums[leaf].h += r->gradients.exact[i].h;
        }
    }
}

/* Leaves below a split into sets of sorted categories have cat_l2 on top
 * (split_category.c). */
static void find_l2(const refit *r, const rt_node *tree, int64_t nodes)
{
    const double *param = r->params->value;
    r->l2[0] = param[RT_P_L2_REGULARIZATION];
    for (int64_t i = 0; i < nodes; i++) {
        const bool sorted =
            tree[i].feature != RT_LEAF && tree[i].set != RT_NUMERIC_SPLIT &&
            (double)r->forest->levels[tree[i].feature] > param[RT_P_MAX_CAT_TO_ONEHOT];
        if (tree[i].feature != RT_LEAF) {
            const double l2 =
                param[RT_P_L2_REGULARIZATION] + (sorted ? param[RT_P_CAT_L2] : 0.0);
            r->l2[tree[i].left] = l2;
            r->l2[tree[i].right] = l2;
        }
    }
}

/* The formula of refit.h. What gamma leaves of the old value's penalties, l1 among
 * them, is asked of the new one. */
static double new_value(const refit *r, double old, double cover, double l2, double g,
                        double h)
{
    const double rate = r->params->value[RT_P_LEARNING_RATE];
    const double l1 = r->params->value[RT_P_L1_REGULARIZATION];
    const double pull = r->gamma * (cover + l2) * old - rate * g;
    const double free = fabs(pull) - rate * (1.0 - r->gamma) * l1;
    return copysign(free > 0.0 ? free : 0.0, pull) / (r->gamma * cover + h + l2);
}

static void value_leaf(const refit *r, int64_t number, rt_node *node,
                       rt_node_stats *stats)
{
    const rt_gradients *gradients = &r->gradients;
    int64_t g_steps = 0;
    uint64_t h_steps = 0;
    for (int32_t rank = 0; rank < r->threads; rank++) {
        const rt_gradient part = r->sums[rank * r->most + number];
        g_steps += part.g;
        h_steps += part.h;
    }
    /* The wide form counts rows in the low bits. */
    h_steps >>= gradients->wide ? RT_COUNT_BITS : 0;
    const double g = (double)g_steps * gradients->exact_g_unit;
    const double h = (double)h_steps * gradients->exact_h_unit;
    const double known = r->gamma * stats->cover + h;
    const double value = new_value(r, node->value, stats->cover, r->l2[number], g, h);
    /* What a damaged cover would make of it is no value of a leaf (model/check.c). */
    if (h > 0.0 && known >= r->params->value[RT_P_MIN_CHILD_WEIGHT] &&
        fabs(value) <= 1e100) {
        node->value = value + 0.0;
    }
    stats->cover = known;
}

/* By one rank: some dozens of leaves. Children lie behind their parents, so that
 * covers add up from the back. */
static void value_leaves(refit *r, int32_t tree)
{
    rt_node *nodes = r->forest->nodes + r->forest->start[tree];
    rt_node_stats *stats = r->forest->stats + r->forest->start[tree];
    const int64_t count = r->forest->start[tree + 1] - r->forest->start[tree];
    find_l2(r, nodes, count);
    for (int64_t i = count - 1; i >= 0; i--) {
        if (nodes[i].feature == RT_LEAF) {
            value_leaf(r, i, &nodes[i], &stats[i]);
        } else {
            stats[i].cover = stats[nodes[i].left].cover + stats[nodes[i].right].cover;
        }
    }
}

/* Scores are in units of the targets' scale. */
static void apply(refit *r, int32_t tree, rt_team team)
{
    const rt_node *nodes = r->forest->nodes + r->forest->start[tree];
    const double per_unit = 1.0 / r->rows.scale;
    double *score = r->gradients.score + tree % r->forest->n_outputs * r->rows.count;
    for (rt_batch own = rt_batch_first(team, r->rows.count); own.begin < own.end;
         own = rt_batch_next(own)) {
        for (int64_t i = own.begin; i < own.end; i++) {
            score[i] += nodes[r->leaf[i]].value * per_unit;
        }
    }
}

/* What every rank does, in step; trees of a round start from the same scores, as they
 * were grown. */
static void refit_trees(refit *r, rt_team team)
{
    const int32_t outputs = r->forest->n_outputs;
    for (int32_t t = 0; t < r->forest->n_trees && !r->stop; t++) {
        if (t % outputs == 0) {
            rt_gradients_round(&r->gradients, team);
        }
        rt_gradients_update(&r->gradients, t % outputs, r->rows.count,
                            rt_draw_key(0, RT_DRAW_NOISE, (uint64_t)t), team);
        sum_leaves(r, t, team);
        rt_team_barrier(team);
        if (team.rank == 0) {
            value_leaves(r, t);
            rt_ctl_advance(r->ctl, t + 1);
            r->stop = rt_ctl_cancelled(r->ctl);
        }
        rt_team_barrier(team);
        apply(r, t, team);
    }
}

/* Amounts share a scale with all that scores may become: the base score, every tree's
 * largest step from there, and room for steps that go too far at first. */
static rt_span span_of(const rt_forest *forest)
{
    double steps = 0.0;
    for (int32_t t = 0; t < forest->n_trees; t++) {
        double most = 0.0;
        for (int64_t i = forest->start[t]; i < forest->start[t + 1]; i++) {
            const rt_node *node = &forest->nodes[i];
            const double size = node->feature == RT_LEAF ? fabs(node->value) : 0.0;
            most = size > most ? size : most;
        }
        steps += most;
    }
    const double room = ROOM * steps;
    return (rt_span){forest->base_score[0] - room, forest->base_score[0] + room};
}

static rt_status make_memory(refit *r, rt_error *err)
{
    double base[RT_MAX_OUTPUTS];
    const rt_targets targets = {.loss = r->forest->loss,
                                .outputs = r->forest->n_outputs,
                                .rows = r->rows.count,
                                .label = r->rows.label,
                                .value = r->rows.value,
                                .weight = r->rows.weight,
                                .total_weight = r->rows.total_weight,
                                .scale = r->rows.scale};
    for (int32_t k = 0; k < r->forest->n_outputs; k++) {
        base[k] = (r->forest->base_score[k] - r->rows.lowest) / r->rows.scale;
    }
    r->most = most_nodes(r->forest);
    const rt_block blocks[] = {
        RT_BLOCK(r->leaf, r->rows.count),
        RT_BLOCK(r->sums, r->threads * r->most),
        RT_BLOCK(r->l2, r->most),
    };
    rt_status status = rt_alloc_all(blocks, 3, where, err);
    return status == RT_OK
               ? rt_gradients_init(&r->gradients, &targets, base, r->threads, err)
               : status;
}

static rt_status run(refit *r, rt_error *err)
{
    rt_status status = make_memory(r, err);
    if (status != RT_OK) {
        return status;
    }
    rt_spread_team(r->threads);
#pragma omp parallel num_threads(r->threads) default(none) shared(r)
    {
        rt_team team = {omp_get_thread_num(), omp_get_num_threads(), &r->barrier};
        refit_trees(r, team);
    }
    return r->stop ? rt_fail(err, RT_CANCELLED, where, "the refit was asked to stop")
                   : RT_OK;
}

static rt_status check(const rt_gbdt_rows *rows, const rt_gbdt_params *params,
                       double gamma, int32_t n_threads, const rt_forest *forest,
                       rt_error *err)
{
    if (!(gamma >= 0.0 && gamma <= 1.0)) {
        return rt_fail(err, RT_INVALID, where,
                       "gamma must lie between 0 and 1, it is %g", gamma);
    }
    if (forest->loss == RT_LOSS_SQUARE && params->value[RT_P_LEARNING_RATE] > 1.0) {
        return rt_fail(err, RT_INVALID, where,
                       "leaves of a learning_rate above 1 would swing ever further, it "
                       "is %g",
                       params->value[RT_P_LEARNING_RATE]);
    }
    if (rows->x.columns != forest->n_features) {
        return rt_fail(err, RT_INVALID, where,
                       "the data has %d columns, the model %d features",
                       rows->x.columns, forest->n_features);
    }
    if (rows->x.rows < 1 || rows->x.rows >= INT32_MAX) {
        return rt_fail(err, RT_LIMIT, where, "%lld rows are outside 1 to %d",
                       (long long)rows->x.rows, INT32_MAX - 1);
    }
    return rt_check_threads(n_threads, where, err);
}

static int32_t classes_of(const rt_forest *forest)
{
    return forest->loss == RT_LOSS_SQUARE   ? 0
           : forest->loss == RT_LOSS_BINARY ? 2
                                            : forest->n_outputs;
}

rt_status rt_gbdt_refit(const rt_gbdt_rows *rows, const rt_gbdt_params *params,
                        double gamma, int32_t n_threads, rt_ctl *ctl, rt_forest *forest,
                        rt_error *err)
{
    refit r = {.x = &rows->x,
               .params = params,
               .gamma = gamma,
               .ctl = ctl,
               .forest = forest,
               .threads = rt_resolve_threads(n_threads)};
    const rt_span span = span_of(forest);
    rt_barrier_init(&r.barrier);
    rt_status status = check(rows, params, gamma, n_threads, forest, err);
    if (status == RT_OK) {
        status = rt_rows_gather(rows, classes_of(forest), &span, &r.rows, err);
    }
    if (status == RT_OK) {
        status = run(&r, err);
    }
    rt_barrier_destroy(&r.barrier);
    rt_gradients_clear(&r.gradients);
    rt_rows_clear(&r.rows);
    rt_free(r.leaf);
    rt_free(r.sums);
    rt_free(r.l2);
    return status;
}
