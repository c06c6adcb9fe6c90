/* When to try again: pure arithmetic, and a sleep that can be called off. */
#ifndef RT_NET_RETRY_H
#define RT_NET_RETRY_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"

/* Milliseconds on a clock that never steps; comparable within this machine. */
int64_t rt_now_ms(void);

/* Full jitter: uniform in [base/2, base), base = 250 ms * 2^attempt, at most
 * RT_MAX_RETRY_DELAY_MS; `seed` chooses the point. A Retry-After that asks for
 * more (retry_after_ms >= 0) wins, under the same cap. */
int64_t rt_retry_delay_ms(int32_t attempt, int64_t retry_after_ms, uint64_t seed);

/* Sleeps until `until_ms` in slices of at most 50 ms; RT_CANCELLED when asked. */
RT_CHECKED rt_status rt_sleep_until(int64_t until_ms, rt_ctl *ctl, rt_error *err);

#endif
