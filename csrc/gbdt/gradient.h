/* First and second derivatives of the loss as whole numbers, for one output.
 *
 *   log-loss      p = sigmoid(score)         g = (p - y) w        h = p (1 - p) w
 *   softmax       p = exp(s_k) / sum exp     g = (p - [y = k]) w  h = K/(K-1) p (1 - p)
 * w squared error                            g = (score - y) w    h = w
 *
 * Sums of integers do not depend on order, so every total below is exact for
 * any team. Two forms:
 *
 * wide (at most RT_WIDE_ROWS rows in the tree): g in steps of 2^-36 and h in
 *   steps of 2^-32 (2^-30 for h = w), both before a weight that is scaled so that
 *   all weights sum to at most 2^16. Then |sum g| <= 2^54 and sum h < 2^47, which
 *   leaves 17 bits beneath h for the row count: one 16-byte add per row and
 *   feature carries g, h and count. Nothing is rounded by noise. A weight of 2
 *   equals two rows.
 * packed (more rows): 12 bits of g (with its sign), 10 of h and a 1 for the count
 *   in one int64; RT_PACKED_ROWS of them cannot overflow into each other:
 *   16,383 x 2,047 < 2^25 (signed, 26 bits), 16,383 x 1,023 < 2^24, 16,383 < 2^14.
 *   Values are rounded up or down at random with the right expectation; the noise
 *   is a hash of (seed, tree, row). Its variance, at most (max |g| / 4,094)^2 per
 *   row, is a millionth of what the labels themselves vary by. One add per row and
 *   feature instead of two is worth a third of the training time. The wide numbers
 *   (weights scaled to 2^24) are kept beside them for leaf values. */
#ifndef RT_GBDT_GRADIENT_H
#define RT_GBDT_GRADIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "gbdt/simd/dispatch.h"
#include "parallel/team.h"

enum {
    RT_WIDE_ROWS = 65536,
    RT_COUNT_BITS = 17,
    RT_COUNT_MASK = (1 << RT_COUNT_BITS) - 1,
    RT_PACKED_ROWS = 16383,
    RT_PACKED_COUNT_MASK = (1 << 14) - 1,
    RT_PACKED_H_AT = 14,
    RT_PACKED_H_MASK = (1 << 24) - 1,
    RT_PACKED_G_AT = 38,
    RT_PACKED_G_BITS = 11,
    RT_PACKED_H_BITS = 10,
    RT_PACKED_G_MAX = (1 << RT_PACKED_G_BITS) - 1,
    RT_PACKED_H_MAX = (1 << RT_PACKED_H_BITS) - 1
};

/* What is learnt from; borrowed. */
typedef struct rt_targets {
    rt_loss loss;
    int32_t outputs; /* classes of softmax, else 1 */
    int64_t rows;
    const uint8_t *label; /* [rows] the class, or NULL */
    const double *value;  /* [rows] in [0, 1] for squared error, or NULL */
    const double *weight; /* NULL: all 1 */
    double total_weight;
    double scale; /* squared error: what 1 of `value` stands for, a power of two */
} rt_targets;

typedef struct rt_gradients {
    rt_targets targets;
    double *score; /* [outputs][rows] raw scores so far, in units of targets.scale */
    double *soft;  /* softmax: [2][rows] largest score and sum of exp(score - it) */
    rt_gradient *exact;  /* [rows] */
    int64_t *packed;     /* [rows], NULL unless rows > RT_WIDE_ROWS */
    rt_gradient *maxima; /* [threads] largest |g| and h of each rank's rows */
    const rt_hot *hot;
    bool wide;
    double g_unit, h_unit;             /* value of one step in the histograms */
    double exact_g_unit, exact_h_unit; /* value of one step in `exact` */
} rt_gradients;

/* base: [outputs] scores to begin with, in units of targets.scale. */
RT_CHECKED rt_status rt_gradients_init(rt_gradients *gradients,
                                       const rt_targets *targets, const double *base,
                                       int32_t threads, rt_error *err);
void rt_gradients_clear(rt_gradients *gradients);

/* Before the trees of a round, which all start from the scores of now; run by all
 * ranks, no barrier. */
void rt_gradients_round(rt_gradients *gradients, rt_team team);

/* Derivatives of one output for all rows, to be used for a tree of `in_tree` of
 * them; run by all ranks, ends with a barrier. */
void rt_gradients_update(rt_gradients *gradients, int32_t output, int64_t in_tree,
                         uint64_t noise_key, rt_team team);

#endif
