#include <string.h>

#include "net/endpoints.h"
#include "tests/net.h"

static void expect_check(const char *call, const char *arguments, rt_status expected)
{
    json_t *value = parse(arguments);
    const rt_endpoint *endpoint = rt_endpoint_find(call);
    rt_error err = {0};
    CHECK(endpoint != NULL);
    if (value != NULL && endpoint != NULL) {
        rt_status status = rt_endpoint_check(endpoint, value, &err);
        CHECK(status == expected);
        if (status != expected) {
            fprintf(stderr, "%s %s: %s\n", call, arguments, err.message);
        }
    }
    json_decref(value);
}

static void what_the_server_would_corrupt_is_refused(void)
{
    static const char *const bad_metrics[] = {
        "\"abc\"", "true", "null", "\"Infinity\"", "\"1.0\"", "{}",
    };
    static const char *const good_metrics[] = {"0", "-1.5e300", "\"NaN\""};
    char text[200];
    for (size_t i = 0; i < sizeof bad_metrics / sizeof bad_metrics[0]; i++) {
        (void)snprintf(text, sizeof text,
                       "{\"run_id\":\"r\",\"metrics\":[{\"key\":\"k\",\"value\":%s,"
                       "\"timestamp\":1,\"step\":0}]}",
                       bad_metrics[i]);
        expect_check("POST runs/log-batch", text, RT_INVALID);
    }
    for (size_t i = 0; i < sizeof good_metrics / sizeof good_metrics[0]; i++) {
        (void)snprintf(text, sizeof text,
                       "{\"run_id\":\"r\",\"metrics\":[{\"key\":\"k\",\"value\":%s,"
                       "\"timestamp\":1,\"step\":0}]}",
                       good_metrics[i]);
        expect_check("POST runs/log-batch", text, RT_OK);
    }
    expect_check("POST runs/update", "{\"run_id\":\"r\",\"status\":\"WHAT\"}",
                 RT_INVALID);
    expect_check("POST runs/update", "{\"run_id\":\"r\",\"status\":\"FAILED\"}", RT_OK);
    expect_check("POST runs/update", "{\"run_id\":\"r\",\"end_time\":-1}", RT_INVALID);
    expect_check("POST runs/update", "{\"run_id\":\"r\",\"typo\":1}", RT_INVALID);
    expect_check("POST runs/update", "{\"status\":\"FAILED\"}", RT_INVALID);
    expect_check("POST runs/log-batch",
                 "{\"run_id\":\"r\",\"tags\":[{\"key\":\"a\",\"value\":1}]}",
                 RT_INVALID);
}

static void versions_are_strings_of_digits(void)
{
    static const char *const bad[] = {
        "1", "\"\"", "\"x\"", "\"-1\"", "\"1 \"", "null", "\"1234567890123456789\""};
    char text[120];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(text, sizeof text, "{\"name\":\"m\",\"version\":%s}", bad[i]);
        expect_check("GET model-versions/get", text, RT_INVALID);
    }
    expect_check("GET model-versions/get", "{\"name\":\"m\",\"version\":\"17\"}",
                 RT_OK);
}

static void dangerous_names_are_refused(void)
{
    static const char *const bad[] = {"",     "a/b",     "a:b",      "a%b", "..",
                                      "a..b", "\\u0001", "a\\u007f", "\\n"};
    char text[120];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(text, sizeof text, "{\"name\":\"%s\"}", bad[i]);
        expect_check("GET registered-models/get", text, RT_INVALID);
    }
    expect_check("GET registered-models/get", "{\"name\":\"flights delay \xc3\xa9\"}",
                 RT_OK);
}

static void a_get_becomes_a_query_and_a_post_a_body(void)
{
    rt_dynbuf target;
    rt_dynbuf body;
    json_t *get = parse("{\"filter\":\"name='m'\",\"max_results\":5,"
                        "\"order_by\":[\"a\",\"b c\"]}");
    json_t *post = parse("{\"name\":\"m\",\"alias\":\"champion\",\"version\":\"1\"}");
    rt_dynbuf_init(&target, 1000);
    rt_dynbuf_init(&body, 1000);
    if (get == NULL || post == NULL) {
        goto done;
    }
    TRY(rt_endpoint_build(rt_endpoint_find("GET model-versions/search"), get, &target,
                          &body, NULL));
    CHECK(strcmp(rt_dynbuf_text(&target),
                 "/api/2.0/mlflow/model-versions/search?filter=name%3D%27m%27"
                 "&max_results=5&order_by=a&order_by=b%20c") == 0);
    CHECK(body.size_bytes == 0);
    rt_dynbuf_clear(&target);
    TRY(rt_endpoint_build(rt_endpoint_find("POST registered-models/alias"), post,
                          &target, &body, NULL));
    CHECK(strcmp(rt_dynbuf_text(&target), "/api/2.0/mlflow/registered-models/alias") ==
          0);
    CHECK(strcmp(rt_dynbuf_text(&body),
                 "{\"name\":\"m\",\"alias\":\"champion\",\"version\":\"1\"}") == 0);
done:
    json_decref(get);
    json_decref(post);
    rt_dynbuf_free(&target);
    rt_dynbuf_free(&body);
}

static void a_body_has_a_longest_length(void)
{
    rt_dynbuf target;
    rt_dynbuf body;
    json_t *post = parse("{\"name\":\"0123456789\"}");
    rt_dynbuf_init(&target, 1000);
    rt_dynbuf_init(&body, 8);
    if (post != NULL) {
        const rt_endpoint *create = rt_endpoint_find("POST registered-models/create");
        rt_status status = rt_endpoint_build(create, post, &target, &body, NULL);
        CHECK(status == RT_LIMIT || (rt_test_faulting && status == RT_NO_MEMORY));
    }
    json_decref(post);
    rt_dynbuf_free(&target);
    rt_dynbuf_free(&body);
}

static void only_what_is_in_the_table_is_spoken(void)
{
    CHECK(rt_endpoint_find("GET runs/create") == NULL);
    CHECK(rt_endpoint_find("POST") == NULL);
    CHECK(rt_endpoint_find("") == NULL);
    CHECK(rt_endpoint_find("POST runs/create ") == NULL);
    CHECK(!rt_endpoint_find("POST runs/create")->repeatable);
    CHECK(!rt_endpoint_find("POST model-versions/create")->repeatable);
    CHECK(!rt_endpoint_find("POST experiments/create")->repeatable);
    CHECK(!rt_endpoint_find("POST registered-models/create")->repeatable);
    CHECK(rt_endpoint_find("POST runs/log-batch")->repeatable);
}

static const rt_test tests[] = {
    {"what the server would corrupt is refused",
     what_the_server_would_corrupt_is_refused},
    {"versions are strings of digits", versions_are_strings_of_digits},
    {"dangerous names are refused", dangerous_names_are_refused},
    {"a GET becomes a query and a POST a body",
     a_get_becomes_a_query_and_a_post_a_body},
    {"a body has a longest length", a_body_has_a_longest_length},
    {"only what is in the table is spoken", only_what_is_in_the_table_is_spoken},
};

RT_TEST_MAIN(tests)
