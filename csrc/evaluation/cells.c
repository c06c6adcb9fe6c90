/* Joint outcomes per day and slice: one addition per row into a cube (cells.h), whose
 * index is the mixed-radix number of day, levels and outcome. Unit: rows. */
#include "evaluation/cells.h"

#include <assert.h>
#include <stdbool.h>

#include "base/limits.h"
#include "evaluation/counting.h"

static const char where[] = "rt_joint_cells";

static int64_t count_cells(const void *input, int64_t begin, int64_t end,
                           int64_t *counts)
{
    const rt_joint_rows *rows = input;
    for (int64_t i = begin; i < end; i++) {
        int64_t slice = rows->day[i];
        unsigned y = rows->y[i];
        unsigned champion = rows->champion[i];
        unsigned challenger = rows->challenger[i];
        bool wrong =
            slice < 0 || slice >= rows->n_days || (y | champion | challenger) > 1;
        for (int32_t column = 0; column < rows->n_columns; column++) {
            int64_t level = rows->level[column][i];
            /* as unsigned, a negative level is too large as well */
            wrong |= (uint32_t)level >= (uint32_t)rows->n_levels[column];
            slice = slice * rows->n_levels[column] + level;
        }
        if (wrong) {
            return i;
        }
        counts[slice * RT_CELLS + 4 * y + 2 * champion + challenger]++;
    }
    return -1;
}

static rt_status out_of_range(const char *name, int64_t row, int32_t value,
                              int32_t bound, rt_error *err)
{
    return rt_fail(err, RT_INVALID, where, "%s[%lld] is %d, it must lie in 0..%d", name,
                   (long long)row, value, bound - 1);
}

static rt_status explain(const rt_joint_rows *rows, int64_t row, rt_error *err)
{
    const struct {
        const char *name;
        int32_t value;
        int32_t bound;
    } fields[] = {
        {"day", rows->day[row], rows->n_days},
        {"y", rows->y[row], 2},
        {"champion", rows->champion[row], 2},
        {"challenger", rows->challenger[row], 2},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i].value < 0 || fields[i].value >= fields[i].bound) {
            return out_of_range(fields[i].name, row, fields[i].value, fields[i].bound,
                                err);
        }
    }
    for (int32_t column = 0; column < rows->n_columns; column++) {
        int32_t level = rows->level[column][row];
        if (level < 0 || level >= rows->n_levels[column]) {
            return out_of_range("level", row, level, rows->n_levels[column], err);
        }
    }
    assert(0 && "the counter refused a row that is fine");
    return RT_INVALID;
}

/* The size of the cube; the limit is looked at after each axis, so that no
 * product can wrap. */
static rt_status cube_size(const rt_joint_rows *rows, int64_t *n_counts, rt_error *err)
{
    int64_t size = RT_CELLS;
    if (rows->n_columns < 0 || rows->n_columns > RT_MAX_SLICE_COLUMNS) {
        return rt_fail(err, RT_INVALID, where,
                       "%d slice columns: there may be 0 to %d in one cube",
                       rows->n_columns, RT_MAX_SLICE_COLUMNS);
    }
    bool empty = false;
    for (int32_t axis = -1; axis < rows->n_columns; axis++) {
        int32_t length = axis < 0 ? rows->n_days : rows->n_levels[axis];
        if (length < 0) {
            return rt_fail(err, RT_INVALID, where, "%s is %d, it cannot be negative",
                           axis < 0 ? "n_days" : "n_levels", length);
        }
    }
    for (int32_t axis = -1; axis < rows->n_columns; axis++) {
        int32_t length = axis < 0 ? rows->n_days : rows->n_levels[axis];
        empty = empty || length == 0;
        size *= length > 0 ? length : 1; /* the limit holds for empty cubes as well */
        if (size > RT_MAX_COUNTS) {
            return rt_fail(err, RT_LIMIT, where,
                           "a cube of more than %d counts: take fewer slice columns "
                           "at once",
                           RT_MAX_COUNTS);
        }
    }
    *n_counts = empty ? 0 : size;
    return RT_OK;
}

rt_status rt_joint_cells(const rt_joint_rows *rows, int32_t n_threads, rt_ctl *ctl,
                         int64_t *counts, rt_error *err)
{
    int64_t bad = -1;
    rt_count_job job = {.counter = count_cells,
                        .input = rows,
                        .n_rows = rows->n_rows,
                        .n_threads = n_threads,
                        .where = where};
    rt_status status = cube_size(rows, &job.n_counts, err);
    if (status == RT_OK) {
        status = rt_count_rows(&job, ctl, counts, &bad, err);
    }
    if (status == RT_OK && bad >= 0) {
        status = explain(rows, bad, err);
    }
    return status;
}
