/* The line between a long call and whoever waits for it: the caller sets
 * `cancelled`, the worker sets `done`. Workers look at least every 100 ms. */
#ifndef RT_BASE_CTL_H
#define RT_BASE_CTL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rt_ctl {
    atomic_bool cancelled;
    _Atomic int64_t done; /* units of work finished, for progress displays */
} rt_ctl;

/* `ctl` may be NULL: nobody will ask to stop. */
static inline bool rt_ctl_cancelled(rt_ctl *ctl)
{
    return ctl != NULL && atomic_load_explicit(&ctl->cancelled, memory_order_relaxed);
}

static inline void rt_ctl_advance(rt_ctl *ctl, int64_t done)
{
    if (ctl != NULL) {
        atomic_store_explicit(&ctl->done, done, memory_order_relaxed);
    }
}

#endif
