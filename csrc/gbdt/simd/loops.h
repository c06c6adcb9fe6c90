/* The loops behind rt_hot; included by one file per x86 level, which defines
 * RT_HOT and RT_HOT_NAME. No include guard: each inclusion is another build. */
#include <math.h>
#include <string.h>

#include "base/math.h"
#include "base/rng.h"
#include "gbdt/gradient.h"
#include "gbdt/simd/dispatch.h"

enum {
    AHEAD = 16,  /* rows between a prefetch and its use */
    LINE = 64,   /* bytes of the cache */
    UPPERS = 256 /* of bin_floats, the last one +inf */
};

/* Between whole numbers and doubles by bits that vectors can move: only AVX-512 has
 * instructions for it (RT_HOT_CONVERTS), which round alike. */
#define SHIFT 0x1.8p52 /* what is added to it is rounded to a whole number */

static inline double as_double(int64_t x)
{
#ifdef RT_HOT_CONVERTS
    return (double)x;
#else
    /* Both halves as digits beneath a power of two: 2^52 + low, and 2^84 + 2^63 + 2^32
     * high, where the exclusive or turns the sign of the upper half into an offset. The
     * difference is exact; one sum rounds. */
    const double low = rt_from_bits(((uint64_t)x & UINT32_MAX) | rt_to_bits(0x1p52));
    const double high = rt_from_bits(((uint64_t)x >> 32) ^ rt_to_bits(0x1p84 + 0x1p63));
    return (high - (0x1p84 + 0x1p63 + 0x1p52)) + low;
#endif
}

/* The same of numbers in [0, 2^52), which are the lower bits of 2^52 + x: the sum is
 * never rounded. */
static inline double as_double_small(int64_t x)
{
    return rt_from_bits((uint64_t)x | rt_to_bits(0x1p52)) - 0x1p52;
}

/* The nearest whole number, of two the even one; |x| < 2^51. Beyond 2^52 doubles are
 * whole, so the processor's own rounding does it. */
static inline double nearest(double x)
{
    return (x + SHIFT) - SHIFT;
}

/* nearest() as an integer: by how much x has moved the bits of SHIFT. */
static inline int64_t as_integer_small(double x)
{
    return (int64_t)(rt_to_bits(x + SHIFT) - rt_to_bits(SHIFT));
}

/* The same up to 2^62: the lower 32 bits by themselves. x less its upper part is exact,
 * at most 2^31, and rounds as x does. */
static inline int64_t as_integer(double x)
{
#ifdef RT_HOT_CONVERTS
    return (int64_t)__builtin_rint(x);
#else
    const double high = nearest(x * 0x1p-32);
    const uint64_t upper = (uint64_t)as_integer_small(high) << 32;
    return (int64_t)(upper + (uint64_t)as_integer_small(x - high * 0x1p32));
#endif
}

/* One 16-byte add for g and h together. */
typedef int64_t pair __attribute__((vector_size(16), may_alias));

/* A macro: gcc holds a function that does nothing but prefetch for one without effect
 * and drops its calls. All lines of the
 * `span` bytes that are read: not every processor fetches the second by
 * itself, and a row need not begin where a line does. */
#define LOOK_AHEAD(rows, i, span, values)                                              \
    do {                                                                               \
        if ((i) + AHEAD < (rows)->count) {                                             \
            const int64_t next = (rows)->order[(i) + AHEAD];                           \
            const uint8_t *line = (rows)->bytes + next * (rows)->row_bytes;            \
            const uint8_t *last = line + (span)-1;                                     \
            for (; line < last; line += LINE) {                                        \
                __builtin_prefetch(line);                                              \
            }                                                                          \
            __builtin_prefetch(last);                                                  \
            __builtin_prefetch((values) + next);                                       \
        }                                                                              \
    } while (0)

#define ADD_VALUE int64_t
#define ADD_CELL int64_t
#define ADD_NAME(name) name##_packed
#include "gbdt/simd/add.h"

