#include <math.h>
#include <string.h>

#include "model/predict.h"
#include "serving/request.h"
#include "tests/gbdt_data.h"
#include "tests/test.h"

enum { MOST_ROWS = 5 };

static rt_text text_of(const char *text)
{
    return (rt_text){text, (int64_t)strlen(text)};
}

/* Columns number, gaps, level (a to l), constant, extreme. */
typedef struct desk {
    rt_model model;
    rt_schema schema;
    rt_request_rows rows;
    const rt_unit *unit;
    int64_t most_rows;
    rt_error err;
} desk;

static rt_status desk_open(desk *d)
{
    *d = (desk){.most_rows = MOST_ROWS};
    rt_status status = test_name_features(&d->model, &d->err);
    return status == RT_OK ? rt_schema_init(&d->schema, &d->model, &d->err) : status;
}

static rt_status desk_read(desk *d, rt_body_kind kind, const char *body)
{
    rt_request_rows_clear(&d->rows);
    rt_status status = rt_request_rows_init(&d->rows, &d->schema, d->unit, d->most_rows,
                                            (int64_t)strlen(body), &d->err);
    return status == RT_OK ? rt_request_read(&d->rows, kind, text_of(body), &d->err)
                           : status;
}

static void desk_close(desk *d)
{
    rt_request_rows_clear(&d->rows);
    rt_schema_clear(&d->schema);
    rt_model_clear(&d->model);
}

/* Refused, in words that hold `words`. */
static bool refused(desk *d, rt_body_kind kind, const char *body, const char *words)
{
    rt_status status = desk_read(d, kind, body);
    if (status == RT_NO_MEMORY && rt_test_faulting) {
        return true;
    }
    const bool said = strstr(d->err.message, words) != NULL;
    if (status == RT_OK || !said) {
        fprintf(stderr, "%s: %s\n", body, status == RT_OK ? "taken" : d->err.message);
    }
    return (status == RT_INVALID || status == RT_LIMIT) && said;
}

/* Two rows, in every shape and with whatever may be ignored. */
static const struct {
    rt_body_kind kind;
    const char *body;
} two_rows[] = {
    {RT_BODY_JSON,
     "{\"dataframe_split\": {\"index\": [7, 8], \"columns\": [\"number\", \"gaps\", "
     "\"level\", \"constant\", \"extreme\"], \"data\": [[1, null, \"b\", 7, 1e3], "
     "[2.5, NaN, \"?\", true, -Infinity]]}}"},
    {RT_BODY_JSON,
     "{\"x\": {\"y\": [1]}, \"dataframe_split\": {\"data\": [[0, 1e3, 7, \"b\", null, "
     "1], [0, -Infinity, 1, null, null, \"2.5\"]], \"columns\": [\"more\", "
     "\"extreme\", \"constant\", \"level\", \"gaps\", \"\\u006eumber\"]}}"},
    {RT_BODY_JSON,
     "{\"dataframe_records\": [{\"number\": 9, \"number\": 1, \"gaps\": null, "
     "\"level\": \"b\", \"constant\": 7, \"extreme\": 1000.0, \"more\": \"x\"}, "
     "{\"extreme\": -1e999, \"constant\": 1, \"level\": null, \"gaps\": null, "
     "\"number\": 25e-1}]}"},
    {RT_BODY_JSON,
     "\xef\xbb\xbf{\"instances\": [{\"number\":1,\"gaps\":null,\"level\":\"b\","
     "\"constant\":7,\"extreme\":1000},{\"number\":2.5,\"gaps\":null,\"level\":"
     "\"\\ud83d\\ude86\",\"constant\":1,\"extreme\":-Infinity}]}"},
    {RT_BODY_JSON,
     "{\"inputs\": {\"number\": [1, 2.5], \"more\": 3, \"gaps\": [null, null], "
     "\"level\": [\"b\", \"\"], \"constant\": [7, 1], \"extreme\": [1000, "
     "-Infinity]}, \"params\": {\"a\": 1}}"},
    {RT_BODY_CSV,
     "number,gaps,level,constant,extreme\n1,,b,7,1e3\n2.5,NA,,True,-inf\n"},
    {RT_BODY_CSV,
     "\r\n\"number\",more,gaps,\"level\",constant,extreme\r\n\r\n1,\"a\"\"b,\r\n\","
     "nan,\"b\",7.0,1000\r\n2.5,,,z,1,-Infinity"},
};

