#include <string.h>

#include "base/dynbuf.h"
#include "net/url.h"
#include "tests/test.h"

static void a_buffer_never_passes_its_maximum(void)
{
    rt_dynbuf buffer;
    rt_dynbuf_init(&buffer, 1000);
    for (int i = 0; i < 100; i++) {
        TRY(rt_dynbuf_add(&buffer, "0123456789", 10, NULL));
    }
    CHECK(rt_dynbuf_add(&buffer, "x", 1, NULL) == RT_LIMIT);
    CHECK(buffer.size_bytes == 1000 && buffer.room_bytes == 1001);
    CHECK(strlen(rt_dynbuf_text(&buffer)) == 1000);
    rt_dynbuf_clear(&buffer);
    CHECK(strcmp(rt_dynbuf_text(&buffer), "") == 0);
done:
    rt_dynbuf_free(&buffer);
    CHECK(strcmp(rt_dynbuf_text(&buffer), "") == 0);
}

static void an_empty_buffer_takes_nothing_when_its_maximum_is_zero(void)
{
    rt_dynbuf buffer;
    rt_dynbuf_init(&buffer, 0);
    CHECK(rt_dynbuf_add(&buffer, "x", 1, NULL) == RT_LIMIT);
    TRY(rt_dynbuf_add(&buffer, "", 0, NULL));
done:
    rt_dynbuf_free(&buffer);
}

static void segments_and_queries_are_encoded_once(void)
{
    rt_dynbuf url;
    rt_dynbuf_init(&url, 1000);
    TRY(rt_url_add_path(&url, "1/a b/%2e.x", NULL));
    TRY(rt_url_add_query(&url, "name", "it's & \xc3\xa9", 9, NULL));
    TRY(rt_url_add_query(&url, "x", "a/b", 3, NULL));
    CHECK(strcmp(rt_dynbuf_text(&url),
                 "/1/a%20b/%252e.x?name=it%27s%20%26%20%C3%A9&x=a%2Fb") == 0);
done:
    rt_dynbuf_free(&url);
}

static void paths_that_climb_or_break_lines_are_refused(void)
{
    static const char *const bad[] = {"",      "/a",     "a/",    "a//b",
                                      ".",     "..",     "../a",  "a/..",
                                      "a/./b", "a\r\nb", "a\x7f", "a\tb"};
    rt_dynbuf url;
    rt_dynbuf_init(&url, 1000);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rt_status status = rt_url_add_path(&url, bad[i], NULL);
        CHECK(status == RT_INVALID || (rt_test_faulting && status == RT_NO_MEMORY));
    }
    rt_dynbuf_free(&url);
}

static void a_url_has_a_longest_length(void)
{
    rt_dynbuf url;
    rt_dynbuf_init(&url, 8);
    rt_status status = rt_url_add_path(&url, "123456789", NULL);
    CHECK(status == RT_LIMIT || (rt_test_faulting && status == RT_NO_MEMORY));
    rt_dynbuf_free(&url);
}

static void base_addresses_are_taken_or_refused(void)
{
    static const struct {
        const char *base;
        bool good, plain, loopback;
    } cases[] = {
        {"http://127.0.0.1:5000", true, true, true},
        {"https://mlflow.example.org/prefix/x", true, false, false},
        {"http://localhost", true, true, true},
        {"http://[::1]:5000/", true, true, true},
        {"https://[fe80::1]", true, false, false},
        {"http://127.0.0.1.example.org", true, true, false},
        {"http://127.1", true, true, false},
        {"http://1270.0.0.1", true, true, false},
        {"HTTP://host", false, true, false},
        {"ftp://host", false, true, false},
        {"http://", false, true, false},
        {"http://user@host", false, true, false},
        {"http://host?x", false, true, false},
        {"http://host#x", false, true, false},
        {"http://host:", false, true, false},
        {"http://host:123456", false, true, false},
        {"http://host:12x", false, true, false},
        {"http://[::1", false, true, false},
        {"http://[]", false, true, false},
        {"http://a b", false, true, false},
        {"http://host/%41", false, true, false},
        {"http://host\\@evil", false, true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool plain = false;
        bool loopback = false;
        rt_status status = rt_url_check_base(cases[i].base, &plain, &loopback, NULL);
        CHECK((status == RT_OK) == cases[i].good);
        CHECK(!cases[i].good ||
              (plain == cases[i].plain && loopback == cases[i].loopback));
    }
}

static const rt_test tests[] = {
    {"a buffer never passes its maximum", a_buffer_never_passes_its_maximum},
    {"a maximum of zero takes nothing",
     an_empty_buffer_takes_nothing_when_its_maximum_is_zero},
    {"segments and queries are encoded once", segments_and_queries_are_encoded_once},
    {"paths that climb or break lines are refused",
     paths_that_climb_or_break_lines_are_refused},
    {"a URL has a longest length", a_url_has_a_longest_length},
    {"base addresses are taken or refused", base_addresses_are_taken_or_refused},
};

RT_TEST_MAIN(tests)
