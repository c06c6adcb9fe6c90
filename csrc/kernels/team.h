/* One program, many ranks. Code inside a parallel region gets a rt_team and
 * works on its own range; a team of one never meets a barrier, so the same
 * functions also do small pieces of work on a single thread, and run in tests
 * without OpenMP. Results never depend on the team: ranges only say who does a
 * piece of work, never in which order numbers are added. */
#ifndef RT_KERNELS_TEAM_H
#define RT_KERNELS_TEAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/barrier.h"

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
    int64_t share = count / team.size;
    int64_t extra = count % team.size;
    int64_t rank = team.rank;
    *begin = rank * share + (rank < extra ? rank : extra);
    *end = *begin + share + (rank < extra ? 1 : 0);
}

#endif
