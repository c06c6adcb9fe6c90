#include <math.h>
#include <string.h>

#include "base/isa.h"
#include "base/philox.h"
#include "evaluation/amounts.h"
#include "evaluation/simd/dispatch.h"
#include "parallel/task.h"
#include "tests/test.h"

enum {
    ROWS = 1300,
    DAYS = 3,
    LEVELS = 2,
    PLACES = DAYS * LEVELS,
    TABLE = PLACES * RT_AMOUNT_SUMS * RT_DIGITS
};

static int32_t day[ROWS];
static int32_t level[ROWS];
static double y[ROWS];
static double predicted[2][ROWS];
static double at[LEVELS] = {0.25, 0.75};

static rt_amount_rows random_rows(void)
{
    static uint32_t words[3 * ROWS];
    rt_philox_fill(8, 1, 0, 3 * ROWS, words);
    for (int i = 0; i < ROWS; i++) {
        day[i] = (int32_t)(words[i] % DAYS);
        level[i] = (int32_t)(words[i] / 7 % LEVELS);
        y[i] = (double)(words[i] >> 8 & 255) - 128.0; /* zeros, both signs */
        predicted[0][i] = (double)(words[ROWS + i] % 400) / 3.0 - 60.0;
        predicted[1][i] = (double)words[2 * ROWS + i] / 1e7 - 200.0;
    }
    return (rt_amount_rows){day, level, y,    predicted[0], predicted[1],
                            at,  ROWS,  DAYS, LEVELS};
}

typedef struct amount_call {
    rt_amount_rows rows;
    rt_amount_kind kind;
    int32_t n_threads;
    int64_t sums[TABLE];
} amount_call;

static rt_status run(void *argument, rt_error *err)
{
    amount_call *c = argument;
    return rt_sum_amounts(&c->rows, c->kind, c->n_threads, NULL, c->sums, err);
}

static double number_of(const int64_t *digits)
{
    double sum = 0.0;
    for (int i = RT_DIGITS - 1; i >= 0; i--) {
        sum += ldexp((double)digits[i], RT_DIGIT_BITS * i - RT_DIGITS_POINT);
    }
    return sum;
}

static double value_of(rt_amount_kind kind, double label, double p, double q)
{
    const double e = label - p;
    const double both = fabs(label) + fabs(p);
    const double values[RT_AMOUNT_KINDS] = {
        fabs(e),
        e * e,
        -e,
        fmax(q * e, (q - 1.0) * e),
        label != 0.0 ? fabs(e / label) : 0.0,
        both > 0.0 ? 2.0 * fabs(e) / both : 0.0,
        e * e,
        p,
    };
    return values[kind];
}

static double base_of(rt_amount_kind kind, double label, double m)
{
    const double bases[RT_AMOUNT_KINDS] = {
        1.0, 1.0, 1.0, 1.0, label != 0.0, 1.0, (label - m) * (label - m), label};
    return bases[kind];
}

static void add_products(double *sums, double v, double w, double b)
{
    const double d = w - v;
    const double products[RT_AMOUNT_SUMS] = {v,     w,     b,     d * d, d * b,
                                             b * b, v * v, v * d, v * b};
    for (int k = 0; k < RT_AMOUNT_SUMS; k++) {
        sums[k] += products[k];
    }
}

static void sums_are_those_of_the_definitions(void)
{
    for (rt_amount_kind kind = 0; kind < RT_AMOUNT_KINDS; kind++) {
        amount_call c = {random_rows(), kind, 2, {0}};
        double expected[PLACES][RT_AMOUNT_SUMS] = {{0.0}};
        const bool is_curved =
            kind == RT_SQUARED || kind == RT_ERROR || kind == RT_GIVEN;
        TRY(rt_task_run(run, &c, NULL));
        for (int i = 0; i < ROWS; i++) {
            const double q = at[level[i]];
            add_products(expected[day[i] * LEVELS + level[i]],
                         value_of(kind, y[i], predicted[0][i], q),
                         value_of(kind, y[i], predicted[1][i], q),
                         base_of(kind, y[i], q));
        }
        for (int i = 0; i < PLACES * RT_AMOUNT_SUMS; i++) {
            const int sum = i % RT_AMOUNT_SUMS;
            const bool left_out = !is_curved && (sum == RT_SUM_VV || sum == RT_SUM_VD);
            const double wanted = left_out ? 0.0 : expected[i / RT_AMOUNT_SUMS][sum];
            CHECK(fabs(number_of(c.sums + (long)i * RT_DIGITS) - wanted) <=
                  1e-11 * (1.0 + fabs(wanted)));
        }
    }
done:;
}

/* Large and small numbers, whose sum in doubles depends on their order. */
static void a_sum_is_exact(void)
{
    static const double numbers[] = {0x1p159, 0x1p-127, -0x1p159, 0x1p52, 0x1p-74,
                                     -0x1p52, 1.0,      0x1p-129, -0.0,   0x1p-400};
    int64_t digits[RT_DIGITS] = {0};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        rt_digits_add(digits, numbers[i]);
    }
    /* 2^-129 is half of the last place, and rounds up */
    CHECK(digits[0] == 3 && digits[1] == (int64_t)1 << 22);
    CHECK(number_of(digits) == 1.0 + 0x1p-74 + 3 * 0x1p-128);
}

