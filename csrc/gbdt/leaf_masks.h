/* Trees as bit masks, for batches of rows.
 *
 * Each row keeps one bit per leaf, leaves numbered from left to right. A node that
 * sends the row right clears the leaves of its left side; when every node has been
 * asked, the lowest bit left is the row's leaf. (Lucchese et al., "QuickScorer",
 * SIGIR 2015.) There is no branch and no dependence between nodes or rows, so rows
 * go through by vectors. Trees of more than 64 leaves are walked. */
#ifndef RT_GBDT_LEAF_MASKS_H
#define RT_GBDT_LEAF_MASKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "gbdt/forest.h"

enum { RT_QUICK_LEAVES = 64, RT_QUICK_ROWS = 64 };

typedef struct rt_quick_node {
    double threshold;
    uint64_t keep; /* the leaves that are left when a row goes right */
    int32_t feature;
    int32_t set; /* first word of the category set, or RT_NUMERIC_SPLIT */
    int32_t levels;
    uint32_t missing_left;
} rt_quick_node;

typedef struct rt_quick {
    rt_quick_node *node;
    double *value;  /* leaves of all trees */
    int64_t *first; /* [trees + 1] a tree's first node */
    int64_t *leaf;  /* [trees] a tree's first leaf, -1: it is to be walked */
} rt_quick;

RT_CHECKED rt_status rt_quick_init(rt_quick *quick, const rt_forest *forest,
                                   rt_error *err);
void rt_quick_clear(rt_quick *quick);

#endif
