/* Trees are copied node by node. Only sets of categories change on the way: their bits
 * are numbers of levels, which differ where a forest knows more of them. */
#include "gbdt/rounds.h"

#include <string.h>

#include "base/alloc.h"

static const char *const where = "rt_forest_append";

static int32_t known(int32_t levels)
{
    return levels > 0 ? levels : 0;
}

/* Where each feature's levels begin in `place`. */
static void find_places(const rt_forest *from, int64_t *begin)
{
    int64_t at = 0;
    for (int32_t f = 0; f < from->n_features; f++) {
        begin[f] = at;
        at += known(from->levels[f]);
    }
}

/* Words of the sets of the trees from `first` on, as the new forest counts levels. */
static int64_t words_of(const rt_forest *forest, const rt_forest *from, int32_t first)
{
    int64_t words = 0;
    for (int64_t i = from->start[first]; i < from->n_nodes; i++) {
        if (from->nodes[i].set != RT_NUMERIC_SPLIT) {
            words += rt_set_words(forest->levels[from->nodes[i].feature]);
        }
    }
    return words;
}

/* A set's bits, each at the place of its level. */
static void copy_set(rt_forest *forest, const rt_forest *from, const rt_node *node,
                     const int32_t *place)
{
    const uint64_t *old = from->words + node->set;
    uint64_t *words = forest->words + forest->n_words;
    const int32_t count = rt_set_words(forest->levels[node->feature]);
    memset(words, 0, (size_t)count * sizeof *words);
    for (int32_t level = 0; level < from->levels[node->feature]; level++) {
        if ((old[level / RT_WORD_BITS] >> (level % RT_WORD_BITS)) & 1) {
            const int32_t to = place == NULL ? level : place[level];
            words[to / RT_WORD_BITS] |= (uint64_t)1 << (to % RT_WORD_BITS);
        }
    }
    forest->n_words += count;
}

static void copy_node(rt_forest *forest, const rt_forest *from, int64_t number,
                      const int64_t *begin, const int32_t *place)
{
    rt_node node = from->nodes[number];
    if (node.set != RT_NUMERIC_SPLIT) {
        const int32_t *levels = place == NULL ? NULL : place + begin[node.feature];
        copy_set(forest, from, &node, levels);
        node.set =
            (int32_t)(forest->n_words - rt_set_words(forest->levels[node.feature]));
    }
    forest->nodes[forest->n_nodes] = node;
    forest->stats[forest->n_nodes] = from->stats[number];
    forest->n_nodes++;
}

/* Room for all that is copied is there. */
static void copy_trees(rt_forest *forest, const rt_forest *from, int32_t first,
                       const int64_t *begin, const int32_t *place)
{
    for (int32_t t = first; t < from->n_trees; t++) {
        for (int64_t i = from->start[t]; i < from->start[t + 1]; i++) {
            copy_node(forest, from, i, begin, place);
        }
        forest->n_trees++;
        forest->start[forest->n_trees] = forest->n_nodes;
    }
}

rt_status rt_forest_append(rt_forest *forest, const rt_forest *from, int32_t first,
                           const int32_t *place, rt_error *err)
{
    const int64_t words = words_of(forest, from, first);
    const int64_t nodes = from->n_nodes - from->start[first];
    int64_t *begin = NULL;
    /* A node holds the place of its set as an int32. */
    if (forest->n_words + words > INT32_MAX) {
        return rt_fail(err, RT_LIMIT, where,
                       "the category sets of the trees take more than %d words; use "
                       "fewer levels or trees",
                       INT32_MAX);
    }
    const rt_block block = RT_BLOCK(begin, from->n_features);
    rt_status status = rt_alloc_all(&block, 1, where, err);
    if (status == RT_OK) {
        status = rt_forest_reserve(forest, from->n_trees - first, nodes, words, err);
    }
    if (status == RT_OK) {
        find_places(from, begin);
        copy_trees(forest, from, first, begin, place);
    }
    rt_free(begin);
    return status;
}

/* The mean of a tree over the rows that it was grown from. */
static double mean_of(const rt_forest *forest, int32_t tree)
{
    double sum = 0.0;
    for (int64_t i = forest->start[tree]; i < forest->start[tree + 1]; i++) {
        const rt_node *node = &forest->nodes[i];
        sum += node->feature == RT_LEAF ? node->value * (double)node->rows : 0.0;
    }
    const uint32_t rows = forest->nodes[forest->start[tree]].rows;
    return rows > 0 ? sum / (double)rows : 0.0;
}

rt_status rt_forest_drop_rounds(rt_forest *forest, int32_t rounds, rt_error *err)
{
    const int32_t outputs = forest->n_outputs;
    rt_forest kept;
    if (rounds < 0 || rounds > forest->n_trees / outputs) {
        return rt_fail(err, RT_INVALID, "rt_forest_drop_rounds",
                       "%d rounds cannot be dropped of %d", rounds,
                       forest->n_trees / outputs);
    }
    rt_status status =
        rt_forest_init(&kept, forest->n_features, forest->loss, outputs, err);
    if (status == RT_OK) {
        memcpy(kept.levels, forest->levels,
               (size_t)forest->n_features * sizeof *kept.levels);
        memcpy(kept.base_score, forest->base_score,
               (size_t)outputs * sizeof *kept.base_score);
        status = rt_forest_append(&kept, forest, rounds * outputs, NULL, err);
    }
    if (status != RT_OK) {
        rt_forest_clear(&kept);
        return status;
    }
    for (int32_t t = 0; t < rounds * outputs; t++) {
        kept.base_score[t % outputs] += mean_of(forest, t);
    }
    rt_forest_clear(forest);
    *forest = kept;
    return RT_OK;
}