static void any_team_and_order_give_the_same_number(void)
{
    for (rt_amount_kind kind = 0; kind < RT_AMOUNT_KINDS; kind++) {
        amount_call first = {random_rows(), kind, 1, {0}};
        amount_call other = first;
        TRY(rt_task_run(run, &first, NULL));
        for (int i = 0; i < ROWS / 2; i++) {
            const int j = ROWS - 1 - i;
            const int32_t places[] = {day[i], level[i]};
            const double values[] = {y[i], predicted[0][i], predicted[1][i]};
            day[i] = day[j], level[i] = level[j], y[i] = y[j];
            predicted[0][i] = predicted[0][j], predicted[1][i] = predicted[1][j];
            day[j] = places[0], level[j] = places[1], y[j] = values[0];
            predicted[0][j] = values[1], predicted[1][j] = values[2];
        }
        for (other.n_threads = 1; other.n_threads <= 4; other.n_threads++) {
            TRY(rt_task_run(run, &other, NULL));
            CHECK(memcmp(first.sums, other.sums, sizeof first.sums) == 0);
        }
    }
done:;
}

/* Numbers of all sizes, some of which no slice of a block holds. */
static double odd_number(int i)
{
    static const double numbers[] = {0.0,        -0.0,      0x1p-130,  0x1p-76,
                                     -0x1.8p-75, 1.0,       0x1p-1074, 0x1p30,
                                     -0x1.fp33,  0x1.1p-20, 3.0,       -7.5};
    return numbers[i % (int)(sizeof numbers / sizeof numbers[0])] * (1.0 + i % 7);
}

/* `whole` rows of one place make blocks; turned by turn with another they make none. */
static void place_rows(int64_t n, bool whole, double unit)
{
    for (int i = 0; i < n; i++) {
        day[i] = whole ? i >= n / 2 : i % 2;
        level[i] = 0;
        const int of = whole ? i % (int)(n / 2) * 2 + day[i] : i;
        const bool odd = of % 400 > 300;
        y[i] = unit * (odd ? of % 3 - 1.0 : of % 50 / 3.0);
        predicted[0][i] = unit * (odd ? odd_number(of + 3) : of % 61 / 7.0);
        predicted[1][i] = unit * (odd ? odd_number(of * 5 + 1) : -of / 9.0);
    }
}

/* Sums of `n` rows of one kind, in a unit whose smallest numbers may fall off the last
 * digit: a row at a time and in blocks, of every build. */
static void check_blocks(rt_amount_kind kind, int64_t n, double unit)
{
    const rt_isa best = rt_isa_in_use();
    amount_call one = {random_rows(), kind, 1, {0}};
    one.rows.n_rows = n;
    amount_call many = one;
    place_rows(n, false, unit);
    TRY(rt_task_run(run, &one, NULL));
    place_rows(n, true, unit);
    for (int32_t isa = 0; isa <= (int32_t)rt_isa_best(); isa++) {
        (void)rt_isa_force((rt_isa)isa);
        TRY(rt_task_run(run, &many, NULL));
        CHECK(memcmp(one.sums, many.sums, sizeof one.sums) == 0);
    }
done:
    (void)rt_isa_force(best);
}

static void blocks_add_what_rows_add_on_every_processor(void)
{
    static const double units[] = {1.0, 0x1p-40, 0x1p-60, 0x1p-75, 0x1p-100};
    for (rt_amount_kind kind = 0; kind < RT_AMOUNT_KINDS; kind++) {
        for (int64_t n = 200; n <= 2 * RT_AMOUNT_BLOCK + 200; n += RT_AMOUNT_BLOCK) {
            for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
                check_blocks(kind, n, units[i]);
            }
        }
    }
}

static void refuse(amount_call *c, const char *message)
{
    rt_error err = {RT_OK, NULL, ""};
    const rt_status status = rt_task_run(run, c, &err);
    CHECK((rt_test_faulting && status == RT_NO_MEMORY) ||
          (status != RT_OK && strstr(err.message, message) != NULL));
}

static void a_bad_row_is_named_with_its_argument(void)
{
    amount_call c = {random_rows(), RT_SQUARED, 1, {0}};
    predicted[1][500] = 1e12;
    c.kind = RT_ABSOLUTE;
    rt_status status = rt_task_run(run, &c, NULL);
    CHECK(status == RT_OK || (rt_test_faulting && status == RT_NO_MEMORY));
    predicted[1][500] = 1e12 * 1e12;
    refuse(&c, "row 500: y is");
    refuse(&c, "the challenger is too far off");
    predicted[0][400] = NAN;
    refuse(&c, "champion[400] is nan, it must be finite");
    y[300] = INFINITY;
    refuse(&c, "y[300] is inf, it must be finite");
    level[200] = LEVELS;
    refuse(&c, "level[200] is 2, it must lie in 0..1");
    day[100] = -1;
    refuse(&c, "day[100] is -1, it must lie in 0..2");
    c.rows.n_days = -1;
    refuse(&c, "neither can be negative");
    c.rows.n_rows = (int64_t)INT32_MAX + 1;
    refuse(&c, "pass the limit");
}

static void no_rows_are_fine(void)
{
    amount_call c = {random_rows(), RT_SPREAD, 3, {0}};
    c.rows.n_rows = 0;
    TRY(rt_task_run(run, &c, NULL));
    for (int i = 0; i < TABLE; i++) {
        CHECK(c.sums[i] == 0);
    }
done:;
}

static const rt_test tests[] = {
    {"sums are those of the definitions", sums_are_those_of_the_definitions},
    {"a sum is exact", a_sum_is_exact},
    {"any team and order give the same number",
     any_team_and_order_give_the_same_number},
    {"blocks add what rows add on every processor",
     blocks_add_what_rows_add_on_every_processor},
    {"a bad row is named with its argument", a_bad_row_is_named_with_its_argument},
    {"no rows are fine", no_rows_are_fine},
};

RT_TEST_MAIN(tests)
