#include "net/endpoints.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "net/url.h"

#define NEEDS(name, kind)                                                              \
    {                                                                                  \
        name, RT_KIND_##kind, false                                                    \
    }
#define TAKES(name, kind)                                                              \
    {                                                                                  \
        name, RT_KIND_##kind, true                                                     \
    }

/* Creates are the only calls that must not be repeated blindly. A log-batch can
 * be: its metrics carry their own timestamps, which are part of their identity. */
static const rt_endpoint endpoints[] = {
    {"GET", "experiments/get-by-name", true, {NEEDS("experiment_name", TEXT)}},
    {"GET", "experiments/get", true, {NEEDS("experiment_id", KEY)}},
    {"POST",
     "experiments/create",
     false,
     {NEEDS("name", TEXT), TAKES("tags", TAGS), TAKES("artifact_location", TEXT)}},
    {"POST", "experiments/delete", true, {NEEDS("experiment_id", KEY)}},
    {"POST",
     "experiments/set-experiment-tag",
     true,
     {NEEDS("experiment_id", KEY), NEEDS("key", KEY), NEEDS("value", FREE)}},
    {"POST",
     "runs/create",
     false,
     {NEEDS("experiment_id", KEY), TAKES("run_name", TEXT), TAKES("start_time", WHOLE),
      TAKES("tags", TAGS)}},
    {"GET", "runs/get", true, {NEEDS("run_id", KEY)}},
    {"POST",
     "runs/update",
     true,
     {NEEDS("run_id", KEY), TAKES("status", STATUS), TAKES("end_time", WHOLE),
      TAKES("run_name", TEXT)}},
    {"POST",
     "runs/search",
     true,
     {NEEDS("experiment_ids", TEXTS), TAKES("filter", FREE),
      TAKES("max_results", WHOLE), TAKES("order_by", TEXTS),
      TAKES("page_token", TEXT)}},
    {"POST",
     "runs/log-batch",
     true,
     {NEEDS("run_id", KEY), TAKES("metrics", METRICS), TAKES("params", TAGS),
      TAKES("tags", TAGS)}},
    {"POST",
     "runs/set-tag",
     true,
     {NEEDS("run_id", KEY), NEEDS("key", KEY), NEEDS("value", FREE)}},
    {"POST", "runs/delete", true, {NEEDS("run_id", KEY)}},
    {"POST", "runs/delete-tag", true, {NEEDS("run_id", KEY), NEEDS("key", KEY)}},
    {"POST",
     "registered-models/create",
     false,
     {NEEDS("name", NAME), TAKES("tags", TAGS), TAKES("description", FREE)}},
    {"GET", "registered-models/get", true, {NEEDS("name", NAME)}},
    {"POST",
     "registered-models/set-tag",
     true,
     {NEEDS("name", NAME), NEEDS("key", KEY), NEEDS("value", FREE)}},
    {"DELETE",
     "registered-models/delete-tag",
     true,
     {NEEDS("name", NAME), NEEDS("key", KEY)}},
    {"GET",
     "registered-models/alias",
     true,
     {NEEDS("name", NAME), NEEDS("alias", NAME)}},
    {"POST",
     "registered-models/alias",
     true,
     {NEEDS("name", NAME), NEEDS("alias", NAME), NEEDS("version", VERSION)}},
    {"DELETE",
     "registered-models/alias",
     true,
     {NEEDS("name", NAME), NEEDS("alias", NAME)}},
    {"POST",
     "model-versions/create",
     false,
     {NEEDS("name", NAME), NEEDS("source", TEXT), TAKES("run_id", KEY),
      TAKES("tags", TAGS), TAKES("description", FREE)}},
    {"GET",
     "model-versions/get",
     true,
     {NEEDS("name", NAME), NEEDS("version", VERSION)}},
    {"GET",
     "model-versions/search",
     true,
     {TAKES("filter", FREE), TAKES("max_results", WHOLE), TAKES("order_by", TEXTS),
      TAKES("page_token", TEXT)}},
    {"POST",
     "model-versions/set-tag",
     true,
     {NEEDS("name", NAME), NEEDS("version", VERSION), NEEDS("key", KEY),
      NEEDS("value", FREE)}},
    {"DELETE",
     "model-versions/delete-tag",
     true,
     {NEEDS("name", NAME), NEEDS("version", VERSION), NEEDS("key", KEY)}},
    {"DELETE",
     "model-versions/delete",
     true,
     {NEEDS("name", NAME), NEEDS("version", VERSION)}},
    {"GET", "mlflow-artifacts/artifacts", true, {NEEDS("path", TEXT)}},
};

