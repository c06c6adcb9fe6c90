/* From the grower's tree, whose splits speak of bins, to the forest's, whose nodes hold
 * thresholds and sets of levels: the model alone can then be read without the bins. */
#include "gbdt/grower_store.h"

#include <assert.h>
#include <string.h>

/* Bins that go left, as levels: the model speaks of those. Levels of training that got
 * no bin are in no set: they go right, as unknown ones do. */
static void store_set(const rt_cut *cut, const rt_split *split, uint64_t *words)
{
    int32_t number = 0;
    memset(words, 0, (size_t)rt_set_words(cut->levels) * sizeof *words);
    for (const rt_cut *part = cut; part != NULL; part = part->more, number++) {
        for (int32_t bin = 0; bin < part->n_bins; bin++) {
            if (rt_split_has(split, number, bin)) {
                int32_t level = part->level_of_bin[bin];
                words[level / RT_WORD_BITS] |= (uint64_t)1 << (level % RT_WORD_BITS);
            }
        }
    }
}

/* Room is made before anything is written: a failure leaves the forest as it was. */
static int64_t words_needed(const rt_grower *grower)
{
    int64_t words = 0;
    for (int32_t i = 0; i < grower->tree.n_nodes; i++) {
        if (grower->tree.node[i].feature != RT_LEAF &&
            grower->tree.split[i].categorical) {
            words +=
                rt_set_words(grower->bins->cuts[grower->tree.split[i].feature].levels);
        }
    }
    return words;
}

rt_status rt_grower_store(const rt_grower *grower, rt_forest *forest, rt_error *err)
{
    /* With several outputs tree t belongs to output t mod n_outputs, so an empty one is
     * stored, as a leaf of value 0. */
    if (grower->tree.n_leaves < 2 && forest->n_outputs == 1) {
        return RT_OK;
    }
    int64_t words = words_needed(grower);
    /* A node holds the place of its set as an int32. */
    if (forest->n_words + words > INT32_MAX) {
        return rt_fail(err, RT_LIMIT, "rt_grower_store",
                       "the category sets of the trees take more than %d words; use "
                       "fewer levels or trees",
                       INT32_MAX);
    }
    rt_status status = rt_forest_reserve(forest, 1, grower->tree.n_nodes, words, err);
    if (status != RT_OK) {
        return status;
    }
    /* A binary tree, in which every leaf is a node. */
    assert(grower->tree.n_nodes == 2 * grower->tree.n_leaves - 1);
    for (int32_t i = 0; i < grower->tree.n_nodes; i++) {
        /* Children are numbered within the tree, so nodes move as they are. */
        rt_node node = grower->tree.node[i];
        const rt_split *split = &grower->tree.split[i];
        if (node.feature != RT_LEAF) {
            const rt_cut *cut = &grower->bins->cuts[node.feature];
            if (split->categorical) {
                /* Within INT32_MAX by the check above. */
                node.set = (int32_t)forest->n_words;
                store_set(cut, split, forest->words + forest->n_words);
                forest->n_words += rt_set_words(cut->levels);
            } else {
                /* x <= upper is the same as bin <= split->bin. */
                node.value = cut->upper[split->bin];
                node.missing_left = split->missing_left ? 1 : 0; /* not for sets */
            }
        }
        forest->nodes[forest->n_nodes + i] = node;
        forest->stats[forest->n_nodes + i] = grower->tree.stats[i];
    }
    forest->n_nodes += grower->tree.n_nodes;
    forest->n_trees += 1;
    forest->start[forest->n_trees] = forest->n_nodes;
    return RT_OK;
}
