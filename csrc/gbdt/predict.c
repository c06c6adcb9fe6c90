/* Two ways to the same doubles. A few rows are walked through all trees: to prepare
 * anything would cost more than the walk. Many are taken 64 at a time through masks of
 * leaves (leaf_masks.h), a thread each its own range. Either way a row's leaves are
 * added in the order of trees, so batch, team and instruction set do not show. Unit: a
 * row of one output. */
#include "gbdt/predict.h"

#include <math.h>
#include <omp.h>
#include <stdbool.h>

#include "base/alloc.h"
#include "base/math.h"
#include "gbdt/leaf_masks.h"
#include "gbdt/simd/dispatch.h"
#include "parallel/placement.h"
#include "parallel/team.h"
#include "parallel/threads.h"

enum { STACK_NUMBERS = 512 }; /* a few narrow rows need no allocation at all */

/* Raw sums to what the forest predicts, in place: [outputs] of one row. */
static void finish_row(const rt_forest *forest, double *sum)
{
    if (forest->loss == RT_LOSS_BINARY) {
        sum[0] = rt_sigmoid(sum[0]);
    } else if (forest->loss == RT_LOSS_SOFTMAX) {
        double most = sum[0];
        double total = 0.0;
        for (int32_t k = 1; k < forest->n_outputs; k++) {
            most = sum[k] > most ? sum[k] : most;
        }
        for (int32_t k = 0; k < forest->n_outputs; k++) {
            sum[k] = rt_exp(sum[k] - most);
            total += sum[k];
        }
        for (int32_t k = 0; k < forest->n_outputs; k++) {
            sum[k] /= total;
        }
    }
}

/* `step` numbers from one feature of the row to the next. */
static double walk(const rt_forest *forest, const rt_node *tree, const double *row,
                   int64_t step)
{
    const rt_node *node = tree;
    while (node->feature != RT_LEAF) {
        bool left = rt_forest_goes_left(forest, node, row[node->feature * step]);
        node = tree + (left ? node->left : node->right);
    }
    return node->value;
}

/* A few rows, each walked through all trees. */
static void predict_few(const rt_forest *forest, const rt_matrix *x, double *row,
                        double *out)
{
    const int32_t outputs = forest->n_outputs;
    for (int64_t i = 0; i < x->rows; i++) {
        double *sum = out + i * outputs;
        for (int32_t f = 0; f < x->columns; f++) {
            row[f] = rt_matrix_at(x, i, f);
        }
        for (int32_t k = 0; k < outputs; k++) {
            double total = forest->base_score[k];
            for (int32_t t = k; t < forest->n_trees; t += outputs) {
                total += walk(forest, forest->nodes + forest->start[t], row, 1);
            }
            sum[k] = total;
        }
        finish_row(forest, sum);
    }
}

/* Column by column; rows beyond the end repeat the last one, unread. */
static void gather(const rt_matrix *x, int64_t first, int64_t rows, double *buffer)
{
    for (int32_t f = 0; f < x->columns; f++) {
        double *column = buffer + (int64_t)f * RT_QUICK_ROWS;
        for (int64_t i = 0; i < rows; i++) {
            column[i] = rt_matrix_at(x, first + i, f);
        }
        for (int64_t i = rows; i < RT_QUICK_ROWS; i++) {
            column[i] = column[rows - 1];
        }
    }
}

typedef struct job {
    const rt_forest *forest;
    const rt_matrix *x;
    const rt_hot *hot;
    rt_quick quick;
    rt_ctl *ctl;
    double *buffers; /* [threads][features][RT_QUICK_ROWS] */
    double *out;
} job;

/* One output's raw sums of a block. Trees are added one after the other, whatever
 * way each is scored. */
static void sum_block(const job *j, int32_t output, int64_t rows, const double *buffer,
                      double *sum)
{
    const rt_forest *forest = j->forest;
    for (int64_t i = 0; i < RT_QUICK_ROWS; i++) {
        sum[i] = forest->base_score[output];
    }
    for (int32_t t = output; t < forest->n_trees; t += forest->n_outputs) {
        int64_t first = j->quick.first[t];
        if (j->quick.leaf[t] >= 0) {
            j->hot->quick_tree(j->quick.node + first, j->quick.first[t + 1] - first,
                               j->quick.value + j->quick.leaf[t], forest->words, buffer,
                               sum);
            continue;
        }
        const rt_node *tree = forest->nodes + forest->start[t];
        for (int64_t i = 0; i < rows; i++) {
            sum[i] += walk(forest, tree, buffer + i, RT_QUICK_ROWS);
        }
    }
}

