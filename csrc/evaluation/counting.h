/* Rows into a table of counts, by a team of any size with one result.
 *
 * Every count of the evaluation side goes through here. Each thread owns a
 * contiguous range of rows and a table of its own; the tables are merged by
 * integer addition, which no order can change. */
#ifndef RT_EVALUATION_COUNTING_H
#define RT_EVALUATION_COUNTING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"

/* Adds rows [begin, end) to `counts` and returns -1; or stops at the first row
 * that cannot be counted and returns its number. */
typedef int64_t (*rt_row_counter)(const void *input, int64_t begin, int64_t end,
                                  int64_t *counts);

typedef struct rt_count_job {
    rt_row_counter counter;
    const void *input;
    int64_t n_rows;
    int64_t n_counts;
    int32_t n_threads; /* 0: as many as useful; else exactly so many */
    const char *where;
    bool wide; /* two counts are one rt_int128 */
} rt_count_job;

/* Fills counts[0..n_counts) and sets *bad_row to -1, or to the first row that
 * could not be counted: `counts` is then incomplete and the caller says why.
 * Must run inside a task (parallel/task.h). */
RT_CHECKED rt_status rt_count_rows(const rt_count_job *job, rt_ctl *ctl,
                                   int64_t *counts, int64_t *bad_row, rt_error *err);

#endif
