#include "kernels/gbdt.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/math.h"
#include "base/rng.h"
#include "base/task.h"
#include "kernels/bins.h"
#include "kernels/gradient.h"
#include "kernels/tree.h"

/* Rows with weight, one after the other. */
typedef struct dense_rows {
    int64_t count;
    int32_t *source; /* NULL: all rows of the matrix */
    uint8_t *label;
    double *weight; /* NULL: all 1 */
    double total_weight, positive_weight;
} dense_rows;

typedef struct fit {
    const rt_gbdt_data *data;
    const rt_gbdt_params *params;
    uint64_t seed;
    int32_t threads;
    rt_ctl *ctl;
    rt_forest *forest;
    rt_gbdt_report *report;
    dense_rows rows;
    rt_bins bins;
    rt_gradients gradients;
    rt_grower grower;
    rt_barrier barrier;
    bool stop;
} fit;

static rt_status check_shape(const rt_gbdt_data *data, rt_error *err)
{
    const char *where = "rt_gbdt_fit";
    const rt_matrix *x = &data->x;
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
    }
    return RT_OK;
}

static rt_status check_rows(const rt_gbdt_data *data, int64_t *with_weight,
                            rt_error *err)
{
    *with_weight = 0;
    for (int64_t i = 0; i < data->x.rows; i++) {
        double w = data->weight == NULL ? 1.0 : data->weight[i];
        if (data->label[i] > 1) {
            return rt_fail(err, RT_INVALID, "rt_gbdt_fit",
                           "the label of row %lld is neither 0 nor 1", (long long)i);
        }
        if (!(w >= 0.0 && w <= 1e30)) {
            return rt_fail(err, RT_INVALID, "rt_gbdt_fit",
                           "the weight of row %lld is %g; weights lie between 0 and "
                           "1e30",
                           (long long)i, w);
        }
        *with_weight += w > 0.0 ? 1 : 0;
    }
    if (*with_weight == 0) {
        return rt_fail(err, RT_INVALID, "rt_gbdt_fit", "all weights are 0");
    }
    return RT_OK;
}

static void drop_rows(dense_rows *rows)
{
    rt_free(rows->source);
    rt_free(rows->label);
    rt_free(rows->weight);
    memset(rows, 0, sizeof *rows);
}

static rt_status alloc_rows(const rt_gbdt_data *data, dense_rows *rows, rt_error *err)
{
    void *block = NULL;
    rt_status status = rt_alloc(&block, rows->count, 1, "rt_gbdt_fit", err);
    rows->label = block;
    if (status == RT_OK && data->weight != NULL) {
        status = rt_alloc(&block, rows->count, sizeof(double), "rt_gbdt_fit", err);
        rows->weight = block;
    }
    if (status == RT_OK && rows->count < data->x.rows) {
        status = rt_alloc(&block, rows->count, sizeof(int32_t), "rt_gbdt_fit", err);
        rows->source = block;
    }
    return status;
}

/* Rows without weight are dropped before anything else is decided, so that a
 * weight of 0 equals the row's absence everywhere. Weights are summed in row
 * order on one thread: the same double for any team. */
static rt_status gather_rows(const rt_gbdt_data *data, dense_rows *rows, rt_error *err)
{
    rt_status status = check_rows(data, &rows->count, err);
    if (status == RT_OK) {
        status = alloc_rows(data, rows, err);
    }
    int64_t next = 0;
    for (int64_t i = 0; i < data->x.rows && status == RT_OK; i++) {
        double w = data->weight == NULL ? 1.0 : data->weight[i];
        if (w == 0.0) {
            continue;
        }
        rows->label[next] = data->label[i];
        if (rows->weight != NULL) {
            rows->weight[next] = w;
        }
        if (rows->source != NULL) {
            rows->source[next] = (int32_t)i;
        }
        rows->total_weight += w;
        rows->positive_weight += data->label[i] ? w : 0.0;
        next++;
    }
    if (status == RT_OK && rows->total_weight < 1e-30) {
        status = rt_fail(err, RT_INVALID, "rt_gbdt_fit",
                         "the weights sum to %g; scale them to at least 1e-30",
                         rows->total_weight);
    }
    return status;
}

static bool one_class(const dense_rows *rows)
{
    return rows->positive_weight <= 0.0 || rows->positive_weight >= rows->total_weight;
}

/* log(p / (1-p)) of the positive share. One class alone would give infinity: it
 * gets half a row of the other class (the Jeffreys estimate for n rows). */
static double base_score(const dense_rows *rows)
{
    double positive = rows->positive_weight;
    double negative = rows->total_weight - positive;
    if (one_class(rows)) {
        double n = (double)rows->count;
        positive = positive > 0.0 ? n + 0.5 : 0.5;
        negative = n + 1.0 - positive;
    }
    return rt_log(positive) - rt_log(negative);
}

