/* Splits of a categorical feature: a set of levels goes left.
 *
 * Few levels: each alone against the rest. Many: levels are sorted by their
 * smoothed gradient ratio G / (H + cat_smooth) and only prefixes of that order,
 * from either end, are tried (Fisher 1958: for one-dimensional responses the
 * best set is such a prefix). Limits on set size, rows per group and the extra
 * L2 keep rare levels from being fitted; they follow LightGBM's parameters of
 * the same names. */
#include "gbdt/split_category.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"

__extension__ typedef __int128 wide_int;

typedef struct ranked {
    rt_sums sums;
    int32_t bin; /* of its part, PART_BITS for each part before it */
} ranked;

enum { PART_BITS = RT_PART_WORDS * 64, LEVELS_MAX = RT_PARTS_MAX * RT_MAX_BINS };

/* Is ratio(a) < ratio(b)? Compared as a.g (b.h + s) < b.g (a.h + s) in 128 bits, so
 * that no rounding decides; equal ratios go by bin, which is level order. */
static bool ranks_before(const ranked *a, const ranked *b, int64_t smooth)
{
    wide_int left = (wide_int)a->sums.g * (b->sums.h + smooth);
    wide_int right = (wide_int)b->sums.g * (a->sums.h + smooth);
    return left != right ? left < right : a->bin < b->bin;
}

static void sort_levels(ranked *levels, int32_t count, int64_t smooth)
{
    for (int32_t i = 1; i < count; i++) { /* insertion: they are few */
        ranked level = levels[i];
        int32_t at = i;
        for (; at > 0 && ranks_before(&level, &levels[at - 1], smooth); at--) {
            levels[at] = levels[at - 1];
        }
        levels[at] = level;
    }
}

/* Every level is a candidate: no order, no extra L2, no least group. There is one part,
 * whose bins lie in the first RT_PART_WORDS words. */
static void one_against_rest(const rt_split_rules *rules, const rt_cut *cut,
                             const rt_histogram *histogram, int64_t cells, rt_sums node,
                             double *best_score, rt_split *best)
{
    for (int32_t bin = 0; bin < cut->n_bins; bin++) {
        /* What is missing or unknown goes with the rest. */
        rt_sums left = rt_sums_cell(histogram, cells + bin);
        rt_sums right = rt_sums_minus(node, left);
        if (!rt_side_stands(rules, left) || !rt_side_stands(rules, right)) {
            continue;
        }
        double score = rt_split_score(rules, left, rules->l2) +
                       rt_split_score(rules, right, rules->l2);
        if (score > *best_score) {
            *best_score = score;
            memset(best->set, 0, sizeof best->set);
            best->set[bin >> 6] = (uint64_t)1 << (bin & 63);
            best->left = left;
            best->l2 = rules->l2;
        }
    }
}

/* Prefixes of the order from one end (step 1 or -1). Returns how many levels the
 * best one takes, 0 if none beats *best_score. */
static int32_t best_prefix(const rt_split_rules *rules, const ranked *levels,
                           int32_t count, int32_t step, rt_sums node,
                           double *best_score, rt_split *best)
{
    /* Half of the levels is enough: the other end gives the complements. */
    double l2 = rules->l2 + rules->cat_l2;
    int32_t limit = (count + 1) / 2 < rules->max_set ? (count + 1) / 2 : rules->max_set;
    int32_t at = step > 0 ? 0 : count - 1;
    int32_t taken = 0;
    int64_t group = 0; /* rows since the last candidate */
    rt_sums left = {0, 0, 0};
    for (int32_t i = 0; i < limit; i++, at += step) {
        left = rt_sums_plus(left, levels[at].sums);
        group += levels[at].sums.rows;
        if (!rt_side_stands(rules, left)) {
            continue;
        }
        rt_sums right = rt_sums_minus(node, left);
        if (!rt_side_stands(rules, right) || right.rows < rules->min_group_rows) {
            /* The right side only shrinks from here. */
            break;
        }
        if (group < rules->min_group_rows) {
            continue;
        }
        /* Candidates are at least min_group_rows apart. */
        group = 0;
        double score =
            rt_split_score(rules, left, l2) + rt_split_score(rules, right, l2);
        if (score > *best_score) {
            *best_score = score;
            best->left = left;
            best->l2 = l2;
            taken = i + 1;
        }
    }
    return taken;
}

/* The first `taken` levels of the order as bits. */
static void take_set(rt_split *best, const ranked *levels, int32_t count, int32_t step,
                     int32_t taken)
{
    int32_t at = step > 0 ? 0 : count - 1;
    memset(best->set, 0, sizeof best->set);
    for (int32_t i = 0; i < taken; i++, at += step) {
        best->set[levels[at].bin >> 6] |= (uint64_t)1 << (levels[at].bin & 63);
    }
}

/* The order is one for both ends; a prefix from the far end wins only if better. */
static void sorted_sets(const rt_split_rules *rules, const rt_cut *cut,
                        const rt_histogram *histogram, const int64_t *cells,
                        rt_sums node, double *best_score, rt_split *best)
{
    ranked levels[LEVELS_MAX];
    int32_t count = 0;
    int32_t number = 0;
    for (const rt_cut *part = cut; part != NULL; part = part->more, number++) {
        for (int32_t bin = 0; bin < part->n_bins; bin++) {
            rt_sums sums = rt_sums_cell(histogram, cells[number] + bin);
            /* A level with fewer rows than the smoothing has no ratio to speak of. */
            if (sums.rows > 0 && sums.rows >= rules->cat_min_rows) {
                levels[count++] = (ranked){sums, number * PART_BITS + bin};
            }
        }
    }
    sort_levels(levels, count, rules->cat_smooth_steps);
    for (int32_t step = 1; step >= -1; step -= 2) {
        /* best_score is carried over from the first end to the second. */
        int32_t taken = best_prefix(rules, levels, count, step, node, best_score, best);
        if (taken > 0) {
            take_set(best, levels, count, step, taken);
        }
    }
}

void rt_split_categorical(const rt_split_rules *rules, const rt_cut *cut,
                          const rt_histogram *histogram, const int64_t *cells,
                          rt_sums node, rt_split *best)
{
    assert(cut->levels != 0 && cut->n_bins <= RT_MAX_BINS && node.rows >= 0);
    double best_score = rt_no_score(rules);
    *best = (rt_split){.categorical = true, .l2 = rules->l2};
    if (cut->n_bins <= rules->max_onehot && !rt_cut_has_parts(cut)) {
        one_against_rest(rules, cut, histogram, cells[0], node, &best_score, best);
    } else {
        sorted_sets(rules, cut, histogram, cells, node, &best_score, best);
    }
    best->gain = rt_net_gain(rules, best_score, rt_split_score(rules, node, rules->l2));
}
