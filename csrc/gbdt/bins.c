/* Columns to bytes in three passes: cut every column into bins of about equal rows,
 * group columns of few bins into shared bytes, fill the bytes. Unit: a thread cuts some
 * columns at a time and fills a range of rows; neither decides anything another thread
 * could decide differently. */
#include "gbdt/bins.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/radix_sort.h"
#include "base/rng.h"
#include "gbdt/bins_cut.h"
#include "gbdt/simd/dispatch.h"

/* A block of FILL_ROWS rows is binned in arrays on the stack. The 255 inner uppers at
 * most are padded with +inf to NARROW, a power of two, so that every search takes eight
 * steps. CUT_COLUMNS float32 fill one cache line of a row-major table. */
enum { FILL_ROWS = 256, NARROW = 256, BYTE = 256, CUT_COLUMNS = 16 };

static int64_t round_up(int64_t value, int64_t to)
{
    return (value + to - 1) / to * to;
}

/* Bytes of the arrays of one cut; all multiples of 8, so that they can lie one
 * after the other. */
static int64_t cut_bytes(int32_t levels, int32_t max_bins)
{
    if (levels == 0) {
        return (int64_t)max_bins * (int64_t)sizeof(double) +
               NARROW * (int64_t)sizeof(float);
    }
    /* `levels` is -1 where no level is known: there is then nothing to map. */
    return round_up(RT_MAX_BINS * (int64_t)sizeof(int32_t), 8) +
           round_up(levels > 0 ? levels : 0, 8);
}

/* Parts that so many levels take, if all of them occur: ceil(levels / RT_MAX_BINS), but
 * at most RT_PARTS_MAX, since each costs a byte of every row. */
static int32_t parts_of(int32_t levels)
{
    const int32_t parts = levels / RT_MAX_BINS + (levels % RT_MAX_BINS > 0 ? 1 : 0);
    return levels <= RT_MAX_BINS ? 1 : parts < RT_PARTS_MAX ? parts : RT_PARTS_MAX;
}

/* The features' own cuts, and behind them the further parts of those of many levels. */
static void link_parts(rt_bins *bins, const int32_t *levels)
{
    rt_cut *part = bins->cuts + bins->features;
    for (int32_t f = 0; f < bins->features; f++) {
        rt_cut *cut = &bins->cuts[f];
        *cut = (rt_cut){.column = f, .levels = levels[f]};
        for (int32_t i = 1; i < parts_of(levels[f]); i++, cut = cut->more) {
            *part = (rt_cut){.column = f, .levels = levels[f]};
            cut->more = part++;
        }
    }
    assert(part == bins->cuts + bins->n_cuts);
}

/* One block for all columns: there may be a million of them. */
static rt_status carve_cuts(rt_bins *bins, rt_error *err)
{
    int64_t bytes = 0;
    for (int32_t c = 0; c < bins->n_cuts; c++) {
        bytes += cut_bytes(bins->cuts[c].levels, bins->making.max_bins);
    }
    rt_status status = rt_alloc(&bins->arena, bytes, 1, "rt_bins_init", err);
    if (status != RT_OK) {
        return status;
    }
    /* The arena begins on a cache line and all sizes are multiples of 8: every array of
     * doubles is aligned. */
    char *next = bins->arena;
    for (int32_t c = 0; c < bins->n_cuts; c++) {
        rt_cut *cut = &bins->cuts[c];
        if (cut->levels == 0) {
            cut->upper = (void *)next;
            cut->narrow = (void *)(cut->upper + bins->making.max_bins);
        } else {
            cut->level_of_bin = (void *)next;
            cut->bin_of_level =
                (void *)(next + round_up(RT_MAX_BINS * (int64_t)sizeof(int32_t), 8));
        }
        next += cut_bytes(cut->levels, bins->making.max_bins);
    }
    return RT_OK;
}

/* Each thread cuts some columns at a time: the keys of all and a spare for one, or for
 * categories the counts, the ranking and its spare. Bytes are joined by one. */