#define ADD_VALUE rt_gradient
#define ADD_CELL pair
#define ADD_NAME(name) name##_wide
#include "gbdt/simd/add.h"

static void flush(int64_t *restrict packed, int64_t cells, bool fresh,
                  int64_t *restrict g, int64_t *restrict h, uint32_t *restrict rows)
{
    /* Fresh cells hold what an earlier node left: dropped without a branch. */
    const int64_t keep = fresh ? 0 : -1; /* a mask */
    for (int64_t i = 0; i < cells; i++) {
        /* The fields beneath g are sums of numbers that are not negative and do not
         * overflow, so the arithmetic shift gives g exactly. */
        const int64_t sum = packed[i];
        g[i] = (g[i] & keep) + (sum >> RT_PACKED_G_AT);
        h[i] = (h[i] & keep) + ((sum >> RT_PACKED_H_AT) & RT_PACKED_H_MASK);
        rows[i] = (rows[i] & (uint32_t)keep) + (uint32_t)(sum & RT_PACKED_COUNT_MASK);
        packed[i] = 0;
    }
}

/* Planes of integers in plain loops: the compiler makes vectors of them. */
static void subtract(int64_t cells, int64_t *restrict a, const int64_t *restrict b)
{
    for (int64_t i = 0; i < cells; i++) {
        a[i] -= b[i];
    }
}

static void subtract_rows(int64_t cells, uint32_t *restrict a,
                          const uint32_t *restrict b)
{
    for (int64_t i = 0; i < cells; i++) {
        a[i] -= b[i];
    }
}

/* Can a side of these sums stand alone? The same test as rt_side_stands. */
static inline bool stands(const rt_hot_scan *job, int64_t h, int64_t rows)
{
    return rows >= job->min_rows && h > 0 &&
           (double)h * job->h_unit >= job->min_child_weight;
}

/* key[i]: G^2 / (H + l2) of both sides, as one fraction: a division takes as long as
 * all the rest. h sums to less than 2^53, so the right side's is exact in double too.
 * Scores are not negative: as integers they have the same order. The left sides' sums
 * lie `step` apart, h above `shift` bits. */
__attribute__((always_inline)) static inline int64_t
score_bins(const rt_hot_scan *job, const int64_t *restrict left_g,
           const int64_t *restrict left_h, const int64_t step, const int32_t shift,
           int64_t count, int64_t *restrict key)
{
    const double g_unit = job->g_unit, h_unit = job->h_unit, l2 = job->l2;
    const double node_h = (double)job->node_h;
    const int64_t node_g = job->node_g;
    int64_t most = 0; /* no score is less */
    for (int64_t i = 0; i < count; i++) {
        const int64_t g = left_g[i * step];
        const double h =
            as_double_small((int64_t)((uint64_t)left_h[i * step] >> shift));
        const double a = as_double(g) * g_unit;
        const double c = as_double(node_g - g) * g_unit;
        const double left_l2 = h * h_unit + l2;
        const double right_l2 = (node_h - h) * h_unit + l2;
        const double score =
            (a * a * right_l2 + c * c * left_l2) / (left_l2 * right_l2);
        /* The bits of doubles that are not negative ascend with their values. */
        memcpy(&key[i], &score, sizeof score);
        most = key[i] > most ? key[i] : most;
    }
    return most;
}

/* The maximum first, by vectors, then where it is first met: of equal scores the
 * smaller bin wins. Without a branch that leaves early this is vectors too. */
static int32_t first_equal(const int64_t *key, int32_t count, int64_t wanted)
{
    int32_t first = count;
    for (int32_t i = 0; i < count; i++) {
        const int32_t at = key[i] == wanted ? i : count;
        first = at < first ? at : first;
    }
    return first;
}

