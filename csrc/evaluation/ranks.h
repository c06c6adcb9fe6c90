/* Rank statistics: integers as far as they are integers, sums in key order where
 * they are not. Nothing depends on the order of rows, the team or ties. */
#ifndef RT_EVALUATION_RANKS_H
#define RT_EVALUATION_RANKS_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"
#include "evaluation/wide.h"

/* Labels 0 or 1 and scores that are float (is_float) or double; a score may be
 * infinite but not NaN. A float is ranked by its own 32 bits, in half the memory. */
typedef struct rt_scored_rows {
    const uint8_t *y;
    const void *score;
    int64_t n_rows;
    int32_t is_float;
    int32_t n_threads; /* 0: as many as useful */
} rt_scored_rows;

/* AUC = U2 / (2 n_pos n_neg), where U2 counts 2 for every (positive, negative)
 * pair in which the positive scores higher and 1 for every tie. */
typedef struct rt_auc {
    rt_wide u2;
    int64_t n_pos;
    int64_t n_neg;
} rt_auc;

/* This and all below must run inside a task when n_threads may pass 1. */
RT_CHECKED rt_status rt_roc_auc(const rt_scored_rows *rows, rt_ctl *ctl, rt_auc *auc,
                                rt_error *err);

/* AP = sum over thresholds, falling, of (recall_k - recall_k-1) precision_k:
 * for a group of equal scores with p positives, p TP / (TP + FP), TP and FP
 * counted down to and with the group. Returned times n_pos; one compensated sum
 * in key order. */
typedef struct rt_precision {
    double weighted;
    int64_t n_pos;
    int64_t n_neg;
} rt_precision;

RT_CHECKED rt_status rt_average_precision(const rt_scored_rows *rows, rt_ctl *ctl,
                                          rt_precision *precision, rt_error *err);

/* Positives and negatives of each distinct score, ascending: all that rank
 * statistics of a score need, in a form that merges. A run is (key, positives,
 * negatives), the key being the double's bits made to order as a signed integer.
 * *block (the caller frees it) holds 3 n_runs words. Double scores only. */
RT_CHECKED rt_status rt_rank_runs(const rt_scored_rows *rows, rt_ctl *ctl, void **block,
                                  int64_t *n_runs, rt_error *err);

#endif
