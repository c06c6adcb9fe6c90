#include "linear/prior.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/linear_data.h"
#include "tests/test.h"

enum { SLOPES = TEST_LINEAR_FEATURES - 1 + TEST_LINEAR_LEVELS, EACH = SLOPES + 1 };

static double precision[9 * EACH * EACH];

/* Rows [first, first + count) of the table. */
static void take_rows(test_linear *t, rt_linear_loss loss, int64_t first, int64_t count)
{
    test_linear_init(t, loss, 0.0);
    t->params.value[RT_LP_STANDARDIZE] = 0.0;
    t->rows.x.data += first * t->rows.x.row_bytes;
    t->rows.x.rows = count;
    t->rows.target += first;
}

/* Gaps count as the mean of a fit's own rows, which is another one in every part. */
static void fill_gaps(void)
{
    for (int32_t i = 0; i < TEST_LINEAR_ROWS; i++) {
        test_linear_x[i][1] = isnan(test_linear_x[i][1]) ? 0.25F : test_linear_x[i][1];
    }
}

/* What a fit remembers, as the prior of the next. */
static rt_linear_prior prior_of(const rt_linear *linear, double gamma)
{
    const int64_t n = linear->n_outputs * (1 + linear->n_slopes);
    const double *at = linear->memory + 1;
    memset(precision, 0, sizeof precision);
    for (int64_t a = 0; a < n; a++) {
        for (int64_t b = a; b < (linear->kind == RT_MEMORY_FULL ? n : a + 1); b++) {
            precision[a * n + b] = precision[b * n + a] = *at++;
        }
    }
    return (rt_linear_prior){.intercept = linear->intercept,
                             .slope = linear->slope,
                             .centre = linear->fill,
                             .precision = precision,
                             .gamma = gamma,
                             .rows = linear->memory[0]};
}

/* The definition: the sum of squares is a quadratic form around its least, so its
 * second derivatives say all about rows that are gone. */
static void least_squares_need_no_rows_of_before(void)
{
    test_linear whole = {.threads = 1};
    test_linear first = {.threads = 1, .remember = RT_MEMORY_FULL};
    test_linear second = {.threads = 1, .remember = RT_MEMORY_FULL};
    rt_linear_prior prior;
    take_rows(&whole, RT_LINEAR_SQUARE, 0, TEST_LINEAR_ROWS);
    take_rows(&first, RT_LINEAR_SQUARE, 0, 900);
    take_rows(&second, RT_LINEAR_SQUARE, 900, TEST_LINEAR_ROWS - 900);
    fill_gaps();
    TRY(test_linear_fit(&whole, NULL));
    TRY(test_linear_fit(&first, NULL));
    prior = prior_of(&first.model.linear, 1.0);
    second.prior = &prior;
    TRY(test_linear_fit(&second, NULL));
    for (int32_t i = 0; i < SLOPES; i++) {
        const double expected = whole.model.linear.slope[i];
        const double found = second.model.linear.slope[i];
        /* A sum of all levels and the intercept are told apart by their order alone. */
        const bool number = i < 2 || i >= 2 + TEST_LINEAR_LEVELS;
        CHECK(!number || fabs(found - expected) <= 1e-8 * (1.0 + fabs(expected)));
    }
    CHECK(second.model.linear.memory[0] == TEST_LINEAR_ROWS);
done:
    rt_model_clear(&whole.model);
    rt_model_clear(&first.model);
    rt_model_clear(&second.model);
}

static rt_status chain(int32_t threads, rt_linear_memory kind, uint8_t **data,
                       size_t *bytes)
{
    test_linear first = {.threads = threads, .remember = kind};
    test_linear second = {.threads = threads, .remember = kind};
    rt_linear_prior prior;
    take_rows(&first, RT_LINEAR_SOFTMAX, 0, 1200);
    take_rows(&second, RT_LINEAR_SOFTMAX, 1200, TEST_LINEAR_ROWS - 1200);
    rt_status status = test_linear_fit(&first, NULL);
    if (status == RT_OK) {
        prior = prior_of(&first.model.linear, 0.9);
        second.prior = &prior;
        status = test_linear_fit(&second, NULL);
    }
    if (status == RT_OK) {
        status = rt_model_write(&second.model, data, bytes, NULL);
    }
    rt_model_clear(&first.model);
    rt_model_clear(&second.model);
    return status;
}

static void teams_give_the_same_bytes(void)
{
    static const int32_t teams[] = {2, 7};
    uint8_t *one = NULL, *other = NULL;
    size_t one_bytes = 0, other_bytes = 0;
    if (rt_test_faulting) {
        return;
    }
    for (int32_t kind = RT_MEMORY_DIAGONAL; kind <= RT_MEMORY_FULL; kind++) {
        TRY(chain(1, (rt_linear_memory)kind, &one, &one_bytes));
        for (size_t i = 0; i < 2; i++) {
            TRY(chain(teams[i], (rt_linear_memory)kind, &other, &other_bytes));
            CHECK(one_bytes == other_bytes && memcmp(one, other, one_bytes) == 0);
            rt_free(other);
            other = NULL;
        }
        rt_free(one);
        one = NULL;
    }
done:
    rt_free(one);
    rt_free(other);
}

static void resealed_changes_are_refused_or_harmless(void)
{
    uint8_t *data = NULL;
    size_t bytes = 0;
    if (rt_test_faulting) {
        return;
    }
    TRY(chain(1, RT_MEMORY_DIAGONAL, &data, &bytes));
    test_linear_reseal(data, bytes);
done:
    rt_free(data);
}

static const rt_test tests[] = {
    {"least squares need no rows of before", least_squares_need_no_rows_of_before},
    {"teams give the same bytes", teams_give_the_same_bytes},
    {"resealed changes are refused or harmless",
     resealed_changes_are_refused_or_harmless},
};

RT_TEST_MAIN(tests)
