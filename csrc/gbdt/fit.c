/* One training run: check what is given, drop rows without weight, bin the columns,
 * then grow one tree per output in every round. One parallel region bins, one boosts:
 * all ranks run the same code and meet at barriers, rank 0 decides between two of them.
 * Unit: a round. */
#include "gbdt/fit.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/math.h"
#include "base/rng.h"
#include "gbdt/bins.h"
#include "gbdt/bins_join.h"
#include "gbdt/eval.h"
#include "gbdt/gradient.h"
#include "gbdt/grower.h"
#include "gbdt/grower_leaves.h"
#include "gbdt/grower_memory.h"
#include "gbdt/grower_rows.h"
#include "gbdt/grower_store.h"
#include "parallel/placement.h"
#include "parallel/threads.h"

/* All that one run owns. It begins zeroed, so that clear_fit can undo any part of
 * it. */
typedef struct fit {
    const rt_gbdt_data *data;
    const rt_gbdt_params *params;
    uint64_t seed;
    int32_t threads;
    rt_ctl *ctl;
    rt_forest *forest;
    rt_gbdt_report *report;
    rt_dense_rows rows; /* those with weight */
    double *score;      /* [outputs][rows] of all rows by earlier trees, or NULL */
    int32_t earlier;    /* rounds of those */
    rt_bins bins;
    rt_gradients gradients;
    rt_grower grower;
    rt_eval eval;
    double best_loss;   /* of the rows to evaluate on */
    int32_t best_trees; /* how many had been grown then */
    int32_t splits;     /* of all trees of the round */
    rt_barrier barrier;
    rt_spread spread; /* of the round */
    bool stop;        /* rank 0 writes it between barriers */
} fit;

/* What rt_rows_check counts labels against; 0: there are amounts, no labels. */
static int32_t classes_of(const rt_gbdt_data *data)
{
    return data->loss == RT_LOSS_SQUARE   ? 0
           : data->loss == RT_LOSS_BINARY ? 2
                                          : data->classes;
}

/* Trees of a round: one for each class of softmax (Friedman 2001, algorithm 6), else
 * one. */
static int32_t outputs_of(const rt_gbdt_data *data)
{
    return data->loss == RT_LOSS_SOFTMAX ? data->classes : 1;
}

/* What the arrays can hold: a row's number is an int32, and a histogram counts rows in
 * uint32. Other bounds are in base/limits.h. */
static rt_status check_shape(const rt_gbdt_data *data, rt_error *err)
{
    const char *where = "rt_gbdt_fit";
    const rt_matrix *x = &data->rows.x;
    if (x->rows < 1) {
        return rt_fail(err, RT_INVALID, where,
                       "there are no rows to train on; check the window's filter");
    }
    if (x->rows >= INT32_MAX) {
        return rt_fail(err, RT_LIMIT, where, "%lld rows are more than the limit of %d",
                       (long long)x->rows, INT32_MAX - 1);
    }
    if (x->columns < 1 || x->columns > RT_MAX_FEATURES) {
        return rt_fail(err, RT_LIMIT, where, "%d features are outside 1 to %d",
                       x->columns, (int)RT_MAX_FEATURES);
    }
    for (int32_t f = 0; f < x->columns; f++) {
        if (data->levels[f] < -1 || data->levels[f] > RT_MAX_CATEGORIES) {
            return rt_fail(err, RT_LIMIT, where, "feature %d has more than %d levels",
                           f, (int)RT_MAX_CATEGORIES);
        }
        if (data->monotone != NULL && data->monotone[f] != 0 && data->levels[f] != 0) {
            return rt_fail(err, RT_INVALID, where,
                           "feature %d is categorical and has no order to be "
                           "monotone in",
                           f);
        }
    }
    return RT_OK;
}

/* Rows to evaluate on keep the rules of training rows. The number of classes comes
 * first, as labels are held against it, here and in training. Early stopping without
 * such rows is refused: it would silently do nothing. */
static rt_status check_eval(const rt_gbdt_data *data, const rt_gbdt_params *params,
                            rt_error *err)
{
    int64_t with_weight = 0;
    if (data->loss == RT_LOSS_SOFTMAX &&
        (data->classes < 2 || data->classes > RT_MAX_OUTPUTS)) {
        return rt_fail(err, RT_LIMIT, "rt_gbdt_fit", "%d classes are outside 2 to %d",
                       data->classes, (int)RT_MAX_OUTPUTS);
    }
    if (data->eval == NULL) {
        return params->value[RT_P_EARLY_STOPPING_ROUNDS] == 0.0
                   ? RT_OK
                   : rt_fail(err, RT_INVALID, "rt_gbdt_fit",
                             "early_stopping_rounds needs rows to evaluate on");
    }
    if (data->eval->x.columns != data->rows.x.columns) {
        return rt_fail(err, RT_INVALID, "rt_gbdt_fit",
                       "the rows to evaluate on have %d columns, the others %d",
                       data->eval->x.columns, data->rows.x.columns);
    }
    return rt_rows_check(data->eval, classes_of(data), &with_weight, err);
}

