/* The four shapes of a request. Every cell is checked against its column as it is read:
 * what MLflow pads with NaN or shifts by one is refused. Unit: one request. */
#include "serving/read_json.h"

#include <string.h>

static bool is(rt_text text, const char *word)
{
    return strlen(word) == (size_t)text.length &&
           memcmp(text.bytes, word, (size_t)text.length) == 0;
}

static rt_status must_be(const char *what, const char *shape, rt_error *err)
{
    return rt_fail(err, RT_INVALID, "rt_read_json", "%s must be %s", what, shape);
}

/* The name of a member without its escapes, before its value. */
static rt_status take_name(rt_request_rows *rows, rt_json *at, rt_text *name,
                           rt_error *err)
{
    return rt_json_unescape(rt_json_name(at), &rows->text, name, err);
}

/* -- dataframe_split: columns, and rows of cells in their order -- */

static rt_status read_columns(rt_request_rows *rows, rt_json at, rt_error *err)
{
    static const char *const shape = "a list of texts";
    rt_status status = RT_OK;
    if (rt_json_kind_of(&at) != RT_JSON_ARRAY) {
        return must_be("dataframe_split.columns", shape, err);
    }
    for (bool more = rt_json_enter(&at); more && status == RT_OK;
         more = rt_json_next(&at)) {
        rt_text name;
        if (rt_json_kind_of(&at) != RT_JSON_TEXT) {
            return must_be("dataframe_split.columns", shape, err);
        }
        status = rt_json_unescape(rt_json_take(&at), &rows->text, &name, err);
        if (status == RT_OK) {
            status = rt_request_rows_add_column(rows, name, err);
        }
        if (status != RT_OK) {
            return status;
        }
    }
    return rt_request_rows_check_columns(rows, err);
}

static rt_status wrong_width(const rt_request_rows *rows, int64_t row, rt_error *err)
{
    return rt_fail(err, RT_INVALID, "rt_read_json",
                   "row %lld does not have one cell for each of the %d columns",
                   (long long)row + 1, rows->columns);
}

static rt_status read_cells(rt_request_rows *rows, int64_t row, rt_json *at,
                            rt_error *err)
{
    int32_t column = 0;
    for (bool more = rt_json_enter(at); more; more = rt_json_next(at)) {
        if (column == rows->columns) {
            return wrong_width(rows, row, err);
        }
        const int32_t feature = rows->feature_of[column++];
        if (feature < 0) {
            rt_json_skip(at);
            continue;
        }
        rt_status status = rt_request_rows_set_json(rows, row, feature, at, err);
        if (status != RT_OK) {
            return status;
        }
    }
    return column == rows->columns ? RT_OK : wrong_width(rows, row, err);
}

static rt_status read_data(rt_request_rows *rows, rt_json at, rt_error *err)
{
    static const char *const shape = "a list of rows, each a list of cells";
    if (rt_json_kind_of(&at) != RT_JSON_ARRAY) {
        return must_be("dataframe_split.data", shape, err);
    }
    for (bool more = rt_json_enter(&at); more; more = rt_json_next(&at)) {
        if (rt_json_kind_of(&at) != RT_JSON_ARRAY) {
            return must_be("dataframe_split.data", shape, err);
        }
        rt_status status = rt_request_rows_add(rows, 1, err);
        if (status == RT_OK) {
            status = read_cells(rows, rows->rows - 1, &at, err);
        }
        if (status != RT_OK) {
            return status;
        }
    }
    return RT_OK;
}

static rt_status read_split(rt_request_rows *rows, rt_json at, const char *key,
                            rt_error *err)
{
    rt_json columns = {.at = NULL};
    rt_json data = {.at = NULL};
    if (rt_json_kind_of(&at) != RT_JSON_OBJECT) {
        return must_be(key, "an object with columns and data", err);
    }
    for (bool more = rt_json_enter(&at); more; more = rt_json_next(&at)) {
        rt_text name;
        rt_status status = take_name(rows, &at, &name, err);
        if (status != RT_OK) {
            return status;
        }
        columns = is(name, "columns") ? at : columns;
        data = is(name, "data") ? at : data;
        rt_json_skip(&at);
    }
    if (columns.at == NULL || data.at == NULL) {
        return must_be(key, "an object with columns and data", err);
    }
    rt_status status = read_columns(rows, columns, err);
    return status == RT_OK ? read_data(rows, data, err) : status;
}

/* -- dataframe_records, instances: rows that name their columns -- */

static rt_status read_record(rt_request_rows *rows, rt_json *at, rt_error *err)
{
    const int64_t row = rows->rows - 1;
    rows->next = 0;
    for (bool more = rt_json_enter(at); more; more = rt_json_next(at)) {
        rt_text name;
        rt_status status = take_name(rows, at, &name, err);
        const int32_t feature = status == RT_OK ? rt_request_rows_find(rows, name) : -1;
        if (status == RT_OK && feature < 0) {
            rt_json_skip(at);
        } else if (status == RT_OK) {
            status = rt_request_rows_set_json(rows, row, feature, at, err);
        }
        if (status != RT_OK) {
            return status;
        }
    }
    return rt_request_rows_check_cells(rows, err);
}

