/* Rows of one day and level into their sums; included once per build with
 * RT_ADD_AMOUNTS set to its name and RT_AMOUNT_LANES to the doubles of a register.
 *
 * Doubles are cut into slices by adding and subtracting one large number, which rounds
 * to its last place; sums of such slices are exact as doubles, so they need no digits
 * until the end (Rump, Ogita and Oishi, "Accurate floating-point summation", 2008). */
#include <string.h>

#include "base/math.h"
#include "evaluation/amount_values.h"
#include "evaluation/simd/dispatch.h"

enum {
    LANES = RT_AMOUNT_LANES,
    SLICES = 3,
    SPARE_BITS = 9, /* 2^8 slices are added in a lane at most, and two of such sums */
    SLICE_BITS = 52 - SPARE_BITS
};

typedef double lanes __attribute__((vector_size(RT_AMOUNT_LANES * 8), may_alias));
typedef int64_t masks __attribute__((vector_size(RT_AMOUNT_LANES * 8), may_alias));

/* The largest size in each column. As bits, sizes are in order, and NaN is above all.
 */
typedef struct column_sizes {
    int64_t y, v, w, b, d;
} column_sizes;

/* Doubles of a block in columns; what fills a column up is 0. */
typedef struct row_block {
    int64_t n;
    lanes v[RT_AMOUNT_BLOCK / LANES];
    lanes w[RT_AMOUNT_BLOCK / LANES];
    lanes b[RT_AMOUNT_BLOCK / LANES];
    lanes d[RT_AMOUNT_BLOCK / LANES];
    lanes product[RT_AMOUNT_BLOCK / LANES];
    column_sizes most;
} row_block;

/* -- sums ------------------------------------------------------------------------- */

static bool any(const masks *of)
{
    int64_t found = 0;
    for (int lane = 0; lane < LANES; lane++) {
        found |= (*of)[lane];
    }
    return found != 0;
}

/* What cuts numbers of at most such a size into `slices`, none of which has a bit below
 * the last digit's. */
static void cut_below(double most, int slices, double *cuts)
{
    const int least = (slices - 1) * SLICE_BITS - SPARE_BITS + 52 - RT_DIGITS_POINT;
    const int size = (int)(rt_to_bits(most) >> 52) - 1022; /* most < 2^size */
    const int top = size > least ? size : least;
    for (int k = 0; k < slices; k++) {
        cuts[k] = 1.5 * rt_pow2(top + SPARE_BITS - k * SLICE_BITS);
    }
}

/* Sums of the slices of all x; false where an x has bits below the last slice. */
static inline bool slice_all(const lanes *x, const double *cuts, int slices,
                             double *sums)
{
    lanes sum[SLICES] = {{0.0}};
    masks left = {0};
    for (int i = 0; i < RT_AMOUNT_BLOCK / LANES; i++) {
        lanes rest = x[i];
#pragma GCC unroll 3
        for (int k = 0; k < slices; k++) {
            const lanes slice = (rest + cuts[k]) - cuts[k];
            sum[k] += slice;
            rest -= slice;
        }
        left |= (masks)rest;
    }
    left &= INT64_MAX; /* -0.0 is nothing */
    for (int k = 0; k < slices; k++) {
        sums[k] = 0.0;
        for (int lane = 0; lane < LANES; lane++) {
            sums[k] += sum[k][lane];
        }
    }
    return !any(&left);
}

/* To the same sum as rt_digits_add of one by one, in other digits. Two slices are
 * enough for most blocks; what has bits below three is added one by one. */
static void add_all(const lanes *x, double most, int64_t n, int64_t *digits)
{
    double cuts[SLICES];
    double sums[SLICES] = {0.0};
    cut_below(most, SLICES - 1, cuts);
    bool whole = slice_all(x, cuts, SLICES - 1, sums);
    if (!whole) {
        cut_below(most, SLICES, cuts);
        whole = slice_all(x, cuts, SLICES, sums);
    }
    const double *terms = whole ? sums : (const double *)x;
    const int64_t n_terms = whole ? SLICES : n;
    for (int64_t i = 0; i < n_terms; i++) {
        rt_digits_add(digits, terms[i]);
    }
}

static void add_products(const lanes *a, const lanes *b, double most, row_block *block,
                         int64_t *sum)
{
    for (int i = 0; i < RT_AMOUNT_BLOCK / LANES; i++) {
        block->product[i] = a[i] * b[i];
    }
    add_all(block->product, most, block->n, sum);
}

/* -- rows ------------------------------------------------------------------------- */

static inline int64_t larger_size(int64_t most, double x)
{
    const int64_t size = (int64_t)rt_to_bits(x) & INT64_MAX;
    return size > most ? size : most;
}

