/* Trees that go on: rounds appended, leaves refitted, the oldest rounds dropped. */
#include "gbdt/predict.h"
#include "gbdt/refit.h"
#include "gbdt/rounds.h"
#include "tests/gbdt_data.h"
#include "tests/test.h"

enum { ROWS = 600, EARLIER = 3, LATER = 5 };

/* Labels serve as two classes of a softmax, and as amounts of 40 and 41. */
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
        p->value[i] = 40.0 + (double)p->table.y[i];
    }
    return status;
}

static void problem_clear(problem *p)
{
    test_table_clear(&p->table);
    rt_free(p->value);
}

/* A training run, or a refit of what it has made. */
typedef struct job {
    test_fit fit;
    rt_forest forest;
    double gamma;
} job;

static rt_status grow_body(void *argument, rt_error *err)
{
    job *j = argument;
    return rt_gbdt_fit(&j->fit.data, &j->fit.params, 9, j->fit.threads, NULL,
                       &j->forest, &j->fit.report, err);
}

static rt_status refit_body(void *argument, rt_error *err)
{
    job *j = argument;
    return rt_gbdt_refit(&j->fit.data.rows, &j->fit.params, j->gamma, j->fit.threads,
                         NULL, &j->forest, err);
}

static rt_status grow(job *j, const problem *p, rt_loss loss, int32_t rounds,
                      int32_t threads, const rt_forest *earlier)
{
    memset(j, 0, sizeof *j);
    test_fit_init(&j->fit, &p->table, threads);
    j->fit.data.loss = loss;
    j->fit.data.classes = 2;
    j->fit.data.resume.forest = earlier;
    j->fit.params.value[RT_P_N_ESTIMATORS] = rounds;
    if (loss == RT_LOSS_SQUARE) {
        j->fit.data.rows.label = NULL;
        j->fit.data.rows.value = p->value;
    }
    return rt_task_run(grow_body, j, NULL);
}

static bool same_trees(const rt_forest *a, const rt_forest *b)
{
    return a->n_trees == b->n_trees && a->n_nodes == b->n_nodes &&
           a->n_words == b->n_words &&
           memcmp(a->nodes, b->nodes, (size_t)a->n_nodes * sizeof *a->nodes) == 0 &&
           memcmp(a->stats, b->stats, (size_t)a->n_nodes * sizeof *a->stats) == 0 &&
           memcmp(a->words, b->words, (size_t)a->n_words * sizeof *a->words) == 0;
}

/* On the same rows it is the training that was never interrupted, for any team. */
static void check_appended(rt_loss loss)
{
    problem p = {0};
    job whole = {0};
    job first = {0};
    job second = {0};
    TRY(problem_init(&p));
    TRY(grow(&whole, &p, loss, EARLIER + LATER, 1, NULL));
    TRY(grow(&first, &p, loss, EARLIER, 2, NULL));
    TRY(grow(&second, &p, loss, LATER, 3, &first.forest));
    CHECK(same_trees(&whole.forest, &second.forest));
done:
    rt_forest_clear(&whole.forest);
    rt_forest_clear(&first.forest);
    rt_forest_clear(&second.forest);
    problem_clear(&p);
}

static void appended_rounds_are_those_of_one_training(void)
{
    check_appended(RT_LOSS_BINARY);
    check_appended(RT_LOSS_SOFTMAX);
}

/* Levels 0 to 11 become 3 to 14, and the words of their sets grow to two. */
static void levels_find_their_places(void)
{
    int32_t place[TEST_LEVELS];
    problem p = {0};
    job old = {0};
    rt_forest wide = {0};
    TRY(problem_init(&p));
    TRY(grow(&old, &p, RT_LOSS_BINARY, EARLIER, 1, NULL));
    TRY(rt_forest_init(&wide, TEST_FEATURES, RT_LOSS_BINARY, 1, NULL));
    for (int32_t i = 0; i < TEST_LEVELS; i++) {
        place[i] = i + 3;
    }
    wide.levels[2] = 100;
    TRY(rt_forest_append(&wide, &old.forest, 0, place, NULL));
    CHECK(wide.n_words == 2 * old.forest.n_words);
    for (int64_t i = 0; i < ROWS; i++) {
        float moved[TEST_FEATURES];
        memcpy(moved, p.table.x + i * TEST_FEATURES, sizeof moved);
        moved[2] += 3.0f;
        const rt_matrix x = {(const char *)moved, 1,    TEST_FEATURES, 0,
                             sizeof(float),       false};
        for (int32_t t = 0; t < EARLIER; t++) {
            CHECK(rt_forest_leaf(&wide, t, &x, 0) ==
                  rt_forest_leaf(&old.forest, t, &old.fit.data.rows.x, i));
        }
    }
done:
    rt_forest_clear(&wide);
    rt_forest_clear(&old.forest);
    problem_clear(&p);
}

