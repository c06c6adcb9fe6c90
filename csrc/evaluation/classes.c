/* Classes of two models per day and slice: up to five additions per row into the
 * tables of its place (classes.h). Unit: rows. */
#include "evaluation/classes.h"

#include <assert.h>
#include <stdbool.h>

#include "base/limits.h"
#include "evaluation/counting.h"

static const char where[] = "rt_count_classes";

static bool has_place(const rt_class_rows *rows, int64_t i)
{
    /* as unsigned, a negative number is too large as well */
    return (uint32_t)rows->day[i] < (uint32_t)rows->n_days &&
           (uint32_t)rows->level[i] < (uint32_t)rows->n_levels;
}

static int64_t add_rows(const void *input, int64_t begin, int64_t end, int64_t *counts)
{
    const rt_class_rows *rows = input;
    const int32_t k = rows->n_classes;
    const int64_t table = (int64_t)k * k;
    for (int64_t i = begin; i < end; i++) {
        const int32_t y = rows->y[i];
        const int32_t a = rows->champion[i];
        const int32_t b = rows->challenger[i];
        if (!has_place(rows, i) || y >= k || a >= k || b >= k) {
            return i;
        }
        int64_t *of =
            counts + ((int64_t)rows->day[i] * rows->n_levels + rows->level[i]) *
                         RT_CLASS_TABLES * table;
        of[RT_CLASSES_OLD * table + y * k + a]++;
        of[RT_CLASSES_NEW * table + y * k + b]++;
        of[RT_CLASSES_SAID * table + a * k + b]++;
        of[RT_CLASSES_FIXED * table + y * k + a] += b == y;
        of[RT_CLASSES_KEPT * table + y * k + b] += a == y;
    }
    return -1;
}

static rt_status explain(const rt_class_rows *rows, int64_t row, rt_error *err)
{
    const struct {
        const char *name;
        int32_t value;
        int32_t bound;
    } fields[] = {
        {"day", rows->day[row], rows->n_days},
        {"level", rows->level[row], rows->n_levels},
        {"y", rows->y[row], rows->n_classes},
        {"champion", rows->champion[row], rows->n_classes},
        {"challenger", rows->challenger[row], rows->n_classes},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i].value < 0 || fields[i].value >= fields[i].bound) {
            return rt_fail(err, RT_INVALID, where,
                           "%s[%lld] is %d, it must lie in 0..%d", fields[i].name,
                           (long long)row, fields[i].value, fields[i].bound - 1);
        }
    }
    assert(0 && "the counter refused a row that is fine");
    return RT_INVALID;
}

static rt_status check_shape(const rt_class_rows *rows, rt_error *err)
{
    if (rows->n_days < 0 || rows->n_levels < 0) {
        return rt_fail(err, RT_INVALID, where,
                       "there are %d days and %d levels, neither can be negative",
                       rows->n_days, rows->n_levels);
    }
    if (rows->n_classes < 1 || rows->n_classes > UINT8_MAX + 1) {
        return rt_fail(err, RT_INVALID, where, "there are %d classes, not 1 to %d",
                       rows->n_classes, UINT8_MAX + 1);
    }
    const int64_t of_place =
        (int64_t)RT_CLASS_TABLES * rows->n_classes * rows->n_classes;
    if (rows->n_levels > 0 &&
        rows->n_days > RT_MAX_COUNTS / of_place / rows->n_levels) {
        return rt_fail(err, RT_LIMIT, where,
                       "%d days, %d levels and %d classes pass the limit of %d counts",
                       rows->n_days, rows->n_levels, rows->n_classes, RT_MAX_COUNTS);
    }
    return RT_OK;
}

rt_status rt_count_classes(const rt_class_rows *rows, int32_t n_threads, rt_ctl *ctl,
                           int64_t *counts, rt_error *err)
{
    rt_status status = check_shape(rows, err);
    if (status != RT_OK) {
        return status;
    }
    const rt_count_job job = {.counter = add_rows,
                              .input = rows,
                              .n_rows = rows->n_rows,
                              .n_counts = (int64_t)rows->n_days * rows->n_levels *
                                          RT_CLASS_TABLES * rows->n_classes *
                                          rows->n_classes,
                              .n_threads = n_threads,
                              .where = where};
    int64_t bad = -1;
    status = rt_count_rows(&job, ctl, counts, &bad, err);
    if (status == RT_OK && bad >= 0) {
        status = explain(rows, bad, err);
    }
    return status;
}
