/* Cells to numbers. A model has numbers and categories, and both come as JSON's
 * numbers, texts and words, or as text alone; what a value means is what it means in
 * training (retrain_ops/data/categories.py). Unit: one cell. */
#include "serving/rows.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"

rt_status rt_request_rows_init(rt_request_rows *rows, const rt_schema *schema,
                               const rt_unit *unit, int64_t most, int64_t body_bytes,
                               rt_error *err)
{
    void *block = NULL;
    *rows = (rt_request_rows){
        .schema = schema, .unit = unit, .most = most, .body_bytes = body_bytes};
    /* The unit may be a column of the model as well: its cells then serve both. */
    rows->unit_feature = unit != NULL ? rt_schema_find(schema, unit->name, 0) : -1;
    /* No text is longer without its escapes than with them. */
    rt_dynbuf_init(&rows->text, body_bytes);
    /* One place more than features, for a unit that is none of them. */
    rt_status status = rt_alloc(&block, rt_schema_width(schema) + 1, sizeof *rows->seen,
                                "rt_request_rows_init", err);
    rows->seen = block;
    return status;
}

/* Zeroed rows are fine, and so are those of an init that failed. */
void rt_request_rows_clear(rt_request_rows *rows)
{
    rt_free(rows->x);
    rt_free(rows->hash);
    rt_free(rows->feature_of);
    rt_free(rows->seen);
    rt_dynbuf_free(&rows->text);
    *rows = (rt_request_rows){0};
}

/* The feature that may be missing, and hold anything: -2 when there is none. */
static int32_t optional(const rt_request_rows *rows)
{
    return rows->schema->last_is_optional ? rt_schema_width(rows->schema) - 1 : -2;
}

/* Columns that must be there: the features, and the unit unless it is one of them. */
static int32_t needed(const rt_request_rows *rows)
{
    const bool apart = rows->unit != NULL && rows->unit_feature < 0;
    return rt_schema_width(rows->schema) + (apart ? 1 : 0) -
           (rows->schema->last_is_optional ? 1 : 0);
}

/* At least doubled, so that n rows that come one by one are copied 2 n times at most.
 * `room` is that of both arrays: it grows only when both have. */
static rt_status make_room(rt_request_rows *rows, int64_t wanted, rt_error *err)
{
    const int64_t width = rt_schema_width(rows->schema);
    const int64_t room = wanted > 2 * rows->room ? wanted : 2 * rows->room;
    void *x = rows->x;
    void *hash = rows->hash;
    rt_status status = rt_grow(&x, rows->rows * width, room * width, sizeof *rows->x,
                               "rt_request_rows_add", err);
    rows->x = x;
    if (status == RT_OK && rows->unit != NULL) {
        status = rt_grow(&hash, rows->rows, room, sizeof *rows->hash,
                         "rt_request_rows_add", err);
        rows->hash = hash;
    }
    rows->room = status == RT_OK ? room : rows->room;
    return status;
}

rt_status rt_request_rows_add(rt_request_rows *rows, int64_t count, rt_error *err)
{
    const int64_t width = rt_schema_width(rows->schema);
    /* A difference: the sum of what a sender asks for could overflow. */
    if (count > rows->most - rows->rows) {
        return rt_fail(err, RT_LIMIT, "rt_request_rows_add",
                       "a request has at most %lld rows: send fewer at once",
                       (long long)rows->most);
    }
    /* A cell takes a byte, its comma if nothing else, and the last one no comma. So a
     * small body that claims many rows gets no memory for them. */
    if ((rows->rows + count) * width > rows->body_bytes + 1) {
        return rt_fail(
            err, RT_INVALID, "rt_request_rows_add",
            "the rows do not have a cell of each of the model's %lld columns",
            (long long)width);
    }
    rt_status status = rows->rows + count > rows->room
                           ? make_room(rows, rows->rows + count, err)
                           : RT_OK;
    for (int64_t i = 0; i < count && status == RT_OK; i++) {
        /* It is missing until a cell of it comes, and none may. */
        if (rows->schema->last_is_optional) {
            rows->x[(rows->rows + i + 1) * width - 1] = (double)NAN;
        }
    }
    rows->rows += status == RT_OK ? count : 0;
    return status;
}

