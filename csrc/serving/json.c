/* A recursive descent that only checks, and steps over text that was checked. Unit:
 * bytes. */
#include "serving/json.h"

#include <string.h>

#include "base/limits.h"

typedef struct scan {
    const char *at, *end;
    int32_t depth;
    bool too_deep;
} scan;

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void skip_blanks(scan *s)
{
    while (s->at < s->end && is_blank(*s->at)) {
        s->at++;
    }
}

static bool take(scan *s, char wanted)
{
    const bool found = s->at < s->end && *s->at == wanted;
    s->at += found ? 1 : 0;
    return found;
}

static bool take_word(scan *s, const char *word)
{
    const size_t length = strlen(word);
    const bool found =
        (size_t)(s->end - s->at) >= length && memcmp(s->at, word, length) == 0;
    s->at += found ? length : 0;
    return found;
}

static bool take_digits(scan *s)
{
    const char *first = s->at;
    while (s->at < s->end && is_digit(*s->at)) {
        s->at++;
    }
    return s->at > first;
}

static bool check_number(scan *s)
{
    (void)take(s, '-');
    if (s->at < s->end && *s->at == 'I') {
        return take_word(s, "Infinity");
    }
    if (!take(s, '0') && !take_digits(s)) {
        return false;
    }
    if (take(s, '.') && !take_digits(s)) {
        return false;
    }
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '-')) {
            (void)take(s, '+');
        }
        return take_digits(s);
    }
    return true;
}

static bool check_escape(scan *s)
{
    if (take(s, 'u')) {
        for (int i = 0; i < 4; i++, s->at++) {
            const char c = s->at < s->end ? (char)(*s->at | 0x20) : '\0';
            if (!is_digit(c) && !(c >= 'a' && c <= 'f')) {
                return false;
            }
        }
        return true;
    }
    const bool known =
        s->at < s->end && *s->at != '\0' && strchr("\"\\/bfnrt", *s->at) != NULL;
    s->at += known ? 1 : 0;
    return known;
}

static bool check_text(scan *s)
{
    if (!take(s, '"')) {
        return false;
    }
    while (s->at < s->end && *s->at != '"') {
        if ((unsigned char)*s->at < 0x20) {
            return false;
        }
        if (*s->at++ == '\\' && !check_escape(s)) {
            return false;
        }
    }
    return take(s, '"');
}

static bool check_value(scan *s);

static bool check_member(scan *s)
{
    skip_blanks(s);
    if (!check_text(s)) {
        return false;
    }
    skip_blanks(s);
    return take(s, ':') && check_value(s);
}

static bool check_elements(scan *s, char close, bool (*check)(scan *))
{
    s->at++;
    if (++s->depth > RT_MAX_JSON_DEPTH) {
        s->too_deep = true;
        return false;
    }
    skip_blanks(s);
    if (!take(s, close)) {
        do {
            if (!check(s)) {
                return false;
            }
            skip_blanks(s);
        } while (take(s, ','));
        if (!take(s, close)) {
            return false;
        }
    }
    s->depth--;
    return true;
}

static bool check_value(scan *s)
{
    skip_blanks(s);
    switch (s->at < s->end ? *s->at : '\0') {
    case '{':
        return check_elements(s, '}', check_member);
    case '[':
        return check_elements(s, ']', check_value);
    case '"':
        return check_text(s);
    case 't':
        return take_word(s, "true");
    case 'f':
        return take_word(s, "false");
    case 'n':
        return take_word(s, "null");
    case 'N':
        return take_word(s, "NaN");
    default:
        return check_number(s);
    }
}

rt_status rt_json_check(rt_text json, rt_error *err)
{
    scan s = {.at = json.bytes, .end = json.bytes + json.length};
    bool good = check_value(&s);
    if (good) {
        skip_blanks(&s);
        good = s.at == s.end;
    }
    if (s.too_deep) {
        return rt_fail(err, RT_INVALID, "rt_json_check",
                       "the body is nested more than %d deep", RT_MAX_JSON_DEPTH);
    }
    if (!good) {
        return rt_fail(err, RT_INVALID, "rt_json_check",
                       "the body is not JSON: byte %lld is not what may stand there",
                       (long long)(s.at - json.bytes) + 1);
    }
    return RT_OK;
}

static void step_blanks(rt_json *json)
{
    while (is_blank(*json->at)) {
        json->at++;
    }
}

rt_json rt_json_start(rt_text json)
{
    rt_json start = {json.bytes};
    step_blanks(&start);
    return start;
}

rt_json_kind rt_json_kind_of(const rt_json *json)
{
    switch (json->at[0]) {
    case '{':
        return RT_JSON_OBJECT;
    case '[':
        return RT_JSON_ARRAY;
    case '"':
        return RT_JSON_TEXT;
    case 't':
        return RT_JSON_TRUE;
    case 'f':
        return RT_JSON_FALSE;
    case 'n':
        return RT_JSON_NULL;
    case 'N':
        return RT_JSON_NAN;
    case 'I':
        return RT_JSON_INFINITY;
    case '-':
        return json->at[1] == 'I' ? RT_JSON_INFINITY : RT_JSON_NUMBER;
    default:
        return RT_JSON_NUMBER;
    }
}

