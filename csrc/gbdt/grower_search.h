/* The best splits of a step's leaves. */
#ifndef RT_GBDT_GROWER_SEARCH_H
#define RT_GBDT_GROWER_SEARCH_H

#include "gbdt/grower_state.h"

/* One rank's candidates, by one part of the shape, for those of the step's leaves that
 * may be split; their histograms of that part are complete. */
void rt_grower_find_splits(rt_grower *grower, int32_t rank, rt_hist_part part);

/* By rank 0, when the first `ranks` have found theirs: each leaf's best. */
void rt_grower_choose_splits(rt_grower *grower, int32_t ranks);

#endif
