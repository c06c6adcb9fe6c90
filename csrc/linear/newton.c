/* The step from one pass to the next, in the units of the plan's columns. */
#include "linear/newton.h"

#include <math.h>
#include <string.h>

#include "linear/solve.h"

/* After 2^-40 of a step the loss is that of the best coefficients, but for rounding. */
enum { MOST_HALVINGS = 40 };

/* l2 / 2 times the sum of squared slopes; penalty[0], the intercept's, is 0. */
static double penalty_of(const rt_linear_state *f)
{
    double sum = 0.0;
    for (int64_t i = 0; i < f->numbers; i++) {
        const double b = f->coefficient[i];
        sum += f->penalty[i % f->plan.width] * b * b;
    }
    return 0.5 * sum;
}

/* The second derivatives of all outputs, of which tiles above the diagonal are known.
 * Each pair of outputs is symmetric by itself, so the rest is mirrored; pairs below the
 * diagonal of pairs are left out, since the solver reads the upper triangle alone. */
void rt_linear_fill_system(rt_linear_state *f)
{
    const int32_t outputs = f->plan.outputs;
    const int64_t width = f->plan.width;
    const double *pair = f->total; /* those of one pair of outputs after the other */
    for (int64_t k = 0; k < outputs; k++) {
        for (int64_t l = k; l < outputs; l++, pair += f->plan.pair) {
            for (int64_t i = 0; i < width; i++) {
                double *out = f->system + (k * width + i) * f->numbers + l * width;
                for (int64_t j = 0; j < width; j++) {
                    out[j] = i <= j ? pair[i * width + j] : pair[j * width + i];
                }
                if (k == l) {
                    out[i] += f->penalty[i];
                }
            }
        }
    }
    for (int64_t i = 0; f->prior != NULL && i < f->numbers * f->numbers; i++) {
        f->system[i] += f->precision[i];
    }
}

/* No intercept: its row is flat, so the solver leaves it out, and its step is 0. */
static void drop_intercepts(rt_linear_state *f)
{
    for (int64_t k = 0; k < f->numbers; k += f->plan.width) {
        f->step[k] = 0.0;
        for (int64_t i = 0; i < f->numbers; i++) {
            f->system[k * f->numbers + i] = 0.0;
            f->system[i * f->numbers + k] = 0.0;
        }
    }
}

/* The step from `best`, H^-1 g, and what it can gain, twice: g' H^-1 g, the square of
 * the Newton decrement (Boyd, Vandenberghe 2004, section 9.5). */
static double newton(rt_linear_state *f)
{
    const int64_t width = f->plan.width;
    const int64_t outputs = f->plan.outputs;
    const double *gradient = f->total + outputs * (outputs + 1) / 2 * f->plan.pair;
    double gain = 0.0; /* of the step, twice */
    f->report->gradient = 0.0;
    for (int64_t i = 0; i < f->numbers; i++) {
        f->step[i] = gradient[i] + f->penalty[i % width] * f->best[i];
    }
    (void)rt_linear_prior_loss(f, f->best, f->step);
    rt_linear_fill_system(f);
    if (rt_linear_setting(f, RT_LP_INTERCEPT) == 0.0) {
        drop_intercepts(f);
    }
    for (int64_t i = 0; i < f->numbers; i++) {
        /* By the sum of weights: twice as many rows of the same kind report the
         * same. */
        const double share = fabs(f->step[i]) / f->weight;
        f->report->gradient = share > f->report->gradient ? share : f->report->gradient;
        f->coefficient[i] = f->step[i]; /* g, which the solver overwrites */
    }
    rt_linear_solve(f->system, (int32_t)f->numbers, f->step);
    for (int64_t i = 0; i < f->numbers; i++) {
        gain += f->coefficient[i] * f->step[i];
        f->coefficient[i] = f->best[i] - f->step[i];
    }
    return gain;
}

/* Back to the best coefficients that a pass has confirmed. */
static void stay(rt_linear_state *f)
{
    memcpy(f->coefficient, f->best, (size_t)f->numbers * sizeof *f->best);
    f->done = true;
}

/* The pass went too far: half the way. The direction descends, so some fraction of it
 * gains, unless rounding is all that is left. */
static void go_back(rt_linear_state *f)
{
    f->halvings++;
    for (int64_t i = 0; i < f->numbers; i++) {
        f->step[i] *= 0.5;
        f->coefficient[i] = f->best[i] - f->step[i];
    }
    if (f->halvings > MOST_HALVINGS) {
        stay(f);
    }
}

void rt_linear_decide(rt_linear_state *f, int32_t passes)
{
    const int64_t outputs = f->plan.outputs;
    const double loss =
        f->total[outputs * (outputs + 1) / 2 * f->plan.pair + f->numbers] +
        penalty_of(f) + rt_linear_prior_loss(f, f->coefficient, NULL);
    rt_ctl_advance(f->ctl, passes);
    if (rt_ctl_cancelled(f->ctl)) {
        f->done = true;
        return;
    }
    /* Written so that a loss of NaN or infinity goes back too; equal but for rounding
     * is taken as no worse. */
    if (passes > 1 && !(loss <= f->best_loss + 1e-12 * fabs(f->best_loss))) {
        go_back(f);
        return;
    }
    memcpy(f->best, f->coefficient, (size_t)f->numbers * sizeof *f->best);
    f->null_loss = passes == 1 ? fabs(loss) : f->null_loss;
    f->best_loss = loss;
    f->report->loss = loss;
    f->halvings = 0; /* of the step that begins here */
    const double gain = newton(f);
    /* The share of the first loss is for a loss that goes to 0, as with separable rows
     * or an exact line. */
    const double goal = fabs(loss) + 1e-16 * f->null_loss;
    f->report->iterations++;
    /* The last step is still taken when it can gain less than the tolerance. */
    f->report->converged = gain <= rt_linear_setting(f, RT_LP_TOLERANCE) * goal;
    if (!f->report->converged &&
        passes >= (int32_t)rt_linear_setting(f, RT_LP_MAX_ITER)) {
        stay(f); /* nobody has seen where the last step leads */
    }
    f->done = f->done || f->report->converged;
}