static rt_status read_records(rt_request_rows *rows, rt_json at, const char *key,
                              rt_error *err)
{
    static const char *const shape = "a list of objects that name their columns";
    if (rt_json_kind_of(&at) != RT_JSON_ARRAY) {
        return must_be(key, shape, err);
    }
    for (bool more = rt_json_enter(&at); more; more = rt_json_next(&at)) {
        if (rt_json_kind_of(&at) != RT_JSON_OBJECT) {
            return must_be(key, shape, err);
        }
        rt_status status = rt_request_rows_add(rows, 1, err);
        if (status == RT_OK) {
            status = read_record(rows, &at, err);
        }
        if (status != RT_OK) {
            return status;
        }
    }
    return RT_OK;
}

/* -- inputs: columns of values, or of one value each -- */

static int64_t count(rt_json at)
{
    int64_t found = 0;
    for (bool more = rt_json_enter(&at); more; more = rt_json_next(&at)) {
        rt_json_skip(&at);
        found++;
    }
    return found;
}

static rt_status read_column(rt_request_rows *rows, int32_t feature, rt_json *at,
                             bool *sized, rt_error *err)
{
    char name[RT_QUOTED_ROOM];
    const bool is_list = rt_json_kind_of(at) == RT_JSON_ARRAY;
    const int64_t length = is_list ? count(*at) : 1;
    rt_status status = *sized ? RT_OK : rt_request_rows_add(rows, length, err);
    if (status != RT_OK) {
        return status;
    }
    *sized = true;
    if (length != rows->rows) {
        return rt_fail(err, RT_INVALID, "rt_read_json",
                       "column %s is not as long as the columns before it",
                       rt_request_rows_quote(rows, feature, name));
    }
    if (!is_list) {
        return rt_request_rows_set_json(rows, 0, feature, at, err);
    }
    int64_t row = 0;
    for (bool more = rt_json_enter(at); more; more = rt_json_next(at)) {
        status = rt_request_rows_set_json(rows, row++, feature, at, err);
        if (status != RT_OK) {
            return status;
        }
    }
    return RT_OK;
}

static rt_status read_inputs(rt_request_rows *rows, rt_json at, const char *key,
                             rt_error *err)
{
    bool sized = false;
    if (rt_json_kind_of(&at) != RT_JSON_OBJECT) {
        return must_be(key, "an object of columns", err);
    }
    for (bool more = rt_json_enter(&at); more; more = rt_json_next(&at)) {
        rt_text name;
        rt_status status = take_name(rows, &at, &name, err);
        const int32_t feature = status == RT_OK ? rt_request_rows_find(rows, name) : -1;
        if (status == RT_OK && feature < 0) {
            rt_json_skip(&at);
        } else if (status == RT_OK) {
            status = read_column(rows, feature, &at, &sized, err);
        }
        if (status != RT_OK) {
            return status;
        }
    }
    return rows->rows == 0 && sized ? RT_OK : rt_request_rows_check_columns(rows, err);
}

typedef struct shape {
    const char *key;
    rt_status (*read)(rt_request_rows *, rt_json, const char *, rt_error *);
} shape;

enum { SHAPES = 4 };
static const shape shapes[SHAPES] = {
    {"dataframe_split", read_split},
    {"dataframe_records", read_records},
    {"instances", read_records},
    {"inputs", read_inputs},
};

/* Where the value of each shape's key begins, NULL where there is none. */
static rt_status find_shapes(rt_request_rows *rows, rt_json at, rt_json found[SHAPES],
                             rt_error *err)
{
    for (bool more = rt_json_enter(&at); more; more = rt_json_next(&at)) {
        rt_text name;
        rt_status status = take_name(rows, &at, &name, err);
        if (status != RT_OK) {
            return status;
        }
        for (int i = 0; i < SHAPES; i++) {
            found[i] = is(name, shapes[i].key) ? at : found[i];
        }
        rt_json_skip(&at);
    }
    return RT_OK;
}

rt_status rt_read_json(rt_request_rows *rows, rt_text body, rt_error *err)
{
    rt_json found[SHAPES] = {{.at = NULL}};
    rt_json_spans spans;
    int chosen = -1;
    int keys = 0;
    rt_status status = rt_json_check(body, &spans, err);
    rt_json at = {.at = NULL};
    if (status == RT_OK) {
        at = rt_json_start(body, &spans);
        status = rt_json_kind_of(&at) == RT_JSON_OBJECT
                     ? find_shapes(rows, at, found, err)
                     : RT_OK;
    }
    if (status != RT_OK) {
        return status;
    }
    for (int i = 0; i < SHAPES; i++) {
        chosen = found[i].at != NULL ? i : chosen;
        keys += found[i].at != NULL ? 1 : 0;
    }
    if (keys != 1) {
        return must_be("the body",
                       "an object with exactly one of dataframe_split, "
                       "dataframe_records, instances and inputs",
                       err);
    }
    return shapes[chosen].read(rows, found[chosen], shapes[chosen].key, err);
}
