/* A processor for every thread of a team.
 *
 * Linux may start a new thread on the processor of the thread that makes it, and leave
 * both there for some milliseconds although another one idles: the two then take turns,
 * and a short piece of work takes longer with two threads than with one. So the threads
 * of a new team look where they run, and those that meet another move to a processor
 * that none of them has. They are not bound to it. */
#ifndef RT_PARALLEL_PLACEMENT_H
#define RT_PARALLEL_PLACEMENT_H

#include <stdatomic.h>
#include <stdint.h>

enum { RT_SPREAD_CPUS = 1024, RT_SPREAD_WORDS = RT_SPREAD_CPUS / 64 };

/* Which processors the threads of a team have; zeros to begin with. */
typedef struct rt_spread {
    _Atomic uint64_t taken[RT_SPREAD_WORDS];
} rt_spread;

/* The calling thread takes the processor it runs on, or moves to a free one that the
 * process may use; where there is none it stays. */
void rt_spread_take(rt_spread *spread);

/* Makes the OpenMP team of the calling thread, spread; to be called before its first
 * region. */
void rt_spread_team(int32_t threads);

#endif
