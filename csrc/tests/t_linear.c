#include <math.h>
#include <string.h>

#include "base/isa.h"
#include "linear/fit.h"
#include "model/check.h"
#include "model/read.h"
#include "model/write.h"
#include "parallel/task.h"
#include "tests/linear_data.h"
#include "tests/test.h"

static bool near(double a, double b, double tolerance)
{
    return fabs(a - b) <= tolerance * (1.0 + fabs(b));
}

/* Two points on a line, and the mean where there is no slope. */
static void a_line_is_found_exactly(void)
{
    const double x[] = {1.0, 2.0, 4.0};
    const double y[] = {5.0, 7.0, 11.0};
    test_linear t = {.threads = 1};
    test_linear_init(&t, RT_LINEAR_SQUARE, 0.0);
    t.rows.x = (rt_matrix){.data = (const char *)x,
                           .rows = 3,
                           .columns = 1,
                           .row_bytes = sizeof(double),
                           .column_bytes = sizeof(double),
                           .is_f64 = true};
    t.rows.target = y;
    TRY(test_linear_fit(&t, NULL));
    CHECK(near(t.model.linear.slope[0], 2.0, 1e-14));
    CHECK(near(t.model.linear.intercept[0], 3.0, 1e-14));
    CHECK(t.report.converged);
done:
    rt_model_clear(&t.model);
}

/* At the optimum the residuals are orthogonal to every column, by the definition. */
static void derivatives_vanish_at_the_optimum(void)
{
    static const rt_linear_loss losses[] = {RT_LINEAR_LOGISTIC, RT_LINEAR_POISSON,
                                            RT_LINEAR_SQUARE, RT_LINEAR_SOFTMAX};
    for (size_t i = 0; i < 4; i++) {
        test_linear t = {.threads = 1};
        test_linear_init(&t, losses[i], 0.5);
        rt_status status = test_linear_fit(&t, NULL);
        CHECK(status == RT_OK || (status == RT_NO_MEMORY && rt_test_faulting));
        if (status == RT_OK) {
            CHECK(t.report.converged && t.report.iterations < 12);
            CHECK(t.report.gradient < 1e-6);
            CHECK(test_linear_gradient(&t) < 1e-8);
        }
        rt_model_clear(&t.model);
    }
}

static rt_status fit_bytes(rt_linear_loss loss, int32_t threads, uint8_t **data,
                           size_t *bytes)
{
    test_linear t = {.threads = threads};
    test_linear_init(&t, loss, 0.5);
    rt_status status = test_linear_fit(&t, NULL);
    if (status == RT_OK) {
        status = rt_model_write(&t.model, data, bytes, NULL);
    }
    rt_model_clear(&t.model);
    return status;
}

static bool same(const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes)
{
    return a_bytes == b_bytes && memcmp(a, b, a_bytes) == 0;
}

