/* Two sorted lists of keys from rows, once for float and once for double scores:
 * ranks.c includes it with SCORE, WORD, KEY_OF, SORT and NAMED(name). No guard.
 *
 * Two lists need no label beside the key, so every bit of it stays the score's. */

/* Positives to `at[0]` on, negatives to `at[1]` on; the row that cannot be
 * ranked, or -1. The place is chosen without a branch: labels are a coin toss. */
static int64_t NAMED(split_rows)(const rt_scored_rows *rows, int64_t begin, int64_t end,
                                 WORD *keys, int64_t at[2])
{
    const SCORE *score = rows->score;
    int64_t positive = at[0];
    int64_t negative = at[1];
    for (int64_t i = begin; i < end; i++) {
        int64_t is_positive = rows->y[i];
        if (isnan(score[i])) {
            return i;
        }
        keys[is_positive != 0 ? positive : negative] = KEY_OF(score[i]);
        positive += is_positive;
        negative += 1 - is_positive;
    }
    return -1;
}

static int64_t NAMED(first_not_below)(const WORD *keys, int64_t count, WORD key)
{
    int64_t low = 0;
    while (low < count) {
        int64_t middle = low + (count - low) / 2;
        if (keys[middle] < key) {
            low = middle + 1;
        } else {
            count = middle;
        }
    }
    return low;
}

/* Sum over positives [begin, end) of the negatives below, plus the sum of the
 * negatives below or equal: the pairs' share of U2. Two walks side by side, each
 * one step along one of the lists, so the loop has no branch on the data. */
static rt_uint128 NAMED(count_pairs)(const rt_lists *lists, int64_t begin, int64_t end,
                                     rt_ctl *ctl)
{
    const WORD *positive = lists->keys;
    const WORD *negative = positive + lists->n_pos;
    int64_t n_neg = lists->n_neg;
    rt_uint128 total = 0;
    if (begin == end) {
        return 0;
    }
    for (int equal_too = 0; equal_too < 2; equal_too++) {
        int64_t i = begin;
        int64_t j = NAMED(first_not_below)(negative, n_neg, positive[begin]);
        while (i < end && j < n_neg && !rt_ctl_cancelled(ctl)) {
            uint64_t sum = 0; /* 2^20 steps of at most 2^43 */
            for (int32_t step = 0; step < BLOCK_ROWS && i < end && j < n_neg; step++) {
                int64_t is_below = equal_too != 0 ? negative[j] <= positive[i]
                                                  : negative[j] < positive[i];
                sum += (uint64_t)j & (uint64_t)(is_below - 1);
                j += is_below;
                i += 1 - is_below;
            }
            total += sum;
        }
        total += (rt_uint128)(uint64_t)(end - i) * (uint64_t)n_neg;
    }
    return total;
}

static rt_status NAMED(sort_lists)(rt_lists *lists, int32_t threads, rt_ctl *ctl,
                                   rt_error *err)
{
    WORD *keys = lists->keys;
    WORD *scratch = lists->scratch;
    rt_status status = SORT(keys, scratch, lists->n_pos, threads, ctl, err);
    if (status == RT_OK) {
        status = SORT(keys + lists->n_pos, scratch, lists->n_neg, threads, ctl, err);
    }
    return status;
}