const rt_endpoint *rt_endpoint_find(const char *call)
{
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
        size_t length = strlen(endpoints[i].method);
        if (strncmp(call, endpoints[i].method, length) == 0 && call[length] == ' ' &&
            strcmp(call + length + 1, endpoints[i].path) == 0) {
            return &endpoints[i];
        }
    }
    return NULL;
}

/* ------------------------------------------------------------ checking */

static bool is_text(const json_t *value, size_t bytes_max)
{
    size_t length = json_string_length(value);
    return json_is_string(value) && length > 0 && length <= bytes_max &&
           rt_text_is_clean(json_string_value(value), (int64_t)length);
}

static bool is_free(const json_t *value)
{
    return json_is_string(value) && json_string_length(value) <= RT_MAX_TEXT_BYTES;
}

static bool is_name(const json_t *value)
{
    return is_text(value, RT_MAX_NAME_BYTES) &&
           strpbrk(json_string_value(value), "/:%") == NULL &&
           strstr(json_string_value(value), "..") == NULL;
}

static bool is_version(const json_t *value)
{
    size_t length = json_string_length(value);
    return json_is_string(value) && length > 0 && length <= 18 &&
           strspn(json_string_value(value), "0123456789") == length;
}

static bool is_status(const json_t *value)
{
    static const char *const known[] = {"RUNNING", "SCHEDULED", "FINISHED", "FAILED",
                                        "KILLED"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (json_is_string(value) && strcmp(json_string_value(value), known[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_tag(const json_t *item)
{
    return json_is_object(item) && json_object_size(item) == 2 &&
           is_text(json_object_get(item, "key"), RT_MAX_NAME_BYTES) &&
           is_free(json_object_get(item, "value"));
}

/* JSON has no NaN; "NaN" in a string is the one text the server reads back as it
 * was meant. "Infinity" is stored as 1.797e308, so it is not let through. */
static bool is_measure(const json_t *value)
{
    return json_is_number(value) ||
           (json_is_string(value) && strcmp(json_string_value(value), "NaN") == 0);
}

static bool is_metric(const json_t *item)
{
    const json_t *timestamp = json_object_get(item, "timestamp");
    return json_is_object(item) && json_object_size(item) == 4 &&
           is_text(json_object_get(item, "key"), RT_MAX_NAME_BYTES) &&
           is_measure(json_object_get(item, "value")) && json_is_integer(timestamp) &&
           json_integer_value(timestamp) >= 0 &&
           json_is_integer(json_object_get(item, "step"));
}

static bool is_item(const json_t *item, rt_kind kind)
{
    return kind == RT_KIND_TAGS      ? is_tag(item)
           : kind == RT_KIND_METRICS ? is_metric(item)
                                     : is_text(item, RT_MAX_TEXT_BYTES);
}

static bool is_list(const json_t *value, rt_kind kind)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!is_item(json_array_get(value, i), kind)) {
            return false;
        }
    }
    return json_is_array(value);
}

static bool fits(const json_t *value, rt_kind kind)
{
    switch (kind) {
    case RT_KIND_TEXT:
        return is_text(value, RT_MAX_TEXT_BYTES);
    case RT_KIND_KEY:
        return is_text(value, RT_MAX_NAME_BYTES);
    case RT_KIND_NAME:
        return is_name(value);
    case RT_KIND_FREE:
        return is_free(value);
    case RT_KIND_WHOLE:
        return json_is_integer(value) && json_integer_value(value) >= 0;
    case RT_KIND_VERSION:
        return is_version(value);
    case RT_KIND_STATUS:
        return is_status(value);
    case RT_KIND_TEXTS:
    case RT_KIND_TAGS:
    case RT_KIND_METRICS:
        return is_list(value, kind);
    case RT_KIND_NONE:
        break;
    }
    return false;
}

static const char *describe(rt_kind kind)
{
    static const char *const shapes[] = {
        [RT_KIND_NONE] = "nothing",
        [RT_KIND_TEXT] = "a text without control characters, not empty",
        [RT_KIND_KEY] = "a text of 1 to 250 bytes without control characters",
        [RT_KIND_NAME] = "a name of 1 to 250 bytes without / : % .. or control "
                         "characters",
        [RT_KIND_FREE] = "a text of at most a megabyte",
        [RT_KIND_WHOLE] = "a whole number, not negative",
        [RT_KIND_VERSION] = "a version as a string of digits",
        [RT_KIND_STATUS] = "RUNNING, SCHEDULED, FINISHED, FAILED or KILLED",
        [RT_KIND_TEXTS] = "a list of texts",
        [RT_KIND_TAGS] = "a list of {key, value}, both texts, the key of 1 to 250 "
                         "bytes",
        [RT_KIND_METRICS] = "a list of {key, value, timestamp, step} with finite or "
                            "NaN numbers and whole timestamps and steps",
    };
    return shapes[kind];
}

static const rt_field *find_field(const rt_endpoint *endpoint, const char *name)
{
    for (int i = 0; i < RT_ENDPOINT_FIELDS; i++) {
        const rt_field *field = &endpoint->fields[i];
        if (field->kind != RT_KIND_NONE && strcmp(field->name, name) == 0) {
            return field;
        }
    }
    return NULL;
}

rt_status rt_endpoint_check(const rt_endpoint *endpoint, const json_t *arguments,
                            rt_error *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    assert(endpoint != NULL);

    json_object_foreach((json_t *)arguments, name, value)
    {
        const rt_field *field = find_field(endpoint, name);
        if (field == NULL || !fits(value, field->kind)) {
            return rt_fail(err, RT_INVALID, "rt_endpoint_check",
                           "%s %s: %.100s must be %s", endpoint->method, endpoint->path,
                           name, describe(field == NULL ? RT_KIND_NONE : field->kind));
        }
    }
    for (int i = 0; i < RT_ENDPOINT_FIELDS; i++) {
        const rt_field *field = &endpoint->fields[i];
        if (field->kind != RT_KIND_NONE && !field->optional &&
            json_object_get(arguments, field->name) == NULL) {
            return rt_fail(err, RT_INVALID, "rt_endpoint_check", "%s %s: %s is missing",
                           endpoint->method, endpoint->path, field->name);
        }
    }
    return RT_OK;
}

/* ------------------------------------------------------------ building */

static rt_status add_query(rt_dynbuf *target, const char *name, const json_t *value,
                           rt_error *err)
{
    char digits[24] = "";
    rt_status status = RT_OK;
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value) && status == RT_OK; i++) {
            status = add_query(target, name, json_array_get(value, i), err);
        }
        return status;
    }
    if (json_is_integer(value)) {
        int length = snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT,
                              json_integer_value(value));
        return rt_url_add_query(target, name, digits, length, err);
    }
    return rt_url_add_query(target, name, json_string_value(value),
                            (int64_t)json_string_length(value), err);
}

