/* Rows that count, one after the other, and where scores begin. Unit: a row. One thread
 * does it all, in the order of rows: sums of doubles would else depend on the team. */
#include "gbdt/targets.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/math.h"

/* Of the mean: amounts in [0, 1] have 2^40 steps and weights sum to at most 2^16, so
 * sums stay within 2^57. */
enum { STEP_BITS = 40, WEIGHT_BITS = 16 };

/* Squares of larger ones, summed, would leave the range of doubles. */
static const double value_max = 1e100;

static double weight_at(const rt_gbdt_rows *rows, int64_t i)
{
    return rows->weight == NULL ? 1.0 : rows->weight[i];
}

/* The comparison is written so that NaN fails it. Labels are bytes, never below 0. */
static rt_status check_target(const rt_gbdt_rows *rows, int32_t classes, int64_t i,
                              rt_error *err)
{
    const char *where = "rt_gbdt_fit";
    if (classes == 0) {
        if (!(fabs(rows->value[i]) <= value_max)) {
            return rt_fail(err, RT_INVALID, where,
                           "the target of row %lld is %g; targets lie within 1e100",
                           (long long)i, rows->value[i]);
        }
    } else if (rows->label[i] >= classes) {
        return rt_fail(err, RT_INVALID, where,
                       classes == 2 ? "the label of row %lld is neither 0 nor 1"
                                    : "the label of row %lld is not below %d",
                       (long long)i, classes);
    }
    return RT_OK;
}

/* The first row that is wrong is named, so that it can be found. */
rt_status rt_rows_check(const rt_gbdt_rows *rows, int32_t classes, int64_t *with_weight,
                        rt_error *err)
{
    *with_weight = 0;
    for (int64_t i = 0; i < rows->x.rows; i++) {
        double w = weight_at(rows, i);
        rt_status status = check_target(rows, classes, i, err);
        if (status != RT_OK) {
            return status;
        }
        /* NaN fails this; sums of so many weights are far from the largest double. */
        if (!(w >= 0.0 && w <= 1e30)) {
            return rt_fail(err, RT_INVALID, "rt_gbdt_fit",
                           "the weight of row %lld is %g; weights lie between 0 and "
                           "1e30",
                           (long long)i, w);
        }
        *with_weight += w > 0.0 ? 1 : 0;
    }
    if (*with_weight == 0) {
        return rt_fail(err, RT_INVALID, "rt_gbdt_fit", "all weights are 0");
    }
    return RT_OK;
}

void rt_rows_clear(rt_dense_rows *rows)
{
    rt_free(rows->source);
    rt_free(rows->label);
    rt_free(rows->value);
    rt_free(rows->weight);
    memset(rows, 0, sizeof *rows);
}

/* What is not there stays NULL, which readers take for "all 1" or "all rows": no array
 * is made to hold a constant. */
static rt_status alloc_rows(const rt_gbdt_rows *rows, rt_dense_rows *out, rt_error *err)
{
    const rt_block blocks[] = {
        RT_BLOCK(out->label, out->count),
        RT_BLOCK(out->value, out->count),
        RT_BLOCK(out->weight, out->count),
        RT_BLOCK(out->source, out->count),
    };
    /* The numbers of rows are kept only if some are left out. */
    const bool wanted[] = {rows->label != NULL, rows->value != NULL,
                           rows->weight != NULL, out->count < rows->x.rows};
    rt_status status = RT_OK;
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0] && status == RT_OK; i++) {
        if (wanted[i]) {
            /* One by one, as some are not wanted; rt_rows_clear takes what was made. */
            status = rt_alloc_all(&blocks[i], 1, "rt_gbdt_fit", err);
        }
    }
    return status;
}

/* Weights are summed on the way, in the order of rows, over all and by class. */
static void copy_row(const rt_gbdt_rows *rows, int64_t from, rt_dense_rows *out,
                     int64_t to)
{
    double w = weight_at(rows, from);
    if (out->label != NULL) {
        out->label[to] = rows->label[from];
        out->class_weight[rows->label[from]] += w;
    }
    if (out->value != NULL) {
        out->value[to] = rows->value[from];
    }
    if (out->weight != NULL) {
        out->weight[to] = w;
    }
    if (out->source != NULL) {
        out->source[to] = (int32_t)from;
    }
    out->total_weight += w;
}

/* By a power of two, so that scaling back is exact. (value - lowest) / scale lies in
 * [0, 1], which bounds the first gradients as those of labels are. */
