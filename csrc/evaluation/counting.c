/* Counting by a team: a range of the rows and a table for each thread, then the sum of
 * the tables. Cost: n / team for the rows, team x counts for the tables. Unit: rows. */
#include "evaluation/counting.h"

#include <assert.h>
#include <omp.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/ranges.h"
#include "base/sizes.h"
#include "evaluation/wide.h"
#include "parallel/placement.h"
#include "parallel/threads.h"

enum {
    BLOCK_ROWS = 1 << 16,      /* rows between two looks at the cancel flag */
    ROWS_PER_THREAD = 1 << 18, /* below this a thread costs more than it saves */
    LINE_COUNTS = RT_ALIGNMENT / (int)sizeof(int64_t)
};

/* One thread's table: n_counts cells, then the first bad row plus one (0: none),
 * then air up to a cache line so that no two threads write to the same one. */
typedef struct team_tables {
    int64_t *cells;
    int64_t stride;
} team_tables;

static void count_share(const rt_count_job *job, int32_t rank, int32_t team,
                        rt_ctl *ctl, int64_t *table)
{
    int64_t begin = rt_range_begin(job->n_rows, rank, team);
    int64_t end = rt_range_begin(job->n_rows, rank + 1, team);

    while (begin < end && !rt_ctl_cancelled(ctl)) {
        int64_t stop = end - begin > BLOCK_ROWS ? begin + BLOCK_ROWS : end;
        int64_t bad = job->counter(job->input, begin, stop, table);
        if (bad >= 0) {
            table[job->n_counts] = bad + 1;
            return;
        }
        begin = stop;
    }
}

/* Ranges ascend with the rank, so the first table with a bad row has the first
 * bad row of all. */
static int64_t first_bad_row(const team_tables *tables, int64_t n_counts, int32_t team)
{
    for (int32_t rank = 0; rank < team; rank++) {
        int64_t bad = tables->cells[rank * tables->stride + n_counts];
        if (bad > 0) {
            return bad - 1;
        }
    }
    return -1;
}

/* `counts` may lie where no rt_int128 could. */
static void add_wide(int64_t *counts, const int64_t *table, int64_t n_counts)
{
    for (int64_t i = 0; i < n_counts; i += 2) {
        rt_int128 sum;
        rt_int128 part;
        memcpy(&sum, counts + i, sizeof sum);
        memcpy(&part, table + i, sizeof part);
        sum += part;
        memcpy(counts + i, &sum, sizeof sum);
    }
}

static void merge_tables(const team_tables *tables, const rt_count_job *job,
                         int32_t team, int64_t *counts)
{
    memset(counts, 0, (size_t)job->n_counts * sizeof *counts);
    for (int32_t rank = 0; rank < team; rank++) {
        const int64_t *table = tables->cells + rank * tables->stride;
        if (job->wide) {
            add_wide(counts, table, job->n_counts);
            continue;
        }
        for (int64_t i = 0; i < job->n_counts; i++) {
            counts[i] += table[i];
        }
    }
}

static rt_status check_job(const rt_count_job *job, rt_error *err)
{
    if (job->n_counts < 0 || job->n_counts > RT_MAX_COUNTS) {
        return rt_fail(err, RT_LIMIT, job->where,
                       "a table of %lld counts passes the limit of %d",
                       (long long)job->n_counts, RT_MAX_COUNTS);
    }
    return rt_check_threads(job->n_threads, job->where, err);
}

rt_status rt_count_rows(const rt_count_job *job, rt_ctl *ctl, int64_t *counts,
                        int64_t *bad_row, rt_error *err)
{
    void *block = NULL;
    team_tables tables = {NULL, 0};
    int32_t threads = 1;

    assert(job->counter != NULL && job->n_rows >= 0);
    *bad_row = -1;
    rt_status status = check_job(job, err);
    if (status != RT_OK) {
        goto done;
    }
    threads = rt_useful_threads(job->n_threads, job->n_rows, ROWS_PER_THREAD);
    tables.stride = (job->n_counts / LINE_COUNTS + 1) * LINE_COUNTS;
    status = rt_alloc(&block, tables.stride * threads, sizeof *tables.cells, job->where,
                      err);
    if (status != RT_OK) {
        goto done;
    }
    tables.cells = block;
    rt_spread_team(threads);
#pragma omp parallel num_threads(threads)
    {
        int32_t rank = omp_get_thread_num();
        count_share(job, rank, omp_get_num_threads(), ctl,
                    tables.cells + rank * tables.stride);
    }
    if (rt_ctl_cancelled(ctl)) {
        status = rt_fail(err, RT_CANCELLED, job->where, "cancelled while counting");
        goto done;
    }
    *bad_row = first_bad_row(&tables, job->n_counts, threads);
    merge_tables(&tables, job, threads, counts);
    assert(*bad_row < job->n_rows);
done:
    rt_free(block);
    return status;
}
