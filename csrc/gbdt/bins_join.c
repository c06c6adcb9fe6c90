/* Fewer bytes per row: two bytes become one where the pairs of values that occur are no
 * more than a byte can tell apart. Digits count what could be; one-hot columns exclude
 * each other, so forty of them fit one byte instead of five. */
#include "gbdt/bins_join.h"

#include <assert.h>
#include <string.h>

enum { BYTE = 256 };

static uint8_t *column_at(const rt_bins *bins, int32_t group)
{
    return bins->columns + group * bins->rows;
}

/* pairs[left << 8 | right] = 1 for all that occur; false as soon as they are more than
 * a byte tells apart. */
static bool note_pairs(rt_bins *bins, int32_t left, int32_t right)
{
    const uint8_t *a = column_at(bins, left);
    const uint8_t *b = column_at(bins, right);
    int32_t distinct = 0;
    memset(bins->making.pairs, 0, RT_BYTE_PAIRS);
    for (int64_t i = 0; i < bins->rows && distinct <= BYTE; i++) {
        uint8_t *seen = &bins->making.pairs[a[i] << 8 | b[i]];
        distinct += *seen == 0 ? 1 : 0;
        *seen = 1;
    }
    return distinct <= BYTE;
}

/* Numbers the pairs in ascending order; pair_of[number]. The numbers depend on which
 * pairs occur, not on the order of rows, and are at most 255. */
static int32_t number_pairs(uint8_t *pairs, int32_t pair_of[BYTE])
{
    int32_t count = 0;
    for (int32_t pair = 0; pair < RT_BYTE_PAIRS; pair++) {
        if (pairs[pair] != 0) {
            /* A first number of 0 looks like a pair that does not occur, but nobody
             * asks again: rows have pairs that occur. */
            pairs[pair] = (uint8_t)count;
            pair_of[count++] = pair;
        }
    }
    return count;
}

/* What the features of both bytes read from the joint one. */
static void renumber_bins(rt_bins *bins, int32_t left, int32_t right,
                          const int32_t pair_of[BYTE], int32_t count)
{
    for (int32_t c = 0; c < bins->n_cuts; c++) {
        rt_cut *cut = &bins->cuts[c];
        /* A new table, as the old one is read in another order. Values from `count` on
         * occur in no row. */
        uint8_t bin_of_byte[BYTE] = {0};
        if (cut->group != left && cut->group != right) {
            continue;
        }
        for (int32_t byte = 0; byte < count; byte++) {
            int32_t value =
                cut->group == left ? pair_of[byte] >> 8 : pair_of[byte] & (BYTE - 1);
            bin_of_byte[byte] = cut->bin_of_byte[value];
        }
        memcpy(cut->bin_of_byte, bin_of_byte, sizeof bin_of_byte);
        cut->group = left;
    }
}

/* Both bytes into the column of the left one, if their pairs fit. Nothing is lost: a
 * number stands for one pair. The right one's column becomes a gap. */
static bool join(rt_bins *bins, int32_t left, int32_t right)
{
    int32_t pair_of[BYTE];
    uint8_t *a = column_at(bins, left);
    const uint8_t *b = column_at(bins, right);
    if (!note_pairs(bins, left, right)) {
        return false;
    }
    int32_t count = number_pairs(bins->making.pairs, pair_of);
    for (int64_t i = 0; i < bins->rows; i++) {
        a[i] = bins->making.pairs[a[i] << 8 | b[i]];
    }
    renumber_bins(bins, left, right, pair_of, count);
    bins->joint = true;
    return true;
}

/* The columns of bytes that were joined to others leave no gaps. They move down in
 * ascending order, over columns that have moved already; new_group turns from a mark
 * into the byte's new number. */
static void close_gaps(rt_bins *bins)
{
    int32_t groups = 0;
    for (int32_t g = 0; g < bins->groups; g++) {
        if (bins->making.new_group[g] == 0) {
            continue;
        }
        if (groups < g) {
            memcpy(column_at(bins, groups), column_at(bins, g), (size_t)bins->rows);
        }
        bins->making.new_group[g] = groups++;
    }
    for (int32_t c = 0; c < bins->n_cuts; c++) {
        bins->cuts[c].group = bins->making.new_group[bins->cuts[c].group];
    }
    assert(0 < groups && groups <= bins->groups);
    bins->groups = groups;
    bins->stride =
        (groups + RT_ROW_ALIGNMENT - 1) / RT_ROW_ALIGNMENT * RT_ROW_ALIGNMENT;
}

void rt_bins_join(rt_bins *bins)
{
    int32_t open = -1; /* the joint byte that takes more, if a next one fits */
    for (int32_t g = 0; g < bins->groups; g++) {
        bins->making.new_group[g] = 1; /* it stays */
    }
    for (int32_t c = 0; c < bins->n_cuts; c++) {
        const rt_cut *cut = &bins->cuts[c];
        if (!cut->opens || !rt_cut_has_digits(cut)) {
            continue;
        }
        /* Greedy, in the order of columns: near columns are most often of one kind, and
         * to try all pairs of bytes would read the rows far more often. */
        int32_t group = cut->group;
        if (open >= 0 && join(bins, open, group)) {
            bins->making.new_group[group] = 0;
        } else {
            open = group;
        }
    }
    close_gaps(bins);
}

void rt_bins_lay_rows(rt_bins *bins, rt_team team)
{
    int64_t begin = 0;
    int64_t end = 0;
    rt_team_range(team, bins->rows, &begin, &end);
    for (int64_t at = begin; at < end; at += BYTE) { /* a block stays in the cache */
        int64_t rows = end - at < BYTE ? end - at : BYTE;
        for (int32_t g = 0; g < bins->groups; g++) {
            const uint8_t *column = column_at(bins, g) + at;
            uint8_t *byte = bins->bytes + at * bins->stride + g;
            /* Reads run along a column, writes hit lines that the block keeps in
             * cache. */
            for (int64_t i = 0; i < rows; i++, byte += bins->stride) {
                *byte = column[i];
            }
        }
    }
}
