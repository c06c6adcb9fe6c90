/* From trees of nodes to masks of leaves (leaf_masks.h). Unit: a tree; leaves are
 * numbered from left to right, so the left side of a node is a run of bits. */
#include "gbdt/leaf_masks.h"

#include <string.h>

#include "base/alloc.h"
#include "gbdt/simd/dispatch.h"

/* Number of leaves below each node. Children lie behind their parent, so one pass from
 * the back meets them first. */
static void count_leaves(const rt_node *tree, int64_t nodes, int32_t *leaves)
{
    for (int64_t i = nodes - 1; i >= 0; i--) {
        bool leaf = tree[i].feature == RT_LEAF;
        leaves[i] = leaf ? 1 : leaves[tree[i].left] + leaves[tree[i].right];
    }
}

/* As rt_quick_cell lays it out: a number, or a category of no known level, has one
 * plane, a level one for each word of a set, or two where words are many. */
static int32_t planes_of(int32_t levels)
{
    if (levels <= 0) {
        return 1;
    }
    const int32_t words = rt_set_words(levels);
    return words <= RT_QUICK_WORDS ? words : 2;
}

/* Planes for the features of the tree that have none yet, in the order in which they
 * are met. What no tree asks for is never loaded. */
static void add_columns(rt_quick *quick, const rt_node *tree, int64_t nodes)
{
    for (int64_t i = 0; i < nodes; i++) {
        const int32_t feature = tree[i].feature;
        if (feature != RT_LEAF && quick->plane[feature] < 0) {
            quick->feature[quick->columns++] = feature;
            quick->plane[feature] = quick->planes;
            quick->planes += planes_of(quick->forest->levels[feature]);
        }
    }
}

/* Where each node's leaves begin, and what the leaves add. Parents come first, so one
 * pass from the front does it. */
static void place_leaves(const rt_node *tree, int64_t nodes, const int32_t *leaves,
                         int32_t *begin, double *value)
{
    begin[0] = 0;
    for (int64_t i = 0; i < nodes; i++) {
        const rt_node *node = &tree[i];
        if (node->feature == RT_LEAF) {
            value[begin[i]] = node->value;
        } else {
            begin[node->left] = begin[i];
            begin[node->right] = begin[i] + leaves[node->left];
        }
    }
}

/* How a split is asked, by where its kind lies in a tree: 0 number, 1 set of one or two
 * words (128 levels), 2 larger set. Splits of a kind lie together, so that the loop
 * over them has no branch. */
static int32_t kind_of(const rt_forest *forest, const rt_node *node)
{
    if (node->set == RT_NUMERIC_SPLIT) {
        return 0;
    }
    return rt_set_words(forest->levels[node->feature]) <= 2 ? 1 : 2;
}

/* Adds the splits of one kind, of a tree of at most RT_QUICK_LEAVES leaves, at `next`;
 * gives where they end. Bits can be cleared in any order, so theirs within a kind is
 * that of the nodes. */
static rt_quick_node *add_splits(const rt_quick *quick, const rt_node *tree,
                                 int64_t nodes, const int32_t *leaves,
                                 const int32_t *begin, int32_t kind,
                                 rt_quick_node *next)
{
    for (int64_t i = 0; i < nodes; i++) {
        const rt_node *node = &tree[i];
        if (node->feature == RT_LEAF || kind_of(quick->forest, node) != kind) {
            continue;
        }
        /* The left side has at most 63 leaves, as the right one has at least one: the
         * shift is defined. A row that goes right loses the leaves of the left side. */
        uint64_t side = (((uint64_t)1 << leaves[node->left]) - 1) << begin[i];
        *next++ = (rt_quick_node){
            .threshold = node->value,
            .keep = ~side,
            .plane = quick->plane[node->feature],
            .set = node->set,
            .words = rt_set_words(quick->forest->levels[node->feature]),
            .missing_left = node->missing_left,
        };
    }
    return next;
}

/* Three runs of splits, kind by kind, each ending where the next begins. `work` has
 * room for two numbers of each node; gives where the tree's splits end. */
static rt_quick_node *add_tree(const rt_quick *quick, const rt_node *tree,
                               int64_t nodes, int32_t *work, rt_quick_node *next,
                               double *value, rt_quick_tree *out)
{
    int32_t *begin = work + nodes;
    place_leaves(tree, nodes, work, begin, value);
    *out =
        (rt_quick_tree){.number = next, .words = quick->forest->words, .value = value};
    out->small_set = next = add_splits(quick, tree, nodes, work, begin, 0, next);
    out->large_set = next = add_splits(quick, tree, nodes, work, begin, 1, next);
    out->end = next = add_splits(quick, tree, nodes, work, begin, 2, next);
    return next;
}

/* A tree of n leaves has 2n - 1 nodes: their number is room enough for its splits and
 * for its leaves. */
static rt_status alloc_quick(rt_quick *quick, int32_t **work, rt_error *err)
{
    const rt_forest *forest = quick->forest;
    const int64_t nodes = forest->n_nodes - forest->start[quick->begin];
    const int64_t trees = forest->n_trees - quick->begin;
    const rt_block blocks[] = {
        RT_BLOCK(quick->tree, trees),
        RT_BLOCK(quick->node, nodes),
        RT_BLOCK(quick->value, nodes),
        RT_BLOCK(quick->plane, forest->n_features),
        RT_BLOCK(quick->feature, forest->n_features),
        RT_BLOCK(*work, 2 * nodes),
    };
    return rt_alloc_all(blocks, sizeof blocks / sizeof blocks[0], "rt_quick_init", err);
}

