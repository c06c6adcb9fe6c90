/* The loops over the rows of a block; included once per build with RT_LINEAR_LOOPS set
 * to its name. A block is held column by column, so that eight rows fill a vector
 * whatever the layout of the data. */
#include <math.h>
#include <string.h>

#include "base/math.h"
#include "linear/simd/dispatch.h"

/* PARTS: the moments of a column, as rt_linear_loops lists them. */
enum { LANES = RT_LINEAR_LANES, RUN = RT_LINEAR_RUN, PARTS = 3 };
/* Eight doubles, however many a register holds: narrower processors take them in two or
 * four pieces, with the same operations on each. */
typedef double lanes __attribute__((vector_size(64), may_alias));
typedef int64_t lane_bits __attribute__((vector_size(64), may_alias));

/* By halves, 8 to 4 to 2 to 1, as vectors are halved: one order for all builds. */
static double lane_sum(const lanes *v)
{
    const double *x = (const double *)v;
    return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

/* `rows` is a multiple of the lanes; what fills up is 0. */
static double dot(const double *restrict a, const double *restrict b, int64_t rows)
{
    lanes sum = {0};
    for (int64_t i = 0; i < rows; i += LANES) {
        sum += *(const lanes *)(const void *)(a + i) *
               *(const lanes *)(const void *)(b + i);
    }
    return lane_sum(&sum);
}

/* out[i] += sum over rows of a z[i], for a tile of columns: four sums at a time, since
 * one alone would wait for itself. */
static void add_dots(const double *restrict a, const double *restrict z, int64_t rows,
                     double *out)
{
    lanes sum[RT_LINEAR_TILE] = {{0}};
    for (int64_t r = 0; r < rows; r += LANES) {
        const lanes left = *(const lanes *)(const void *)(a + r);
#pragma GCC unroll 4
        for (int32_t i = 0; i < RT_LINEAR_TILE; i++) {
            sum[i] +=
                left * *(const lanes *)(const void *)(z + i * RT_LINEAR_STRIDE + r);
        }
    }
    for (int32_t i = 0; i < RT_LINEAR_TILE; i++) {
        out[i] += lane_sum(&sum[i]);
    }
}

/* h[i][j] += sum over rows of a[i] b[j], for a tile of columns. Eight loads serve
 * sixteen products, and the sixteen sums fit the 32 registers of AVX-512; the loops are
 * unrolled, or an array of sums would lie in memory. */
static void add_tile(const double *a, const double *b, int64_t rows, double *h,
                     int64_t width)
{
    lanes sum[RT_LINEAR_TILE][RT_LINEAR_TILE] = {{{0}}};
    for (int64_t r = 0; r < rows; r += LANES) {
        lanes right[RT_LINEAR_TILE];
#pragma GCC unroll 4
        for (int32_t j = 0; j < RT_LINEAR_TILE; j++) {
            right[j] = *(const lanes *)(const void *)(b + j * RT_LINEAR_STRIDE + r);
        }
#pragma GCC unroll 4
        for (int32_t i = 0; i < RT_LINEAR_TILE; i++) {
            lanes left = *(const lanes *)(const void *)(a + i * RT_LINEAR_STRIDE + r);
#pragma GCC unroll 4
            for (int32_t j = 0; j < RT_LINEAR_TILE; j++) {
                sum[i][j] += left * right[j];
            }
        }
    }
    for (int32_t i = 0; i < RT_LINEAR_TILE; i++) {
        for (int32_t j = 0; j < RT_LINEAR_TILE; j++) {
            /* Lanes are summed once a block, not once a row. */
            h[i * width + j] += lane_sum(&sum[i][j]);
        }
    }
}

/* h += Z' diag(q) Z, the tiles on and above the diagonal. Four columns times q are made
 * once and meet all columns from their own on. */
static void add_products(const double *z, const double *q, int64_t rows, int32_t width,
                         double *weighted, double *h)
{
    for (int32_t i = 0; i < width; i += RT_LINEAR_TILE) {
        for (int32_t t = 0; t < RT_LINEAR_TILE; t++) {
            const double *column = z + (int64_t)(i + t) * RT_LINEAR_STRIDE;
            double *restrict out = weighted + t * RT_LINEAR_STRIDE;
            for (int64_t r = 0; r < rows; r++) {
                out[r] = q[r] * column[r];
            }
        }
        for (int32_t j = i; j < width; j += RT_LINEAR_TILE) {
            add_tile(weighted, z + (int64_t)j * RT_LINEAR_STRIDE, rows,
                     h + (int64_t)i * width + j, width);
        }
    }
}

/* (x - shift) scale of some rows of one column. The strided reads come first, into an
 * array, so that the arithmetic after them is on vectors. */
static void take_numbers(const rt_matrix *x, int64_t first, int64_t rows,
                         int32_t column, double shift, double scale, double missing,
                         double *restrict z)
{
    const char *at = x->data + first * x->row_bytes + column * x->column_bytes;
    double raw[RUN]; /* float32 widens exactly */
    if (x->is_f64) {
        for (int64_t r = 0; r < rows; r++) {
            raw[r] = *(const double *)(const void *)(at + r * x->row_bytes);
        }
    } else {
        for (int64_t r = 0; r < rows; r++) {
            raw[r] = (double)*(const float *)(const void *)(at + r * x->row_bytes);
        }
    }
    for (int64_t r = 0; r < rows; r++) {
        /* NaN alone is not equal to itself. */
        z[r] = raw[r] == raw[r] ? (raw[r] - shift) * scale : missing;
    }
}

/* One column of 0 and 1 for each level. A level that is missing, unknown or not whole
 * equals none, so all of its row are 0. */
static void take_levels(const rt_matrix *x, int64_t first, int64_t rows, int32_t column,
                        int32_t levels, double *z)
{
    for (int64_t r = 0; r < rows; r++) {
        const double value = rt_matrix_at(x, first + r, column);
        for (int32_t level = 0; level < levels; level++) {
            z[(int64_t)level * RT_LINEAR_STRIDE + r] = value == (double)level;
        }
    }
}

/* Some rows of all columns at a time: the lines of a row-major table are then read
 * once. Rows and columns that only fill up are zero. */
static void fill_block(const rt_linear_plan *plan, int64_t first, int64_t rows,
                       double *z)
{
    const int64_t padded = (rows + LANES - 1) / LANES * LANES;
    for (int64_t r = 0; r < rows; r += RUN) {
        const int64_t run = rows - r < RUN ? rows - r : RUN;
        /* Behind the column of the intercept. */
        double *out = z + RT_LINEAR_STRIDE + r;
        for (int32_t f = 0; f < plan->x.columns; f++) {
            const int32_t levels = plan->levels[f];
            if (levels == 0) {
                take_numbers(&plan->x, first + r, run, f, plan->shift[f],
                             plan->scale[f], plan->missing[f], out);
            } else {
                take_levels(&plan->x, first + r, run, f, levels, out);
            }
            out += rt_linear_width(levels) * RT_LINEAR_STRIDE;
        }
    }
    for (int64_t r = 0; r < rows; r++) {
        z[r] = 1.0; /* the column of the intercept */
    }
    for (int32_t c = 0; c < plan->width; c++) {
        /* The block before may have been longer. */
        memset(z + (int64_t)c * RT_LINEAR_STRIDE + rows, 0,
               (size_t)(padded - rows) * sizeof *z);
    }
}

/* Rows that only fill up have weight 0, so that they add nothing to any sum. */
static void weights_of(const rt_linear_plan *plan, int64_t first, int64_t rows,
                       double *out)
{
    const int64_t padded = (rows + LANES - 1) / LANES * LANES;
    for (int64_t r = 0; r < padded; r++) {
        out[r] = r >= rows ? 0.0 : plan->weight == NULL ? 1.0 : plan->weight[first + r];
    }
}

/* eta = Z b. A tile of columns at a time for all rows: vectors run over rows, and each
 * row still adds its columns in order. */
static void linear_sums(const double *z, const double *coefficient, int32_t width,
                        int64_t rows, double *restrict sum)
{
    memset(sum, 0, (size_t)rows * sizeof *sum);
    for (int32_t c = 0; c < width; c += RT_LINEAR_TILE) {
        const double *tile = z + (int64_t)c * RT_LINEAR_STRIDE;
        for (int64_t r = 0; r < rows; r += LANES) {
            lanes *out = (lanes *)(void *)(sum + r);
            lanes eta = *out;
#pragma GCC unroll 4
            for (int32_t i = 0; i < RT_LINEAR_TILE; i++) {
                eta += coefficient[c + i] *
                       *(const lanes *)(const void *)(tile + i * RT_LINEAR_STRIDE + r);
            }
            *out = eta;
        }
    }
}

/* log(1 + e) for 0 <= e <= 1: twice the area tangent of s = e / (2 + e), at most 1/3.
 * The odd series 2 (s + s^3/3 + ...) to s^35 leaves out less than 1e-18. rt_log(1 + e)
 * would lose the digits that 1 + e rounds off. */
static inline double log1p_small(double e)
{
    const double s = e / (2.0 + e);
    const double square = s * s;
    double sum = 1.0 / 35.0;
#pragma GCC unroll 17
    for (int32_t k = 33; k > 0; k -= 2) {
        sum = sum * square + 1.0 / (double)k;
    }
    return 2.0 * s * sum;
}

/* Rows of one output: weights w and linear sums eta become the first derivative w (p -
 * y) (in eta), the second q = w p (1 - p), and the loss w (log(1 + exp(eta)) - y eta).
 * All from exp(-|eta|), which never overflows nor cancels. */
static void derive_logistic(const double *w, const double *y, int64_t rows,
                            double *restrict eta, double *restrict q,
                            double *restrict loss)
{
    for (int64_t r = 0; r < rows; r++) {
        const double x = eta[r];
        const double e = rt_exp(x < 0.0 ? x : -x); /* at most 1 */
        const double p = (x < 0.0 ? e : 1.0) / (1.0 + e);
        q[r] = w[r] * (e / ((1.0 + e) * (1.0 + e)));
        loss[r] = w[r] * (log1p_small(e) + ((x > 0.0 ? x : 0.0) - y[r] * x));
        eta[r] = w[r] * (p - y[r]);
    }
}

/* Loss w (eta - y)^2 / 2, so that the second derivative is w. */
static void derive_square(const double *w, const double *y, int64_t rows,
                          double *restrict eta, double *restrict q,
                          double *restrict loss)
{
    for (int64_t r = 0; r < rows; r++) {
        const double lost = eta[r] - y[r];
        q[r] = w[r];
        loss[r] = 0.5 * w[r] * lost * lost;
        eta[r] = w[r] * lost;
    }
}

/* Loss w (exp(eta) - y eta), without the log(y!) that no coefficient changes. rt_exp is
 * finite for any eta. */
static void derive_poisson(const double *w, const double *y, int64_t rows,
                           double *restrict eta, double *restrict q,
                           double *restrict loss)
{
    for (int64_t r = 0; r < rows; r++) {
        const double amount = rt_exp(eta[r]); /* the mean of y */
        q[r] = w[r] * amount;
        loss[r] = w[r] * (amount - y[r] * eta[r]);
        eta[r] = w[r] * (amount - y[r]);
    }
}

/* Linear sums of all outputs become shares; the loss is that of the row's own class,
 * log(sum exp(eta_k - most)) + most - own. */
static void derive_softmax(const double *w, const double *y, int64_t rows,
                           int32_t outputs, double *eta, double *restrict most,
                           double *restrict loss)
{
    memcpy(most, eta, (size_t)rows * sizeof *most);
    for (int32_t k = 1; k < outputs; k++) {
        const double *sum = eta + (int64_t)k * RT_LINEAR_STRIDE;
        for (int64_t r = 0; r < rows; r++) {
            most[r] = sum[r] > most[r] ? sum[r] : most[r];
        }
    }
    memset(loss, 0, (size_t)rows * sizeof *loss);
    for (int64_t r = 0; r < rows; r++) {
        /* From here on most - own, at least 0: the sum is needed only for exp below. */
        most[r] -= eta[(int64_t)y[r] * RT_LINEAR_STRIDE + r];
    }
    for (int64_t r = 0; r < rows; r++) {
        /* Before the loop writes over it. */
        const double own = eta[(int64_t)y[r] * RT_LINEAR_STRIDE + r];
        double total = 0.0; /* the largest adds some 1 */
        for (int32_t k = 0; k < outputs; k++) {
            double *sum = eta + (int64_t)k * RT_LINEAR_STRIDE + r;
            *sum = rt_exp(*sum - (most[r] + own)); /* most + own: the largest */
            total += *sum;
        }
        for (int32_t k = 0; k < outputs; k++) {
            eta[(int64_t)k * RT_LINEAR_STRIDE + r] /= total;
        }
        loss[r] = w[r] * (rt_log(total) + most[r]);
    }
}

/* q = w p_k (1 - p_k) on the diagonal, -w p_k p_l beside it. The diagonal shows by its
 * pointers: one output is given twice. */
static void pair_weights(const double *w, const double *p, const double *other,
                         int64_t rows, double *restrict q)
{
    for (int64_t r = 0; r < rows; r++) {
        q[r] = w[r] * p[r] * (p == other ? 1.0 - p[r] : -other[r]);
    }
}

/* A thread's memory, part by part. */
typedef struct parts {
    double *z, *eta, *residual, *weighted, *w, *y, *q, *loss;
} parts;

/* In the order of rt_linear_scratch, each of its columns a stride long. */
static parts parts_of(const rt_linear_plan *plan, double *scratch)
{
    const int64_t stride = RT_LINEAR_STRIDE;
    parts p = {.z = scratch};
    p.eta = p.z + plan->width * stride;
    p.residual = p.eta + plan->outputs * stride;
    p.weighted = p.residual + plan->outputs * stride;
    p.w = p.weighted + RT_LINEAR_TILE * stride;
    p.y = p.w + stride;
    p.q = p.y + stride;
    p.loss = p.q + stride;
    return p;
}

/* Every pair of outputs has second derivatives of its own: K (K + 1) / 2 products. */
static void add_softmax(const rt_linear_plan *plan, parts p, int64_t rows, double *sums)
{
    derive_softmax(p.w, p.y, rows, plan->outputs, p.eta, p.q, p.loss);
    for (int32_t k = 0; k < plan->outputs; k++) {
        const double *share = p.eta + (int64_t)k * RT_LINEAR_STRIDE;
        double *residual = p.residual + (int64_t)k * RT_LINEAR_STRIDE;
        for (int64_t r = 0; r < rows; r++) {
            /* w (p_k - [y = k]), apart from the shares: later pairs still need
             * those. */
            residual[r] = p.w[r] * (share[r] - (p.y[r] == (double)k ? 1.0 : 0.0));
        }
        for (int32_t l = k; l < plan->outputs; l++, sums += plan->pair) {
            pair_weights(p.w, share, p.eta + (int64_t)l * RT_LINEAR_STRIDE, rows, p.q);
            add_products(p.z, p.q, rows, plan->width, p.weighted, sums);
        }
    }
}

/* The one output of the other losses. */
static void add_single(const rt_linear_plan *plan, parts p, int64_t rows, double *sums)
{
    if (plan->loss == RT_LINEAR_LOGISTIC) {
        derive_logistic(p.w, p.y, rows, p.eta, p.q, p.loss);
    } else if (plan->loss == RT_LINEAR_SQUARE) {
        derive_square(p.w, p.y, rows, p.eta, p.q, p.loss);
    } else {
        derive_poisson(p.w, p.y, rows, p.eta, p.q, p.loss);
    }
    /* With one output the derivatives have taken the place of the linear sums. */
    memcpy(p.residual, p.eta, (size_t)rows * sizeof *p.eta);
    add_products(p.z, p.q, rows, plan->width, p.weighted, sums);
}

/* All sums of a block while it lies in the cache. Rows are filled up to whole lanes
 * with weight 0 and columns of 0, so no loop has a remainder. */
static void add_block(const rt_linear_plan *plan, const double *coefficient,
                      int64_t first, int64_t rows, double *scratch, double *sums)
{
    const int64_t padded = (rows + LANES - 1) / LANES * LANES;
    const int64_t outputs = plan->outputs;
    const parts p = parts_of(plan, scratch);
    /* Second derivatives come first, then the first ones, and the loss last. */
    double *gradient = sums + outputs * (outputs + 1) / 2 * plan->pair;
    lanes loss = {0};
    fill_block(plan, first, rows, p.z);
    weights_of(plan, first, rows, p.w);
    memset(p.y + rows, 0, (size_t)(padded - rows) * sizeof *p.y);
    memcpy(p.y, plan->target + first, (size_t)rows * sizeof *p.y);
    for (int32_t k = 0; k < outputs; k++) {
        linear_sums(p.z, coefficient + (int64_t)k * plan->width, plan->width, padded,
                    p.eta + (int64_t)k * RT_LINEAR_STRIDE);
    }
    if (plan->loss == RT_LINEAR_SOFTMAX) {
        add_softmax(plan, p, padded, sums);
    } else {
        add_single(plan, p, padded, sums);
    }
    for (int32_t k = 0; k < outputs; k++) {
        /* Z' residual: the first derivatives by the coefficients of one output. */
        for (int32_t c = 0; c < plan->width; c += RT_LINEAR_TILE) {
            add_dots(p.residual + (int64_t)k * RT_LINEAR_STRIDE,
                     p.z + (int64_t)c * RT_LINEAR_STRIDE, padded, gradient);
            gradient += RT_LINEAR_TILE;
        }
    }
    for (int64_t r = 0; r < padded; r += LANES) {
        loss += *(const lanes *)(const void *)(p.loss + r);
    }
    *gradient += lane_sum(&loss);
}

/* One column of up to a run of rows. What is missing is NaN: its mask is 0, which takes
 * it out of value and weight without a branch. */
static void add_moments(const double *w, const double *z, int64_t rows, double *sums)
{
    lanes sum[PARTS] = {{0}};
    for (int64_t r = 0; r < rows; r += LANES) {
        const lanes x = *(const lanes *)(const void *)(z + r);
        const lane_bits number = (lane_bits)(x == x);
        const lanes weight =
            (lanes)(number & *(const lane_bits *)(const void *)(w + r));
        const lanes value = (lanes)(number & *(const lane_bits *)(const void *)(z + r));
        sum[0] += weight;
        sum[1] += weight * value;
        sum[2] += weight * value * value;
    }
    for (int32_t i = 0; i < PARTS; i++) {
        sums[i] += lane_sum(&sum[i]);
    }
}

/* Categories have no moments: their columns are 0 and 1 as they are. Numbers lie in
 * `y`, which this pass does not need. */
static void moments_block(const rt_linear_plan *plan, int64_t first, int64_t rows,
                          double *scratch, double *sums)
{
    double *w = parts_of(plan, scratch).w;
    double *z = parts_of(plan, scratch).y;
    weights_of(plan, first, rows, w);
    for (int64_t r = 0; r < rows; r += RUN) {
        const int64_t run = rows - r < RUN ? rows - r : RUN;
        const int64_t padded = (run + LANES - 1) / LANES * LANES;
        for (int32_t f = 0; f < plan->x.columns; f++) {
            if (plan->levels[f] != 0) {
                continue;
            }
            /* Missing numbers stay NaN, to be masked. */
            take_numbers(&plan->x, first + r, run, f, plan->shift[f], 1.0, NAN, z);
            memset(z + run, 0, (size_t)(padded - run) * sizeof *z);
            add_moments(w + r, z, padded, sums + (int64_t)f * PARTS);
        }
    }
}

#include "linear/simd/course.h"

/* All else is static: the builds share this source and no symbol. */
const rt_linear_loops RT_LINEAR_LOOPS = {add_block, moments_block, learn_rows};
