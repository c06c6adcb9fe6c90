/* libFuzzer entry: any bytes as the body of a scoring request, or as one number. The
 * first byte chooses; what is accepted must keep its promises:
 *   a cell is a number, and of a category one of its levels or NaN;
 *   the answer is JSON with a prediction for each row;
 *   a number is strtod's;
 *   JSON that jansson takes is taken, unless it is nested too deep;
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
    }
    REQUIRE(rt_text_is_utf8((rt_text){err.message, (int64_t)strlen(err.message)}));
    rt_request_rows_clear(&rows);
}

static void try_json(rt_text body)
{
    rt_error err = {RT_OK, NULL, ""};
    if (memchr(body.bytes, '\0', (size_t)body.length) != NULL) {
        return; /* jansson ends there */
    }
    json_t *read = json_loadb(body.bytes, (size_t)body.length, JSON_DECODE_ANY, NULL);
    if (read != NULL && rt_json_check(body, &err) != RT_OK) {
        REQUIRE(strstr(err.message, "deep") != NULL);
    }
    json_decref(read);
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
    const int32_t choice = bytes > 0 ? data[0] % 4 : 0;
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
    default:
        try_number(text, body.length);
        break;
    }
    rt_free(block);
    return 0;
}
