/* The total validator: what passes here can be predicted with in bounds, ends,
 * and never gives NaN. */
#include "model/check.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/math.h"

/* A million leaves of this size still sum to a finite score. */
static const double value_max = 1e100;

static rt_status refuse(rt_error *err, int64_t node, const char *what)
{
    return rt_fail(err, RT_INVALID, "rt_model_check", "node %lld: %s", (long long)node,
                   what);
}

static bool is_amount(double x)
{
    return isfinite(x) && x >= 0.0;
}

/* The one bit pattern of zero: -0 would make equal models differ in bytes. */
static bool is_zero(double x)
{
    return rt_to_bits(x) == 0;
}

static rt_status check_leaf(const rt_node *node, const rt_node_stats *stats,
                            int64_t number, rt_error *err)
{
    if (node->left != 0 || node->right != 0 || node->set != RT_NUMERIC_SPLIT ||
        node->missing_left != 0 || !is_zero(stats->gain)) {
        return refuse(err, number, "a leaf has parts of a split");
    }
    if (!(fabs(node->value) <= value_max)) {
        return refuse(err, number, "the leaf's value is not finite");
    }
    return RT_OK;
}

/* The set must be the next in line, not empty, and hold known levels only. */
static rt_status check_set(const rt_model *model, const rt_node *node, int64_t number,
                           int64_t *next_word, rt_error *err)
{
    int32_t levels = rt_model_levels(model, node->feature);
    int32_t words = rt_set_words(levels > 0 ? levels : 0);
    uint64_t any = 0;
    if (levels <= 0 || node->set != *next_word ||
        *next_word + words > model->forest.n_words) {
        return refuse(err, number, "the category set is out of place");
    }
    for (int32_t w = 0; w < words; w++) {
        any |= model->forest.words[*next_word + w];
    }
    uint64_t last = model->forest.words[*next_word + words - 1];
    int32_t used = levels - (words - 1) * RT_WORD_BITS;
    if (any == 0 || (used < RT_WORD_BITS && last >> used != 0)) {
        return refuse(err, number, "the category set is empty or has unknown levels");
    }
    if (!is_zero(node->value) || node->missing_left != 0) {
        return refuse(err, number, "a categorical split has numeric parts");
    }
    *next_word += words;
    return RT_OK;
}

static rt_status check_split(const rt_model *model, const rt_node *node, int64_t number,
                             int64_t *next_word, rt_error *err)
{
    if (node->feature < 0 || node->feature >= model->n_features) {
        return refuse(err, number, "no such feature");
    }
    if (node->set != RT_NUMERIC_SPLIT) {
        return check_set(model, node, number, next_word, err);
    }
    if (rt_model_levels(model, node->feature) != 0) {
        return refuse(err, number, "a numeric split on a categorical feature");
    }
    /* +inf sends all numbers left and only what is missing right. */
    if (isnan(node->value) || node->missing_left > 1) {
        return refuse(err, number, "the threshold or its direction is impossible");
    }
    return RT_OK;
}

/* Children lie behind their parent, so every walk ends; each node but the root
 * has exactly one parent, so this is a tree; rows add up. */
static rt_status check_children(const rt_node *tree, int64_t nodes, int64_t at,
                                uint8_t *has_parent, rt_error *err)
{
    const rt_node *node = &tree[at];
    const int32_t child[2] = {node->left, node->right};
    for (int32_t i = 0; i < 2; i++) {
        if (child[i] <= at || child[i] >= nodes || has_parent[child[i]]) {
            return refuse(err, at, "its children are not where they must be");
        }
        has_parent[child[i]] = 1;
    }
    if ((uint64_t)tree[child[0]].rows + tree[child[1]].rows != node->rows) {
        return refuse(err, at, "its rows are not those of its children");
    }
    return RT_OK;
}

static rt_status check_tree(const rt_model *model, int32_t number, int64_t *next_word,
                            uint8_t *has_parent, rt_error *err)
{
    const rt_forest *forest = &model->forest;
    int64_t first = forest->start[number];
    int64_t nodes = forest->start[number + 1] - first;
    const rt_node *tree = forest->nodes + first;
    rt_status status = RT_OK;
    memset(has_parent, 0, (size_t)nodes);
    for (int64_t i = 0; i < nodes && status == RT_OK; i++) {
        const rt_node_stats *stats = &forest->stats[first + i];
        if (!is_amount(stats->gain) || !is_amount(stats->cover)) {
            return refuse(err, first + i, "gain or cover is not an amount");
        }
        if (i > 0 && !has_parent[i]) {
            return refuse(err, first + i, "nothing leads to it");
        }
        if (tree[i].feature == RT_LEAF) {
            status = check_leaf(&tree[i], stats, first + i, err);
            continue;
        }
        status = check_split(model, &tree[i], first + i, next_word, err);
        if (status == RT_OK) {
            status = check_children(tree, nodes, i, has_parent, err);
        }
    }
    return status;
}

