#include <string.h>

#include "net/retry.h"
#include "net/secret.h"
#include "net/server.h"
#include "tests/test.h"

static void credentials_are_copied_and_starred(void)
{
    rt_server *server = NULL;
    rt_server_options options = {.base_url = "https://host:1/p//",
                                 .username = "Aladdin",
                                 .password = "open sesame",
                                 .token = "tok-123"};
    char text[] = "QWxhZGRpbjpvcGVuIHNlc2FtZQ== tok-123 open sesame tok-12";
    TRY(rt_server_open(&server, &options, NULL));
    CHECK(strcmp(server->base_url, "https://host:1/p") == 0);
    CHECK(strcmp(server->basic, "QWxhZGRpbjpvcGVuIHNlc2FtZQ==") == 0); /* RFC 7617 */
    rt_server_redact(server, text);
    CHECK(strcmp(text, "**************************** ******* *********** tok-12") == 0);
done:
    rt_server_close(server);
}

static void expect_refusal(const rt_server_options *options, const char *word)
{
    rt_server *server = NULL;
    rt_error err = {0};
    rt_status status = rt_server_open(&server, options, &err);
    CHECK(server == NULL);
    CHECK(status == RT_INVALID || (rt_test_faulting && status == RT_NO_MEMORY));
    CHECK(status != RT_INVALID || strstr(err.message, word) != NULL);
}

static void what_cannot_be_sent_safely_is_refused(void)
{
    const rt_server_options cases[] = {
        {.base_url = "http://host", .token = "abc"},
        {.base_url = "http://host", .username = "u", .password = "p"},
        {.base_url = "https://host", .username = "u:v", .password = "p"},
        {.base_url = "https://host", .token = "a\nb"},
        {.base_url = "https://host", .ca_path = "/no/such/file"},
        {.base_url = "file:///etc"},
    };
    static const char *const words[] = {"plain http", "plain http",     "colon",
                                        "control",    "cannot be read", "only http"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_refusal(&cases[i], words[i]);
    }
}

static void plain_http_carries_credentials_only_when_told(void)
{
    rt_server *server = NULL;
    rt_server_options told = {
        .base_url = "http://host", .token = "abc", .allow_plaintext = true};
    rt_server_options here = {.base_url = "http://127.0.0.1:5000", .token = "abc"};
    TRY(rt_server_open(&server, &told, NULL));
    rt_server_close(server);
    TRY(rt_server_open(&server, &here, NULL));
done:
    rt_server_close(server);
}

static void short_secrets_do_not_star_everything(void)
{
    char text[] = "a banana";
    rt_secret_redact(text, "a");
    rt_secret_redact(text, NULL);
    CHECK(strcmp(text, "a banana") == 0);
}

static void pauses_grow_up_to_a_cap(void)
{
    for (uint64_t seed = 0; seed < 1000; seed++) {
        int64_t first = rt_retry_delay_ms(0, -1, seed);
        CHECK(first >= 125 && first < 250);
        CHECK(rt_retry_delay_ms(3, -1, seed) >= 1000);
        CHECK(rt_retry_delay_ms(1000, -1, seed) <= 20000);
        CHECK(rt_retry_delay_ms(0, 5000, seed) == 5000);
        CHECK(rt_retry_delay_ms(0, 86400000, seed) == 20000);
    }
    CHECK(rt_retry_delay_ms(0, -1, 1) != rt_retry_delay_ms(0, -1, 2));
}

static void a_pause_can_be_called_off(void)
{
    rt_ctl ctl = {0};
    int64_t start = rt_now_ms();
    CHECK(rt_sleep_until(start + 60, &ctl, NULL) == RT_OK);
    CHECK(rt_now_ms() - start >= 60);
    atomic_store(&ctl.cancelled, true);
    CHECK(rt_sleep_until(start + 60000, &ctl, NULL) == RT_CANCELLED);
    CHECK(rt_now_ms() - start < 1000);
}

static const rt_test tests[] = {
    {"credentials are copied and starred", credentials_are_copied_and_starred},
    {"what cannot be sent safely is refused", what_cannot_be_sent_safely_is_refused},
    {"plain http carries credentials only when told",
     plain_http_carries_credentials_only_when_told},
    {"short secrets do not star everything", short_secrets_do_not_star_everything},
    {"pauses grow up to a cap", pauses_grow_up_to_a_cap},
    {"a pause can be called off", a_pause_can_be_called_off},
};

RT_TEST_MAIN(tests)