static void check_refit(rt_loss loss)
{
    problem p = {0};
    job one = {0};
    job three = {0};
    job alone = {0};
    TRY(problem_init(&p));
    TRY(grow(&one, &p, loss, LATER, 1, NULL));
    TRY(grow(&three, &p, loss, LATER, 3, NULL));
    TRY(grow(&alone, &p, loss, LATER, 1, NULL));
    one.gamma = three.gamma = 0.75;
    TRY(rt_task_run(refit_body, &one, NULL));
    TRY(rt_task_run(refit_body, &three, NULL));
    CHECK(same_trees(&one.forest, &three.forest));
    CHECK(!same_trees(&one.forest, &alone.forest));
    one.gamma = 1.5;
    CHECK(rt_task_run(refit_body, &one, NULL) == RT_INVALID || rt_test_faulting);
done:
    rt_forest_clear(&one.forest);
    rt_forest_clear(&three.forest);
    rt_forest_clear(&alone.forest);
    problem_clear(&p);
}

static void refitted_leaves_are_those_of_any_team(void)
{
    check_refit(RT_LOSS_BINARY);
    check_refit(RT_LOSS_SOFTMAX);
    check_refit(RT_LOSS_SQUARE);
}

/* The same rows once more: -(G + G) / (H + H + l2) is the old value's multiple by
 * 2 (H + l2) / (2 H + l2), with l2 the greater where a set was sorted. */
static void one_tree_of_amounts_gets_the_leaves_of_both(void)
{
    problem p = {0};
    job once = {0};
    job twice = {0};
    TRY(problem_init(&p));
    TRY(grow(&once, &p, RT_LOSS_SQUARE, 1, 1, NULL));
    once.fit.params.value[RT_P_SUBSAMPLE] = 1.0;
    rt_forest_clear(&once.forest);
    TRY(rt_task_run(grow_body, &once, NULL));
    twice = once;
    memset(&twice.forest, 0, sizeof twice.forest);
    TRY(rt_task_run(grow_body, &twice, NULL));
    twice.gamma = 1.0;
    TRY(rt_task_run(refit_body, &twice, NULL));
    for (int64_t i = 0; i < once.forest.n_nodes; i++) {
        const double h = once.forest.stats[i].cover;
        const double l2 = once.fit.params.value[RT_P_L2_REGULARIZATION];
        const double sorted = l2 + once.fit.params.value[RT_P_CAT_L2];
        const double share = twice.forest.nodes[i].value / once.forest.nodes[i].value;
        CHECK(fabs(twice.forest.stats[i].cover - 2.0 * h) < 1e-9 * h);
        CHECK(once.forest.nodes[i].feature != RT_LEAF ||
              fabs(share - 2.0 * (h + l2) / (2.0 * h + l2)) < 1e-9 ||
              fabs(share - 2.0 * (h + sorted) / (2.0 * h + sorted)) < 1e-9);
    }
done:
    rt_forest_clear(&once.forest);
    rt_forest_clear(&twice.forest);
    problem_clear(&p);
}

static void dropped_rounds_leave_their_mean(void)
{
    problem p = {0};
    job grown = {0};
    double before = 0.0;
    double after = 0.0;
    TRY(problem_init(&p));
    TRY(grow(&grown, &p, RT_LOSS_SQUARE, EARLIER + LATER, 1, NULL));
    TRY(rt_forest_drop_rounds(&grown.forest, EARLIER, NULL));
    CHECK(grown.forest.n_trees == LATER);
    CHECK(rt_forest_drop_rounds(&grown.forest, LATER + 1, NULL) == RT_INVALID);
    CHECK(rt_forest_drop_rounds(&grown.forest, -1, NULL) == RT_INVALID);
    before = grown.forest.base_score[0];
    TRY(rt_forest_drop_rounds(&grown.forest, LATER, NULL));
    after = grown.forest.base_score[0];
    CHECK(grown.forest.n_trees == 0 && fabs(after - before) < 0.1);
done:
    rt_forest_clear(&grown.forest);
    problem_clear(&p);
}

static const rt_test tests[] = {
    {"appended rounds are those of one training",
     appended_rounds_are_those_of_one_training},
    {"levels find their places", levels_find_their_places},
    {"refitted leaves are those of any team", refitted_leaves_are_those_of_any_team},
    {"one tree of amounts gets the leaves of both",
     one_tree_of_amounts_gets_the_leaves_of_both},
    {"dropped rounds leave their mean", dropped_rounds_leave_their_mean},
};

RT_TEST_MAIN(tests)
