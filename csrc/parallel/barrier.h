/* A barrier that does not burn a busy machine.
 *
 * libgomp's own barrier spins for milliseconds by default; when another process
 * holds the core of the thread that is waited for, a fit of many short steps
 * becomes thirty times slower, and the policy can only be set by an environment
 * variable at start-up. This one spins for some microseconds, the length of a
 * step between two barriers, and then sleeps. */
#ifndef RT_PARALLEL_BARRIER_H
#define RT_PARALLEL_BARRIER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct rt_barrier {
    _Atomic int32_t arrived;
    _Atomic uint32_t generation; /* grows by one each time all have arrived */
    _Atomic int32_t sleepers;
    pthread_mutex_t mutex;
    pthread_cond_t opened;
} rt_barrier;

void rt_barrier_init(rt_barrier *barrier);
void rt_barrier_destroy(rt_barrier *barrier);

/* Returns when `size` threads have called it; what each wrote before is visible
 * to all after. True if the caller had to sleep. */
bool rt_barrier_wait(rt_barrier *barrier, int32_t size);

#endif
