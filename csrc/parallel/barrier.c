/* A barrier by counting: the last to arrive opens it for all. Unit: one meeting, of
 * which `generation` is the number. */
#define _POSIX_C_SOURCE 200809L
#include "parallel/barrier.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

enum { SPINS = 2500 }; /* about 50 microseconds */

void rt_barrier_init(rt_barrier *barrier)
{
    atomic_init(&barrier->arrived, 0);
    atomic_init(&barrier->generation, 0);
    atomic_init(&barrier->sleepers, 0);
    pthread_mutex_init(&barrier->mutex, NULL);
    pthread_cond_init(&barrier->opened, NULL);
}

void rt_barrier_destroy(rt_barrier *barrier)
{
    pthread_cond_destroy(&barrier->opened);
    pthread_mutex_destroy(&barrier->mutex);
}

/* Tells the core that this is a wait: it leaves its units to the other thread of a
 * hyperthreaded pair, and notices the change without a pipeline flush. */
static void relax(void)
{
#if defined(__x86_64__)
    _mm_pause();
#endif
}

/* All atomics are in one order: who is not yet counted as a sleeper will see the new
 * generation before it waits; who is, holds the mutex until it does. */
static void open_barrier(rt_barrier *barrier)
{
    /* Before the generation changes: whoever sees the new one may arrive at once for
     * the next meeting. */
    atomic_store(&barrier->arrived, 0);
    atomic_fetch_add(&barrier->generation, 1);
    if (atomic_load(&barrier->sleepers) > 0) {
        pthread_mutex_lock(&barrier->mutex);
        pthread_cond_broadcast(&barrier->opened);
        pthread_mutex_unlock(&barrier->mutex);
    }
}

bool rt_barrier_wait(rt_barrier *barrier, int32_t size)
{
    /* Read before arriving: afterwards the last one may already have opened it. Only
     * equality counts, so it may wrap. */
    uint32_t mine = atomic_load(&barrier->generation);
    if (atomic_fetch_add(&barrier->arrived, 1) + 1 == size) {
        open_barrier(barrier);
        return false;
    }
    for (int32_t i = 0; i < SPINS; i++) {
        if (atomic_load(&barrier->generation) != mine) {
            return false;
        }
        relax();
    }
    pthread_mutex_lock(&barrier->mutex);
    /* Counted before the last look at the generation: see open_barrier. */
    atomic_fetch_add(&barrier->sleepers, 1);
    while (atomic_load(&barrier->generation) == mine) {
        pthread_cond_wait(&barrier->opened, &barrier->mutex);
    }
    atomic_fetch_sub(&barrier->sleepers, 1);
    pthread_mutex_unlock(&barrier->mutex);
    return true;
}
