/* The loops that take the time, built once per x86 level and chosen at run time.
 *
 * loops.h is compiled three times (baseline, AVX2, AVX-512) from one source.
 * Integers are exact and doubles go through the same IEEE operations in the same
 * order without contraction, so all builds give the same bits; on other
 * processors there is the baseline build alone. */
#ifndef RT_GBDT_SIMD_DISPATCH_H
#define RT_GBDT_SIMD_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/isa.h"
#include "gbdt/leaf_masks.h"

/* In the wide form h holds (h << RT_COUNT_BITS) + 1, else h alone. */
typedef struct rt_gradient {
    int64_t g;
    uint64_t h;
} rt_gradient;

/* Cells from one feature to the next where some have (nearly) all bins: any stride will
 * do, this one is fastest. Not 256, see histogram.h. */
enum { RT_HOT_STRIDE = 264 };

/* Rows to be added to a histogram. */
typedef struct rt_hot_rows {
    const uint8_t *bytes; /* rows of bins, `row_bytes` apart */
    int64_t row_bytes;
    const int32_t *order; /* [count] rows, ascending */
    int64_t count;
    const int32_t *feature; /* [features] columns, NULL: 0 to features - 1 */
    int32_t features;
    int64_t stride; /* cells from one feature to the next */
} rt_hot_rows;

/* The sides of all candidate splits of one numeric feature. */
typedef struct rt_hot_scan {
    const rt_gradient *wide; /* [bins] of the feature; NULL: in planes */
    const int64_t *g, *h;    /* [bins] each */
    const uint32_t *rows;
    int32_t bins;
    int64_t first_g, first_h, first_rows; /* what is left of the first bin */
    int64_t node_g, node_h, node_rows;
    double g_unit, h_unit, l2, min_child_weight;
    int64_t min_rows;
} rt_hot_scan;

/* A batch of rows whose derivatives are wanted. */
enum { RT_HOT_BATCH = 256 };
typedef struct rt_hot_derive {
    int64_t count;        /* at most RT_HOT_BATCH */
    const double *p;      /* [count] prediction, minus `target` is g */
    const double *target; /* [count] */
    const double *weight; /* [count] or NULL: all 1 */
    double weight_scale, g_steps, h_steps;
    bool square; /* h = 1 instead of p (1 - p) */
    double h_factor;
    int32_t shift; /* 0, or RT_COUNT_BITS in the wide form */
    int64_t most_g, most_h;
} rt_hot_derive;

typedef struct rt_hot {
    const char *name;
    /* cells[j * stride + bin] += packed[row] */
    void (*add_packed)(const rt_hot_rows *rows, const int64_t *packed, int64_t *cells);
    void (*add_wide)(const rt_hot_rows *rows, const rt_gradient *exact,
                     rt_gradient *cells);
    /* Adds the packed sums to the planes, or `fresh`: puts them there; clears them. */
    void (*flush)(int64_t *packed, int64_t cells, bool fresh, int64_t *g, int64_t *h,
                  uint32_t *rows);
    /* a -= b, plane by plane */
    void (*subtract)(int64_t cells, int64_t *restrict a, const int64_t *restrict b);
    void (*subtract_rows)(int64_t cells, uint32_t *restrict a,
                          const uint32_t *restrict b);
    /* The bin i for which "bins 0 to i go left" scores best, the first of equal ones,
     * and its score; -1: nowhere can both sides stand alone. */
    int32_t (*scan)(const rt_hot_scan *scan, double *best);
    /* Rows by table[byte of the column]: left ones into `left`, the others into
     * `right`, both in order; how many are left. */
    int64_t (*partition)(const uint8_t *column, const uint8_t *table,
                         const int32_t *order, int64_t count, int32_t *left,
                         int32_t *right);
    /* bin[i] = how many of the 255 ascending uppers lie below x[i]; NaN: `nan_bin` */
    void (*bin_floats)(const float *x, int64_t count, const float *upper,
                       uint8_t nan_bin, uint8_t *bin);
    void (*sigmoid)(const double *x, int64_t count, double *p);
    /* The largest of each row's scores, which lie `stride` apart, and the sum of
     * exp(score - largest) in their order. */
    void (*soft_sums)(const double *score, int64_t stride, int32_t outputs,
                      int64_t count, double *most, double *sum);
    /* p = exp(score - most) / sum */
    void (*soft_shares)(const double *score, const double *most, const double *sum,
                        int64_t count, double *p);
    void (*derive)(rt_hot_derive *job, rt_gradient *out);
    /* Rounded at random; the noise of out[i] is a hash of (key, row + i). */
    void (*pack)(const rt_gradient *exact, int64_t count, int64_t row, uint64_t key,
                 double g_scale, double h_scale, int64_t *out);
    /* Both planes of a column of levels from its numbers, which are in the first. */
    void (*quick_levels)(int32_t levels, rt_quick_cell *cells);
    /* out[i] += the leaf of row i of a block. */
    void (*quick_tree)(const rt_quick_tree *tree, const rt_quick_cell *cells,
                       double *out);
    /* log(1 + exp(x)), finite for any x. */
    void (*softplus)(const double *x, int64_t count, double *out);
} rt_hot;

/* The build for the level in use (base/isa.h). */
const rt_hot *rt_hot_in_use(void);

extern const rt_hot rt_hot_baseline;
#if defined(__x86_64__)
extern const rt_hot rt_hot_avx2, rt_hot_avx512;
#endif

#endif
