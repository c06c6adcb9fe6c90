/* Leaves of grown trees, fitted to new rows without losing what the old ones knew.
 *
 * To the loss of the new rows each leaf adds a quadratic around its old value v, whose
 * second derivative is that of the old rows, H (rt_node_stats.cover), and of the
 * penalty l2 (elastic weight consolidation, Kirkpatrick et al. 2017, where it is exact:
 * a leaf's second derivatives have no mixed terms). With the sums G', H' of the new
 * rows' derivatives the Newton step is
 *
 *   v' = (gamma (H + l2) v - rate G') / (gamma H + H' + l2)     H <- gamma H + H'
 *
 * At gamma 1 the penalty counts once, in the old value, and one tree of squared error
 * gets the leaves that old and new rows together would have given it. At gamma 0 the
 * old rows are forgotten: trees keep their splits alone. Trees are taken in their
 * order, each from the scores of those before it as they are now. */
#ifndef RT_GBDT_REFIT_H
#define RT_GBDT_REFIT_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"
#include "gbdt/forest.h"
#include "gbdt/params.h"
#include "gbdt/targets.h"

/* Sets the leaf values and covers of a forest by the rows; all else stays. A leaf keeps
 * its value where no row reaches it, or where gamma H + H' stays below
 * min_child_weight. gamma is 0 to 1. On failure the forest is of no use. Opens a
 * parallel region: call it on a task. ctl->done counts trees. */
RT_CHECKED rt_status rt_gbdt_refit(const rt_gbdt_rows *rows,
                                   const rt_gbdt_params *params, double gamma,
                                   int32_t n_threads, rt_ctl *ctl, rt_forest *forest,
                                   rt_error *err);

#endif