static void every_shape_gives_the_same_rows(void)
{
    static const double expected[2][TEST_FEATURES] = {{1.0, NAN, 1.0, 7.0, 1000.0},
                                                      {2.5, NAN, NAN, 1.0, -INFINITY}};
    desk d;
    TRY(desk_open(&d));
    for (size_t i = 0; i < sizeof two_rows / sizeof two_rows[0]; i++) {
        TRY(desk_read(&d, two_rows[i].kind, two_rows[i].body));
        CHECK(d.rows.rows == 2);
        for (int64_t k = 0; k < 2 * TEST_FEATURES; k++) {
            const double wanted = expected[k / TEST_FEATURES][k % TEST_FEATURES];
            CHECK(isnan(wanted) ? isnan(d.rows.x[k]) : d.rows.x[k] == wanted);
        }
    }
done:
    desk_close(&d);
}

#define ONE_ROW(level)                                                                 \
    "{\"dataframe_split\": {\"columns\": [\"number\", \"gaps\", \"level\", "           \
    "\"constant\", \"extreme\"], \"data\": [[1, 2, " level ", 4, 5]]}}"

static void what_a_model_would_score_wrongly_names_its_column(void)
{
    static const struct {
        rt_body_kind kind;
        const char *body, *words;
    } cases[] = {
        {RT_BODY_JSON, ONE_ROW("3, 4"),
         "row 1 does not have one cell for each of the 5"},
        {RT_BODY_JSON, ONE_ROW("3], [1"), "row 1 does not have one cell"},
        {RT_BODY_JSON, ONE_ROW("[3]"), "'level' of row 1 holds a list"},
        {RT_BODY_JSON, ONE_ROW("1.5"), "'level' of row 1 is a category"},
        {RT_BODY_JSON, ONE_ROW("9223372036854775808"), "beyond 64 bits"},
        {RT_BODY_JSON, ONE_ROW("Infinity"), "'level' of row 1 is a category"},
        {RT_BODY_JSON, ONE_ROW("\"\\ud800\""), "half a pair"},
        {RT_BODY_JSON,
         "{\"dataframe_records\": "
         "[{\"number\":1,\"gaps\":2,\"level\":\"a\",\"constant\":"
         "4,\"extreme\":5}, "
         "{\"number\":1,\"level\":\"a\",\"constant\":4,\"extreme\":5}]}",
         "column 'gaps' of row 2 is missing"},
        {RT_BODY_JSON, "{\"instances\": [{\"number\": \"secret\"}]}",
         "'number' of row 1 holds text"},
        {RT_BODY_JSON, "{\"instances\": [[1, 2, \"a\", 4, 5]]}", "name their columns"},
        {RT_BODY_JSON, "{\"inputs\": {\"number\": [1, 2], \"gaps\": [1]}}",
         "'gaps' is not as long"},
        {RT_BODY_JSON, "{\"inputs\": {\"number\": [1, 2]}}",
         "column 'gaps' is missing"},
        {RT_BODY_JSON,
         "{\"dataframe_split\": {\"columns\": [\"gaps\", \"gaps\"], "
         "\"data\": []}}",
         "'gaps' is named twice"},
        {RT_BODY_CSV, "number,gaps,level,constant,extreme\n1,2,a,4,5,6\n",
         "line 2 of the CSV does not have one cell for each of the 5"},
        {RT_BODY_CSV, "number,gaps,level,constant,extreme\n1,2,a,4,5\n1,2,a\n",
         "line 3 of the CSV does not have one cell"},
        {RT_BODY_CSV, "number,gaps,level,constant,extreme\n1,abc,a,4,5\n",
         "column 'gaps' of row 1 holds text"},
        {RT_BODY_CSV, "number,gaps,level,constant\n1,2,a,4\n", "'extreme' is missing"},
        {RT_BODY_CSV, "number,\"gaps", "never closes"},
        {RT_BODY_CSV, "number,\"gaps\"x", "behind a closing quote"},
    };
    desk d;
    TRY(desk_open(&d));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK(refused(&d, cases[i].kind, cases[i].body, cases[i].words));
        CHECK(strstr(d.err.message, "secret") == NULL);
    }
done:
    desk_close(&d);
}

static void bodies_of_no_shape_are_refused(void)
{
    static const struct {
        const char *body, *words;
    } cases[] = {
        {"", "empty"},
        {"\xef\xbb\xbf", "empty"},
        {"\xff", "not UTF-8"},
        {"12345678\xff", "not UTF-8"},
        {"{oops", "not JSON: byte 2"},
        {"3", "exactly one of"},
        {"[1]", "exactly one of"},
        {"{\"rows\": []}", "exactly one of"},
        {"{\"instances\": [], \"inputs\": {}}", "exactly one of"},
        {"{\"instances\": []}", "no rows"},
        {"{\"dataframe_records\": {}}", "must be a list of objects"},
        {"{\"dataframe_split\": []}", "must be an object with columns and data"},
        {"{\"dataframe_split\": {\"columns\": []}}", "must be an object with columns"},
        {"{\"dataframe_split\": {\"columns\": 1, \"data\": []}}", "list of texts"},
        {"{\"dataframe_split\": {\"columns\": [1], \"data\": []}}", "list of texts"},
        {"{\"inputs\": [1]}", "an object of columns"},
        {"{\"inputs\": {}}", "column 'number' is missing"},
    };
    desk d;
    TRY(desk_open(&d));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK(refused(&d, RT_BODY_JSON, cases[i].body, cases[i].words));
    }