rt_status rt_quick_init(rt_quick *quick, const rt_forest *forest, int32_t begin,
                        rt_error *err)
{
    /* Leaf counts and first leaves of one tree at a time. */
    int32_t *work = NULL;
    *quick = (rt_quick){.forest = forest, .begin = begin};
    rt_status status = alloc_quick(quick, &work, err);
    if (status != RT_OK) {
        return status;
    }
    rt_quick_node *next = quick->node;
    double *value = quick->value;
    /* Bytes of 0xff make every int32 a -1: no plane yet. */
    memset(quick->plane, -1, (size_t)forest->n_features * sizeof *quick->plane);
    for (int32_t t = begin; t < forest->n_trees; t++) {
        const rt_node *tree = forest->nodes + forest->start[t];
        int64_t nodes = forest->start[t + 1] - forest->start[t];
        add_columns(quick, tree, nodes);
        count_leaves(tree, nodes, work);
        /* Others keep a `value` of NULL, as the block is zeroed, and are walked. */
        if (work[0] <= RT_QUICK_LEAVES) {
            next = add_tree(quick, tree, nodes, work, next, value,
                            &quick->tree[t - begin]);
            /* The root's count is that of all leaves. */
            value += work[0];
        }
    }
    rt_free(work);
    return RT_OK;
}

void rt_quick_clear(rt_quick *quick)
{
    rt_free(quick->tree);
    rt_free(quick->node);
    rt_free(quick->value);
    rt_free(quick->plane);
    rt_free(quick->feature);
    memset(quick, 0, sizeof *quick);
}

/* Rows beyond the end repeat the last one: loops have a fixed length, and nothing that
 * was never written is read. */
static void load_numbers(const rt_matrix *x, int32_t feature, int64_t first,
                         int64_t rows, rt_quick_cell *cells)
{
    for (int64_t i = 0; i < rows; i++) {
        cells[i].number = rt_matrix_at(x, first + i, feature);
    }
    for (int64_t i = rows; i < RT_QUICK_ROWS; i++) {
        cells[i] = cells[rows - 1];
    }
}

void rt_quick_load(const rt_quick *quick, const rt_hot *hot, const rt_matrix *x,
                   int64_t first, int64_t rows, rt_quick_cell *cells)
{
    for (int32_t c = 0; c < quick->columns; c++) {
        const int32_t feature = quick->feature[c];
        const int32_t levels = quick->forest->levels[feature];
        rt_quick_cell *column = cells + (int64_t)quick->plane[feature] * RT_QUICK_ROWS;
        load_numbers(x, feature, first, rows, column);
        if (levels > 0) { /* else it stays a number */
            /* In place: the planes behind the first belong to this column alone. */
            hot->quick_levels(levels, column);
        }
    }
}

/* Does the node's set hold the level of a row? Planes as quick_levels fills them;
 * `cell`: the row in its first plane. */
static bool in_set(const rt_quick *quick, const rt_node *node,
                   const rt_quick_cell *cell)
{
    const uint64_t *set = quick->forest->words + node->set;
    const int32_t words = rt_set_words(quick->forest->levels[node->feature]);
    uint64_t found = 0;
    if (words > RT_QUICK_WORDS) {
        /* The second plane says which word. An unknown level has no bit in any. */
        return (set[cell[RT_QUICK_ROWS].bits] & cell->bits) != 0;
    }
    for (int32_t w = 0; w < words; w++) {
        found |= set[w] & cell[w * RT_QUICK_ROWS].bits;
    }
    return found != 0;
}

/* The leaf of one row of a block, for trees with more leaves than a mask has bits;
 * `cells`: the row in the block's first plane. */
static double walk(const rt_quick *quick, const rt_node *tree,
                   const rt_quick_cell *cells)
{
    const rt_node *node = tree;
    while (node->feature != RT_LEAF) {
        const rt_quick_cell *cell =
            cells + (int64_t)quick->plane[node->feature] * RT_QUICK_ROWS;
        bool left = node->set == RT_NUMERIC_SPLIT
                        ? rt_node_sends_left(node, cell->number)
                        : in_set(quick, node, cell);
        node = tree + (left ? node->left : node->right);
    }
    return node->value;
}

/* One tree at a time and one addition a row: the sum of a row is that of the plain
 * walk, bit by bit. */
void rt_quick_add(const rt_quick *quick, const rt_hot *hot, int32_t tree, int64_t rows,
                  const rt_quick_cell *cells, double *sum)
{
    const rt_forest *forest = quick->forest;
    const rt_quick_tree *masks = &quick->tree[tree - quick->begin];
    if (masks->value != NULL) { /* it has masks */
        /* All rows of the block, those beyond the end too: their sums mean nothing. */
        hot->quick_tree(masks, cells, sum);
        return;
    }
    for (int64_t i = 0; i < rows; i++) {
        sum[i] += walk(quick, forest->nodes + forest->start[tree], cells + i);
    }
}