/* Columns are cut by whole columns, filled and laid by ranges of rows. A barrier stands
 * where a rank goes on to read what others have written. */
static void make_bins(fit *f)
{
#pragma omp parallel num_threads(f->threads) default(none) shared(f)
    {
        rt_team team = {omp_get_thread_num(), omp_get_num_threads(), &f->barrier};
        rt_bins_cut(&f->bins, &f->data->rows.x, team, f->ctl);
        rt_team_barrier(team);
        if (team.rank == 0) {
            /* Which columns share a byte depends on all of them: one rank decides. */
            rt_bins_group(&f->bins);
        }
        rt_team_barrier(team);
        rt_bins_fill(&f->bins, &f->data->rows.x, team, f->ctl);
        if (f->bins.digit_groups > 1) { /* else a rank lays the rows it filled */
            rt_team_barrier(team);
            if (team.rank == 0) {
                rt_bins_join(&f->bins);
            }
            rt_team_barrier(team);
        }
        rt_bins_lay_rows(&f->bins, team);
    }
}

/* Rank 0 after a tree: keep it. Splits are counted over all outputs: a round is idle
 * only if none of its trees found one. */
static void after_tree(fit *f)
{
    rt_grower *grower = &f->grower;
    /* A tree of n leaves has n - 1 splits. */
    f->splits += grower->tree.n_leaves - 1;
    if (grower->status == RT_OK) {
        grower->status = rt_grower_store(grower, f->forest, &grower->error);
    }
}

/* One tree per output; run by all ranks. All K trees of a round start from the same
 * scores: rt_gradients_round takes the softmax before the first, and a tree changes the
 * score of its own output alone. The status is written by rank 0 between barriers, so
 * all ranks leave the loop together. */
static void grow_round(fit *f, int32_t round, rt_team team)
{
    rt_grower *grower = &f->grower;
    const int32_t outputs = f->forest->n_outputs;
    rt_gradients_round(&f->gradients, team);
    for (int32_t k = 0; k < outputs && grower->status == RT_OK; k++) {
        /* The number of the tree, not of the round, earlier ones counted: no two trees
         * share a stream of draws. */
        int64_t tree = ((int64_t)f->earlier + round) * outputs + k;
        rt_grower_sample(grower, f->seed, tree, team);
        rt_gradients_update(&f->gradients, k, grower->tree.rows,
                            rt_draw_key(f->seed, RT_DRAW_NOISE, (uint64_t)tree), team);
        rt_grower_grow(grower, team);
        if (grower->status == RT_OK) {
            rt_grower_apply(grower, k, team);
        }
        if (team.rank == 0) {
            after_tree(f);
        }
        rt_team_barrier(team);
    }
}

/* Is the loss of the rows to evaluate on still falling? */
static bool worth_going_on(fit *f, int32_t round)
{
    const int32_t patience = rt_param_i32(f->params, RT_P_EARLY_STOPPING_ROUNDS);
    double loss = rt_eval_loss(&f->eval);
    if (f->data->losses != NULL) {
        f->data->losses[round] = loss;
    }
    /* Strictly less: of equal rounds the first stays the best. */
    if (round == 0 || loss < f->best_loss) {
        f->best_loss = loss;
        f->best_trees = f->forest->n_trees;
        f->report->best_round = round + 1; /* counted from 1 */
    }
    return patience == 0 || round + 1 - f->report->best_round < patience;
}

/* Rank 0 after a round: count it, decide whether to go on. Trees that could not
 * split cannot in the next round either, unless rows or columns are drawn anew. */
static void after_round(fit *f, int32_t round)
{
    bool sampled = f->params->value[RT_P_SUBSAMPLE] < 1.0 ||
                   f->params->value[RT_P_COLSAMPLE] < 1.0;
    f->report->rounds = round + 1;
    f->stop = f->grower.status != RT_OK || (f->splits == 0 && !sampled);
    /* An idle round of several outputs has stored leaves of value 0 to keep the turns;
     * they are taken back. */
    if (f->grower.status == RT_OK && f->splits == 0 && f->forest->n_outputs > 1) {
        rt_forest_truncate(f->forest, f->forest->n_trees - f->forest->n_outputs);
    }
    if (f->data->eval != NULL && !worth_going_on(f, round)) {
        f->stop = true;
    }
    f->splits = 0;
    /* Threads look for processors anew: the kernel may have moved them. */
    f->spread = (rt_spread){0};
    rt_ctl_advance(f->ctl, round + 1);
}

