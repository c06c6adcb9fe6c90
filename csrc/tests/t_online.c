#include "linear/online.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/isa.h"
#include "tests/linear_data.h"
#include "tests/test.h"

static const rt_linear_loss losses[] = {RT_LINEAR_LOGISTIC, RT_LINEAR_SOFTMAX,
                                        RT_LINEAR_SQUARE};

static bool near(double a, double b, double tolerance)
{
    return fabs(a - b) <= tolerance * (1.0 + fabs(b));
}

/* The published steps for two rows of one number around its mean 2, by hand: sizes,
 * squared gradients and weights, in a loss whose residuals are known. */
static void two_rows_move_as_by_hand(void)
{
    static const double x[] = {1.0, 3.0};
    static const double y[] = {0.0, 1.0};
    static const int32_t levels[] = {0};
    test_linear t = {.threads = 1};
    test_linear_init(&t, RT_LINEAR_LOGISTIC, 0.0);
    t.rows.x = (rt_matrix){.data = (const char *)x,
                           .rows = 2,
                           .columns = 1,
                           .row_bytes = sizeof(double),
                           .column_bytes = sizeof(double),
                           .is_f64 = true};
    t.rows.target = y;
    t.rows.levels = levels;
    TRY(test_linear_learn(&t, 0, 2, NULL));
    /* Row 1: z = -1, p = 1/2, residual 1/2. Rate: 0.5 sqrt(1 / 2). Intercept and slope
     * move by the rate, against the gradient's sign. */
    const double first = 0.5 * sqrt(0.5);
    const double a = -first, b = first;
    /* Row 2: z = 1, sum a + b = 0, residual -1/2; squares are 1/4 + 1/4, rows 2,
     * norm 4. */
    const double second = 0.5 * sqrt(0.5) * 0.5 / sqrt(0.5);
    const rt_linear *linear = &t.model.linear;
    CHECK(linear->fill[0] == 2.0);
    CHECK(near(linear->slope[0], b + second, 1e-9));
    CHECK(near(linear->intercept[0], a + second - 2.0 * (b + second), 1e-9));
    CHECK(linear->memory[RT_ONLINE_ROWS] == 2.0);
    CHECK(linear->memory[RT_ONLINE_NORM] == 4.0);
    CHECK(linear->memory[RT_ONLINE_NUMBERS + 1] == 1.0);
    CHECK(near(linear->memory[RT_ONLINE_NUMBERS + 2], 0.5, 1e-15));
done:
    rt_model_clear(&t.model);
}

/* Rows after the first 500, cut into calls of so many. */
static rt_status learnt(rt_linear_loss loss, int64_t cut, uint8_t **data, size_t *bytes)
{
    test_linear t = {.threads = 1};
    test_linear_init(&t, loss, 0.0);
    rt_status status = test_linear_learn(&t, 0, 500, NULL);
    for (int64_t at = 500; at < TEST_LINEAR_ROWS && status == RT_OK; at += cut) {
        const int64_t left = TEST_LINEAR_ROWS - at;
        status = test_linear_learn(&t, at, left < cut ? left : cut, NULL);
    }
    if (status == RT_OK) {
        status = rt_model_write(&t.model, data, bytes, NULL);
    }
    rt_model_clear(&t.model);
    return status;
}

static void cuts_and_instruction_sets_give_the_same_bytes(void)
{
    static const int64_t cuts[] = {1, 7, 64, 1999};
    const rt_isa best = rt_isa_in_use();
    uint8_t *first = NULL, *other = NULL;
    size_t first_bytes = 0, other_bytes = 0;
    if (rt_test_faulting) {
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        TRY(learnt(losses[i], TEST_LINEAR_ROWS, &first, &first_bytes));
        for (size_t c = 0; c < 4; c++) {
            (void)rt_isa_force((rt_isa)(c % ((size_t)rt_isa_best() + 1)));
            TRY(learnt(losses[i], cuts[c], &other, &other_bytes));
            CHECK(first_bytes == other_bytes && memcmp(first, other, first_bytes) == 0);
            rt_free(other);
            other = NULL;
        }
        (void)rt_isa_force(best);
        rt_free(first);
        first = NULL;
    }
done:
    (void)rt_isa_force(best);
    rt_free(first);
    rt_free(other);
}