static bool all_fit(const column_sizes *most)
{
    const int64_t limit = (int64_t)rt_to_bits(RT_AMOUNT_MOST);
    return most->y <= limit && most->v <= limit && most->w <= limit && most->b <= limit;
}

/* Fills v, w, b and d, with a kind that the compiler knows; false if one does not fit.
 */
static inline bool fill_as(rt_amount_kind kind, const rt_amount_rows *rows,
                           int64_t first, row_block *block)
{
    const double *y = rows->y + first;
    const double *champion = rows->champion + first;
    const double *challenger = rows->challenger + first;
    const double at = rows->at[rows->level[first]];
    double *v = (double *)block->v;
    double *w = (double *)block->w;
    double *b = (double *)block->b;
    double *d = (double *)block->d;
    column_sizes most = {0};
    for (int64_t i = 0; i < block->n; i++) {
        v[i] = rt_amount_value(kind, y[i], champion[i], at);
        w[i] = rt_amount_value(kind, y[i], challenger[i], at);
        b[i] = rt_amount_base(kind, y[i], at);
        d[i] = w[i] - v[i];
        most.y = larger_size(most.y, y[i]);
        most.v = larger_size(most.v, v[i]);
        most.w = larger_size(most.w, w[i]);
        most.b = larger_size(most.b, b[i]);
        most.d = larger_size(most.d, d[i]);
    }
    block->most = most;
    return all_fit(&most);
}

static bool fill(rt_amount_kind kind, const rt_amount_rows *rows, int64_t first,
                 row_block *block)
{
    switch (kind) {
    case RT_ABSOLUTE:
        return fill_as(RT_ABSOLUTE, rows, first, block);
    case RT_SQUARED:
        return fill_as(RT_SQUARED, rows, first, block);
    case RT_ERROR:
        return fill_as(RT_ERROR, rows, first, block);
    case RT_PINBALL:
        return fill_as(RT_PINBALL, rows, first, block);
    case RT_PERCENT:
        return fill_as(RT_PERCENT, rows, first, block);
    case RT_SYMMETRIC:
        return fill_as(RT_SYMMETRIC, rows, first, block);
    case RT_SPREAD:
        return fill_as(RT_SPREAD, rows, first, block);
    case RT_GIVEN:
    case RT_AMOUNT_KINDS:
        break;
    }
    return fill_as(RT_GIVEN, rows, first, block);
}

static void clear_rest(row_block *x)
{
    lanes *const columns[] = {x->v, x->w, x->b, x->d};
    const size_t rest = (size_t)(RT_AMOUNT_BLOCK - x->n) * sizeof(double);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        memset((double *)columns[i] + x->n, 0, rest);
    }
}

static int64_t bases_above_0(const row_block *x)
{
    const double *b = (const double *)x->b;
    int64_t found = 0;
    for (int64_t i = 0; i < x->n; i++) {
        found += b[i] > 0.0;
    }
    return found;
}

bool RT_ADD_AMOUNTS(const rt_amount_rows *rows, rt_amount_kind kind, int64_t first,
                    int64_t n, int64_t *sums)
{
    row_block x;
    x.n = n;
    if (!fill(kind, rows, first, &x)) {
        return false;
    }
    clear_rest(&x);
    const double v = rt_from_bits((uint64_t)x.most.v);
    const double w = rt_from_bits((uint64_t)x.most.w);
    const double b = rt_from_bits((uint64_t)x.most.b);
    const double d = rt_from_bits((uint64_t)x.most.d);
    add_all(x.v, v, n, sums + RT_SUM_V * RT_DIGITS);
    add_all(x.w, w, n, sums + RT_SUM_W * RT_DIGITS);
    add_products(x.d, x.d, d * d, &x, sums + RT_SUM_DD * RT_DIGITS);
    if (rt_amount_is_curved(kind)) {
        add_products(x.v, x.v, v * v, &x, sums + RT_SUM_VV * RT_DIGITS);
        add_products(x.v, x.d, v * d, &x, sums + RT_SUM_VD * RT_DIGITS);
    }
    if (rt_amount_has_unit_base(kind)) {
        sums[RT_SUM_B * RT_DIGITS + RT_DIGITS_BELOW_ONE] += bases_above_0(&x);
        return true;
    }
    add_all(x.b, b, n, sums + RT_SUM_B * RT_DIGITS);
    add_products(x.d, x.b, d * b, &x, sums + RT_SUM_DB * RT_DIGITS);
    add_products(x.b, x.b, b * b, &x, sums + RT_SUM_BB * RT_DIGITS);
    add_products(x.v, x.b, v * b, &x, sums + RT_SUM_VB * RT_DIGITS);
    return true;
}
