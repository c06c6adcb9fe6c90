/* Sums of g, h and rows per bin of every feature in play.
 *
 * A node's histogram has `features` x `stride` cells, in the form of the gradients: for
 * packed ones three planes (g, h, rows), for wide ones g and h with the rows beneath.
 * The stride is padded by a cache line beyond the bins: with a stride of exactly 256
 * cells the same bin of all features falls on one set of the L1 cache, which made
 * skewed columns up to fourteen times slower. Each rank adds its rows into a scratch of
 * its own; merging is integer addition. */
#ifndef RT_GBDT_HISTOGRAM_H
#define RT_GBDT_HISTOGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"
#include "gbdt/bins.h"
#include "gbdt/gradient.h"
#include "parallel/team.h"

typedef struct rt_histogram {
    bool is_wide; /* the sums are in `wide`, else in the planes: it is one memory */
    rt_gradient *wide;
    int64_t *g;
    int64_t *h;
    uint32_t *rows;
} rt_histogram;

/* One rank's scratch, all zero between two builds. Wide rows add into `wide`;
 * packed rows into `packed`, which every RT_PACKED_ROWS are flushed into `sum`. */
typedef struct rt_scratch {
    rt_gradient *wide;
    int64_t *packed;
    rt_histogram sum;
    void *block;
    bool used;         /* has rows of the histogram being built */
    bool flushed;      /* has some of them in `sum` */
    int64_t unflushed; /* so many of them are still packed */
} rt_scratch;

typedef struct rt_hist_shape {
    int32_t features;       /* columns in play for this tree */
    const int32_t *feature; /* [features] their numbers, ascending */
    int32_t stride;         /* cells from one feature to the next */
    int32_t groups;         /* bytes of a row that hold them */
    int32_t *group;         /* [groups] which */
    int32_t *first, *next; /* places in `feature` of a group's columns, -1 at the end */
    int32_t *place;        /* [all groups] zeros, to find a group's place + 1 */
    bool all;              /* the groups are 0 to groups - 1 */
    int32_t group_stride;  /* cells of scratch from one group to the next */
} rt_hist_shape;

/* What the histograms of a tree are made from; borrowed. */
typedef struct rt_hist_view {
    const rt_bins *bins;
    const rt_gradients *gradients;
    const rt_hist_shape *shape;
    rt_ctl *ctl;
} rt_hist_view;

/* Bytes [begin, end) of the shape. */
typedef struct rt_hist_part {
    int32_t begin, end;
} rt_hist_part;

/* Rows: some runs of `order`. */
typedef struct rt_hist_runs {
    const int32_t *order;
    const rt_run *run;
    int32_t runs;
} rt_hist_runs;

/* Sums go to `out` and are taken off `parent`, NULL: there is none. */
typedef struct rt_hist_target {
    rt_histogram *out, *parent;
} rt_hist_target;

/* Cells between features so that the largest one fits and the sets of the cache
 * are spread. */
int32_t rt_hist_stride(const rt_bins *bins);
int32_t rt_hist_group_stride(const rt_bins *bins);

/* The groups of the columns in play. */
void rt_hist_group(rt_hist_shape *shape, const rt_bins *bins);

RT_CHECKED rt_status rt_histogram_init(rt_histogram *histogram, int64_t cells,
                                       rt_error *err);
void rt_histogram_clear(rt_histogram *histogram);

RT_CHECKED rt_status rt_scratch_init(rt_scratch *scratch, int64_t cells, bool packed,
                                     rt_error *err);
void rt_scratch_clear(rt_scratch *scratch);

/* One rank's rows into a scratch of its own. When cancelled the sums are partial. */
void rt_hist_add(const rt_hist_view *view, const int32_t *order, rt_run run,
                 rt_scratch *scratch);

/* When all ranks have added theirs: one part of scratch[0..ranks) into the target. */
void rt_hist_merge(const rt_hist_view *view, rt_hist_part part, rt_scratch *scratch,
                   int32_t ranks, rt_hist_target target);

/* Both, for one part and all rows, by one rank: where rows are few, ranks share the
 * columns and have nothing to merge. */
void rt_hist_build_part(const rt_hist_view *view, rt_hist_runs rows, rt_hist_part part,
                        rt_scratch *scratch, rt_hist_target target);

#endif
