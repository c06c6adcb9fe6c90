#include "evaluation/f1.h"
#include "gbdt/predict.h"
#include "tests/gbdt_data.h"
#include "tests/test.h"

/* Is the model of `fit` with `threads` equal to the given bytes? */
static rt_status same_bytes(const test_table *t, const rt_gbdt_params *params,
                            int32_t threads, const uint8_t *expected, size_t bytes)
{
    test_fit fit;
    uint8_t *data = NULL;
    size_t length = 0;
    test_fit_init(&fit, t, threads);
    fit.params = *params;
    rt_status status = test_train(&fit, NULL);
    if (status == RT_OK) {
        CHECK(fit.report.team == threads);
        status = rt_model_write(&fit.model, &data, &length, NULL);
    }
    if (status == RT_OK) {
        CHECK(length == bytes && memcmp(data, expected, bytes) == 0);
    }
    rt_free(data);
    rt_model_clear(&fit.model);
    return status;
}

static void check_teams(const test_table *t, int32_t rounds)
{
    static const int32_t teams[] = {2, 3, 7};
    test_fit fit = {.threads = 1};
    uint8_t *expected = NULL;
    size_t bytes = 0;
    test_fit_init(&fit, t, 1);
    fit.params.value[RT_P_N_ESTIMATORS] = rounds;
    TRY(test_train(&fit, NULL));
    CHECK(fit.model.forest.n_trees == rounds);
    TRY(rt_model_write(&fit.model, &expected, &bytes, NULL));
    for (int32_t i = 0; i < 3; i++) {
        TRY(same_bytes(t, &fit.params, teams[i], expected, bytes));
    }
done:
    rt_free(expected);
    rt_model_clear(&fit.model);
}

static void any_team_trains_the_same_model(void)
{
    test_table t = {0};
    TRY(test_table_init(&t, 6000));
    check_teams(&t, 6);
done:
    test_table_clear(&t);
}

enum { LARGE = 90000 }; /* once is enough */

static void any_team_trains_the_same_model_from_rounded_gradients(void)
{
    test_table t = {0};
    if (!rt_test_faulting) {
        TRY(test_table_init(&t, LARGE));
        check_teams(&t, 3);
    }
done:
    test_table_clear(&t);
}

/* All columns in one byte, so that ranks share the columns of large nodes, and most
 * rows in few of its values: more than can be added up without a flush, though no rank
 * alone has as many. */
static void any_team_trains_the_same_model_from_flags(void)
{
    test_table t = {0};
    if (rt_test_faulting) {
        return;
    }
    TRY(test_table_init(&t, LARGE));
    for (int64_t i = 0; i < t.rows; i++) {
        float *x = t.x + i * TEST_FEATURES;
        for (int32_t f = 0; f < TEST_FEATURES; f++) {
            x[f] = test_uniform(43, 8 * i + f) < (f == 0 ? 0.4 : 0.02) ? 1.0f : 0.0f;
        }
        t.y[i] = test_uniform(43, 8 * i + 7) < 0.3 + 0.2 * (double)x[0] ? 1 : 0;
    }
    check_teams(&t, 3);
done:
    test_table_clear(&t);
}

static void of_equal_columns_the_first_is_split(void)
{
    test_table t = {0};
    test_fit fit = {.threads = 2};
    TRY(test_table_init(&t, 3000));
    for (int64_t i = 0; i < t.rows; i++) {
        float *x = t.x + i * TEST_FEATURES;
        x[1] = x[4] = x[0];
    }
    for (int32_t threads = 1; threads <= 2; threads++) {
        test_fit_init(&fit, &t, threads);
        fit.params.value[RT_P_COLSAMPLE] = 1.0;
        TRY(test_train(&fit, NULL));
        for (int64_t i = 0; i < fit.model.forest.n_nodes; i++) {
            const int32_t feature = fit.model.forest.nodes[i].feature;
            CHECK(feature != 1 && feature != 4);
        }
        rt_model_clear(&fit.model);
    }
done:
    rt_model_clear(&fit.model);
    test_table_clear(&t);
}

static double log_loss(const test_table *t, const double *p)
{
    double sum = 0.0;
    for (int64_t i = 0; i < t->rows; i++) {
        sum -= log(t->y[i] ? p[i] : 1.0 - p[i]);
    }
    return sum / (double)t->rows;
}

static void training_lowers_the_loss(void)
{
    test_table t = {0};
    test_fit fit = {.threads = 2};
    void *block = NULL;
    TRY(test_table_init(&t, 3000));
    test_fit_init(&fit, &t, 2);
    TRY(test_train(&fit, NULL));
    TRY(rt_alloc(&block, t.rows, sizeof(double), "test", NULL));
    TRY(rt_predict(&fit.model.forest, &fit.data.rows.x, 1, NULL, block, NULL));
    CHECK(log_loss(&t, block) < 0.62); /* the constant model has 0.69 */
done:
    rt_free(block);
    rt_model_clear(&fit.model);
    test_table_clear(&t);
}

