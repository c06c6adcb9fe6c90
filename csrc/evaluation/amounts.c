/* Values of rows under two models and their products, summed exactly. Unit: see
 * amounts.h. */
#include "evaluation/amounts.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

#include "base/limits.h"
#include "evaluation/amount_values.h"
#include "evaluation/counting.h"
#include "evaluation/simd/dispatch.h"

static const char where[] = "rt_sum_amounts";

/* Rows alike below which a block is not worth its while. */
enum { FEW = 64 };

typedef struct amount_input {
    const rt_amount_rows *rows;
    rt_amount_kind kind;
} amount_input;

/* What a row adds: the champion's value, the challenger's, and their base. */
typedef struct row_values {
    double v, w, b;
} row_values;

static inline row_values values_of(const amount_input *input, int64_t i)
{
    const rt_amount_rows *rows = input->rows;
    const double y = rows->y[i];
    const double at = rows->at[rows->level[i]];
    return (row_values){rt_amount_value(input->kind, y, rows->champion[i], at),
                        rt_amount_value(input->kind, y, rows->challenger[i], at),
                        rt_amount_base(input->kind, y, at)};
}

static inline bool has_place(const rt_amount_rows *rows, int64_t i)
{
    /* as unsigned, a negative number is too large as well */
    return (uint32_t)rows->day[i] < (uint32_t)rows->n_days &&
           (uint32_t)rows->level[i] < (uint32_t)rows->n_levels;
}

static inline int64_t *sums_at(const rt_amount_rows *rows, int64_t i, int64_t *sums)
{
    return sums + ((int64_t)rows->day[i] * rows->n_levels + rows->level[i]) *
                      RT_AMOUNT_SUMS * RT_DIGITS;
}

/* -- one row ------------------------------------------------------------------ */

static bool add_row(const amount_input *input, int64_t i, int64_t *table)
{
    const rt_amount_rows *rows = input->rows;
    const row_values x = values_of(input, i);
    if (!rt_amount_fits(rows->y[i]) || !rt_amount_fits(x.v) || !rt_amount_fits(x.w) ||
        !rt_amount_fits(x.b)) {
        return false;
    }
    int64_t *sums = sums_at(rows, i, table);
    const double d = x.w - x.v;
    rt_digits_add(sums + RT_SUM_V * RT_DIGITS, x.v);
    rt_digits_add(sums + RT_SUM_W * RT_DIGITS, x.w);
    rt_digits_add(sums + RT_SUM_DD * RT_DIGITS, d * d);
    if (rt_amount_is_curved(input->kind)) {
        rt_digits_add(sums + RT_SUM_VV * RT_DIGITS, x.v * x.v);
        rt_digits_add(sums + RT_SUM_VD * RT_DIGITS, x.v * d);
    }
    if (rt_amount_has_unit_base(input->kind)) {
        sums[RT_SUM_B * RT_DIGITS + RT_DIGITS_BELOW_ONE] += x.b > 0.0;
        return true;
    }
    rt_digits_add(sums + RT_SUM_B * RT_DIGITS, x.b);
    rt_digits_add(sums + RT_SUM_DB * RT_DIGITS, d * x.b);
    rt_digits_add(sums + RT_SUM_BB * RT_DIGITS, x.b * x.b);
    rt_digits_add(sums + RT_SUM_VB * RT_DIGITS, x.v * x.b);
    return true;
}

/* -- all rows ----------------------------------------------------------------- */

static bool is_alike(const rt_amount_rows *rows, int64_t a, int64_t b)
{
    return rows->day[a] == rows->day[b] && rows->level[a] == rows->level[b];
}

/* How many rows from `first` on have its day and level: some of them, in a block. */
static int64_t rows_alike(const rt_amount_rows *rows, int64_t first, int64_t end)
{
    int64_t n = 1;
    while (n < FEW && first + n < end && is_alike(rows, first, first + n)) {
        n++;
    }
    if (n < FEW || first + RT_AMOUNT_BLOCK > end) {
        return n;
    }
    int32_t differ = 0;
    for (int64_t i = first; i < first + RT_AMOUNT_BLOCK; i++) {
        differ |=
            (rows->day[i] ^ rows->day[first]) | (rows->level[i] ^ rows->level[first]);
    }
    return differ == 0 ? RT_AMOUNT_BLOCK : n;
}

static int64_t add_rows(const void *argument, int64_t begin, int64_t end,
                        int64_t *counts)
{
    const amount_input *input = argument;
    const rt_amount_rows *rows = input->rows;
    const rt_amount_adder add_block = rt_amount_adder_in_use();
    for (int64_t i = begin, n; i < end; i += n) {
        if (!has_place(rows, i)) {
            return i;
        }
        n = rows_alike(rows, i, end);
        if (n >= FEW && add_block(rows, input->kind, i, n, sums_at(rows, i, counts))) {
            continue;
        }
        for (int64_t row = i; row < i + n; row++) {
            if (!add_row(input, row, counts)) {
                return row;
            }
        }
    }
    return -1;
}