/* One batch: its numbers are gathered once and stay in the cache for all trees. */
static void predict_block(const job *j, int64_t at, int64_t rows, double *buffer)
{
    const int32_t outputs = j->forest->n_outputs;
    double sum[RT_QUICK_ROWS];
    double *out = j->out + at * outputs;
    gather(j->x, at, rows, buffer);
    for (int32_t k = 0; k < outputs; k++) {
        sum_block(j, k, rows, buffer, sum);
        for (int64_t i = 0; i < rows; i++) {
            out[i * outputs + k] = sum[i];
        }
    }
    if (j->forest->loss == RT_LOSS_BINARY) {
        j->hot->sigmoid(sum, rows, out);
        return;
    }
    for (int64_t i = 0; i < rows; i++) {
        finish_row(j->forest, out + i * outputs);
    }
}

static void predict_range(const job *j, int64_t begin, int64_t end, double *buffer)
{
    for (int64_t at = begin; at < end && !rt_ctl_cancelled(j->ctl);
         at += RT_QUICK_ROWS) {
        int64_t rows = end - at < RT_QUICK_ROWS ? end - at : RT_QUICK_ROWS;
        predict_block(j, at, rows, buffer);
    }
}

int rt_predict_runs_alone(const rt_forest *forest, int64_t rows)
{
    return rows * ((int64_t)forest->n_trees + 1) < RT_PREDICT_ALONE;
}

/* Every thread has a buffer of its own; nothing is shared but what is read. */
static void predict_team(const job *j, int32_t threads)
{
    int64_t room = (int64_t)RT_QUICK_ROWS * j->forest->n_features;
    rt_spread_team(threads);
#pragma omp parallel num_threads(threads) default(none) shared(j, room)
    {
        rt_team team = {omp_get_thread_num(), omp_get_num_threads(), NULL};
        int64_t begin = 0;
        int64_t end = 0;
        rt_team_range(team, j->x->rows, &begin, &end);
        predict_range(j, begin, end, j->buffers + team.rank * room);
    }
}

static rt_status predict_many(const rt_forest *forest, const rt_matrix *x,
                              int32_t threads, rt_ctl *ctl, double *out, rt_error *err)
{
    void *buffers = NULL;
    job j = {.forest = forest, .x = x, .hot = rt_hot_in_use(), .ctl = ctl, .out = out};
    rt_status status =
        rt_alloc(&buffers, (int64_t)threads * RT_QUICK_ROWS * forest->n_features,
                 sizeof(double), "rt_predict", err);
    if (status != RT_OK) {
        return status;
    }
    j.buffers = buffers;
    status = rt_quick_init(&j.quick, forest, err);
    if (status == RT_OK && threads == 1) {
        predict_range(&j, 0, x->rows, buffers);
    } else if (status == RT_OK) {
        predict_team(&j, threads);
    }
    rt_quick_clear(&j.quick);
    rt_free(buffers);
    if (status == RT_OK && rt_ctl_cancelled(ctl)) {
        return rt_fail(err, RT_CANCELLED, "rt_predict", "prediction was asked to stop");
    }
    return status;
}

rt_status rt_predict(const rt_forest *forest, const rt_matrix *x, int32_t n_threads,
                     rt_ctl *ctl, double *out, rt_error *err)
{
    double row[STACK_NUMBERS];
    if (x->columns != forest->n_features) {
        return rt_fail(err, RT_INVALID, "rt_predict",
                       "the data has %d columns, the model %d features", x->columns,
                       forest->n_features);
    }
    /* Masks pay only from some rows on. */
    if (x->rows < RT_QUICK_ROWS / 4 && forest->n_features <= STACK_NUMBERS) {
        predict_few(forest, x, row, out);
        return RT_OK;
    }
    bool alone = rt_predict_runs_alone(forest, x->rows) != 0;
    return predict_many(forest, x, alone ? 1 : rt_resolve_threads(n_threads), ctl, out,
                        err);
}
