#include "serving/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "serving/number.h"
#include "tests/test.h"

static rt_text text_of(const char *text)
{
    return (rt_text){text, (int64_t)strlen(text)};
}

static void numbers_are_read_to_the_nearest_double(void)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"0", 0.0},
        {"-0", -0.0},
        {"0.1", 0.1},
        {"1e400", INFINITY},
        {"-1e400", -INFINITY},
        {"1e-400", 0.0},
        {"5e-324", 5e-324},
        {"12345678901234567e-17", 0.12345678901234567},
        {"0.30000000000000004", 0.30000000000000004},
        {"9007199254740993", 9007199254740992.0},
        {"0.0000000000000000001", 1e-19},
        {"1234567890123456789012345678901234567890", 1.2345678901234568e39},
        {"9223372036854775808", 0x1p63},
        {"+.5", 0.5},
        {"007.", 7.0},
    };
    static const char *const none[] = {"",    "-",     ".",   "e5", "1e",
                                       "1e+", "1.2.3", "0x1", "1 "};
    rt_number number;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK(rt_number_read(cases[i].text, (int64_t)strlen(cases[i].text), &number));
        CHECK(number.value == cases[i].value &&
              signbit(number.value) == signbit(cases[i].value));
    }
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        CHECK(!rt_number_read(none[i], (int64_t)strlen(none[i]), &number));
    }
    CHECK(rt_number_read("-9223372036854775808", 20, &number) && number.is_integer &&
          number.integer == INT64_MIN);
    CHECK(rt_number_read("9223372036854775808", 19, &number) && !number.is_integer);
}

static void numbers_are_written_in_the_fewest_digits(void)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {0.5, "0.5"},
        {0.1, "0.1"},
        {0.9289218301710936, "0.9289218301710936"},
        {2.0 / 3.0, "0.6666666666666666"},
        {0.30000000000000004, "0.30000000000000004"},
        {0.0001, "0.0001"},
        {1e-05, "1e-05"},
        {-123.456, "-123.456"},
        {999999999999999.9, "999999999999999.9"},
        {1e15, "1000000000000000.0"},
        {1e16, "1e+16"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {5e-324, "5e-324"},
        {NAN, "NaN"},
        {-INFINITY, "-Infinity"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[RT_NUMBER_TEXT_ROOM];
        const int32_t length = rt_number_write(cases[i].value, text);
        CHECK((size_t)length == strlen(cases[i].text) &&
              memcmp(text, cases[i].text, (size_t)length) == 0);
    }
}

static void every_double_survives_its_text(void)
{
    for (int64_t i = 0; i < 20000; i++) {
        const uint64_t draw = rt_draw64(7, (uint64_t)i);
        double x = (double)(draw >> 11) * 0x1p-53;
        char text[RT_NUMBER_TEXT_ROOM];
        rt_number back;
        if (i % 2 == 0) {
            memcpy(&x, &draw, sizeof x);
        }
        if (isfinite(x)) {
            CHECK(rt_number_read(text, rt_number_write(x, text), &back) &&
                  back.value == x);
        }
    }
}

static void json_is_taken_by_its_grammar(void)
{
    static const char *const good[] = {
        " [ {} ] ",
        "\"\\u00e9\\n\\/\"",
        "-0.5e+7",
        "[NaN,Infinity,-Infinity]",
        "{\"a\":[true,false,null]}\n",
        "[[[[0, \"\xc3\xa9\"]]]]",
    };
    static const char *const bad[] = {
        "",           "{",       "[1,]",        "{\"a\"}",
        "{\"a\":1,}", "01",      "+1",          ".5",
        "1.",         "1e",      "-",           "tru",
        "'a'",        "\"\\x\"", "\"\\u12g4\"", "\"\\u\x10\x11\x12\x13\"",
        "\"a",        "\"\n\"",  "[1 2]",       "{}x",
        "/**/1",      "{1:2}",   "[1}",         "nan",
        "-NaN",
    };
    rt_json_spans spans;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CHECK(rt_json_check(text_of(good[i]), &spans, NULL) == RT_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(rt_json_check(text_of(bad[i]), &spans, NULL) == RT_INVALID);
    }
    CHECK(rt_json_check(text_of("\"\\u\20\21\22\23\""), &spans, NULL) == RT_INVALID);
}

/* With what the check noted and without it. */
static void a_known_end_is_where_a_walk_ends(void)
{
    static const char *const elements[] = {
        "[\"]}\", 12345678.5, {\"b\": [1e-7]}], ",
        "{\"c\": \"\\\"[\"}, ",
        "-0.12345678901234567, ",
    };
    rt_dynbuf json;
    rt_json_spans spans;
    rt_dynbuf_init(&json, 1 << 16);
    TRY(rt_dynbuf_add_text(&json, "{\"a\": [", NULL));
    for (int i = 0; i < 40; i++) {
        TRY(rt_dynbuf_add_text(&json, elements[i % 3], NULL));
    }
    TRY(rt_dynbuf_add_text(&json, "0], \"b\": {\"c\": [1, 2], \"d\": {}}, \"e\": [[]]}",
                           NULL));
    const rt_text text = {rt_dynbuf_text(&json), json.size_bytes};
    CHECK(rt_json_check(text, &spans, NULL) == RT_OK);
    CHECK(spans.n[0] == 1 && spans.n[1] == 0);
    rt_json known = rt_json_start(text, &spans);
    rt_json_spans none = {.end = spans.end};
    rt_json walked = rt_json_start(text, &none);
    for (bool more = rt_json_enter(&known) && rt_json_enter(&walked); more;
         more = rt_json_next(&known) && rt_json_next(&walked)) {
        (void)rt_json_name(&known);
        (void)rt_json_name(&walked);
        rt_json_skip(&known);
        rt_json_skip(&walked);
        CHECK(known.at == walked.at);
    }
    CHECK(known.at == spans.end);
done:
    rt_dynbuf_free(&json);
}

static void brackets_go_no_deeper_than_the_limit(void)
{
    char text[2001];
    rt_json_spans spans;
    rt_error err;
    memset(text, '[', 2000);
    text[2000] = '\0';
    CHECK(rt_json_check(text_of(text), &spans, &err) == RT_INVALID);
    CHECK(strstr(err.message, "32 deep") != NULL);
    memset(text + 32, ']', 32);
    text[64] = '\0';
    CHECK(rt_json_check(text_of(text), &spans, NULL) == RT_OK);
}

static const rt_test tests[] = {
    {"numbers_are_read_to_the_nearest_double", numbers_are_read_to_the_nearest_double},
    {"numbers_are_written_in_the_fewest_digits",
     numbers_are_written_in_the_fewest_digits},
    {"every_double_survives_its_text", every_double_survives_its_text},
    {"json_is_taken_by_its_grammar", json_is_taken_by_its_grammar},
    {"a_known_end_is_where_a_walk_ends", a_known_end_is_where_a_walk_ends},
    {"brackets_go_no_deeper_than_the_limit", brackets_go_no_deeper_than_the_limit},
};

RT_TEST_MAIN(tests)