static void teams_and_instruction_sets_give_the_same_bytes(void)
{
    static const int32_t teams[] = {2, 3, 7};
    const rt_isa best = rt_isa_in_use();
    uint8_t *first = NULL, *other = NULL;
    size_t first_bytes = 0, other_bytes = 0;
    if (rt_test_faulting) {
        return;
    }
    for (int32_t loss = RT_LINEAR_LOGISTIC; loss <= RT_LINEAR_POISSON; loss++) {
        TRY(fit_bytes((rt_linear_loss)loss, 1, &first, &first_bytes));
        for (size_t i = 0; i < 3; i++) {
            TRY(fit_bytes((rt_linear_loss)loss, teams[i], &other, &other_bytes));
            CHECK(same(first, first_bytes, other, other_bytes));
            rt_free(other);
            other = NULL;
        }
        for (int32_t level = 0; level <= (int32_t)rt_isa_best(); level++) {
            (void)rt_isa_force((rt_isa)level);
            TRY(fit_bytes((rt_linear_loss)loss, 2, &other, &other_bytes));
            CHECK(same(first, first_bytes, other, other_bytes));
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

static void a_row_of_no_weight_is_absent_and_two_are_a_weight_of_two(void)
{
    test_linear once = {.threads = 1};
    test_linear twice = {.threads = 1};
    double weight[TEST_LINEAR_ROWS];
    test_linear_init(&once, RT_LINEAR_LOGISTIC, 0.5);
    for (int32_t i = 0; i < TEST_LINEAR_ROWS; i++) {
        weight[i] = i < 1250 ? 2.0 : 0.0;
    }
    once.rows.weight = weight;
    test_linear_init(&twice, RT_LINEAR_LOGISTIC, 0.25);
    twice.rows.x.rows = 1250;
    TRY(test_linear_fit(&once, NULL));
    TRY(test_linear_fit(&twice, NULL));
    for (int64_t i = 0; i < once.model.linear.n_slopes; i++) {
        CHECK(near(once.model.linear.slope[i], twice.model.linear.slope[i], 1e-10));
    }
done:
    rt_model_clear(&once.model);
    rt_model_clear(&twice.model);
}

static void a_repeated_column_takes_no_slope_and_breaks_nothing(void)
{
    static double x[600][3];
    static double y[600];
    static const int32_t levels[3] = {0};
    test_linear t = {.threads = 1};
    for (int32_t i = 0; i < 600; i++) {
        x[i][0] = x[i][1] = sin((double)i);
        x[i][2] = 7.25;
        y[i] = 3.0 * x[i][0] - 1.0;
    }
    test_linear_init(&t, RT_LINEAR_SQUARE, 0.0);
    t.rows.x = (rt_matrix){.data = (const char *)x,
                           .rows = 600,
                           .columns = 3,
                           .row_bytes = sizeof x[0],
                           .column_bytes = sizeof(double),
                           .is_f64 = true};
    t.rows.target = y;
    t.rows.levels = levels;
    TRY(test_linear_fit(&t, NULL));
    CHECK(near(t.model.linear.slope[0], 3.0, 1e-12));
    CHECK(t.model.linear.slope[1] == 0.0 && t.model.linear.slope[2] == 0.0);
    CHECK(near(t.model.linear.intercept[0], -1.0, 1e-12));
done:
    rt_model_clear(&t.model);
}

static void one_class_gives_the_odds_of_half_a_row(void)
{
    static const double ones[TEST_LINEAR_ROWS] = {0.0};
    test_linear t = {.threads = 1};
    test_linear_init(&t, RT_LINEAR_LOGISTIC, 1.0);
    t.rows.target = ones;
    TRY(test_linear_fit(&t, NULL));
    CHECK(
        near(t.model.linear.intercept[0], log(0.5 / (TEST_LINEAR_ROWS + 0.5)), 1e-14));
    CHECK(t.model.linear.slope[0] == 0.0);
done:
    rt_model_clear(&t.model);
}

static void what_cannot_be_fitted_is_refused_by_row(void)
{
    static double y[TEST_LINEAR_ROWS];
    static double x[TEST_LINEAR_ROWS];
    rt_error err = {RT_OK, NULL, ""};
    test_linear t = {.threads = 1};
    test_linear_init(&t, RT_LINEAR_LOGISTIC, 1.0);
    y[3] = 2.0;
    t.rows.target = y;
    CHECK(test_linear_fit(&t, &err) == RT_INVALID || rt_test_faulting);
    CHECK(strstr(err.message, "row 3") != NULL || rt_test_faulting);
    y[3] = 1.0;
    x[5] = INFINITY;
    t.rows.x = (rt_matrix){.data = (const char *)x,
                           .rows = TEST_LINEAR_ROWS,
                           .columns = 1,
                           .row_bytes = sizeof(double),
                           .column_bytes = sizeof(double),
                           .is_f64 = true};
    CHECK(test_linear_fit(&t, &err) == RT_INVALID || rt_test_faulting);
    CHECK(strstr(err.message, "row 5, column 0") != NULL || rt_test_faulting);
    rt_model_clear(&t.model);
}

static void a_fit_that_is_asked_to_stop_stops(void)
{
    test_linear t = {.threads = 2};
    test_linear_init(&t, RT_LINEAR_LOGISTIC, 1.0);
    atomic_store(&t.ctl.cancelled, true);
    rt_status status = test_linear_fit(&t, NULL);
    CHECK(status == RT_CANCELLED || (status == RT_NO_MEMORY && rt_test_faulting));
    rt_model_clear(&t.model);
}

static void predictions_do_not_depend_on_the_team(void)
{
    static double one[TEST_LINEAR_ROWS * 3], seven[TEST_LINEAR_ROWS * 3];
    test_linear t = {.threads = 1};
    test_linear_init(&t, RT_LINEAR_SOFTMAX, 1.0);
    TRY(test_linear_fit(&t, NULL));
    TRY(test_linear_predict(&t, 1, one));
    TRY(test_linear_predict(&t, 7, seven));
    CHECK(memcmp(one, seven, sizeof one) == 0);
    CHECK(near(one[0] + one[1] + one[2], 1.0, 1e-14));
done:
    rt_model_clear(&t.model);
}

/* Every byte changed in turn, with the checksum made right again: refused, or safe to
 * predict with and written the same. */
static void resealed_changes_are_refused_or_harmless(void)
{
    uint8_t *data = NULL;
    size_t bytes = 0;
    if (rt_test_faulting) {
        return;
    }
    TRY(fit_bytes(RT_LINEAR_SOFTMAX, 1, &data, &bytes));
    test_linear_reseal(data, bytes);
done:
    rt_free(data);
}

static const rt_test tests[] = {
    {"a line is found exactly", a_line_is_found_exactly},
    {"derivatives vanish at the optimum", derivatives_vanish_at_the_optimum},
    {"teams and instruction sets give the same bytes",
     teams_and_instruction_sets_give_the_same_bytes},
    {"a row of no weight is absent, and two are a weight of two",
     a_row_of_no_weight_is_absent_and_two_are_a_weight_of_two},
    {"a repeated column takes no slope and breaks nothing",
     a_repeated_column_takes_no_slope_and_breaks_nothing},
    {"one class gives the odds of half a row", one_class_gives_the_odds_of_half_a_row},
    {"what cannot be fitted is refused by row",
     what_cannot_be_fitted_is_refused_by_row},
    {"a fit that is asked to stop stops", a_fit_that_is_asked_to_stop_stops},
    {"predictions do not depend on the team", predictions_do_not_depend_on_the_team},
    {"resealed changes are refused or harmless",
     resealed_changes_are_refused_or_harmless},
};

RT_TEST_MAIN(tests)
