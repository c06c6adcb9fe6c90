/* The state of a fit, and Newton's method on the sums of a pass. */
#ifndef RT_LINEAR_NEWTON_H
#define RT_LINEAR_NEWTON_H

#include "linear/fit.h"
#include "linear/prior.h"
#include "linear/simd/dispatch.h"
#include "parallel/barrier.h"
#include "parallel/placement.h"

typedef struct rt_linear_state {
    const rt_linear_rows *rows;
    const rt_linear_params *params;
    const rt_linear_prior *prior; /* or NULL */
    rt_linear_memory remember;
    rt_ctl *ctl;
    rt_linear_report *report;
    rt_linear_plan plan;
    const rt_linear_loops *loops;
    rt_barrier barrier;
    rt_spread spread;
    int32_t threads, runs;
    int32_t every;  /* how many blocks one stands for: 1, or more in the first look */
    double share;   /* by which sums of those blocks are multiplied */
    int64_t slopes; /* of one output */
    int64_t numbers, length; /* outputs times width; doubles of a run's sums */
    double *shift, *scale, *missing;
    double *scratch;     /* [threads] */
    double *sums;        /* [runs][length] */
    double *total;       /* [length] */
    double *coefficient; /* [outputs][width], those of the next pass */
    double *best;        /* the accepted ones */
    double *first;       /* those that the fit began at */
    double *step;        /* from the accepted ones */
    double *penalty;     /* [width] */
    double *system;      /* [numbers][numbers] */
    double *anchor;      /* [numbers] of the prior */
    double *precision;   /* [numbers][numbers] of the prior */
    double *axes;        /* [1 + slopes][2] (prior.c) */
    double weight, best_loss, null_loss;
    int32_t halvings;
    bool done;
} rt_linear_state;

static inline double rt_linear_setting(const rt_linear_state *f, rt_linear_param which)
{
    return f->params->value[which];
}

/* The second derivatives of the last pass, with penalty and prior. */
void rt_linear_fill_system(rt_linear_state *f);

/* After a pass: accept the coefficients and go on, or come nearer to the best ones. */
void rt_linear_decide(rt_linear_state *f, int32_t passes);

#endif
