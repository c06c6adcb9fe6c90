/* Newton's method on the sums of the loops, in a team that lasts for the whole fit.
 * Rank 0 decides, between two barriers. Inside, numbers are standardised, which makes
 * the second derivatives well conditioned whatever the units; the penalty is scaled in
 * turn where it is meant for the units of the data. */
#include "linear/fit.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/alloc.h"
#include "base/math.h"
#include "linear/check.h"
#include "linear/newton.h"
#include "parallel/placement.h"
#include "parallel/team.h"
#include "parallel/threads.h"

/* Runs of blocks: enough to share among threads, few enough that their sums take at
 * most 2^23 doubles (64 MiB), though never fewer than eight. By default a fit has one
 * thread for every 16,384 rows begun. */
enum { MOST_RUNS = 64, LEAST_RUNS = 8, RUN_ROOM = 1 << 23, ROWS_PER_THREAD = 16384 };
/* From so many rows on a fit looks at some blocks first. */
enum { LOOK_ROWS = 1 << 18, LOOK_EVERY = 16, LOOK_PASSES = 12 };
/* Of a column: weight, weight times (x - shift), weight times its square. */
enum { MOMENTS = 3 };

static const char *const where = "rt_linear_fit";

/* By shape alone, never by team: it decides in what order numbers are added. */
static int32_t count_runs(int64_t rows, int64_t length)
{
    int64_t blocks = (rows + RT_LINEAR_BLOCK - 1) / RT_LINEAR_BLOCK;
    int64_t runs = RUN_ROOM / length;
    runs = runs > MOST_RUNS ? MOST_RUNS : runs < LEAST_RUNS ? LEAST_RUNS : runs;
    return (int32_t)(blocks < runs ? blocks : runs); /* none is empty */
}

static rt_status make_plan(rt_linear_state *f, rt_error *err)
{
    const rt_linear_rows *rows = f->rows;
    int64_t width = 1; /* the intercept */
    for (int32_t c = 0; c < rows->x.columns; c++) {
        width += rt_linear_width(rows->levels[c]);
    }
    f->slopes = width - 1;
    f->plan.loss = rows->loss;
    f->plan.outputs = rows->loss == RT_LINEAR_SOFTMAX ? rows->classes : 1;
    f->plan.x = rows->x;
    f->plan.target = rows->target;
    f->plan.weight = rows->weight;
    f->plan.levels = rows->levels;
    /* The system has the square of this many doubles, and its solution takes the
     * cube. */
    if (width * f->plan.outputs > RT_LINEAR_MOST_NUMBERS) {
        return rt_fail(err, RT_LIMIT, where,
                       "%lld columns, with one for each category, times %d outputs "
                       "are more than %d: drop columns or rare categories",
                       (long long)width, f->plan.outputs, RT_LINEAR_MOST_NUMBERS);
    }
    /* Columns are added up in tiles of four by four; those that only fill up are 0. */
    f->plan.width =
        (int32_t)((width + RT_LINEAR_TILE - 1) / RT_LINEAR_TILE * RT_LINEAR_TILE);
    f->plan.pair = (int64_t)f->plan.width * f->plan.width;
    f->numbers = (int64_t)f->plan.width * f->plan.outputs;
    f->length = rt_linear_sums(&f->plan);
    f->runs = count_runs(rows->x.rows, f->length);
    return RT_OK;
}

static rt_status make_memory(rt_linear_state *f, rt_error *err)
{
    const int64_t columns = f->rows->x.columns;
    /* The moments come first and share the memory of the sums that follow. */
    const int64_t room = f->length > MOMENTS * columns ? f->length : MOMENTS * columns;
    f->length = room;
    const rt_block blocks[] = {
        RT_BLOCK(f->shift, columns),
        RT_BLOCK(f->scale, columns),
        RT_BLOCK(f->missing, columns),
        /* Each thread its own block of rows, as columns. */
        RT_BLOCK(f->scratch, f->threads * rt_linear_scratch(&f->plan)),
        RT_BLOCK(f->sums, f->runs * room),
        RT_BLOCK(f->total, room),
        RT_BLOCK(f->coefficient, f->numbers),
        RT_BLOCK(f->best, f->numbers),
        RT_BLOCK(f->first, f->numbers),
        RT_BLOCK(f->step, f->numbers),
        RT_BLOCK(f->penalty, f->plan.width),
        RT_BLOCK(f->system, f->numbers * f->numbers),
        RT_BLOCK(f->anchor, f->prior != NULL ? f->numbers : 0),
        RT_BLOCK(f->precision, f->prior != NULL ? f->numbers * f->numbers : 0),
        RT_BLOCK(f->axes, 2 * (f->slopes + 1)),
    };
    rt_status status =
        rt_alloc_all(blocks, sizeof blocks / sizeof blocks[0], where, err);
    f->plan.shift = f->shift;
    f->plan.scale = f->scale;
    f->plan.missing = f->missing;
    return status;
}

