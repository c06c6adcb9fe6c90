/* From trees of nodes to masks of leaves (leaf_masks.h). Unit: a tree; leaves are
 * numbered from left to right, so the left side of a node is a run of bits. */
#include "gbdt/leaf_masks.h"

#include <string.h>

#include "base/alloc.h"

/* Number of leaves below each node; children lie behind their parent. */
static void count_leaves(const rt_node *tree, int64_t nodes, int32_t *leaves)
{
    for (int64_t i = nodes - 1; i >= 0; i--) {
        bool leaf = tree[i].feature == RT_LEAF;
        leaves[i] = leaf ? 1 : leaves[tree[i].left] + leaves[tree[i].right];
    }
}

/* Adds a tree of at most RT_QUICK_LEAVES leaves. */
static void add_tree(rt_quick *quick, const rt_forest *forest, const rt_node *tree,
                     int64_t nodes, const int32_t *leaves, int32_t *begin,
                     int64_t *next_node, double *value)
{
    begin[0] = 0;
    for (int64_t i = 0; i < nodes; i++) {
        const rt_node *node = &tree[i];
        if (node->feature == RT_LEAF) {
            value[begin[i]] = node->value;
            continue;
        }
        begin[node->left] = begin[i];
        begin[node->right] = begin[i] + leaves[node->left];
        /* The left side has at most 63 leaves: the right one has at least one. */
        uint64_t side = (((uint64_t)1 << leaves[node->left]) - 1) << begin[i];
        quick->node[(*next_node)++] =
            (rt_quick_node){.threshold = node->value,
                            .keep = ~side,
                            .feature = node->feature,
                            .set = node->set,
                            .levels = forest->levels[node->feature],
                            .missing_left = node->missing_left};
    }
}

static rt_status alloc_quick(rt_quick *quick, const rt_forest *forest, int32_t **work,
                             rt_error *err)
{
    const int64_t nodes = forest->n_nodes;
    const int64_t trees = forest->n_trees;
    const rt_block blocks[] = {
        RT_BLOCK(quick->node, nodes),      RT_BLOCK(quick->value, nodes),
        RT_BLOCK(quick->first, trees + 1), RT_BLOCK(quick->leaf, trees),
        RT_BLOCK(*work, 2 * nodes),
    };
    return rt_alloc_all(blocks, sizeof blocks / sizeof blocks[0], "rt_quick_init", err);
}

rt_status rt_quick_init(rt_quick *quick, const rt_forest *forest, rt_error *err)
{
    int32_t *work = NULL;
    int64_t next_node = 0;
    int64_t next_leaf = 0;
    memset(quick, 0, sizeof *quick);
    rt_status status = alloc_quick(quick, forest, &work, err);
    if (status != RT_OK) {
        return status;
    }
    for (int32_t t = 0; t < forest->n_trees; t++) {
        const rt_node *tree = forest->nodes + forest->start[t];
        int64_t nodes = forest->start[t + 1] - forest->start[t];
        quick->first[t] = next_node;
        quick->leaf[t] = -1;
        count_leaves(tree, nodes, work);
        if (work[0] <= RT_QUICK_LEAVES) {
            quick->leaf[t] = next_leaf;
            add_tree(quick, forest, tree, nodes, work, work + nodes, &next_node,
                     quick->value + next_leaf);
            next_leaf += work[0];
        }
        quick->first[t + 1] = next_node;
    }
    rt_free(work);
    return RT_OK;
}

void rt_quick_clear(rt_quick *quick)
{
    rt_free(quick->node);
    rt_free(quick->value);
    rt_free(quick->first);
    rt_free(quick->leaf);
    memset(quick, 0, sizeof *quick);
}
