/* Masks of leaves against the walk of each row, over trees that no training would make.
 */
#include <math.h>
#include <string.h>

#include "base/isa.h"
#include "base/math.h"
#include "base/rng.h"
#include "gbdt/eval.h"
#include "gbdt/predict.h"
#include "parallel/task.h"
#include "tests/test.h"

enum { FEATURES = 7, ROWS = 150, TREES = 9 };

/* A word and less, whole words, the last number of words that is asked word by word,
 * and more; a category of which nothing is known. */
static const int32_t all_levels[FEATURES] = {
    0, 5, 64, 65, RT_QUICK_WORDS *RT_WORD_BITS, (RT_QUICK_WORDS + 1) * RT_WORD_BITS,
    -1};

/* The last tree that has masks and the first that is walked. */
static const int32_t all_leaves[TREES] = {2, 31, 64, 65, 3, 32, 63, 100, 64};

static const double odd_values[] = {
    NAN,  INFINITY, -INFINITY, 1e300,  -1e300, -0.0,  0.5,   -1.0,  63.0, 64.0,
    63.5, 0x1p31,   0x1p32,    0x1p63, 5e-324, 576.0, 512.0, 511.0, 4.0,  5.0};

static uint64_t drawn; /* how many numbers so far */

static uint64_t draw(uint64_t below)
{
    return rt_mix64(++drawn) % below;
}

/* Splits `node`, whose children are to be the nodes `next` and `next + 1`. */
static void split_node(rt_forest *forest, rt_node *node, int32_t next)
{
    node->feature = (int32_t)draw(FEATURES - 1); /* the last one can ask nothing */
    node->left = next;
    node->right = next + 1;
    node->value = 0.0;
    if (forest->levels[node->feature] == 0) {
        node->value =
            odd_values[draw(sizeof odd_values / sizeof odd_values[0] - 1) + 1];
        node->missing_left = (uint32_t)draw(2);
        return;
    }
    const int32_t levels = forest->levels[node->feature];
    node->set = (int32_t)forest->n_words;
    for (int32_t w = 0; w < rt_set_words(levels); w++) {
        const int32_t used = levels - w * RT_WORD_BITS;
        const uint64_t every = used < RT_WORD_BITS ? ((uint64_t)1 << used) - 1 : ~0ull;
        forest->words[forest->n_words++] = rt_mix64(++drawn) & every;
    }
}

/* Any leaf may be split next, so trees are lopsided. */
static rt_status add_tree(rt_forest *forest, int32_t leaves)
{
    const int32_t nodes = 2 * leaves - 1;
    rt_status status = rt_forest_reserve(forest, 1, nodes,
                                         (int64_t)leaves * (RT_QUICK_WORDS + 1), NULL);
    if (status != RT_OK) {
        return status;
    }
    rt_node *tree = forest->nodes + forest->n_nodes;
    for (int32_t i = 0; i < nodes; i++) {
        const double value = (double)draw(1000) / 7.0 - 70.0;
        tree[i] =
            (rt_node){.value = value, .feature = RT_LEAF, .set = RT_NUMERIC_SPLIT};
    }
    for (int32_t next = 1; next < nodes; next += 2) {
        int32_t at = (int32_t)draw((uint64_t)next);
        while (tree[at].feature != RT_LEAF) {
            at = (at + 1) % next;
        }
        split_node(forest, &tree[at], next);
    }
    forest->n_nodes += nodes;
    forest->start[++forest->n_trees] = forest->n_nodes;
    return RT_OK;
}

static rt_status init_forest(rt_forest *forest, rt_loss loss, int32_t outputs)
{
    rt_status status = rt_forest_init(forest, FEATURES, loss, outputs, NULL);
    drawn = 0;
    if (status == RT_OK) {
        memcpy(forest->levels, all_levels, sizeof all_levels);
        for (int32_t k = 0; k < outputs; k++) {
            forest->base_score[k] = 0.25 * k - 0.3;
        }
    }
    return status;
}

static void draw_rows(double *x)
{
    const uint64_t odd = sizeof odd_values / sizeof odd_values[0];
    for (int32_t i = 0; i < ROWS * FEATURES; i++) {
        const int32_t levels = all_levels[i % FEATURES];
        const double level =
            (double)draw((uint64_t)(levels > 0 ? levels + 2 : 3)) - 1.0;
        x[i] = draw(6) == 0 ? odd_values[draw(odd)] : level;
    }
}

/* The sums of one row by its walks: what has to come out. */
static void walk_row(const rt_forest *forest, const rt_matrix *x, int64_t row,
                     double *sum)
{
    for (int32_t k = 0; k < forest->n_outputs; k++) {
        sum[k] = forest->base_score[k];
    }
    for (int32_t t = 0; t < forest->n_trees; t++) {
        sum[t % forest->n_outputs] += rt_forest_leaf(forest, t, x, row);
    }
}

static rt_matrix matrix_of(const double *x)
{
    return (rt_matrix){.data = (const char *)x,
                       .rows = ROWS,
                       .columns = FEATURES,
                       .row_bytes = FEATURES * sizeof *x,
                       .column_bytes = sizeof *x,
                       .is_f64 = true};
}

typedef struct prediction {
    const rt_forest *forest;
    rt_matrix x;
    int32_t threads;
    double *out;
} prediction;

static rt_status predict(void *argument, rt_error *err)
{
    const prediction *job = argument;
    rt_ctl ctl = {0};
    return rt_predict(job->forest, &job->x, job->threads, &ctl, job->out, err);
}

