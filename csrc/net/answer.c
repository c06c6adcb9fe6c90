/* What an answer means: MLflow's error code decides, the status line where there is
 * none, and what may be shown of either. */
#define _POSIX_C_SOURCE 200809L
#include "net/answer.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"

enum { EXCERPT_BYTES = 200 };

/* Faults of the moment that the server files under 400 BAD_REQUEST: its pool of
 * connections ran dry, or two writers of one row met. */
static const char *const transient_texts[] = {
    "QueuePool limit",
    "UNIQUE constraint failed",
    "duplicate key value violates unique constraint",
    "database is locked",
};

static const struct {
    int32_t http_status;
    const char *contains; /* in the body; "" fits all */
    const char *hint;
} hints[] = {
    {401, "",
     " (check MLFLOW_TRACKING_USERNAME and _PASSWORD, or MLFLOW_TRACKING_TOKEN)"},
    {403, "Host header",
     " (let the server know this address: MLFLOW_SERVER_ALLOWED_HOSTS)"},
    {403, "", " (this user lacks the permission)"},
    {404, "<", " (is this the address of an MLflow server? look at port and prefix)"},
    {407, "", " (the proxy wants credentials)"},
};

static const char *find_hint(int32_t http_status, const char *body)
{
    if (http_status >= 300 && http_status < 400) {
        return " (redirects are not followed: use the final address)";
    }
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        if (hints[i].http_status == http_status &&
            strstr(body, hints[i].contains) != NULL) {
            return hints[i].hint;
        }
    }
    return "";
}

/* The first bytes of what the server said, one line, printable ASCII only: this
 * text ends in logs and terminals. */
static void excerpt(const char *text, char out[EXCERPT_BYTES + 1])
{
    size_t length = strnlen(text, EXCERPT_BYTES);
    for (size_t i = 0; i < length; i++) {
        out[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : ' ';
    }
    out[length] = '\0';
}

static bool says_transient(const char *text)
{
    for (size_t i = 0; i < sizeof transient_texts / sizeof transient_texts[0]; i++) {
        if (strstr(text, transient_texts[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static void judge(rt_failure *failure, const char *text)
{
    int32_t status = failure->http_status;
    bool busy = (status == 400 || status == 409 || status == 500) &&
                (strcmp(failure->error_code, "BAD_REQUEST") == 0 ||
                 strcmp(failure->error_code, "INTERNAL_ERROR") == 0) &&
                says_transient(text);
    failure->transient =
        busy || status == 408 || status == 429 || (status >= 502 && status <= 504);
    /* 429 is a refusal at the door; everything else may have got further. */
    failure->unsure = busy || status == 408 || status >= 500;
}

/* A code is a word of ours to compare with; anything else the server put there is
 * not repeated. */
static void read_code(const json_t *parsed, char *out, size_t room)
{
    const char *code = json_string_value(json_object_get(parsed, "error_code"));
    size_t length = code != NULL ? strlen(code) : 0;
    bool word =
        length > 0 && strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == length;
    if (word && length < room) {
        memcpy(out, code, length + 1);
    }
}

static rt_status read_error(const char *body, const json_t *parsed, rt_failure *failure,
                            rt_error *err)
{
    char said[EXCERPT_BYTES + 1];
    const char *text = json_string_value(json_object_get(parsed, "message"));

    text = text != NULL ? text : body;
    read_code(parsed, failure->error_code, sizeof failure->error_code);
    judge(failure, text);
    excerpt(text, said);
    return rt_fail(err, RT_REMOTE, "rt_answer_read", "HTTP %d %s%s%s%s",
                   (int)failure->http_status, failure->error_code,
                   failure->error_code[0] != '\0' ? ": " : "", said,
                   find_hint(failure->http_status, body));
}

/* What came instead, in our words: a header is the server's to fill. */
static const char *name_type(const char *content_type)
{
    return strstr(content_type, "json") != NULL   ? "broken JSON"
           : strstr(content_type, "html") != NULL ? "HTML"
           : strstr(content_type, "text") != NULL ? "text"
                                                  : "something else";
}

static rt_status refuse_garbage(const char *content_type, rt_failure *failure,
                                rt_error *err)
{
    failure->unsure = true;
    return rt_fail(err, RT_NETWORK, "rt_answer_read",
                   "HTTP %d with %s where a JSON object must be (is a proxy or a "
                   "login page in between?)",
                   (int)failure->http_status, name_type(content_type));
}

/* jansson names what is wrong with a text; where it names nothing, the text was
 * fine and the memory was not. */
static bool out_of_memory(const json_error_t *problem)
{
    return problem->text[0] == '\0' ||
           json_error_code(problem) == json_error_out_of_memory;
}

rt_status rt_answer_read(int32_t http_status, const char *content_type,
                         const char *body, int64_t body_bytes, json_t **json,
                         rt_failure *failure, rt_error *err)
{
    assert(body_bytes >= 0 && body_bytes <= RT_MAX_DOWNLOAD_BYTES);
    bool good = http_status >= 200 && http_status < 300;
    json_t *parsed = NULL;
    json_error_t problem;

    *failure = (rt_failure){.http_status = http_status};
    if (json != NULL) {
        *json = NULL;
    }
    if (good && json == NULL) {
        return RT_OK;
    }
    if (body_bytes <= RT_MAX_JSON_BYTES) {
        parsed = json_loadb(body, (size_t)body_bytes,
                            JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &problem);
        if (parsed == NULL && out_of_memory(&problem)) {
            failure->unsure = true;
            return rt_fail(err, RT_NO_MEMORY, "rt_answer_read",
                           "out of memory for an answer of %lld bytes",
                           (long long)body_bytes);
        }
    }
    if (good && json_is_object(parsed)) {
        *json = parsed;
        return RT_OK;
    }
    rt_status status = good ? refuse_garbage(content_type, failure, err)
                            : read_error(body, parsed, failure, err);
    json_decref(parsed);
    return status;
}
