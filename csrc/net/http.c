#define _GNU_SOURCE
#include "net/http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "net/body.h"
#include "net/quick_ack.h"
#include "net/retry.h"

enum { POLL_SLICE_MS = 50, STALL_S = 60 };

/* One connection and its libcurl handles. A wire is used by one thread at a
 * time: whoever performs takes it out of `idle` and puts it back, so it changes
 * hands only between requests, which libcurl allows. */
typedef struct wire {
    CURL *easy;
    CURLM *multi;
    pid_t owner; /* the process that made it */
} wire;

struct rt_http {
    _Atomic(wire *) idle;
    rt_server *server;
};

/* What the callbacks of one request share. */
typedef struct transfer {
    CURL *easy;
    rt_http_reply *reply;
    const rt_http_request *request;
    rt_error *err;
    int64_t header_bytes;
    rt_status broken; /* set by a callback that aborts the transfer */
    rt_body body;
    char curl_text[CURL_ERROR_SIZE];
} transfer;

/* ------------------------------------------------------------- opening */

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_code = CURLE_OK;

static void global_init(void)
{
    global_code = curl_global_init(CURL_GLOBAL_DEFAULT);
}

rt_status rt_http_open(rt_http **out, const rt_server_options *options, rt_error *err)
{
    void *block = NULL;
    *out = NULL;
    pthread_once(&global_once, global_init);
    if (global_code != CURLE_OK) {
        return rt_fail(err, RT_SYSTEM, "rt_http_open", "libcurl did not start: %s",
                       curl_easy_strerror(global_code));
    }
    rt_status status = rt_alloc(&block, 1, sizeof(rt_http), "rt_http_open", err);
    rt_http *http = block;
    if (status == RT_OK) {
        status = rt_server_open(&http->server, options, err);
    }
    if (status == RT_OK) {
        *out = http;
    } else {
        rt_http_close(http);
    }
    return status;
}

const rt_server *rt_http_server(const rt_http *http)
{
    return http->server;
}

/* --------------------------------------------------------------- wires */

static void wire_destroy(wire *line)
{
    /* A wire made before a fork shares its socket with the parent: closing it properly
     * would say goodbye in the parent's name. It is left alone. */
    if (line == NULL || line->owner != getpid()) {
        return;
    }
    curl_easy_cleanup(line->easy);
    curl_multi_cleanup(line->multi);
    rt_free(line);
}

void rt_http_close(rt_http *http)
{
    if (http == NULL) {
        return;
    }
    wire_destroy(atomic_exchange(&http->idle, NULL));
    rt_server_close(http->server);
    rt_free(http);
}

static rt_status wire_create(wire **out, rt_error *err)
{
    void *block = NULL;
    rt_status status = rt_alloc(&block, 1, sizeof(wire), "rt_http_perform", err);
    if (status != RT_OK) {
        return status;
    }
    wire *line = block;
    line->owner = getpid();
    line->easy = curl_easy_init();
    line->multi = curl_multi_init();
    if (line->easy == NULL || line->multi == NULL) {
        wire_destroy(line);
        return rt_fail(err, RT_NO_MEMORY, "rt_http_perform", "no libcurl handle");
    }
    *out = line;
    return RT_OK;
}

/* An atomic exchange and not a mutex: a mutex could be held by another thread
 * at the moment of a fork, and the child would wait for it for ever. */
static rt_status wire_take(rt_http *http, wire **out, rt_error *err)
{
    wire *line = atomic_exchange(&http->idle, NULL);
    if (line != NULL && line->owner == getpid()) {
        *out = line;
        return RT_OK;
    }
    return wire_create(out, err);
}

static void wire_give_back(rt_http *http, wire *line)
{
    /* A reset keeps the connection and forgets the credentials and the body. */
    curl_easy_reset(line->easy);
    wire_destroy(atomic_exchange(&http->idle, line));
}

/* ----------------------------------------------------------- callbacks */

static size_t on_header(char *bytes, size_t item, size_t count, void *opaque)
{
    transfer *work = opaque;
    size_t size = item * count;
    (void)bytes;
    work->header_bytes += (int64_t)size;
    if (work->header_bytes > RT_MAX_HEADER_BYTES) {
        work->broken = rt_fail(work->err, RT_NETWORK, "rt_http_perform",
                               "the server sent more than %d bytes of headers",
                               RT_MAX_HEADER_BYTES);
        return 0;
    }
    return size;
}