static rt_status make_workspace(rt_bins *bins, const int32_t *levels, rt_error *err)
{
    rt_bins_making *making = &bins->making;
    int64_t items = (making->cut_columns + 1) * making->n_sample;
    for (int32_t f = 0; f < bins->features; f++) {
        items = 3 * (int64_t)levels[f] > items ? 3 * (int64_t)levels[f] : items;
    }
    const rt_block blocks[] = {
        RT_BLOCK(making->keys, making->threads),
        RT_BLOCK(making->pairs, RT_BYTE_PAIRS),
        RT_BLOCK(making->new_group, bins->n_cuts),
    };
    rt_status status =
        rt_alloc_all(blocks, sizeof blocks / sizeof blocks[0], "rt_bins_init", err);
    for (int32_t t = 0; t < making->threads && status == RT_OK; t++) {
        const rt_block keys = RT_BLOCK(making->keys[t], items);
        status = rt_alloc_all(&keys, 1, "rt_bins_init", err);
    }
    return status;
}

/* Each row by itself, so the draw is the same for any team. */
static rt_status draw_sample(rt_bins *bins, rt_error *err)
{
    rt_bins_making *making = &bins->making;
    const double share = (double)RT_CUT_ROWS / (double)bins->rows;
    /* The share as a bound on the upper 53 bits of the hash. */
    const uint64_t limit = (uint64_t)(share * 9007199254740992.0); /* 2^53 */
    making->n_sample = bins->rows; /* few rows: all of them */
    if (bins->rows <= RT_CUT_ROWS) {
        return RT_OK;
    }
    const rt_block sample = RT_BLOCK(making->sample, bins->rows);
    rt_status status = rt_alloc_all(&sample, 1, "rt_bins_init", err);
    if (status != RT_OK) {
        return status;
    }
    making->n_sample = 0;
    for (int64_t i = 0; i < bins->rows; i++) {
        /* Written always and kept only if drawn: no branch to mispredict. */
        making->sample[making->n_sample] = (int32_t)i;
        making->n_sample += rt_mix64((uint64_t)i + 1) >> 11 < limit ? 1 : 0;
    }
    return RT_OK;
}

/* How many columns a thread cuts together; at least one, as there are no more threads
 * than columns. A batch of row-major columns then uses whole cache lines. */
static int32_t columns_at_once(int32_t features, int32_t threads)
{
    return features / threads < CUT_COLUMNS ? features / threads : CUT_COLUMNS;
}

rt_status rt_bins_init(rt_bins *bins, int64_t rows, int32_t features,
                       const int32_t *levels, int32_t max_bins, int32_t threads,
                       rt_error *err)
{
    assert(rows > 0 && features > 0 && threads > 0);
    assert(2 <= max_bins && max_bins <= RT_MAX_BINS);
    memset(bins, 0, sizeof *bins);
    bins->rows = rows;
    bins->features = features;
    for (int32_t f = 0; f < features; f++) {
        bins->n_cuts += parts_of(levels[f]);
    }
    bins->hot = rt_hot_in_use();
    /* The most that a row can need; rt_bins_group and rt_bins_join make it less. */
    bins->stride = (int32_t)round_up(bins->n_cuts, RT_ROW_ALIGNMENT);
    bins->making.max_bins = max_bins;
    /* A column is cut by one thread: more threads than columns would idle. */
    bins->making.threads = threads < features ? threads : features;
    bins->making.cut_columns = columns_at_once(features, bins->making.threads);

    const rt_block blocks[] = {
        RT_BLOCK(bins->cuts, bins->n_cuts),
        {&bins->bytes, rows, (size_t)bins->stride},
        {&bins->columns, rows, (size_t)bins->n_cuts},
    };
    rt_status status =
        rt_alloc_all(blocks, sizeof blocks / sizeof blocks[0], "rt_bins_init", err);
    if (status != RT_OK) {
        goto done;
    }
    link_parts(bins, levels);
    status = carve_cuts(bins, err);
    if (status != RT_OK) {
        goto done;
    }
    status = draw_sample(bins, err);
    if (status != RT_OK) {
        goto done;
    }
    status = make_workspace(bins, levels, err);
done:
    if (status != RT_OK) {
        rt_bins_clear(bins);
    }
    return status;
}

/* Also after an init that failed halfway, where any pointer may be NULL. */
void rt_bins_drop_workspace(rt_bins *bins)
{
    rt_bins_making *making = &bins->making;
    for (int32_t t = 0; making->keys != NULL && t < making->threads; t++) {
        rt_free(making->keys[t]);
    }
    rt_free(making->keys);
    rt_free(making->sample);
    rt_free(making->pairs);
    rt_free(making->new_group);
    *making = (rt_bins_making){0};
}

