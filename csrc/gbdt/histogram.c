/* Rows are added byte by byte of the shape into a rank's scratch, scratches are merged
 * into the node's histogram, and the parent's becomes the sibling's by subtraction. All
 * of it is integer addition, so neither ranks nor batches show in the result. Unit: one
 * cell is one value of one byte (scratch), or one bin of one feature (histogram). */
#include "gbdt/histogram.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

enum {
    LINE_CELLS = 8, /* 8-byte cells in a cache line */
    HALF_PAGE_CELLS = 256,
    MERGE_CELLS = 1024, /* merged at a time, so that they stay in the cache */
    BYTE = 256,
    CELL_BYTES = 2 * sizeof(int64_t) + sizeof(uint32_t)
};

/* Whole lines, one of them to spare, and never half a page: histogram.h says why. */
static int32_t padded(int32_t cells)
{
    int32_t stride = (cells + LINE_CELLS - 1) / LINE_CELLS * LINE_CELLS + LINE_CELLS;
    return stride == HALF_PAGE_CELLS ? RT_HOT_STRIDE : stride;
}

/* The widest column and its cell for missing values. */
int32_t rt_hist_stride(const rt_bins *bins)
{
    int32_t most = 0;
    for (int32_t c = 0; c < bins->n_cuts; c++) {
        most = bins->cuts[c].n_bins > most ? bins->cuts[c].n_bins : most;
    }
    return padded(most + 1);
}

/* A byte that several columns share takes any of its 256 values. */
int32_t rt_hist_group_stride(const rt_bins *bins)
{
    return bins->joint ? padded(BYTE) : rt_hist_stride(bins);
}

/* `place` is all zeros before and after: a list of what was seen would have to be
 * searched, and clearing all of it would cost more than clearing what was set. */
void rt_hist_group(rt_hist_shape *shape, const rt_bins *bins)
{
    shape->groups = 0;
    for (int32_t at = 0; at < shape->features; at++) {
        const rt_cut *cut = &bins->cuts[shape->feature[at]];
        int32_t *place = &shape->place[cut->group];
        if (*place == 0) { /* not yet seen */
            shape->group[shape->groups++] = cut->group;
            *place = shape->groups;
            shape->first[*place - 1] = -1;
        }
        /* Columns of one byte form a list: the last one seen comes first. */
        shape->next[at] = shape->first[*place - 1];
        shape->first[*place - 1] = at;
    }
    /* All bytes in their order need no list of features: rows are read straight
     * through. */
    shape->all = shape->groups == bins->groups;
    /* Back to zeros, for the next tree's choice of columns. */
    for (int32_t i = 0; i < shape->groups; i++) {
        shape->all = shape->all && shape->group[i] == i;
        shape->place[shape->group[i]] = 0;
    }
}

/* A histogram over memory for either form: 20 bytes a cell. */
static rt_histogram over(void *block, int64_t cells, bool is_wide)
{
    int64_t *g = block;
    return (rt_histogram){.is_wide = is_wide,
                          .wide = block,
                          .g = g,
                          .h = g + cells,
                          .rows = (uint32_t *)(void *)(g + 2 * cells)};
}

rt_status rt_histogram_init(rt_histogram *histogram, int64_t cells, rt_error *err)
{
    void *block = NULL;
    rt_status status = rt_alloc(&block, cells, CELL_BYTES, "rt_histogram_init", err);
    if (status == RT_OK) {
        *histogram = over(block, cells, false);
    }
    return status;
}

