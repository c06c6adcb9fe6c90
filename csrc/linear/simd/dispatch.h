/* The loops over rows of a fit, built once per x86 level from block.h and chosen at run
 * time. Sums have eight lanes in every build, added by one tree, and nothing is
 * contracted: all builds give the same bits. */
#ifndef RT_LINEAR_SIMD_DISPATCH_H
#define RT_LINEAR_SIMD_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/matrix.h"
#include "linear/linear.h"

/* Rows of a block: their sums begin at zero, so that they depend on these rows alone.
 * Columns of a block lie RT_LINEAR_STRIDE apart: a power of two would put the same row
 * of all of them into one set of the cache. */
enum {
    RT_LINEAR_BLOCK = 1024,
    RT_LINEAR_STRIDE = RT_LINEAR_BLOCK + 8,
    RT_LINEAR_TILE = 4,
    RT_LINEAR_LANES = 8,
    RT_LINEAR_RUN = 64 /* rows of all columns at a time */
};

/* What a block's columns are made of. The first is 1, for the intercept; a number is
 * (x - shift) scale, a category one column of 0 and 1 for each of its levels. */
typedef struct rt_linear_plan {
    rt_linear_loss loss;
    int32_t outputs;
    rt_matrix x;
    const double *target; /* [rows] */
    const double *weight; /* [rows] or NULL: all 1 */
    const int32_t *levels;
    const double *shift, *scale; /* [columns of x] */
    const double *missing;       /* [columns of x] what NaN becomes */
    int32_t width;               /* columns of a block, a multiple of the tile */
    int64_t pair;                /* doubles of one output pair's second derivatives */
} rt_linear_plan;

/* Sums of one or more blocks: second derivatives [pairs of outputs][width][width], of
 * which the tiles on and above the diagonal; first ones [outputs][width]; the loss. */
static inline int64_t rt_linear_sums(const rt_linear_plan *plan)
{
    const int64_t outputs = plan->outputs;
    return outputs * (outputs + 1) / 2 * plan->pair + outputs * plan->width + 1;
}

/* Doubles of a thread's own memory. */
static inline int64_t rt_linear_scratch(const rt_linear_plan *plan)
{
    return (int64_t)RT_LINEAR_STRIDE *
           (plan->width + 2 * (int64_t)plan->outputs + RT_LINEAR_TILE + 4);
}

/* What learning row by row carries from row to row (linear/online.h). The first column
 * is the intercept; columns that only fill up to a multiple of the lanes stay 0. */
typedef struct rt_linear_course {
    int32_t width;
    double rate, intercept; /* 0: none */
    double rows, norm, target_shift, target_unit;
    double *size, *unit;      /* [width] the largest |z| so far; 1 / size, or 0 */
    double *weight, *squares; /* [outputs][width] */
    double *scratch;          /* [RT_LINEAR_RUN][width], then [outputs] */
} rt_linear_course;

typedef struct rt_linear_loops {
    /* Adds the sums of rows [first, first + rows), at most a block, at the coefficients
     * [outputs][width] to `sums`. */
    void (*add)(const rt_linear_plan *plan, const double *coefficient, int64_t first,
                int64_t rows, double *scratch, double *sums);
    /* Adds, by column of x, the weight of its numbers, weight times (x - shift), and
     * weight times its square: [columns][3]. */
    void (*moments)(const rt_linear_plan *plan, int64_t first, int64_t rows,
                    double *scratch, double *sums);
    /* Learns from rows [first, first + rows) one after the other; of the plan it reads
     * loss, outputs, x, target, weight, levels and shift. */
    void (*learn)(const rt_linear_plan *plan, int64_t first, int64_t rows,
                  rt_linear_course *course);
} rt_linear_loops;

/* The build for the level in use (base/isa.h). */
const rt_linear_loops *rt_linear_loops_in_use(void);

extern const rt_linear_loops rt_linear_loops_baseline;
#if defined(__x86_64__)
extern const rt_linear_loops rt_linear_loops_avx2, rt_linear_loops_avx512;
#endif

#endif
