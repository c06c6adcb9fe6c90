/* One program, many ranks. Code inside a parallel region gets a rt_team and
 * works on its own range; a team of one never meets a barrier, so the same
 * functions also do small pieces of work on a single thread, and run in tests
 * without OpenMP. Results never depend on the team: ranges only say who does a
 * piece of work, never in which order numbers are added. */
#ifndef RT_PARALLEL_TEAM_H
#define RT_PARALLEL_TEAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ranges.h"
#include "parallel/barrier.h"

typedef struct rt_team {
    int32_t rank, size;
    rt_barrier *barrier; /* NULL in a team of one */
} rt_team;

/* True if this rank had to sleep until the others came. */
static inline bool rt_team_barrier(rt_team team)
{
    return team.size > 1 && rt_barrier_wait(team.barrier, team.size);
}

/* [*begin, *end): this rank's part of `count` items. */
static inline void rt_team_range(rt_team team, int64_t count, int64_t *begin,
                                 int64_t *end)
{
    *begin = rt_range_begin(count, team.rank, team.size);
    *end = rt_range_begin(count, team.rank + 1, team.size);
}

/* Rows that a rank meets again and again are dealt out in blocks, in turn: whatever the
 * rows are sorted by, every rank has some of each kind, and always the same. It walks
 * through them in batches. */
enum { RT_TEAM_BATCH = 256, RT_TEAM_BLOCKS = 8 };

/* Rows of a block: long, for processors read ahead, and an odd number of batches. With
 * blocks of a power of two a rank's rows would lie in half of the sets of its caches.
 */
static inline int64_t rt_team_block(int32_t size, int64_t rows)
{
    return (rows / ((int64_t)size * RT_TEAM_BLOCKS * RT_TEAM_BATCH) | 1) *
           RT_TEAM_BATCH;
}

/* How many rows are those of the ranks before this one. */
static inline int64_t rt_team_before(rt_team team, int64_t rows)
{
    int64_t ahead = team.rank * rt_team_block(team.size, rows);
    int64_t turn = team.size * rt_team_block(team.size, rows);
    int64_t rest = rows % turn;
    return rows / turn * ahead + (rest < ahead ? rest : ahead);
}

/* Some of a rank's rows, in a list of all. */
typedef struct rt_run {
    int64_t begin, rows;
} rt_run;

/* One batch after the other of a rank's rows [begin, end); no more: begin == end. */
typedef struct rt_batch {
    int64_t begin, end;
    int64_t block, gap, rows; /* between a rank's blocks lie those of the others */
} rt_batch;

static inline rt_batch rt_batch_at(rt_batch batch, int64_t begin)
{
    batch.begin = begin < batch.rows ? begin : batch.rows;
    batch.end = batch.rows - batch.begin < RT_TEAM_BATCH ? batch.rows
                                                         : batch.begin + RT_TEAM_BATCH;
    return batch;
}

static inline rt_batch rt_batch_first(rt_team team, int64_t rows)
{
    int64_t block = rt_team_block(team.size, rows);
    rt_batch batch = {.block = block, .gap = (team.size - 1) * block, .rows = rows};
    return rt_batch_at(batch, team.rank * block);
}

static inline rt_batch rt_batch_next(rt_batch batch)
{
    return rt_batch_at(batch,
                       batch.end + (batch.end % batch.block == 0 ? batch.gap : 0));
}

#endif
