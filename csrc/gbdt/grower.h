/* Growing one tree. */
#ifndef RT_GBDT_GROWER_H
#define RT_GBDT_GROWER_H

#include "gbdt/grower_state.h"

/* Grows the tree from the rows and columns of rt_grower_sample and gives its leaves
 * their values; run by all ranks, ends with a barrier. grower->status says how it
 * went. */
void rt_grower_grow(rt_grower *grower, rt_team team);

#endif
