/* URLs: percent-encoding (RFC 3986), paths that cannot climb, bounded length. */
#include "net/url.h"

#include <assert.h>
#include <string.h>

bool rt_text_is_clean(const char *text, int64_t size_bytes)
{
    for (int64_t i = 0; i < size_bytes; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte < 0x20 || byte == 0x7f) {
            return false;
        }
    }
    return true;
}

bool rt_host_is_loopback(const char *host)
{
    int dots = 0;
    if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0) {
        return true;
    }
    for (const char *c = host; *c != '\0'; c++) {
        dots += *c == '.';
        if (*c != '.' && (*c < '0' || *c > '9')) {
            return false;
        }
    }
    return dots == 3 && strncmp(host, "127.", 4) == 0;
}

/* RFC 3986, section 2.3: these never need encoding. Spelled out because the
 * functions of ctype.h depend on the locale. */
static bool is_unreserved(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' ||
           byte == '~';
}

static rt_status refuse_base(rt_error *err, const char *why)
{
    return rt_fail(err, RT_INVALID, "rt_url_check_base",
                   "the server address must look like https://host[:port][/prefix]: %s",
                   why);
}

/* The end of "host" or "[v6]" at `text`, or NULL. */
static const char *skip_host(const char *text)
{
    const char *end = text;
    if (*text == '[') {
        end = text + 1 + strspn(text + 1, "0123456789abcdefABCDEF:.");
        return *end == ']' && end > text + 1 ? end + 1 : NULL;
    }
    while (is_unreserved((unsigned char)*end)) {
        end++;
    }
    return end > text ? end : NULL;
}

static bool is_prefix(const char *text)
{
    for (; *text != '\0'; text++) {
        if (!is_unreserved((unsigned char)*text) && *text != '/') {
            return false;
        }
    }
    return true;
}

rt_status rt_url_check_base(const char *base, bool *plain, bool *loopback,
                            rt_error *err)
{
    char host[256] = "";
    *plain = strncmp(base, "http://", 7) == 0;
    if (!*plain && strncmp(base, "https://", 8) != 0) {
        return refuse_base(err, "only http and https are spoken");
    }
    if (strpbrk(base, "@?#") != NULL) {
        return refuse_base(err, "it must not have credentials (give username and "
                                "password), a query or a fragment");
    }
    const char *start = base + (*plain ? 7 : 8);
    const char *end = skip_host(start);
    if (end == NULL || (size_t)(end - start) >= sizeof host) {
        return refuse_base(err, "its host cannot be read");
    }
    memcpy(host, start, (size_t)(end - start));
    *loopback = rt_host_is_loopback(host);
    if (*end == ':') {
        size_t digits = strspn(end + 1, "0123456789");
        end += 1 + digits;
        if (digits == 0 || digits > 5) {
            return refuse_base(err, "its port cannot be read");
        }
    }
    if ((*end != '\0' && *end != '/') || !is_prefix(end)) {
        return refuse_base(err, "its path cannot be read");
    }
    return RT_OK;
}

static rt_status add_encoded(rt_dynbuf *url, const char *text, int64_t size_bytes,
                             rt_error *err)
{
    static const char digits[] = "0123456789ABCDEF";
    rt_status status = RT_OK;

    if (!rt_text_is_clean(text, size_bytes)) {
        return rt_fail(err, RT_INVALID, "rt_url",
                       "control characters cannot be part of a URL");
    }
    for (int64_t i = 0; i < size_bytes && status == RT_OK; i++) {
        unsigned char byte = (unsigned char)text[i];
        char encoded[3] = {'%', digits[byte >> 4], digits[byte & 15]};
        status = is_unreserved(byte) ? rt_dynbuf_add(url, &text[i], 1, err)
                                     : rt_dynbuf_add(url, encoded, 3, err);
    }
    return status;
}

rt_status rt_url_add_segment(rt_dynbuf *url, const char *segment, int64_t size_bytes,
                             rt_error *err)
{
    assert(url != NULL && size_bytes >= 0);
    bool dots = (size_bytes == 1 && segment[0] == '.') ||
                (size_bytes == 2 && segment[0] == '.' && segment[1] == '.');
    if (size_bytes == 0 || dots) {
        return rt_fail(err, RT_INVALID, "rt_url_add_segment",
                       "a path must not contain empty parts, '.' or '..'");
    }
    rt_status status = rt_dynbuf_add(url, "/", 1, err);
    return status != RT_OK ? status : add_encoded(url, segment, size_bytes, err);
}

rt_status rt_url_add_path(rt_dynbuf *url, const char *path, rt_error *err)
{
    rt_status status = RT_OK;
    const char *start = path;
    const char *end = NULL;
    do {
        end = strchr(start, '/');
        int64_t size_bytes = end != NULL ? end - start : (int64_t)strlen(start);
        status = rt_url_add_segment(url, start, size_bytes, err);
        start = end != NULL ? end + 1 : NULL;
    } while (status == RT_OK && start != NULL);
    return status;
}

rt_status rt_url_add_query(rt_dynbuf *url, const char *key, const char *value,
                           int64_t value_bytes, rt_error *err)
{
    const char *joint = strchr(rt_dynbuf_text(url), '?') == NULL ? "?" : "&";
    rt_status status = rt_dynbuf_add_text(url, joint, err);
    if (status == RT_OK) {
        status = add_encoded(url, key, (int64_t)strlen(key), err);
    }
    if (status == RT_OK) {
        status = rt_dynbuf_add_text(url, "=", err);
    }
    return status != RT_OK ? status : add_encoded(url, value, value_bytes, err);
}