/* Doubles every row, or weighs it 2; and adds rows of weight 0. */
static rt_status weighted_bytes(bool doubled, uint8_t **data, size_t *bytes)
{
    enum { ROWS = 400, EXTRA = 50 };
    test_table t = {0};
    test_fit fit = {.threads = 2};
    rt_status status = test_table_init(&t, 2 * ROWS);
    if (status == RT_OK) {
        for (int64_t i = 0; i < ROWS; i++) {
            float *from = t.x + i * TEST_FEATURES;
            memcpy(from + ROWS * TEST_FEATURES, from, TEST_FEATURES * sizeof(float));
            t.y[ROWS + i] = t.y[i];
            t.w[i] = 2.0;
            t.w[ROWS + i] = 0.0;
        }
        test_fit_init(&fit, &t, 2);
        fit.params.value[RT_P_SUBSAMPLE] = 1.0;
        fit.params.value[RT_P_COLSAMPLE] = 1.0;
        fit.params.value[RT_P_MAX_BINS] = 255;
        fit.params.value[RT_P_MIN_SAMPLES_LEAF] = 1;
        fit.params.value[RT_P_MIN_DATA_PER_GROUP] = 1;
        fit.params.value[RT_P_CAT_SMOOTH] = 1;
        fit.params.value[RT_P_MIN_CHILD_WEIGHT] = 4;
        fit.data.rows.x.rows = doubled ? 2 * ROWS : 2 * ROWS - EXTRA;
        fit.data.rows.weight = doubled ? NULL : t.w;
        status = test_train(&fit, NULL);
    }
    for (int64_t i = 0; status == RT_OK && i < fit.model.forest.n_nodes; i++) {
        fit.model.forest.nodes[i].rows = 0; /* the one thing that must differ */
    }
    if (status == RT_OK) {
        status = rt_model_write(&fit.model, data, bytes, NULL);
    }
    rt_model_clear(&fit.model);
    test_table_clear(&t);
    return status;
}

static void weight_two_is_two_rows_and_weight_zero_none(void)
{
    uint8_t *weighted = NULL;
    uint8_t *doubled = NULL;
    size_t bytes = 0;
    size_t more = 0;
    TRY(weighted_bytes(false, &weighted, &bytes));
    TRY(weighted_bytes(true, &doubled, &more));
    CHECK(bytes == more && memcmp(weighted, doubled, bytes) == 0);
done:
    rt_free(weighted);
    rt_free(doubled);
}

static rt_status train_rows(const test_table *t, int64_t rows, test_fit *fit)
{
    test_fit_init(fit, t, 2);
    fit->data.rows.x.rows = rows;
    return test_train(fit, NULL);
}

static void one_class_or_one_row_gives_a_constant(void)
{
    test_table t = {0};
    test_fit fit = {.threads = 1};
    double p[2] = {0};
    TRY(test_table_init(&t, 40));
    memset(t.y, 1, 40);
    TRY(train_rows(&t, 40, &fit));
    CHECK(fit.model.forest.n_trees == 0);
    fit.data.rows.x.rows = 2;
    TRY(rt_predict(&fit.model.forest, &fit.data.rows.x, 1, NULL, p, NULL));
    CHECK(fabs(p[0] - 40.5 / 41.0) < 1e-12 && p[0] <= p[1] && p[1] <= p[0]);
    rt_model_clear(&fit.model);
    TRY(train_rows(&t, 1, &fit));
    CHECK(fit.model.forest.n_trees == 0);
done:
    rt_model_clear(&fit.model);
    test_table_clear(&t);
}

static void expect_refusal(test_fit *fit, rt_status expected, const char *says)
{
    rt_error err = {0};
    rt_status status = test_train(fit, &err);
    CHECK(status == expected || (status == RT_NO_MEMORY && rt_test_faulting));
    CHECK(status != expected || strstr(err.message, says) != NULL);
    rt_model_clear(&fit->model);
}

static void what_cannot_be_trained_on_is_refused_by_name(void)
{
    test_table t = {0};
    test_fit fit = {.threads = 1};
    TRY(test_table_init(&t, 20));
    test_fit_init(&fit, &t, 1);
    fit.data.rows.x.rows = 0;
    expect_refusal(&fit, RT_INVALID, "no rows");
    fit.data.rows.x.rows = 20;
    t.y[3] = 2;
    expect_refusal(&fit, RT_INVALID, "row 3 is neither");
    t.y[3] = 1;
    fit.data.rows.weight = t.w;
    t.w[5] = -1.0;
    expect_refusal(&fit, RT_INVALID, "row 5 is -1");
    t.w[5] = NAN;
    expect_refusal(&fit, RT_INVALID, "weight of row 5");
    memset(t.w, 0, 20 * sizeof *t.w);
    expect_refusal(&fit, RT_INVALID, "all weights are 0");
    fit.data.rows.weight = NULL;
    fit.params.value[RT_P_MAX_BINS] = 256;
    expect_refusal(&fit, RT_INVALID, "max_bins");
    fit.params.value[RT_P_MAX_BINS] = 63.5;
    expect_refusal(&fit, RT_INVALID, "whole number");
    fit.params.value[RT_P_MAX_BINS] = 63;
    fit.threads = 100000;
    expect_refusal(&fit, RT_INVALID, "threads");
done:
    test_table_clear(&t);
}

