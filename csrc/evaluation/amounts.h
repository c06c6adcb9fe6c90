/* Two models' predicted amounts on the same rows, as exact sums per day and slice from
 * which a metric of amounts, what each day adds to it and its standard errors follow.
 *
 * Every row has a value v under each model, with y the label and p what is predicted,
 * and a base b, and a score is a function of the sums of v and of b:
 *
 *   absolute   v = |y - p|, b = 1
 *   squared    v = (y - p)^2, b = 1
 *   error      v = p - y, b = 1
 *   pinball    v = q (y - p) where y >= p, else (1 - q) (p - y), b = 1
 *   percent    v = |y - p| / |y|, b = 1; both 0 where y = 0
 *   symmetric  v = 2 |y - p| / (|y| + |p|), 0 where both are 0, b = 1
 *   spread     v = (y - p)^2, b = (y - m)^2
 *   given      v is what stands for p, b what stands for y
 *
 * Values are doubles, rounded as computed; sums of them are exact (digits.h). */
#ifndef RT_EVALUATION_AMOUNTS_H
#define RT_EVALUATION_AMOUNTS_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"
#include "evaluation/digits.h"

typedef enum rt_amount_kind {
    RT_ABSOLUTE,
    RT_SQUARED,
    RT_ERROR,
    RT_PINBALL,
    RT_PERCENT,
    RT_SYMMETRIC,
    RT_SPREAD,
    RT_GIVEN,
    RT_AMOUNT_KINDS
} rt_amount_kind;

/* With v the champion's value, w the challenger's and d = w - v, of each the sum over
 * rows, RT_DIGITS long. */
enum {
    RT_SUM_V,
    RT_SUM_W,
    RT_SUM_B,
    RT_SUM_DD,
    RT_SUM_DB,
    RT_SUM_BB,
    RT_SUM_VV,
    RT_SUM_VD,
    RT_SUM_VB,
    RT_AMOUNT_SUMS
};

typedef struct rt_amount_rows {
    const int32_t *day;
    const int32_t *level;
    const double *y;
    const double *champion;
    const double *challenger;
    const double *at; /* by level, q of pinball and m of spread */
    int64_t n_rows;
    int32_t n_days;
    int32_t n_levels;
} rt_amount_rows;

/* sums: n_days x n_levels x RT_AMOUNT_SUMS x RT_DIGITS. Must run inside a task. */
RT_CHECKED rt_status rt_sum_amounts(const rt_amount_rows *rows, rt_amount_kind kind,
                                    int32_t n_threads, rt_ctl *ctl, int64_t *sums,
                                    rt_error *err);

#endif
