/* libFuzzer entry: any bytes as the body of a scoring request, or as one number. The
 * first byte chooses; what is accepted must keep its promises:
 *   a cell is a number, and of a category one of its levels or NaN;
 *   the answer is JSON with a prediction for each row;
 *   a number is strtod's;
 *   JSON that jansson takes is taken, unless it is nested too deep;
 *   a logged body is read back by columns, as many rows as were answered;
 *   an error is UTF-8.
 *
 * RT_FUZZ_PLANTED builds in a bug that the fuzzer must find (make -C csrc
 * fuzz-serving).
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "serving/head.h"
#include "serving/read_log.h"
#include "serving/record.h"
#include "serving/request.h"
#include "tests/gbdt_data.h"

enum { MOST_ROWS = 100 };

#define REQUIRE(condition)                                                             \
    do {                                                                               \
        if (!(condition)) {                                                            \
            __builtin_trap();                                                          \
        }                                                                              \
    } while (0)

static const rt_schema *schema_in_use(void)
{
    static rt_model model;
    static rt_schema schema;
    if (schema.slot == NULL) {
        REQUIRE(test_name_features(&model, NULL) == RT_OK);
        REQUIRE(rt_forest_init(&model.forest, TEST_FEATURES, RT_LOSS_BINARY, 1, NULL) ==
                RT_OK);
        REQUIRE(rt_schema_init(&schema, &model, NULL) == RT_OK);
    }
    return &schema;
}

static void check_cells(const rt_request_rows *rows)
{
#ifdef RT_FUZZ_PLANTED
    double few[3 * TEST_FEATURES]; /* the bug: nobody sends more than three rows */
    memcpy(few, rows->x, (size_t)rows->rows * TEST_FEATURES * sizeof(double));
    REQUIRE(memcmp(few, rows->x, sizeof(double)) == 0);
#endif
    REQUIRE(rows->rows >= 1 && rows->rows <= MOST_ROWS);
    for (int64_t i = 0; i < rows->rows; i++) {
        const double level = rows->x[i * TEST_FEATURES + 2];
        REQUIRE(isnan(level) || (level >= 0.0 && level < TEST_LEVELS));
    }
}

static void check_answer(const rt_request_rows *rows)
{
    double scores[MOST_ROWS];
    rt_dynbuf answer;
    rt_dynbuf_init(&answer, 1 << 20);
    REQUIRE(rt_request_score(rows, scores, NULL) == RT_OK);
    REQUIRE(rt_answer_write(&answer, scores, rows->rows, 1, NULL) == RT_OK);
    json_t *read = json_loads(rt_dynbuf_text(&answer), 0, NULL);
    const json_t *list = json_object_get(read, "predictions");
    REQUIRE(json_array_size(list) == (size_t)rows->rows);
    json_decref(read);
    rt_dynbuf_free(&answer);
}

/* The columns of the schema in use, whose categories take any level, and the id. */
static void open_columns(rt_model *model, rt_schema *columns,
                         rt_levels levels[TEST_FEATURES + 1])
{
    static const char names[] = "numbergapslevelconstantextremewho";
    static const int32_t lengths[] = {6, 4, 5, 8, 7, 3};
    REQUIRE(rt_model_init(model, TEST_FEATURES + 1, TEST_FEATURES + 1, sizeof names - 1,
                          NULL) == RT_OK);
    memcpy(model->text, names, sizeof names - 1);
    for (int32_t f = 0; f <= TEST_FEATURES; f++) {
        model->text_start[f + 1] = model->text_start[f] + lengths[f];
        model->features[f].kind = f == 2 || f == 5 ? RT_CATEGORICAL : RT_NUMERIC;
        rt_levels_init(&levels[f]);
    }
    REQUIRE(rt_model_link(model, NULL) == RT_OK);
    REQUIRE(rt_schema_init(columns, model, NULL) == RT_OK);
    columns->levels = levels;
    columns->last_is_optional = true;
}

