/* Times the histogram kernel alone: random bins, nothing of a real table. Unit: one
 * update is one row and feature; nothing is measured here, the caller does that. */
#include "bench/probe.h"

#include <omp.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "gbdt/gradient.h"
#include "parallel/team.h"

enum { PROBE_BINS = 255 };

typedef struct probe {
    uint8_t *bytes;
    int64_t *packed;
    int32_t *order;
    int64_t *cells; /* of all threads */
} probe;

static rt_status make_probe(probe *p, int64_t rows, int32_t row_bytes, int64_t cells,
                            rt_error *err)
{
    const rt_block blocks[] = {
        {&p->bytes, rows, (size_t)row_bytes},
        RT_BLOCK(p->packed, rows),
        RT_BLOCK(p->order, rows),
        RT_BLOCK(p->cells, cells),
    };
    return rt_alloc_all(blocks, sizeof blocks / sizeof blocks[0], "rt_probe_histogram",
                        err);
}

static void fill_probe(probe *p, int64_t rows, int32_t row_bytes)
{
    for (int64_t i = 0; i < rows * row_bytes; i++) {
        p->bytes[i] = (uint8_t)((rt_mix64((uint64_t)i) >> 32) % PROBE_BINS);
    }
    for (int64_t i = 0; i < rows; i++) {
        p->packed[i] = 1;
        p->order[i] = (int32_t)i;
    }
}

rt_status rt_probe_histogram(int64_t rows, int32_t features, int32_t threads,
                             int32_t passes, rt_error *err)
{
    const int32_t row_bytes = (features + 7) / 8 * 8;
    const int64_t cells = (int64_t)features * RT_HOT_STRIDE;
    const rt_hot *hot = rt_hot_in_use();
    probe p = {0};
    rt_status status = make_probe(&p, rows, row_bytes, cells * threads, err);
    if (status == RT_OK) {
        fill_probe(&p, rows, row_bytes);
#pragma omp parallel num_threads(threads) default(none)                                \
    shared(p, rows, features, passes, row_bytes, cells, hot)
        {
            rt_team team = {omp_get_thread_num(), omp_get_num_threads(), NULL};
            int64_t begin = 0;
            int64_t end = 0;
            rt_team_range(team, rows, &begin, &end);
            rt_hot_rows part = {.bytes = p.bytes,
                                .row_bytes = row_bytes,
                                .order = p.order + begin,
                                .count = end - begin,
                                .features = features,
                                .stride = RT_HOT_STRIDE};
            for (int32_t pass = 0; pass < passes; pass++) {
                hot->add_packed(&part, p.packed, p.cells + team.rank * cells);
            }
        }
    }
    rt_free(p.bytes);
    rt_free(p.packed);
    rt_free(p.order);
    rt_free(p.cells);
    return status;
}
