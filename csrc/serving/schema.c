/* Names by an open hash, levels by binary search: they are ascending by bytes. Unit:
 * one name. */
#include "serving/schema.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

enum { QUOTED_BYTES = 100 };

static rt_text name_of(const rt_schema *schema, int32_t feature)
{
    return rt_model_text(schema->model, schema->model->features[feature].text);
}

static bool equal(rt_text a, rt_text b)
{
    return a.length == b.length && memcmp(a.bytes, b.bytes, (size_t)a.length) == 0;
}

/* FNV-1a. Names come from outside, but only the model's own are kept, so no request can
 * make a bucket long. */
static uint32_t hash(rt_text text)
{
    uint32_t h = 2166136261U;
    for (int64_t i = 0; i < text.length; i++) {
        h = (h ^ (uint8_t)text.bytes[i]) * 16777619U;
    }
    return h;
}

rt_status rt_schema_init(rt_schema *schema, const rt_model *model, rt_error *err)
{
    void *block = NULL;
    *schema = (rt_schema){.model = model, .n_slots = 4};
    while (schema->n_slots < 2 * (uint32_t)model->n_features) {
        schema->n_slots *= 2;
    }
    rt_status status =
        rt_alloc(&block, schema->n_slots, sizeof *schema->slot, "rt_schema_init", err);
    schema->slot = block;
    for (int32_t f = 0; f < model->n_features && status == RT_OK; f++) {
        uint32_t at = hash(name_of(schema, f)) & (schema->n_slots - 1);
        while (schema->slot[at] != 0) {
            at = (at + 1) & (schema->n_slots - 1);
        }
        schema->slot[at] = f + 1;
    }
    return status;
}

void rt_schema_clear(rt_schema *schema)
{
    rt_free(schema->slot);
    *schema = (rt_schema){0};
}

int32_t rt_schema_find(const rt_schema *schema, rt_text name, int32_t guess)
{
    if (guess < rt_schema_width(schema) && equal(name, name_of(schema, guess))) {
        return guess;
    }
    uint32_t at = hash(name) & (schema->n_slots - 1);
    while (schema->slot[at] != 0) {
        if (equal(name, name_of(schema, schema->slot[at] - 1))) {
            return schema->slot[at] - 1;
        }
        at = (at + 1) & (schema->n_slots - 1);
    }
    return -1;
}

double rt_schema_level(const rt_schema *schema, int32_t feature, rt_text level)
{
    const rt_feature *column = &schema->model->features[feature];
    if (schema->levels != NULL) {
        return rt_levels_number(&schema->levels[feature], level);
    }
    int32_t low = 0;
    int32_t high = column->n_categories;
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        const int64_t number = column->text + 1 + middle;
        const int order = rt_text_compare(rt_model_text(schema->model, number), level);
        if (order == 0) {
            return (double)middle;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return (double)NAN;
}

double rt_schema_level_of_integer(const rt_schema *schema, int32_t feature,
                                  int64_t number)
{
    char digits[RT_NUMBER_TEXT_ROOM];
    const int length = snprintf(digits, sizeof digits, "%lld", (long long)number);
    return rt_schema_level(schema, feature, (rt_text){digits, length});
}

bool rt_schema_integer(const rt_number *number, int64_t *out)
{
    const bool whole =
        number->is_integer || (fabs(number->value) < 0x1p53 &&
                               number->value == (double)(int64_t)number->value);
    *out = number->is_integer ? number->integer : whole ? (int64_t)number->value : 0;
    return whole;
}

const char *rt_text_quote(rt_text name, char room[RT_QUOTED_ROOM])
{
    int64_t length = name.length;
    if (length > QUOTED_BYTES) {
        length = QUOTED_BYTES;
        while (((uint8_t)name.bytes[length] & 0xc0) == 0x80) {
            length--; /* never within a character */
        }
    }
    (void)snprintf(room, RT_QUOTED_ROOM, "'%.*s%s'", (int)length, name.bytes,
                   length < name.length ? "..." : "");
    return room;
}

const char *rt_schema_quote(const rt_schema *schema, int32_t feature,
                            char room[RT_QUOTED_ROOM])
{
    return rt_text_quote(name_of(schema, feature), room);
}
