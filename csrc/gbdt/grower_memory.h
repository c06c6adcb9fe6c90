/* Memory of the grower, and its pool of histograms. */
#ifndef RT_GBDT_GROWER_MEMORY_H
#define RT_GBDT_GROWER_MEMORY_H

#include "gbdt/grower_state.h"

/* All arrays for trees over `bins`, which must be finished; everything is borrowed. */
RT_CHECKED rt_status rt_grower_init(rt_grower *grower, const rt_bins *bins,
                                    const rt_gbdt_params *params,
                                    const int8_t *monotone, rt_gradients *gradients,
                                    int32_t threads, rt_ctl *ctl, rt_error *err);
void rt_grower_clear(rt_grower *grower);

/* A histogram for a leaf, free or new, in the form of the gradients; by rank 0. -1 when
 * there is no memory: grower->status then says so. */
int32_t rt_grower_take_slot(rt_grower *grower);

/* Gives the leaf's back, if it has one. */
void rt_grower_drop_slot(rt_grower *grower, rt_leaf *leaf);

#endif
