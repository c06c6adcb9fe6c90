/* The loops of prediction by leaf masks (gbdt/leaf_masks.h); loops.h includes it for
 * each x86 level. No guard. */

/* Numbers to levels, in place. NaN, unknown and fractional levels are in no set: their
 * bit is 0 in every plane. */
static void quick_levels(int32_t levels, rt_quick_cell *cells)
{
    const int32_t words = rt_set_words(levels);
    uint64_t bit[RT_QUICK_ROWS];  /* in its word */
    uint64_t word[RT_QUICK_ROWS]; /* which word */
    for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
        const double x = cells[i].number;
        /* False for NaN. What is outside becomes level 0, so that the cast is defined,
         * and `known` drops it. */
        const bool within = x >= 0.0 && x < (double)levels;
        const int32_t level = within ? (int32_t)x : 0;
        const bool known = within && (double)level == x;
        bit[i] = (uint64_t)known << (level % RT_WORD_BITS);
        word[i] = (uint64_t)(level / RT_WORD_BITS);
    }
    if (words > RT_QUICK_WORDS) {
        memcpy(cells, bit, sizeof bit);
        memcpy(cells + RT_QUICK_ROWS, word, sizeof word);
        return;
    }
    for (int32_t w = 0; w < words; w++, cells += RT_QUICK_ROWS) {
        for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
            /* A set's word w is then asked of all rows alike, without a look at
             * `word`. */
            cells[i].bits = word[i] == (uint64_t)w ? bit[i] : 0;
        }
    }
}

/* Always whole blocks, so that the loops have a fixed length. Those of numbers and of
 * small sets are not inlined and work on an array of their own: it is held in
 * registers. */
__attribute__((noinline)) static void quick_numbers(const rt_quick_node *node,
                                                    const rt_quick_node *end,
                                                    const rt_quick_cell *cells,
                                                    uint64_t *restrict out)
{
    uint64_t leaves[RT_QUICK_ROWS];
    for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
        /* All leaves, also bits beyond the tree's: no split clears those, and they lie
         * above all others. */
        leaves[i] = UINT64_MAX;
    }
    for (; node < end; node++) {
        const double *x = &cells[(int64_t)node->plane * RT_QUICK_ROWS].number;
        const double threshold = node->threshold;
        const uint64_t keep = node->keep;
        /* NaN fails any comparison. So the test is written as "goes right" where NaN is
         * to stay left, and as "stays left" where it is to go right. */
        if (node->missing_left) {
            for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
                leaves[i] = x[i] > threshold ? leaves[i] & keep : leaves[i];
            }
        } else {
            for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
                leaves[i] = x[i] <= threshold ? leaves[i] : leaves[i] & keep;
            }
        }
    }
    for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
        out[i] = leaves[i];
    }
}

/* Sets of one word or two: no loop over words. */
__attribute__((noinline)) static void quick_small_sets(const rt_quick_node *node,
                                                       const rt_quick_node *end,
                                                       const uint64_t *words,
                                                       const rt_quick_cell *cells,
                                                       uint64_t *restrict out)
{
    uint64_t leaves[RT_QUICK_ROWS];
    for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
        leaves[i] = out[i];
    }
    for (; node < end; node++) {
        const uint64_t *x = &cells[(int64_t)node->plane * RT_QUICK_ROWS].bits;
        const uint64_t *y = x + RT_QUICK_ROWS; /* of two words only */
        const uint64_t *set = words + node->set;
        const uint64_t keep = node->keep;
        if (node->words == 1) {
            const uint64_t in_x = set[0];
            for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
                leaves[i] = (x[i] & in_x) == 0 ? leaves[i] & keep : leaves[i];
            }
        } else {
            const uint64_t in_x = set[0];
            const uint64_t in_y = set[1];
            for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
                /* A level has one bit, in one of its planes. */
                const uint64_t found = (x[i] & in_x) | (y[i] & in_y);
                leaves[i] = found == 0 ? leaves[i] & keep : leaves[i];
            }
        }
    }
    for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
        out[i] = leaves[i];
    }
}

/* found[i] != 0: the set has the level of row i. With many words the one of each row is
 * fetched, else all are asked in turn. */
static void find_levels(const uint64_t *set, int32_t words, const rt_quick_cell *column,
                        uint64_t *restrict found)
{
    if (words > RT_QUICK_WORDS) {
        for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
            found[i] = set[column[RT_QUICK_ROWS + i].bits] & column[i].bits;
        }
        return;
    }
    memset(found, 0, RT_QUICK_ROWS * sizeof *found);
    for (int32_t w = 0; w < words; w++, column += RT_QUICK_ROWS) {
        const uint64_t levels = set[w];
        for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
            found[i] |= levels & column[i].bits;
        }
    }
}

/* Rows whose level is in the set keep the left leaves, all others lose them. */
static void quick_large_set(const rt_quick_node *node, const uint64_t *words,
                            const rt_quick_cell *cells, uint64_t *restrict leaves)
{
    const uint64_t keep = node->keep;
    uint64_t found[RT_QUICK_ROWS];
    find_levels(words + node->set, node->words,
                cells + (int64_t)node->plane * RT_QUICK_ROWS, found);
    for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
        leaves[i] = found[i] == 0 ? leaves[i] & keep : leaves[i];
    }
}

/* The lowest leaf that is left is the row's. Splits on the way to it clear all leaves
 * to its left, and none clears the leaf itself, so the mask is never 0. */
static void quick_tree(const rt_quick_tree *tree, const rt_quick_cell *cells,
                       double *restrict out)
{
    uint64_t leaves[RT_QUICK_ROWS];
    quick_numbers(tree->number, tree->small_set, cells, leaves);
    quick_small_sets(tree->small_set, tree->large_set, tree->words, cells, leaves);
    for (const rt_quick_node *node = tree->large_set; node < tree->end; node++) {
        quick_large_set(node, tree->words, cells, leaves);
    }
    for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
        out[i] += tree->value[__builtin_ctzll(leaves[i])];
    }
}