/* One block backs both forms, so `wide` and `g` are the same address. */
void rt_histogram_clear(rt_histogram *histogram)
{
    rt_free(histogram->wide);
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
    /* Only packed fields can fill up before the node is done. */
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

/* The cells are zero already: whoever takes them leaves zeros, which costs less than a
 * pass of its own that clears them. */
static void start_scratch(rt_scratch *scratch)
{
    scratch->used = false;
    scratch->flushed = false;
    scratch->unflushed = 0;
}

/* One part of the shape; wide rows go to `wide`. Between two looks at the cancel flag
 * there are RT_PACKED_ROWS rows. */
static void add_rows(const rt_hist_view *view, rt_hist_part part, const int32_t *order,
                     int64_t count, rt_scratch *scratch, rt_gradient *wide)
{
    const rt_hist_shape *shape = view->shape;
    const rt_gradients *gradients = view->gradients;
    /* Each byte has cells of its own, so an addition is one load, add and store at
     * byte * stride + value; parts of the shape never touch each other's. */
    const int64_t cells = (int64_t)shape->groups * shape->group_stride;
    const int64_t first = (int64_t)part.begin * shape->group_stride;
    rt_hot_rows rows = {.bytes = view->bins->bytes + (shape->all ? part.begin : 0),
                        .row_bytes = view->bins->stride,
                        .feature = shape->all ? NULL : shape->group + part.begin,
                        .features = part.end - part.begin,
                        .stride = shape->group_stride};
    scratch->used = scratch->used || count > 0;
    for (int64_t at = 0; at < count && !rt_ctl_cancelled(view->ctl);
         at += RT_PACKED_ROWS) {
        rows.order = order + at;
        rows.count = count - at < RT_PACKED_ROWS ? count - at : RT_PACKED_ROWS;
        if (gradients->wide) {
            /* 64 bits a field hold all rows that the wide form allows. */
            gradients->hot->add_wide(&rows, gradients->exact, wide + first);
            continue;
        }
        /* Packed fields hold RT_PACKED_ROWS rows. All cells are flushed, also those of
         * other parts, which are zero: a scratch serves one build at a time. */
        if (scratch->unflushed + rows.count > RT_PACKED_ROWS) {
            gradients->hot->flush(scratch->packed, cells, false, scratch->sum.g,
                                  scratch->sum.h, scratch->sum.rows);
            scratch->flushed = true;
            scratch->unflushed = 0;
        }
        gradients->hot->add_packed(&rows, gradients->packed, scratch->packed + first);
        scratch->unflushed += rows.count;
        assert(scratch->unflushed <= RT_PACKED_ROWS); /* or the fields overflow */
    }
}

/* Takes and clears in one pass over the memory. */
static void take_plane(int64_t *from, int64_t *to, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        to[i] += from[i];
        from[i] = 0;
    }
}

/* Moves cells [from, from + count) of one rank's scratch to those of `out` from `at`
 * on; what is there is forgotten (`fresh`) or added to. */
static void take_cells(const rt_gradients *gradients, rt_scratch *scratch, int64_t from,
                       int64_t count, bool fresh, rt_histogram *out, int64_t at)
{
    if (gradients->wide) {
        if (fresh) {
            memset(out->wide + at, 0, (size_t)count * sizeof *out->wide);
        }
        for (int64_t i = 0; i < count; i++) {
            out->wide[at + i].g += scratch->wide[from + i].g;
            out->wide[at + i].h += scratch->wide[from + i].h;
            scratch->wide[from + i] = (rt_gradient){0, 0};
        }
        return;
    }
    /* What is still packed, then what had to be flushed before. */
    gradients->hot->flush(scratch->packed + from, count, fresh, out->g + at,
                          out->h + at, out->rows + at);
    if (scratch->flushed) {
        take_plane(scratch->sum.g + from, out->g + at, count);
        take_plane(scratch->sum.h + from, out->h + at, count);
        for (int64_t i = 0; i < count; i++) {
            out->rows[at + i] += scratch->sum.rows[from + i];
            scratch->sum.rows[from + i] = 0;
        }
    }
}

/* Rows lie beneath h and are never more on the right: nothing is borrowed. */
static void subtract_cells(const rt_gradients *gradients, rt_histogram *from,
                           const rt_histogram *what, int64_t at, int64_t count)
{
    if (gradients->wide) {
        gradients->hot->subtract(2 * count, &from->wide[at].g, &what->wide[at].g);
        return;
    }
    gradients->hot->subtract(count, from->g + at, what->g + at);
    gradients->hot->subtract(count, from->h + at, what->h + at);
    gradients->hot->subtract_rows(count, from->rows + at, what->rows + at);
}

/* Cells [from, from + count) of all ranks together. */
static void take_all(const rt_gradients *gradients, rt_scratch *scratch, int32_t ranks,
                     int64_t from, int64_t count, rt_histogram *out, int64_t at)
{
    bool fresh = true; /* some rank has rows: a node is never empty */
    for (int32_t r = 0; r < ranks; r++) {
        if (scratch[r].used) {
            take_cells(gradients, &scratch[r], from, count, fresh, out, at);
            fresh = false;
        }
    }
}

/* One feature's own histogram: the sum over all others of its byte. Cells beyond its
 * bins are read by nobody and stay as they are. */
static void spread(const rt_cut *cut, const rt_histogram *sum, const uint8_t *live,
                   int32_t n_live, rt_histogram *out, int64_t at)
{
    /* One more than bins, for what is missing. */
    const size_t cells = (size_t)cut->n_bins + 1;
    if (sum->is_wide) {
        memset(out->wide + at, 0, cells * sizeof *out->wide);
        for (int32_t i = 0; i < n_live; i++) {
            rt_gradient *to = &out->wide[at + cut->bin_of_byte[live[i]]];
            /* A digit of the byte is the bin: values that differ in other digits meet.
             */
            to->g += sum->wide[live[i]].g;
            to->h += sum->wide[live[i]].h;
        }
        return;
    }
    memset(out->g + at, 0, cells * sizeof *out->g);
    memset(out->h + at, 0, cells * sizeof *out->h);
    memset(out->rows + at, 0, cells * sizeof *out->rows);
    for (int32_t i = 0; i < n_live; i++) {
        int32_t byte = live[i];
        int32_t bin = cut->bin_of_byte[byte];
        out->g[at + bin] += sum->g[byte];
        out->h[at + bin] += sum->h[byte];
        out->rows[at + bin] += sum->rows[byte];
    }
}

