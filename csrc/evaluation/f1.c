/* The threshold with the best F1, by sorting: only at a score that occurs does a
 * decision change, so one walk down the sorted scores meets every candidate. Unit:
 * rows.
 *
 *   F1(t) = 2 TP / (2 TP + FP + FN) = 2 TP / (predicted + positives)
 *
 * with TP = positives that score >= t and predicted = rows that do: two counts per
 * candidate, compared as fractions of integers. n log n for the sort, then n. */
#include "evaluation/f1.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

#include "base/alloc.h"
#include "base/radix_sort.h"
#include "evaluation/wide.h"

static rt_status check(const double *score, const uint8_t *label, int64_t rows,
                       rt_error *err)
{
    if (rows < 1) {
        return rt_fail(err, RT_INVALID, "rt_f1_threshold", "there are no scores");
    }
    for (int64_t i = 0; i < rows; i++) {
        if (isnan(score[i]) || label[i] > 1) {
            return rt_fail(err, RT_INVALID, "rt_f1_threshold",
                           "row %lld: scores must be numbers, labels 0 or 1",
                           (long long)i);
        }
    }
    return RT_OK;
}

/* a/b > c/d, exactly, for 0 <= a <= b and 0 <= c <= d: cross products of counts up to
 * 2^33 pass 64 bits. A quotient of doubles would make ties out of near ties. */
static bool larger(int64_t a, int64_t b, int64_t c, int64_t d)
{
    return (rt_int128)a * d > (rt_int128)c * b;
}

/* From the highest score down, a group of equal scores at a time: a threshold takes
 * them all or none. `positive` holds the ascending keys of the rows labelled 1, `all`
 * those of all rows. Only a larger F1 replaces the best, so of equal ones the highest
 * threshold stays; where nothing is positive, that is the highest score. */
static void sweep(const uint64_t *all, int64_t rows, const uint64_t *positive,
                  int64_t positives, rt_f1_best *best)
{
    int64_t taken = 0; /* positives at or above the threshold */
    int64_t at = rows; /* rows below it */
    *best = (rt_f1_best){rt_double_of_key(all[rows - 1]), 0, 0, positives};
    while (at > 0) {
        uint64_t key = all[at - 1];
        while (at > 0 && all[at - 1] == key) {
            at--;
        }
        while (taken < positives && positive[positives - 1 - taken] >= key) {
            taken++;
        }
        int64_t predicted = rows - at;
        if (best->predicted == 0 ||
            larger(taken, predicted + positives, best->true_positives,
                   best->predicted + positives)) {
            *best = (rt_f1_best){rt_double_of_key(key), taken, predicted, positives};
        }
    }
    assert(taken == positives && best->true_positives <= best->predicted);
    assert(0 < best->predicted && best->predicted <= rows);
}

rt_status rt_f1_threshold(const double *score, const uint8_t *label, int64_t rows,
                          rt_f1_best *best, rt_error *err)
{
    void *block = NULL;
    rt_status status = check(score, label, rows, err);
    if (status == RT_OK) {
        status = rt_alloc(&block, 3 * rows, sizeof(uint64_t), "rt_f1_threshold", err);
    }
    if (status != RT_OK) {
        return status;
    }
    uint64_t *all = block;
    uint64_t *positive = all + rows;
    uint64_t *spare = positive + rows;
    int64_t positives = 0;
    for (int64_t i = 0; i < rows; i++) {
        all[i] = rt_key_of_double(score[i]);
        if (label[i]) {
            positive[positives++] = all[i];
        }
    }
    rt_sort_keys(all, spare, rows);
    rt_sort_keys(positive, spare, positives);
    sweep(all, rows, positive, positives, best);
    rt_free(block);
    return RT_OK;
}