/* Sides grow from bin to bin: those bins at which both can stand alone are a run. */
static int32_t scan_planes(const rt_hot_scan *job, double *best)
{
    int64_t left_g[UPPERS], left_h[UPPERS], left_rows[UPPERS], key[UPPERS];
    int64_t g = job->first_g, h = job->first_h, rows = job->first_rows;
    int32_t begin = 0;
    int32_t end = job->bins;
    for (int32_t i = 0; i < job->bins; i++) {
        /* Prefix sums are the one serial part; bins without rows repeat a sum. */
        left_g[i] = g += job->g[i];
        left_h[i] = h += job->h[i];
        left_rows[i] = rows += job->rows[i];
    }
    while (begin < end && !stands(job, left_h[begin], left_rows[begin])) {
        begin++;
    }
    while (end > begin && !stands(job, job->node_h - left_h[end - 1],
                                  job->node_rows - left_rows[end - 1])) {
        end--;
    }
    if (begin == end) {
        return -1;
    }
    const int64_t most =
        score_bins(job, left_g + begin, left_h + begin, 1, 0, end - begin, key);
    memcpy(best, &most, sizeof most);
    return begin + first_equal(key, end - begin, most);
}

static inline bool wide_stands(const rt_hot_scan *job, uint64_t h)
{
    return stands(job, (int64_t)(h >> RT_COUNT_BITS), (int64_t)(h & RT_COUNT_MASK));
}

/* scan_planes where rows lie beneath h: one addition sums all three. */
static int32_t scan_wide(const rt_hot_scan *job, double *best)
{
    rt_gradient left[UPPERS];
    int64_t key[UPPERS];
    const rt_gradient first = {job->first_g, ((uint64_t)job->first_h << RT_COUNT_BITS) +
                                                 (uint64_t)job->first_rows};
    const uint64_t all =
        ((uint64_t)job->node_h << RT_COUNT_BITS) + (uint64_t)job->node_rows;
    int32_t begin = 0;
    int32_t end = job->bins;
    /* The row counts of both sides stay below 2^17, so nothing is carried into h. */
    pair sum;
    memcpy(&sum, &first, sizeof sum);
    for (int32_t i = 0; i < job->bins; i++) {
        sum += ((const pair *)job->wide)[i];
        memcpy(&left[i], &sum, sizeof sum);
    }
    while (begin < end && !wide_stands(job, left[begin].h)) {
        begin++;
    }
    while (end > begin && !wide_stands(job, all - left[end - 1].h)) {
        end--;
    }
    if (begin == end) {
        return -1;
    }
    const int64_t *from = (const int64_t *)(const void *)&left[begin]; /* g, h, g, h */
    const int64_t most =
        score_bins(job, from, from + 1, 2, RT_COUNT_BITS, end - begin, key);
    memcpy(best, &most, sizeof most);
    return begin + first_equal(key, end - begin, most);
}

static int32_t scan(const rt_hot_scan *job, double *best)
{
    return job->wide != NULL ? scan_wide(job, best) : scan_planes(job, best);
}

/* Without branches: each row is written to both sides, and only one of the two
 * moves on. */
__attribute__((always_inline)) static inline int64_t
part(const uint8_t *column, const uint8_t *restrict table, const int32_t *order,
     int64_t count, int32_t *left, int32_t *right, const bool look_ahead)
{
    int64_t lefts = 0;
    int64_t rights = 0;
    for (int64_t i = 0; i < count; i++) {
        const int32_t row = order[i];
        if (look_ahead && i + 2 * AHEAD < count) {
            __builtin_prefetch(column + order[i + 2 * AHEAD]);
        }
        const int64_t goes_left = table[column[row]]; /* 0 or 1 */
        /* `left` may be `order`: lefts <= i, so only what has been read is
         * overwritten. */
        left[lefts] = row;
        right[rights] = row;
        lefts += goes_left;
        rights += 1 - goes_left;
    }
    return lefts;
}

/* `left` may be `order` itself. Rows are ascending: where on average each line of the
 * column has one, the processor fetches them by itself. */
static int64_t partition(const uint8_t *column, const uint8_t *table,
                         const int32_t *order, int64_t count, int32_t *left,
                         int32_t *right)
{
    if (count > 0 && order[count - 1] - order[0] < LINE * count) {
        return part(column, table, order, count, left, right, false);
    }
    return part(column, table, order, count, left, right, true);
}

