/* Refusals say which row, and which column. */
#include "linear/check.h"

#include <math.h>

static const char *const where = "rt_linear_fit";

/* What is wrong with a target, or NULL. */
static const char *fault(const rt_linear_rows *rows, double y)
{
    switch (rows->loss) {
    case RT_LINEAR_LOGISTIC:
        return y == 0.0 || y == 1.0 ? NULL : "is neither 0 nor 1";
    case RT_LINEAR_SOFTMAX:
        return y >= 0.0 && y < (double)rows->classes && (double)(int32_t)y == y
                   ? NULL
                   : "is no class";
    case RT_LINEAR_SQUARE:
        return fabs(y) <= 1e100 ? NULL : "is not finite, or beyond 1e100";
    case RT_LINEAR_POISSON:
        return y >= 0.0 && y <= 1e100 ? NULL : "is no amount from 0 to 1e100";
    }
    return "has an unknown loss";
}

rt_status rt_linear_check(const rt_linear_rows *rows, rt_error *err)
{
    double total = 0.0;
    if (rows->x.rows < 1 || rows->x.columns < 1) {
        return rt_fail(err, RT_INVALID, where, "there are no rows, or no columns");
    }
    if (rows->loss == RT_LINEAR_SOFTMAX &&
        (rows->classes < 2 || rows->classes > RT_LINEAR_MOST_OUTPUTS)) {
        return rt_fail(err, RT_INVALID, where, "%d classes are not 2 to %d",
                       rows->classes, RT_LINEAR_MOST_OUTPUTS);
    }
    for (int64_t i = 0; i < rows->x.rows; i++) {
        const double weight = rows->weight == NULL ? 1.0 : rows->weight[i];
        const char *what = fault(rows, rows->target[i]);
        if (what != NULL) {
            return rt_fail(err, RT_INVALID, where, "y of row %lld %s", (long long)i,
                           what);
        }
        if (!(weight >= 0.0 && weight <= 1e100)) {
            return rt_fail(err, RT_INVALID, where,
                           "weight of row %lld is negative or not finite",
                           (long long)i);
        }
        total += weight;
    }
    if (total == 0.0) {
        return rt_fail(err, RT_INVALID, where, "no row has a weight");
    }
    return RT_OK;
}

rt_status rt_linear_refuse(const rt_linear_rows *rows, rt_error *err)
{
    for (int64_t i = 0; i < rows->x.rows; i++) {
        for (int32_t f = 0; f < rows->x.columns; f++) {
            if (isinf(rt_matrix_at(&rows->x, i, f))) {
                return rt_fail(err, RT_INVALID, where,
                               "x of row %lld, column %d is infinite", (long long)i, f);
            }
        }
    }
    return rt_fail(err, RT_INVALID, where, "the numbers are too large to be summed");
}