static size_t on_body(char *bytes, size_t item, size_t count, void *opaque)
{
    transfer *work = opaque;
    size_t size = item * count;
    long answered = 0;
    curl_easy_getinfo(work->easy, CURLINFO_RESPONSE_CODE, &answered);
    rt_sink *sink = answered / 100 == 2 ? work->request->sink : NULL;
    rt_status status = sink != NULL ? rt_sink_add(sink, bytes, (int64_t)size, work->err)
                                    : rt_dynbuf_add(&work->reply->body, bytes,
                                                    (int64_t)size, work->err);
    if (status == RT_LIMIT) {
        int64_t most = sink != NULL ? sink->bytes_max : work->request->reply_bytes_max;
        status = rt_fail(work->err, RT_NETWORK, "rt_http_perform",
                         "the server sent more than the allowed %lld bytes",
                         (long long)most);
    }
    work->broken = status;
    return status == RT_OK ? size : 0;
}

static size_t on_upload(char *bytes, size_t item, size_t count, void *opaque)
{
    transfer *work = opaque;
    ssize_t got = rt_body_read(&work->body, bytes, item * count);
    if (got < 0) {
        work->broken = rt_fail(work->err, RT_SYSTEM, "rt_http_perform",
                               "reading %.200s failed", work->request->body_file);
        return CURL_READFUNC_ABORT;
    }
    return (size_t)got;
}