done:
    desk_close(&d);
}

static void memory_stays_in_proportion_to_the_body(void)
{
    desk d;
    TRY(desk_open(&d));
    CHECK(refused(&d, RT_BODY_JSON,
                  "{\"inputs\": {\"number\": [1,1,1,1,1,1], \"gaps\": [1,1,1,1,1,1]}}",
                  "at most 5 rows"));
    d.most_rows = 1000;
    CHECK(refused(&d, RT_BODY_JSON,
                  "{\"inputs\":{\"gaps\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}}",
                  "do not have a cell of each of the model's 5 columns"));
    CHECK(d.rows.room == 0);
    d.most_rows = MOST_ROWS;
    CHECK(refused(
        &d, RT_BODY_CSV,
        "number,gaps,level,constant,extreme\n,,,,\n,,,,\n,,,,\n,,,,\n,,,,\n,,,,",
        "at most 5 rows"));
done:
    desk_close(&d);
}

static double level_of(desk *d, rt_body_kind kind, const char *body)
{
    rt_status status = desk_read(d, kind, body);
    CHECK(status == RT_OK || (status == RT_NO_MEMORY && rt_test_faulting));
    return status == RT_OK ? d->rows.x[2] : -1.0;
}

/* Levels that are numbers and truth values: "1", "20", "a" and "true". */
static rt_status name_levels(rt_model *model, rt_error *err)
{
    static const char names[] = "numbergapslevel120atrueconstantextreme";
    static const uint8_t lengths[] = {6, 4, 5, 1, 2, 1, 4, 8, 7};
    const int64_t texts = sizeof lengths;
    rt_status status =
        rt_model_init(model, TEST_FEATURES, texts, sizeof names - 1, err);
    if (status != RT_OK) {
        return status;
    }
    memcpy(model->text, names, sizeof names - 1);
    for (int64_t i = 0; i < texts; i++) {
        model->text_start[i + 1] = model->text_start[i] + lengths[i];
    }
    model->features[2].kind = RT_CATEGORICAL;
    model->features[2].n_categories = 4;
    return rt_model_link(model, err);
}

static void categories_are_numbers_and_truths_too(void)
{
#define CSV_ROW(level) "number,gaps,level,constant,extreme\n1,2," level ",4,5"
    static const struct {
        rt_body_kind kind;
        const char *body;
        double level;
    } cases[] = {
        {RT_BODY_JSON, ONE_ROW("1"), 0.0},      {RT_BODY_JSON, ONE_ROW("20.0"), 1.0},
        {RT_BODY_JSON, ONE_ROW("2e1"), 1.0},    {RT_BODY_JSON, ONE_ROW("\"20\""), 1.0},
        {RT_BODY_JSON, ONE_ROW("true"), 3.0},   {RT_BODY_JSON, ONE_ROW("false"), NAN},
        {RT_BODY_JSON, ONE_ROW("3"), NAN},      {RT_BODY_JSON, ONE_ROW("null"), NAN},
        {RT_BODY_JSON, ONE_ROW("\"01\""), NAN}, {RT_BODY_CSV, CSV_ROW("1.0"), 0.0},
        {RT_BODY_CSV, CSV_ROW("\"20\""), 1.0},  {RT_BODY_CSV, CSV_ROW("True"), 3.0},
        {RT_BODY_CSV, CSV_ROW("a"), 2.0},       {RT_BODY_CSV, CSV_ROW("1.5"), NAN},
    };
    desk d = {.most_rows = MOST_ROWS};
    TRY(name_levels(&d.model, &d.err));
    TRY(rt_schema_init(&d.schema, &d.model, &d.err));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const double found = level_of(&d, cases[i].kind, cases[i].body);
        CHECK(found == cases[i].level || (isnan(found) && isnan(cases[i].level)) ||
              rt_test_faulting);
    }
done:
    desk_close(&d);
}

