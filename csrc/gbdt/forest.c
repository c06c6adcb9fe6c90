/* Trees one after the other in growing arrays. Unit: a node; a tree's nodes lie
 * together, its root first, and speak of each other by their place in the tree. */
#include "gbdt/forest.h"

#include <string.h>

#include "base/alloc.h"

/* Nodes and words begin without room: rt_forest_reserve makes it tree by tree. */
rt_status rt_forest_init(rt_forest *forest, int32_t n_features, rt_loss loss,
                         int32_t n_outputs, rt_error *err)
{
    memset(forest, 0, sizeof *forest);
    forest->loss = loss;
    forest->n_outputs = n_outputs;
    forest->n_features = n_features;
    const rt_block blocks[] = {
        RT_BLOCK(forest->levels, n_features),
        RT_BLOCK(forest->start, 1), /* start[0] = 0: the first tree begins there */
        RT_BLOCK(forest->base_score, n_outputs),
    };
    return rt_alloc_all(blocks, sizeof blocks / sizeof blocks[0], "rt_forest_init",
                        err);
}

/* Doubles, so that appending n items one by one copies at most 2 n; a single large
 * request gets just what it asks for. */
static int64_t larger_room(int64_t room, int64_t needed)
{
    return 2 * room > needed ? 2 * room : needed;
}

/* Room for `needed` items in one array. *room grows only with the block, so after a
 * failure both still fit each other. */
static rt_status reserve(void **block, int64_t used, int64_t needed, int64_t *room,
                         size_t item_bytes, rt_error *err)
{
    if (needed <= *room) {
        return RT_OK;
    }
    int64_t larger = larger_room(*room, needed);
    rt_status status =
        rt_grow(block, used, larger, item_bytes, "rt_forest_reserve", err);
    if (status == RT_OK) {
        *room = larger;
    }
    return status;
}

rt_status rt_forest_reserve(rt_forest *forest, int64_t trees, int64_t nodes,
                            int64_t words, rt_error *err)
{
    /* The helper takes any pointer as void *: casting the address of a typed one would
     * break C's aliasing rules. */
    void *start = forest->start;
    void *node = forest->nodes;
    void *stats = forest->stats;
    void *word = forest->words;
    int64_t stats_room = forest->node_room;
    int64_t start_room = forest->tree_room + 1; /* one entry more than trees */

    rt_status status = reserve(&start, forest->n_trees + 1, forest->n_trees + trees + 1,
                               &start_room, sizeof(int64_t), err);
    /* Kept even if the next array fails: the old block is gone once one has grown. */
    forest->start = start;
    forest->tree_room = start_room - 1;
    if (status != RT_OK) {
        return status;
    }
    /* Statistics first: node_room may only grow once both arrays have. */
    status = reserve(&stats, forest->n_nodes, forest->n_nodes + nodes, &stats_room,
                     sizeof(rt_node_stats), err);
    forest->stats = stats;
    if (status != RT_OK) {
        return status;
    }
    status = reserve(&node, forest->n_nodes, forest->n_nodes + nodes,
                     &forest->node_room, sizeof(rt_node), err);
    forest->nodes = node;
    if (status != RT_OK) {
        return status;
    }
    status = reserve(&word, forest->n_words, forest->n_words + words,
                     &forest->word_room, sizeof(uint64_t), err);
    forest->words = word;
    return status;
}

/* Words are dropped with their trees. Sets are appended in the order of nodes, so the
 * last categorical node left says where they end; without one there are none. */
void rt_forest_truncate(rt_forest *forest, int32_t trees)
{
    /* The room stays: what grows again after this needs no new memory. */
    forest->n_trees = trees;
    forest->n_nodes = forest->start[trees];
    forest->n_words = 0;
    for (int64_t i = forest->n_nodes; i > 0 && forest->n_words == 0; i--) {
        const rt_node *node = &forest->nodes[i - 1];
        if (node->set != RT_NUMERIC_SPLIT) {
            forest->n_words = node->set + rt_set_words(forest->levels[node->feature]);
        }
    }
}

/* The plain walk, which the masks of leaf_masks.h must agree with. Children lie behind
 * their parent, so it ends; model files are checked for that. */
int32_t rt_forest_reach(const rt_forest *forest, int32_t tree, const rt_matrix *x,
                        int64_t row)
{
    /* Children are numbered from the root of their tree. */
    const rt_node *root = forest->nodes + forest->start[tree];
    int32_t at = 0;
    while (root[at].feature != RT_LEAF) {
        double value = rt_matrix_at(x, row, root[at].feature);
        bool left = rt_forest_goes_left(forest, &root[at], value);
        at = left ? root[at].left : root[at].right;
    }
    return at;
}

double rt_forest_leaf(const rt_forest *forest, int32_t tree, const rt_matrix *x,
                      int64_t row)
{
    const int32_t at = rt_forest_reach(forest, tree, x, row);
    return forest->nodes[forest->start[tree] + at].value;
}

/* The forest is empty afterwards, so clearing it twice is harmless. */
void rt_forest_clear(rt_forest *forest)
{
    rt_free(forest->base_score);
    rt_free(forest->levels);
    rt_free(forest->start);
    rt_free(forest->nodes);
    rt_free(forest->stats);
    rt_free(forest->words);
    memset(forest, 0, sizeof *forest);
}
