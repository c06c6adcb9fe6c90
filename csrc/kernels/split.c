#include "kernels/split.h"

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
    double low = rt_leaf_value(rules, (double)left.g * rules->g_unit,
                               (double)left.h * rules->h_unit, rules->l2);
    double high = rt_leaf_value(rules, (double)right.g * rules->g_unit,
                                (double)right.h * rules->h_unit, rules->l2);
    return rules->monotone > 0 ? low <= high : low >= high;
}

/* scan_bins where values are bounded or drawn to 0: rare, so bin by bin. */
static void scan_bounded(const rt_split_rules *rules, const rt_histogram *histogram,
                         int64_t cells, int32_t bins, rt_sums first, rt_sums node,
                         double *score)
{
    rt_sums left = first;
    for (int32_t bin = 0; bin < bins; bin++) {
        left = rt_sums_plus(left, rt_sums_cell(histogram, cells + bin));
        rt_sums right = rt_sums_minus(node, left);
        bool allowed = rt_side_stands(rules, left) && rt_side_stands(rules, right) &&
                       in_order(rules, left, right);
        score[bin] = allowed ? rt_split_score(rules, left, rules->l2) +
                                   rt_split_score(rules, right, rules->l2)
                             : rt_no_score(rules);
    }
}

/* The scores of "bins 0 to i left" for `bins` candidates, when `first` is left of
 * all of them. */
static void scan_bins(const rt_split_rules *rules, const rt_histogram *histogram,
                      int64_t cells, int32_t bins, rt_sums first, rt_sums node,
                      double *score)
{
    if (!rules->plain) {
        scan_bounded(rules, histogram, cells, bins, first, node, score);
        return;
    }
    rt_hot_scan scan = {.g = histogram->g + cells,
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
    rules->hot->scan(&scan, score);
}

static rt_sums sum_bins(const rt_histogram *histogram, int64_t cells, int32_t last)
{
    rt_sums sums = {0, 0, 0};
    for (int32_t bin = 0; bin <= last; bin++) {
        sums = rt_sums_plus(sums, rt_sums_cell(histogram, cells + bin));
    }
    return sums;
}

/* The best candidate, if it beats what was found before: by its score, or by lying
 * in an earlier bin. */
static void take_best(const rt_split_rules *rules, const double *score, int32_t bins,
                      bool missing_left, double *best_score, rt_split *best)
{
    const int32_t bin = rules->hot->first_largest(score, bins);
    const bool found = bins > 0 && score[bin] > rt_no_score(rules);
    const bool earlier = found && score[bin] == *best_score && bin < best->bin;
    if (earlier || (found && score[bin] > *best_score)) {
        *best_score = score[bin];
        best->bin = bin;
        best->missing_left = missing_left;
    }
}

/* Without missing rows in the node nothing says where they should go: then they
 * follow the larger child (ties: left). With them, both directions compete, and
 * "everything present left, missing right" is a split too. The first of equal
 * scores stays. */
void rt_split_numeric(const rt_split_rules *rules, const rt_cut *cut,
                      const rt_histogram *histogram, int64_t cells, rt_sums node,
                      rt_split *best)
{
    const rt_sums none = {0, 0, 0};
    const rt_sums missing = rt_sums_cell(histogram, cells + cut->n_bins);
    const int32_t inner = cut->n_bins - 1;
    double with_missing[RT_MAX_BINS + 1];
    double without[RT_MAX_BINS + 1];
    double best_score = rt_no_score(rules);

    *best = (rt_split){.l2 = rules->l2};
    if (missing.rows > 0) {
        scan_bins(rules, histogram, cells, inner, missing, node, with_missing);
        take_best(rules, with_missing, inner, true, &best_score, best);
    }
    const int32_t candidates = missing.rows > 0 ? inner + 1 : inner;
    scan_bins(rules, histogram, cells, candidates, none, node, without);
    take_best(rules, without, candidates, false, &best_score, best);
    if (best_score > rt_no_score(rules)) {
        best->left = sum_bins(histogram, cells, best->bin);
        if (missing.rows == 0) {
            best->missing_left = 2 * best->left.rows >= node.rows;
        } else if (best->missing_left) {
            best->left = rt_sums_plus(best->left, missing);
        }
    }
    best->gain = rt_net_gain(rules, best_score, rt_split_score(rules, node, rules->l2));
}
