/* Which rows a tree sees, and which side of a split they take. Both keep the
 * rows' order, so the result is the same however many ranks share the work:
 * every rank counts, then writes where the counts before it end. */
#include <string.h>

#include "base/rng.h"
#include "kernels/tree.h"

/* Left rows of all ranks before this one, and of all together. */
static void offsets(const rt_grower *grower, rt_team team, int64_t *before,
                    int64_t *total)
{
    *before = 0;
    *total = 0;
    for (int32_t r = 0; r < team.size; r++) {
        *before += r < team.rank ? grower->left_count[r] : 0;
        *total += grower->left_count[r];
    }
}

static void fill_table(const rt_bins *bins, const rt_split *split, uint8_t table[256])
{
    const rt_cut *cut = &bins->cuts[split->feature];
    for (int32_t byte = 0; byte < 256; byte++) {
        table[byte] =
            rt_split_goes_left(split, cut->bin_of_byte[byte], cut->n_bins) ? 1 : 0;
    }
}

/* One look at every row's bin: a rank puts its left rows into one spare array and
 * the others into a second one; after a barrier all know where to copy them. Alone,
 * the left rows can stay where they are. */
void rt_partition(rt_grower *grower, const rt_leaf *leaf, const rt_split *split,
                  void (*meanwhile)(rt_grower *), rt_team team)
{
    const rt_bins *bins = grower->bins;
    int32_t *order = grower->order + leaf->begin;
    int64_t begin = 0;
    int64_t end = 0;
    int64_t before = 0;
    int64_t total = 0;
    uint8_t table[256];

    fill_table(bins, split, table);
    rt_team_range(team, leaf->rows, &begin, &end);
    const int64_t count = end - begin;
    int32_t *left = team.size == 1 ? order : grower->spare + leaf->begin + begin;
    int32_t *right = grower->spare_right + leaf->begin + begin;
    const int64_t lefts = grower->gradients->hot->partition(
        rt_bins_column(bins, split->feature), table, order + begin, count, left, right);
    grower->left_count[team.rank] = lefts;
    rt_team_barrier(team);
    if (team.rank == 0) {
        meanwhile(grower);
    }
    offsets(grower, team, &before, &total);
    if (team.size > 1 && lefts > 0) {
        memcpy(order + before, left, (size_t)lefts * sizeof *order);
    }
    if (count > lefts) {
        memcpy(order + total + begin - before, right,
               (size_t)(count - lefts) * sizeof *order);
    }
    rt_team_barrier(team);
}

/* A row is in the tree when its draw is below the share: each row by itself, so
 * no rank depends on another. */
static void draw_rows(rt_grower *grower, double share, uint64_t key, rt_team team)
{
    const uint64_t limit = (uint64_t)(share * 4294967296.0);
    int64_t rows = grower->bins->rows;
    int64_t begin = 0;
    int64_t end = 0;
    int64_t before = 0;
    int64_t total = 0;
    int64_t count = 0;
    rt_team_range(team, rows, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        count += (rt_draw64(key, (uint64_t)i) >> 32) < limit ? 1 : 0;
    }
    grower->left_count[team.rank] = count;
    rt_team_barrier(team);
    offsets(grower, team, &before, &total);
    int64_t in = before;
    int64_t out = total + begin - before;
    for (int64_t i = begin; i < end; i++) {
        bool chosen = (rt_draw64(key, (uint64_t)i) >> 32) < limit;
        grower->order[chosen ? in : out] = (int32_t)i;
        in += chosen ? 1 : 0;
        out += chosen ? 0 : 1;
    }
    if (team.rank == 0) {
        grower->in_tree = total;
    }
}

/* The features with the smallest draws, in ascending order of their number. The
 * k-th smallest draw is found by sorting a copy of them; draws of different
 * features differ, since the mixing function is a bijection. */
static void draw_columns(rt_grower *grower, double share, uint64_t key)
{
    int32_t usable = grower->n_usable;
    int32_t wanted = (int32_t)((double)usable * share + 0.5);
    wanted = wanted < 1 ? 1 : wanted;
    uint64_t *draws = grower->rank;
    uint64_t *spare = grower->rank + grower->bins->features;
    for (int32_t i = 0; i < usable; i++) {
        draws[i] = rt_draw64(key, (uint64_t)grower->usable[i]);
    }
    rt_sort_keys(draws, spare, usable);
    uint64_t limit = usable > 0 ? draws[wanted - 1] : 0;
    int32_t chosen = 0;
    for (int32_t i = 0; i < usable; i++) {
        if (rt_draw64(key, (uint64_t)grower->usable[i]) <= limit) {
            grower->feature[chosen++] = grower->usable[i];
        }
    }
    grower->shape.features = chosen;
    rt_hist_group(&grower->shape, grower->bins);
}

static void take_all_rows(rt_grower *grower, rt_team team)
{
    int64_t begin = 0;
    int64_t end = 0;
    rt_team_range(team, grower->bins->rows, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        grower->order[i] = (int32_t)i;
    }
    if (team.rank == 0) {
        grower->in_tree = grower->bins->rows;
    }
}

void rt_grower_sample(rt_grower *grower, uint64_t seed, int64_t number, rt_team team)
{
    double rows = grower->params->value[RT_P_SUBSAMPLE];
    double columns = grower->params->value[RT_P_COLSAMPLE];
    if (rows < 1.0) {
        draw_rows(grower, rows, rt_draw_key(seed, RT_DRAW_ROWS, (uint64_t)number),
                  team);
    } else {
        take_all_rows(grower, team);
    }
    if (team.rank == 0) {
        draw_columns(grower, columns,
                     rt_draw_key(seed, RT_DRAW_COLUMNS, (uint64_t)number));
    }
    rt_team_barrier(team);
}
