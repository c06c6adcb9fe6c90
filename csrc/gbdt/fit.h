/* Gradient boosted trees, trained to the same bits by any number of threads. */
#ifndef RT_GBDT_FIT_H
#define RT_GBDT_FIT_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"
#include "gbdt/forest.h"
#include "gbdt/params.h"
#include "gbdt/resume.h"
#include "gbdt/targets.h"

typedef struct rt_gbdt_data {
    rt_gbdt_rows rows;
    rt_loss loss;
    int32_t classes;          /* of softmax */
    const int32_t *levels;    /* [columns] as in rt_forest; a categorical column
                                 holds the number of its level */
    const int8_t *monotone;   /* [columns] 1: never falls with the feature, -1: never
                                 rises; or NULL */
    const rt_gbdt_rows *eval; /* looked at after every round, or NULL */
    double *losses;           /* [n_estimators] of `eval`, by round */
    rt_resume resume;         /* what n_estimators more rounds are added to */
} rt_gbdt_data;

/* What happened; no part of the model. */
typedef struct rt_gbdt_report {
    _Atomic int32_t team; /* threads that really ran; may be read meanwhile */
    int64_t rows;         /* rows with weight */
    int32_t rounds;       /* tried */
    int32_t best_round;   /* how many gave the smallest loss of `eval` */
} rt_gbdt_report;

/* Trains into `forest` (cleared on failure). Opens parallel regions: call it on
 * a task. ctl->done counts finished rounds. */
RT_CHECKED rt_status rt_gbdt_fit(const rt_gbdt_data *data, const rt_gbdt_params *params,
                                 uint64_t seed, int32_t n_threads, rt_ctl *ctl,
                                 rt_forest *forest, rt_gbdt_report *report,
                                 rt_error *err);

#endif
