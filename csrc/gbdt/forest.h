/* Trees as flat arrays: what training makes, prediction walks and the model
 * file holds. */
#ifndef RT_GBDT_FOREST_H
#define RT_GBDT_FOREST_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/matrix.h"
#include "base/status.h"

enum { RT_LEAF = -1, RT_NUMERIC_SPLIT = -1, RT_WORD_BITS = 64, RT_MAX_OUTPUTS = 256 };

/* What the sums of leaves mean. */
typedef enum rt_loss { RT_LOSS_BINARY = 1, RT_LOSS_SOFTMAX, RT_LOSS_SQUARE } rt_loss;

/* A leaf has feature RT_LEAF and adds `value` to the raw score. A numeric split
 * sends x <= value left; a categorical one sends the levels of its set left and
 * everything else, missing and unknown levels included, right. */
typedef struct rt_node {
    double value;
    int32_t feature;
    int32_t left, right;   /* indices within the tree, larger than the node's own */
    int32_t set;           /* first word of the set in rt_forest.words, or -1 */
    uint32_t missing_left; /* where a missing number goes: 1 left, 0 right */
    uint32_t rows;         /* training rows that came here */
} rt_node;

_Static_assert(sizeof(rt_node) == 32, "two nodes to a cache line");

typedef struct rt_node_stats {
    double gain;  /* how much the split lowered the loss; 0 for a leaf */
    double cover; /* sum of the second derivatives of the rows that came here */
} rt_node_stats;

/* Tree t adds to output t mod n_outputs. */
typedef struct rt_forest {
    rt_loss loss;
    int32_t n_outputs;  /* classes of softmax, else 1 */
    double *base_score; /* [n_outputs] */
    int32_t n_features, n_trees;
    int64_t n_nodes, n_words;
    int32_t *levels; /* [n_features] categories; 0: a number, -1: a category
                        without any known level */
    int64_t *start;  /* [n_trees + 1] first node of each tree */
    rt_node *nodes;
    rt_node_stats *stats;
    uint64_t *words; /* sets of categories, bit i of word w is level 64 w + i */
    int64_t tree_room, node_room, word_room;
} rt_forest;

/* Whole words that a set over `levels` categories takes. */
static inline int32_t rt_set_words(int32_t levels)
{
    return (levels + RT_WORD_BITS - 1) / RT_WORD_BITS;
}

RT_CHECKED rt_status rt_forest_init(rt_forest *forest, int32_t n_features, rt_loss loss,
                                    int32_t n_outputs, rt_error *err);

/* Room for one more tree of that many nodes and words; n_* stay as they are. */
RT_CHECKED rt_status rt_forest_reserve(rt_forest *forest, int64_t trees, int64_t nodes,
                                       int64_t words, rt_error *err);

/* Keeps the first `trees`. */
void rt_forest_truncate(rt_forest *forest, int32_t trees);

/* Is the level in the node's set? NaN, unknown and fractional levels are in none. */
static inline bool rt_forest_in_set(const rt_forest *forest, const rt_node *node,
                                    double x)
{
    if (!(x >= 0.0 && x < (double)forest->levels[node->feature])) {
        return false;
    }
    int32_t level = (int32_t)x;
    uint64_t word = forest->words[node->set + level / RT_WORD_BITS];
    return (double)level == x && ((word >> (level % RT_WORD_BITS)) & 1);
}

/* Where a number goes that a numeric split asks for. */
static inline bool rt_node_sends_left(const rt_node *node, double x)
{
    return isnan(x) ? node->missing_left != 0 : x <= node->value;
}

/* Where a value of the node's feature goes. */
static inline bool rt_forest_goes_left(const rt_forest *forest, const rt_node *node,
                                       double x)
{
    if (node->set != RT_NUMERIC_SPLIT) {
        return rt_forest_in_set(forest, node, x);
    }
    return rt_node_sends_left(node, x);
}

/* The number of the leaf that the row reaches, within the tree. */
int32_t rt_forest_reach(const rt_forest *forest, int32_t tree, const rt_matrix *x,
                        int64_t row);

/* The value of that leaf. */
double rt_forest_leaf(const rt_forest *forest, int32_t tree, const rt_matrix *x,
                      int64_t row);

/* Frees what the forest owns; a zeroed forest is fine. */
void rt_forest_clear(rt_forest *forest);

#endif
