/* Proper scores of probabilities and the calibration line, added up in fixed point.
 *
 *   log loss -ln p(what happened); Brier (1950) score (p - y)^2; calibration line: Cox
 *   1958, logit P(y = 1) = a + b logit p, its gradient and Hessian for Newton steps.
 *
 * Unit: 2^-40 of a nat or of a squared probability, see scores.h. */
#include "evaluation/scores.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

#include "base/math.h"
#include "evaluation/counting.h"

/* Rows whose terms are added before the sum is split into units and parts. A
 * calibration term is below 2^11 in magnitude, so 2^12 of them and 40 bits of
 * fraction fill 63 bits; all other terms are smaller. */
enum { BLOCK_ROWS = 1 << 12 };

static const double ONE = 1099511627776.0;          /* 2^40 */
static const double LEAST = 2.2204460492503131e-16; /* 2^-52 */

/* The structs are rows of counters, so a team's tables of them merge by addition
 * like any other table; parts are carried into units once, at the end. */
enum {
    SCORE_COUNTS = sizeof(rt_score_sums) / sizeof(int64_t),
    LINE_COUNTS = sizeof(rt_line_sums) / sizeof(int64_t)
};
_Static_assert(SCORE_COUNTS == 6 + 4 * RT_CALIBRATION_BINS, "int64_t, no padding");
_Static_assert(LINE_COUNTS == 10, "int64_t, no padding");

typedef struct score_input {
    const uint8_t *y;
    const double *score;
    double intercept, slope;
} score_input;

static inline int64_t fixed_of(double x)
{
    return rt_round_i64(x * ONE);
}

/* Parts stay below 2^40 per block, so 2^23 blocks fit before they are carried. */
static inline void add_block(rt_fixed *total, int64_t sum)
{
    total->units += sum >> RT_FIXED_BITS; /* floor: gcc and clang shift signs in */
    total->parts += sum & ((INT64_C(1) << RT_FIXED_BITS) - 1);
}

static void carry(rt_fixed *total)
{
    total->units += total->parts >> RT_FIXED_BITS;
    total->parts &= (INT64_C(1) << RT_FIXED_BITS) - 1;
}

static inline bool is_usable(const score_input *input, int64_t i)
{
    /* false for NaN */
    return input->y[i] <= 1 && input->score[i] >= 0.0 && input->score[i] <= 1.0;
}

static inline double clipped(double p)
{
    p = p < LEAST ? LEAST : p;
    return p > 1.0 - LEAST ? 1.0 - LEAST : p;
}

static int64_t add_scores(const score_input *input, int64_t begin, int64_t end,
                          rt_score_sums *sums)
{
    int64_t log_loss = 0;
    int64_t brier = 0;
    int64_t score[RT_CALIBRATION_BINS] = {0};
    for (int64_t i = begin; i < end; i++) {
        if (!is_usable(input, i)) {
            return i;
        }
        double p = input->score[i];
        double y = (double)input->y[i];
        int bin = (int)(p * RT_CALIBRATION_BINS);
        bin = bin < RT_CALIBRATION_BINS ? bin : RT_CALIBRATION_BINS - 1;
        log_loss -= fixed_of(rt_log(clipped(input->y[i] != 0 ? p : 1.0 - p)));
        brier += fixed_of((p - y) * (p - y));
        sums->bins[bin].rows++;
        sums->bins[bin].positives += input->y[i];
        score[bin] += fixed_of(p);
        sums->positives += input->y[i];
    }
    sums->rows += end - begin;
    add_block(&sums->log_loss, log_loss);
    add_block(&sums->brier, brier);
    for (int bin = 0; bin < RT_CALIBRATION_BINS; bin++) {
        add_block(&sums->bins[bin].score, score[bin]);
    }
    return -1;
}

static int64_t count_scores(const void *input, int64_t begin, int64_t end,
                            int64_t *table)
{
    for (; begin < end; begin += BLOCK_ROWS) {
        int64_t stop = end - begin > BLOCK_ROWS ? begin + BLOCK_ROWS : end;
        int64_t bad = add_scores(input, begin, stop, (rt_score_sums *)table);
        if (bad >= 0) {
            return bad;
        }
    }
    return -1;
}

