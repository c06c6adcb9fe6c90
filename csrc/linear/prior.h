/* What an earlier fit knows, as a prior of the next: elastic weight consolidation of
 * Kirkpatrick et al. (2017) with the exact second derivatives, which a fit has anyway.
 * One anchor, at the latest optimum (Huszar 2017), and a precision that fades by gamma
 * (Schwarz et al. 2018). */
#ifndef RT_LINEAR_PRIOR_H
#define RT_LINEAR_PRIOR_H

#include <stdbool.h>
#include <stdint.h>

#include "linear/linear.h"

struct rt_linear_state;

/* gamma / 2 (b - anchor)' P (b - anchor) is added to the loss; b are the intercepts at
 * the centres of the columns, and the slopes in the units of the data. It stands for
 * the earlier rows and their penalty: what it knows of is not penalised once more. */
typedef struct rt_linear_prior {
    const double *intercept; /* [outputs] of the anchor, where all numbers are 0 */
    const double *slope;     /* [outputs][slopes] */
    const double *centre;    /* [columns] */
    const double *precision; /* [n][n], n = outputs (1 + slopes) */
    double gamma;            /* 0 to 1: how much of it still holds */
    double rows;             /* weight of the earlier rows */
} rt_linear_prior;

/* Once the columns of the plan are known: their axes and, with a prior, its anchor and
 * precision in them, from where the fit begins. */
void rt_linear_take_axes(struct rt_linear_state *f);

/* The prior's loss at the coefficients; adds its derivatives to `gradient` unless NULL.
 */
double rt_linear_prior_loss(const struct rt_linear_state *f, const double *coefficient,
                            double *gradient);

/* After rt_linear_fill_system: what the next fit needs, as rt_linear.memory. */
void rt_linear_keep(const struct rt_linear_state *f, double *memory);

#endif
