/* Rounds of an earlier forest: taken over into one that goes on from it, and the oldest
 * dropped. */
#ifndef RT_GBDT_ROUNDS_H
#define RT_GBDT_ROUNDS_H

#include <stdint.h>

#include "base/status.h"
#include "gbdt/forest.h"

/* Appends the trees of `from` from `first` on to a forest of the same features and
 * outputs. `place` holds, for each level of each categorical feature of `from` in
 * turn, its number in `forest`, which may know more levels; NULL: they are the same. */
RT_CHECKED rt_status rt_forest_append(rt_forest *forest, const rt_forest *from,
                                      int32_t first, const int32_t *place,
                                      rt_error *err);

/* Drops the oldest rounds. Each of their trees leaves its mean over the rows that it
 * was grown from in the base score, sum over leaves of rows * value / rows, so that
 * scores keep their level. */
RT_CHECKED rt_status rt_forest_drop_rounds(rt_forest *forest, int32_t rounds,
                                           rt_error *err);

#endif
