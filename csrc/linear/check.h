/* Rows that a linear model can be fitted to. */
#ifndef RT_LINEAR_CHECK_H
#define RT_LINEAR_CHECK_H

#include "linear/fit.h"

/* Refuses shapes, targets and weights that nothing can be learnt from, by row. */
RT_CHECKED rt_status rt_linear_check(const rt_linear_rows *rows, rt_error *err);

/* Names the first infinity among the numbers of x: RT_INVALID always. */
RT_CHECKED rt_status rt_linear_refuse(const rt_linear_rows *rows, rt_error *err);

#endif