void rt_bins_clear(rt_bins *bins)
{
    rt_bins_drop_workspace(bins);
    rt_free(bins->bytes);
    rt_free(bins->columns);
    rt_free(bins->arena);
    rt_free(bins->cuts);
    memset(bins, 0, sizeof *bins);
}

/* Rows without weight are left out of the bins, not of the matrix. */
static int64_t source_row(const rt_bins *bins, int64_t row)
{
    return bins->making.source == NULL ? row : bins->making.source[row];
}

/* The largest float that is not above x. For any float f, f <= x exactly when f <=
 * that, so float32 columns fall into the same bins as if they were widened. Beyond the
 * range of float32 a cast would be undefined. */
static float float_below(double x)
{
    if (x > (double)FLT_MAX) {
        return FLT_MAX;
    }
    if (x < -(double)FLT_MAX) {
        return -INFINITY;
    }
    float near = (float)x;
    return (double)near > x ? nextafterf(near, -INFINITY) : near;
}

/* For columns of float32, which are binned without widening. */
static void narrow_uppers(rt_cut *cut)
{
    for (int32_t i = 0; i < NARROW; i++) {
        cut->narrow[i] = i < cut->n_bins - 1 ? float_below(cut->upper[i]) : INFINITY;
    }
}

/* The sampled numbers of columns [begin, end) that are there, as keys; a column's lie
 * n_sample after those of the one before. Together, for they share the lines of memory.
 */
static void gather_keys(const rt_bins *bins, const rt_matrix *x, int32_t begin,
                        int32_t end, uint64_t *keys, int64_t *present)
{
    memset(present, 0, (size_t)(end - begin) * sizeof *present);
    for (int64_t i = 0; i < bins->making.n_sample; i++) {
        const int64_t row =
            source_row(bins, bins->making.sample == NULL ? i : bins->making.sample[i]);
        for (int32_t k = 0; k < end - begin; k++) {
            const double value = rt_matrix_at(x, row, begin + k);
            /* A NaN is written too and not counted: the next number takes its place,
             * and no branch depends on the data. */
            keys[k * bins->making.n_sample + present[k]] = rt_key_of_double(value);
            present[k] += isnan(value) ? 0 : 1;
        }
    }
}

/* `counts` is first the sort's scratch, then holds how often each key occurs. */
static void cut_number_column(const rt_bins *bins, int32_t feature, uint64_t *keys,
                              uint64_t *counts, int64_t present)
{
    rt_cut *cut = &bins->cuts[feature];
    int64_t distinct = 0;
    rt_sort_keys(keys, counts, present);
    /* The spare half is free again: collapse equal keys, counting them there. */
    for (int64_t i = 0; i < present; i++) {
        if (distinct > 0 && keys[i] == keys[distinct - 1]) {
            counts[distinct - 1]++;
        } else {
            keys[distinct] = keys[i];
            counts[distinct++] = 1;
        }
    }
    rt_cut_numbers(cut, keys, counts, distinct, present, bins->making.max_bins);
    assert(cut->n_bins <= bins->making.max_bins && cut->n_bins <= distinct);
    narrow_uppers(cut);
}

/* The whole number in [0, levels) that x is, or -1. */
static int32_t level_of(double x, int32_t levels)
{
    /* Written so that NaN fails it; what passes can be cast. */
    if (!(x >= 0.0 && x < (double)levels)) {
        return -1;
    }
    int32_t level = (int32_t)x;
    return (double)level == x ? level : -1;
}

/* Levels are counted over all rows: the rarest would be missing from a sample. */
static void cut_level_column(rt_bins *bins, const rt_matrix *x, int32_t feature,
                             uint64_t *counts)
{
    rt_cut *cut = &bins->cuts[feature];
    if (cut->levels < 0) { /* no level is known: all rows are missing */
        return;
    }
    memset(counts, 0, (size_t)cut->levels * sizeof *counts);
    for (int64_t i = 0; i < bins->rows; i++) {
        double value = rt_matrix_at(x, source_row(bins, i), feature);
        int32_t level = level_of(value, cut->levels);
        if (level >= 0) {
            counts[level]++;
        }
    }
    rt_cut_levels(cut, counts, counts + cut->levels);
}