static rt_status check_trees(const rt_model *model, uint8_t *has_parent, rt_error *err)
{
    int64_t next_word = 0;
    for (int32_t t = 0; t < model->forest.n_trees; t++) {
        rt_status status = check_tree(model, t, &next_word, has_parent, err);
        if (status != RT_OK) {
            return status;
        }
    }
    if (next_word != model->forest.n_words) {
        return rt_fail(err, RT_INVALID, "rt_model_check",
                       "%lld words of category sets belong to no node",
                       (long long)(model->forest.n_words - next_word));
    }
    return RT_OK;
}

static rt_status check_numbers(const rt_model *model, rt_error *err)
{
    const rt_forest *forest = &model->forest;
    const int32_t outputs = forest->n_outputs;
    bool finite = isfinite(model->threshold);
    for (int32_t k = 0; k < outputs; k++) {
        finite = finite && fabs(forest->base_score[k]) <= value_max;
    }
    if (!finite) {
        return rt_fail(err, RT_INVALID, "rt_model_check",
                       "base score or threshold is not finite");
    }
    rt_status status = rt_gbdt_params_check(&model->params, err);
    if (status != RT_OK) {
        return status;
    }
    for (int32_t t = 0; t < forest->n_trees; t++) {
        if (forest->start[t + 1] - forest->start[t] < (outputs > 1 ? 1 : 3)) {
            return rt_fail(err, RT_INVALID, "rt_model_check",
                           "tree %d has too few nodes", t);
        }
    }
    if (forest->n_trees % outputs != 0 ||
        forest->n_trees / outputs > rt_param_i32(&model->params, RT_P_N_ESTIMATORS)) {
        return rt_fail(err, RT_INVALID, "rt_model_check",
                       "%d trees do not fit n_estimators", forest->n_trees);
    }
    return RT_OK;
}

/* Is the number of a memory an amount, or may it be any finite number? */
static bool is_amount_of(const rt_linear *linear, int64_t i)
{
    if (linear->kind == RT_MEMORY_ONLINE) {
        return i != RT_ONLINE_SHIFT &&
               (i < RT_ONLINE_NUMBERS || i >= RT_ONLINE_NUMBERS + linear->n_outputs);
    }
    return linear->kind == RT_MEMORY_DIAGONAL || i == 0;
}

static bool memory_is_sound(const rt_linear *linear)
{
    const double *memory = linear->memory;
    const bool online = linear->kind == RT_MEMORY_ONLINE;
    const int64_t length =
        rt_linear_memory_length(linear->kind, linear->n_outputs, linear->n_slopes);
    bool sound =
        !online || (linear->loss != RT_LINEAR_POISSON && memory[RT_ONLINE_SCALE] > 0.0);
    for (int64_t i = 0; i < length; i++) {
        const bool number = !is_amount_of(linear, i);
        sound = sound && (number ? isfinite(memory[i]) : is_amount(memory[i])) &&
                (memory[i] != 0.0 || is_zero(memory[i]));
    }
    return sound;
}

/* Any finite slope is safe, for sums are held within bounds; zero has one pattern. */
static rt_status check_linear(const rt_model *model, rt_error *err)
{
    const rt_linear *linear = &model->linear;
    const struct {
        const double *value;
        int64_t count;
    } parts[] = {{linear->intercept, linear->n_outputs},
                 {linear->fill, linear->n_features},
                 {linear->slope, linear->n_outputs * linear->n_slopes}};
    bool sound = isfinite(model->threshold);
    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
        for (int64_t i = 0; i < parts[p].count; i++) {
            const double value = parts[p].value[i];
            sound = sound && isfinite(value) && (value != 0.0 || is_zero(value));
        }
    }
    for (int32_t f = 0; f < linear->n_features; f++) {
        sound = sound && (linear->levels[f] == 0 || is_zero(linear->fill[f]));
    }
    if (!sound || !memory_is_sound(linear)) {
        return rt_fail(err, RT_INVALID, "rt_model_check",
                       "an intercept, a fill, a slope, the threshold or what learning "
                       "goes on from is impossible");
    }
    return rt_linear_params_check(&model->linear_params, err);
}

rt_status rt_model_check(const rt_model *model, rt_error *err)
{
    void *has_parent = NULL;
    if (rt_model_is_linear(model)) {
        return check_linear(model, err);
    }
    rt_status status = check_numbers(model, err);
    if (status != RT_OK) {
        return status;
    }
    status = rt_alloc(&has_parent, model->forest.n_nodes, 1, "rt_model_check", err);
    if (status == RT_OK) {
        status = check_trees(model, has_parent, err);
    }
    rt_free(has_parent);
    return status;
}
