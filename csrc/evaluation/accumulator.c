/* Counts as bytes (accumulator.h draws them): writing, total checking, and the merge,
 * by addition cell by cell or, for runs of equal keys, as two sorted lists. Addition is
 * associative and commutative, so any tree of merges gives the same bytes. */
#include "evaluation/accumulator.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/sizes.h"
#include "evaluation/cells.h"
#include "evaluation/scores.h"
#include "evaluation/shadow.h"

static const char where[] = "rt_accum";

enum { VERSION = 1, HEADER_BYTES = 16, WORD_BYTES = 8, RUN_FIELDS = 3 };
static const uint8_t MAGIC[4] = {'R', 'T', 'A', 'C'};

/* Bytes are put together by shifts, so the machine's own order never shows. */
static void put(uint8_t *at, uint64_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get(const uint8_t *at, int n_bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < n_bytes; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

static rt_status corrupt(const char *what, rt_error *err)
{
    return rt_fail(err, RT_CORRUPT, where, "not an accumulator: %s", what);
}

static bool axes_fit(const rt_accum *a)
{
    switch (a->kind) {
    case RT_ACCUM_DRIFT:
        return a->n_axes == 2;
    case RT_ACCUM_CELLS:
        return a->n_axes >= 2 && a->axis[a->n_axes - 1] == RT_CELLS;
    case RT_ACCUM_RUNS:
        return a->n_axes == 2 && a->axis[1] == RUN_FIELDS;
    case RT_ACCUM_SCORES:
        return a->n_axes == 1 && a->axis[0] == sizeof(rt_score_sums) / WORD_BYTES;
    case RT_ACCUM_SHADOW:
        return a->n_axes == 1 && a->axis[0] == sizeof(rt_shadow_counts) / WORD_BYTES;
    default:
        return false;
    }
}

/* One form per content, or equal contents could have unequal bytes: keys of runs
 * strictly ascend and no run is empty. */
static bool runs_fit(const rt_accum *a)
{
    for (int64_t i = 0; i < a->n_counts; i += RUN_FIELDS) {
        const int64_t *run = a->counts + i;
        if (run[1] < 0 || run[2] < 0 || (run[1] | run[2]) == 0 ||
            (i > 0 && run[-RUN_FIELDS] >= run[0])) {
            return false;
        }
    }
    return true;
}

static bool counts_fit(const rt_accum *a)
{
    if (a->kind == RT_ACCUM_RUNS) {
        return runs_fit(a);
    }
    for (int64_t i = 0; i < a->n_counts; i++) {
        if (a->counts[i] < 0) {
            return false;
        }
    }
    return true;
}

static bool size_of_axes(rt_accum *a)
{
    a->n_counts = 1;
    for (int32_t i = 0; i < a->n_axes; i++) {
        if (a->axis[i] < 0 || !rt_mul_i64(a->n_counts, a->axis[i], &a->n_counts) ||
            a->n_counts > INT64_MAX / (4 * WORD_BYTES)) {
            return false;
        }
    }
    return true;
}

rt_status rt_accum_check(rt_accum *accum, rt_error *err)
{
    if (accum->n_axes < 1 || accum->n_axes > RT_ACCUM_AXES || !size_of_axes(accum) ||
        !axes_fit(accum)) {
        return corrupt("kind and axes do not go together", err);
    }
    if (accum->n_basis < 0 || accum->n_basis > RT_ACCUM_BASIS) {
        return corrupt("the basis is too long", err);
    }
    if (!counts_fit(accum)) {
        return corrupt("counts are negative, or runs out of order", err);
    }
    return RT_OK;
}

int64_t rt_accum_bytes(const rt_accum *a)
{
    return HEADER_BYTES + WORD_BYTES * (a->n_axes + a->n_basis + a->n_counts);
}

static uint8_t *put_words(uint8_t *at, const void *words, int64_t count)
{
    for (int64_t i = 0; i < count; i++, at += WORD_BYTES) {
        uint64_t word = 0;
        memcpy(&word, (const uint8_t *)words + i * WORD_BYTES, sizeof word);
        put(at, word, WORD_BYTES);
    }
    return at;
}

void rt_accum_write(const rt_accum *a, uint8_t *bytes)
{
    memcpy(bytes, MAGIC, sizeof MAGIC);
    put(bytes + 4, VERSION, 2);
    put(bytes + 6, (uint64_t)a->kind, 2);
    put(bytes + 8, (uint64_t)a->n_basis, 4);
    put(bytes + 12, (uint64_t)a->n_axes, 4);
    uint8_t *at = put_words(bytes + HEADER_BYTES, a->axis, a->n_axes);
    at = put_words(at, a->basis, a->n_basis);
    at = put_words(at, a->counts, a->n_counts);
    assert(at == bytes + rt_accum_bytes(a));
}

/* Room for basis and counts in one block. */
static rt_status make_room(rt_accum *a, void **block, uint64_t **basis,
                           int64_t **counts, rt_error *err)
{
    rt_status status =
        rt_alloc(block, a->n_basis + a->n_counts, WORD_BYTES, where, err);
    if (status == RT_OK) {
        *basis = *block;
        *counts = (int64_t *)*block + a->n_basis;
        a->basis = *basis;
        a->counts = *counts;
    }
    return status;
}

/* Header and axes; every size is known to fit `n_bytes` before memory is taken. */
static rt_status read_header(const uint8_t *bytes, int64_t n_bytes, rt_accum *a,
                             rt_error *err)
{
    *a = (rt_accum){0};
    if (n_bytes < HEADER_BYTES || memcmp(bytes, MAGIC, sizeof MAGIC) != 0) {
        return corrupt("it does not begin with RTAC", err);
    }
    if (get(bytes + 4, 2) != VERSION) {
        return rt_fail(err, RT_CORRUPT, where,
                       "accumulator version %d; this build reads version %d",
                       (int)get(bytes + 4, 2), VERSION);
    }
    a->kind = (int32_t)get(bytes + 6, 2);
    a->n_basis = (int64_t)get(bytes + 8, 4);
    uint64_t n_axes = get(bytes + 12, 4);
    if (n_axes > RT_ACCUM_AXES || a->n_basis > RT_ACCUM_BASIS ||
        n_bytes < HEADER_BYTES + WORD_BYTES * (int64_t)n_axes) {
        return corrupt("its header names impossible sizes", err);
    }
    a->n_axes = (int32_t)n_axes;
    for (int32_t i = 0; i < a->n_axes; i++) {
        a->axis[i] = (int64_t)get(bytes + HEADER_BYTES + WORD_BYTES * i, WORD_BYTES);
    }
    if (!size_of_axes(a) || rt_accum_bytes(a) != n_bytes) {
        return corrupt("its length is not what its header says", err);
    }
    return RT_OK;
}

rt_status rt_accum_read(const uint8_t *bytes, int64_t n_bytes, rt_accum *accum,
                        void **block, rt_error *err)
{
    uint64_t *basis = NULL;
    int64_t *counts = NULL;

    *block = NULL;
    rt_status status = read_header(bytes, n_bytes, accum, err);
    if (status == RT_OK) {
        status = make_room(accum, block, &basis, &counts, err);
    }
    if (status != RT_OK) {
        return status;
    }
    const uint8_t *at = bytes + HEADER_BYTES + WORD_BYTES * accum->n_axes;
    for (int64_t i = 0; i < accum->n_basis; i++, at += WORD_BYTES) {
        basis[i] = get(at, WORD_BYTES);
    }
    for (int64_t i = 0; i < accum->n_counts; i++, at += WORD_BYTES) {
        counts[i] = (int64_t)get(at, WORD_BYTES);
    }
    return rt_accum_check(accum, err);
}

static rt_status check_pair(const rt_accum *a, const rt_accum *b, rt_error *err)
{
    bool same =
        a->kind == b->kind && a->n_axes == b->n_axes && a->n_basis == b->n_basis;
    for (int32_t i = 0; same && i < a->n_axes; i++) {
        bool free_length = a->kind == RT_ACCUM_RUNS && i == 0;
        same = free_length || a->axis[i] == b->axis[i];
    }
    if (same && a->n_basis > 0) {
        same = memcmp(a->basis, b->basis, (size_t)a->n_basis * WORD_BYTES) == 0;
    }
    if (same) {
        return RT_OK;
    }
    return rt_fail(err, RT_INVALID, where,
                   "the two accumulators differ in kind, shape, bin edges or "
                   "thresholds: they do not merge");
}

static bool add_all(const rt_accum *a, const rt_accum *b, int64_t *counts)
{
    bool whole = true;
    for (int64_t i = 0; i < a->n_counts; i++) {
        whole &= rt_add_i64(a->counts[i], b->counts[i], &counts[i]);
    }
    return whole;
}

static void carry(rt_fixed *sum)
{
    sum->units += sum->parts >> RT_FIXED_BITS;
    sum->parts &= (INT64_C(1) << RT_FIXED_BITS) - 1;
}

static void settle_scores(int64_t *counts)
{
    rt_score_sums *sums = (rt_score_sums *)counts;
    carry(&sums->log_loss);
    carry(&sums->brier);
    for (int bin = 0; bin < RT_CALIBRATION_BINS; bin++) {
        carry(&sums->bins[bin].score);
    }
}

/* All of it adds up but the two extremes. */
static void settle_shadow(const rt_accum *a, const rt_accum *b, int64_t *counts)
{
    const rt_shadow_counts *x = (const rt_shadow_counts *)a->counts;
    const rt_shadow_counts *y = (const rt_shadow_counts *)b->counts;
    rt_shadow_counts *sum = (rt_shadow_counts *)counts;
    sum->challenger_low =
        x->challenger_low < y->challenger_low ? x->challenger_low : y->challenger_low;
    sum->challenger_high = x->challenger_high > y->challenger_high ? x->challenger_high
                                                                   : y->challenger_high;
}

/* Both ascend, so one walk merges them; returns the words written, or -1 when a
 * count does not fit. */
static int64_t merge_runs(const rt_accum *a, const rt_accum *b, int64_t *out)
{
    int64_t at = 0;
    for (int64_t i = 0, j = 0; i < a->n_counts || j < b->n_counts; at += RUN_FIELDS) {
        const int64_t *x = i < a->n_counts ? a->counts + i : NULL;
        const int64_t *y = j < b->n_counts ? b->counts + j : NULL;
        bool take_x = x != NULL && (y == NULL || x[0] <= y[0]);
        bool take_y = y != NULL && (x == NULL || y[0] <= x[0]);
        memcpy(out + at, take_x ? x : y, RUN_FIELDS * sizeof *out);
        if (take_x && take_y &&
            (!rt_add_i64(x[1], y[1], &out[at + 1]) ||
             !rt_add_i64(x[2], y[2], &out[at + 2]))) {
            return -1;
        }
        i += take_x ? RUN_FIELDS : 0;
        j += take_y ? RUN_FIELDS : 0;
    }
    return at;
}

/* The extremes of a shadow must not be added: INT64_MAX stands for none. */
static bool merge_counts(const rt_accum *a, const rt_accum *b, rt_accum *merged,
                         int64_t *counts)
{
    if (a->kind == RT_ACCUM_RUNS) {
        int64_t words = merge_runs(a, b, counts);
        merged->axis[0] = words / RUN_FIELDS;
        merged->n_counts = words;
        return words >= 0;
    }
    bool whole = add_all(a, b, counts);
    if (a->kind == RT_ACCUM_SCORES) {
        settle_scores(counts);
    }
    if (a->kind == RT_ACCUM_SHADOW) {
        settle_shadow(a, b, counts);
        whole = counts[0] >= 0; /* rows bound all counts; extremes may have wrapped */
    }
    return whole;
}

rt_status rt_accum_merge(const rt_accum *a, const rt_accum *b, rt_accum *merged,
                         void **block, rt_error *err)
{
    uint64_t *basis = NULL;
    int64_t *counts = NULL;

    *block = NULL;
    *merged = *a;
    rt_status status = check_pair(a, b, err);
    if (status != RT_OK) {
        return status;
    }
    merged->n_counts += a->kind == RT_ACCUM_RUNS ? b->n_counts : 0;
    status = make_room(merged, block, &basis, &counts, err);
    if (status != RT_OK) {
        return status;
    }
    if (a->n_basis > 0) {
        memcpy(basis, a->basis, (size_t)a->n_basis * WORD_BYTES);
    }
    if (!merge_counts(a, b, merged, counts)) {
        return rt_fail(err, RT_LIMIT, where, "a merged count passes 2^63");
    }
    return RT_OK;
}
