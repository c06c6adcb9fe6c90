/* The model in the units of the data becomes one in the course's units, and back. */
#include "linear/online.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "linear/check.h"
#include "linear/simd/dispatch.h"

enum { ROWS_AT_ONCE = 1024 };

static const char *const where = "rt_linear_learn";

typedef struct parts {
    double *intercept, *size, *squares;
} parts;

static parts parts_of(const rt_linear *linear)
{
    parts p = {.intercept = linear->memory + RT_ONLINE_NUMBERS};
    p.size = p.intercept + linear->n_outputs;
    p.squares = p.size + linear->n_slopes;
    return p;
}

/* The power of two below a spread, so that going back and forth changes no bit. */
static double unit_of(double spread)
{
    int exponent = 0;
    if (!(spread > 1e-100)) {
        return 1.0;
    }
    (void)frexp(spread, &exponent);
    return ldexp(1.0, exponent - 1);
}

/* Where amounts lie and how far they spread, by the first rows. */
static void take_amounts(const rt_linear_rows *rows, double *memory)
{
    double sum = 0.0;
    double total = 0.0;
    double squares = 0.0;
    for (int64_t i = 0; i < rows->x.rows; i++) {
        const double weight = rows->weight == NULL ? 1.0 : rows->weight[i];
        total += weight;
        sum += weight * rows->target[i];
    }
    const double mean = sum / total;
    for (int64_t i = 0; i < rows->x.rows; i++) {
        const double weight = rows->weight == NULL ? 1.0 : rows->weight[i];
        squares += weight * (rows->target[i] - mean) * (rows->target[i] - mean);
    }
    memory[RT_ONLINE_SHIFT] = mean + 0.0;
    memory[RT_ONLINE_SCALE] = unit_of(sqrt(squares / total));
}

/* The mean of each column's numbers in the first rows; 0 without an intercept. */
static void take_means(const rt_linear_rows *rows, bool intercept, rt_linear *linear)
{
    for (int32_t f = 0; f < linear->n_features; f++) {
        double sum = 0.0;
        double total = 0.0;
        for (int64_t i = 0; linear->levels[f] == 0 && i < rows->x.rows; i++) {
            const double x = rt_matrix_at(&rows->x, i, f);
            const double weight = rows->weight == NULL ? 1.0 : rows->weight[i];
            sum += isnan(x) ? 0.0 : weight * x;
            total += isnan(x) ? 0.0 : weight;
        }
        linear->fill[f] = intercept && total > 0.0 ? sum / total + 0.0 : 0.0;
    }
}

static bool is_blank(const rt_linear *linear)
{
    bool blank = true;
    for (int64_t k = 0; k < linear->n_outputs; k++) {
        blank = blank && linear->intercept[k] == 0.0;
    }
    for (int64_t i = 0; i < linear->n_outputs * linear->n_slopes; i++) {
        blank = blank && linear->slope[i] == 0.0;
    }
    return blank;
}

/* The intercepts of a fit at the columns' fills. Without an intercept numbers count
 * from 0, and so do missing ones from here on. */
static void take_fit(bool intercept, rt_linear *linear)
{
    const parts p = parts_of(linear);
    const double *slope = linear->slope;
    for (int32_t f = 0; !intercept && f < linear->n_features; f++) {
        linear->fill[f] = 0.0;
    }
    for (int64_t k = 0; k < linear->n_outputs; k++) {
        double sum = linear->intercept[k] - linear->memory[RT_ONLINE_SHIFT];
        for (int32_t f = 0; f < linear->n_features; f++) {
            for (int64_t i = rt_linear_width(linear->levels[f]); i > 0; i--) {
                sum += *slope++ * linear->fill[f];
            }
        }
        p.intercept[k] = intercept ? sum / linear->memory[RT_ONLINE_SCALE] : 0.0;
    }
}

