#define _GNU_SOURCE /* sched_getcpu, sched_setaffinity */
#include "parallel/placement.h"

#include <omp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

#if defined(__linux__)
/* True for one thread only, by a single atomic step, however many ask at once. */
static bool take(rt_spread *spread, size_t cpu)
{
    const uint64_t bit = (uint64_t)1 << (cpu % 64);
    return (atomic_fetch_or(&spread->taken[cpu / 64], bit) & bit) == 0;
}

/* Setting the mask to one processor moves the thread at once; setting it back does not
 * move it again. */
static void move_to(size_t cpu, const cpu_set_t *allowed)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) == 0) {
        (void)sched_setaffinity(0, sizeof *allowed, allowed);
    }
}

void rt_spread_take(rt_spread *spread)
{
    cpu_set_t allowed;
    const int here = sched_getcpu();
    /* A hint, not a need: whatever fails, the thread stays where it is. */
    if (here < 0 || here >= RT_SPREAD_CPUS || take(spread, (size_t)here) ||
        sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        return;
    }
    for (size_t cpu = 0; cpu < RT_SPREAD_CPUS; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && take(spread, cpu)) {
            move_to(cpu, &allowed);
            return;
        }
    }
}
#else
void rt_spread_take(rt_spread *spread)
{
    (void)spread;
}
#endif

/* Nobody may spin while a new thread waits for the spinner's own processor, neither
 * here nor in libgomp, which spins for milliseconds unless there are more threads than
 * processors. So one thread more is asked for; it does nothing and ends with the
 * region. */
void rt_spread_team(int32_t threads)
{
    rt_spread spread = {0};
    _Atomic int32_t here = 0;
    if (threads < 2) {
        return;
    }
#pragma omp parallel num_threads(threads + 1) default(none)                            \
    shared(spread, here, threads)
    {
        /* OpenMP may give fewer threads than asked for; to wait for those that do not
         * exist would never end. */
        if (omp_get_thread_num() < threads && omp_get_num_threads() > threads) {
            rt_spread_take(&spread);
            atomic_fetch_add(&here, 1);
            /* All are placed before any goes on; who waits leaves its processor to the
             * others. */
            while (atomic_load(&here) < threads) {
                sched_yield();
            }
        }
    }
}
