/* Splits of a numeric feature, and what leaves are worth. The candidates of a feature
 * are scanned once, or twice where rows are missing; the scan itself is a hot loop of
 * gbdt/simd. Unit: one feature of one node. */
#include "gbdt/split.h"

#include <assert.h>
#include <math.h>

#include "base/limits.h"
#include "base/math.h"

rt_split_rules rt_split_rules_from(const rt_gbdt_params *params, bool monotone,
                                   double g_unit, double h_unit)
{
    const double *value = params->value;
    double smooth_steps = value[RT_P_CAT_SMOOTH] / h_unit;
    rt_split_rules rules = {
        .hot = rt_hot_in_use(),
        /* Leaf values are then free, and the score has a closed form without
         * branches. */
        .plain = !monotone && value[RT_P_L1_REGULARIZATION] == 0.0,
        .l1 = value[RT_P_L1_REGULARIZATION],
        .range = {-INFINITY, INFINITY},
        .g_unit = g_unit,
        .h_unit = h_unit,
        .l2 = value[RT_P_L2_REGULARIZATION],
        .cat_l2 = value[RT_P_CAT_L2],
        .min_child_weight = value[RT_P_MIN_CHILD_WEIGHT],
        .min_split_gain = value[RT_P_MIN_SPLIT_GAIN],
        .min_rows = (int64_t)value[RT_P_MIN_SAMPLES_LEAF],
        .min_group_rows = (int64_t)value[RT_P_MIN_DATA_PER_GROUP],
        /* Held below 2^61, so that adding a sum of h (< 2^60) cannot overflow. */
        .cat_smooth_steps =
            smooth_steps < rt_pow2(61) ? rt_round_i64(smooth_steps) : (int64_t)1 << 61,
        .cat_min_rows = (int64_t)ceil(value[RT_P_CAT_SMOOTH]),
        .max_onehot = rt_param_i32(params, RT_P_MAX_CAT_TO_ONEHOT),
        .max_set = rt_param_i32(params, RT_P_MAX_CAT_THRESHOLD),
    };
    return rules;
}

double rt_leaf_value(const rt_split_rules *rules, double g, double h, double l2)
{
    /* Soft threshold of L1, the Newton step, then the bounds that monotone ancestors
     * set. */
    double drawn = g > rules->l1 ? g - rules->l1 : g < -rules->l1 ? g + rules->l1 : 0.0;
    double value = 0.0 - drawn / (h + l2);
    value = value < rules->range.low ? rules->range.low : value;
    return value > rules->range.high ? rules->range.high : value;
}

/* Do the values of both sides rise, or fall, as they must? */
static bool in_order(const rt_split_rules *rules, rt_sums left, rt_sums right)
{
    if (rules->monotone == 0) {
        return true;
    }
    /* Values, not gradients: regularisation may turn the order of two sides around. */
    double low = rt_leaf_value(rules, (double)left.g * rules->g_unit,
                               (double)left.h * rules->h_unit, rules->l2);
    double high = rt_leaf_value(rules, (double)right.g * rules->g_unit,
                                (double)right.h * rules->h_unit, rules->l2);
    return rules->monotone > 0 ? low <= high : low >= high;
}

/* A candidate: bins up to `bin` go left. */
typedef struct cut_at {
    int32_t bin; /* -1: there is none */
    double score;
} cut_at;

/* best_cut where values are bounded or drawn to 0: rare, so bin by bin. */
static cut_at best_bounded(const rt_split_rules *rules, const rt_histogram *histogram,
                           int64_t cells, int32_t bins, rt_sums first, rt_sums node)
{
    cut_at best = {-1, rt_no_score(rules)};
    rt_sums left = first;
    for (int32_t bin = 0; bin < bins; bin++) {
        left = rt_sums_plus(left, rt_sums_cell(histogram, cells + bin));
        /* Whole numbers: the right side is exactly what is left over. */
        rt_sums right = rt_sums_minus(node, left);
        if (!rt_side_stands(rules, left) || !rt_side_stands(rules, right) ||
            !in_order(rules, left, right)) {
            continue;
        }
        double score = rt_split_score(rules, left, rules->l2) +
                       rt_split_score(rules, right, rules->l2);
        /* Strictly better, so of equal candidates the first stays. */
        if (score > best.score) {
            best = (cut_at){bin, score};
        }
    }
    return best;
}