/* A binary search of eight steps that all numbers of a batch take together, so
 * that they can be taken by vectors. */
static void bin_floats(const float *x, int64_t count, const float *restrict upper,
                       uint8_t nan_bin, uint8_t *restrict bin)
{
    int32_t at[RT_HOT_BATCH];
    for (int64_t begin = 0; begin < count; begin += RT_HOT_BATCH) {
        const float *from = x + begin;
        const int32_t n =
            (int32_t)(count - begin < RT_HOT_BATCH ? count - begin : RT_HOT_BATCH);
        memset(at, 0, sizeof at);
        for (int32_t half = UPPERS / 2; half > 0; half /= 2) {
            for (int32_t i = 0; i < n; i++) {
                /* A select, and steps of 128, 64 to 1: all numbers of a batch do the
                 * same. */
                at[i] += upper[at[i] + half - 1] < from[i] ? half : 0;
            }
        }
        for (int32_t i = 0; i < n; i++) {
            /* NaN is not below any upper and not equal to itself. */
            bin[begin + i] = from[i] == from[i] ? (uint8_t)at[i] : nan_bin;
        }
    }
}

/* rt_sigmoid selects and never branches: the compiler makes vectors of this. */
static void sigmoid(const double *restrict x, int64_t count, double *restrict p)
{
    for (int64_t i = 0; i < count; i++) {
        p[i] = rt_sigmoid(x[i]);
    }
}

/* log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)): exp stays within (0, 1]. */
static void softplus(const double *restrict x, int64_t count, double *restrict out)
{
    for (int64_t i = 0; i < count; i++) {
        const double size = x[i] < 0.0 ? -x[i] : x[i];
        out[i] = (x[i] > 0.0 ? x[i] : 0.0) + rt_log(1.0 + rt_exp(-size));
    }
}

/* Output by output, for all rows of the batch: vectors run over rows, and a row's sum
 * still takes its outputs in order. */
static void soft_sums(const double *restrict score, int64_t stride, int32_t outputs,
                      int64_t count, double *restrict most, double *restrict sum)
{
    for (int64_t i = 0; i < count; i++) {
        most[i] = score[i];
        sum[i] = 0.0;
    }
    for (int32_t k = 1; k < outputs; k++) {
        for (int64_t i = 0; i < count; i++) {
            const double x = score[k * stride + i];
            most[i] = x > most[i] ? x : most[i];
        }
    }
    for (int32_t k = 0; k < outputs; k++) {
        for (int64_t i = 0; i < count; i++) {
            sum[i] += rt_exp(score[k * stride + i] - most[i]);
        }
    }
}

/* The softmax of one output, from what soft_sums has found for all of them. */
static void soft_shares(const double *restrict score, const double *restrict most,
                        const double *restrict sum, int64_t count, double *restrict p)
{
    for (int64_t i = 0; i < count; i++) {
        p[i] = rt_exp(score[i] - most[i]) / sum[i];
    }
}

/* What one row's weight and curvature are, before anything is rounded. What is the same
 * for all rows is asked outside the loops, which so become vectors. */
static void weigh(const rt_hot_derive *job, double *restrict weight,
                  double *restrict curve)
{
    const double *p = job->p;
    const double scale = job->weight_scale, h_factor = job->h_factor;
    for (int64_t i = 0; i < job->count; i++) {
        weight[i] = scale;
        curve[i] = h_factor * (p[i] * (1.0 - p[i]));
    }
    for (int64_t i = 0; job->weight != NULL && i < job->count; i++) {
        weight[i] = job->weight[i] * scale;
    }
    for (int64_t i = 0; job->square && i < job->count; i++) {
        curve[i] = 1.0;
    }
}

/* The derivatives are rounded before the weight is applied: a whole weight then
 * gives exactly what that many copies of the row would sum to. A row with
 * weight always has some curvature. */
