/* The table, and the check of values against it. */
#include "linear/params.h"

#include <stdint.h>

const rt_linear_rule rt_linear_rules[RT_LINEAR_PARAMS] = {
    [RT_LP_L2] = {"l2", 1.0, 0.0, 1e100, false},
    [RT_LP_TOLERANCE] = {"tol", 1e-10, 0.0, 1.0, false},
    [RT_LP_MAX_ITER] = {"max_iter", 100.0, 1.0, 1e6, true},
    [RT_LP_STANDARDIZE] = {"standardize", 1.0, 0.0, 1.0, true},
    [RT_LP_INTERCEPT] = {"fit_intercept", 1.0, 0.0, 1.0, true},
};

rt_linear_params rt_linear_defaults(void)
{
    rt_linear_params params;
    for (int32_t i = 0; i < RT_LINEAR_PARAMS; i++) {
        params.value[i] = rt_linear_rules[i].fallback;
    }
    return params;
}

rt_status rt_linear_params_check(const rt_linear_params *params, rt_error *err)
{
    for (int32_t i = 0; i < RT_LINEAR_PARAMS; i++) {
        const rt_linear_rule *rule = &rt_linear_rules[i];
        const double value = params->value[i];
        if (!(value >= rule->least && value <= rule->most)) {
            return rt_fail(err, RT_INVALID, "rt_linear_params_check",
                           "%s must lie between %g and %g, it is %g", rule->name,
                           rule->least, rule->most, value);
        }
        if (rule->whole && value != (double)(int64_t)value) {
            return rt_fail(err, RT_INVALID, "rt_linear_params_check",
                           "%s must be a whole number, it is %g", rule->name, value);
        }
    }
    return RT_OK;
}
