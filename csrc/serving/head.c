/* Line by line, each name against two short lists: those that are looked for, and those
 * that send the whole request the other way. Unit: one request. */
#include "serving/head.h"

#include <string.h>

/* A body of more digits than this is for the other parser to refuse. */
enum { LENGTH_DIGITS = 9 };

typedef struct line {
    rt_text name, value;
} line;

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* A name without regard to case; `wanted` is in lower case. */
static bool is_named(rt_text name, rt_text wanted)
{
    if (name.length != wanted.length) {
        return false;
    }
    for (int64_t i = 0; i < name.length; i++) {
        if (lower(name.bytes[i]) != wanted.bytes[i]) {
            return false;
        }
    }
    return true;
}

static rt_text text_of(const char *text)
{
    return (rt_text){text, (int64_t)strlen(text)};
}

/* tchar of RFC 9110, of which names are made; the letters and digits and these. */
static bool is_name(char c)
{
    const char small = lower(c);
    return (small >= 'a' && small <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* The next line without its CRLF; *at is behind it. False where anything but printable
 * ASCII and tabs comes first. */
static bool take_line(const char **at, const char *end, rt_text *out)
{
    const char *first = *at;
    const char *c = first;
    while (c < end && ((*c >= ' ' && *c <= '~') || *c == '\t')) {
        c++;
    }
    if (end - c < 2 || c[0] != '\r' || c[1] != '\n') {
        return false;
    }
    *out = (rt_text){first, c - first};
    *at = c + 2;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* name ":" blanks value; a line that goes on the one before begins with a blank, which
 * no name does. Parsers differ in whether blanks behind a value are part of it. */
static bool split_line(rt_text text, line *out)
{
    const char *end = text.bytes + text.length;
    const char *colon = text.bytes;
    while (colon < end && is_name(*colon)) {
        colon++;
    }
    if (colon == text.bytes || colon == end || *colon != ':') {
        return false;
    }
    out->name = (rt_text){text.bytes, colon - text.bytes};
    const char *first = colon + 1;
    while (first < end && is_blank(*first)) {
        first++;
    }
    out->value = (rt_text){first, end - first};
    return first == end || !is_blank(end[-1]);
}

static bool read_length(rt_text digits, int64_t *out)
{
    int64_t length = 0;
    if (digits.length < 1 || digits.length > LENGTH_DIGITS) {
        return false;
    }
    for (int64_t i = 0; i < digits.length; i++) {
        if (digits.bytes[i] < '0' || digits.bytes[i] > '9') {
            return false;
        }
        length = 10 * length + (digits.bytes[i] - '0');
    }
    *out = length;
    return true;
}

/* Headers by which a message is read otherwise, or the connection ends. */
static bool is_unusual(const line *header)
{
    static const char *const names[] = {"transfer-encoding", "upgrade", "expect", "te",
                                        "trailer"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (is_named(header->name, text_of(names[i]))) {
            return true;
        }
    }
    return is_named(header->name, text_of("connection")) &&
           !is_named(header->value, text_of("keep-alive"));
}

/* *length is -1 before the first of its kind. */
static bool take_header(const line *header, rt_header *headers, int32_t n_headers,
                        int64_t *length)
{
    if (is_unusual(header)) {
        return false;
    }
    if (is_named(header->name, text_of("content-length"))) {
        return *length < 0 && read_length(header->value, length);
    }
    for (int32_t i = 0; i < n_headers; i++) {
        if (headers[i].value.bytes == NULL && is_named(header->name, headers[i].name)) {
            headers[i].value = header->value;
        }
    }
    return true;
}

static bool is_request_line(rt_text text, rt_text path)
{
    static const char method[] = "POST ";
    static const char version[] = " HTTP/1.1";
    const int64_t before = (int64_t)sizeof method - 1;
    return text.length == before + path.length + (int64_t)sizeof version - 1 &&
           memcmp(text.bytes, method, (size_t)before) == 0 &&
           memcmp(text.bytes + before, path.bytes, (size_t)path.length) == 0 &&
           memcmp(text.bytes + before + path.length, version, sizeof version - 1) == 0;
}

bool rt_head_read(rt_text text, rt_text path, rt_header *headers, int32_t n_headers,
                  rt_text *body)
{
    const char *at = text.bytes;
    const char *end = text.bytes + text.length;
    int64_t length = -1;
    rt_text next;
    for (int32_t i = 0; i < n_headers; i++) {
        headers[i].value = (rt_text){NULL, 0};
    }
    if (!take_line(&at, end, &next) || !is_request_line(next, path)) {
        return false;
    }
    while (take_line(&at, end, &next)) {
        line header;
        if (next.length == 0) {
            *body = (rt_text){at, end - at};
            return length == end - at;
        }
        if (!split_line(next, &header) ||
            !take_header(&header, headers, n_headers, &length)) {
            return false;
        }
    }
    return false;
}
