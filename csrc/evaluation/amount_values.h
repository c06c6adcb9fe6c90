/* What a row adds to the sums of amounts.h, for one row and for many. */
#ifndef RT_EVALUATION_AMOUNT_VALUES_H
#define RT_EVALUATION_AMOUNT_VALUES_H

#include <math.h>
#include <stdbool.h>

#include "evaluation/amounts.h"

/* 2^79: its double squared fits. */
static const double RT_AMOUNT_MOST = 604462909807314587353088.0;

/* The base is 0 or 1, and the values are 0 where it is. */
static inline bool rt_amount_has_unit_base(rt_amount_kind kind)
{
    return kind != RT_SPREAD && kind != RT_GIVEN;
}

static inline double rt_symmetric(double y, double p)
{
    const double size = fabs(y) + fabs(p);
    return size > 0.0 ? 2.0 * fabs(y - p) / size : 0.0;
}

static inline double rt_amount_value(rt_amount_kind kind, double y, double p, double at)
{
    switch (kind) {
    case RT_ABSOLUTE:
        return fabs(y - p);
    case RT_ERROR:
        return p - y;
    case RT_PINBALL:
        return y >= p ? at * (y - p) : (1.0 - at) * (p - y);
    case RT_PERCENT:
        return y != 0.0 ? fabs(y - p) / fabs(y) : 0.0;
    case RT_SYMMETRIC:
        return rt_symmetric(y, p);
    case RT_GIVEN:
        return p;
    case RT_SQUARED:
    case RT_SPREAD:
    case RT_AMOUNT_KINDS:
        break;
    }
    return (y - p) * (y - p);
}

static inline double rt_amount_base(rt_amount_kind kind, double y, double at)
{
    if (kind == RT_SPREAD) {
        return (y - at) * (y - at);
    }
    if (kind == RT_GIVEN) {
        return y;
    }
    return kind == RT_PERCENT && y == 0.0 ? 0.0 : 1.0;
}

static inline bool rt_amount_fits(double value)
{
    return fabs(value) <= RT_AMOUNT_MOST; /* false for NaN */
}

/* Sums with v that a metric does not need, which is linear in the sum of v. */
static inline bool rt_amount_is_curved(rt_amount_kind kind)
{
    return kind == RT_SQUARED || kind == RT_ERROR || kind == RT_GIVEN;
}

#endif
