/* Where bins end: as many rows in each as whole values allow. Unit: one column, its
 * values sorted and counted. */
#include "gbdt/bins_cut.h"

#include <float.h>
#include <math.h>

#include "base/limits.h"
#include "base/radix_sort.h"

/* True when t separates the neighbours both as they are and as float32 sees
 * them, so that a float32 export of the model decides alike. */
static bool separates(double t, double low, double high)
{
    bool narrow_alike = (float)low == (float)high ||
                        ((double)(float)low <= t && t < (double)(float)high);
    return low <= t && t < high && narrow_alike;
}

/* Some t with low <= t < high: exactly representable in float32 wherever the
 * neighbours leave room for one, else a double. Casts of doubles beyond
 * float32's range are undefined in C, hence the clamp. */
double rt_threshold_between(double low, double high)
{
    double a = low < -(double)FLT_MAX ? -(double)FLT_MAX : low;
    double b = high > (double)FLT_MAX ? (double)FLT_MAX : high;
    if (a < b && a <= (double)FLT_MAX && b >= -(double)FLT_MAX) {
        float below = (float)a;
        /* Kept as floats: gcc 12's vectoriser drops the rounding from a vector
         * of doubles that were narrowed and widened (-fno-trapping-math). */
        const float tries[] = {(float)(0.5 * a + 0.5 * b), below,
                               nextafterf(below, INFINITY)};
        /* The middle comes first: it leaves both sides the same room for new values. */
        for (int32_t i = 0; i < 3; i++) {
            double t = (double)tries[i];
            if (isfinite(t) && separates(t, a, b)) {
                return t;
            }
        }
    }
    /* Halved before they are added: the sum could overflow. Between neighbouring
     * doubles there is nothing, and low itself separates them (x <= low goes left). */
    double middle = 0.5 * low + 0.5 * high;
    return middle >= low && middle < high ? middle : low;
}

/* The state of the greedy walk: how many rows are still to be shared among how
 * many bins, as they were when the last bin closed (mean = rows / bins, kept as
 * a fraction so that no rounding decides). */
typedef struct walk {
    int64_t rows_left, bins_left;
    uint64_t mean_rows, mean_bins;
} walk;

/* Fills a bin by itself, count >= rows / max_bins; as products of integers, which stay
 * below 2^40. */
static bool is_big(uint64_t count, int64_t rows, int32_t max_bins)
{
    return count * (uint64_t)max_bins >= (uint64_t)rows;
}

/* The last bin takes all that is left, however much the count of bins left says. */
static void renew_mean(walk *w)
{
    w->mean_rows = (uint64_t)w->rows_left;
    w->mean_bins = (uint64_t)(w->bins_left > 1 ? w->bins_left : 1);
}

/* Big values are taken out first: the mean is that of the others. */
static walk walk_start(const uint64_t *counts, int64_t distinct, int64_t rows,
                       int32_t max_bins)
{
    walk w = {rows, max_bins, 0, 0};
    for (int64_t i = 0; i < distinct; i++) {
        if (is_big(counts[i], rows, max_bins)) {
            w.rows_left -= (int64_t)counts[i];
            w.bins_left--;
        }
    }
    renew_mean(&w);
    return w;
}

/* Values so frequent that they fill a bin get one of their own; the others
 * share what is left as evenly as whole values allow (LightGBM's greedy rule in
 * exact integers). */
static int32_t cut_greedily(double *upper, const uint64_t *keys, const uint64_t *counts,
                            int64_t distinct, int64_t rows, int32_t max_bins)
{
    walk w = walk_start(counts, distinct, rows, max_bins);
    uint64_t filled = 0;
    int32_t made = 0;
    for (int64_t i = 0; i + 1 < distinct && made < max_bins - 1; i++) {
        bool big = is_big(counts[i], rows, max_bins);
        bool next_big = is_big(counts[i + 1], rows, max_bins);
        filled += counts[i];
        w.rows_left -= big ? 0 : (int64_t)counts[i]; /* big ones are out already */
        /* A bin closes when it is full, and when half full in front of a big value,
         * which is to stand alone. */
        if (big || filled * w.mean_bins >= w.mean_rows ||
            (next_big && 2 * filled * w.mean_bins >= w.mean_rows)) {
            upper[made++] = rt_threshold_between(rt_double_of_key(keys[i]),
                                                 rt_double_of_key(keys[i + 1]));
            filled = 0;
            if (!big) {
                w.bins_left--;
                renew_mean(&w);
            }
        }
    }
    return made;
}

void rt_cut_numbers(rt_cut *cut, const uint64_t *keys, const uint64_t *counts,
                    int64_t distinct, int64_t rows, int32_t max_bins)
{
    int32_t made = 0;
    /* With few values each has a bin: a split can then separate any two of them. */
    if (distinct <= max_bins) {
        for (int64_t i = 0; i + 1 < distinct; i++) {
            cut->upper[made++] = rt_threshold_between(rt_double_of_key(keys[i]),
                                                      rt_double_of_key(keys[i + 1]));
        }
    } else {
        made = cut_greedily(cut->upper, keys, counts, distinct, rows, max_bins);
    }
    cut->n_bins = 0;
    if (distinct > 0) {
        cut->upper[made] = INFINITY;
        cut->n_bins = made + 1;
    }
}

/* Bins of `kept` levels, those that are marked by 1, in the order of the levels: each
 * part of the cut takes RT_MAX_BINS of them. To a part all others are missing. */
static void number_levels(rt_cut *cut, int32_t kept)
{
    int32_t left = kept;
    for (rt_cut *part = cut; part != NULL; part = part->more) {
        part->n_bins = left < RT_MAX_BINS ? left : RT_MAX_BINS;
        left -= part->n_bins;
        atomic_store_explicit(&part->has_missing, part != cut, memory_order_relaxed);
    }
    rt_cut *open = cut;
    int32_t next = 0;
    for (int32_t level = 0; level < cut->levels; level++) {
        const bool own = cut->bin_of_level[level] == 1;
        if (own && next == RT_MAX_BINS) {
            open = open->more;
            next = 0;
        }
        /* Missing to all parts first, then the bin in its own. */
        for (rt_cut *part = cut; part != NULL; part = part->more) {
            part->bin_of_level[level] = (uint8_t)part->n_bins;
        }
        if (own) {
            open->bin_of_level[level] = (uint8_t)next;
            open->level_of_bin[next++] = level;
        }
    }
}

/* The most frequent levels get bins (ties: the smaller level); the rest counts as
 * missing. */
void rt_cut_levels(rt_cut *cut, uint64_t *counts, uint64_t *spare)
{
    int32_t room = 0;
    for (const rt_cut *part = cut; part != NULL; part = part->more) {
        room += RT_MAX_BINS;
    }
    int32_t seen = 0;
    uint64_t *ranked = spare;
    for (int32_t level = 0; level < cut->levels; level++) {
        if (counts[level] > 0) {
            /* Ascending keys: most rows first, then the smaller level. Counts are below
             * 2^31 and levels at most 2^20, so 32 bits hold each. */
            ranked[seen++] = (0xffffffffu - counts[level]) << 32 | (uint64_t)level;
        }
        cut->bin_of_level[level] = 0;
    }
    const int32_t kept = seen < room ? seen : room;
    rt_sort_keys(ranked, spare + cut->levels, seen);
    for (int32_t i = 0; i < kept; i++) {
        /* A mark; number_levels makes bins of it. */
        cut->bin_of_level[ranked[i] & 0xffffffffu] = 1;
    }
    number_levels(cut, kept);
}
