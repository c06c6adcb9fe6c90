/* The best split of one feature, from its part of a node's histogram.
 *
 *   gain = GL^2/(HL + l2) + GR^2/(HR + l2) - G^2/(H + l2)
 *
 * G and H are exact integer sums; the gain is one fixed expression in double,
 * so every build and team finds the same winner. Ties go to the smaller
 * feature, then the smaller bin, then "missing goes left". */
#ifndef RT_GBDT_SPLIT_H
#define RT_GBDT_SPLIT_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "gbdt/bins.h"
#include "gbdt/histogram.h"
#include "gbdt/params.h"
#include "gbdt/simd/dispatch.h"

/* Words of a split's set for each part of its cut. */
enum { RT_PART_WORDS = 4 };

/* Exact sums over the rows of a node. */
typedef struct rt_sums {
    int64_t g, h, rows;
} rt_sums;

typedef struct rt_split {
    double gain; /* against the unsplit node; 0 or less: there is no split */
    int32_t feature;
    int32_t bin;       /* numeric: bins up to this go left */
    bool missing_left; /* numeric only: a set never holds what is missing */
    bool categorical;
    double l2; /* that the leaf values of the children use */
    rt_sums left;
    /* Categorical: bins that go left. Last, and nothing in a numeric split: the search
     * makes one for each feature of each leaf, and copies only what is in it. */
    uint64_t set[RT_PARTS_MAX * RT_PART_WORDS];
} rt_split;

/* What a leaf's value may be, by the monotone splits above it. */
typedef struct rt_range {
    double low, high;
} rt_range;

typedef struct rt_split_rules {
    const rt_hot *hot;
    bool plain; /* no l1, no monotone features: ranges do not matter */
    double l1;
    rt_range range;        /* of the node that is being split */
    int32_t monotone;      /* of the feature that is being tried: 1, 0 or -1 */
    double g_unit, h_unit; /* value of one step of the sums */
    double l2, cat_l2, min_child_weight, min_split_gain;
    int64_t min_rows, min_group_rows;
    int64_t cat_smooth_steps; /* cat_smooth in steps of h */
    int64_t cat_min_rows;     /* levels with fewer rows are not sorted in */
    int32_t max_onehot, max_set;
} rt_split_rules;

rt_split_rules rt_split_rules_from(const rt_gbdt_params *params, bool monotone,
                                   double g_unit, double h_unit);

/* `best` receives the feature's best split, gain 0 if it has none. `cells` is
 * the feature's first cell, `node` the sums of all its rows. What goes left of a
 * numeric split is left to rt_split_left, which only the best of all features needs. */
void rt_split_numeric(const rt_split_rules *rules, const rt_cut *cut,
                      const rt_histogram *histogram, int64_t cells, rt_sums node,
                      rt_split *best);

void rt_split_left(const rt_cut *cut, const rt_histogram *histogram, int64_t cells,
                   rt_sums node, rt_split *split);

/* The Newton step of a leaf, -G / (H + l2), with G drawn towards 0 by l1, within
 * the range. */
double rt_leaf_value(const rt_split_rules *rules, double g, double h, double l2);

/* By how much a leaf of these sums lowers the loss, twice: G^2 / (H + l2) when its
 * value is the free step; 0 for an empty side. */
static inline double rt_split_score(const rt_split_rules *rules, rt_sums side,
                                    double l2)
{
    double g = (double)side.g * rules->g_unit;
    double h = (double)side.h * rules->h_unit;
    if (side.h <= 0) {
        return 0.0;
    }
    if (rules->plain) {
        return g * g / (h + l2);
    }
    double value = rt_leaf_value(rules, g, h, l2);
    double size = value < 0.0 ? -value : value;
    return -(2.0 * g * value + (h + l2) * value * value + 2.0 * rules->l1 * size);
}

static inline rt_sums rt_sums_minus(rt_sums a, rt_sums b)
{
    return (rt_sums){a.g - b.g, a.h - b.h, a.rows - b.rows};
}

static inline rt_sums rt_sums_plus(rt_sums a, rt_sums b)
{
    return (rt_sums){a.g + b.g, a.h + b.h, a.rows + b.rows};
}

static inline rt_sums rt_sums_cell(const rt_histogram *histogram, int64_t at)
{
    if (histogram->is_wide) {
        const rt_gradient cell = histogram->wide[at];
        return (rt_sums){cell.g, (int64_t)(cell.h >> RT_COUNT_BITS),
                         (int64_t)(cell.h & RT_COUNT_MASK)};
    }
    return (rt_sums){histogram->g[at], histogram->h[at], histogram->rows[at]};
}

/* True when a side has enough rows and curvature to stand alone. */
static inline bool rt_side_stands(const rt_split_rules *rules, rt_sums side)
{
    return side.rows >= rules->min_rows && side.h > 0 &&
           (double)side.h * rules->h_unit >= rules->min_child_weight;
}

/* What a split has to beat. A free step never makes the loss larger, so its score
 * is at least 0; a leaf that is held within its range can do worse, and so can its
 * children and still be an improvement. */
static inline double rt_no_score(const rt_split_rules *rules)
{
    return rules->plain ? 0.0 : -INFINITY;
}

/* Gains that are rounding error only are none: below 1e-12 of the children's
 * score a difference in the last bits would choose. */
static inline double rt_net_gain(const rt_split_rules *rules, double children,
                                 double parent)
{
    double gain = children - parent;
    double size = children < 0.0 ? -children : children;
    bool found = children > rt_no_score(rules);
    return found && gain > rules->min_split_gain && gain > 1e-12 * size ? gain : 0.0;
}

/* Is the bin of a part in the set? */
static inline bool rt_split_has(const rt_split *split, int32_t part, int32_t bin)
{
    return (split->set[part * RT_PART_WORDS + (bin >> 6)] >> (bin & 63)) & 1;
}

/* Does the bin go left? */
static inline bool rt_split_goes_left(const rt_split *split, int32_t part, int32_t bin,
                                      int32_t missing_bin)
{
    if (split->categorical) {
        return rt_split_has(split, part, bin);
    }
    return bin == missing_bin ? split->missing_left : bin <= split->bin;
}

#endif
