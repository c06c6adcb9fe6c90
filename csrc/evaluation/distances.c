/* Two samples, sorted and walked side by side: Kolmogorov-Smirnov, Wasserstein. */
#include <math.h>
#include <stdbool.h>

#include "base/alloc.h"
#include "base/exact_sum.h"
#include "base/radix_sort.h"
#include "evaluation/ranks.h"
#include "parallel/placement.h"
#include "parallel/threads.h"

__extension__ typedef __int128 int128;

static const char where[] = "rt_sample_distance";

static rt_status sorted_keys(const double *x, int64_t count, const char *name,
                             int32_t threads, rt_ctl *ctl, void **keys, rt_error *err)
{
    void *scratch = NULL;
    rt_status status = rt_alloc_scratch(keys, count, sizeof(uint64_t), where, err);
    if (status == RT_OK) {
        status = rt_alloc_scratch(&scratch, count, sizeof(uint64_t), where, err);
    }
    for (int64_t i = 0; status == RT_OK && i < count; i++) {
        if (isnan(x[i])) {
            status = rt_fail(err, RT_INVALID, where, "%s[%lld] is NaN, it has no rank",
                             name, (long long)i);
        } else {
            ((uint64_t *)*keys)[i] = rt_key_of_double(x[i]);
        }
    }
    if (status == RT_OK) {
        status = rt_sort_u64(*keys, scratch, count, threads, ctl, err);
    }
    rt_free(scratch);
    return status;
}

static rt_wide wide(int128 x)
{
    return (rt_wide){(uint64_t)(x >> 64), (uint64_t)x};
}

/* The step functions only change at values that occur, so that is where the
 * greatest difference lies, and between two of them the difference is constant.
 * Infinities stand at the ends: what lies between them and a number is infinite
 * unless no mass has to move there. */
static void walk(const uint64_t *a, int64_t n_a, const uint64_t *b, int64_t n_b,
                 rt_distance *distance)
{
    rt_exact_sum moved = {0.0, 0.0};
    int128 above = 0;
    int128 below = 0;
    int128 gap = 0;
    double last = 0.0;
    bool endless = false; /* a compensated sum makes NaN of an infinity */
    double all = (double)n_a * (double)n_b;
    for (int64_t i = 0, j = 0; i < n_a || j < n_b;) {
        uint64_t key = j == n_b || (i < n_a && a[i] < b[j]) ? a[i] : b[j];
        double x = rt_double_of_key(key);
        if (gap != 0) {
            double share = (double)(gap < 0 ? -gap : gap) / all;
            endless = endless || isinf(x - last);
            rt_exact_add(&moved, (x - last) * share);
        }
        while (i < n_a && a[i] == key) {
            i++;
        }
        while (j < n_b && b[j] == key) {
            j++;
        }
        gap = (int128)i * n_b - (int128)j * n_a;
        above = gap > above ? gap : above;
        below = -gap > below ? -gap : below;
        last = x;
    }
    distance->above = wide(above);
    distance->below = wide(below);
    distance->wasserstein = endless ? (double)INFINITY : rt_exact_value(&moved);
}

rt_status rt_sample_distance(const double *a, int64_t n_a, const double *b, int64_t n_b,
                             int32_t n_threads, rt_ctl *ctl, rt_distance *distance,
                             rt_error *err)
{
    void *keys_a = NULL;
    void *keys_b = NULL;

    *distance = (rt_distance){{0, 0}, {0, 0}, 0.0};
    rt_status status = rt_check_threads(n_threads, where, err);
    if (status != RT_OK) {
        return status;
    }
    int32_t threads = rt_resolve_threads(n_threads);
    rt_spread_team(threads);
    status = sorted_keys(a, n_a, "a", threads, ctl, &keys_a, err);
    if (status == RT_OK) {
        status = sorted_keys(b, n_b, "b", threads, ctl, &keys_b, err);
    }
    if (status == RT_OK) {
        walk(keys_a, n_a, keys_b, n_b, distance);
    }
    rt_free(keys_b);
    rt_free(keys_a);
    return status;
}