/* The guess is the feature behind the one found last: most requests keep the model's
 * order, and no name is hashed then. */
int32_t rt_request_rows_find(rt_request_rows *rows, rt_text name)
{
    const int32_t feature = rt_schema_find(rows->schema, name, rows->next);
    if (feature >= 0) {
        rows->next = feature + 1;
        return feature;
    }
    const bool is_unit =
        rows->unit != NULL && rt_text_compare(name, rows->unit->name) == 0;
    return is_unit ? rt_schema_width(rows->schema) : -1;
}

/* Columns that the model does not know are never quoted: there is only the unit
 * left. */
const char *rt_request_rows_quote(const rt_request_rows *rows, int32_t column,
                                  char room[RT_QUOTED_ROOM])
{
    return column < rt_schema_width(rows->schema)
               ? rt_schema_quote(rows->schema, column, room)
               : rt_text_quote(rows->unit->name, room);
}

/* Rows count from 1, as people do. What the cell holds is not repeated: messages end up
 * in logs. */
static rt_status refuse(const rt_request_rows *rows, int64_t row, int32_t feature,
                        const char *problem, rt_error *err)
{
    char name[RT_QUOTED_ROOM];
    return rt_fail(err, RT_INVALID, "rt_request_rows", "column %s of row %lld %s",
                   rt_request_rows_quote(rows, feature, name), (long long)row + 1,
                   problem);
}

rt_status rt_request_rows_add_column(rt_request_rows *rows, rt_text name, rt_error *err)
{
    void *block = rows->feature_of;
    char quoted[RT_QUOTED_ROOM];
    /* The number of columns is the sender's, so room for them grows as they come, and
     * there is a limit. */
    if (rows->columns == rows->column_room) {
        const int32_t room = rows->column_room == 0 ? 64 : 2 * rows->column_room;
        rt_status status =
            room > RT_MAX_FEATURES
                ? rt_fail(err, RT_LIMIT, "rt_request_rows_add_column",
                          "a request has at most %d columns", RT_MAX_FEATURES)
                : rt_grow(&block, rows->columns, room, sizeof *rows->feature_of,
                          "rt_request_rows_add_column", err);
        if (status != RT_OK) {
            return status;
        }
        rows->feature_of = block;
        rows->column_room = room;
    }
    const int32_t feature = rt_request_rows_find(rows, name);
    /* Which of the two cells counts would be a guess. */
    if (feature >= 0 && feature != optional(rows) && rows->seen[feature] != 0) {
        return rt_fail(err, RT_INVALID, "rt_request_rows_add_column",
                       "column %s is named twice",
                       rt_request_rows_quote(rows, feature, quoted));
    }
    /* For now `seen` only says that the column is named; cells write their row over
     * it. */
    if (feature >= 0) {
        rows->seen[feature] = 1;
    }
    /* -1 as well: the cells of such a column are stepped over. */
    rows->feature_of[rows->columns++] = feature;
    return RT_OK;
}

/* For requests that name their columns once, for all rows. */
rt_status rt_request_rows_check_columns(const rt_request_rows *rows, rt_error *err)
{
    char name[RT_QUOTED_ROOM];
    for (int32_t f = 0; f < needed(rows); f++) {
        if (rows->seen[f] == 0) {
            return rt_fail(err, RT_INVALID, "rt_request_rows", "column %s is missing",
                           rt_request_rows_quote(rows, f, name));
        }
    }
    return RT_OK;
}

/* For requests whose rows name their columns, each by itself: a cell of an earlier row
 * does not count, which is why `seen` is a row and no flag. */