/* Has it no bin of its own? A level can also be unknown or too rare. */
static bool is_missing(const rt_cut *cut, double value)
{
    return cut->levels == 0 ? isnan(value) : rt_bin_of_level(cut, value) == cut->n_bins;
}

/* Which of columns [begin, end) that have few bins need a digit for what is missing.
 * Only these ask before bytes are shared: in a byte of its own a column has at most 255
 * bins, so there is always a value left for it. */
static void note_missing(rt_bins *bins, const rt_matrix *x, int32_t begin, int32_t end)
{
    int32_t open[CUT_COLUMNS]; /* those of which nothing was missing so far */
    int32_t n_open = 0;
    for (int32_t f = begin; f < end; f++) {
        atomic_store_explicit(&bins->cuts[f].has_missing, false, memory_order_relaxed);
        open[n_open] = f;
        n_open += bins->cuts[f].n_bins < RT_DIGITS_MAX ? 1 : 0;
    }
    for (int64_t i = 0; i < bins->rows && n_open > 0; i++) {
        const int64_t row = source_row(bins, i);
        for (int32_t k = n_open - 1; k >= 0; k--) {
            rt_cut *cut = &bins->cuts[open[k]];
            if (is_missing(cut, rt_matrix_at(x, row, open[k]))) {
                atomic_store_explicit(&cut->has_missing, true, memory_order_relaxed);
                /* The last one moves here. The walk goes down, so it has seen this
                 * row. */
                open[k] = open[--n_open];
            }
        }
    }
}

/* Columns [begin, end), at most bins->making.cut_columns. */
static void cut_columns(rt_bins *bins, const rt_matrix *x, int32_t begin, int32_t end,
                        uint64_t *workspace)
{
    int64_t present[CUT_COLUMNS];
    uint64_t *counts = workspace + bins->making.cut_columns * bins->making.n_sample;
    gather_keys(bins, x, begin, end, workspace, present);
    for (int32_t f = begin; f < end; f++) {
        if (bins->cuts[f].levels == 0) {
            cut_number_column(bins, f, workspace + (f - begin) * bins->making.n_sample,
                              counts, present[f - begin]);
        }
    }
    for (int32_t f = begin; f < end; f++) { /* the keys are not needed any more */
        if (bins->cuts[f].levels != 0) {
            cut_level_column(bins, x, f, workspace);
        }
    }
    note_missing(bins, x, begin, end);
}

/* Columns go round the ranks in batches: near columns often cost the same. A column's
 * cut depends on its numbers alone, so it does not matter who makes it. */
void rt_bins_cut(rt_bins *bins, const rt_matrix *x, rt_team team, rt_ctl *ctl)
{
    const int32_t columns = bins->making.cut_columns;
    const int32_t ranks =
        team.size < bins->making.threads ? team.size : bins->making.threads;
    for (int32_t f = team.rank * columns;
         team.rank < ranks && f < bins->features && !rt_ctl_cancelled(ctl);
         f += ranks * columns) {
        const int32_t end = f + columns < bins->features ? f + columns : bins->features;
        cut_columns(bins, x, f, end, bins->making.keys[team.rank]);
    }
}

/* Columns of few bins become digits of bytes, in their order, as long as the product of
 * their digits fits: byte = sum of bin * step, where step is the product of the digits
 * before. Every other column has a byte of its own. */
void rt_bins_group(rt_bins *bins)
{
    int32_t open = -1;   /* the byte that takes more digits */
    int32_t product = 1; /* of the digits in it */
    for (int32_t c = 0; c < bins->n_cuts; c++) {
        rt_cut *cut = &bins->cuts[c];
        /* A further part that no level reached has no byte. */
        if (!rt_cut_in_use(bins, c)) {
            continue;
        }
        int32_t digits = cut->n_bins + (atomic_load(&cut->has_missing) ? 1 : 0);
        bool few = rt_cut_has_digits(cut);
        cut->opens = !few || open < 0 || product * digits > BYTE;
        if (cut->opens) {
            /* A column with a byte of its own leaves the open byte open. */
            cut->group = bins->groups++;
            product = few ? 1 : product;
            open = few ? cut->group : open;
            bins->digit_groups += few ? 1 : 0;
        } else {
            cut->group = open;
            bins->joint = true;
        }
        cut->step = few ? product : 1; /* its digit is byte / step % digits */
        product *= few ? digits : 1;
        for (int32_t byte = 0; byte < BYTE; byte++) {
            cut->bin_of_byte[byte] = (uint8_t)(few ? byte / cut->step % digits : byte);
        }
        assert(cut->step * (few ? digits : 1) <= BYTE); /* all digits fit the byte */
    }
    assert(0 < bins->groups && bins->groups <= bins->n_cuts);
    bins->stride = (int32_t)round_up(bins->groups, RT_ROW_ALIGNMENT);
}