/* Also after a make_memory that failed, where all are NULL. */
static void drop_memory(rt_linear_state *f)
{
    void *const blocks[] = {f->shift, f->scale,       f->missing, f->scratch,
                            f->sums,  f->total,       f->step,    f->penalty,
                            f->best,  f->coefficient, f->system,  f->anchor,
                            f->axes,  f->precision,   f->first};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        rt_free(blocks[i]);
    }
}

typedef enum pass { MOMENTS_PASS, NEWTON_PASS } pass;

/* The sums of one run of blocks, in their order. They begin at 0, so they are those of
 * these rows alone, whoever adds them. */
static void sum_run(rt_linear_state *f, int32_t run, pass kind, double *scratch)
{
    const int64_t rows = f->rows->x.rows;
    const int64_t blocks = (rows + RT_LINEAR_BLOCK - 1) / RT_LINEAR_BLOCK;
    double *sums = f->sums + run * f->length;
    memset(sums, 0, (size_t)f->length * sizeof *sums);
    for (int64_t b = rt_range_begin(blocks, run, f->runs);
         b < rt_range_begin(blocks, run + 1, f->runs) && !rt_ctl_cancelled(f->ctl);
         b++) {
        const int64_t first = b * RT_LINEAR_BLOCK;
        const int64_t left = rows - first;
        if (b % f->every != 0) {
            continue;
        }
        const int64_t count = left < RT_LINEAR_BLOCK ? left : RT_LINEAR_BLOCK;
        if (kind == MOMENTS_PASS) {
            f->loops->moments(&f->plan, first, count, scratch, sums);
        } else {
            f->loops->add(&f->plan, f->coefficient, first, count, scratch, sums);
        }
    }
}

/* total = the sums of all runs, in their order; ends with a barrier. Runs go round the
 * ranks; then each rank takes a range of the sums and adds that of every run, so the
 * order of additions is the same for any team. */
static void sum_rows(rt_linear_state *f, pass kind, rt_team team)
{
    double *scratch = f->scratch + team.rank * rt_linear_scratch(&f->plan);
    int64_t begin = 0;
    int64_t end = 0;
    for (int32_t run = team.rank; run < f->runs; run += team.size) {
        sum_run(f, run, kind, scratch);
    }
    rt_team_barrier(team);
    rt_team_range(team, f->length, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        double sum = 0.0;
        for (int32_t run = 0; run < f->runs; run++) {
            sum += f->sums[run * f->length + i];
        }
        f->total[i] = sum * f->share;
    }
    rt_team_barrier(team);
}

/* After the first moments: the shift, 0 so far, is the mean of the numbers that are
 * there. */
static void take_means(rt_linear_state *f)
{
    for (int32_t c = 0; c < f->rows->x.columns; c++) {
        const double *sum = f->total + c * MOMENTS;
        f->shift[c] = sum[0] > 0.0 ? sum[1] / sum[0] : 0.0;
    }
}

/* After the second: the mean once more, without what rounding took, and the scale. A
 * column that is constant but for rounding has none, and with it no slope. */
