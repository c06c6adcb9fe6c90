#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/mlflow.h"
#include "net/retry.h"
#include "tests/net.h"

/* A server of one answer: accepts until closed, reads what comes first, replies. */
typedef struct server {
    int listener;
    const char *answer;
    char base_url[64];
    pthread_t thread;
} server;

static void *serve(void *opaque)
{
    server *self = opaque;
    char request[4096];
    for (;;) {
        int peer = accept(self->listener, NULL, NULL);
        if (peer < 0) {
            return NULL;
        }
        if (read(peer, request, sizeof request) > 0 &&
            send(peer, self->answer, strlen(self->answer), MSG_NOSIGNAL) < 0) {
            perror("send");
        }
        close(peer);
    }
}

static void server_start(server *self, const char *answer)
{
    struct sockaddr_in where = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof where;
    self->answer = answer;
    self->listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(self->listener, (struct sockaddr *)&where, size) == 0);
    CHECK(listen(self->listener, 8) == 0);
    CHECK(getsockname(self->listener, (struct sockaddr *)&where, &size) == 0);
    (void)snprintf(self->base_url, sizeof self->base_url, "http://127.0.0.1:%d",
                   (int)ntohs(where.sin_port));
    CHECK(pthread_create(&self->thread, NULL, serve, self) == 0);
}

static void server_stop(server *self)
{
    shutdown(self->listener, SHUT_RDWR);
    pthread_join(self->thread, NULL);
    close(self->listener);
}

static rt_status ask(const char *answer, int64_t patience_ms, json_t **out,
                     rt_mlflow_failure *failure, rt_error *err)
{
    server peer;
    rt_http *http = NULL;
    rt_ctl ctl = {0};
    json_t *arguments = parse("{\"name\":\"m\"}");
    server_start(&peer, answer);
    rt_server_options options = {.base_url = peer.base_url, .connect_timeout_ms = 1000};
    rt_mlflow_patience patience = {rt_now_ms() + patience_ms, &ctl};
    rt_status status =
        arguments != NULL ? rt_http_open(&http, &options, err) : RT_NO_MEMORY;
    if (status == RT_OK) {
        const rt_endpoint *get = rt_endpoint_find("GET registered-models/get");
        status = rt_mlflow_call(http, get, arguments, &patience, out, failure, err);
    }
    rt_http_close(http);
    json_decref(arguments);
    server_stop(&peer);
    return status;
}

static void a_good_answer_is_parsed(void)
{
    json_t *answer = NULL;
    rt_mlflow_failure failure = {0};
    rt_status status = ask("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                           "Content-Length: 8\r\nConnection: close\r\n\r\n{\"a\": 1}",
                           1000, &answer, &failure, NULL);
    CHECK(status == RT_OK || rt_test_faulting);
    CHECK((status == RT_OK) == (json_integer_value(json_object_get(answer, "a")) == 1));
    json_decref(answer);
}

static void an_error_tells_its_story(void)
{
    json_t *answer = NULL;
    rt_mlflow_failure failure = {0};
    rt_error err = {0};
    rt_status status = ask(
        "HTTP/1.1 404 X\r\nContent-Type: application/json\r\nConnection: close\r\n"
        "Content-Length: 42\r\n\r\n{\"error_code\":\"NOPE\",\"message\":\"not here\"}",
        1000, &answer, &failure, &err);
    CHECK(status == RT_REMOTE || rt_test_faulting);
    if (!rt_test_faulting) {
        CHECK(failure.http_status == 404 && strcmp(failure.error_code, "NOPE") == 0);
        CHECK(strcmp(err.message,
                     "GET registered-models/get: HTTP 404 NOPE: not here") == 0);
    }
    CHECK(answer == NULL);
}

static void a_closed_connection_is_tried_again_until_the_deadline(void)
{
    json_t *answer = NULL;
    rt_mlflow_failure failure = {0};
    int64_t start = rt_now_ms();
    if (rt_test_faulting) {
        return; /* the pauses would make this test slow, and nothing new would fail */
    }
    CHECK(ask("", 1200, &answer, &failure, NULL) == RT_NETWORK);
    CHECK(failure.attempts >= 2 && !failure.ambiguous);
    CHECK(rt_now_ms() - start < 2200);
}

static void nothing_is_sent_when_no_time_is_left(void)
{
    json_t *answer = NULL;
    rt_mlflow_failure failure = {0};
    rt_status status = ask("", 0, &answer, &failure, NULL);
    CHECK(status == RT_TIMEOUT || rt_test_faulting);
}

static const rt_test tests[] = {
    {"a good answer is parsed", a_good_answer_is_parsed},
    {"an error tells its story", an_error_tells_its_story},
    {"a closed connection is tried again until the deadline",
     a_closed_connection_is_tried_again_until_the_deadline},
    {"nothing is sent when no time is left", nothing_is_sent_when_no_time_is_left},
};

RT_TEST_MAIN(tests)