static rt_status begin(const rt_linear_rows *rows, bool intercept, bool fitted,
                       rt_linear *linear, rt_error *err)
{
    rt_free(linear->memory); /* of the fit: the first rows say anew how sure it is */
    rt_status status = rt_linear_remember(linear, RT_MEMORY_ONLINE, err);
    if (status != RT_OK) {
        return status;
    }
    linear->memory[RT_ONLINE_SCALE] = 1.0;
    if (linear->loss == RT_LINEAR_SQUARE && intercept) {
        take_amounts(rows, linear->memory);
    }
    if (fitted) {
        take_fit(intercept, linear);
        return RT_OK;
    }
    take_means(rows, intercept, linear);
    for (int32_t f = 0; f < linear->n_features; f++) {
        /* An infinity among the numbers, or a sum that overflows. */
        if (!isfinite(linear->fill[f])) {
            return rt_linear_refuse(rows, err);
        }
    }
    return RT_OK;
}

static rt_status make_course(const rt_linear *linear, double rate, bool intercept,
                             rt_linear_course *c, rt_error *err)
{
    const parts p = parts_of(linear);
    const int64_t outputs = linear->n_outputs;
    const int64_t slopes = linear->n_slopes;
    const int64_t width =
        (slopes + RT_LINEAR_LANES) / RT_LINEAR_LANES * RT_LINEAR_LANES;
    const rt_block blocks[] = {
        RT_BLOCK(c->size, width),
        RT_BLOCK(c->unit, width),
        RT_BLOCK(c->weight, outputs * width),
        RT_BLOCK(c->squares, outputs * width),
        RT_BLOCK(c->scratch, RT_LINEAR_RUN * width + outputs),
    };
    rt_status status =
        rt_alloc_all(blocks, sizeof blocks / sizeof blocks[0], where, err);
    if (status != RT_OK) {
        return status;
    }
    c->width = (int32_t)width;
    c->rate = rate;
    c->intercept = intercept ? 1.0 : 0.0;
    c->rows = linear->memory[RT_ONLINE_ROWS];
    c->norm = linear->memory[RT_ONLINE_NORM];
    c->target_shift = linear->memory[RT_ONLINE_SHIFT];
    c->target_unit = 1.0 / linear->memory[RT_ONLINE_SCALE];
    c->size[0] = c->intercept;
    memcpy(c->size + 1, p.size, (size_t)slopes * sizeof *p.size);
    for (int64_t i = 0; i <= slopes; i++) {
        c->unit[i] = c->size[i] > 0.0 ? 1.0 / c->size[i] : 0.0;
    }
    for (int64_t k = 0; k < outputs; k++) {
        double *weight = c->weight + k * width;
        weight[0] = p.intercept[k];
        for (int64_t i = 0; i < slopes; i++) {
            weight[1 + i] = linear->slope[k * slopes + i] * c->target_unit;
        }
        memcpy(c->squares + k * width, p.squares + k * (1 + slopes),
               (size_t)(1 + slopes) * sizeof *p.squares);
    }
    return RT_OK;
}

static void drop_course(rt_linear_course *c)
{
    rt_free(c->size);
    rt_free(c->unit);
    rt_free(c->weight);
    rt_free(c->squares);
    rt_free(c->scratch);
}

static void take_course(const rt_linear_course *c, rt_linear *linear)
{
    const parts p = parts_of(linear);
    const int64_t slopes = linear->n_slopes;
    const double scale = linear->memory[RT_ONLINE_SCALE];
    linear->memory[RT_ONLINE_ROWS] = c->rows;
    linear->memory[RT_ONLINE_NORM] = c->norm;
    memcpy(p.size, c->size + 1, (size_t)slopes * sizeof *p.size);
    for (int64_t k = 0; k < linear->n_outputs; k++) {
        const double *weight = c->weight + k * c->width;
        double *slope = linear->slope + k * slopes;
        p.intercept[k] = weight[0] + 0.0;
        memcpy(p.squares + k * (1 + slopes), c->squares + k * c->width,
               (size_t)(1 + slopes) * sizeof *p.squares);
        double intercept = weight[0] * scale + linear->memory[RT_ONLINE_SHIFT];
        for (int32_t f = 0; f < linear->n_features; f++) {
            for (int64_t i = rt_linear_width(linear->levels[f]); i > 0; i--) {
                *slope = *++weight * scale + 0.0; /* -0 and 0 are one number */
                intercept -= *slope * linear->fill[f];
                slope++;
            }
        }
        linear->intercept[k] = intercept + 0.0;
    }
}

