#include <string.h>

#include "net/answer.h"
#include "tests/net.h"

typedef struct expectation {
    int32_t http_status;
    const char *body;
    rt_status status;
    const char *code;
    bool transient, unsure;
    const char *says;
} expectation;

static void expect(const expectation *e)
{
    json_t *json = NULL;
    rt_failure failure;
    rt_error err = {0};
    json_set_alloc_funcs(door, rt_free);
    rt_status status = rt_answer_read(e->http_status, "text/html", e->body,
                                      (int64_t)strlen(e->body), &json, &failure, &err);
    /* Out of memory jansson mostly says "invalid token": any error will do then. */
    CHECK((json != NULL) == (status == RT_OK));
    if (!rt_test_faulting) {
        CHECK(status == e->status);
        CHECK(strcmp(failure.error_code, e->code) == 0);
        CHECK(failure.transient == e->transient && failure.unsure == e->unsure);
        CHECK(failure.http_status == e->http_status);
        CHECK(strstr(err.message, e->says) != NULL);
    }
    json_decref(json);
}

static void verdicts_come_from_the_error_code(void)
{
    static const expectation cases[] = {
        {200, "{}", RT_OK, "", false, false, ""},
        {200, "{\"run\": {\"x\": [1, 2.5, null, true]}}", RT_OK, "", false, false, ""},
        {404, "{\"error_code\":\"RESOURCE_DOES_NOT_EXIST\",\"message\":\"no m\"}",
         RT_REMOTE, "RESOURCE_DOES_NOT_EXIST", false, false, "no m"},
        {400,
         "{\"error_code\":\"BAD_REQUEST\",\"message\":\"QueuePool limit of size 5\"}",
         RT_REMOTE, "BAD_REQUEST", true, true, "QueuePool"},
        {400,
         "{\"error_code\":\"BAD_REQUEST\",\"message\":\"UNIQUE constraint failed\"}",
         RT_REMOTE, "BAD_REQUEST", true, true, "UNIQUE"},
        {400,
         "{\"error_code\":\"RESOURCE_ALREADY_EXISTS\",\"message\":"
         "\"UNIQUE constraint failed\"}",
         RT_REMOTE, "RESOURCE_ALREADY_EXISTS", false, false, "UNIQUE"},
        {400, "{\"error_code\":\"BAD_REQUEST\",\"message\":\"FOREIGN KEY\"}", RT_REMOTE,
         "BAD_REQUEST", false, false, "FOREIGN"},
        {429, "{\"error_code\":\"REQUEST_LIMIT_EXCEEDED\"}", RT_REMOTE,
         "REQUEST_LIMIT_EXCEEDED", true, false, "429"},
        {503, "", RT_REMOTE, "", true, true, "HTTP 503"},
        {500, "{\"error_code\":\"INTERNAL_ERROR\",\"message\":\"x\"}", RT_REMOTE,
         "INTERNAL_ERROR", false, true, "x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect(&cases[i]);
    }
}

static void what_is_no_json_is_tolerated_and_explained(void)
{
    static const expectation cases[] = {
        {401, "You are not authenticated.", RT_REMOTE, "", false, false, "USERNAME"},
        {403, "Invalid Host header - possible DNS rebinding", RT_REMOTE, "", false,
         false, "MLFLOW_SERVER_ALLOWED_HOSTS"},
        {403, "Permission denied", RT_REMOTE, "", false, false, "permission"},
        {404, "<!doctype html><h1>Not Found", RT_REMOTE, "", false, false, "prefix"},
        {302, "", RT_REMOTE, "", false, false, "redirects are not followed"},
        {200, "<html>sign in</html>", RT_NETWORK, "", false, true, "HTML"},
        {200, "[]", RT_NETWORK, "", false, true, "JSON object"},
        {200, "{\"a\":", RT_NETWORK, "", false, true, "JSON object"},
        {200, "{\"a\":1,\"a\":2}", RT_NETWORK, "", false, true, "JSON object"},
        {200, "{\"a\":\"\xff\xfe\"}", RT_NETWORK, "", false, true, "JSON object"},
        {400, "{\"error_code\":7,\"message\":[]}", RT_REMOTE, "", false, false, "400"},
        {400, "{\"error_code\":\"no word\",\"message\":\"m\"}", RT_REMOTE, "", false,
         false, "HTTP 400 m"},
        {400, "\x1b[31m\xc3\xa9\r\nX: y", RT_REMOTE, "", false, false, " [31m    X: y"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect(&cases[i]);
    }
}

static void a_long_message_is_cut_and_stays_printable(void)
{
    char body[4000];
    rt_failure failure;
    rt_error err = {0};
    memset(body, '\x07', sizeof body);
    CHECK(rt_answer_read(500, "", body, sizeof body - 1, NULL, &failure, &err) ==
              RT_REMOTE ||
          rt_test_faulting);
    CHECK(strlen(err.message) < 300);
    for (const char *c = err.message; *c != '\0'; c++) {
        CHECK(*c >= 0x20 && *c < 0x7f);
    }
}

static const rt_test tests[] = {
    {"verdicts come from the error code", verdicts_come_from_the_error_code},
    {"what is no JSON is tolerated and explained",
     what_is_no_json_is_tolerated_and_explained},
    {"a long message is cut and stays printable",
     a_long_message_is_cut_and_stays_printable},
};

RT_TEST_MAIN(tests)