rt_status rt_request_rows_check_cells(const rt_request_rows *rows, rt_error *err)
{
    for (int32_t f = 0; f < needed(rows); f++) {
        if (rows->seen[f] != rows->rows) {
            return refuse(rows, rows->rows - 1, f, "is missing", err);
        }
    }
    return RT_OK;
}

/* The one place that writes cells, so that none goes uncounted. */
static void store(rt_request_rows *rows, int64_t row, int32_t feature, double value)
{
    rows->x[row * rt_schema_width(rows->schema) + feature] = value;
    rows->seen[feature] = row + 1;
}

typedef struct word {
    const char *text;
    bool is_truth; /* true or false, the value says which */
    double value;
} word;

/* What pandas and NumPy write, and pandas reads, where a number is meant. Only texts
 * that are no number are looked up, and the commonest, that of an empty cell, comes
 * first: the table needs no order. */
static const word words[] = {
    {"", false, (double)NAN},
    {"NaN", false, (double)NAN},
    {"nan", false, (double)NAN},
    {"NA", false, (double)NAN},
    {"N/A", false, (double)NAN},
    {"<NA>", false, (double)NAN},
    {"null", false, (double)NAN},
    {"NULL", false, (double)NAN},
    {"None", false, (double)NAN},
    {"inf", false, (double)INFINITY},
    {"-inf", false, (double)-INFINITY},
    {"Infinity", false, (double)INFINITY},
    {"-Infinity", false, (double)-INFINITY},
    {"True", true, 1.0},
    {"true", true, 1.0},
    {"TRUE", true, 1.0},
    {"False", true, 0.0},
    {"false", true, 0.0},
    {"FALSE", true, 0.0},
};

/* The text has no NUL behind it, hence lengths. */
static const word *find_word(rt_text text)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i].text) == (size_t)text.length &&
            memcmp(words[i].text, text.bytes, (size_t)text.length) == 0) {
            return &words[i];
        }
    }
    return NULL;
}

/* Training writes truth values of a categorical column as these two texts. */
static double truth_level(const rt_request_rows *rows, int32_t feature, bool truth)
{
    return rt_schema_level(rows->schema, feature,
                           truth ? (rt_text){"true", 4} : (rt_text){"false", 5});
}

/* A text may be a level itself, or what CSV makes of a number or truth value. Of known
 * levels the text itself comes first: "NA" or "007" can be one. A word for a missing
 * value is none, and neither is what stays unknown: NaN. */
static double level_of_text(const rt_request_rows *rows, int32_t feature, rt_text text)
{
    const word *meant = rows->schema->levels != NULL ? find_word(text) : NULL;
    if (meant != NULL) { /* every text is a level here: words go first */
        return meant->is_truth       ? truth_level(rows, feature, meant->value != 0.0)
               : isnan(meant->value) ? (double)NAN
                                     : rt_schema_level(rows->schema, feature, text);
    }
    const double level = rt_schema_level(rows->schema, feature, text);
    const word *known = isnan(level) ? find_word(text) : NULL;
    rt_number number;
    int64_t integer = 0;
    /* "True" of pandas is the level "true". */
    if (known != NULL && known->is_truth) {
        return truth_level(rows, feature, known->value != 0.0);
    }
    /* 5.0 or +5 is the level "5": in pandas a whole column turns into floats as soon as
     * one cell is missing. */
    if (isnan(level) && known == NULL &&
        rt_number_read(text.bytes, text.length, &number) &&
        rt_schema_integer(&number, &integer)) {
        return rt_schema_level_of_integer(rows->schema, feature, integer);
    }
    return level;
}

/* A unit is a text or a whole number, whose digits are then its text: whoever sends 17
 * and "17" meets the same arm. */
