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

/* Raw sums to what the forest predicts, in place: [outputs] of one row. The largest sum
 * is taken out of the softmax, so no exp overflows and the total is at least 1. */
static void finish_row(const rt_forest *forest, double *sum)
{
    if (forest->loss == RT_LOSS_BINARY) {
        sum[0] = rt_sigmoid(sum[0]);
    } else if (forest->loss == RT_LOSS_SOFTMAX) {
        double most = sum[0];
        double total = 0.0; /* at least 1: one of them is exp(0) */
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

/* By nodes and a row of doubles; branches, but nothing to prepare. */
static double walk(const rt_forest *forest, const rt_node *tree, const double *row)
{
    const rt_node *node = tree;
    while (node->feature != RT_LEAF) {
        bool left = rt_forest_goes_left(forest, node, row[node->feature]);
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
        double *sum = out + i * outputs; /* raw sums first */
        /* Widened once: every tree asks some of these numbers again. */
        for (int32_t f = 0; f < x->columns; f++) {
            row[f] = rt_matrix_at(x, i, f);
        }
        for (int32_t k = 0; k < outputs; k++) {
            double total = forest->base_score[k];
            /* The output's trees in their order, as sum_block adds them. */
            for (int32_t t = k; t < forest->n_trees; t += outputs) {
                total += walk(forest, forest->nodes + forest->start[t], row);
            }
            sum[k] = total;
        }
        finish_row(forest, sum);
    }
}

/* What all threads read; only cells and out are written, each in its own range. */
typedef struct job {
    const rt_forest *forest;
    const rt_matrix *x;
    const rt_hot *hot;
    rt_quick quick;
    rt_ctl *ctl;
    rt_quick_cell *cells; /* [threads][planes][RT_QUICK_ROWS] */
    double *out;
} job;

/* One output's raw sums of a block. Trees are added one after the other, whatever way
 * each is scored: a sum of doubles depends on its order. */
static void sum_block(const job *j, int32_t output, int64_t rows,
                      const rt_quick_cell *cells, double *sum)
{
    const rt_forest *forest = j->forest;
    /* A whole block, also where rows end: vectors have no remainder then. */
    for (int64_t i = 0; i < RT_QUICK_ROWS; i++) {
        sum[i] = forest->base_score[output];
    }
    for (int32_t t = output; t < forest->n_trees; t += forest->n_outputs) {
        rt_quick_add(&j->quick, j->hot, t, rows, cells, sum);
    }
}

/* One batch: its numbers are gathered once and stay in the cache for all trees. */
static void predict_block(const job *j, int64_t at, int64_t rows, rt_quick_cell *cells)
{
    const int32_t outputs = j->forest->n_outputs;
    double sum[RT_QUICK_ROWS];
    double *out = j->out + at * outputs;
    rt_quick_load(&j->quick, j->hot, j->x, at, rows, cells);
    for (int32_t k = 0; k < outputs; k++) {
        sum_block(j, k, rows, cells, sum);
        for (int64_t i = 0; i < rows; i++) {
            out[i * outputs + k] = sum[i];
        }
    }
    if (j->forest->loss == RT_LOSS_BINARY) {
        /* rt_sigmoid by vectors: one output, so sums lie as in `out`. */
        j->hot->sigmoid(sum, rows, out);
        return;
    }
    for (int64_t i = 0; i < rows; i++) {
        finish_row(j->forest, out + i * outputs);
    }
}

/* Cancellation is looked at between blocks of 64 rows. */
static void predict_range(const job *j, int64_t begin, int64_t end,
                          rt_quick_cell *cells)
{
    for (int64_t at = begin; at < end && !rt_ctl_cancelled(j->ctl);
         at += RT_QUICK_ROWS) {
        int64_t rows = end - at < RT_QUICK_ROWS ? end - at : RT_QUICK_ROWS;
        predict_block(j, at, rows, cells);
    }
}

int rt_predict_runs_alone(const rt_forest *forest, int64_t rows)
{
    /* One more than trees: a forest of none still writes every row. */
    return rows * ((int64_t)forest->n_trees + 1) < RT_PREDICT_ALONE;
}

/* Every thread has cells of its own; nothing is shared but what is read. */
static void predict_team(const job *j, int32_t threads)
{
    int64_t room = (int64_t)RT_QUICK_ROWS * j->quick.planes;
    rt_spread_team(threads);
#pragma omp parallel num_threads(threads) default(none) shared(j, room)
    {
        /* No barrier: the end of the region is all that ranks wait for. */
        rt_team team = {omp_get_thread_num(), omp_get_num_threads(), NULL};
        /* A range of rows each: a row's sums do not depend on who makes them. */
        int64_t begin = 0;
        int64_t end = 0;
        rt_team_range(team, j->x->rows, &begin, &end);
        predict_range(j, begin, end, j->cells + team.rank * room);
    }
}

/* Masks of the whole forest, once for the call, and each thread's block of cells. */
static rt_status prepare(job *j, int32_t threads, rt_error *err)
{
    rt_status status = rt_quick_init(&j->quick, j->forest, 0, err);
    if (status != RT_OK) {
        return status;
    }
    const rt_block cells =
        RT_BLOCK(j->cells, (int64_t)threads * RT_QUICK_ROWS * j->quick.planes);
    return rt_alloc_all(&cells, 1, "rt_predict", err);
}

/* When it is cancelled, some rows of `out` are written: the error is what counts. */
static rt_status predict_many(const rt_forest *forest, const rt_matrix *x,
                              int32_t threads, rt_ctl *ctl, double *out, rt_error *err)
{
    job j = {.forest = forest, .x = x, .hot = rt_hot_in_use(), .ctl = ctl, .out = out};
    rt_status status = prepare(&j, threads, err);
    /* No region for one thread, so such a call needs no task around it. */
    if (status == RT_OK && threads == 1) {
        predict_range(&j, 0, x->rows, j.cells);
    } else if (status == RT_OK) {
        predict_team(&j, threads);
    }
    rt_quick_clear(&j.quick);
    rt_free(j.cells); /* NULL without memory for them */
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
    /* Masks pay only from some rows on: a block costs the same however few it has. */
    if (x->rows < RT_QUICK_ROWS / 4 && forest->n_features <= STACK_NUMBERS) {
        predict_few(forest, x, row, out);
        return RT_OK;
    }
    /* Few rows and trees never start a team, whatever n_threads says. */
    bool alone = rt_predict_runs_alone(forest, x->rows) != 0;
    return predict_many(forest, x, alone ? 1 : rt_resolve_threads(n_threads), ctl, out,
                        err);
}
