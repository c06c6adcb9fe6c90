/* The one table of training defaults and bounds: trainer "gbdt", GBDTClassifier and the
 * C tests all take theirs from here. */
#include "gbdt/params.h"

#include "base/limits.h"

/* Name, default, least, most, and whether it is whole. Whole numbers fit an int32, and
 * a share is above 0. */
const rt_param_rule rt_param_rules[RT_PARAM_COUNT] = {
    [RT_P_N_ESTIMATORS] = {"n_estimators", 100, 1, 1000000, true},
    [RT_P_LEARNING_RATE] = {"learning_rate", 0.1, 1e-9, 1e3, false},
    [RT_P_MAX_LEAF_NODES] = {"max_leaf_nodes", 31, 2, 1 << 20, true},
    [RT_P_MAX_DEPTH] = {"max_depth", 0, 0, 1 << 20, true},
    [RT_P_MIN_SAMPLES_LEAF] = {"min_samples_leaf", 20, 1, 1 << 30, true},
    [RT_P_MIN_CHILD_WEIGHT] = {"min_child_weight", 1e-3, 0, 1e300, false},
    [RT_P_MIN_SPLIT_GAIN] = {"min_split_gain", 0, 0, 1e300, false},
    [RT_P_L2_REGULARIZATION] = {"l2_regularization", 0, 0, 1e300, false},
    [RT_P_COLSAMPLE] = {"colsample", 1, 1e-9, 1, false},
    [RT_P_SUBSAMPLE] = {"subsample", 1, 1e-9, 1, false},
    /* A byte holds RT_MAX_BINS bins and one for what is missing. */
    [RT_P_MAX_BINS] = {"max_bins", RT_MAX_BINS, 2, RT_MAX_BINS, true},
    /* Of categories; what each does is said in split_category.c. */
    [RT_P_CAT_SMOOTH] = {"cat_smooth", 30, 0, 1e6, false},
    [RT_P_CAT_L2] = {"cat_l2", 10, 0, 1e300, false},
    [RT_P_MIN_DATA_PER_GROUP] = {"min_data_per_group", 100, 1, 1 << 30, true},
    [RT_P_MAX_CAT_TO_ONEHOT] = {"max_cat_to_onehot", 4, 1, RT_MAX_BINS, true},
    [RT_P_MAX_CAT_THRESHOLD] = {"max_cat_threshold", 32, 1, RT_MAX_BINS, true},
    /* New ones go to the end: the order is that of the model file. */
    [RT_P_L1_REGULARIZATION] = {"l1_regularization", 0, 0, 1e300, false},
    [RT_P_DEPTH_WISE] = {"depth_wise", 0, 0, 1, true},
    [RT_P_EARLY_STOPPING_ROUNDS] = {"early_stopping_rounds", 0, 0, 1000000, true},
};

rt_gbdt_params rt_gbdt_defaults(void)
{
    rt_gbdt_params params;
    for (int32_t i = 0; i < RT_PARAM_COUNT; i++) {
        params.value[i] = rt_param_rules[i].fallback;
    }
    return params;
}

/* One loop over the table: a parameter without a rule cannot be forgotten, and the
 * message names the bound that is broken. */
rt_status rt_gbdt_params_check(const rt_gbdt_params *params, rt_error *err)
{
    for (int32_t i = 0; i < RT_PARAM_COUNT; i++) {
        const rt_param_rule *rule = &rt_param_rules[i];
        double value = params->value[i];
        /* NaN fails this comparison too, and what passes it can be cast below. */
        if (!(value >= rule->least && value <= rule->most)) {
            return rt_fail(err, RT_INVALID, "rt_gbdt_params_check",
                           "%s must lie between %g and %g, it is %g", rule->name,
                           rule->least, rule->most, value);
        }
        if (rule->whole && value != (double)(int64_t)value) {
            return rt_fail(err, RT_INVALID, "rt_gbdt_params_check",
                           "%s must be a whole number, it is %g", rule->name, value);
        }
    }
    return RT_OK;
}