static rt_status set_unit(rt_request_rows *rows, int64_t row, int32_t column,
                          rt_text unit, rt_error *err)
{
    /* All rows without a unit would otherwise be one, and meet one arm together. */
    if (unit.length == 0) {
        return refuse(rows, row, column, "names the unit of a canary and is empty",
                      err);
    }
    /* Under the key of this model and canary, so that nobody can choose an arm. */
    rows->hash[row] = rt_siphash(rows->unit->key, unit.bytes, (size_t)unit.length);
    rows->seen[rt_schema_width(rows->schema)] = row + 1;
    return RT_OK;
}

/* A unit with a feature of the same name may come under either number. */
static bool is_unit(const rt_request_rows *rows, int32_t column)
{
    return rows->unit != NULL &&
           (column == rows->unit_feature || column == rt_schema_width(rows->schema));
}

/* `json` is a copy: the caller still stands before the cell, which may be a feature
 * too. */
static rt_status set_json_unit(rt_request_rows *rows, int64_t row, int32_t column,
                               rt_json json, rt_error *err)
{
    const rt_json_kind kind = rt_json_kind_of(&json);
    rt_text text = rt_json_take(&json);
    rt_number number = {.is_integer = false};
    rt_status status = RT_OK;
    if (kind == RT_JSON_TEXT) {
        status = rt_json_unescape(text, &rows->text, &text, err);
        /* A float has many spellings, and null names nobody. */
    } else if (kind != RT_JSON_NUMBER ||
               !rt_number_read(text.bytes, text.length, &number) ||
               !number.is_integer) {
        return refuse(rows, row, column,
                      "names the unit of a canary: it must be text or a whole number",
                      err);
    }
    return status == RT_OK ? set_unit(rows, row, column, text, err) : status;
}

/* CSV has texts alone: what a cell means is its column's to say. An empty cell, a
 * missing value, is in the table of words. */
rt_status rt_request_rows_set_text(rt_request_rows *rows, int64_t row, int32_t feature,
                                   rt_text cell, rt_error *err)
{
    rt_number number;
    rt_status status =
        is_unit(rows, feature) ? set_unit(rows, row, feature, cell, err) : RT_OK;
    if (status != RT_OK || feature == rt_schema_width(rows->schema)) { /* no feature */
        return status;
    }
    if (!rt_schema_is_number(rows->schema, feature)) {
        store(rows, row, feature, level_of_text(rows, feature, cell));
        return RT_OK;
    }
    if (rt_number_read(cell.bytes, cell.length, &number)) {
        store(rows, row, feature, number.value);
        return RT_OK;
    }
    /* Numbers were tried first: they are the rule. */
    const word *known = find_word(cell);
    if (known == NULL) {
        return refuse(rows, row, feature, "holds text where a number belongs", err);
    }
    store(rows, row, feature, known->value);
    return RT_OK;
}

/* In JSON a missing value is null and a truth value a word, so texts have no special
 * words here: where a number belongs "NA" is an error, and as a category it is a
 * level. */
static rt_status set_json_text(rt_request_rows *rows, int64_t row, int32_t feature,
                               rt_text raw, rt_error *err)
{
    rt_text text;
    rt_number number;
    rt_status status = rt_json_unescape(raw, &rows->text, &text, err);
    if (status != RT_OK) {
        return status;
    }
    if (!rt_schema_is_number(rows->schema, feature)) {
        store(rows, row, feature, rt_schema_level(rows->schema, feature, text));
        return RT_OK;
    }
    if (!rt_number_read(text.bytes, text.length, &number)) {
        return refuse(rows, row, feature, "holds text where a number belongs", err);
    }
    store(rows, row, feature, number.value);
    return RT_OK;
}

/* A number of a categorical column is a level by its digits, as training writes whole
 * numbers. */
