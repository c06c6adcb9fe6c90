/* Handing a grown tree to the forest. */
#ifndef RT_GBDT_GROWER_STORE_H
#define RT_GBDT_GROWER_STORE_H

#include "gbdt/grower_state.h"

/* Appends the tree to the forest. A tree of one leaf adds nothing: it is left out,
 * but where outputs take turns it keeps the place. */
RT_CHECKED rt_status rt_grower_store(const rt_grower *grower, rt_forest *forest,
                                     rt_error *err);

#endif