/* A few looks at all rows lead near the slopes that fit best: predictions add up to
 * what was seen, whatever the units. */
static void learning_comes_near_to_the_fit(void)
{
    for (size_t i = 0; i < 3; i++) {
        test_linear t = {.threads = 1};
        test_linear_init(&t, losses[i], 0.0);
        rt_status status = RT_OK;
        for (int32_t look = 0; look < 5 && status == RT_OK; look++) {
            status = test_linear_learn(&t, 0, TEST_LINEAR_ROWS, NULL);
        }
        CHECK(status == RT_OK || (status == RT_NO_MEMORY && rt_test_faulting));
        if (status == RT_OK && !rt_test_faulting) {
            CHECK(test_linear_gradient(&t) < 0.03);
        }
        rt_model_clear(&t.model);
    }
}

/* What a fit found is where learning begins: one more look leads astray by little. */
static void learning_goes_on_after_a_fit(void)
{
    for (size_t i = 0; i < 3; i++) {
        test_linear t = {.threads = 1};
        test_linear_init(&t, losses[i], 0.0);
        rt_status status = test_linear_fit(&t, NULL);
        if (status == RT_OK) {
            status = test_linear_learn(&t, 0, TEST_LINEAR_ROWS, NULL);
        }
        CHECK(status == RT_OK || (status == RT_NO_MEMORY && rt_test_faulting));
        if (status == RT_OK && !rt_test_faulting) {
            CHECK(test_linear_gradient(&t) < 0.05);
            CHECK(t.model.linear.memory[RT_ONLINE_ROWS] == 2.0 * TEST_LINEAR_ROWS);
        }
        rt_model_clear(&t.model);
    }
}

static void what_cannot_be_learnt_is_refused(void)
{
    test_linear t = {.threads = 1};
    rt_error err = {RT_OK, NULL, ""};
    const float kept = test_linear_x[7][0];
    test_linear_init(&t, RT_LINEAR_LOGISTIC, 0.5);
    test_linear_x[7][0] = INFINITY;
    CHECK(test_linear_learn(&t, 0, 10, &err) == RT_INVALID || rt_test_faulting);
    if (!rt_test_faulting) {
        CHECK(strstr(err.message, "row 7, column 0") != NULL);
    }
    rt_model_clear(&t.model);
    test_linear_init(&t, RT_LINEAR_POISSON, 0.5);
    CHECK(test_linear_learn(&t, 0, 10, &err) == RT_INVALID || rt_test_faulting);
    test_linear_x[7][0] = kept;
    rt_model_clear(&t.model);
}

static void resealed_changes_are_refused_or_harmless(void)
{
    uint8_t *data = NULL;
    size_t bytes = 0;
    if (rt_test_faulting) {
        return;
    }
    TRY(learnt(RT_LINEAR_SOFTMAX, 500, &data, &bytes));
    test_linear_reseal(data, bytes);
done:
    rt_free(data);
}

static const rt_test tests[] = {
    {"two rows move as by hand", two_rows_move_as_by_hand},
    {"cuts and instruction sets give the same bytes",
     cuts_and_instruction_sets_give_the_same_bytes},
    {"learning comes near to the fit", learning_comes_near_to_the_fit},
    {"learning goes on after a fit", learning_goes_on_after_a_fit},
    {"what cannot be learnt is refused", what_cannot_be_learnt_is_refused},
    {"resealed changes are refused or harmless",
     resealed_changes_are_refused_or_harmless},
};

RT_TEST_MAIN(tests)
