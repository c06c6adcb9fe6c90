#include "serving/head.h"

#include <stdio.h>
#include <string.h>

#include "tests/test.h"

#define LINE "POST /invocations HTTP/1.1\r\n"

static rt_text text_of(const char *text)
{
    return (rt_text){text, (int64_t)strlen(text)};
}

static bool is(rt_text text, const char *wanted)
{
    return strlen(wanted) == (size_t)text.length &&
           memcmp(text.bytes, wanted, (size_t)text.length) == 0;
}

static void a_whole_request_is_taken_apart(void)
{
    static const char *const requests[] = {
        LINE
        "content-type: a/b\r\nx-unit:7\r\nx-unit: 8\r\ncontent-length: 2\r\n\r\n{}",
        LINE "Host: x\r\nContent-Length: 002\r\nCONNECTION: Keep-Alive\r\n"
             "Content-Type:\ta/b\r\nX-Unit: 7\r\n\r\n{}",
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        rt_header headers[] = {{text_of("content-type"), {NULL, 0}},
                               {text_of("x-unit"), {NULL, 0}},
                               {text_of("x-request-id"), {NULL, 0}}};
        rt_text body;
        CHECK(rt_head_read(text_of(requests[i]), text_of("/invocations"), headers, 3,
                           &body));
        CHECK(is(body, "{}") && is(headers[0].value, "a/b") &&
              is(headers[1].value, "7"));
        CHECK(headers[2].value.bytes == NULL);
    }
}

static void what_is_unusual_is_left_to_the_parser(void)
{
    static const char *const requests[] = {
        "",
        "POST /invocations HTTP/1.1\r\n",
        LINE "content-length: 2\r\n\r\n{",
        LINE "content-length: 2\r\n\r\n{}x",
        LINE "content-length: 2\r\n\r\n{}" LINE,
        LINE "\r\n",
        LINE "content-length: +2\r\n\r\n{}",
        LINE "content-length: 2 \r\n\r\n{}",
        LINE "content-length: 2, 2\r\n\r\n{}",
        LINE "content-length: 0x2\r\n\r\n{}",
        LINE "content-length:\r\n\r\n{}",
        LINE "content-length: 2\r\ncontent-length: 2\r\n\r\n{}",
        LINE "content-length: 9999999999\r\n\r\n{}",
        LINE "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        LINE "content-length: 2\r\nTransfer-Encoding: identity\r\n\r\n{}",
        LINE "content-length: 2\r\nconnection: close\r\n\r\n{}",
        LINE "content-length: 2\r\nconnection: keep-alive, upgrade\r\n\r\n{}",
        LINE "content-length: 2\r\nexpect: 100-continue\r\n\r\n{}",
        LINE "content-length: 2\r\nupgrade: h2c\r\n\r\n{}",
        LINE "content-length : 2\r\n\r\n{}",
        LINE "content-length: 2\r\n folded\r\n\r\n{}",
        LINE " content-length: 2\r\n\r\n{}",
        LINE "content-length: 2\nx: y\r\n\r\n{}",
        LINE "content-length: 2\r\nx: \x01\r\n\r\n{}",
        LINE "content-length: 2\r\nx: \xc3\xa9\r\n\r\n{}",
        LINE "content-length: 2\r\nx y: z\r\n\r\n{}",
        LINE "content-length: 2\r\n: z\r\n\r\n{}",
        LINE "content-length: 2\r\nx\r\n\r\n{}",
        LINE "content-length: 2\r\n\n{}",
        "POST /invocations HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}",
        "POST  /invocations HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}",
        "POST /invocations/ HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}",
        "POST /invocations?x HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}",
        "PUT /invocations HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}",
        "\r\n" LINE "content-length: 2\r\n\r\n{}",
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        rt_text body;
        const bool taken =
            rt_head_read(text_of(requests[i]), text_of("/invocations"), NULL, 0, &body);
        if (taken) {
            fprintf(stderr, "%s\n", requests[i]);
        }
        CHECK(!taken);
    }
}

static const rt_test tests[] = {
    {"a_whole_request_is_taken_apart", a_whole_request_is_taken_apart},
    {"what_is_unusual_is_left_to_the_parser", what_is_unusual_is_left_to_the_parser},
};

RT_TEST_MAIN(tests)