static void scale_values(const rt_span *span, rt_dense_rows *rows)
{
    double highest = span == NULL ? rows->value[0] : span->high;
    /* There is at least one row. */
    rows->lowest = span == NULL ? rows->value[0] : span->low;
    for (int64_t i = 1; i < rows->count; i++) {
        rows->lowest = rows->value[i] < rows->lowest ? rows->value[i] : rows->lowest;
        highest = rows->value[i] > highest ? rows->value[i] : highest;
    }
    double range = highest - rows->lowest; /* finite, by value_max */
    /* So small a range leaves no room for units below it. */
    rows->constant = !(range > 1e-290);
    rows->scale = rows->constant ? 1.0 : rt_pow2(rt_ceil_log2(range));
    for (int64_t i = 0; i < rows->count; i++) {
        rows->value[i] = (rows->value[i] - rows->lowest) / rows->scale;
    }
}

/* Sums of the same weights in the same order are equal to the last bit. A class whose
 * weight vanishes in the total counts as absent. */
static bool one_class(const rt_dense_rows *rows)
{
    for (int32_t k = 0; k < RT_MAX_OUTPUTS; k++) {
        if (rows->class_weight[k] >= rows->total_weight) {
            return true;
        }
    }
    return false;
}

/* Rows without weight are dropped before anything else is decided, so that a
 * weight of 0 equals the row's absence everywhere. Weights are summed in row
 * order on one thread: the same double for any team. */
rt_status rt_rows_gather(const rt_gbdt_rows *rows, int32_t classes, const rt_span *span,
                         rt_dense_rows *out, rt_error *err)
{
    memset(out, 0, sizeof *out);
    /* Labels are not scaled. */
    out->scale = 1.0;
    rt_status status = rt_rows_check(rows, classes, &out->count, err);
    if (status == RT_OK) {
        status = alloc_rows(rows, out, err);
    }
    int64_t next = 0;
    for (int64_t i = 0; i < rows->x.rows && status == RT_OK; i++) {
        if (weight_at(rows, i) > 0.0) {
            copy_row(rows, i, out, next++);
        }
    }
    if (status != RT_OK) {
        return status;
    }
    /* Weights are scaled by their sum, which is kept far from subnormal. */
    if (out->total_weight < 1e-30) {
        return rt_fail(err, RT_INVALID, "rt_gbdt_fit",
                       "the weights sum to %g; scale them to at least 1e-30",
                       out->total_weight);
    }
    if (out->value != NULL) {
        scale_values(span, out);
    } else {
        out->constant = one_class(out);
    }
    return RT_OK;
}

/* log(p / (1-p)) of the positive share. One class alone would give infinity: it gets
 * half a row of the other class (the Jeffreys estimate for n rows), however the rows
 * are weighted. */
static double log_odds(const rt_dense_rows *rows)
{
    double positive = rows->class_weight[1];
    double negative = rows->total_weight - positive;
    if (rows->constant) {
        double n = (double)rows->count;
        positive = positive > 0.0 ? n + 0.5 : 0.5;
        negative = n + 1.0 - positive;
    }
    return rt_log(positive) - rt_log(negative);
}

/* log(weight of the class / weight of all). Absent classes get half a row's share, for
 * the same reason. */
static double log_share(const rt_dense_rows *rows, int32_t class)
{
    double weight = rows->class_weight[class];
    double half_row = 0.5 * rows->total_weight / (double)rows->count;
    return rt_log(weight > 0.0 ? weight : half_row) - rt_log(rows->total_weight);
}

/* The weighted mean, in steps of 2^-40 of the range and, up to 2^16 rows, with whole
 * weights exact: a weight of 2 gives the same mean as two rows. A sum of integers, so
 * it does not depend on the order of rows either. */
static double mean(const rt_dense_rows *rows)
{
    /* A power of two: scaling a weight changes none of its bits. */
    const double unit = rt_pow2(WEIGHT_BITS - rt_ceil_log2(rows->total_weight));
    int64_t sum = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        double w = (rows->weight == NULL ? 1.0 : rows->weight[i]) * unit;
        double steps = (double)rt_round_i64(rows->value[i] * rt_pow2(STEP_BITS));
        sum += rt_round_i64(steps * w); /* some 2^56 in all */
    }
    double share = (double)sum * rt_pow2(-STEP_BITS) / (rows->total_weight * unit);
    return rows->lowest + rows->scale * share;
}

/* The constant that is best on its own, with which boosting begins (Friedman 2001,
 * algorithm 1, line 1). */
void rt_rows_base(const rt_dense_rows *rows, rt_loss loss, int32_t outputs,
                  double *base)
{
    if (loss == RT_LOSS_BINARY) {
        base[0] = log_odds(rows);
    } else if (loss == RT_LOSS_SQUARE) {
        base[0] = mean(rows);
    } else {
        for (int32_t k = 0; k < outputs; k++) {
            base[k] = log_share(rows, k);
        }
    }
}