static void take_scales(rt_linear_state *f)
{
    const bool centred = rt_linear_setting(f, RT_LP_INTERCEPT) != 0.0;
    int32_t at = 1; /* behind the intercept */
    for (int32_t c = 0; c < f->rows->x.columns; c++) {
        const double *sum = f->total + c * MOMENTS;
        /* What the mean lacks: small, so the subtraction below does not cancel as a
         * difference of large sums of squares would. */
        const double rest = sum[0] > 0.0 ? sum[1] / sum[0] : 0.0;
        const double mean = f->shift[c] + rest;
        const double spread = sum[0] > 0.0 ? sum[2] / sum[0] - rest * rest : 0.0;
        /* Standard deviation; without an intercept the root of the mean square, as
         * columns are not centred then. */
        const double size =
            sqrt((spread > 0.0 ? spread : 0.0) + (centred ? 0.0 : mean * mean));
        /* Constant but for the rounding of its mean, or so small that 1 / size could
         * not be squared. */
        const bool flat = !(size > 1e-13 * fabs(mean)) || size < 1e-150;
        f->scale[c] = flat ? 0.0 : 1.0 / size;
        f->shift[c] = centred ? mean : 0.0;
        /* A missing number counts as the mean, which lies at 0 once columns are
         * centred. */
        f->missing[c] = centred ? 0.0 : mean * f->scale[c];
        const bool number = f->rows->levels[c] == 0;
        const bool own_units = number && rt_linear_setting(f, RT_LP_STANDARDIZE) == 0.0;
        /* l2 on slopes in the units of the data: (scale times coefficient)^2 is
         * penalised. */
        const double unit = own_units ? f->scale[c] : 1.0;
        for (int64_t i = 0; i < rt_linear_width(f->rows->levels[c]); i++) {
            f->penalty[at++] = rt_linear_setting(f, RT_LP_L2) * unit * unit;
        }
        if (!isfinite(mean) || !isfinite(sum[2])) {
            /* An infinity in the column, or sums that overflow: run() refuses the
             * rows. */
            f->weight = NAN;
        }
    }
}

/* The intercept that fits best alone: [outputs] sums of weight are known. Newton's
 * method begins there, with all slopes 0: log-odds, logarithms of shares, the mean or
 * its logarithm, by loss. */
static void start(rt_linear_state *f, const double *class_weight, double mean)
{
    const int32_t outputs = f->plan.outputs;
    if (rt_linear_setting(f, RT_LP_INTERCEPT) == 0.0) {
        return;
    }
    if (f->rows->loss == RT_LINEAR_SQUARE) {
        f->coefficient[0] = mean;
    } else if (f->rows->loss == RT_LINEAR_POISSON) {
        f->coefficient[0] = mean > 0.0 ? rt_log(mean) : 0.0;
    } else if (f->rows->loss == RT_LINEAR_LOGISTIC) {
        f->coefficient[0] = rt_log(class_weight[1] / class_weight[0]);
    }
    /* exp(-40) is below the rounding error of 1: as good as absent, and finite. */
    for (int32_t k = 0; f->rows->loss == RT_LINEAR_SOFTMAX && k < outputs; k++) {
        f->coefficient[k * f->plan.width] =
            class_weight[k] > 0.0 ? rt_log(class_weight[k] / f->weight) : -40.0;
    }
}

/* Weights of classes and the mean target, in the order of rows; false where all rows
 * are of one class, and the coefficients say so. */
static bool begin(rt_linear_state *f)
{
    const rt_linear_rows *rows = f->rows;
    const bool labels =
        rows->loss == RT_LINEAR_LOGISTIC || rows->loss == RT_LINEAR_SOFTMAX;
    double of_class[RT_LINEAR_MOST_OUTPUTS] = {0.0};
    double sum = 0.0;
    for (int64_t i = 0; i < rows->x.rows; i++) {
        const double weight = rows->weight == NULL ? 1.0 : rows->weight[i];
        f->weight += weight;
        sum += weight * rows->target[i];
        if (labels) {
            of_class[(int32_t)rows->target[i]] += weight;
        }
    }
    /* A prior may know of the other class: with it the rows are fitted as usual. */
    const bool constant =
        f->prior == NULL && ((rows->loss == RT_LINEAR_LOGISTIC &&
                              (of_class[0] == 0.0 || of_class[1] == 0.0)) ||
                             (rows->loss == RT_LINEAR_POISSON && sum == 0.0));
    /* Half a row of each class (Jeffreys), or half an event: a finite intercept. */
    for (int32_t k = 0; constant && k < 2; k++) {
        of_class[k] += 0.5;
    }
    start(f, of_class, constant ? 0.5 / (f->weight + 0.5) : sum / f->weight);
    return !constant;
}

