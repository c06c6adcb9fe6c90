/* Which rows a tree sees, and which side of a split they take. Every rank lists its own
 * rows and parts its own lists: nobody has to wait for anybody. */
#include "gbdt/grower_rows.h"

#include <assert.h>
#include <string.h>

#include "base/radix_sort.h"
#include "base/rng.h"

/* A table by byte: whatever kind the split is, a row's side is then one load, and where
 * columns share a byte their other digits drop out here. */
void rt_partition_plan(rt_grower *grower, const rt_split *split)
{
    const rt_cut *cut = &grower->bins->cuts[split->feature];
    const rt_split by = *split; /* copies, which nothing else can point to */
    int32_t parts = 0;
    for (; cut != NULL && (parts == 0 || cut->n_bins > 0); cut = cut->more, parts++) {
        const int32_t missing = cut->n_bins;
        uint8_t goes_left[256];
        for (int32_t byte = 0; byte < 256; byte++) {
            const int32_t bin = cut->bin_of_byte[byte];
            goes_left[byte] = rt_split_goes_left(&by, parts, bin, missing);
        }
        memcpy(grower->step.goes_left[parts], goes_left, sizeof goes_left);
        grower->step.column[parts] = rt_bins_column(grower->bins, cut);
    }
    grower->step.parts = parts;
}

/* A level is missing to all parts but its own: any of them may send the row left. */
static void mark_sides(const rt_grower *grower, const int32_t *order, int64_t count)
{
    const rt_step *step = &grower->step;
    for (int64_t i = 0; i < count; i++) {
        /* All parts are asked: to stop at the first would be a branch to mispredict. */
        uint8_t left = 0;
        for (int32_t p = 0; p < step->parts; p++) {
            left |= step->goes_left[p][step->column[p][order[i]]];
        }
        grower->rows.side[order[i]] = left;
    }
}

/* Left rows stay where they are, the others wait in the spare array. Both sides keep
 * their order, so runs stay ascending. Ranks' runs do not overlap, and neither do their
 * pieces of the spare array. */
void rt_partition(rt_grower *grower, int32_t rank)
{
    rt_run *left = rt_run_of(grower, grower->step.left, rank);
    int32_t *order = grower->rows.order + left->begin;
    int32_t *spare = grower->rows.spare + left->begin;
    /* mark_sides has answered already: the table only passes its 0 or 1 on. */
    static const uint8_t is_left[256] = {0, 1};
    const bool many = grower->step.parts > 1; /* a level in several bytes */
    if (many) {
        mark_sides(grower, order, left->rows);
    }
    const int64_t lefts = grower->gradients->hot->partition(
        many ? grower->rows.side : grower->step.column[0],
        many ? is_left : grower->step.goes_left[0], order, left->rows, order, spare);
    const int64_t rights = left->rows - lefts;
    assert(lefts >= 0 && rights >= 0);
    memcpy(order + lefts, spare, (size_t)rights * sizeof *order);
    left->rows = lefts;
    *rt_run_of(grower, grower->step.right, rank) =
        (rt_run){left->begin + lefts, rights};
}

/* This rank's rows of the tree. A row is in it when its draw is below the share: each
 * row by itself. */
static void list_rows(rt_grower *grower, double share, uint64_t key, rt_team team)
{
    /* The share as a bound on 32 bits of a draw. Rows are written always and kept only
     * if drawn, which needs no branch. */
    const uint64_t limit = (uint64_t)(share * 4294967296.0);
    const int64_t rows = grower->bins->rows;
    const int64_t begin = rt_team_before(team, rows);
    int64_t end = begin;
    for (rt_batch own = rt_batch_first(team, rows); own.begin < own.end;
         own = rt_batch_next(own)) {
        for (int64_t i = own.begin; i < own.end; i++) {
            grower->rows.order[end] = (int32_t)i;
            end += share >= 1.0 || (rt_draw64(key, (uint64_t)i) >> 32) < limit ? 1 : 0;
        }
    }
    *rt_run_of(grower, 0, team.rank) = (rt_run){begin, end - begin};
}

/* In the tree; no rank knows the runs of the others before the barrier. */
static int64_t count_rows(const rt_grower *grower, int32_t ranks)
{
    int64_t rows = 0;
    for (int32_t rank = 0; rank < ranks; rank++) {
        rows += rt_run_of(grower, 0, rank)->rows;
    }
    return rows;
}

/* Further parts of the features that are drawn, behind them in their order. */
static int32_t draw_parts(rt_grower *grower, int32_t drawn)
{
    const rt_cut *cuts = grower->bins->cuts;
    int32_t parts = 0;
    for (int32_t i = 0; i < drawn; i++) {
        const rt_cut *part = cuts[grower->columns.drawn[i]].more;
        for (; part != NULL && part->n_bins > 0; part = part->more) {
            grower->columns.drawn[drawn + parts++] = (int32_t)(part - cuts);
        }
    }
    return parts;
}

/* The features with the smallest draws, in ascending order of their number. The
 * k-th smallest draw is found by sorting a copy of them; draws of different
 * features differ, since the mixing function is a bijection. */
static void draw_columns(rt_grower *grower, double share, uint64_t key)
{
    int32_t usable = grower->columns.n_usable;
    /* Rounded, but never to none. */
    int32_t wanted = (int32_t)((double)usable * share + 0.5);
    wanted = wanted < 1 ? 1 : wanted;
    assert(usable == 0 || wanted <= usable);
    uint64_t *draws = grower->columns.draw;
    uint64_t *spare = grower->columns.draw + grower->bins->features;
    for (int32_t i = 0; i < usable; i++) {
        draws[i] = rt_draw64(key, (uint64_t)grower->columns.usable[i]);
    }
    rt_sort_keys(draws, spare, usable);
    /* Drawn again and compared, which puts the chosen ones in ascending order. */
    uint64_t limit = usable > 0 ? draws[wanted - 1] : 0;
    int32_t chosen = 0;
    for (int32_t i = 0; i < usable; i++) {
        if (rt_draw64(key, (uint64_t)grower->columns.usable[i]) <= limit) {
            grower->columns.drawn[chosen++] = grower->columns.usable[i];
        }
    }
    assert(chosen == (usable > 0 ? wanted : 0));
    grower->columns.n_drawn = chosen;
    grower->tree.shape.features = chosen + draw_parts(grower, chosen);
    rt_hist_group(&grower->tree.shape, grower->bins);
}

/* Rows by every rank, columns by rank 0: they are few. */
void rt_grower_sample(rt_grower *grower, uint64_t seed, int64_t number, rt_team team)
{
    list_rows(grower, grower->params->value[RT_P_SUBSAMPLE],
              rt_draw_key(seed, RT_DRAW_ROWS, (uint64_t)number), team);
    rt_team_barrier(team);
    if (team.rank == 0) {
        grower->tree.rows = count_rows(grower, team.size);
        draw_columns(grower, grower->params->value[RT_P_COLSAMPLE],
                     rt_draw_key(seed, RT_DRAW_COLUMNS, (uint64_t)number));
    }
    rt_team_barrier(team);
}