/* The round's trees to the rows that are watched; run by all ranks. Rank 0 makes the
 * masks; should its memory not suffice, all see it after the barrier. */
static void watch_round(fit *f, int32_t first, rt_team team)
{
    rt_grower *grower = &f->grower;
    if (team.rank == 0 && grower->status == RT_OK) {
        grower->status = rt_eval_take(&f->eval, first, f->threads, &grower->error);
    }
    rt_team_barrier(team);
    if (grower->status == RT_OK) {
        rt_eval_add(&f->eval, team);
    }
}

/* What every rank does, in step. */
static void boost(fit *f, rt_team team)
{
    const int32_t rounds = rt_param_i32(f->params, RT_P_N_ESTIMATORS);
    if (team.rank == 0) {
        f->report->team = team.size; /* what OpenMP gave */
        /* Without a column that can be split no tree has more than one leaf. */
        f->stop = f->grower.columns.n_usable == 0;
    }
    rt_team_barrier(team);
    if (f->data->eval != NULL && f->earlier > 0) {
        watch_round(f, 0, team);
    }
    for (int32_t round = 0; round < rounds && !f->stop; round++) {
        /* The forest grows only behind further barriers: all ranks read the same. */
        const int32_t first = f->forest->n_trees;
        rt_spread_take(&f->spread);
        grow_round(f, round, team);
        if (f->data->eval != NULL) {
            watch_round(f, first, team);
        }
        if (team.rank == 0) {
            after_round(f, round);
        }
        rt_team_barrier(team);
    }
}

/* An error of a rank is kept by the grower: nothing may leave the region early, or the
 * others would wait at their next barrier forever. */
static rt_status run_boost(fit *f, rt_error *err)
{
#pragma omp parallel num_threads(f->threads) default(none) shared(f)
    {
        rt_team team = {omp_get_thread_num(), omp_get_num_threads(), &f->barrier};
        boost(f, team);
    }
    if (f->grower.status != RT_OK && err != NULL) {
        *err = f->grower.error;
    }
    return f->grower.status;
}

/* The scores to begin with, as the gradients hold them: (base - lowest) / scale. For
 * labels lowest is 0 and scale 1. */
static void scaled_base(const fit *f, double *base)
{
    for (int32_t k = 0; k < f->forest->n_outputs; k++) {
        base[k] = (f->forest->base_score[k] - f->rows.lowest) / f->rows.scale;
    }
}

/* What is made here is cleared by clear_fit, so every failure just returns. */
static rt_status grow_forest(fit *f, rt_error *err)
{
    double base[RT_MAX_OUTPUTS];
    const rt_targets targets = {.loss = f->data->loss,
                                .outputs = f->forest->n_outputs,
                                .rows = f->rows.count,
                                .label = f->rows.label,
                                .value = f->rows.value,
                                .weight = f->rows.weight,
                                .total_weight = f->rows.total_weight,
                                .scale = f->rows.scale};
    scaled_base(f, base);
    rt_status status =
        rt_gradients_init(&f->gradients, &targets, base, f->threads, err);
    if (status != RT_OK) {
        return status;
    }
    if (f->score != NULL) {
        rt_resume_gradients(&f->rows, f->data->rows.x.rows, f->score, &f->gradients);
    }
    status = rt_grower_init(&f->grower, &f->bins, f->params, f->data->monotone,
                            &f->gradients, f->threads, f->ctl, err);
    if (status != RT_OK) {
        return status;
    }
    if (f->data->eval != NULL) {
        status = rt_eval_init(&f->eval, f->data->eval, f->forest, err);
        if (status != RT_OK) {
            return status;
        }
    }
    status = run_boost(f, err);
    if (status == RT_OK && f->params->value[RT_P_EARLY_STOPPING_ROUNDS] > 0.0) {
        /* The model is that of the best round; trees grown while a better one was still
         * hoped for are dropped. */
        rt_forest_truncate(f->forest, f->best_trees);
    }
    return status;
}

/* Bins once, then trees. The matrix is read for the last time in make_bins; from then
 * on a row is its bytes. */