/* Steps of Newton's method until there is nothing to gain. */
static void take_steps(rt_linear_state *f, int32_t most, rt_team team)
{
    for (int32_t passes = 1; !f->done && passes <= most; passes++) {
        sum_rows(f, NEWTON_PASS, team);
        if (team.rank == 0) {
            rt_linear_decide(f, passes);
        }
        rt_team_barrier(team);
    }
}

/* By rank 0, around a look: some blocks stand for all, and the fit begins where that
 * ended, or where it would have begun had the look led nowhere. */
static void begin_look(rt_linear_state *f)
{
    const int64_t blocks = (f->rows->x.rows + RT_LINEAR_BLOCK - 1) / RT_LINEAR_BLOCK;
    const int64_t seen = (blocks + LOOK_EVERY - 1) / LOOK_EVERY;
    memcpy(f->first, f->coefficient, (size_t)f->numbers * sizeof *f->first);
    f->every = LOOK_EVERY;
    f->share = (double)blocks / (double)seen;
}

static void end_look(rt_linear_state *f)
{
    if (!f->report->converged) {
        memcpy(f->coefficient, f->first, (size_t)f->numbers * sizeof *f->first);
    }
    f->every = 1;
    f->share = 1.0;
    f->halvings = 0;
    f->report->iterations = 0;
    f->report->converged = false;
    f->done = rt_ctl_cancelled(f->ctl);
}

/* The optimum of a sixteenth of many rows lies within their sampling error of that of
 * all, where Newton's method needs a step or two: passes over all rows are saved. */
static void look(rt_linear_state *f, rt_team team)
{
    if (team.rank == 0) {
        begin_look(f);
    }
    rt_team_barrier(team);
    take_steps(f, LOOK_PASSES, team);
    rt_team_barrier(team); /* all have seen that the steps are done */
    if (team.rank == 0) {
        end_look(f);
    }
    rt_team_barrier(team);
}

/* What every rank does, in step: two passes for means and scales, then one for each
 * step of Newton's method. Between barriers rank 0 alone writes what all read. */
static void run_team(rt_linear_state *f, rt_team team)
{
    rt_spread_take(&f->spread);
    for (int32_t turn = 0; turn < 2; turn++) {
        sum_rows(f, MOMENTS_PASS, team);
        if (team.rank == 0) {
            if (turn == 0) {
                take_means(f);
            } else {
                take_scales(f);
                rt_linear_take_axes(f);
                f->report->team = team.size;
                f->done = f->done || !isfinite(f->weight);
            }
        }
        rt_team_barrier(team);
    }
    /* Least squares take one step anyway. */
    if (!f->done && f->rows->loss != RT_LINEAR_SQUARE && f->rows->x.rows >= LOOK_ROWS) {
        look(f, team);
    }
    take_steps(f, INT32_MAX, team);
    if (f->remember != RT_MEMORY_NONE) {
        sum_rows(f, NEWTON_PASS, team); /* the second derivatives where it ended */
    }
}

/* Shares do not change when all outputs get the same: of all models that are equal the
 * one whose outputs sum to 0 is kept, whatever way led there. */
static void centre_outputs(rt_linear_state *f)
{
    const int64_t width = f->plan.width;
    for (int64_t i = 0; i < width; i++) {
        double sum = 0.0;
        for (int64_t k = 0; k < f->plan.outputs; k++) {
            sum += f->coefficient[k * width + i];
        }
        for (int64_t k = 0; k < f->plan.outputs; k++) {
            f->coefficient[k * width + i] -= sum / f->plan.outputs;
        }
    }
}

/* From standard deviations to the units of the data: slope = coefficient * scale, and
 * the intercept takes back what the shifts moved, sum of slope * shift. */
