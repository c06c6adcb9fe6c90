/* The parts of a model one after the other, then the SHA-256 of all before it. Nothing
 * depends on the machine: numbers go out byte by byte. */
#include "model/write.h"

#include <string.h>

#include "base/alloc.h"
#include "base/math.h"
#include "base/sha256.h"
#include "model/layout.h"

/* Little-endian on every machine. */
static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
    for (int32_t i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
    return at + 4;
}

static uint8_t *put_u64(uint8_t *at, uint64_t value)
{
    return put_u32(put_u32(at, (uint32_t)value), (uint32_t)(value >> 32));
}

static uint8_t *put_f64(uint8_t *at, double value)
{
    return put_u64(at, rt_to_bits(value));
}

static uint8_t *put_numbers(uint8_t *at, const double *value, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        at = put_f64(at, value[i]);
    }
    return at;
}

/* The place of the words of sets holds how many slopes a linear model's output has;
 * those of the trees and nodes the kind of its memory, and how many numbers it has. */
static uint8_t *put_header(uint8_t *at, const rt_model *model, const rt_counts *counts,
                           int64_t bytes)
{
    const bool linear = rt_model_is_linear(model);
    const uint32_t objective = linear ? RT_LINEAR_OBJECTIVE + model->linear.loss
                                      : (uint32_t)model->forest.loss;
    memcpy(at, rt_model_magic, RT_MAGIC_BYTES);
    at = put_u32(at + RT_MAGIC_BYTES, RT_MODEL_VERSION);
    at = put_u32(at, objective);
    at = put_u64(at, (uint64_t)bytes);
    at = put_u32(at, (uint32_t)counts->features);
    at = put_u32(at, linear ? (uint32_t)model->linear.kind : (uint32_t)counts->trees);
    at = put_u64(at, (uint64_t)counts->texts);
    at = put_u64(at, (uint64_t)counts->text_bytes);
    at = put_u64(at, (uint64_t)(linear ? counts->memory : counts->nodes));
    at = put_u64(at, (uint64_t)(linear ? model->linear.n_slopes : counts->words));
    at = put_u64(at, model->seed);
    at = put_u32(at, (uint32_t)counts->params);
    at = put_u32(at, (uint32_t)counts->outputs);
    at = put_f64(at, model->threshold);
    at = put_numbers(at, linear ? model->linear_params.value : model->params.value,
                     counts->params);
    return put_numbers(at, linear ? model->linear.intercept : model->forest.base_score,
                       counts->outputs);
}

static uint8_t *put_features(uint8_t *at, const rt_model *model)
{
    for (int32_t f = 0; f < model->n_features; f++) {
        at = put_u32(at, (uint32_t)model->features[f].kind);
        at = put_u32(at, (uint32_t)model->features[f].n_categories);
    }
    for (int64_t i = 0; i < model->n_texts; i++) {
        at = put_u32(at, (uint32_t)rt_model_text(model, i).length);
    }
    return at;
}

static uint8_t *put_trees(uint8_t *at, const rt_forest *forest)
{
    for (int32_t t = 0; t < forest->n_trees; t++) {
        at = put_u32(at, (uint32_t)(forest->start[t + 1] - forest->start[t]));
    }
    for (int64_t i = 0; i < forest->n_nodes; i++) {
        const rt_node *node = &forest->nodes[i];
        at = put_f64(at, node->value);
        at = put_f64(at, forest->stats[i].gain);
        at = put_f64(at, forest->stats[i].cover);
        at = put_u32(at, (uint32_t)node->feature);
        at = put_u32(at, (uint32_t)node->left);
        at = put_u32(at, (uint32_t)node->right);
        at = put_u32(at, (uint32_t)node->set);
        at = put_u32(at, node->missing_left);
        at = put_u32(at, node->rows);
    }
    for (int64_t i = 0; i < forest->n_words; i++) {
        at = put_u64(at, forest->words[i]);
    }
    return at;
}

static rt_counts counts_of(const rt_model *model)
{
    const rt_forest *forest = &model->forest;
    rt_counts counts = {
        .features = model->n_features,
        .trees = forest->n_trees,
        .texts = model->n_texts,
        .text_bytes = model->text_start[model->n_texts],
        .nodes = forest->n_nodes,
        .words = forest->n_words,
        .outputs = forest->n_outputs,
        .params = RT_PARAM_COUNT,
    };
    if (rt_model_is_linear(model)) {
        counts.outputs = model->linear.n_outputs;
        counts.params = RT_LINEAR_PARAMS;
        counts.fills = model->n_features;
        counts.slopes = counts.outputs * model->linear.n_slopes;
        counts.memory = rt_linear_memory_length(
            model->linear.kind, model->linear.n_outputs, model->linear.n_slopes);
    }
    return counts;
}

rt_status rt_model_write(const rt_model *model, uint8_t **out, size_t *bytes,
                         rt_error *err)
{
    rt_counts counts = counts_of(model);
    int64_t text_bytes = counts.text_bytes;
    int64_t total = 0;
    void *block = NULL;

    *out = NULL;
    *bytes = 0;
    if (!rt_layout_bytes(&counts, &total)) {
        return rt_fail(err, RT_LIMIT, "rt_model_write", "the model is too large");
    }
    rt_status status = rt_alloc(&block, total, 1, "rt_model_write", err);
    if (status != RT_OK) {
        return status;
    }
    uint8_t *start = block;
    uint8_t *at = put_header(start, model, &counts, total);
    at = put_features(at, model);
    at = put_trees(at, &model->forest);
    at = put_numbers(at, model->linear.fill, counts.fills);
    at = put_numbers(at, model->linear.slope, counts.slopes);
    at = put_numbers(at, model->linear.memory, counts.memory);
    if (text_bytes > 0) {
        memcpy(at, model->text, (size_t)text_bytes);
    }
    at += text_bytes;
    rt_sha256(start, (size_t)(at - start), at);
    *out = start;
    *bytes = (size_t)total;
    return RT_OK;
}
