/* Scores to whole-number derivatives (formulas and bit budget: gradient.h), batch by
 * batch: predictions into a buffer that stays in the cache, derivatives from there, and
 * above RT_WIDE_ROWS a second pass that packs them, once the largest are known. Unit:
 * one row of one output. */
#include "gbdt/gradient.h"

#include <string.h>

#include "base/alloc.h"
#include "base/math.h"

enum {
    G_BITS = 36,
    H_BITS = 32,
    SQUARE_H_BITS = 30,    /* h is 1 there, not at most 1/4 */
    WIDE_WEIGHT_BITS = 16, /* all weights of the wide form sum to at most 2^this */
    EXACT_WEIGHT_BITS = 24 /* the same for the numbers beside the packed form */
};
_Static_assert(RT_TEAM_BATCH <= (int)RT_HOT_BATCH, "a batch is taken at once");

static rt_status alloc_arrays(rt_gradients *gradients, int32_t threads, rt_error *err)
{
    const int64_t rows = gradients->targets.rows;
    const bool soft = gradients->targets.loss == RT_LOSS_SOFTMAX;
    const rt_block blocks[] = {
        RT_BLOCK(gradients->score, rows * gradients->targets.outputs),
        RT_BLOCK(gradients->soft, soft ? 2 * rows : 0),
        /* 16 bytes a row, and 8 more where trees may have more than RT_WIDE_ROWS rows:
         * a draw of rows can bring a tree below that again. */
        RT_BLOCK(gradients->exact, rows),
        RT_BLOCK(gradients->maxima, threads),
        RT_BLOCK(gradients->packed, rows > RT_WIDE_ROWS ? rows : 0),
    };
    return rt_alloc_all(blocks, sizeof blocks / sizeof blocks[0], "rt_gradients_init",
                        err);
}

rt_status rt_gradients_init(rt_gradients *gradients, const rt_targets *targets,
                            const double *base, int32_t threads, rt_error *err)
{
    memset(gradients, 0, sizeof *gradients);
    gradients->targets = *targets;
    gradients->hot = rt_hot_in_use();
    rt_status status = alloc_arrays(gradients, threads, err);
    if (status != RT_OK) {
        return status;
    }
    /* Scores lie output by output: a round of one output streams through its own. */
    for (int32_t k = 0; k < targets->outputs; k++) {
        for (int64_t i = 0; i < targets->rows; i++) {
            gradients->score[k * targets->rows + i] = base[k];
        }
    }
    return RT_OK;
}

void rt_gradients_clear(rt_gradients *gradients)
{
    rt_free(gradients->score);
    rt_free(gradients->soft);
    rt_free(gradients->exact);
    rt_free(gradients->maxima);
    rt_free(gradients->packed);
    memset(gradients, 0, sizeof *gradients);
}

/* The sum runs over the classes in order: the same double for any team. */
void rt_gradients_round(rt_gradients *gradients, rt_team team)
{
    const int64_t rows = gradients->targets.rows;
    if (gradients->targets.loss != RT_LOSS_SOFTMAX) {
        return;
    }
    for (rt_batch own = rt_batch_first(team, rows); own.begin < own.end;
         own = rt_batch_next(own)) {
        /* The largest score and the sum of exp(score - largest), which cannot overflow.
         */
        gradients->hot->soft_sums(gradients->score + own.begin, rows,
                                  gradients->targets.outputs, own.end - own.begin,
                                  gradients->soft + own.begin,
                                  gradients->soft + rows + own.begin);
    }
}

/* Predictions and targets of a batch that begins at `row`. */
static void predict_batch(const rt_gradients *gradients, int32_t output, int64_t row,
                          int64_t count, double *p, double *target)
{
    const rt_targets *targets = &gradients->targets;
    const double *score = gradients->score + output * targets->rows + row;
    if (targets->loss == RT_LOSS_SQUARE) {
        /* The score is the prediction; g is the difference, h is 1. */
        memcpy(p, score, (size_t)count * sizeof *p);
        memcpy(target, targets->value + row, (size_t)count * sizeof *target);
        return;
    }
    if (targets->loss == RT_LOSS_BINARY) {
        gradients->hot->sigmoid(score, count, p);
        for (int64_t i = 0; i < count; i++) {
            target[i] = (double)targets->label[row + i];
        }
        return;
    }
    const double *most = gradients->soft + row;
    gradients->hot->soft_shares(score, most, most + targets->rows, count, p);
    for (int64_t i = 0; i < count; i++) {
        target[i] = targets->label[row + i] == output ? 1.0 : 0.0;
    }
}

/* Exact derivatives of this rank's rows, and the largest of them: the scale of the
 * packed form follows from the maxima of all ranks, which do not depend on who has
 * which row. */