static void a_cancelled_training_stops(void)
{
    test_table t = {0};
    test_fit fit = {.threads = 1};
    TRY(test_table_init(&t, 500));
    test_fit_init(&fit, &t, 2);
    atomic_store(&fit.ctl.cancelled, true);
    expect_refusal(&fit, RT_CANCELLED, "asked to stop");
done:
    test_table_clear(&t);
}

static void missing_numbers_follow_the_larger_child_when_training_had_none(void)
{
    /* 30 rows left of the only split, 10 right, no NaN anywhere. */
    enum { ROWS = 40 };
    static const int32_t levels[1] = {0};
    float x[ROWS];
    uint8_t y[ROWS];
    for (int32_t i = 0; i < ROWS; i++) {
        x[i] = (float)i;
        y[i] = i < 30 ? 0 : 1;
    }
    rt_gbdt_params params = rt_gbdt_defaults();
    params.value[RT_P_N_ESTIMATORS] = 1;
    params.value[RT_P_MAX_LEAF_NODES] = 2;
    params.value[RT_P_MIN_SAMPLES_LEAF] = 1;
    rt_gbdt_data data = {.rows = {.x = {.data = (const char *)x,
                                        .rows = ROWS,
                                        .columns = 1,
                                        .row_bytes = sizeof(float),
                                        .column_bytes = sizeof(float)},
                                  .label = y},
                         .loss = RT_LOSS_BINARY,
                         .levels = levels};
    rt_gbdt_report report;
    rt_forest forest = {0};
    TRY(rt_gbdt_fit(&data, &params, 1, 1, NULL, &forest, &report, NULL));
    CHECK(forest.n_nodes == 3);
    CHECK(forest.nodes[0].value >= 29.0 && forest.nodes[0].value < 30.0);
    CHECK(forest.nodes[0].missing_left == 1);
    CHECK(forest.nodes[1].rows == 30 && forest.nodes[2].rows == 10);
done:
    rt_forest_clear(&forest);
}

static void the_f1_threshold_is_the_best_of_all(void)
{
    static const double score[] = {0.9, 0.8, 0.8, 0.5, 0.4, 0.1};
    static const uint8_t label[] = {1, 1, 0, 1, 0, 0};
    static const uint8_t none[] = {0, 0, 0, 0, 0, 0};
    rt_f1_best best = {0};
    TRY(rt_f1_threshold(score, label, 6, &best, NULL));
    CHECK(fabs(best.threshold - 0.5) < 1e-15);
    CHECK(best.true_positives == 3 && best.predicted == 4 && best.positives == 3);
    TRY(rt_f1_threshold(score, none, 6, &best, NULL));
    CHECK(fabs(best.threshold - 0.9) < 1e-15 && best.predicted == 1);
    /* 1/1 and 2/2 of equal F1: the larger threshold wins. */
    TRY(rt_f1_threshold(score, label, 1, &best, NULL));
    CHECK(fabs(best.threshold - 0.9) < 1e-15);
    CHECK(rt_f1_threshold(score, label, 0, &best, NULL) == RT_INVALID);
    CHECK(rt_f1_threshold(&(double){NAN}, label, 1, &best, NULL) == RT_INVALID);
done:;
}

static const rt_test tests[] = {
    {"any team trains the same model", any_team_trains_the_same_model},
    {"any team trains the same model from rounded gradients",
     any_team_trains_the_same_model_from_rounded_gradients},
    {"any team trains the same model from flags",
     any_team_trains_the_same_model_from_flags},
    {"of equal columns the first is split", of_equal_columns_the_first_is_split},
    {"training lowers the loss", training_lowers_the_loss},
    {"weight two is two rows and weight zero none",
     weight_two_is_two_rows_and_weight_zero_none},
    {"one class or one row gives a constant", one_class_or_one_row_gives_a_constant},
    {"what cannot be trained on is refused by name",
     what_cannot_be_trained_on_is_refused_by_name},
    {"a cancelled training stops", a_cancelled_training_stops},
    {"missing numbers follow the larger child when training had none",
     missing_numbers_follow_the_larger_child_when_training_had_none},
    {"the F1 threshold is the best of all", the_f1_threshold_is_the_best_of_all},
};

RT_TEST_MAIN(tests)