static int on_rewind(void *opaque, curl_off_t offset, int origin)
{
    transfer *work = opaque;
    bool start = origin == SEEK_SET && offset == 0 && rt_body_rewind(&work->body) == 0;
    return start ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

/* ------------------------------------------------------------- options */

/* Every option counts: a CA path that libcurl had no memory for would silently
 * mean the system's certificates. */
#define PASS(call)                                                                     \
    do {                                                                               \
        CURLcode passed = (call);                                                      \
        if (passed != CURLE_OK) {                                                      \
            return passed;                                                             \
        }                                                                              \
    } while (0)
#define SET(easy, option, value) PASS(curl_easy_setopt(easy, option, value))

static CURLcode set_safety(CURL *easy, const rt_server *server)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    SET(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
    SET(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(easy, CURLOPT_NOSIGNAL, 1L);
    SET(easy, CURLOPT_VERBOSE, 0L);
    SET(easy, CURLOPT_PATH_AS_IS, 1L);
    SET(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    SET(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    SET(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (server->ca_path != NULL) {
        /* A private CA replaces the system's, it does not join them. */
        SET(easy, CURLOPT_CAINFO, server->ca_is_folder ? NULL : server->ca_path);
        SET(easy, CURLOPT_CAPATH, server->ca_is_folder ? server->ca_path : NULL);
    }
    if (server->loopback) {
        /* A proxy cannot reach our loopback, and must not see what goes there. */
        SET(easy, CURLOPT_NOPROXY, "*");
    }
    return CURLE_OK;
}

static CURLcode set_credentials(CURL *easy, const rt_server *server)
{
    if (server->username != NULL) {
        SET(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(easy, CURLOPT_USERNAME, server->username);
        SET(easy, CURLOPT_PASSWORD, server->password != NULL ? server->password : "");
    } else if (server->token != NULL) {
        SET(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        SET(easy, CURLOPT_XOAUTH2_BEARER, server->token);
    }
    return CURLE_OK;
}

static CURLcode set_limits(CURL *easy, const rt_server *server, int64_t left_ms)
{
    int64_t connect_ms =
        server->connect_timeout_ms < left_ms ? server->connect_timeout_ms : left_ms;
    SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    SET(easy, CURLOPT_TIMEOUT_MS, (long)left_ms);
    SET(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(easy, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A name server that hangs must not hold us beyond the deadline. */
    SET(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
    return CURLE_OK;
}

static CURLcode set_callbacks(CURL *easy, transfer *work)
{
    SET(easy, CURLOPT_HEADERFUNCTION, on_header);
    SET(easy, CURLOPT_HEADERDATA, work);
    SET(easy, CURLOPT_WRITEFUNCTION, on_body);
    SET(easy, CURLOPT_WRITEDATA, work);
    SET(easy, CURLOPT_READFUNCTION, on_upload);
    SET(easy, CURLOPT_READDATA, work);
    SET(easy, CURLOPT_SEEKFUNCTION, on_rewind);
    SET(easy, CURLOPT_SEEKDATA, work);
    SET(easy, CURLOPT_ERRORBUFFER, work->curl_text);
    return CURLE_OK;
}

static CURLcode set_request(CURL *easy, const char *url, struct curl_slist *headers,
                            transfer *work)
{
    const rt_http_request *request = work->request;
    SET(easy, CURLOPT_URL, url);
    SET(easy, CURLOPT_USERAGENT, "retrain_ops");
    SET(easy, CURLOPT_HTTPHEADER, headers);
    /* On a kept connection that turns out dead libcurl repeats the request by
     * itself, even a POST. What must not happen twice gets a new connection. */
    SET(easy, CURLOPT_FRESH_CONNECT, request->fresh_connection ? 1L : 0L);
    if (request->body_file != NULL) {
        SET(easy, CURLOPT_UPLOAD, 1L);
        SET(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)work->body.size_bytes);
    } else if (request->content_type != NULL) {
        SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_bytes);
        SET(easy, CURLOPT_POSTFIELDS, request->body != NULL ? request->body : "");
    }
    SET(easy, CURLOPT_CUSTOMREQUEST, request->method);
    return CURLE_OK;
}

static CURLcode set_options(CURL *easy, const rt_server *server, int64_t left_ms,
                            const char *url, struct curl_slist *headers, transfer *work)
{
    PASS(set_safety(easy, server));
    PASS(set_credentials(easy, server));
    PASS(set_limits(easy, server, left_ms));
    PASS(set_callbacks(easy, work));
    return set_request(easy, url, headers, work);
}

/* ---------------------------------------------------------- performing */

static void acknowledge_quickly(CURL *easy)
{
    curl_socket_t live = CURL_SOCKET_BAD;
    if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &live) == CURLE_OK &&
        live != CURL_SOCKET_BAD) {
        rt_acknowledge_quickly(live);
    }
}

/* True once libcurl is done with the transfer, with its view of how it went. */
static bool finished(CURLM *multi, CURLcode *code)
{
    int waiting = 0;
    const CURLMsg *news = curl_multi_info_read(multi, &waiting);
    if (news == NULL || news->msg != CURLMSG_DONE) {
        return false;
    }
    *code = news->data.result;
    return true;
}

static rt_status drive(const wire *line, int64_t deadline_ms, rt_ctl *ctl,
                       CURLcode *code, rt_error *err)
{
    int running = 0;
    for (;;) {
        CURLMcode multi_code = curl_multi_perform(line->multi, &running);
        if (multi_code == CURLM_OK && finished(line->multi, code)) {
            return RT_OK;
        }
        int64_t left = deadline_ms - rt_now_ms();
        if (rt_ctl_cancelled(ctl)) {
            return rt_fail(err, RT_CANCELLED, "rt_http_perform", "cancelled");
        }
        if (left <= 0) {
            *code = CURLE_OPERATION_TIMEDOUT;
            return RT_OK;
        }
        acknowledge_quickly(line->easy);
        if (multi_code == CURLM_OK) {
            int slice = left < POLL_SLICE_MS ? (int)left : POLL_SLICE_MS;
            multi_code = curl_multi_poll(line->multi, NULL, 0, slice, NULL);
        }
        if (multi_code != CURLM_OK) {
            return rt_fail(err, RT_NETWORK, "rt_http_perform", "libcurl: %s",
                           curl_multi_strerror(multi_code));
        }
    }
}

/* Failures that trying again would only repeat. */
static bool is_permanent(CURLcode code)
{
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
           code == CURLE_SSL_CONNECT_ERROR || code == CURLE_UNSUPPORTED_PROTOCOL ||
           code == CURLE_URL_MALFORMAT || code == CURLE_WRITE_ERROR ||
           code == CURLE_ABORTED_BY_CALLBACK;
}

static rt_status explain(CURLcode code, transfer *work)
{
    work->reply->permanent = is_permanent(code) || work->broken != RT_OK;
    if (work->broken != RT_OK) {
        return work->broken;
    }
    /* Of an answer's header line beyond its bound libcurl says the same. */
    if (code == CURLE_OUT_OF_MEMORY && !work->reply->sent) {
        return rt_fail(work->err, RT_NO_MEMORY, "rt_http_perform", "libcurl: %s",
                       curl_easy_strerror(code));
    }
    const char *hint = "";
    if (code == CURLE_PEER_FAILED_VERIFICATION) {
        hint = " (a private CA is named by ca_path)";
    } else if (code == CURLE_SSL_CONNECT_ERROR) {
        hint = " (does this port speak https?)";
    }
    rt_status status = code == CURLE_OPERATION_TIMEDOUT ? RT_TIMEOUT : RT_NETWORK;
    return rt_fail(work->err, status, "rt_http_perform", "%s: %.200s%s",
                   curl_easy_strerror(code), work->curl_text, hint);
}

static void read_answer(CURL *easy, CURLcode code, rt_http_reply *reply)
{
    long http_status = 0;
    long request_bytes = 0;
    char *type = NULL;
    curl_off_t wait_s = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &http_status);
    curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    reply->sent = request_bytes > 0 || code == CURLE_OK;
    reply->http_status = (int32_t)http_status;
    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &wait_s); /* seconds or a date */
    if (wait_s > 0) {
        int64_t cap_s = RT_MAX_RETRY_DELAY_MS / 1000;
        reply->retry_after_ms = 1000 * (wait_s < cap_s ? wait_s : cap_s);
    }
    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    if (type != NULL) {
        (void)snprintf(reply->content_type, sizeof reply->content_type, "%s", type);
    }
}

static rt_status transfer_on(wire *line, const rt_server *server, const char *url,
                             struct curl_slist *headers, transfer *work,
                             int64_t deadline_ms, rt_ctl *ctl)
{
    CURL *easy = line->easy;
    int64_t left_ms = deadline_ms - rt_now_ms();
    if (left_ms <= 0) {
        return rt_fail(work->err, RT_TIMEOUT, "rt_http_perform", "no time is left");
    }
    CURLcode code = set_options(easy, server, left_ms, url, headers, work);
    if (code != CURLE_OK) {
        return explain(code, work);
    }
    if (curl_multi_add_handle(line->multi, easy) != CURLM_OK) {
        return rt_fail(work->err, RT_NO_MEMORY, "rt_http_perform", "no libcurl handle");
    }
    rt_status status = drive(line, deadline_ms, ctl, &code, work->err);
    read_answer(easy, code, work->reply);
    curl_multi_remove_handle(line->multi, easy);
    return status != RT_OK || code == CURLE_OK ? status : explain(code, work);
}

/* "Expect:" is switched off: waiting for 100-continue costs a second where a
 * server does not know it. */
static rt_status make_headers(const rt_http_request *request, struct curl_slist **out,
                              rt_error *err)
{
    const char *lines[] = {"Expect:", "Accept: application/json",
                           request->content_type};
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0] && lines[i] != NULL; i++) {
        struct curl_slist *longer = curl_slist_append(list, lines[i]);
        if (longer == NULL) {
            curl_slist_free_all(list);
            return rt_fail(err, RT_NO_MEMORY, "rt_http_perform", "no header list");
        }
        list = longer;
    }
    *out = list;
    return RT_OK;
}

rt_status rt_http_perform(rt_http *http, const rt_http_request *request,
                          int64_t deadline_ms, rt_ctl *ctl, rt_http_reply *reply,
                          rt_error *err)
{
    rt_error unused;
    transfer work = {.reply = reply,
                     .request = request,
                     .err = err != NULL ? err : &unused,
                     .body = {.file = -1}};
    struct curl_slist *headers = NULL;
    wire *line = NULL;
    rt_dynbuf url;

    *reply = (rt_http_reply){.retry_after_ms = -1};
    rt_dynbuf_init(&reply->body, request->reply_bytes_max);
    rt_dynbuf_init(&url, RT_MAX_URL_BYTES);
    rt_status status = rt_dynbuf_add_text(&url, http->server->base_url, work.err);
    if (status == RT_OK) {
        status = rt_dynbuf_add_text(&url, request->target, work.err);
    }
    if (status == RT_OK) {
        status = rt_body_open(&work.body, request->body_file, work.err);
    }
    if (status == RT_OK) {
        status = make_headers(request, &headers, work.err);
    }
    if (status == RT_OK) {
        status = wire_take(http, &line, work.err);
    }
    if (status == RT_OK) {
        work.easy = line->easy;
        status = transfer_on(line, http->server, rt_dynbuf_text(&url), headers, &work,
                             deadline_ms, ctl);
        rt_sha256_end(&work.body.hash, reply->sent_sha256);
        wire_give_back(http, line);
    }
    curl_slist_free_all(headers);
    rt_body_close(&work.body);
    rt_dynbuf_free(&url);
    return status;
}
