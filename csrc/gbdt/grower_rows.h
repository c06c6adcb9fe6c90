/* The rows and columns of a tree, and which side of a split rows take. */
#ifndef RT_GBDT_GROWER_ROWS_H
#define RT_GBDT_GROWER_ROWS_H

#include "gbdt/grower_state.h"

/* Chooses rows and columns of tree `number`; run by all ranks, ends with a
 * barrier. */
void rt_grower_sample(rt_grower *grower, uint64_t seed, int64_t number, rt_team team);

/* By rank 0: puts into the step how rows are parted. */
void rt_partition_plan(rt_grower *grower, const rt_split *split);

/* One rank's rows of the leaf become those of the step's children. */
void rt_partition(rt_grower *grower, int32_t rank);

#endif
