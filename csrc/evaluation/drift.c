/* Bins of numbers and categories per day (drift.h says which), counted by a team
 * (counting.h). The edges below a number are its bin, found for a batch at a time by
 * vectors; what is not finite has bins behind the regular ones. Unit: rows. */
#include "evaluation/drift.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

#include "base/edges_below.h"
#include "base/limits.h"
#include "evaluation/counting.h"

enum { BATCH = 256 };

/* The bin of a number with `below` edges under it. */
static inline int64_t bin_of(double x, int32_t below, int64_t regular)
{
    if (isfinite(x)) {
        return below;
    }
    return isnan(x) ? regular + 2 : regular + (x > 0 ? 1 : 0);
}

static int64_t count_numeric(const void *input, int64_t begin, int64_t end,
                             int64_t *counts)
{
    const rt_drift_column *column = input;
    const int64_t regular = (int64_t)column->n_edges + 1;
    const int64_t width = regular + RT_DRIFT_EXTRA;
    int32_t below[BATCH];

    for (int64_t at = begin; at < end; at += BATCH) {
        const int64_t n = end - at < BATCH ? end - at : BATCH;
        const double *x = column->x + at;
        const int32_t *day = column->day + at;
        rt_edges_below(x, n, column->edges, column->n_edges, below);
        for (int64_t i = 0; i < n; i++) {
            if ((uint32_t)day[i] >= (uint32_t)column->n_days) {
                return at + i;
            }
            counts[day[i] * width + bin_of(x[i], below[i], regular)]++;
        }
    }
    return -1;
}

static int64_t count_category(const void *input, int64_t begin, int64_t end,
                              int64_t *counts)
{
    const rt_category_column *column = input;
    int64_t n_levels = column->n_levels;
    int64_t width = n_levels + RT_CATEGORY_EXTRA;

    for (int64_t i = begin; i < end; i++) {
        int64_t code = column->code[i];
        if ((uint32_t)column->day[i] >= (uint32_t)column->n_days ||
            code < RT_CODE_UNSEEN || code >= n_levels) {
            return i;
        }
        int64_t bin = code;
        if (code < 0) {
            bin = n_levels + (code == RT_CODE_MISSING ? 1 : 0);
        }
        counts[column->day[i] * width + bin]++;
    }
    return -1;
}

static rt_status bad_day(const char *where, int64_t row, int32_t day, int32_t n_days,
                         rt_error *err)
{
    return rt_fail(err, RT_INVALID, where, "day[%lld] is %d, it must lie in 0..%d",
                   (long long)row, day, n_days - 1);
}

static rt_status check_days(const char *where, int32_t n_days, rt_error *err)
{
    if (n_days < 0) {
        return rt_fail(err, RT_INVALID, where, "n_days is %d, it cannot be negative",
                       n_days);
    }
    return RT_OK;
}

static rt_status check_edges(const rt_drift_column *column, rt_error *err)
{
    static const char where[] = "rt_drift_counts";
    if (column->n_edges >= RT_MAX_DRIFT_BINS) {
        return rt_fail(err, RT_LIMIT, where,
                       "edges has %d items, at most %d are possible", column->n_edges,
                       RT_MAX_DRIFT_BINS - 1);
    }
    for (int32_t i = 0; i < column->n_edges; i++) {
        double edge = column->edges[i];
        if (!isfinite(edge) || (i > 0 && !(column->edges[i - 1] < edge))) {
            return rt_fail(err, RT_INVALID, where,
                           "edges[%d] is %.17g: edges must be finite and strictly "
                           "increasing",
                           i, edge);
        }
    }
    return RT_OK;
}

rt_status rt_drift_counts(const rt_drift_column *column, int32_t n_threads, rt_ctl *ctl,
                          int64_t *counts, rt_error *err)
{
    static const char where[] = "rt_drift_counts";
    int64_t bad = -1;
    int64_t width = (int64_t)column->n_edges + 1 + RT_DRIFT_EXTRA;
    rt_count_job job = {.counter = count_numeric,
                        .input = column,
                        .n_rows = column->n_rows,
                        .n_counts = column->n_days * width,
                        .n_threads = n_threads,
                        .where = where};
    assert(column->n_edges >= 0 && column->n_rows >= 0);
    rt_status status = check_days(where, column->n_days, err);
    if (status == RT_OK) {
        status = check_edges(column, err);
    }
    if (status == RT_OK) {
        status = rt_count_rows(&job, ctl, counts, &bad, err);
    }
    if (status == RT_OK && bad >= 0) {
        status = bad_day(where, bad, column->day[bad], column->n_days, err);
    }
    return status;
}

rt_status rt_category_counts(const rt_category_column *column, int32_t n_threads,
                             rt_ctl *ctl, int64_t *counts, rt_error *err)
{
    static const char where[] = "rt_category_counts";
    int64_t bad = -1;
    int64_t width = (int64_t)column->n_levels + RT_CATEGORY_EXTRA;
    rt_count_job job = {.counter = count_category,
                        .input = column,
                        .n_rows = column->n_rows,
                        .n_counts = column->n_days * width,
                        .n_threads = n_threads,
                        .where = where};
    assert(column->n_rows >= 0);
    rt_status status = check_days(where, column->n_days, err);
    if (status == RT_OK &&
        (column->n_levels < 0 || column->n_levels > RT_MAX_CATEGORIES)) {
        status = rt_fail(err, RT_LIMIT, where, "n_levels is %d, it must lie in 0..%d",
                         column->n_levels, RT_MAX_CATEGORIES);
    }
    if (status == RT_OK) {
        status = rt_count_rows(&job, ctl, counts, &bad, err);
    }
    if (status != RT_OK || bad < 0) {
        return status;
    }
    if ((uint32_t)column->day[bad] >= (uint32_t)column->n_days) {
        return bad_day(where, bad, column->day[bad], column->n_days, err);
    }
    return rt_fail(err, RT_INVALID, where,
                   "code[%lld] is %d, it must lie in 0..%d, or be %d (missing) or %d "
                   "(unseen)",
                   (long long)bad, column->code[bad], column->n_levels - 1,
                   RT_CODE_MISSING, RT_CODE_UNSEEN);
}
