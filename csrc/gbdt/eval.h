/* Rows that a training run does not learn from but looks at after every round.
 *
 * Losses are summed per block of rows, in row order, and the blocks in theirs: the
 * same double for any team. */
#ifndef RT_GBDT_EVAL_H
#define RT_GBDT_EVAL_H

#include <stdint.h>

#include "base/status.h"
#include "gbdt/forest.h"
#include "gbdt/simd/dispatch.h"
#include "gbdt/targets.h"
#include "parallel/team.h"

typedef struct rt_eval {
    const rt_gbdt_rows *rows;
    const rt_forest *forest;
    const rt_hot *hot;
    rt_quick quick;       /* the trees of the round */
    rt_quick_cell *cells; /* [threads][planes][RT_QUICK_ROWS] */
    double *score;        /* [outputs][rows] */
    double *block;        /* [blocks] sums of loss */
    double total_weight;
} rt_eval;

RT_CHECKED rt_status rt_eval_init(rt_eval *eval, const rt_gbdt_rows *rows,
                                  const rt_forest *forest, rt_error *err);
void rt_eval_clear(rt_eval *eval);

/* By one rank: makes the forest's trees from `first` on ready for a team of at most
 * `threads`. */
RT_CHECKED rt_status rt_eval_take(rt_eval *eval, int32_t first, int32_t threads,
                                  rt_error *err);

/* Adds those trees to the scores; run by all ranks, ends with a barrier. */
void rt_eval_add(rt_eval *eval, rt_team team);

/* The mean loss by weight: log-loss, or squared error. */
double rt_eval_loss(const rt_eval *eval);

#endif
