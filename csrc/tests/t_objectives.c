#include "gbdt/predict.h"
#include "model/read.h"
#include "model/write.h"
#include "tests/gbdt_data.h"
#include "tests/test.h"

enum { ROWS = 900, CLASSES = 3 };

/* Three classes, or an amount, that depend on the first column. */
typedef struct problem {
    test_table table;
    double *value;
} problem;

static rt_status problem_init(problem *p)
{
    void *block = NULL;
    memset(p, 0, sizeof *p);
    rt_status status = test_table_init(&p->table, ROWS);
    if (status == RT_OK) {
        status = rt_alloc(&block, ROWS, sizeof(double), "test", NULL);
        p->value = block;
    }
    for (int64_t i = 0; i < ROWS && status == RT_OK; i++) {
        double x = (double)p->table.x[i * TEST_FEATURES];
        p->table.y[i] = x < -0.7 ? 0 : x < 0.7 ? 1 : 2;
        p->value[i] = 1000.0 + 40.0 * x * x + (double)p->table.x[i * TEST_FEATURES + 2];
    }
    return status;
}

static void problem_clear(problem *p)
{
    test_table_clear(&p->table);
    rt_free(p->value);
}

static void choose(test_fit *fit, const problem *p, rt_loss loss, int32_t threads)
{
    test_fit_init(fit, &p->table, threads);
    fit->data.loss = loss;
    fit->data.classes = CLASSES;
    if (loss == RT_LOSS_SQUARE) {
        fit->data.rows.label = NULL;
        fit->data.rows.value = p->value;
    }
}

static rt_status bytes_of(const problem *p, rt_loss loss, int32_t threads,
                          uint8_t **data, size_t *bytes)
{
    test_fit fit;
    choose(&fit, p, loss, threads);
    rt_status status = test_train(&fit, NULL);
    if (status == RT_OK) {
        status = rt_model_write(&fit.model, data, bytes, NULL);
    }
    rt_model_clear(&fit.model);
    return status;
}

/* Equal for two teams, and readable again. */
static void check_bytes(rt_loss loss)
{
    problem p = {0};
    rt_model model = {0};
    uint8_t *one = NULL;
    uint8_t *three = NULL;
    size_t bytes = 0;
    size_t length = 0;
    TRY(problem_init(&p));
    TRY(bytes_of(&p, loss, 1, &one, &bytes));
    TRY(bytes_of(&p, loss, 3, &three, &length));
    CHECK(length == bytes && memcmp(one, three, bytes) == 0);
    TRY(rt_model_read(&model, one, bytes, NULL));
    CHECK(model.forest.loss == loss);
    CHECK(model.forest.n_outputs == (loss == RT_LOSS_SOFTMAX ? CLASSES : 1));
done:
    rt_model_clear(&model);
    rt_free(one);
    rt_free(three);
    problem_clear(&p);
}

static void classes_and_amounts_train_alike_in_any_team(void)
{
    check_bytes(RT_LOSS_SOFTMAX);
    check_bytes(RT_LOSS_SQUARE);
}

static void classes_are_told_apart(void)
{
    problem p = {0};
    test_fit fit = {.threads = 1};
    void *block = NULL;
    int64_t right = 0;
    TRY(problem_init(&p));
    choose(&fit, &p, RT_LOSS_SOFTMAX, 2);
    TRY(test_train(&fit, NULL));
    TRY(rt_alloc(&block, ROWS * CLASSES, sizeof(double), "test", NULL));
    const double *share = block;
    TRY(rt_predict(&fit.model.forest, &fit.data.rows.x, 1, NULL, block, NULL));
    for (int64_t i = 0; i < ROWS; i++) {
        const double *row = share + i * CLASSES;
        int32_t most = row[1] > row[0] ? 1 : 0;
        most = row[2] > row[most] ? 2 : most;
        right += most == p.table.y[i] ? 1 : 0;
        CHECK(fabs(row[0] + row[1] + row[2] - 1.0) < 1e-12);
    }
    CHECK(right > ROWS * 19 / 20);
done:
    rt_free(block);
    rt_model_clear(&fit.model);
    problem_clear(&p);
}

static double squared_error(const problem *p, const double *predicted)
{
    double sum = 0.0;
    for (int64_t i = 0; i < ROWS; i++) {
        double error = predicted[i] - p->value[i];
        sum += error * error;
    }
    return sum / ROWS;
}

static void amounts_are_met(void)
{
    problem p = {0};
    test_fit fit = {.threads = 1};
    void *block = NULL;
    TRY(problem_init(&p));
    choose(&fit, &p, RT_LOSS_SQUARE, 2);
    fit.params.value[RT_P_N_ESTIMATORS] = 40;
    TRY(test_train(&fit, NULL));
    TRY(rt_alloc(&block, ROWS, sizeof(double), "test", NULL));
    TRY(rt_predict(&fit.model.forest, &fit.data.rows.x, 1, NULL, block, NULL));
    CHECK(squared_error(&p, block) < 30.0); /* around the mean it is above 2000 */
done:
    rt_free(block);
    rt_model_clear(&fit.model);
    problem_clear(&p);
}

static void monotone_trees_never_fall(void)
{
    static const int8_t rises[TEST_FEATURES] = {1, 0, 0, 0, 0};
    problem p = {0};
    test_fit fit = {.threads = 1};
    double before = -INFINITY;
    TRY(problem_init(&p));
    choose(&fit, &p, RT_LOSS_SQUARE, 2);
    fit.data.monotone = rises;
    TRY(test_train(&fit, NULL));
    CHECK(fit.model.forest.n_trees > 0);
    for (int32_t i = -40; i <= 40; i++) {
        float x[TEST_FEATURES] = {(float)i * 0.05f, 0.3f, 4.0f, 7.0f, 5.0f};
        rt_matrix row = {.data = (const char *)x,
                         .rows = 1,
                         .columns = TEST_FEATURES,
                         .column_bytes = sizeof(float)};
        double value = 0.0;
        TRY(rt_predict(&fit.model.forest, &row, 1, NULL, &value, NULL));
        CHECK(value >= before);
        before = value;
    }
done:
    rt_model_clear(&fit.model);
    problem_clear(&p);
}

