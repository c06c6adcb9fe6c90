/* The loops of prediction by leaf masks (gbdt/leaf_masks.h); loops.h includes it for
 * each x86 level. No guard. */
static void quick_set(const rt_quick_node *node, const uint64_t *words,
                      const double *restrict x, uint64_t *restrict leaves)
{
    for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
        /* NaN, unknown and fractional levels are in no set. */
        bool known = x[i] >= 0.0 && x[i] < (double)node->levels;
        int32_t level = known ? (int32_t)x[i] : 0;
        uint64_t word = words[node->set + level / RT_WORD_BITS];
        bool left = known && (double)level == x[i] && ((word >> (level & 63)) & 1) != 0;
        leaves[i] &= left ? UINT64_MAX : node->keep;
    }
}

/* All ones or none: a mask is what a vector comparison gives. */
static inline uint64_t right_if(bool right)
{
    return 0 - (uint64_t)right;
}

/* Always whole blocks, so that the loops have a fixed length. */
static void quick_tree(const rt_quick_node *nodes, int64_t count, const double *value,
                       const uint64_t *words, const double *x, double *restrict out)
{
    uint64_t leaves[RT_QUICK_ROWS];
    memset(leaves, 0xff, sizeof leaves);
    for (int64_t n = 0; n < count; n++) {
        const double *column = x + (int64_t)nodes[n].feature * RT_QUICK_ROWS;
        const double threshold = nodes[n].threshold;
        const uint64_t keep = nodes[n].keep;
        if (nodes[n].set != RT_NUMERIC_SPLIT) {
            quick_set(&nodes[n], words, column, leaves);
        } else if (nodes[n].missing_left) {
            for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
                leaves[i] &= keep | ~right_if(column[i] > threshold);
            }
        } else {
            for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
                leaves[i] &= keep | ~right_if(!(column[i] <= threshold));
            }
        }
    }
    for (int32_t i = 0; i < RT_QUICK_ROWS; i++) {
        out[i] += value[__builtin_ctzll(leaves[i])];
    }
}
