/* The decision threshold that maximises F1 on given scores. */
#ifndef RT_EVALUATION_F1_H
#define RT_EVALUATION_F1_H

#include <stdint.h>

#include "base/status.h"

/* Among all t that occur as a score: F1 of (score >= t) = 2 TP / (predicted +
 * positives), compared as exact fractions. Of equal F1 the largest t wins, the
 * one with the fewest positive decisions. Needs a row; scores must not be NaN,
 * labels are 0 or 1. F1 is 2 tp / (predicted + positives) of the result. */
typedef struct rt_f1_best {
    double threshold;
    int64_t true_positives, predicted, positives;
} rt_f1_best;

RT_CHECKED rt_status rt_f1_threshold(const double *score, const uint8_t *label,
                                     int64_t rows, rt_f1_best *best, rt_error *err);

#endif
