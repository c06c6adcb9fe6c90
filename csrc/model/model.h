/* A trained model: what its features are called, its trees or slopes, its decision
 * threshold, and the parameters it was trained with. docs/model-format.md draws
 * the file. */
#ifndef RT_MODEL_MODEL_H
#define RT_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "gbdt/forest.h"
#include "gbdt/params.h"
#include "linear/fit.h"
#include "model/text.h"

typedef enum rt_feature_kind { RT_NUMERIC = 0, RT_CATEGORICAL = 1 } rt_feature_kind;

enum { RT_MODEL_VERSION = 1 };

/* All strings of a model (UTF-8, not zero-terminated) lie in one run of bytes:
 * for every feature its name, then its categories. */
typedef struct rt_feature {
    int32_t kind;
    int32_t n_categories;
    int64_t text; /* number of its name; the categories follow */
} rt_feature;

typedef struct rt_model {
    rt_forest forest;
    rt_gbdt_params params;
    rt_linear linear; /* its loss is 0 where the model has trees, else there are none */
    rt_linear_params linear_params;
    uint64_t seed;
    double threshold; /* scores from here on mean "yes" */
    int32_t n_features;
    rt_feature *features;
    int64_t n_texts;
    int64_t *text_start; /* [n_texts + 1] */
    char *text;
} rt_model;

static inline rt_text rt_model_text(const rt_model *model, int64_t number)
{
    int64_t start = model->text_start[number];
    return (rt_text){model->text + start, model->text_start[number + 1] - start};
}

/* Arrays for features and strings, zeroed. The caller fills features (kind,
 * n_categories), text_start and text, then calls rt_model_link. */
RT_CHECKED rt_status rt_model_init(rt_model *model, int32_t n_features, int64_t n_texts,
                                   int64_t text_bytes, rt_error *err);
void rt_model_clear(rt_model *model);

/* Numbers the strings of each feature and checks names and categories: valid
 * UTF-8, names not empty and unique, categories ascending by bytes and unique.
 * RT_INVALID names the first offender. */
RT_CHECKED rt_status rt_model_link(rt_model *model, rt_error *err);

static inline bool rt_model_is_linear(const rt_model *model)
{
    return model->linear.loss != 0;
}

/* For every category of every categorical feature of `earlier`, in turn, its number in
 * a model of the same features that has it too, in a block that the caller frees.
 * RT_INVALID names the first feature that is another or lacks one. */
RT_CHECKED rt_status rt_model_places(const rt_model *earlier, const rt_model *model,
                                     int32_t **place, rt_error *err);

/* rt_forest.levels of a feature. */
int32_t rt_model_levels(const rt_model *model, int32_t feature);

/* A linear model of the features, all its numbers 0. */
RT_CHECKED rt_status rt_model_start_linear(rt_model *model, rt_linear_loss loss,
                                           int32_t n_outputs, rt_error *err);

#endif
