/* The columns of a model, found by name: what a request is read by. */
#ifndef RT_SERVING_SCHEMA_H
#define RT_SERVING_SCHEMA_H

#include <stdint.h>

#include "base/status.h"
#include "model/model.h"
#include "serving/levels.h"
#include "serving/number.h"

typedef struct rt_schema {
    const rt_model *model; /* borrowed */
    int32_t *slot;         /* [n_slots] a feature and one more, or 0: a hash of names */
    uint32_t n_slots;      /* a power of two */
    rt_levels *levels;     /* [features] that take any level and number it; or NULL */
    bool last_is_optional; /* a request may lack the last feature, or hold anything in
                              it */
} rt_schema;

/* The model must outlive the schema. */
RT_CHECKED rt_status rt_schema_init(rt_schema *schema, const rt_model *model,
                                    rt_error *err);
void rt_schema_clear(rt_schema *schema);

/* The feature of that name, or -1. `guess` is looked at first: requests mostly name
 * their columns in the model's order. */
int32_t rt_schema_find(const rt_schema *schema, rt_text name, int32_t guess);

static inline int32_t rt_schema_width(const rt_schema *schema)
{
    return schema->model->n_features;
}

static inline bool rt_schema_is_number(const rt_schema *schema, int32_t feature)
{
    return schema->model->features[feature].kind == RT_NUMERIC;
}

/* The number of a level of a categorical feature; NaN for a text that is none. */
double rt_schema_level(const rt_schema *schema, int32_t feature, rt_text level);

/* The level that a number names, as training writes whole numbers: by their digits. */
double rt_schema_level_of_integer(const rt_schema *schema, int32_t feature,
                                  int64_t number);

/* The integer that a number means as a category: whole, and either within 64 bits or,
 * if it was written as a float, below 2^53. */
bool rt_schema_integer(const rt_number *number, int64_t *out);

/* A name as messages quote it: at most 100 bytes of it. */
enum { RT_QUOTED_ROOM = 128 };
const char *rt_text_quote(rt_text name, char room[RT_QUOTED_ROOM]);
const char *rt_schema_quote(const rt_schema *schema, int32_t feature,
                            char room[RT_QUOTED_ROOM]);

#endif