static int64_t add_line(const score_input *input, int64_t begin, int64_t end,
                        rt_line_sums *sums)
{
    int64_t e_sum = 0;
    int64_t el_sum = 0;
    int64_t w_sum = 0;
    int64_t wl_sum = 0;
    int64_t wll_sum = 0;
    for (int64_t i = begin; i < end; i++) {
        if (!is_usable(input, i)) {
            return i;
        }
        double p = clipped(input->score[i]);
        double l = rt_log(p) - rt_log(1.0 - p);
        double s = rt_sigmoid(input->intercept + input->slope * l);
        double e = (double)input->y[i] - s;
        double w = s * (1.0 - s);
        e_sum += fixed_of(e);
        el_sum += fixed_of(e * l);
        w_sum += fixed_of(w);
        wl_sum += fixed_of(w * l);
        wll_sum += fixed_of(w * l * l);
    }
    add_block(&sums->e, e_sum);
    add_block(&sums->el, el_sum);
    add_block(&sums->w, w_sum);
    add_block(&sums->wl, wl_sum);
    add_block(&sums->wll, wll_sum);
    return -1;
}

static int64_t count_line(const void *input, int64_t begin, int64_t end, int64_t *table)
{
    for (; begin < end; begin += BLOCK_ROWS) {
        int64_t stop = end - begin > BLOCK_ROWS ? begin + BLOCK_ROWS : end;
        int64_t bad = add_line(input, begin, stop, (rt_line_sums *)table);
        if (bad >= 0) {
            return bad;
        }
    }
    return -1;
}

static rt_status sum_rows(const score_input *input, const rt_count_job *job,
                          rt_ctl *ctl, int64_t *table, rt_error *err)
{
    int64_t bad = -1;
    rt_status status = rt_count_rows(job, ctl, table, &bad, err);
    if (status != RT_OK || bad < 0) {
        return status;
    }
    if (input->y[bad] > 1) {
        return rt_fail(err, RT_INVALID, job->where, "y[%lld] is %d, it must be 0 or 1",
                       (long long)bad, input->y[bad]);
    }
    return rt_fail(err, RT_INVALID, job->where,
                   "score[%lld] is %g, it must lie in 0..1: it is a probability",
                   (long long)bad, input->score[bad]);
}

rt_status rt_sum_scores(const uint8_t *y, const double *score, int64_t n_rows,
                        int32_t n_threads, rt_ctl *ctl, rt_score_sums *sums,
                        rt_error *err)
{
    score_input input = {y, score, 0.0, 1.0};
    rt_count_job job = {.counter = count_scores,
                        .input = &input,
                        .n_rows = n_rows,
                        .n_counts = SCORE_COUNTS,
                        .n_threads = n_threads,
                        .where = "rt_sum_scores"};
    rt_status status = sum_rows(&input, &job, ctl, (int64_t *)sums, err);
    if (status == RT_OK) {
        assert(sums->rows == n_rows && sums->positives <= n_rows);
        carry(&sums->log_loss);
        carry(&sums->brier);
        for (int bin = 0; bin < RT_CALIBRATION_BINS; bin++) {
            carry(&sums->bins[bin].score);
        }
    }
    return status;
}

rt_status rt_sum_line(const uint8_t *y, const double *score, int64_t n_rows,
                      double intercept, double slope, int32_t n_threads, rt_ctl *ctl,
                      rt_line_sums *sums, rt_error *err)
{
    static const char where[] = "rt_sum_line";
    score_input input = {y, score, intercept, slope};
    rt_count_job job = {.counter = count_line,
                        .input = &input,
                        .n_rows = n_rows,
                        .n_counts = LINE_COUNTS,
                        .n_threads = n_threads,
                        .where = where};
    if (!isfinite(intercept) || !isfinite(slope)) {
        return rt_fail(err, RT_INVALID, where,
                       "intercept is %g and slope %g, both must be finite", intercept,
                       slope);
    }
    rt_status status = sum_rows(&input, &job, ctl, (int64_t *)sums, err);
    if (status == RT_OK) {
        carry(&sums->e);
        carry(&sums->el);
        carry(&sums->w);
        carry(&sums->wl);
        carry(&sums->wll);
    }
    return status;
}
