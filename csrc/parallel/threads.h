/* How many threads a call gets: what it asks for, what the machine grants, and what
 * pays. Unit: threads of one team. */
#ifndef RT_PARALLEL_THREADS_H
#define RT_PARALLEL_THREADS_H

#include <stdint.h>

#include "base/status.h"

/* min(processors this process may use, cgroup CPU quota, RT_MAX_THREADS), at least 1.
 */
int32_t rt_default_threads(void);

/* `requested` if positive (honoured exactly, also above the core count), else
 * the default. */
int32_t rt_resolve_threads(int32_t requested);

/* The same, but by default no more than one thread for every `rows_per_thread` begun.
 */
int32_t rt_useful_threads(int32_t requested, int64_t rows, int64_t rows_per_thread);

/* RT_INVALID unless 0 <= requested <= RT_MAX_THREADS. */
RT_CHECKED rt_status rt_check_threads(int32_t requested, const char *where,
                                      rt_error *err);

#endif