static rt_status train(fit *f, rt_error *err)
{
    rt_status status =
        rt_bins_init(&f->bins, f->rows.count, f->data->rows.x.columns, f->data->levels,
                     rt_param_i32(f->params, RT_P_MAX_BINS), f->threads, err);
    if (status != RT_OK) {
        return status;
    }
    /* Rows without weight are skipped by number: the matrix is never copied. */
    f->bins.making.source = f->rows.source;
    /* Makes libgomp's team on processors of its own before the first region. */
    rt_spread_team(f->threads);
    make_bins(f);
    if (rt_ctl_cancelled(f->ctl)) {
        return rt_fail(err, RT_CANCELLED, "rt_gbdt_fit", "training was asked to stop");
    }
    /* Before the grower allocates: the peak of memory is then lower. */
    rt_bins_drop_workspace(&f->bins);
    return grow_forest(f, err);
}

/* Earlier trees, and the scores that they give. Amounts are scaled to those scores too,
 * which bounds the first gradients. */
static rt_status resume_rows(fit *f, rt_error *err)
{
    const rt_gbdt_rows *rows = &f->data->rows;
    int64_t with_weight = 0;
    rt_status status = rt_rows_check(rows, classes_of(f->data), &with_weight, err);
    if (status == RT_OK) {
        status = rt_resume_trees(&f->data->resume, f->forest, err);
    }
    if (status == RT_OK) {
        f->earlier = f->forest->n_trees / f->forest->n_outputs;
        status = rt_resume_scores(f->forest, rows, f->threads, &f->score, err);
    }
    if (status != RT_OK) {
        return status;
    }
    const rt_span span = rt_resume_span(rows, f->score);
    return rt_rows_gather(rows, classes_of(f->data), &span, &f->rows, err);
}

/* Targets that are all one need no trees: the base score says it all, unless earlier
 * trees said otherwise. */
static rt_status fit_rows(fit *f, rt_error *err)
{
    const bool resumes = f->data->resume.forest != NULL;
    rt_status status = rt_forest_init(f->forest, f->data->rows.x.columns, f->data->loss,
                                      outputs_of(f->data), err);
    if (status != RT_OK) {
        return status;
    }
    /* A copy: the forest outlives the data. */
    memcpy(f->forest->levels, f->data->levels,
           (size_t)f->data->rows.x.columns * sizeof *f->data->levels);
    status = resumes ? resume_rows(f, err)
                     : rt_rows_gather(&f->data->rows, classes_of(f->data), NULL,
                                      &f->rows, err);
    if (status != RT_OK) {
        return status;
    }
    f->report->rows = f->rows.count;
    if (!resumes) {
        rt_rows_base(&f->rows, f->data->loss, f->forest->n_outputs,
                     f->forest->base_score);
    }
    return f->rows.constant && !resumes ? RT_OK : train(f, err);
}

/* Each of these takes a zeroed struct, so this is right after any failure. */
static void clear_fit(fit *f)
{
    rt_barrier_destroy(&f->barrier);
    rt_eval_clear(&f->eval);
    rt_grower_clear(&f->grower);
    rt_gradients_clear(&f->gradients);
    rt_bins_clear(&f->bins);
    rt_rows_clear(&f->rows);
    rt_free(f->score);
}

rt_status rt_gbdt_fit(const rt_gbdt_data *data, const rt_gbdt_params *params,
                      uint64_t seed, int32_t n_threads, rt_ctl *ctl, rt_forest *forest,
                      rt_gbdt_report *report, rt_error *err)
{
    fit f = {.data = data,
             .params = params,
             .seed = seed,
             .threads = rt_resolve_threads(n_threads),
             .ctl = ctl,
             .forest = forest,
             .report = report};
    /* First, so that both can be read and cleared whatever comes out. */
    memset(forest, 0, sizeof *forest);
    memset(report, 0, sizeof *report);
    rt_barrier_init(&f.barrier);

    /* The cheap checks come before the one that reads all rows. */
    rt_status status = rt_check_threads(n_threads, "rt_gbdt_fit", err);
    if (status != RT_OK) {
        goto done;
    }
    status = rt_gbdt_params_check(params, err);
    if (status != RT_OK) {
        goto done;
    }
    status = check_shape(data, err);
    if (status != RT_OK) {
        goto done;
    }
    status = check_eval(data, params, err);
    if (status != RT_OK) {
        goto done;
    }
    status = fit_rows(&f, err);
done:
    clear_fit(&f);
    if (status != RT_OK) {
        rt_forest_clear(forest);
    }
    return status;
}