static void take_result(const rt_linear_state *f, rt_linear *linear)
{
    for (int32_t k = 0; k < f->plan.outputs; k++) {
        const double *from = f->coefficient + (int64_t)k * f->plan.width;
        double *slope = linear->slope + k * linear->n_slopes;
        double intercept = *from++;
        for (int32_t c = 0; c < f->rows->x.columns; c++) {
            const int64_t count = rt_linear_width(f->rows->levels[c]);
            const bool number = f->rows->levels[c] == 0;
            for (int64_t i = 0; i < count; i++) {
                *slope = *from++ * (number ? f->scale[c] : 1.0) + 0.0;
                intercept -= number ? *slope * f->shift[c] : 0.0;
                slope++;
            }
        }
        linear->intercept[k] = intercept + 0.0; /* -0 and 0 are one number */
    }
    for (int32_t c = 0; c < f->rows->x.columns; c++) {
        const bool number = f->rows->levels[c] == 0;
        /* Either of shift and missing is 0: see take_scales. */
        const double mean = f->scale[c] == 0.0
                                ? f->shift[c]
                                : f->shift[c] + f->missing[c] / f->scale[c];
        linear->fill[c] = number ? mean + 0.0 : 0.0;
    }
}

/* Without an answer to look for (all rows of one class, or no event at all) the passes
 * stop after the moments, which still give the columns' means. */
static rt_status run(rt_linear_state *f, rt_error *err)
{
    f->done = !begin(f);
    f->report->converged = f->done;
    /* The team is made before the region that needs it, a processor for each thread. */
    rt_spread_team(f->threads);
#pragma omp parallel num_threads(f->threads) default(none) shared(f)
    {
        rt_team team = {omp_get_thread_num(), omp_get_num_threads(), &f->barrier};
        run_team(f, team);
    }
    if (rt_ctl_cancelled(f->ctl)) {
        return rt_fail(err, RT_CANCELLED, where, "the fit was asked to stop");
    }
    /* The slow look for the infinity, now that there is one to name. */
    return isfinite(f->weight) ? RT_OK : rt_linear_refuse(f->rows, err);
}

/* Whatever fails, the memory of the fit goes. */
static rt_status fit_all(rt_linear_state *f, rt_linear *linear, rt_error *err)
{
    rt_status status = make_memory(f, err);
    if (status == RT_OK) {
        rt_barrier_init(&f->barrier);
        status = run(f, err);
        rt_barrier_destroy(&f->barrier);
    }
    if (status == RT_OK && f->rows->loss == RT_LINEAR_SOFTMAX) {
        centre_outputs(f);
    }
    if (status == RT_OK) {
        take_result(f, linear);
    }
    if (status == RT_OK && f->remember != RT_MEMORY_NONE) {
        status = rt_linear_remember(linear, f->remember, err);
    }
    if (status == RT_OK && f->remember != RT_MEMORY_NONE) {
        /* Of the last pass, so at the coefficients that the model has. */
        rt_linear_fill_system(f);
        rt_linear_keep(f, linear->memory);
    }
    drop_memory(f);
    return status;
}

rt_status rt_linear_fit(const rt_linear_rows *rows, const rt_linear_params *params,
                        const rt_linear_prior *prior, rt_linear_memory remember,
                        int32_t n_threads, rt_ctl *ctl, rt_linear *linear,
                        rt_linear_report *report, rt_error *err)
{
    rt_linear_state f = {.rows = rows,
                         .params = params,
                         .prior = prior,
                         .remember = remember,
                         .ctl = ctl,
                         .report = report,
                         .every = 1,
                         .share = 1.0,
                         .loops = rt_linear_loops_in_use()};
    /* Zeroed first, so that a failure at any point can clear it. */
    memset(linear, 0, sizeof *linear);
    memset(report, 0, sizeof *report);
    rt_status status = rt_linear_params_check(params, err);
    status = status == RT_OK ? rt_linear_check(rows, err) : status;
    status = status == RT_OK ? make_plan(&f, err) : status;
    if (status == RT_OK) {
        /* Few rows are done before a team has come together. */
        f.threads = rt_useful_threads(n_threads, rows->x.rows, ROWS_PER_THREAD);
        status = rt_linear_init(linear, rows->loss, f.plan.outputs, rows->x.columns,
                                rows->levels, err);
    }
    if (status == RT_OK) {
        status = fit_all(&f, linear, err);
    }
    if (status != RT_OK) {
        rt_linear_clear(linear);
    }
    return status;
}