/* Units are hashed by their text, whichever way the row is written. */
static void a_unit_is_hashed_by_its_text(void)
{
#define UNIT_ROW(unit)                                                                 \
    "{\"inputs\": {\"who\": " unit ", \"number\": 1, \"gaps\": 2, \"level\": \"a\", "  \
    "\"constant\": 4, \"extreme\": 5}}"
    static const struct {
        rt_body_kind kind;
        const char *body, *unit;
    } cases[] = {
        {RT_BODY_JSON, UNIT_ROW("\"u\\u00e9\""), "u\xc3\xa9"},
        {RT_BODY_JSON, UNIT_ROW("17"), "17"},
        {RT_BODY_JSON, UNIT_ROW("[\"17\"]"), "17"},
        {RT_BODY_CSV, "number,gaps,level,constant,who,extreme\n1,2,a,4,17,5\n", "17"},
    };
    const rt_unit who = {.name = {"who", 3}, .key = {1, 2, 3}};
    const rt_unit level = {.name = {"level", 5}, .key = {1, 2, 3}};
    desk d;
    TRY(desk_open(&d));
    d.unit = &who;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *unit = cases[i].unit;
        TRY(desk_read(&d, cases[i].kind, cases[i].body));
        CHECK(d.rows.hash[0] == rt_siphash(who.key, unit, strlen(unit)));
    }
    CHECK(refused(&d, RT_BODY_JSON, UNIT_ROW("null"), "'who' of row 1 names the unit"));
    CHECK(refused(&d, RT_BODY_JSON, UNIT_ROW("1.5"), "text or a whole number"));
    CHECK(refused(&d, RT_BODY_JSON, UNIT_ROW("\"\""), "is empty"));
    CHECK(
        refused(&d, RT_BODY_JSON, UNIT_ROW("[1,2]"), "column 'number' is not as long"));
    CHECK(refused(&d, RT_BODY_JSON, ONE_ROW("\"a\""), "column 'who' is missing"));
    d.unit = &level; /* a feature may be the unit too */
    TRY(desk_read(&d, RT_BODY_JSON, ONE_ROW("\"b\"")));
    CHECK(d.rows.hash[0] == rt_siphash(level.key, "b", 1) && d.rows.x[2] == 1.0);
done:
    desk_close(&d);
}

static void an_answer_says_what_the_model_predicts(void)
{
    static const double scores[] = {0.25, NAN, 1.0, 0.75};
    test_table t = {0};
    test_fit fit = {.threads = 1};
    rt_schema schema = {0};
    rt_dynbuf answer;
    double direct = 0.0;
    rt_number said;
    rt_dynbuf_init(&answer, 1 << 20);
    TRY(rt_answer_write(&answer, scores, 2, 1, NULL));
    CHECK(strcmp(rt_dynbuf_text(&answer), "{\"predictions\": [0.25, NaN]}") == 0);
    rt_dynbuf_clear(&answer);
    TRY(rt_answer_write(&answer, scores, 2, 2, NULL));
    CHECK(strcmp(rt_dynbuf_text(&answer),
                 "{\"predictions\": [[0.25, NaN], [1.0, 0.75]]}") == 0);
    TRY(test_table_init(&t, 300));
    test_fit_init(&fit, &t, 1);
    fit.params.value[RT_P_N_ESTIMATORS] = 3;
    TRY(test_train(&fit, NULL));
    TRY(rt_schema_init(&schema, &fit.model, NULL));
    rt_dynbuf_clear(&answer);
    const rt_arms arms = {.champion = &schema};
    rt_request request = {
        .kind = RT_BODY_JSON, .body = text_of(ONE_ROW("\"c\"")), .most_rows = 1};
    TRY(rt_request_answer(&arms, &request, &answer, NULL));
    const double x[] = {1, 2, 2, 4, 5};
    const rt_matrix row = {(const char *)x, 1, TEST_FEATURES, 0, sizeof(double), true};
    TRY(rt_model_predict(&fit.model, &row, 1, NULL, &direct, NULL));
    const char *number = rt_dynbuf_text(&answer) + strlen("{\"predictions\": [");
    CHECK(rt_number_read(number, (int64_t)strlen(number) - 2, &said));
    CHECK(request.rows == 1 && said.value == direct);
done:
    rt_dynbuf_free(&answer);
    rt_schema_clear(&schema);
    rt_model_clear(&fit.model);
    test_table_clear(&t);
}

static const rt_test tests[] = {
    {"every_shape_gives_the_same_rows", every_shape_gives_the_same_rows},
    {"what_a_model_would_score_wrongly_names_its_column",
     what_a_model_would_score_wrongly_names_its_column},
    {"bodies_of_no_shape_are_refused", bodies_of_no_shape_are_refused},
    {"memory_stays_in_proportion_to_the_body", memory_stays_in_proportion_to_the_body},
    {"categories_are_numbers_and_truths_too", categories_are_numbers_and_truths_too},
    {"a_unit_is_hashed_by_its_text", a_unit_is_hashed_by_its_text},
    {"an_answer_says_what_the_model_predicts", an_answer_says_what_the_model_predicts},
};

RT_TEST_MAIN(tests)
