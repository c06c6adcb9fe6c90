/* What a user may set about a linear fit, as one table: its names are those of the
 * Python API, its order is that of the model file. */
#ifndef RT_LINEAR_PARAMS_H
#define RT_LINEAR_PARAMS_H

#include <stdbool.h>

#include "base/status.h"

/* What a user may set. The least sum over rows of weight times loss, plus l2 / 2 times
 * the sum of squared slopes, is looked for; the intercept is free. */
typedef enum rt_linear_param {
    RT_LP_L2,
    RT_LP_TOLERANCE,   /* of what a step can still gain, as a share of the loss */
    RT_LP_MAX_ITER,    /* passes over the rows */
    RT_LP_STANDARDIZE, /* 1: l2 is on slopes of numbers in standard deviations */
    RT_LP_INTERCEPT,   /* 0: none */
    RT_LINEAR_PARAMS
} rt_linear_param;

typedef struct rt_linear_params {
    double value[RT_LINEAR_PARAMS];
} rt_linear_params;

typedef struct rt_linear_rule {
    const char *name;
    double fallback, least, most;
    bool whole;
} rt_linear_rule;

extern const rt_linear_rule rt_linear_rules[RT_LINEAR_PARAMS];

rt_linear_params rt_linear_defaults(void);
RT_CHECKED rt_status rt_linear_params_check(const rt_linear_params *params,
                                            rt_error *err);

#endif
