/* Credentials: copies that are wiped, and texts from which they are struck out. */
#include "net/secret.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "net/url.h"

enum { SHORTEST_REDACTED = 4 };

rt_status rt_secret_copy(char **out, const char *text, const char *name, rt_error *err)
{
    void *block = NULL;

    *out = NULL;
    if (text == NULL) {
        return RT_OK;
    }
    size_t length = strlen(text);
    if (length > RT_MAX_HEADER_BYTES / 4) {
        return rt_fail(err, RT_INVALID, "rt_secret_copy",
                       "%s is longer than the allowed %d bytes", name,
                       RT_MAX_HEADER_BYTES / 4);
    }
    if (!rt_text_is_clean(text, (int64_t)length)) {
        return rt_fail(err, RT_INVALID, "rt_secret_copy",
                       "%s contains control characters; was a line end read with it?",
                       name);
    }
    rt_status status = rt_alloc(&block, (int64_t)length + 1, 1, "rt_secret_copy", err);
    if (status == RT_OK) {
        memcpy(block, text, length);
        *out = block;
    }
    return status;
}

static void encode_base64(char *out, const unsigned char *bytes, size_t count)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < count; i += 3) {
        size_t left = count - i;
        uint32_t group = (uint32_t)bytes[i] << 16;
        group |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)bytes[i + 2] : 0;
        *out++ = digits[group >> 18];
        *out++ = digits[(group >> 12) & 63];
        *out++ = left > 1 ? digits[(group >> 6) & 63] : '=';
        *out++ = left > 2 ? digits[group & 63] : '=';
    }
}

rt_status rt_secret_basic(char **out, const char *username, const char *password,
                          rt_error *err)
{
    size_t user = strlen(username);
    size_t count = user + 1 + strlen(password);
    void *joined = NULL;
    void *encoded = NULL;

    *out = NULL;
    if (strchr(username, ':') != NULL) {
        return rt_fail(err, RT_INVALID, "rt_secret_basic",
                       "a username cannot contain a colon (RFC 7617)");
    }
    rt_status status = rt_alloc(&joined, (int64_t)count + 1, 1, "rt_secret_basic", err);
    if (status == RT_OK) {
        int64_t room = ((int64_t)count + 2) / 3 * 4 + 1;
        status = rt_alloc(&encoded, room, 1, "rt_secret_basic", err);
    }
    if (status == RT_OK) {
        memcpy(joined, username, user);
        memcpy((char *)joined + user, ":", 1);
        memcpy((char *)joined + user + 1, password, count - user - 1);
        encode_base64(encoded, joined, count);
        *out = encoded;
    }
    rt_secret_free(joined);
    return status;
}

void rt_secret_free(char *secret)
{
    if (secret != NULL) {
        /* Through a volatile pointer, or the compiler drops the dead stores. */
        volatile char *byte = secret;
        while (*byte != '\0') {
            *byte++ = '\0';
        }
        rt_free(secret);
    }
}

void rt_secret_redact(char *text, const char *secret)
{
    assert(text != NULL);
    if (secret == NULL || strlen(secret) < SHORTEST_REDACTED) {
        return;
    }
    size_t length = strlen(secret);
    for (char *hit = strstr(text, secret); hit != NULL; hit = strstr(hit, secret)) {
        memset(hit, '*', length);
        hit += length;
    }
}
