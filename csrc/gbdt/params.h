/* What a user may set about a training run, as one table: its names are those
 * of the Python API, its order is that of the model file. */
#ifndef RT_GBDT_PARAMS_H
#define RT_GBDT_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef enum rt_param {
    RT_P_N_ESTIMATORS,
    RT_P_LEARNING_RATE,
    RT_P_MAX_LEAF_NODES,
    RT_P_MAX_DEPTH, /* 0: no limit */
    RT_P_MIN_SAMPLES_LEAF,
    RT_P_MIN_CHILD_WEIGHT,
    RT_P_MIN_SPLIT_GAIN,
    RT_P_L2_REGULARIZATION,
    RT_P_COLSAMPLE,
    RT_P_SUBSAMPLE,
    RT_P_MAX_BINS,
    RT_P_CAT_SMOOTH,
    RT_P_CAT_L2,
    RT_P_MIN_DATA_PER_GROUP,
    RT_P_MAX_CAT_TO_ONEHOT,
    RT_P_MAX_CAT_THRESHOLD,
    RT_P_L1_REGULARIZATION,
    RT_P_DEPTH_WISE,            /* 1: the shallowest leaf is split next, not the best */
    RT_P_EARLY_STOPPING_ROUNDS, /* without a better loss of rt_gbdt_data.eval; 0: off */
    RT_PARAM_COUNT
} rt_param;

/* Whole numbers are held as doubles: all limits lie far below 2^53. */
typedef struct rt_gbdt_params {
    double value[RT_PARAM_COUNT];
} rt_gbdt_params;

typedef struct rt_param_rule {
    const char *name;
    double fallback, least, most;
    bool whole;
} rt_param_rule;

extern const rt_param_rule rt_param_rules[RT_PARAM_COUNT];

rt_gbdt_params rt_gbdt_defaults(void);
RT_CHECKED rt_status rt_gbdt_params_check(const rt_gbdt_params *params, rt_error *err);

static inline int32_t rt_param_i32(const rt_gbdt_params *params, rt_param which)
{
    return (int32_t)params->value[which];
}

#endif