/* What the model takes, the log's columns take too. */
static void try_log(rt_body_kind kind, rt_text body, int64_t n)
{
    double scores[MOST_ROWS] = {0};
    uint64_t units[MOST_ROWS] = {0};
    int64_t numbers[RT_LOG_NUMBERS * MOST_ROWS];
    double x[MOST_ROWS * (TEST_FEATURES + 1)];
    rt_model model;
    rt_schema columns;
    rt_levels levels[TEST_FEATURES + 1];
    rt_log_totals totals;
    int64_t unread = 0;
    const rt_record record = {
        .head = {.kind = RT_RECORD_ANSWER, .rows = n, .outputs = 1, .csv = kind},
        .scores = (const char *)scores,
        .units = (const char *)units,
        .id = {"id", 2},
        .body = body};
    rt_dynbuf segment;
    rt_dynbuf_init(&segment, 1 << 20);
    REQUIRE(rt_record_write(&segment, &record, NULL) == RT_OK);
    const rt_text bytes = {segment.data, segment.size_bytes};
    rt_log_scan(bytes, &totals);
    REQUIRE(totals.answer_rows == n && totals.sound_bytes == bytes.length);
    rt_log_rows answers = {.numbers = numbers, .scores = scores, .x = x, .rows = n};
    rt_log_rows none = {.rows = 0};
    open_columns(&model, &columns, levels);
    REQUIRE(rt_log_read(bytes, &totals, &columns, &answers, &none, &unread, NULL) ==
            RT_OK);
    REQUIRE(answers.done == n && unread == 0);
    for (int64_t i = 0; i < n; i++) {
        const double id = x[i * (TEST_FEATURES + 1) + TEST_FEATURES];
        REQUIRE(id >= 0.0 && id < (double)levels[TEST_FEATURES].count);
    }
    for (int32_t f = 0; f <= TEST_FEATURES; f++) {
        rt_levels_clear(&levels[f]);
    }
    rt_schema_clear(&columns);
    rt_model_clear(&model);
    rt_dynbuf_free(&segment);
}

static void try_body(rt_body_kind kind, rt_text body)
{
    static const rt_unit who = {.name = {"who", 3}};
    const rt_unit *unit = body.length % 2 == 0 ? &who : NULL;
    rt_request_rows rows;
    rt_error err = {RT_OK, NULL, ""};
    REQUIRE(rt_request_rows_init(&rows, schema_in_use(), unit, MOST_ROWS, body.length,
                                 &err) == RT_OK);
    if (rt_request_read(&rows, kind, body, &err) == RT_OK) {
        check_cells(&rows);
        check_answer(&rows);
        try_log(kind, body, rows.rows);
    }
    REQUIRE(rt_text_is_utf8((rt_text){err.message, (int64_t)strlen(err.message)}));
    rt_request_rows_clear(&rows);
}

static void try_json(rt_text body)
{
    rt_error err = {RT_OK, NULL, ""};
    rt_json_spans spans;
    if (memchr(body.bytes, '\0', (size_t)body.length) != NULL) {
        return; /* jansson ends there */
    }
    json_t *read = json_loadb(body.bytes, (size_t)body.length, JSON_DECODE_ANY, NULL);
    if (read != NULL && rt_json_check(body, &spans, &err) != RT_OK) {
        REQUIRE(strstr(err.message, "deep") != NULL);
    }
    json_decref(read);
}

/* Whatever is taken apart lies in the request, and its end is the body. */
static void try_head(rt_text request)
{
    rt_header headers[] = {{{"content-type", 12}, {NULL, 0}}, {{"x", 1}, {NULL, 0}}};
    rt_text body;
    const char *end = request.bytes + request.length;
    if (!rt_head_read(request, (rt_text){"/i", 2}, headers, 2, &body)) {
        return;
    }
    REQUIRE(body.bytes >= request.bytes + 4 && body.bytes + body.length == end);
    REQUIRE(memcmp(body.bytes - 4, "\r\n\r\n", 4) == 0);
    for (int i = 0; i < 2; i++) {
        const rt_text value = headers[i].value;
        REQUIRE(value.bytes == NULL || (value.bytes > request.bytes &&
                                        value.bytes + value.length < body.bytes));
        REQUIRE(value.bytes == NULL ||
                memchr(value.bytes, '\n', (size_t)value.length) == NULL);
    }
}

static void try_number(const char *text, int64_t length)
{
    rt_number number;
    char out[RT_NUMBER_TEXT_ROOM];
    if (!rt_number_read(text, length, &number)) {
        return;
    }
    const double theirs = strtod(text, NULL);
    REQUIRE(number.value == theirs && signbit(number.value) == signbit(theirs));
    const double value = number.value;
    REQUIRE(rt_number_read(out, rt_number_write(value, out), &number) || isinf(value));
    REQUIRE(isinf(value) || number.value == value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const int32_t choice = bytes > 0 ? data[0] % 5 : 0;
    const int64_t nul =
        choice == 3 ? 1 : 0; /* strtod needs it; a read past a body shows */
    void *block = NULL;
    if (bytes == 0 ||
        rt_alloc(&block, (int64_t)bytes - 1 + nul, 1, "fuzz", NULL) != RT_OK) {
        return 0;
    }
    char *text = block;
    const rt_text body = {text, (int64_t)bytes - 1};
    memcpy(text, data + 1, bytes - 1);
    switch (choice) {
    case 0:
        try_body(RT_BODY_JSON, body);
        break;
    case 1:
        try_body(RT_BODY_CSV, body);
        break;
    case 2:
        try_json(body);
        break;
    case 3:
        try_number(text, body.length);
        break;
    default:
        try_head(body);
        break;
    }
    rt_free(block);
    return 0;
}