static void derive_rows(rt_gradients *gradients, int32_t output, double weight_scale,
                        rt_team team)
{
    const rt_targets *targets = &gradients->targets;
    const bool square = targets->loss == RT_LOSS_SQUARE;
    const double classes = (double)targets->outputs;
    rt_gradient most = {0, 0};
    double p[RT_HOT_BATCH];
    double target[RT_HOT_BATCH];
    for (rt_batch own = rt_batch_first(team, targets->rows); own.begin < own.end;
         own = rt_batch_next(own)) {
        const int64_t at = own.begin;
        const int64_t count = own.end - at;
        predict_batch(gradients, output, at, count, p, target);
        /* Weights are scaled by a power of two, which loses nothing, so that the sum of
         * all fits the bits of the exact form. */
        rt_hot_derive job = {
            .count = count,
            .p = p,
            .target = target,
            .weight = targets->weight == NULL ? NULL : targets->weight + at,
            .weight_scale = weight_scale,
            .g_steps = rt_pow2(G_BITS),
            .h_steps = rt_pow2(square ? SQUARE_H_BITS : H_BITS),
            .square = square,
            /* Friedman 2001, algorithm 6: steps of K classes are K / (K - 1) shorter.
             */
            .h_factor = classes > 1.0 ? classes / (classes - 1.0) : 1.0,
            /* The wide form counts rows in the low bits of h. */
            .shift = gradients->wide ? RT_COUNT_BITS : 0,
        };
        gradients->hot->derive(&job, gradients->exact + at);
        /* Maxima of absolute values: the same for any cut of the rows. */
        most.g = job.most_g > most.g ? job.most_g : most.g;
        most.h = (uint64_t)job.most_h > most.h ? (uint64_t)job.most_h : most.h;
    }
    gradients->maxima[team.rank] = most;
}

/* The largest e that keeps most * 2^e below 2^bits. */
static int32_t packed_exponent(int64_t most, int32_t bits)
{
    int32_t used = 0;
    while (used < 63 && ((uint64_t)most >> used) != 0) {
        used++;
    }
    /* `used` is 0 where all are zero: any finite scale will do. */
    return bits - (used > 0 ? used : 1);
}

/* Of all ranks: a maximum, so their order is of no matter. */
static rt_gradient largest(const rt_gradient *maxima, int32_t ranks)
{
    rt_gradient most = {0, 0};
    for (int32_t i = 0; i < ranks; i++) {
        most.g = maxima[i].g > most.g ? maxima[i].g : most.g;
        most.h = maxima[i].h > most.h ? maxima[i].h : most.h;
    }
    return most;
}

/* Scaled to their bits and rounded at random: what a nearest rounding would lose of
 * small gradients, all in one direction, averages out. */
static void pack_rows(rt_gradients *gradients, uint64_t noise_key, int32_t g_exponent,
                      int32_t h_exponent, rt_team team)
{
    const int64_t rows = gradients->targets.rows;
    for (rt_batch own = rt_batch_first(team, rows); own.begin < own.end;
         own = rt_batch_next(own)) {
        gradients->hot->pack(gradients->exact + own.begin, own.end - own.begin,
                             own.begin, noise_key, rt_pow2(g_exponent),
                             rt_pow2(h_exponent), gradients->packed + own.begin);
    }
}

/* All rows, also those that the tree leaves out: batches without gaps cost less
 * than choosing. */
void rt_gradients_update(rt_gradients *gradients, int32_t output, int64_t in_tree,
                         uint64_t noise_key, rt_team team)
{
    const bool wide = in_tree <= RT_WIDE_ROWS;
    const bool square = gradients->targets.loss == RT_LOSS_SQUARE;
    int32_t exponent = (wide ? (int32_t)WIDE_WEIGHT_BITS : (int32_t)EXACT_WEIGHT_BITS) -
                       rt_ceil_log2(gradients->targets.total_weight);
    /* Units turn whole numbers back into doubles when leaves are valued. */
    if (team.rank == 0) {
        gradients->wide = wide;
        gradients->exact_g_unit =
            rt_pow2(-G_BITS - exponent) * gradients->targets.scale;
        gradients->exact_h_unit =
            rt_pow2(-(square ? SQUARE_H_BITS : H_BITS) - exponent);
        gradients->g_unit = gradients->exact_g_unit;
        gradients->h_unit = gradients->exact_h_unit;
    }
    rt_team_barrier(team);
    derive_rows(gradients, output, rt_pow2(exponent), team);
    rt_team_barrier(team);
    if (wide) {
        return; /* the histograms take the exact numbers */
    }
    /* Every rank computes the scale by itself: cheaper than another barrier. */
    rt_gradient most = largest(gradients->maxima, team.size);
    int32_t g_exponent = packed_exponent(most.g, RT_PACKED_G_BITS);
    int32_t h_exponent = packed_exponent((int64_t)most.h, RT_PACKED_H_BITS);
    pack_rows(gradients, noise_key, g_exponent, h_exponent, team);
    /* Powers of two again, so exact and packed sums differ by rounding alone. */
    if (team.rank == 0) {
        gradients->g_unit = gradients->exact_g_unit * rt_pow2(-g_exponent);
        gradients->h_unit = gradients->exact_h_unit * rt_pow2(-h_exponent);
    }
    rt_team_barrier(team);
}