typedef struct sink {
    rt_dynbuf *body;
    rt_error *err;
    rt_status status;
} sink;

static int on_json(const char *bytes, size_t size, void *opaque)
{
    sink *into = opaque;
    into->status = rt_dynbuf_add(into->body, bytes, (int64_t)size, into->err);
    return into->status == RT_OK ? 0 : -1;
}

rt_status rt_endpoint_build(const rt_endpoint *endpoint, const json_t *arguments,
                            rt_dynbuf *target, rt_dynbuf *body, rt_error *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    sink into = {.body = body, .err = err, .status = RT_OK};
    bool proxied = strncmp(endpoint->path, "mlflow-artifacts/", 17) == 0;

    rt_status status =
        rt_dynbuf_add_text(target, proxied ? "/api/2.0/" : "/api/2.0/mlflow/", err);
    if (status == RT_OK) {
        status = rt_dynbuf_add_text(target, endpoint->path, err);
    }
    if (status != RT_OK) {
        return status;
    }
    if (strcmp(endpoint->method, "GET") != 0) {
        if (json_dump_callback(arguments, on_json, &into, JSON_COMPACT) == 0) {
            return RT_OK;
        }
        return into.status != RT_OK ? into.status
                                    : rt_fail(err, RT_NO_MEMORY, "rt_endpoint_build",
                                              "out of memory for a JSON body");
    }
    json_object_foreach((json_t *)arguments, name, value)
    {
        status = status == RT_OK ? add_query(target, name, value, err) : status;
    }
    return status;
}
