/* Counts as bytes that merge: any split of the rows, any order and any tree of
 * merges ends in the same bytes, so a partial result can lie in a file, travel
 * between processes, or be reused tomorrow.
 *
 * Version 1, little-endian throughout:
 *
 *   0  "RTAC"   4  u16 version   6  u16 kind   8  u32 n_basis   12  u32 n_axes
 *   16  u64 axis[n_axes]   f64 basis[n_basis]   i64 count[product of the axes]
 *
 * The basis is what must be equal for two results to be about the same thing
 * (edges of bins, thresholds): it is compared bit by bit, never merged. */
#ifndef RT_EVALUATION_ACCUMULATOR_H
#define RT_EVALUATION_ACCUMULATOR_H

#include <stdint.h>

#include "base/status.h"

typedef enum rt_accum_kind {
    RT_ACCUM_DRIFT = 1,  /* day x bin */
    RT_ACCUM_CELLS = 2,  /* day x levels ... x 8 */
    RT_ACCUM_RUNS = 3,   /* run x (key, positives, negatives), keys ascending */
    RT_ACCUM_SCORES = 4, /* rt_score_sums */
    RT_ACCUM_SHADOW = 5  /* rt_shadow_counts */
} rt_accum_kind;

enum { RT_ACCUM_AXES = 10, RT_ACCUM_BASIS = 1 << 12 };

/* Numbers in the machine's order, borrowed. */
typedef struct rt_accum {
    int32_t kind;
    int32_t n_axes;
    int64_t axis[RT_ACCUM_AXES];
    int64_t n_basis;
    int64_t n_counts;
    const uint64_t *basis; /* bits of doubles */
    const int64_t *counts;
} rt_accum;

/* Whether kind, axes and counts can belong together; RT_CORRUPT if not. Sets
 * n_counts. */
RT_CHECKED rt_status rt_accum_check(rt_accum *accum, rt_error *err);

int64_t rt_accum_bytes(const rt_accum *accum);
void rt_accum_write(const rt_accum *accum, uint8_t *bytes);

/* Reads and checks. The numbers lie in *block, which the caller frees. */
RT_CHECKED rt_status rt_accum_read(const uint8_t *bytes, int64_t n_bytes,
                                   rt_accum *accum, void **block, rt_error *err);

/* The merge of two; RT_INVALID when they are not about the same thing. */
RT_CHECKED rt_status rt_accum_merge(const rt_accum *a, const rt_accum *b,
                                    rt_accum *merged, void **block, rt_error *err);

#endif