static void make_bins(fit *f)
{
#pragma omp parallel num_threads(f->threads) default(none) shared(f)
    {
        rt_team team = {omp_get_thread_num(), omp_get_num_threads(), &f->barrier};
        rt_bins_cut(&f->bins, &f->data->x, team, f->ctl);
        rt_team_barrier(team);
        rt_bins_fill(&f->bins, &f->data->x, team, f->ctl);
    }
}

/* Rank 0 after a tree: keep it, count it, decide whether to go on. A tree that
 * could not split cannot in the next round either, unless rows or columns are
 * drawn anew. */
static void after_tree(fit *f, int32_t round)
{
    rt_grower *grower = &f->grower;
    bool sampled = f->params->value[RT_P_SUBSAMPLE] < 1.0 ||
                   f->params->value[RT_P_COLSAMPLE] < 1.0;
    if (grower->status == RT_OK) {
        grower->status = rt_grower_store(grower, f->forest, &grower->error);
    }
    f->report->rounds = round + 1;
    f->stop = grower->status != RT_OK || (grower->n_leaves < 2 && !sampled);
    rt_ctl_advance(f->ctl, round + 1);
}

/* What every rank does, in step. */
static void boost(fit *f, rt_team team)
{
    rt_grower *grower = &f->grower;
    const int32_t rounds = rt_param_i32(f->params, RT_P_N_ESTIMATORS);
    if (team.rank == 0) {
        f->report->team = team.size;
        f->stop = grower->n_usable == 0;
    }
    rt_team_barrier(team);
    for (int32_t round = 0; round < rounds && !f->stop; round++) {
        rt_grower_sample(grower, f->seed, round, team);
        rt_gradients_update(&f->gradients, 0, grower->in_tree,
                            rt_draw_key(f->seed, RT_DRAW_NOISE, (uint64_t)round), team);
        rt_grower_grow(grower, team);
        if (grower->status == RT_OK) {
            rt_grower_apply(grower, 0, team);
        }
        if (team.rank == 0) {
            after_tree(f, round);
        }
        rt_team_barrier(team);
    }
}

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

static rt_status train(fit *f, rt_error *err)
{
    rt_status status =
        rt_bins_init(&f->bins, f->rows.count, f->data->x.columns, f->data->levels,
                     rt_param_i32(f->params, RT_P_MAX_BINS), f->threads, err);
    if (status != RT_OK) {
        return status;
    }
    f->bins.source = f->rows.source;
    make_bins(f);
    if (rt_ctl_cancelled(f->ctl)) {
        return rt_fail(err, RT_CANCELLED, "rt_gbdt_fit", "training was asked to stop");
    }
    rt_bins_drop_workspace(&f->bins);
    const rt_targets targets = {.loss = RT_LOSS_BINARY,
                                .outputs = 1,
                                .rows = f->rows.count,
                                .label = f->rows.label,
                                .weight = f->rows.weight,
                                .total_weight = f->rows.total_weight};
    status = rt_gradients_init(&f->gradients, &targets, &f->forest->base_score,
                               f->threads, err);
    if (status == RT_OK) {
        status = rt_grower_init(&f->grower, &f->bins, f->params, &f->gradients,
                                f->threads, f->ctl, err);
    }
    return status == RT_OK ? run_boost(f, err) : status;
}

static rt_status fit_rows(fit *f, rt_error *err)
{
    rt_status status = rt_forest_init(f->forest, f->data->x.columns, err);
    if (status != RT_OK) {
        return status;
    }
    memcpy(f->forest->levels, f->data->levels,
           (size_t)f->data->x.columns * sizeof *f->data->levels);
    status = gather_rows(f->data, &f->rows, err);
    if (status != RT_OK) {
        return status;
    }
    f->report->rows = f->rows.count;
    f->forest->base_score = base_score(&f->rows);
    return one_class(&f->rows) ? RT_OK : train(f, err);
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
    memset(forest, 0, sizeof *forest);
    memset(report, 0, sizeof *report);
    if (f.threads > RT_MAX_THREADS) {
        return rt_fail(err, RT_LIMIT, "rt_gbdt_fit",
                       "%d threads are more than the limit of %d", f.threads,
                       (int)RT_MAX_THREADS);
    }
    rt_status status = rt_gbdt_params_check(params, err);
    if (status == RT_OK) {
        status = check_shape(data, err);
    }
    rt_barrier_init(&f.barrier);
    if (status == RT_OK) {
        status = fit_rows(&f, err);
    }
    rt_barrier_destroy(&f.barrier);
    rt_grower_clear(&f.grower);
    rt_gradients_clear(&f.gradients);
    rt_bins_clear(&f.bins);
    drop_rows(&f.rows);
    if (status != RT_OK) {
        rt_forest_clear(forest);
    }
    return status;
}