/* Every build, in batches of which the last is not whole, gives the walks' bits. */
static rt_status check_batches(const rt_forest *forest, rt_matrix x,
                               const double *wanted, double *out)
{
    const rt_isa best = rt_isa_in_use();
    rt_status status = RT_OK;
    for (int32_t isa = RT_ISA_BASELINE; isa <= RT_ISA_AVX512 && status == RT_OK;
         isa++) {
        prediction job = {forest, x, 1, out};
        if (!rt_isa_force((rt_isa)isa)) {
            continue;
        }
        memset(out, 0, (size_t)x.rows * sizeof *out);
        status = rt_task_run(predict, &job, NULL);
        for (int64_t i = 0; i < x.rows && status == RT_OK; i++) {
            CHECK(memcmp(&wanted[i], &out[i], sizeof *out) == 0);
        }
    }
    CHECK(rt_isa_force(best));
    return status;
}

static void batches_give_what_walks_give(void)
{
    rt_forest forest = {0};
    double x[ROWS * FEATURES];
    float narrow[ROWS * FEATURES];
    double wanted[ROWS];
    double out[ROWS];
    TRY(init_forest(&forest, RT_LOSS_SQUARE, 1));
    for (int32_t t = 0; t < 2 * TREES; t++) {
        TRY(add_tree(&forest, all_leaves[t % TREES]));
    }
    draw_rows(x);
    for (int32_t i = 0; i < ROWS * FEATURES; i++) {
        narrow[i] = (float)x[i];
    }
    const rt_matrix wide = matrix_of(x);
    rt_matrix floats = wide;
    floats.data = (const char *)narrow;
    floats.row_bytes = FEATURES * sizeof *narrow;
    floats.column_bytes = sizeof *narrow;
    floats.is_f64 = false;
    for (int64_t i = 0; i < ROWS; i++) {
        walk_row(&forest, &wide, i, &wanted[i]);
    }
    TRY(check_batches(&forest, wide, wanted, out));
    for (int64_t i = 0; i < ROWS; i++) {
        walk_row(&forest, &floats, i, &wanted[i]);
    }
    for (floats.rows = 1; floats.rows <= ROWS; floats.rows += 37) {
        TRY(check_batches(&forest, floats, wanted, out));
    }
done:
    rt_forest_clear(&forest);
}

/* The loss of a row by the formulas of eval.c. */
static double plain_loss(const rt_forest *forest, const rt_gbdt_rows *rows, int64_t row)
{
    double sum[RT_MAX_OUTPUTS];
    double most = -INFINITY;
    double total = 0.0;
    walk_row(forest, &rows->x, row, sum);
    if (forest->loss == RT_LOSS_SQUARE) {
        return (sum[0] - rows->value[row]) * (sum[0] - rows->value[row]);
    }
    if (forest->loss == RT_LOSS_BINARY) {
        const double s = rows->label[row] ? -sum[0] : sum[0];
        return (s > 0.0 ? s : 0.0) + rt_log(1.0 + rt_exp(-fabs(s)));
    }
    for (int32_t k = 0; k < forest->n_outputs; k++) {
        most = sum[k] > most ? sum[k] : most;
    }
    for (int32_t k = 0; k < forest->n_outputs; k++) {
        total += rt_exp(sum[k] - most);
    }
    return rt_log(total) + most - sum[rows->label[row]];
}

/* So few rows are one block of losses: their sum is the rows' in order. */
static double plain_mean(const rt_forest *forest, const rt_gbdt_rows *rows)
{
    double sum = 0.0;
    double weight = 0.0;
    for (int64_t i = 0; i < ROWS; i++) {
        sum += rows->weight[i] * plain_loss(forest, rows, i);
        weight += rows->weight[i];
    }
    return sum / weight;
}

static void check_watched(rt_loss loss, int32_t outputs)
{
    static double x[ROWS * FEATURES], value[ROWS], weight[ROWS];
    static uint8_t label[ROWS];
    rt_forest forest = {0};
    rt_eval eval = {0};
    const rt_team alone = {0, 1, NULL};
    TRY(init_forest(&forest, loss, outputs));
    draw_rows(x);
    for (int32_t i = 0; i < ROWS; i++) {
        value[i] = (double)draw(100);
        weight[i] = (double)draw(5) / 3.0;
        label[i] = (uint8_t)draw((uint64_t)(outputs > 1 ? outputs : 2));
    }
    const rt_gbdt_rows rows = {matrix_of(x), label, value, weight};
    TRY(rt_eval_init(&eval, &rows, &forest, NULL));
    for (int32_t round = 0; round < TREES; round += outputs) {
        const int32_t first = forest.n_trees;
        for (int32_t k = 0; k < outputs; k++) {
            TRY(add_tree(&forest, all_leaves[(round + k) % TREES]));
        }
        TRY(rt_eval_take(&eval, first, 1, NULL));
        rt_eval_add(&eval, alone);
        const double found = rt_eval_loss(&eval);
        const double wanted = plain_mean(&forest, &rows);
        CHECK(memcmp(&found, &wanted, sizeof found) == 0);
    }
done:
    rt_eval_clear(&eval);
    rt_forest_clear(&forest);
}

static void watched_rows_have_the_loss_of_their_walks(void)
{
    check_watched(RT_LOSS_BINARY, 1);
    check_watched(RT_LOSS_SOFTMAX, 3);
    check_watched(RT_LOSS_SQUARE, 1);
}

static const rt_test tests[] = {
    {"batches give what walks give", batches_give_what_walks_give},
    {"watched rows have the loss of their walks",
     watched_rows_have_the_loss_of_their_walks},
};

RT_TEST_MAIN(tests)
