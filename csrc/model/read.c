/* Bytes to a model. Order of belief: length and magic, the counts against the
 * length, the checksum, then every part. Nothing is allocated by a count that
 * the length has not confirmed. */
#include "model/read.h"

#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/math.h"
#include "base/sha256.h"
#include "model/check.h"
#include "model/layout.h"

enum { OUTPUTS_AT = 76 };

/* Reads past no end: the length was proven before the first part is read. */
typedef struct cursor {
    const uint8_t *at;
} cursor;

static uint32_t get_u32(cursor *in)
{
    uint32_t value = 0;
    for (int32_t i = 0; i < 4; i++) {
        value |= (uint32_t)in->at[i] << (8 * i);
    }
    in->at += 4;
    return value;
}

static int32_t get_i32(cursor *in)
{
    uint32_t bits = get_u32(in);
    int32_t value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t get_u64(cursor *in)
{
    uint64_t low = get_u32(in);
    return low | (uint64_t)get_u32(in) << 32;
}

static double get_f64(cursor *in)
{
    return rt_from_bits(get_u64(in));
}

/* A count that fits, or -1, which the layout refuses. */
static int64_t get_count(cursor *in)
{
    uint64_t value = get_u64(in);
    return value <= INT64_MAX ? (int64_t)value : -1;
}

static rt_status corrupt(rt_error *err, const char *what)
{
    return rt_fail(err, RT_CORRUPT, "rt_model_read", "not a model file: %s", what);
}

static rt_status read_start(cursor *in, size_t bytes, rt_error *err)
{
    if (bytes < RT_HEADER_BYTES + RT_SHA256_BYTES) {
        return corrupt(err, "it is too short");
    }
    if (memcmp(in->at, rt_model_magic, RT_MAGIC_BYTES) != 0) {
        return corrupt(err, "it does not begin like one");
    }
    in->at += RT_MAGIC_BYTES;
    uint32_t version = get_u32(in);
    if (version != RT_MODEL_VERSION) {
        return rt_fail(err, RT_CORRUPT, "rt_model_read",
                       "the model file has version %u, this build reads version %d",
                       version, RT_MODEL_VERSION);
    }
    return RT_OK;
}

static bool outputs_fit(uint32_t loss, int64_t outputs)
{
    if (loss == RT_LOSS_SOFTMAX) {
        return outputs >= 2 && outputs <= RT_MAX_OUTPUTS;
    }
    return (loss == RT_LOSS_BINARY || loss == RT_LOSS_SQUARE) && outputs == 1;
}

static rt_status read_counts(cursor *in, const uint8_t *data, size_t bytes,
                             rt_loss *loss, rt_counts *counts, rt_error *err)
{
    uint8_t digest[RT_SHA256_BYTES];
    cursor outputs = {data + OUTPUTS_AT};
    int64_t expected = 0;
    uint32_t stated_loss = get_u32(in);
    int64_t stated = get_count(in);
    counts->outputs = get_u32(&outputs);
    counts->features = get_u32(in);
    counts->trees = get_u32(in);
    counts->texts = get_count(in);
    counts->text_bytes = get_count(in);
    counts->nodes = get_count(in);
    counts->words = get_count(in);
    if (counts->features < 1 || counts->features > RT_MAX_FEATURES ||
        counts->trees > INT32_MAX - 1 || counts->words > INT32_MAX) {
        return corrupt(err, "a count is outside its limits");
    }
    if (!outputs_fit(stated_loss, counts->outputs)) {
        return corrupt(err, "its objective is unknown, or has other outputs");
    }
    *loss = (rt_loss)stated_loss;
    if (!rt_layout_bytes(counts, &expected) || stated != expected ||
        (uint64_t)expected != bytes) {
        return corrupt(err, "its length is not the one its header names");
    }
    rt_sha256(data, bytes - RT_SHA256_BYTES, digest);
    if (memcmp(digest, data + bytes - RT_SHA256_BYTES, RT_SHA256_BYTES) != 0) {
        return corrupt(err, "its checksum does not match its content");
    }
    return RT_OK;
}

static rt_status read_numbers(cursor *in, rt_model *model, rt_error *err)
{
    model->seed = get_u64(in);
    if (get_u32(in) != RT_PARAM_COUNT) {
        return corrupt(err, "its parameter block has another size");
    }
    in->at += 4; /* the outputs, read with the counts */
    model->threshold = get_f64(in);
    for (int32_t i = 0; i < RT_PARAM_COUNT; i++) {
        model->params.value[i] = get_f64(in);
    }
    for (int32_t k = 0; k < model->forest.n_outputs; k++) {
        model->forest.base_score[k] = get_f64(in);
    }
    return RT_OK;
}

static rt_status read_features(cursor *in, rt_model *model, const rt_counts *counts,
                               rt_error *err)
{
    for (int32_t f = 0; f < model->n_features; f++) {
        model->features[f].kind = get_i32(in);
        model->features[f].n_categories = get_i32(in);
    }
    for (int64_t i = 0; i < counts->texts; i++) {
        uint32_t length = get_u32(in);
        if (length > counts->text_bytes) { /* also keeps the sum from wrapping */
            return corrupt(err, "a string is longer than all of them");
        }
        model->text_start[i + 1] = model->text_start[i] + length;
    }
    if (model->text_start[counts->texts] != counts->text_bytes) {
        return corrupt(err, "its strings do not add up");
    }
    return RT_OK;
}

static rt_status read_trees(cursor *in, rt_forest *forest, const rt_counts *counts,
                            rt_error *err)
{
    for (int64_t t = 0; t < counts->trees; t++) {
        uint32_t nodes = get_u32(in);
        if (nodes > counts->nodes) {
            return corrupt(err, "a tree has more nodes than all of them");
        }
        forest->start[t + 1] = forest->start[t] + nodes;
    }
    if (forest->start[counts->trees] != counts->nodes) {
        return corrupt(err, "its trees do not add up");
    }
    for (int64_t i = 0; i < counts->nodes; i++) {
        rt_node *node = &forest->nodes[i];
        node->value = get_f64(in);
        forest->stats[i].gain = get_f64(in);
        forest->stats[i].cover = get_f64(in);
        node->feature = get_i32(in);
        node->left = get_i32(in);
        node->right = get_i32(in);
        node->set = get_i32(in);
        node->missing_left = get_u32(in);
        node->rows = get_u32(in);
    }
    for (int64_t i = 0; i < counts->words; i++) {
        forest->words[i] = get_u64(in);
    }
    forest->n_trees = (int32_t)counts->trees;
    forest->n_nodes = counts->nodes;
    forest->n_words = counts->words;
    return RT_OK;
}

/* The checks of a model in memory say RT_INVALID; coming from a file the same
 * finding means corrupt bytes. */
static rt_status as_corrupt(rt_status status, rt_error *err)
{
    if (status != RT_INVALID) {
        return status;
    }
    if (err != NULL) {
        err->status = RT_CORRUPT;
    }
    return RT_CORRUPT;
}

static rt_status read_parts(cursor *in, rt_model *model, const rt_counts *counts,
                            const uint8_t *data, size_t bytes, rt_error *err)
{
    rt_status status = read_numbers(in, model, err);
    if (status == RT_OK) {
        status = read_features(in, model, counts, err);
    }
    if (status == RT_OK) {
        status = read_trees(in, &model->forest, counts, err);
    }
    if (status != RT_OK) {
        return status;
    }
    if (counts->text_bytes > 0) {
        memcpy(model->text, in->at, (size_t)counts->text_bytes);
    }
    in->at += counts->text_bytes;
    if (in->at + RT_SHA256_BYTES != data + bytes) {
        return corrupt(err, "its parts do not fill it");
    }
    status = as_corrupt(rt_model_link(model, err), err);
    for (int32_t f = 0; f < model->n_features && status == RT_OK; f++) {
        model->forest.levels[f] = rt_model_levels(model, f);
    }
    return status == RT_OK ? as_corrupt(rt_model_check(model, err), err) : status;
}

rt_status rt_model_read(rt_model *model, const uint8_t *data, size_t bytes,
                        rt_error *err)
{
    cursor in = {data};
    rt_counts counts = {0};
    rt_loss loss = RT_LOSS_BINARY;
    memset(model, 0, sizeof *model);
    rt_status status = read_start(&in, bytes, err);
    if (status == RT_OK) {
        status = read_counts(&in, data, bytes, &loss, &counts, err);
    }
    if (status == RT_OK) {
        status = rt_model_init(model, (int32_t)counts.features, counts.texts,
                               counts.text_bytes, err);
    }
    if (status != RT_OK) {
        return status;
    }
    status = rt_forest_init(&model->forest, model->n_features, loss,
                            (int32_t)counts.outputs, err);
    if (status == RT_OK) {
        status = rt_forest_reserve(&model->forest, counts.trees, counts.nodes,
                                   counts.words, err);
    }
    if (status == RT_OK) {
        status = read_parts(&in, model, &counts, data, bytes, err);
    }
    if (status != RT_OK) {
        rt_model_clear(model);
    }
    return status;
}