static void derive(rt_hot_derive *job, rt_gradient *restrict out)
{
    double weight[RT_HOT_BATCH], curve[RT_HOT_BATCH];
    int64_t g[RT_HOT_BATCH], h[RT_HOT_BATCH];
    int64_t most_g = 0;
    int64_t most_h = 0;
    const int64_t count = job->count;
    const double *p = job->p, *target = job->target;
    const double g_steps = job->g_steps, h_steps = job->h_steps;
    weigh(job, weight, curve);
    for (int64_t i = 0; i < count; i++) {
        double error = p[i] - target[i];
        /* Squared error alone can leave [-1, 1]; beyond 4 the sums might overflow. */
        error = error > 4.0 ? 4.0 : error;
        error = error < -4.0 ? -4.0 : error;
        /* At most 2^38 whole steps: times a whole weight of up to 15 bits they are
         * exact. */
        const double g_raw = nearest(error * g_steps);
        const double h_raw = nearest(curve[i] * h_steps);
        const int64_t h_whole = as_integer((h_raw < 1.0 ? 1.0 : h_raw) * weight[i]);
        g[i] = as_integer(g_raw * weight[i]);
        h[i] = h_whole < 1 ? 1 : h_whole;
        const int64_t size = g[i] < 0 ? -g[i] : g[i];
        most_g = size > most_g ? size : most_g;
        most_h = h[i] > most_h ? h[i] : most_h;
    }
    /* The wide form has a row count of 1 beneath h, the packed one counts later. */
    const int32_t shift = job->shift;
    const uint64_t one = shift != 0 ? 1 : 0;
    for (int64_t i = 0; i < count; i++) {
        out[i].g = g[i];
        out[i].h = ((uint64_t)h[i] << shift) + one;
    }
    job->most_g = most_g;
    job->most_h = most_h;
}

/* floor(x + u) with u uniform in [0, 1): the expectation is x. u has 32 bits, half of a
 * draw for g and half for h. */
static inline double round_at_random(double x, uint64_t noise)
{
    const double up = x + as_double_small((int64_t)(noise & UINT32_MAX)) * 0x1p-32;
    const double whole = nearest(up);
    return whole - (whole > up ? 1.0 : 0.0);
}

static inline double within(double x, double least, double most)
{
    x = x < least ? least : x;
    return x > most ? most : x;
}

/* The largest value may be rounded up to one step too many; it is held back. */
static void pack(const rt_gradient *restrict exact, int64_t count, int64_t row,
                 uint64_t key, double g_scale, double h_scale, int64_t *restrict out)
{
    for (int64_t i = 0; i < count; i++) {
        /* By the number of the row, so neither batches nor ranks show in it. */
        const uint64_t noise = rt_draw64(key, (uint64_t)(row + i));
        double g = round_at_random(as_double(exact[i].g) * g_scale, noise);
        double h =
            round_at_random(as_double((int64_t)exact[i].h) * h_scale, noise >> 32);
        g = within(g, -RT_PACKED_G_MAX, RT_PACKED_G_MAX);
        h = within(h, 0, RT_PACKED_H_MAX);
        /* Multiplied, not shifted: in C a negative number has no left shift. */
        out[i] = as_integer_small(g) * ((int64_t)1 << RT_PACKED_G_AT) +
                 as_integer_small(h) * ((int64_t)1 << RT_PACKED_H_AT) + 1;
    }
}

#include "gbdt/simd/leaf_masks.h"

const rt_hot RT_HOT = {
    .name = RT_HOT_NAME,
    .add_packed = add_packed,
    .add_wide = add_wide,
    .flush = flush,
    .subtract = subtract,
    .subtract_rows = subtract_rows,
    .scan = scan,
    .partition = partition,
    .bin_floats = bin_floats,
    .sigmoid = sigmoid,
    .soft_sums = soft_sums,
    .soft_shares = soft_shares,
    .derive = derive,
    .pack = pack,
    .quick_levels = quick_levels,
    .quick_tree = quick_tree,
    .softplus = softplus,
};
