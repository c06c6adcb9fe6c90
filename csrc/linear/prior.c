/* From the units of the data to the columns of a plan and back. With s the scale of a
 * column and d how far its shift lies from the prior's centre, slopes are s times those
 * of the plan, and the intercept is the plan's less the sum of s d slope. */
#include "linear/prior.h"

#include <math.h>
#include <string.h>

#include "linear/newton.h"

/* Scale and move of coefficient i of an output: 2 numbers each. 0 is the intercept. */
static void fill_axes(rt_linear_state *f)
{
    const bool centred = rt_linear_setting(f, RT_LP_INTERCEPT) != 0.0;
    double *axis = f->axes;
    *axis++ = 1.0; /* the intercept */
    *axis++ = 0.0;
    for (int32_t c = 0; c < f->rows->x.columns; c++) {
        const bool number = f->rows->levels[c] == 0;
        /* Without an intercept there is nothing that a shift could move. */
        const bool moves = number && centred && f->prior != NULL;
        for (int64_t i = rt_linear_width(f->rows->levels[c]); i > 0; i--) {
            *axis++ = number ? f->scale[c] : 1.0;
            *axis++ = moves ? f->shift[c] - f->prior->centre[c] : 0.0;
        }
    }
}

/* Entry (k i, l j) of the prior's precision, faded by gamma, in the units of the data.
 * Coefficient 0 of an output is the intercept. */
static double entry(const rt_linear_state *f, int64_t k, int64_t i, int64_t l,
                    int64_t j)
{
    const int64_t each = f->slopes + 1;
    const int64_t n = each * f->plan.outputs;
    return f->prior->gamma * f->prior->precision[(k * each + i) * n + l * each + j];
}

/* The same in the columns of the plan: T' P T, where T(i, i) = s_i and T(0, i) = -s_i
 * d_i are the derivatives of the data's coefficients by those of the plan. */
static double moved_entry(const rt_linear_state *f, int64_t k, int64_t i, int64_t l,
                          int64_t j)
{
    const double *left = f->axes + 2 * i;
    const double *right = f->axes + 2 * j;
    double value = entry(f, k, i, l, j);
    value -= i > 0 ? left[1] * entry(f, k, 0, l, j) : 0.0;
    value -= j > 0 ? right[1] * entry(f, k, i, l, 0) : 0.0;
    value += i > 0 && j > 0 ? left[1] * right[1] * entry(f, k, 0, l, 0) : 0.0;
    return left[0] * right[0] * value;
}

/* The optimum of the earlier fit, as coefficients of the plan: slope / scale, and the
 * intercept where all columns are at their shifts. A flat column has no slope. */
static void take_anchor(rt_linear_state *f)
{
    for (int64_t k = 0; k < f->plan.outputs; k++) {
        const double *slope = f->prior->slope + k * f->slopes;
        double *anchor = f->anchor + k * f->plan.width;
        int64_t at = 1; /* behind the intercept */
        anchor[0] = f->prior->intercept[k];
        for (int32_t c = 0; c < f->rows->x.columns; c++) {
            const bool number = f->rows->levels[c] == 0;
            for (int64_t i = rt_linear_width(f->rows->levels[c]); i > 0; i--, at++) {
                const double scale = f->axes[2 * at];
                anchor[at] = scale > 0.0 ? slope[at - 1] / scale : 0.0;
                anchor[0] += number ? slope[at - 1] * f->shift[c] : 0.0;
            }
        }
    }
}

/* All of it, at once: columns that only fill up keep their zeros. */
static void take_precision(rt_linear_state *f)
{
    const int64_t width = f->plan.width;
    const int64_t each = f->slopes + 1;
    for (int64_t k = 0; k < f->plan.outputs; k++) {
        for (int64_t l = 0; l < f->plan.outputs; l++) {
            for (int64_t i = 0; i < each; i++) {
                double *out = f->precision + (k * width + i) * f->numbers + l * width;
                for (int64_t j = 0; j < each; j++) {
                    out[j] = moved_entry(f, k, i, l, j);
                }
            }
        }
    }
}

void rt_linear_take_axes(rt_linear_state *f)
{
    fill_axes(f);
    if (f->prior == NULL) {
        return;
    }
    take_anchor(f);
    take_precision(f);
    for (int64_t i = 1; i <= f->slopes; i++) {
        /* The earlier penalty is part of the precision: to add another would count it
         * twice. What the prior never saw, such as a new level, still needs it. */
        f->penalty[i] = entry(f, 0, i, 0, i) > 0.0 ? 0.0 : f->penalty[i];
    }
    /* The fit begins at the old optimum, where the prior has no loss. */
    memcpy(f->coefficient, f->anchor, (size_t)f->numbers * sizeof *f->anchor);
}

double rt_linear_prior_loss(const rt_linear_state *f, const double *coefficient,
                            double *gradient)
{
    double loss = 0.0;
    for (int64_t a = 0; f->prior != NULL && a < f->numbers; a++) {
        const double *row = f->precision + a * f->numbers;
        /* A row of P (b - anchor): its share of the gradient, and half of it of the
         * loss. */
        double sum = 0.0;
        for (int64_t b = 0; b < f->numbers; b++) {
            sum += row[b] * (coefficient[b] - f->anchor[b]);
        }
        loss += 0.5 * sum * (coefficient[a] - f->anchor[a]);
        if (gradient != NULL) {
            gradient[a] += sum;
        }
    }
    return loss;
}

/* Entry (a, b) of the system, 0 <= a, b < n, in the units of the data: divided by both
 * scales. A flat column tells nothing, so it has 0. */
static double known(const rt_linear_state *f, int64_t a, int64_t b)
{
    const int64_t each = f->slopes + 1;
    const int64_t width = f->plan.width;
    const int64_t row = a / each * width + a % each;
    const int64_t column = b / each * width + b % each;
    const double unit = f->axes[2 * (a % each)] * f->axes[2 * (b % each)];
    return unit > 0.0 ? f->system[row * f->numbers + column] / unit + 0.0 : 0.0;
}

void rt_linear_keep(const rt_linear_state *f, double *memory)
{
    const int64_t n = (f->slopes + 1) * f->plan.outputs;
    /* The weight of all rows behind this model, older ones faded like their
     * precision. */
    *memory++ = f->weight + (f->prior != NULL ? f->prior->gamma * f->prior->rows : 0.0);
    for (int64_t a = 0; a < n; a++) {
        /* The upper triangle by rows, or the diagonal alone. */
        for (int64_t b = a; b < (f->remember == RT_MEMORY_FULL ? n : a + 1); b++) {
            *memory++ = known(f, a, b);
        }
    }
}
