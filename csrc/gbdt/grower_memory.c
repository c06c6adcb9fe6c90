/* What surrounds the growing of a tree: its memory, and handing it to the forest. */
#include <string.h>

#include "base/alloc.h"
#include "gbdt/grower_state.h"

static int32_t list_usable(const rt_bins *bins, int32_t *usable)
{
    int32_t count = 0;
    for (int32_t f = 0; f < bins->features; f++) {
        const rt_cut *cut = &bins->cuts[f];
        if (cut->n_bins + (cut->has_missing ? 1 : 0) >= 2) {
            usable[count++] = f;
        }
    }
    return count;
}

/* No tree can have more leaves than rows allow. */
static int32_t leaves_possible(const rt_gbdt_params *params, int64_t rows)
{
    int64_t wanted = (int64_t)params->value[RT_P_MAX_LEAF_NODES];
    int64_t possible = rows / (int64_t)params->value[RT_P_MIN_SAMPLES_LEAF];
    possible = possible < 1 ? 1 : possible;
    return (int32_t)(wanted < possible ? wanted : possible);
}

static rt_status alloc_arrays(rt_grower *grower, rt_error *err)
{
    const int64_t features = grower->bins->features;
    const int64_t rows = grower->bins->rows;
    const int64_t leaves = grower->max_leaves;
    struct {
        void *target; /* the address of a pointer */
        int64_t count;
        size_t item_bytes;
    } wanted[] = {
        {&grower->order, rows, sizeof *grower->order},
        {&grower->spare, rows, sizeof *grower->spare},
        {&grower->leaf_node, rows, sizeof *grower->leaf_node},
        {&grower->run, grower->threads * leaves, sizeof *grower->run},
        {&grower->node_sums, 2 * grower->threads * leaves, sizeof *grower->node_sums},
        {&grower->feature, features, sizeof *grower->feature},
        {&grower->shape.group, features, sizeof *grower->shape.group},
        {&grower->shape.first, features, sizeof *grower->shape.first},
        {&grower->shape.next, features, sizeof *grower->shape.next},
        {&grower->shape.place, features, sizeof *grower->shape.place},
        {&grower->usable, features, sizeof *grower->usable},
        {&grower->rank, 2 * features, sizeof *grower->rank},
        {&grower->scratch, grower->threads, sizeof *grower->scratch},
        {&grower->slot, leaves + 1, sizeof *grower->slot},
        {&grower->free_slot, leaves + 1, sizeof *grower->free_slot},
        {&grower->candidates, grower->threads, sizeof *grower->candidates},
        {&grower->leaf, leaves, sizeof *grower->leaf},
        {&grower->node, 2 * leaves, sizeof *grower->node},
        {&grower->stats, 2 * leaves, sizeof *grower->stats},
        {&grower->split, 2 * leaves, sizeof *grower->split},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        void *block = NULL;
        rt_status status = rt_alloc(&block, wanted[i].count, wanted[i].item_bytes,
                                    "rt_grower_init", err);
        if (status != RT_OK) {
            return status;
        }
        memcpy(wanted[i].target, &block, sizeof block);
    }
    return RT_OK;
}

rt_status rt_grower_init(rt_grower *grower, const rt_bins *bins,
                         const rt_gbdt_params *params, const int8_t *monotone,
                         rt_gradients *gradients, int32_t threads, rt_ctl *ctl,
                         rt_error *err)
{
    memset(grower, 0, sizeof *grower);
    grower->bins = bins;
    grower->params = params;
    grower->monotone = monotone;
    grower->gradients = gradients;
    grower->ctl = ctl;
    grower->threads = threads;
    grower->max_leaves = leaves_possible(params, bins->rows);

    rt_status status = alloc_arrays(grower, err);
    if (status == RT_OK) {
        grower->n_usable = list_usable(bins, grower->usable);
        grower->shape.feature = grower->feature;
        grower->shape.stride = rt_hist_stride(bins);
        grower->shape.group_stride = rt_hist_group_stride(bins);
        grower->cells_room = (int64_t)grower->n_usable * grower->shape.stride;
    }
    bool packed = bins->rows > RT_WIDE_ROWS;
    for (int32_t t = 0; t < threads && status == RT_OK; t++) {
        int64_t cells = (int64_t)bins->groups * grower->shape.group_stride;
        status = rt_scratch_init(&grower->scratch[t], cells, packed, err);
    }
    if (status != RT_OK) {
        rt_grower_clear(grower);
    }
    return status;
}

