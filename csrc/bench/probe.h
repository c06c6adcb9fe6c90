/* What one histogram update costs on this machine, for benchmarks. */
#ifndef RT_BENCH_PROBE_H
#define RT_BENCH_PROBE_H

#include <stdint.h>

#include "base/status.h"

/* Adds `rows` rows of random bins (255 of them) and packed gradients to histograms
 * of `features` features, `passes` times, rows shared among the threads; nothing
 * else. Call it on a task. */
RT_CHECKED rt_status rt_probe_histogram(int64_t rows, int32_t features, int32_t threads,
                                        int32_t passes, rt_error *err);

#endif
