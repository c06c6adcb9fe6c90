/* Memory and texts of a model: allocation, numbering of the texts, and the check that
 * names and categories are UTF-8, unique and in order. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"

rt_status rt_model_init(rt_model *model, int32_t n_features, int64_t n_texts,
                        int64_t text_bytes, rt_error *err)
{
    const char *where = "rt_model_init";
    void *block = NULL;
    memset(model, 0, sizeof *model);
    model->params = rt_gbdt_defaults();
    model->linear_params = rt_linear_defaults();
    model->threshold = 0.5;
    model->n_features = n_features;
    model->n_texts = n_texts;
    rt_status status = rt_alloc(&block, n_features, sizeof(rt_feature), where, err);
    model->features = block;
    if (status == RT_OK) {
        status = rt_alloc(&block, n_texts + 1, sizeof(int64_t), where, err);
        model->text_start = block;
    }
    if (status == RT_OK) {
        status = rt_alloc(&block, text_bytes, 1, where, err);
        model->text = block;
    }
    if (status != RT_OK) {
        rt_model_clear(model);
    }
    return status;
}

void rt_model_clear(rt_model *model)
{
    rt_forest_clear(&model->forest);
    rt_linear_clear(&model->linear);
    rt_free(model->features);
    rt_free(model->text_start);
    rt_free(model->text);
    memset(model, 0, sizeof *model);
}

int32_t rt_model_levels(const rt_model *model, int32_t feature)
{
    const rt_feature *f = &model->features[feature];
    if (f->kind == RT_NUMERIC) {
        return 0;
    }
    return f->n_categories > 0 ? f->n_categories : -1;
}

rt_status rt_model_start_linear(rt_model *model, rt_linear_loss loss, int32_t n_outputs,
                                rt_error *err)
{
    const char *where = "rt_model_start_linear";
    int32_t *levels = NULL;
    const rt_block block[] = {RT_BLOCK(levels, model->n_features)};
    if (n_outputs < 1 || n_outputs > RT_LINEAR_MOST_OUTPUTS) {
        return rt_fail(err, RT_INVALID, where, "%d classes are not 2 to %d", n_outputs,
                       RT_LINEAR_MOST_OUTPUTS);
    }
    rt_status status = rt_alloc_all(block, 1, where, err);
    for (int32_t f = 0; f < model->n_features && status == RT_OK; f++) {
        levels[f] = rt_model_levels(model, f);
    }
    if (status == RT_OK) {
        status = rt_linear_init(&model->linear, loss, n_outputs, model->n_features,
                                levels, err);
    }
    rt_free(levels);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return rt_text_compare(*(const rt_text *)a, *(const rt_text *)b);
}

static rt_status check_unique_names(const rt_model *model, rt_error *err)
{
    void *block = NULL;
    bool doubled = false;
    rt_status status =
        rt_alloc(&block, model->n_features, sizeof(rt_text), "rt_model_link", err);
    if (status != RT_OK) {
        return status;
    }
    rt_text *names = block;
    for (int32_t f = 0; f < model->n_features; f++) {
        names[f] = rt_model_text(model, model->features[f].text);
    }
    qsort(names, (size_t)model->n_features, sizeof *names, compare_names);
    for (int32_t f = 1; f < model->n_features; f++) {
        doubled = doubled || compare_names(&names[f - 1], &names[f]) == 0;
    }
    rt_free(block);
    if (doubled) {
        return rt_fail(err, RT_INVALID, "rt_model_link",
                       "two features have the same name");
    }
    return RT_OK;
}

static rt_status check_texts(const rt_model *model, int32_t number, rt_error *err)
{
    const rt_feature *feature = &model->features[number];
    for (int64_t i = 0; i <= feature->n_categories; i++) {
        rt_text text = rt_model_text(model, feature->text + i);
        if (!rt_text_is_utf8(text) || (i == 0 && text.length == 0)) {
            return rt_fail(err, RT_INVALID, "rt_model_link",
                           "feature %d: its %s is empty or not UTF-8", number,
                           i == 0 ? "name" : "category");
        }
        if (i > 1 &&
            rt_text_compare(rt_model_text(model, feature->text + i - 1), text) >= 0) {
            return rt_fail(err, RT_INVALID, "rt_model_link",
                           "feature %d: categories must be unique and in ascending "
                           "order of their UTF-8 bytes",
                           number);
        }
    }
    return RT_OK;
}

static rt_status number_texts(rt_model *model, rt_error *err)
{
    int64_t next = 0;
    for (int32_t f = 0; f < model->n_features; f++) {
        rt_feature *feature = &model->features[f];
        bool known = feature->kind == RT_NUMERIC || feature->kind == RT_CATEGORICAL;
        bool numeric = feature->kind == RT_NUMERIC;
        if (!known || feature->n_categories < 0 ||
            feature->n_categories > RT_MAX_CATEGORIES ||
            (numeric && feature->n_categories != 0)) {
            return rt_fail(err, RT_INVALID, "rt_model_link",
                           "feature %d: kind %d cannot have %d categories", f,
                           feature->kind, feature->n_categories);
        }
        feature->text = next;
        next += 1 + feature->n_categories;
    }
    if (next != model->n_texts) {
        return rt_fail(err, RT_INVALID, "rt_model_link",
                       "%lld strings for features that have %lld",
                       (long long)model->n_texts, (long long)next);
    }
    return RT_OK;
}

rt_status rt_model_link(rt_model *model, rt_error *err)
{
    rt_status status = number_texts(model, err);
    for (int32_t f = 0; f < model->n_features && status == RT_OK; f++) {
        status = check_texts(model, f, err);
    }
    return status == RT_OK ? check_unique_names(model, err) : status;
}

static bool same_feature(const rt_model *a, const rt_model *b, int32_t number)
{
    const rt_feature *of_a = &a->features[number];
    const rt_feature *of_b = &b->features[number];
    return of_a->kind == of_b->kind &&
           rt_text_compare(rt_model_text(a, of_a->text),
                           rt_model_text(b, of_b->text)) == 0;
}

/* Both lists ascend: one walk through the longer finds all of the shorter. */
static bool find_categories(const rt_model *earlier, const rt_model *model,
                            int32_t number, int32_t *place)
{
    const rt_feature *old = &earlier->features[number];
    const rt_feature *now = &model->features[number];
    int32_t at = 0;
    for (int32_t i = 0; i < old->n_categories; i++) {
        const rt_text text = rt_model_text(earlier, old->text + 1 + i);
        while (at < now->n_categories &&
               rt_text_compare(rt_model_text(model, now->text + 1 + at), text) != 0) {
            at++;
        }
        if (at == now->n_categories) {
            return false;
        }
        place[i] = at;
    }
    return true;
}

rt_status rt_model_places(const rt_model *earlier, const rt_model *model,
                          int32_t **place, rt_error *err)
{
    const rt_block block = RT_BLOCK(*place, earlier->n_texts);
    int64_t next = 0;
    *place = NULL;
    if (earlier->n_features != model->n_features) {
        return rt_fail(err, RT_INVALID, "rt_model_places",
                       "the earlier model has %d features, this one %d",
                       earlier->n_features, model->n_features);
    }
    rt_status status = rt_alloc_all(&block, 1, "rt_model_places", err);
    for (int32_t f = 0; f < model->n_features && status == RT_OK; f++) {
        if (!same_feature(earlier, model, f) ||
            !find_categories(earlier, model, f, *place + next)) {
            status = rt_fail(err, RT_INVALID, "rt_model_places",
                             "feature %d is another in the earlier model, or has a "
                             "category there that is not among the new ones",
                             f);
        }
        next += earlier->features[f].n_categories;
    }
    if (status != RT_OK) {
        rt_free(*place);
        *place = NULL;
    }
    return status;
}
