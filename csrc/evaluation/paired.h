/* Two models' scores on the same rows, as sums per day and slice from which a metric of
 * scores, what each day adds to it and its standard errors follow.
 *
 * Every row has a value under each model, and each sum is exact:
 *
 *   log loss   -ln p of what happened, p clipped to [2^-52, 1 - 2^-52], in 2^-40 nats
 *   Brier      (p - y)^2, in 2^-40
 *   ROC AUC    twice the rows of the other class that score lower, plus those that tie
 *   average    a positive: the precision at its score, plus the sum over positives that
 *   precision  score no higher of FP / (TP + FP)^2; a negative: minus their sum of
 *              TP / (TP + FP)^2; in 2^-46
 *   KS         1 at and above the score where TPR - FPR is largest (the highest of
 *              them), else 0
 *
 * Ranks are among the rows of one level, all days together. */
#ifndef RT_EVALUATION_PAIRED_H
#define RT_EVALUATION_PAIRED_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"

typedef enum rt_score_kind {
    RT_LOG_LOSS,
    RT_BRIER,
    RT_ROC_AUC,
    RT_AVERAGE_PRECISION,
    RT_KS,
    RT_SCORE_KINDS
} rt_score_kind;

/* Of the champion's values over negatives and over positives, of the challenger's, and
 * of the squared differences of both. Two words each, the lower first. */
enum { RT_PAIRED_SUMS = 6 };

typedef struct rt_paired_rows {
    const int32_t *day;
    const int32_t *level;
    const uint8_t *y;
    const double *champion;
    const double *challenger;
    int64_t n_rows;
    int32_t n_days;
    int32_t n_levels;
} rt_paired_rows;

/* sums: n_days x n_levels x RT_PAIRED_SUMS x 2. Must run inside a task. */
RT_CHECKED rt_status rt_sum_paired(const rt_paired_rows *rows, rt_score_kind kind,
                                   int32_t n_threads, rt_ctl *ctl, int64_t *sums,
                                   rt_error *err);

#endif
