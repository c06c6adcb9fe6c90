/* What the leaves of a grown tree are worth. */
#ifndef RT_GBDT_GROWER_LEAVES_H
#define RT_GBDT_GROWER_LEAVES_H

#include "gbdt/grower_state.h"

/* Gives the leaves of the grown tree their values; run by all ranks. */
void rt_grower_value_leaves(rt_grower *grower, rt_team team);

/* Adds them to all scores of the output; run by all ranks, ends with a barrier. */
void rt_grower_apply(rt_grower *grower, int32_t output, rt_team team);

#endif