static const char *after_text(const char *at)
{
    for (at++; *at != '"'; at++) {
        at += *at == '\\' ? 1 : 0;
    }
    return at + 1;
}

/* What a byte does outside of a text: it ends a number or word, or it opens or closes
 * something. Bodies are walked byte by byte, so this is a table. */
enum { ENDS_WORD = 1, NESTS = 2 };
static const uint8_t does[256] = {
    [' '] = ENDS_WORD,
    ['\t'] = ENDS_WORD,
    ['\n'] = ENDS_WORD,
    ['\r'] = ENDS_WORD,
    [','] = ENDS_WORD,
    [']'] = ENDS_WORD | NESTS,
    ['}'] = ENDS_WORD | NESTS,
    ['['] = NESTS,
    ['{'] = NESTS,
    ['"'] = NESTS,
};

static void skip_nested(rt_json *json)
{
    int32_t depth = 0;
    do {
        while ((does[(uint8_t)*json->at] & NESTS) == 0) {
            json->at++;
        }
        const char c = *json->at;
        if (c == '"') {
            json->at = after_text(json->at);
            continue;
        }
        depth += c == '{' || c == '[' ? 1 : -1;
        json->at++;
    } while (depth > 0);
}

/* A word is never the last byte of a body that is read: that is an object's bracket. */
rt_text rt_json_take(rt_json *json)
{
    const char *first = json->at;
    switch (*first) {
    case '{':
    case '[':
        skip_nested(json);
        break;
    case '"':
        json->at = after_text(first);
        return (rt_text){first + 1, json->at - first - 2};
    default:
        while ((does[(uint8_t)*json->at] & ENDS_WORD) == 0) {
            json->at++;
        }
    }
    return (rt_text){first, json->at - first};
}

void rt_json_skip(rt_json *json)
{
    (void)rt_json_take(json);
}

bool rt_json_enter(rt_json *json)
{
    json->at++;
    step_blanks(json);
    const bool any = *json->at != '}' && *json->at != ']';
    json->at += any ? 0 : 1;
    return any;
}

bool rt_json_next(rt_json *json)
{
    step_blanks(json);
    const bool more = *json->at++ == ',';
    if (more) {
        step_blanks(json);
    }
    return more;
}

rt_text rt_json_name(rt_json *json)
{
    rt_text name = rt_json_take(json);
    step_blanks(json);
    json->at++; /* the colon */
    step_blanks(json);
    return name;
}

static uint32_t hexadecimal(const char *at)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        const uint32_t c = (uint8_t)at[i];
        value = 16 * value + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

/* UTF-8 of a code point; its length. */
static int32_t encode(uint32_t code, char *out)
{
    const int32_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    for (int32_t i = length - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (char)(lead[length] | code);
    return length;
}

/* The escape behind a backslash; its length, or -1 for half a pair. */
static int32_t unescape(const char *at, const char *end, char *out, int32_t *length)
{
    static const char names[] = "bfnrt";
    static const char codes[] = "\b\f\n\r\t";
    if (*at != 'u') {
        const char *named = strchr(names, *at);
        out[0] = named != NULL ? codes[named - names] : *at;
        *length = 1;
        return 1;
    }
    uint32_t code = hexadecimal(at + 1);
    int32_t taken = 5;
    if (code >= 0xd800 && code < 0xdc00 && end - at >= 11 && at[5] == '\\' &&
        at[6] == 'u') {
        const uint32_t low = hexadecimal(at + 7);
        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            taken = 11;
        }
    }
    *length = encode(code, out);
    return code >= 0xd800 && code < 0xe000 ? -1 : taken;
}

rt_status rt_json_unescape(rt_text raw, rt_dynbuf *room, rt_text *out, rt_error *err)
{
    const char *at = raw.bytes;
    const char *end = raw.bytes + raw.length;
    const char *slash = memchr(at, '\\', (size_t)raw.length);
    rt_status status = RT_OK;
    *out = raw;
    if (slash == NULL) {
        return RT_OK;
    }
    rt_dynbuf_clear(room);
    while (status == RT_OK && slash != NULL) {
        char bytes[4];
        int32_t length = 0;
        status = rt_dynbuf_add(room, at, slash - at, err);
        int32_t taken = unescape(slash + 1, end, bytes, &length);
        if (status == RT_OK && taken < 0) {
            return rt_fail(err, RT_INVALID, "rt_json_unescape",
                           "the body is not UTF-8: a \\u escape is half a pair");
        }
        status = status == RT_OK ? rt_dynbuf_add(room, bytes, length, err) : status;
        at = slash + 1 + taken;
        slash = memchr(at, '\\', (size_t)(end - at));
    }
    status = status == RT_OK ? rt_dynbuf_add(room, at, end - at, err) : status;
    *out = (rt_text){rt_dynbuf_text(room), room->size_bytes};
    return status;
}