static rt_status learn_all(const rt_linear_rows *rows, rt_ctl *ctl, rt_linear_course *c,
                           const rt_linear *linear, rt_error *err)
{
    const rt_linear_plan plan = {.loss = linear->loss,
                                 .outputs = linear->n_outputs,
                                 .x = rows->x,
                                 .target = rows->target,
                                 .weight = rows->weight,
                                 .levels = linear->levels,
                                 .shift = linear->fill};
    const rt_linear_loops *loops = rt_linear_loops_in_use();
    for (int64_t first = 0; first < rows->x.rows; first += ROWS_AT_ONCE) {
        const int64_t left = rows->x.rows - first;
        loops->learn(&plan, first, left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE, c);
        if (rt_ctl_cancelled(ctl)) {
            return rt_fail(err, RT_CANCELLED, where, "learning was asked to stop");
        }
    }
    for (int32_t i = 0; i < c->width; i++) {
        if (!(c->size[i] <= 1e100)) {
            return rt_linear_refuse(rows, err);
        }
    }
    return RT_OK;
}

/* How sure the slopes of a fit are is not known: the gradients of the first rows say
 * so, in a look that moves nothing. */
static rt_status look(const rt_linear_rows *rows, rt_ctl *ctl, rt_linear_course *c,
                      const rt_linear *linear, rt_error *err)
{
    const int64_t count = (int64_t)linear->n_outputs * c->width;
    const double rate = c->rate;
    double *kept = NULL;
    const rt_block block[] = {RT_BLOCK(kept, count)};
    rt_status status = rt_alloc_all(block, 1, where, err);
    if (status == RT_OK) {
        memcpy(kept, c->weight, (size_t)count * sizeof *kept);
        c->rate = 0.0;
        status = learn_all(rows, ctl, c, linear, err);
        memcpy(c->weight, kept, (size_t)count * sizeof *kept);
        c->rate = rate;
    }
    rt_free(kept);
    return status;
}

static rt_status check(const rt_linear_rows *rows, double rate, const rt_linear *linear,
                       rt_error *err)
{
    rt_status status = rt_linear_check(rows, err);
    if (status == RT_OK &&
        (rows->loss == RT_LINEAR_POISSON || rows->loss != linear->loss ||
         rows->x.columns != linear->n_features)) {
        return rt_fail(err, RT_INVALID, where, "rows and model are not of one kind");
    }
    if (status == RT_OK && !(rate > 0.0 && rate <= 1e6)) {
        return rt_fail(err, RT_INVALID, where, "the rate must lie above 0, up to 1e6");
    }
    return status;
}

rt_status rt_linear_learn(const rt_linear_rows *rows, double rate, bool intercept,
                          rt_ctl *ctl, rt_linear *linear, rt_error *err)
{
    rt_linear_course course = {0};
    const bool begins = linear->kind != RT_MEMORY_ONLINE;
    const bool fitted = begins && !is_blank(linear);
    rt_status status = check(rows, rate, linear, err);
    if (status == RT_OK && begins) {
        status = begin(rows, intercept, fitted, linear, err);
    }
    if (status == RT_OK) {
        status = make_course(linear, rate, intercept, &course, err);
    }
    if (status == RT_OK && fitted) {
        status = look(rows, ctl, &course, linear, err);
    }
    if (status == RT_OK) {
        status = learn_all(rows, ctl, &course, linear, err);
    }
    if (status == RT_OK) {
        take_course(&course, linear);
    }
    drop_course(&course);
    return status;
}
