/* The loops of learning row by row; part of block.h. Every operation is one on lanes,
 * or a sum of lanes by one tree, so all builds give the same bits. */

/* The rows as lines: 1, then (x - shift) of numbers, 0 where they are missing, then 0
 * and 1 for each level. Lines, not columns as in a block: one row is learnt before the
 * next is looked at. */
static void take_lines(const rt_linear_plan *plan, int64_t first, int64_t rows,
                       const rt_linear_course *course, double *restrict z)
{
    const int64_t width = course->width;
    double *out = z + 1;
    memset(z, 0, (size_t)(rows * width) * sizeof *z);
    for (int64_t r = 0; r < rows; r++) {
        z[r * width] = course->intercept; /* 1, or 0 without one */
    }
    for (int32_t f = 0; f < plan->x.columns; f++) {
        const int32_t levels = plan->levels[f];
        double column[RUN];
        if (levels == 0) {
            take_numbers(&plan->x, first, rows, f, plan->shift[f], 1.0, 0.0, column);
            for (int64_t r = 0; r < rows; r++) {
                out[r * width] = column[r];
            }
        }
        for (int64_t r = 0; levels > 0 && r < rows; r++) {
            const double value = rt_matrix_at(&plan->x, first + r, f);
            /* NaN fails this, and what passes it can be cast. */
            if (value >= 0.0 && value < (double)levels &&
                (double)(int32_t)value == value) {
                out[r * width + (int32_t)value] = 1.0;
            }
        }
        out += rt_linear_width(levels);
    }
}

/* The same tree as lane_sum. */
static bool any_lane(const lane_bits *mask)
{
    const int64_t *bit = (const int64_t *)mask;
    return ((bit[0] | bit[4]) | (bit[2] | bit[6]) |
            ((bit[1] | bit[5]) | (bit[3] | bit[7]))) != 0;
}

/* A column that is larger than ever before (linear/online.h, algorithm 3): what was
 * learnt of it holds for its share. Weights shrink by the growth, squared gradients,
 * which are in shares, by its square. */
static void grow_sizes(rt_linear_course *c, int32_t outputs, const double *z)
{
    for (int32_t i = 0; i < c->width; i++) {
        const double large = fabs(z[i]);
        if (!(large > c->size[i])) {
            continue;
        }
        /* A column of zeros so far has learnt nothing that would have to shrink. */
        const double share = c->size[i] > 0.0 ? c->size[i] / large : 1.0;
        /* This column of every output. */
        for (int64_t k = i; k < (int64_t)outputs * c->width; k += c->width) {
            c->weight[k] *= share;
            c->squares[k] *= share * share;
        }
        c->size[i] = large;
        c->unit[i] = 1.0 / large;
    }
}

/* True where some |z| exceeds its size. Asked of every row by vectors, since the answer
 * is seldom yes. */
static bool outgrows(const rt_linear_course *c, const double *z)
{
    lane_bits larger = {0};
    for (int32_t i = 0; i < c->width; i += LANES) {
        const lanes x = *(const lanes *)(const void *)(z + i);
        const lanes size = *(const lanes *)(const void *)(c->size + i);
        larger |= (lane_bits)(x > size) | (lane_bits)(-x > size);
    }
    return any_lane(&larger);
}

/* z becomes shares of the sizes; returns the sum of their squares. z and u may be one:
 * each lane is read before it is written. */
static double take_shares(const rt_linear_course *c, const double *z, double *u)
{
    lanes sum = {0};
    for (int32_t i = 0; i < c->width; i += LANES) {
        const lanes share = *(const lanes *)(const void *)(z + i) *
                            *(const lanes *)(const void *)(c->unit + i);
        *(lanes *)(void *)(u + i) = share;
        sum += share * share;
    }
    return lane_sum(&sum);
}

/* x becomes 1 / sqrt(x), to 1e-10, from a first guess by its bits (Robertson 2012) and
 * three steps of Newton; large, and finite, at 0. A square root and a division would
 * take longer. */
