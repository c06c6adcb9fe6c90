/* Scores of watched rows grow tree by tree, through masks of leaves as in prediction,
 * and their loss is summed anew each round. Unit: a block of rows; block sums are added
 * in the order of blocks, by one rank. */
#include "gbdt/eval.h"

#include <string.h>

#include "base/alloc.h"
#include "base/math.h"

/* Rows whose losses are summed together: a multiple of RT_QUICK_ROWS, and 8 KB of
 * doubles on the stack. */
enum { BLOCK_ROWS = 1024 };

/* Blocks do not depend on the team: their sums would be other doubles. */
static int64_t block_count(const rt_eval *eval)
{
    return (eval->rows->x.rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
}

static double weight_at(const rt_eval *eval, int64_t row)
{
    return eval->rows->weight == NULL ? 1.0 : eval->rows->weight[row];
}

/* By one thread, in the order of rows: the total weight is a sum of doubles. */
static void start_scores(rt_eval *eval)
{
    const int64_t rows = eval->rows->x.rows;
    for (int32_t k = 0; k < eval->forest->n_outputs; k++) {
        for (int64_t i = 0; i < rows; i++) {
            eval->score[k * rows + i] = eval->forest->base_score[k];
        }
    }
    for (int64_t i = 0; i < rows; i++) {
        eval->total_weight += weight_at(eval, i);
    }
}

rt_status rt_eval_init(rt_eval *eval, const rt_gbdt_rows *rows, const rt_forest *forest,
                       rt_error *err)
{
    memset(eval, 0, sizeof *eval);
    eval->rows = rows;
    eval->forest = forest;
    eval->hot = rt_hot_in_use();
    const rt_block blocks[] = {
        /* Output by output: a tree adds to one output alone. */
        RT_BLOCK(eval->score, rows->x.rows * forest->n_outputs),
        RT_BLOCK(eval->block, block_count(eval)),
    };
    rt_status status = rt_alloc_all(blocks, 2, "rt_eval_init", err);
    if (status == RT_OK) {
        start_scores(eval);
    }
    return status;
}

void rt_eval_clear(rt_eval *eval)
{
    rt_free(eval->score);
    rt_free(eval->block);
    rt_free(eval->cells);
    rt_quick_clear(&eval->quick);
    memset(eval, 0, sizeof *eval);
}

rt_status rt_eval_take(rt_eval *eval, int32_t first, int32_t threads, rt_error *err)
{
    rt_free(eval->cells);
    rt_quick_clear(&eval->quick);
    eval->cells = NULL; /* or a failure below would have it freed twice */
    /* Masks of the new trees alone: older ones are in the scores. */
    rt_status status = rt_quick_init(&eval->quick, eval->forest, first, err);
    if (status != RT_OK) {
        return status;
    }
    /* The planes depend on what the round's trees ask for, so cells are made anew. */
    const rt_block cells =
        RT_BLOCK(eval->cells, (int64_t)threads * RT_QUICK_ROWS * eval->quick.planes);
    return rt_alloc_all(&cells, 1, "rt_eval_take", err);
}

/* log(sum exp(s_k)) - s_label; the largest score is taken out, so that no exp
 * overflows.
 */
static double softmax_loss(const rt_eval *eval, int64_t row)
{
    const int64_t rows = eval->rows->x.rows;
    double most = eval->score[row];
    double sum = 0.0;
    for (int32_t k = 1; k < eval->forest->n_outputs; k++) {
        double score = eval->score[k * rows + row];
        most = score > most ? score : most;
    }
    for (int32_t k = 0; k < eval->forest->n_outputs; k++) {
        sum += rt_exp(eval->score[k * rows + row] - most);
    }
    return rt_log(sum) + most - eval->score[eval->rows->label[row] * rows + row];
}

/* The loss of each row of [begin, end), at most a block. */
static void losses_of(const rt_eval *eval, int64_t begin, int64_t end, double *loss)
{
    /* A block at a time, so that log-loss and squared error go through vectors. */
    const double *score = eval->score + begin;
    double margin[BLOCK_ROWS]; /* larger is worse */
    switch (eval->forest->loss) {
    case RT_LOSS_BINARY:
        for (int64_t i = 0; i < end - begin; i++) {
            /* Log-loss: log(1 + exp(-s)) for label 1, log(1 + exp(s)) for label 0. */
            margin[i] = eval->rows->label[begin + i] != 0 ? -score[i] : score[i];
        }
        eval->hot->softplus(margin, end - begin, loss);
        return;
    case RT_LOSS_SOFTMAX:
        for (int64_t i = begin; i < end; i++) {
            loss[i - begin] = softmax_loss(eval, i);
        }
        return;
    case RT_LOSS_SQUARE:
        for (int64_t i = 0; i < end - begin; i++) {
            /* In the target's own unit, which is that of the leaves. */
            const double error = score[i] - eval->rows->value[begin + i];
            loss[i] = error * error;
        }
    }
}

/* The new trees' leaves to the scores of rows [at, at + rows). rt_quick_add writes
 * whole blocks, hence the copy: the last block may have fewer rows. */
static void add_trees(rt_eval *eval, int64_t at, int64_t rows, rt_quick_cell *cells)
{
    double sum[RT_QUICK_ROWS] = {0.0}; /* zeros: a whole block is added to */
    rt_quick_load(&eval->quick, eval->hot, &eval->rows->x, at, rows, cells);
    for (int32_t t = eval->quick.begin; t < eval->forest->n_trees; t++) {
        /* Trees take turns among the outputs. */
        double *score =
            eval->score + t % eval->forest->n_outputs * eval->rows->x.rows + at;
        memcpy(sum, score, (size_t)rows * sizeof *sum);
        rt_quick_add(&eval->quick, eval->hot, t, rows, cells, sum);
        memcpy(score, sum, (size_t)rows * sizeof *sum);
    }
}

/* From new scores to the sum of their losses, while both are in the cache. Within a
 * block rows are added in their order. */
static void add_block(rt_eval *eval, int64_t block, rt_quick_cell *cells)
{
    const int64_t begin = block * BLOCK_ROWS;
    const int64_t rows = eval->rows->x.rows;
    const int64_t end = begin + BLOCK_ROWS < rows ? begin + BLOCK_ROWS : rows;
    double loss[BLOCK_ROWS];
    double sum = 0.0;
    for (int64_t at = begin; at < end; at += RT_QUICK_ROWS) {
        add_trees(eval, at, end - at < RT_QUICK_ROWS ? end - at : RT_QUICK_ROWS, cells);
    }
    losses_of(eval, begin, end, loss);
    for (int64_t i = begin; i < end; i++) {
        sum += weight_at(eval, i) * loss[i - begin];
    }
    eval->block[block] = sum;
}

void rt_eval_add(rt_eval *eval, rt_team team)
{
    /* A rank's cells are its own, and its blocks lie together. */
    const int64_t room = (int64_t)RT_QUICK_ROWS * eval->quick.planes;
    int64_t begin = 0;
    int64_t end = 0;
    rt_team_range(team, block_count(eval), &begin, &end);
    for (int64_t b = begin; b < end; b++) {
        add_block(eval, b, eval->cells + team.rank * room);
    }
    /* Rank 0 reads the blocks of all. */
    rt_team_barrier(team);
}

/* Block by block in their order: the same double for any team. The total is not 0,
 * since rt_rows_check refuses rows that all have weight 0. */
double rt_eval_loss(const rt_eval *eval)
{
    double sum = 0.0;
    for (int64_t b = 0; b < block_count(eval); b++) {
        sum += eval->block[b];
    }
    return sum / eval->total_weight;
}
