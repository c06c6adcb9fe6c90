#include "base/edges_below.h"

#include <string.h>

#include "base/isa.h"

enum { FEW_EDGES = 32 };

/* Few edges are compared one after the other, many by a search whose steps all numbers
 * take together: no branch depends on the data, so vectors can do either. Inlined into
 * each build below, whose instructions it then uses. */
static inline __attribute__((always_inline)) void
count_edges(const double *restrict x, int64_t count, const double *restrict edges,
            int32_t n_edges, int32_t *restrict below)
{
    int32_t length = n_edges;
    memset(below, 0, (size_t)count * sizeof *below);
    if (n_edges <= FEW_EDGES) {
        for (int32_t j = 0; j < n_edges; j++) {
            for (int64_t i = 0; i < count; i++) {
                below[i] += edges[j] < x[i] ? 1 : 0;
            }
        }
        return;
    }
    for (int32_t half = length / 2; length > 1; length -= half, half = length / 2) {
        for (int64_t i = 0; i < count; i++) {
            below[i] += edges[below[i] + half - 1] < x[i] ? half : 0;
        }
    }
    for (int64_t i = 0; i < count; i++) {
        below[i] += edges[below[i]] < x[i] ? 1 : 0;
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void
count_by_avx2(const double *x, int64_t count, const double *edges, int32_t n_edges,
              int32_t *below)
{
    count_edges(x, count, edges, n_edges, below);
}

__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl"))) static void
count_by_avx512(const double *x, int64_t count, const double *edges, int32_t n_edges,
                int32_t *below)
{
    count_edges(x, count, edges, n_edges, below);
}
#endif

void rt_edges_below(const double *x, int64_t count, const double *edges,
                    int32_t n_edges, int32_t *below)
{
    const rt_isa level = rt_isa_in_use();
#if defined(__x86_64__)
    if (level == RT_ISA_AVX512) {
        count_by_avx512(x, count, edges, n_edges, below);
        return;
    }
    if (level == RT_ISA_AVX2) {
        count_by_avx2(x, count, edges, n_edges, below);
        return;
    }
#endif
    (void)level;
    count_edges(x, count, edges, n_edges, below);
}