void rt_grower_clear(rt_grower *grower)
{
    for (int32_t t = 0; grower->scratch != NULL && t < grower->threads; t++) {
        rt_scratch_clear(&grower->scratch[t]);
    }
    for (int32_t i = 0; grower->slot != NULL && i < grower->slots; i++) {
        rt_histogram_clear(&grower->slot[i]);
    }
    rt_free(grower->order);
    rt_free(grower->spare);
    rt_free(grower->leaf_node);
    rt_free(grower->run);
    rt_free(grower->node_sums);
    rt_free(grower->feature);
    rt_free(grower->shape.group);
    rt_free(grower->shape.first);
    rt_free(grower->shape.next);
    rt_free(grower->shape.place);
    rt_free(grower->usable);
    rt_free(grower->rank);
    rt_free(grower->scratch);
    rt_free(grower->slot);
    rt_free(grower->free_slot);
    rt_free(grower->candidates);
    rt_free(grower->leaf);
    rt_free(grower->node);
    rt_free(grower->stats);
    rt_free(grower->split);
    memset(grower, 0, sizeof *grower);
}

static void store_set(const rt_cut *cut, const rt_split *split, uint64_t *words)
{
    memset(words, 0, (size_t)rt_set_words(cut->levels) * sizeof *words);
    for (int32_t bin = 0; bin < cut->n_bins; bin++) {
        if ((split->set[bin >> 6] >> (bin & 63)) & 1) {
            int32_t level = cut->level_of_bin[bin];
            words[level / RT_WORD_BITS] |= (uint64_t)1 << (level % RT_WORD_BITS);
        }
    }
}

static int64_t words_needed(const rt_grower *grower)
{
    int64_t words = 0;
    for (int32_t i = 0; i < grower->n_nodes; i++) {
        if (grower->node[i].feature != RT_LEAF && grower->split[i].categorical) {
            words += rt_set_words(grower->bins->cuts[grower->split[i].feature].levels);
        }
    }
    return words;
}

rt_status rt_grower_store(const rt_grower *grower, rt_forest *forest, rt_error *err)
{
    if (grower->n_leaves < 2 && forest->n_outputs == 1) {
        return RT_OK;
    }
    int64_t words = words_needed(grower);
    if (forest->n_words + words > INT32_MAX) {
        return rt_fail(err, RT_LIMIT, "rt_grower_store",
                       "the category sets of the trees take more than %d words; use "
                       "fewer levels or trees",
                       INT32_MAX);
    }
    rt_status status = rt_forest_reserve(forest, 1, grower->n_nodes, words, err);
    if (status != RT_OK) {
        return status;
    }
    for (int32_t i = 0; i < grower->n_nodes; i++) {
        rt_node node = grower->node[i];
        const rt_split *split = &grower->split[i];
        if (node.feature != RT_LEAF) {
            const rt_cut *cut = &grower->bins->cuts[node.feature];
            if (split->categorical) {
                node.set = (int32_t)forest->n_words;
                store_set(cut, split, forest->words + forest->n_words);
                forest->n_words += rt_set_words(cut->levels);
            } else {
                node.value = cut->upper[split->bin];
                node.missing_left = split->missing_left ? 1 : 0;
            }
        }
        forest->nodes[forest->n_nodes + i] = node;
        forest->stats[forest->n_nodes + i] = grower->stats[i];
    }
    forest->n_nodes += grower->n_nodes;
    forest->n_trees += 1;
    forest->start[forest->n_trees] = forest->n_nodes;
    return RT_OK;
}
