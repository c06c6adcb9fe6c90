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

enum { PARAMS_AT = 72, OUTPUTS_AT = 76 };

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

/* Objective, outputs and parameters of one family. */
static bool kind_fits(uint32_t objective, const rt_counts *counts)
{
    const bool linear = objective > RT_LINEAR_OBJECTIVE;
    const bool softmax = objective == (linear ? RT_LINEAR_OBJECTIVE + RT_LINEAR_SOFTMAX
                                              : (uint32_t)RT_LOSS_SOFTMAX);
    const bool known = linear
                           ? objective <= RT_LINEAR_OBJECTIVE + RT_LINEAR_POISSON
                           : objective >= RT_LOSS_BINARY && objective <= RT_LOSS_SQUARE;
    const int64_t least = softmax ? 2 : 1;
    const int64_t most = softmax ? RT_MAX_OUTPUTS : 1;
    return known && counts->outputs >= least && counts->outputs <= most;
}

/* A linear model has no trees: there stands what its memory is, the length of that
 * where the nodes do, and slopes where the words of sets do. */
static bool linear_fits(rt_counts *counts)
{
    const int64_t slopes = counts->words;
    const int64_t kind = counts->trees;
    counts->memory = counts->nodes;
    counts->kind = kind <= RT_MEMORY_FULL ? (rt_linear_memory)kind : RT_MEMORY_NONE;
    counts->trees = 0;
    counts->words = 0;
    counts->nodes = 0;
    counts->fills = counts->features;
    return kind <= RT_MEMORY_FULL && slopes >= 0 && slopes <= INT32_MAX &&
           rt_mul_i64(slopes, counts->outputs, &counts->slopes) &&
           counts->memory ==
               rt_linear_memory_length(counts->kind, counts->outputs, slopes);
}

static rt_status check_length(const rt_counts *counts, int64_t stated,
                              const uint8_t *data, size_t bytes, rt_error *err)
{
    uint8_t digest[RT_SHA256_BYTES];
    int64_t expected = 0;
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

static rt_status read_counts(cursor *in, const uint8_t *data, size_t bytes,
                             uint32_t *objective, rt_counts *counts, rt_error *err)
{
    cursor outputs = {data + OUTPUTS_AT};
    cursor params = {data + PARAMS_AT};
    *objective = get_u32(in);
    const bool linear = *objective > RT_LINEAR_OBJECTIVE;
    int64_t stated = get_count(in);
    counts->outputs = get_u32(&outputs);
    counts->params = get_u32(&params);
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
    if (!kind_fits(*objective, counts)) {
        return corrupt(err, "its objective is unknown, or has other outputs");
    }
    if (counts->params != (linear ? (int64_t)RT_LINEAR_PARAMS : RT_PARAM_COUNT)) {
        return corrupt(err, "its parameter block has another size");
    }
    if (linear && !linear_fits(counts)) {
        return corrupt(err,
                       "a linear model has trees, too many slopes or another memory");
    }
    return check_length(counts, stated, data, bytes, err);
}

static void get_numbers(cursor *in, double *out, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        out[i] = get_f64(in);
    }
}

static void read_numbers(cursor *in, rt_model *model, const rt_counts *counts,
                         double *scores)
{
    model->seed = get_u64(in);
    in->at += 8; /* parameters and outputs, read with the counts */
    model->threshold = get_f64(in);
    get_numbers(in,
                counts->fills > 0 ? model->linear_params.value : model->params.value,
                counts->params);
    get_numbers(in, scores, counts->outputs);
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

/* Slopes: their number follows from the features, which must agree with the header. */
static rt_status read_linear(cursor *in, rt_model *model, uint32_t objective,
                             const rt_counts *counts, const double *intercept,
                             rt_error *err)
{
    int64_t slopes = 0;
    for (int32_t f = 0; f < model->n_features; f++) {
        slopes += rt_linear_width(rt_model_levels(model, f));
    }
    if (slopes * counts->outputs != counts->slopes) {
        return corrupt(err, "its slopes are not those of its features");
    }
    rt_status status =
        rt_model_start_linear(model, (rt_linear_loss)(objective - RT_LINEAR_OBJECTIVE),
                              (int32_t)counts->outputs, err);
    if (status == RT_OK && counts->kind != RT_MEMORY_NONE) {
        status = rt_linear_remember(&model->linear, counts->kind, err);
    }
    if (status == RT_OK) {
        memcpy(model->linear.intercept, intercept,
               (size_t)counts->outputs * sizeof *intercept);
        get_numbers(in, model->linear.fill, counts->fills);
        get_numbers(in, model->linear.slope, counts->slopes);
        get_numbers(in, model->linear.memory, counts->memory);
    }
    return status;
}

/* Names and categories lie behind everything else, and say how to read it. */
static rt_status read_texts(const uint8_t *data, size_t bytes, rt_model *model,
                            const rt_counts *counts, rt_error *err)
{
    if (counts->text_bytes > 0) {
        const int64_t behind = counts->text_bytes + RT_SHA256_BYTES;
        memcpy(model->text, data + ((int64_t)bytes - behind),
               (size_t)counts->text_bytes);
    }
    return as_corrupt(rt_model_link(model, err), err);
}

static rt_status read_forest(cursor *in, rt_model *model, uint32_t objective,
                             const rt_counts *counts, const double *base, rt_error *err)
{
    rt_forest *forest = &model->forest;
    rt_status status = rt_forest_init(forest, model->n_features, (rt_loss)objective,
                                      (int32_t)counts->outputs, err);
    if (status == RT_OK) {
        status =
            rt_forest_reserve(forest, counts->trees, counts->nodes, counts->words, err);
    }
    if (status != RT_OK) {
        return status;
    }
    memcpy(forest->base_score, base, (size_t)counts->outputs * sizeof *base);
    for (int32_t f = 0; f < model->n_features; f++) {
        forest->levels[f] = rt_model_levels(model, f);
    }
    return read_trees(in, forest, counts, err);
}

static rt_status read_parts(cursor *in, rt_model *model, uint32_t objective,
                            const rt_counts *counts, const uint8_t *data, size_t bytes,
                            rt_error *err)
{
    double scores[RT_MAX_OUTPUTS];
    read_numbers(in, model, counts, scores);
    rt_status status = read_features(in, model, counts, err);
    if (status == RT_OK) {
        status = read_texts(data, bytes, model, counts, err);
    }
    if (status == RT_OK) {
        status = counts->fills > 0
                     ? read_linear(in, model, objective, counts, scores, err)
                     : read_forest(in, model, objective, counts, scores, err);
    }
    if (status != RT_OK) {
        return status;
    }
    if (in->at + counts->text_bytes + RT_SHA256_BYTES != data + bytes) {
        return corrupt(err, "its parts do not fill it");
    }
    return as_corrupt(rt_model_check(model, err), err);
}

rt_status rt_model_read(rt_model *model, const uint8_t *data, size_t bytes,
                        rt_error *err)
{
    cursor in = {data};
    rt_counts counts = {0};
    uint32_t objective = 0;
    memset(model, 0, sizeof *model);
    rt_status status = read_start(&in, bytes, err);
    if (status == RT_OK) {
        status = read_counts(&in, data, bytes, &objective, &counts, err);
    }
    if (status == RT_OK) {
        status = rt_model_init(model, (int32_t)counts.features, counts.texts,
                               counts.text_bytes, err);
    }
    if (status == RT_OK) {
        status = read_parts(&in, model, objective, &counts, data, bytes, err);
    }
    if (status != RT_OK) {
        rt_model_clear(model);
    }
    return status;
}