/* One digit of a number has one value then, whatever was added in which order. */
static void settle_all(int64_t *sums, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        rt_digits_settle(sums + i * RT_DIGITS);
    }
}

/* With a base of 0 or 1 a product with it is the other factor. */
static void fill_products(int64_t *sums, int64_t n_places)
{
    for (int64_t place = 0; place < n_places; place++) {
        int64_t *of = sums + place * RT_AMOUNT_SUMS * RT_DIGITS;
        for (int i = 0; i < RT_DIGITS; i++) {
            const int64_t v = of[RT_SUM_V * RT_DIGITS + i];
            of[RT_SUM_VB * RT_DIGITS + i] = v;
            of[RT_SUM_DB * RT_DIGITS + i] = of[RT_SUM_W * RT_DIGITS + i] - v;
            of[RT_SUM_BB * RT_DIGITS + i] = of[RT_SUM_B * RT_DIGITS + i];
        }
    }
}

/* -- checks ------------------------------------------------------------------- */

static rt_status explain_place(const rt_amount_rows *rows, int64_t row, rt_error *err)
{
    const bool day = (uint32_t)rows->day[row] >= (uint32_t)rows->n_days;
    return rt_fail(err, RT_INVALID, where, "%s[%lld] is %d, it must lie in 0..%d",
                   day ? "day" : "level", (long long)row,
                   day ? rows->day[row] : rows->level[row],
                   (day ? rows->n_days : rows->n_levels) - 1);
}

static rt_status explain(const amount_input *input, int64_t row, rt_error *err)
{
    const rt_amount_rows *rows = input->rows;
    if (!has_place(rows, row)) {
        return explain_place(rows, row, err);
    }
    const struct {
        const char *name;
        double value;
    } columns[] = {{"y", rows->y[row]},
                   {"champion", rows->champion[row]},
                   {"challenger", rows->challenger[row]}};
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        if (!isfinite(columns[i].value)) {
            return rt_fail(err, RT_INVALID, where, "%s[%lld] is %g, it must be finite",
                           columns[i].name, (long long)row, columns[i].value);
        }
    }
    const row_values x = values_of(input, row);
    const char *side = !rt_amount_fits(rows->y[row]) || !rt_amount_fits(x.b) ? "label"
                       : !rt_amount_fits(x.v) ? "champion"
                                              : "challenger";
    return rt_fail(err, RT_INVALID, where,
                   "row %lld: y is %g, the models predict %g and %g: the %s is too far "
                   "off to be summed, take a larger unit for the label",
                   (long long)row, rows->y[row], rows->champion[row],
                   rows->challenger[row], side);
}

static rt_status check_shape(const rt_amount_rows *rows, rt_error *err)
{
    if (rows->n_rows > INT32_MAX) {
        return rt_fail(err, RT_LIMIT, where, "%lld rows pass the limit of %d",
                       (long long)rows->n_rows, INT32_MAX);
    }
    if (rows->n_days < 0 || rows->n_levels < 0) {
        return rt_fail(err, RT_INVALID, where,
                       "there are %d days and %d levels, neither can be negative",
                       rows->n_days, rows->n_levels);
    }
    return RT_OK;
}

rt_status rt_sum_amounts(const rt_amount_rows *rows, rt_amount_kind kind,
                         int32_t n_threads, rt_ctl *ctl, int64_t *sums, rt_error *err)
{
    assert(kind >= 0 && kind < RT_AMOUNT_KINDS);
    rt_status status = check_shape(rows, err);
    if (status != RT_OK) {
        return status;
    }
    const amount_input input = {rows, kind};
    const int64_t n_places = (int64_t)rows->n_days * rows->n_levels;
    const rt_count_job job = {.counter = add_rows,
                              .input = &input,
                              .n_rows = rows->n_rows,
                              .n_counts = n_places * RT_AMOUNT_SUMS * RT_DIGITS,
                              .n_threads = n_threads,
                              .where = where};
    int64_t bad = -1;
    status = rt_count_rows(&job, ctl, sums, &bad, err);
    if (status == RT_OK && bad >= 0) {
        status = explain(&input, bad, err);
    }
    if (status == RT_OK && rt_amount_has_unit_base(kind)) {
        fill_products(sums, n_places);
    }
    settle_all(sums, n_places * RT_AMOUNT_SUMS);
    return status;
}