static inline void invert_root(lanes *x)
{
    lanes y = (lanes)(0x5fe6eb50c7b537a9 - ((lane_bits)*x >> 1));
    for (int32_t i = 0; i < 3; i++) {
        y = y * (1.5 - 0.5 * *x * y * y);
    }
    *x = y;
}

/* One output's step against its gradient g: weight -= rate g / (size sqrt(sum g^2)),
 * with g and its squares in shares of the size. */
static void step_weights(const rt_linear_course *c, const double *u, double residual,
                         double rate, double *weight, double *squares)
{
    for (int32_t i = 0; i < c->width; i += LANES) {
        const lanes gradient = residual * *(const lanes *)(const void *)(u + i);
        lanes *sum = (lanes *)(void *)(squares + i);
        *sum += gradient * gradient;
        lanes root = *sum;
        invert_root(&root);
        *(lanes *)(void *)(weight + i) -=
            rate * gradient * *(const lanes *)(const void *)(c->unit + i) * root;
    }
}

/* Linear sums become derivatives of the row's loss. */
static void derive_row(const rt_linear_plan *plan, const rt_linear_course *c, double y,
                       double *sum)
{
    if (plan->loss == RT_LINEAR_LOGISTIC) {
        sum[0] = rt_sigmoid(sum[0]) - y;
        return;
    }
    if (plan->loss == RT_LINEAR_SQUARE) {
        /* Amounts are learnt as (y - shift) / scale, whatever their unit. */
        sum[0] -= (y - c->target_shift) * c->target_unit;
        return;
    }
    /* Softmax, the largest sum taken out so that no exp overflows. */
    double most = sum[0];
    double total = 0.0;
    for (int32_t k = 1; k < plan->outputs; k++) {
        most = sum[k] > most ? sum[k] : most;
    }
    for (int32_t k = 0; k < plan->outputs; k++) {
        sum[k] = rt_exp(sum[k] - most);
        total += sum[k];
    }
    for (int32_t k = 0; k < plan->outputs; k++) {
        sum[k] = sum[k] / total - (y == (double)k ? 1.0 : 0.0);
    }
}

/* Sizes first, so that no share exceeds 1; then the prediction by the weights so far,
 * and the step. rate * sqrt(rows / norm) divides by the root of a row's mean norm: many
 * full columns share one step. */
static void learn_row(const rt_linear_plan *plan, rt_linear_course *c, double *z,
                      double y, double weight)
{
    double *sum = c->scratch + (int64_t)RUN * c->width;
    if (outgrows(c, z)) {
        grow_sizes(c, plan->outputs, z);
    }
    for (int64_t k = 0; k < plan->outputs; k++) {
        sum[k] = dot(z, c->weight + k * c->width, c->width);
    }
    c->norm += take_shares(c, z, z);
    c->rows += 1.0; /* whatever their weight */
    derive_row(plan, c, y, sum);
    const double rate = c->norm > 0.0 ? c->rate * sqrt(c->rows / c->norm) : 0.0;
    for (int64_t k = 0; k < plan->outputs; k++) {
        step_weights(c, z, sum[k] * weight, rate, c->weight + k * c->width,
                     c->squares + k * c->width);
    }
}

/* Run by run, so that the lines of a run stay in the cache. */
static void learn_rows(const rt_linear_plan *plan, int64_t first, int64_t rows,
                       rt_linear_course *course)
{
    double *z = course->scratch;
    for (int64_t at = first; at < first + rows; at += RUN) {
        const int64_t left = first + rows - at;
        const int64_t run = left < RUN ? left : RUN;
        take_lines(plan, at, run, course, z);
        for (int64_t r = 0; r < run; r++) {
            const double weight = plan->weight == NULL ? 1.0 : plan->weight[at + r];
            /* A row of weight 0 is absent: it must not even change sizes. */
            if (weight > 0.0) {
                learn_row(plan, course, z + r * course->width, plan->target[at + r],
                          weight);
            }
        }
    }
}
