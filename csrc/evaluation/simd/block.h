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

/* Doubles of a block in columns; what fills a column up is 0. */
typedef struct row_block {
    int64_t n;
    lanes v[RT_AMOUNT_BLOCK / LANES];
    lanes w[RT_AMOUNT_BLOCK / LANES];
    lanes b[RT_AMOUNT_BLOCK / LANES];
    lanes d[RT_AMOUNT_BLOCK / LANES];
    lanes product[RT_AMOUNT_BLOCK / LANES];
} row_block;

/* A double from here on has its last bit at 2^-128 or above it. */
static const double WHOLE = 1.0 / 37778931862957161709568.0; /* 2^-75 */

/* -- sums ------------------------------------------------------------------------- */

static bool any(const masks *of)
{
    int64_t found = 0;
    for (int lane = 0; lane < LANES; lane++) {
        found |= (*of)[lane];
    }
    return found != 0;
}

/* The largest size; *whole: no x but zeros lies below WHOLE. */
static double largest(const lanes *x, bool *whole)
{
    lanes most = {0.0};
    masks small = {0};
    for (int i = 0; i < RT_AMOUNT_BLOCK / LANES; i++) {
        const lanes size = (lanes)((masks)x[i] & INT64_MAX);
        const masks above = size > most;
        most = (lanes)(((masks)size & above) | ((masks)most & ~above));
        small |= (size < WHOLE) & (size != 0.0);
    }
    *whole = !any(&small);
    double found = 0.0;
    for (int lane = 0; lane < LANES; lane++) {
        found = most[lane] > found ? most[lane] : found;
    }
    return found;
}

/* What cuts numbers of at most such a size into slices. */
static void cut_below(double most, double *cuts)
{
    const int top = (int)(rt_to_bits(most) >> 52) - 1022; /* most < 2^top */
    for (int k = 0; k < SLICES; k++) {
        cuts[k] = 1.5 * rt_pow2(top + SPARE_BITS - k * SLICE_BITS);
    }
}

/* Sums of the slices of all x; false where an x has bits below the last slice. */
static bool slice_all(const lanes *x, const double *cuts, double *sums)
{
    lanes sum[SLICES] = {{0.0}};
    masks left = {0};
    for (int i = 0; i < RT_AMOUNT_BLOCK / LANES; i++) {
        lanes rest = x[i];
#pragma GCC unroll 3
        for (int k = 0; k < SLICES; k++) {
            const lanes slice = (rest + cuts[k]) - cuts[k];
            sum[k] += slice;
            rest -= slice;
        }
        left |= rest != 0.0;
    }
    for (int k = 0; k < SLICES; k++) {
        sums[k] = 0.0;
        for (int lane = 0; lane < LANES; lane++) {
            sums[k] += sum[k][lane];
        }
    }
    return !any(&left);
}

/* To the same sum as rt_digits_add of one by one, in other digits. */
static void add_all(const lanes *x, int64_t n, int64_t *digits)
{
    bool whole;
    double cuts[SLICES];
    double sums[SLICES];
    const double most = largest(x, &whole);
    if (most == 0.0) {
        return;
    }
    if (whole) {
        cut_below(most, cuts);
        whole = slice_all(x, cuts, sums);
    }
    const double *terms = whole ? sums : (const double *)x;
    const int64_t n_terms = whole ? SLICES : n;
    for (int64_t i = 0; i < n_terms; i++) {
        rt_digits_add(digits, terms[i]);
    }
}

static void add_products(const lanes *a, const lanes *b, row_block *block, int64_t *sum)
{
    for (int i = 0; i < RT_AMOUNT_BLOCK / LANES; i++) {
        block->product[i] = a[i] * b[i];
    }
    add_all(block->product, block->n, sum);
}

/* -- rows ------------------------------------------------------------------------- */

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
    int64_t odd = 0;
    for (int64_t i = 0; i < block->n; i++) {
        v[i] = rt_amount_value(kind, y[i], champion[i], at);
        w[i] = rt_amount_value(kind, y[i], challenger[i], at);
        b[i] = rt_amount_base(kind, y[i], at);
        d[i] = w[i] - v[i];
        odd |= !rt_amount_fits(y[i]) | !rt_amount_fits(v[i]) | !rt_amount_fits(w[i]) |
               !rt_amount_fits(b[i]);
    }
    return odd == 0;
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
    add_all(x.v, n, sums + RT_SUM_V * RT_DIGITS);
    add_all(x.w, n, sums + RT_SUM_W * RT_DIGITS);
    add_products(x.d, x.d, &x, sums + RT_SUM_DD * RT_DIGITS);
    if (rt_amount_is_curved(kind)) {
        add_products(x.v, x.v, &x, sums + RT_SUM_VV * RT_DIGITS);
        add_products(x.v, x.d, &x, sums + RT_SUM_VD * RT_DIGITS);
    }
    if (rt_amount_has_unit_base(kind)) {
        sums[RT_SUM_B * RT_DIGITS + RT_DIGITS_BELOW_ONE] += bases_above_0(&x);
        return true;
    }
    add_all(x.b, n, sums + RT_SUM_B * RT_DIGITS);
    add_products(x.d, x.b, &x, sums + RT_SUM_DB * RT_DIGITS);
    add_products(x.b, x.b, &x, sums + RT_SUM_BB * RT_DIGITS);
    add_products(x.v, x.b, &x, sums + RT_SUM_VB * RT_DIGITS);
    return true;
}
