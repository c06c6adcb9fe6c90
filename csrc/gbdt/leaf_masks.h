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

#include "base/matrix.h"
#include "base/status.h"
#include "gbdt/forest.h"

/* Sets of up to RT_QUICK_WORDS words are asked word by word: all rows at once is
 * quicker than fetching the word of each. */
enum { RT_QUICK_LEAVES = 64, RT_QUICK_ROWS = 64, RT_QUICK_WORDS = 8 };

struct rt_hot;

/* What a block holds of a row, in planes of RT_QUICK_ROWS. A number has one plane. A
 * level has one for each word of a set: its bit in its word, 0 in the others and if it
 * is unknown. If there are more than RT_QUICK_WORDS it has two: the bit, and which word
 * it is in. */
typedef union rt_quick_cell {
    double number;
    uint64_t bits;
} rt_quick_cell;

typedef struct rt_quick_node {
    double threshold;
    uint64_t keep; /* the leaves that are left when a row goes right */
    int32_t plane; /* of its feature */
    int32_t set;   /* first word of the category set, or RT_NUMERIC_SPLIT */
    int32_t words; /* of the set */
    uint32_t missing_left;
} rt_quick_node;

/* A tree of at most RT_QUICK_LEAVES leaves. Which split is asked first does not matter:
 * they lie by how they are asked, those of sets of one or two words before larger ones.
 */
typedef struct rt_quick_tree {
    const rt_quick_node *number, *small_set, *large_set, *end;
    const uint64_t *words; /* of all sets */
    const double *value;   /* of its leaves; NULL: there are more, walk it */
} rt_quick_tree;

/* The trees of a forest from `begin` on, and the columns that they ask for. */
typedef struct rt_quick {
    const rt_forest *forest;
    int32_t begin;
    rt_quick_tree *tree;
    rt_quick_node *node; /* of all trees, and what their leaves add */
    double *value;
    int32_t *plane;   /* [features] its first plane, -1: no tree asks for it */
    int32_t *feature; /* [columns] */
    int32_t columns, planes;
} rt_quick;

RT_CHECKED rt_status rt_quick_init(rt_quick *quick, const rt_forest *forest,
                                   int32_t begin, rt_error *err);
void rt_quick_clear(rt_quick *quick);

/* A block: rows [first, first + rows), at most RT_QUICK_ROWS, into
 * cells[planes][RT_QUICK_ROWS]. */
void rt_quick_load(const rt_quick *quick, const struct rt_hot *hot, const rt_matrix *x,
                   int64_t first, int64_t rows, rt_quick_cell *cells);

/* sum[i] += the leaf of the block's row i in that tree of the forest; sum has room for
 * RT_QUICK_ROWS, of which those beyond `rows` mean nothing. */
void rt_quick_add(const rt_quick *quick, const struct rt_hot *hot, int32_t tree,
                  int64_t rows, const rt_quick_cell *cells, double *sum);

#endif