static rt_status set_json_number(rt_request_rows *rows, int64_t row, int32_t feature,
                                 rt_text digits, rt_error *err)
{
    rt_number number;
    int64_t integer = 0;
    /* Its form is checked already, so the length is all that can be wrong. */
    if (!rt_number_read(digits.bytes, digits.length, &number)) {
        return refuse(rows, row, feature, "holds a number of more than 1,024 digits",
                      err);
    }
    if (rt_schema_is_number(rows->schema, feature)) {
        store(rows, row, feature, number.value);
        return RT_OK;
    }
    /* A fraction has more than one spelling: which one training saw is not known
     * here. */
    if (!rt_schema_integer(&number, &integer)) {
        return refuse(rows, row, feature,
                      "is a category and holds a number with a fraction or beyond 64 "
                      "bits: send it as text",
                      err);
    }
    store(rows, row, feature,
          rt_schema_level_of_integer(rows->schema, feature, integer));
    return RT_OK;
}

/* What most cells are; false, and nothing is read, for any other. */
static bool set_plain_number(rt_request_rows *rows, int64_t row, int32_t feature,
                             rt_json *json)
{
    rt_number number;
    if (feature == rt_schema_width(rows->schema) || is_unit(rows, feature) ||
        !rt_schema_is_number(rows->schema, feature) ||
        rt_json_kind_of(json) != RT_JSON_NUMBER) {
        return false;
    }
    const char *after = rt_number_step(json->at, json->spans->end, &number);
    if (after == NULL) {
        return false;
    }
    store(rows, row, feature, number.value);
    json->at = after;
    return true;
}

/* A unit that is a feature too is read twice, as either. */
static rt_status set_json(rt_request_rows *rows, int64_t row, int32_t feature,
                          rt_json *json, rt_error *err)
{
    const rt_json_kind kind = rt_json_kind_of(json);
    rt_status status =
        is_unit(rows, feature) ? set_json_unit(rows, row, feature, *json, err) : RT_OK;
    /* Behind the value now, whatever comes of it: lists of cells can go on. */
    const rt_text raw = rt_json_take(json);
    if (status != RT_OK || feature == rt_schema_width(rows->schema)) { /* no feature */
        return status;
    }
    /* By kind: the table of cells in docs/serving.md, row by row. */
    const bool is_number = rt_schema_is_number(rows->schema, feature);
    switch (kind) {
    case RT_JSON_NUMBER:
        return set_json_number(rows, row, feature, raw, err);
    case RT_JSON_TEXT:
        return set_json_text(rows, row, feature, raw, err);
    case RT_JSON_TRUE:
    case RT_JSON_FALSE:
        store(rows, row, feature,
              is_number ? (kind == RT_JSON_TRUE ? 1.0 : 0.0)
                        : truth_level(rows, feature, kind == RT_JSON_TRUE));
        return RT_OK;
    case RT_JSON_NULL:
    case RT_JSON_NAN: /* missing, whatever the column holds */
        store(rows, row, feature, (double)NAN);
        return RT_OK;
    case RT_JSON_INFINITY: /* a number, and no level */
        if (!is_number) {
            return refuse(rows, row, feature, "is a category and holds an infinity",
                          err);
        }
        store(rows, row, feature, *raw.bytes == '-' ? -INFINITY : (double)INFINITY);
        return RT_OK;
    case RT_JSON_OBJECT:
    case RT_JSON_ARRAY:
        break;
    }
    return refuse(rows, row, feature, "holds a list or an object where a value belongs",
                  err);
}

/* What the optional column holds may be anything. set_json has stepped over it in any
 * case, and what it refuses counts as missing. */
rt_status rt_request_rows_set_json(rt_request_rows *rows, int64_t row, int32_t feature,
                                   rt_json *json, rt_error *err)
{
    if (set_plain_number(rows, row, feature, json)) {
        return RT_OK;
    }
    rt_status status = set_json(rows, row, feature, json, err);
    if (status == RT_INVALID && feature == optional(rows)) {
        store(rows, row, feature, (double)NAN);
        return RT_OK;
    }
    return status;
}