/* Labels without any pattern: every tree makes other rows worse. */
static void training_stops_when_other_rows_get_worse(void)
{
    enum { HALF = ROWS / 2, ROUNDS = 60 };
    test_table t = {0};
    test_fit fit = {.threads = 1};
    double losses[ROUNDS] = {0};
    TRY(test_table_init(&t, ROWS));
    for (int64_t i = 0; i < ROWS; i++) {
        t.y[i] = (uint8_t)(test_uniform(5, i) < 0.5);
    }
    test_fit_init(&fit, &t, 2);
    rt_gbdt_rows other = fit.data.rows;
    other.x.data += HALF * other.x.row_bytes;
    other.x.rows = ROWS - HALF;
    other.label += HALF;
    fit.data.rows.x.rows = HALF;
    fit.data.eval = &other;
    fit.data.losses = losses;
    fit.params.value[RT_P_N_ESTIMATORS] = ROUNDS;
    fit.params.value[RT_P_EARLY_STOPPING_ROUNDS] = 5;
    TRY(test_train(&fit, NULL));
    CHECK(fit.report.rounds < ROUNDS);
    CHECK(fit.report.rounds == fit.report.best_round + 5);
    CHECK(fit.model.forest.n_trees <= fit.report.best_round);
    CHECK(losses[fit.report.best_round - 1] <= losses[fit.report.rounds - 1]);
    fit.data.eval = NULL;
    rt_model_clear(&fit.model);
    CHECK(test_train(&fit, NULL) == RT_INVALID || rt_test_faulting);
done:
    rt_model_clear(&fit.model);
    test_table_clear(&t);
}

/* The size of the first tree's largest leaf value. */
static double largest_leaf(const rt_forest *forest)
{
    double most = 0.0;
    for (int64_t i = 0; i < forest->start[1]; i++) {
        bool leaf = forest->nodes[i].feature == RT_LEAF;
        most = leaf ? fmax(most, fabs(forest->nodes[i].value)) : most;
    }
    return most;
}

static rt_status train_with(const test_table *t, rt_param which, double value,
                            test_fit *fit)
{
    test_fit_init(fit, t, 1);
    fit->params.value[RT_P_MAX_LEAF_NODES] = 8;
    fit->params.value[which] = value;
    return test_train(fit, NULL);
}

static void l1_draws_leaves_to_zero(void)
{
    test_table t = {0};
    test_fit plain = {.threads = 1};
    test_fit drawn = {.threads = 1};
    TRY(test_table_init(&t, ROWS));
    TRY(train_with(&t, RT_P_L1_REGULARIZATION, 0.0, &plain));
    TRY(train_with(&t, RT_P_L1_REGULARIZATION, 10.0, &drawn));
    CHECK(largest_leaf(&drawn.model.forest) < largest_leaf(&plain.model.forest));
done:
    rt_model_clear(&plain.model);
    rt_model_clear(&drawn.model);
    test_table_clear(&t);
}

/* Depth of the deepest leaf of the first tree. */
static int32_t depth_below(const rt_node *tree, int32_t at)
{
    if (tree[at].feature == RT_LEAF) {
        return 0;
    }
    int32_t left = depth_below(tree, tree[at].left);
    int32_t right = depth_below(tree, tree[at].right);
    return 1 + (left > right ? left : right);
}

static void growth_by_depth_fills_levels_first(void)
{
    test_table t = {0};
    test_fit best = {.threads = 1};
    test_fit level = {.threads = 1};
    TRY(test_table_init(&t, ROWS));
    TRY(train_with(&t, RT_P_DEPTH_WISE, 0.0, &best));
    TRY(train_with(&t, RT_P_DEPTH_WISE, 1.0, &level));
    CHECK(depth_below(level.model.forest.nodes, 0) == 3);
    CHECK(depth_below(best.model.forest.nodes, 0) > 3);
done:
    rt_model_clear(&best.model);
    rt_model_clear(&level.model);
    test_table_clear(&t);
}

static void impossible_targets_are_refused(void)
{
    problem p = {0};
    test_fit fit = {.threads = 1};
    TRY(problem_init(&p));
    choose(&fit, &p, RT_LOSS_SOFTMAX, 1);
    fit.data.classes = 2;
    CHECK(test_train(&fit, NULL) == RT_INVALID || rt_test_faulting);
    rt_model_clear(&fit.model);
    choose(&fit, &p, RT_LOSS_SQUARE, 1);
    p.value[7] = NAN;
    CHECK(test_train(&fit, NULL) == RT_INVALID || rt_test_faulting);
done:
    rt_model_clear(&fit.model);
    problem_clear(&p);
}

static const rt_test tests[] = {
    {"classes and amounts train alike in any team",
     classes_and_amounts_train_alike_in_any_team},
    {"classes are told apart", classes_are_told_apart},
    {"amounts are met", amounts_are_met},
    {"monotone trees never fall", monotone_trees_never_fall},
    {"training stops when other rows get worse",
     training_stops_when_other_rows_get_worse},
    {"l1 draws leaves to zero", l1_draws_leaves_to_zero},
    {"growth by depth fills levels first", growth_by_depth_fills_levels_first},
    {"impossible targets are refused", impossible_targets_are_refused},
};

RT_TEST_MAIN(tests)
