/* libFuzzer entry: any bytes as an address, a path, an answer or the arguments of
 * a call. The first byte chooses; what is accepted must keep its promises:
 *   a URL holds no byte that needs encoding, and no part of it climbs;
 *   an error is printable ASCII of bounded length;
 *   what the checker lets through can be built, and builds JSON or a query.
 *
 * RT_FUZZ_PLANTED builds in a bug that the fuzzer must find (make -C csrc fuzz-net).
 */
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "net/answer.h"
#include "net/endpoints.h"
#include "net/secret.h"
#include "net/server.h"
#include "net/url.h"

static const char *const calls[] = {
    "POST runs/log-batch",         "POST runs/search",
    "GET registered-models/alias", "POST runs/update",
    "GET model-versions/search",   "POST experiments/create",
    "POST model-versions/create",
};

#define REQUIRE(condition)                                                             \
    do {                                                                               \
        if (!(condition)) {                                                            \
            __builtin_trap();                                                          \
        }                                                                              \
    } while (0)

static void require_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        REQUIRE(*text >= 0x20 && *text < 0x7f);
    }
}

static void try_path(const char *text)
{
    rt_dynbuf url;
    rt_dynbuf_init(&url, RT_MAX_URL_BYTES);
#ifdef RT_FUZZ_PLANTED
    char small[8];
    if (strncmp(text, "a/b", 3) == 0) {
        memcpy(small, text, strlen(text)); /* the bug */
        REQUIRE(small[0] == 'a');
    }
#endif
    if (rt_url_add_path(&url, text, NULL) == RT_OK) {
        const char *out = rt_dynbuf_text(&url);
        REQUIRE(out[0] == '/' && strstr(out, "/../") == NULL &&
                strstr(out, "//") == NULL);
        require_printable(out);
        REQUIRE(strpbrk(out, " ?#\\\"<>") == NULL);
    }
    rt_dynbuf_free(&url);
}

static void try_query(const char *text, size_t bytes)
{
    rt_dynbuf url;
    rt_dynbuf_init(&url, RT_MAX_URL_BYTES);
    if (rt_url_add_query(&url, "key", text, (int64_t)bytes, NULL) == RT_OK) {
        REQUIRE(strpbrk(rt_dynbuf_text(&url) + 5, " &=?#") == NULL);
        require_printable(rt_dynbuf_text(&url));
    }
    rt_dynbuf_free(&url);
}

static void try_server(const char *text)
{
    rt_server *server = NULL;
    rt_server_options options = {
        .base_url = text, .token = text, .connect_timeout_ms = 1};
    if (rt_server_open(&server, &options, NULL) == RT_OK) {
        void *block = NULL;
        rt_status room = rt_alloc(&block, (int64_t)strlen(text) + 1, 1, "fuzz", NULL);
        char *echo = block;
        REQUIRE(strpbrk(server->base_url, "@?# \r\n") == NULL);
        if (room == RT_OK) {
            memcpy(echo, text, strlen(text) + 1);
            rt_server_redact(server, echo);
            REQUIRE(strlen(text) < 4 || strstr(echo, text) == NULL);
            rt_free(echo);
        }
    }
    rt_server_close(server);
}

static void try_answer(const char *text, size_t bytes)
{
    static const int32_t answered[] = {200, 204, 301, 400, 401,
                                       403, 404, 429, 500, 503};
    for (size_t i = 0; i < sizeof answered / sizeof answered[0]; i++) {
        json_t *json = NULL;
        rt_failure failure;
        rt_error err = {RT_OK, NULL, ""};
        rt_status status = rt_answer_read(answered[i], text, text, (int64_t)bytes,
                                          &json, &failure, &err);
        REQUIRE((status == RT_OK) == json_is_object(json));
        require_printable(err.message);
        require_printable(failure.error_code);
        json_decref(json);
    }
}

static void try_call(const rt_endpoint *endpoint, const char *text, size_t bytes)
{
    rt_dynbuf target;
    rt_dynbuf body;
    json_t *arguments = json_loadb(text, bytes, JSON_ALLOW_NUL, NULL);
    rt_dynbuf_init(&target, RT_MAX_URL_BYTES);
    rt_dynbuf_init(&body, RT_MAX_JSON_BYTES);
    if (json_is_object(arguments) &&
        rt_endpoint_check(endpoint, arguments, NULL) == RT_OK &&
        rt_endpoint_build(endpoint, arguments, &target, &body, NULL) == RT_OK) {
        require_printable(rt_dynbuf_text(&target));
        REQUIRE(strncmp(rt_dynbuf_text(&target), "/api/2.0/", 9) == 0);
    }
    rt_dynbuf_free(&target);
    rt_dynbuf_free(&body);
    json_decref(arguments);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    enum { CALLS = sizeof calls / sizeof calls[0] };
    if (bytes == 0) {
        return 0;
    }
    void *block = NULL; /* the first byte chooses, a NUL ends */
    if (rt_alloc(&block, (int64_t)bytes, 1, "fuzz", NULL) != RT_OK) {
        return 0;
    }
    char *text = block;
    memcpy(text, data + 1, bytes - 1);
    text[bytes - 1] = '\0';
    switch (data[0] % 5) {
    case 0:
        try_path(text);
        break;
    case 1:
        try_query(text, bytes - 1);
        break;
    case 2:
        try_server(text);
        break;
    case 3:
        try_answer(text, bytes - 1);
        break;
    default:
        try_call(rt_endpoint_find(calls[data[0] / 5 % CALLS]), text, bytes - 1);
        break;
    }
    rt_free(text);
    return 0;
}
