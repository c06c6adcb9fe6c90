/* Splits of a categorical feature. */
#ifndef RT_GBDT_SPLIT_CATEGORY_H
#define RT_GBDT_SPLIT_CATEGORY_H

#include "gbdt/split.h"

/* As rt_split_numeric, but what goes left is complete. */
void rt_split_categorical(const rt_split_rules *rules, const rt_cut *cut,
                          const rt_histogram *histogram, const int64_t *cells,
                          rt_sums node, rt_split *best);

#endif