int32_t rt_bin_of_number(const rt_cut *cut, double x)
{
    /* Binary search over the inner uppers by selects, not branches: which half is taken
     * is as good as random. It ends at the first upper that is not below x. */
    const double *base = cut->upper;
    int32_t length = cut->n_bins - 1;   /* the last upper is +inf */
    if (isnan(x) || cut->n_bins == 0) { /* no bins: the sample had no number */
        return cut->n_bins;
    }
    while (length > 0) {
        int32_t half = length / 2;
        bool beyond = base[half] < x;
        base += beyond ? half + 1 : 0;
        length = beyond ? length - half - 1 : half;
    }
    return (int32_t)(base - cut->upper);
}

/* What has no bin of its own, unknown, rare or in another part, has n_bins. */
int32_t rt_bin_of_level(const rt_cut *cut, double x)
{
    int32_t level = level_of(x, cut->levels);
    return level < 0 ? cut->n_bins : cut->bin_of_level[level];
}

/* One column of a block of at most FILL_ROWS rows; true if some are missing. */
static bool fill_column(const rt_bins *bins, const rt_matrix *x, const rt_cut *cut,
                        int64_t begin, int64_t rows)
{
    const int32_t feature = cut->column;
    float number[FILL_ROWS];
    uint8_t bin[FILL_ROWS];
    bool missing = false;
    if (cut->levels == 0 && !x->is_f64 && cut->n_bins > 0) {
        for (int64_t i = 0; i < rows; i++) {
            number[i] = (float)rt_matrix_at(x, source_row(bins, begin + i), feature);
        }
        /* By vectors; in the same bins as rt_bin_of_number, see float_below. */
        bins->hot->bin_floats(number, rows, cut->narrow, (uint8_t)cut->n_bins, bin);
    } else {
        for (int64_t i = 0; i < rows; i++) {
            double value = rt_matrix_at(x, source_row(bins, begin + i), feature);
            bin[i] = (uint8_t)(cut->levels == 0 ? rt_bin_of_number(cut, value)
                                                : rt_bin_of_level(cut, value));
        }
    }
    uint8_t *column = rt_bins_column(bins, cut) + begin;
    for (int64_t i = 0; i < rows; i++) {
        /* The first digit overwrites, the others add: the sum fits a byte by
         * rt_bins_group. Cuts are filled in their order, so the first comes first. */
        column[i] = (uint8_t)((cut->opens ? 0 : column[i]) + bin[i] * cut->step);
        missing |= bin[i] == cut->n_bins;
    }
    return missing;
}

void rt_bins_fill(rt_bins *bins, const rt_matrix *x, rt_team team, rt_ctl *ctl)
{
    int64_t begin = 0;
    int64_t end = 0;
    assert(bins->groups > 0); /* rt_bins_group has run */
    rt_team_range(team, bins->rows, &begin, &end);
    /* Small blocks: the rows stay in cache while the columns pass over them. */
    for (int64_t at = begin; at < end && !rt_ctl_cancelled(ctl); at += FILL_ROWS) {
        int64_t rows = end - at < FILL_ROWS ? end - at : FILL_ROWS;
        for (int32_t c = 0; c < bins->n_cuts; c++) {
            rt_cut *cut = &bins->cuts[c];
            if (rt_cut_in_use(bins, c) && fill_column(bins, x, cut, at, rows)) {
                /* Several ranks may store at once, but all store the same. */
                atomic_store_explicit(&cut->has_missing, true, memory_order_relaxed);
            }
        }
    }
}