/* The values of a byte that some row has. */
static int32_t list_live(const rt_histogram *sum, uint8_t live[BYTE])
{
    int32_t n_live = 0;
    for (int32_t byte = 0; byte < BYTE; byte++) {
        uint64_t rows =
            sum->is_wide ? sum->wide[byte].h & RT_COUNT_MASK : sum->rows[byte];
        /* Written always and kept only if it has rows: no branch to mispredict. */
        live[n_live] = (uint8_t)byte;
        n_live += rows > 0 ? 1 : 0;
    }
    return n_live;
}

/* One byte of the shape, which may hold several features: summed over ranks on the
 * stack, then once more for each feature over the values that occur. */
static void merge_group(const rt_hist_view *view, rt_scratch *scratch, int32_t ranks,
                        int32_t place, rt_hist_target target)
{
    _Alignas(RT_ALIGNMENT) char block[BYTE * CELL_BYTES];
    /* Joint bytes have gaps: walking through the live values alone spares the rest for
     * every feature of the byte. */
    uint8_t live[BYTE];
    const rt_hist_shape *shape = view->shape;
    rt_histogram sum = over(block, BYTE, view->gradients->wide);
    take_all(view->gradients, scratch, ranks, (int64_t)place * shape->group_stride,
             BYTE, &sum, 0);
    const int32_t n_live = list_live(&sum, live);
    for (int32_t i = shape->first[place]; i >= 0; i = shape->next[i]) {
        const rt_cut *cut = &view->bins->cuts[shape->feature[i]];
        /* The larger child is never summed: it is the parent less the smaller one, and
         * takes the parent's memory. */
        int64_t at = (int64_t)i * shape->stride;
        spread(cut, &sum, live, n_live, target.out, at);
        if (target.parent != NULL) {
            subtract_cells(view->gradients, target.parent, target.out, at,
                           cut->n_bins + 1);
        }
    }
}

/* Cell by cell where every byte is one feature, else byte by byte. Blocks of cells that
 * fit the cache are merged and subtracted before the next: the memory is read once. */
void rt_hist_merge(const rt_hist_view *view, rt_hist_part part, rt_scratch *scratch,
                   int32_t ranks, rt_hist_target target)
{
    assert(0 <= part.begin && part.begin <= part.end);
    assert(part.end <= view->shape->groups && target.out != target.parent);
    if (view->bins->joint) {
        for (int32_t place = part.begin; place < part.end; place++) {
            merge_group(view, scratch, ranks, place, target);
        }
        return;
    }
    const int64_t stop = (int64_t)part.end * view->shape->stride;
    for (int64_t at = (int64_t)part.begin * view->shape->stride; at < stop;
         at += MERGE_CELLS) {
        /* Ranks are added in their order, though for integers any order would do. */
        int64_t count = stop - at < MERGE_CELLS ? stop - at : MERGE_CELLS;
        take_all(view->gradients, scratch, ranks, at, count, target.out, at);
        if (target.parent != NULL) {
            subtract_cells(view->gradients, target.parent, target.out, at, count);
        }
    }
}

void rt_hist_add(const rt_hist_view *view, const int32_t *order, rt_run run,
                 rt_scratch *scratch)
{
    /* A rank's rows, all bytes: merged later with those of the other ranks. */
    start_scratch(scratch);
    add_rows(view, (rt_hist_part){0, view->shape->groups}, order + run.begin, run.rows,
             scratch, scratch->wide);
}

void rt_hist_build_part(const rt_hist_view *view, rt_hist_runs rows, rt_hist_part part,
                        rt_scratch *scratch, rt_hist_target target)
{
    /* Where every byte is one feature, cells of the scratch are those of the histogram:
     * wide rows go there without a detour. Packed ones need their planes unpacked. */
    const bool at_once = view->gradients->wide && !view->bins->joint;
    const int64_t at = (int64_t)part.begin * view->shape->stride;
    const int64_t cells = (int64_t)(part.end - part.begin) * view->shape->stride;
    rt_histogram *out = target.out;
    if (at_once) {
        memset(out->wide + at, 0, (size_t)cells * sizeof *out->wide);
    }
    start_scratch(scratch);
    for (int32_t i = 0; i < rows.runs; i++) {
        add_rows(view, part, rows.order + rows.run[i].begin, rows.run[i].rows, scratch,
                 at_once ? out->wide : scratch->wide);
    }
    if (!at_once) {
        rt_hist_merge(view, part, scratch, 1, target);
    } else if (target.parent != NULL) {
        subtract_cells(view->gradients, target.parent, out, at, cells);
    }
}
