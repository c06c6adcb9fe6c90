/* Waiting between attempts: doubling delays, their upper half drawn, in slices so that
 * cancellation is seen. Unit: milliseconds. */
#define _POSIX_C_SOURCE 200809L
#include "net/retry.h"

#include <assert.h>
#include <time.h>

#include "base/limits.h"

enum { FIRST_DELAY_MS = 250, SLICE_MS = 50 };

int64_t rt_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* splitmix64's finaliser (Steele, Lea, Flood 2014): spreads clients that all
 * failed in the same millisecond, which is all that jitter is for. */
static uint64_t scramble(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

int64_t rt_retry_delay_ms(int32_t attempt, int64_t retry_after_ms, uint64_t seed)
{
    assert(attempt >= 0);
    int64_t base = RT_MAX_RETRY_DELAY_MS;
    if (attempt < 16 && ((int64_t)FIRST_DELAY_MS << attempt) < base) {
        base = (int64_t)FIRST_DELAY_MS << attempt;
    }
    int64_t delay = base / 2 + (int64_t)(scramble(seed) % (uint64_t)(base / 2));
    if (retry_after_ms > delay) {
        delay = retry_after_ms;
    }
    return delay < RT_MAX_RETRY_DELAY_MS ? delay : RT_MAX_RETRY_DELAY_MS;
}

rt_status rt_sleep_until(int64_t until_ms, rt_ctl *ctl, rt_error *err)
{
    for (;;) {
        int64_t left = until_ms - rt_now_ms();
        if (rt_ctl_cancelled(ctl)) {
            return rt_fail(err, RT_CANCELLED, "rt_sleep_until",
                           "cancelled while waiting to try again");
        }
        if (left <= 0) {
            return RT_OK;
        }
        int64_t slice = left < SLICE_MS ? left : SLICE_MS;
        struct timespec pause = {.tv_sec = 0, .tv_nsec = (long)slice * 1000000L};
        (void)nanosleep(&pause, NULL);
    }
}