/* The best of "bins 0 to i left" for `bins` candidates, when `first` is left of all of
 * them. */
static cut_at best_cut(const rt_split_rules *rules, const rt_histogram *histogram,
                       int64_t cells, int32_t bins, rt_sums first, rt_sums node)
{
    if (!rules->plain) {
        return best_bounded(rules, histogram, cells, bins, first, node);
    }
    /* Prefix sums in whole numbers, scores by vectors in double: every lane computes
     * what the loop above would, so the level of the processor does not show. */
    rt_hot_scan scan = {.wide = histogram->is_wide ? histogram->wide + cells : NULL,
                        .g = histogram->g + cells,
                        .h = histogram->h + cells,
                        .rows = histogram->rows + cells,
                        .bins = bins,
                        .first_g = first.g,
                        .first_h = first.h,
                        .first_rows = first.rows,
                        .node_g = node.g,
                        .node_h = node.h,
                        .node_rows = node.rows,
                        .g_unit = rules->g_unit,
                        .h_unit = rules->h_unit,
                        .l2 = rules->l2,
                        .min_child_weight = rules->min_child_weight,
                        .min_rows = rules->min_rows};
    cut_at best = {-1, rt_no_score(rules)};
    best.bin = rules->hot->scan(&scan, &best.score);
    return best;
}

/* Without missing rows in the node nothing says where they should go (rt_split_left
 * does). With them, both directions compete, and "everything present left, missing
 * right" is a split too. Of equal scores the earlier bin's stays, then "missing left".
 */
void rt_split_numeric(const rt_split_rules *rules, const rt_cut *cut,
                      const rt_histogram *histogram, int64_t cells, rt_sums node,
                      rt_split *best)
{
    assert(cut->levels == 0 && node.rows >= 0); /* none: cancelled at once */
    const rt_sums none = {0, 0, 0};
    const rt_sums missing = rt_sums_cell(histogram, cells + cut->n_bins);
    /* The last bin as the left side would leave nothing on the right but what is
     * missing. */
    const int32_t inner = cut->n_bins - 1; /* candidates between bins */
    const int32_t candidates = missing.rows > 0 ? inner + 1 : inner;
    cut_at chosen = best_cut(rules, histogram, cells, candidates, none, node);

    best->categorical = false;
    best->missing_left = false;
    best->l2 = rules->l2;
    best->left = none;
    if (missing.rows > 0) {
        cut_at other = best_cut(rules, histogram, cells, inner, missing, node);
        best->missing_left =
            other.score > chosen.score ||
            (other.score == chosen.score && other.bin >= 0 && other.bin <= chosen.bin);
        chosen = best->missing_left ? other : chosen;
    }
    /* Without a candidate the score is the lowest: the gain says that it is none. */
    best->bin = chosen.bin < 0 ? 0 : chosen.bin;
    best->gain =
        rt_net_gain(rules, chosen.score, rt_split_score(rules, node, rules->l2));
}

/* Where no row is missing, missing ones will follow the larger child (ties: left). */
void rt_split_left(const rt_cut *cut, const rt_histogram *histogram, int64_t cells,
                   rt_sums node, rt_split *split)
{
    const rt_sums missing = rt_sums_cell(histogram, cells + cut->n_bins);
    rt_sums left = {0, 0, 0};
    for (int32_t bin = 0; bin <= split->bin; bin++) {
        left = rt_sums_plus(left, rt_sums_cell(histogram, cells + bin));
    }
    if (missing.rows == 0) {
        split->missing_left = 2 * left.rows >= node.rows;
    } else if (split->missing_left) {
        left = rt_sums_plus(left, missing);
    }
    assert(0 <= left.rows && left.rows <= node.rows);
    split->left = left;
}
