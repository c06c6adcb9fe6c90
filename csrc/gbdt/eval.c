/* Scores of watched rows grow tree by tree, and their loss is summed anew each round.
 * Unit: a block of rows; block sums are added in the order of blocks, by one rank. */
#include "gbdt/eval.h"

#include <string.h>

#include "base/alloc.h"
#include "base/math.h"

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
    const rt_block blocks[] = {
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
    memset(eval, 0, sizeof *eval);
}

/* log(1 + exp(x)), finite for any x. */
static double softplus(double x)
{
    double size = x < 0.0 ? -x : x;
    return (x > 0.0 ? x : 0.0) + rt_log(1.0 + rt_exp(-size));
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

static double loss_of(const rt_eval *eval, int64_t row)
{
    double score = eval->score[row];
    switch (eval->forest->loss) {
    case RT_LOSS_BINARY:
        return softplus(eval->rows->label[row] != 0 ? -score : score);
    case RT_LOSS_SOFTMAX:
        return softmax_loss(eval, row);
    case RT_LOSS_SQUARE:
        break;
    }
    double error = score - eval->rows->value[row];
    return error * error;
}

void rt_eval_add(rt_eval *eval, int32_t first, rt_team team)
{
    const rt_forest *forest = eval->forest;
    const int64_t rows = eval->rows->x.rows;
    int64_t begin = 0;
    int64_t end = 0;
    rt_team_range(team, block_count(eval), &begin, &end);
    for (int64_t b = begin; b < end; b++) {
        int64_t last = (b + 1) * BLOCK_ROWS < rows ? (b + 1) * BLOCK_ROWS : rows;
        double sum = 0.0;
        for (int64_t i = b * BLOCK_ROWS; i < last; i++) {
            for (int32_t t = first; t < forest->n_trees; t++) {
                int32_t output = t % forest->n_outputs;
                eval->score[output * rows + i] +=
                    rt_forest_leaf(forest, t, &eval->rows->x, i);
            }
            sum += weight_at(eval, i) * loss_of(eval, i);
        }
        eval->block[b] = sum;
    }
    rt_team_barrier(team);
}

double rt_eval_loss(const rt_eval *eval)
{
    double sum = 0.0;
    for (int64_t b = 0; b < block_count(eval); b++) {
        sum += eval->block[b];
    }
    return sum / eval->total_weight;
}
