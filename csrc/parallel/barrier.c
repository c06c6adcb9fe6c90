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
    atomic_fetch_add(&barrier->sleepers, 1);
    while (atomic_load(&barrier->generation) == mine) {
        pthread_cond_wait(&barrier->opened, &barrier->mutex);
    }
    atomic_fetch_sub(&barrier->sleepers, 1);
    pthread_mutex_unlock(&barrier->mutex);
    return true;
}
