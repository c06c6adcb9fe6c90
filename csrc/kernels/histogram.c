#include "kernels/histogram.h"

#include <string.h>

#include "base/alloc.h"

enum {
    LINE_CELLS = 8,    /* 8-byte cells in a cache line */
    PAGE_CELLS = 512,  /* 4,096 bytes of 8-byte cells */
    MERGE_CELLS = 1024 /* merged at a time, so that they stay in the cache */
};

int32_t rt_hist_stride(const rt_bins *bins)
{
    int32_t most = 0;
    for (int32_t f = 0; f < bins->features; f++) {
        most = bins->cuts[f].n_bins > most ? bins->cuts[f].n_bins : most;
    }
    int32_t stride = (most + 1 + LINE_CELLS - 1) / LINE_CELLS * LINE_CELLS + LINE_CELLS;
    return stride % PAGE_CELLS == 0 ? stride + LINE_CELLS : stride;
}

/* One block for the three planes. */
rt_status rt_histogram_init(rt_histogram *histogram, int64_t cells, rt_error *err)
{
    void *block = NULL;
    const size_t cell = 2 * sizeof(int64_t) + sizeof(uint32_t);
    rt_status status = rt_alloc(&block, cells, cell, "rt_histogram_init", err);
    histogram->g = block;
    histogram->h = block == NULL ? NULL : histogram->g + cells;
    histogram->rows = block == NULL ? NULL : (uint32_t *)(void *)(histogram->h + cells);
    return status;
}

void rt_histogram_clear(rt_histogram *histogram)
{
    rt_free(histogram->g);
    memset(histogram, 0, sizeof *histogram);
}

rt_status rt_scratch_init(rt_scratch *scratch, int64_t cells, bool packed,
                          rt_error *err)
{
    memset(scratch, 0, sizeof *scratch);
    /* The two forms are never in use together and share the block. */
    rt_status status =
        rt_alloc(&scratch->block, cells, sizeof(rt_gradient), "rt_scratch_init", err);
    if (status != RT_OK) {
        return status;
    }
    scratch->wide = scratch->block;
    scratch->packed = scratch->block;
    if (packed) {
        status = rt_histogram_init(&scratch->sum, cells, err);
    }
    if (status != RT_OK) {
        rt_scratch_clear(scratch);
    }
    return status;
}

void rt_scratch_clear(rt_scratch *scratch)
{
    rt_free(scratch->block);
    rt_histogram_clear(&scratch->sum);
    memset(scratch, 0, sizeof *scratch);
}

/* Between two looks at the cancel flag there are RT_PACKED_ROWS rows. */
static void add_rows(const rt_bins *bins, const rt_gradients *gradients,
                     const rt_hist_shape *shape, const int32_t *order, int64_t count,
                     rt_scratch *scratch, rt_ctl *ctl)
{
    const int64_t cells = (int64_t)shape->features * shape->stride;
    rt_hot_rows rows = {.bytes = bins->bytes,
                        .row_bytes = bins->stride,
                        .feature = shape->all ? NULL : shape->feature,
                        .features = shape->features,
                        .stride = shape->stride};
    for (int64_t at = 0; at < count && !rt_ctl_cancelled(ctl); at += RT_PACKED_ROWS) {
        rows.order = order + at;
        rows.count = count - at < RT_PACKED_ROWS ? count - at : RT_PACKED_ROWS;
        if (gradients->wide) {
            gradients->hot->add_wide(&rows, gradients->exact, scratch->wide);
            continue;
        }
        gradients->hot->add_packed(&rows, gradients->packed, scratch->packed);
        if (at + rows.count < count) {
            scratch->flushed = true;
            gradients->hot->flush(scratch->packed, cells, scratch->sum.g,
                                  scratch->sum.h, scratch->sum.rows);
        }
    }
}

static void take_plane(int64_t *from, int64_t *to, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        to[i] += from[i];
        from[i] = 0;
    }
}

/* Moves cells [at, at + count) of one rank's scratch into `out`. */
static void take_cells(const rt_gradients *gradients, rt_scratch *scratch, int64_t at,
                       int64_t count, rt_histogram *out)
{
    if (gradients->wide) {
        gradients->hot->flush_wide(scratch->wide + at, count, out->g + at, out->h + at,
                                   out->rows + at);
        return;
    }
    gradients->hot->flush(scratch->packed + at, count, out->g + at, out->h + at,
                          out->rows + at);
    if (scratch->flushed) {
        take_plane(scratch->sum.g + at, out->g + at, count);
        take_plane(scratch->sum.h + at, out->h + at, count);
        for (int64_t i = at; i < at + count; i++) {
            out->rows[i] += scratch->sum.rows[i];
            scratch->sum.rows[i] = 0;
        }
    }
}

static void merge_cells(const rt_gradients *gradients, rt_scratch *scratch,
                        int32_t ranks, int64_t at, int64_t count, rt_histogram *out,
                        rt_histogram *parent)
{
    memset(out->g + at, 0, (size_t)count * sizeof *out->g);
    memset(out->h + at, 0, (size_t)count * sizeof *out->h);
    memset(out->rows + at, 0, (size_t)count * sizeof *out->rows);
    for (int32_t r = 0; r < ranks; r++) {
        if (scratch[r].used) {
            take_cells(gradients, &scratch[r], at, count, out);
        }
    }
    if (parent != NULL) {
        gradients->hot->subtract(count, parent->g + at, out->g + at);
        gradients->hot->subtract(count, parent->h + at, out->h + at);
        gradients->hot->subtract_rows(count, parent->rows + at, out->rows + at);
    }
}

void rt_hist_build(const rt_bins *bins, const rt_gradients *gradients,
                   const rt_hist_shape *shape, const int32_t *order, int64_t count,
                   rt_scratch *scratch, rt_histogram *out, rt_histogram *parent,
                   rt_team team, rt_ctl *ctl)
{
    int64_t begin = 0;
    int64_t end = 0;
    rt_team_range(team, count, &begin, &end);
    scratch[team.rank].used = end > begin;
    scratch[team.rank].flushed = false;
    if (end > begin) {
        add_rows(bins, gradients, shape, order + begin, end - begin,
                 &scratch[team.rank], ctl);
    }
    rt_team_barrier(team);
    rt_team_range(team, (int64_t)shape->features * shape->stride, &begin, &end);
    for (int64_t at = begin; at < end; at += MERGE_CELLS) {
        merge_cells(gradients, scratch, team.size, at,
                    end - at < MERGE_CELLS ? end - at : MERGE_CELLS, out, parent);
    }
    rt_team_barrier(team);
}
