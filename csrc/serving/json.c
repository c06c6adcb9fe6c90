/* A recursive descent that only checks, and steps over text that was checked: these
 * need no bounds, as every text ends in a quote and every object in a bracket. Nothing
 * is built in between, since a request's cells are read once, where they lie. Unit:
 * bytes. */
#include "serving/json.h"

#include <string.h>

#include "base/limits.h"
#include "serving/eight_digits.h"

/* The check's place. When it fails, `at` is the byte that may not stand there. */
typedef struct scan {
    const char *at, *end;
    rt_json_spans *spans;
    int32_t depth; /* arrays and objects that are open */
    bool too_deep; /* which has a message of its own */
} scan;

/* The four of RFC 8259; isspace() would ask the locale. */
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

/* Each of the take_* steps over what is wanted, or stays and says false. */
static bool take(scan *s, char wanted)
{
    const bool found = s->at < s->end && *s->at == wanted;
    s->at += found ? 1 : 0;
    return found;
}

/* What follows is not looked at: in "trues" the s is where a comma must be. */
static bool take_word(scan *s, const char *word)
{
    const size_t length = strlen(word);
    const bool found =
        (size_t)(s->end - s->at) >= length && memcmp(s->at, word, length) == 0;
    s->at += found ? length : 0;
    return found;
}

/* One at least. */
static bool take_digits(scan *s)
{
    const char *first = s->at;
    uint64_t eight = 0;
    while (s->end - s->at >= RT_EIGHT_DIGITS && rt_are_eight_digits(s->at, &eight)) {
        s->at += RT_EIGHT_DIGITS;
    }
    while (s->at < s->end && is_digit(*s->at)) {
        s->at++;
    }
    return s->at > first;
}

/* [-] digits [. digits] [e [+-] digits], without a zero in front of other digits: "01"
 * ends after its 0, and the 1 is no comma. -Infinity begins like a number. */
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

/* Behind the backslash. Which code points the four digits make is rt_json_unescape's to
 * judge: texts that nobody reads need no answer. */
static bool check_escape(scan *s)
{
    if (take(s, 'u')) {
        for (int i = 0; i < 4; i++, s->at++) { /* stays at one that is none */
            const char c = s->at < s->end ? *s->at : '\0';
            const char small =
                (char)(c | 0x20); /* of letters; of others something else */
            if (!is_digit(c) && !(small >= 'a' && small <= 'f')) {
                return false;
            }
        }
        return true;
    }
    /* strchr finds its own end as well, hence the look at NUL. */
    const bool known =
        s->at < s->end && *s->at != '\0' && strchr("\"\\/bfnrt", *s->at) != NULL;
    s->at += known ? 1 : 0;
    return known;
}

/* With its quotes. Those inside are escaped, so the next bare one ends it. */
static bool check_text(scan *s)
{
    if (!take(s, '"')) {
        return false;
    }
    while (s->at < s->end && *s->at != '"') {
        /* Control characters must be escaped. Bytes from 0x80 on pass: that the whole
         * body is UTF-8 has been checked before. */
        if ((unsigned char)*s->at < 0x20) {
            return false;
        }
        if (*s->at++ == '\\' && !check_escape(s)) {
            return false;
        }
    }
    return take(s, '"');
}

/* Values nest, so it calls itself by way of check_elements, up to the limit on
 * depth. */
static bool check_value(scan *s);

/* "name": value. That a name comes twice is no error of JSON; readers decide. */
static bool check_member(scan *s)
{
    skip_blanks(s);
    if (!check_text(s)) {
        return false;
    }
    skip_blanks(s);
    return take(s, ':') && check_value(s);
}

/* An array or object that ends here, in others. */
static void note_span(scan *s, const char *first)
{
    const int32_t level = s->depth - 1;
    if (level < 0 || level >= RT_JSON_SPAN_LEVELS ||
        s->at - first < RT_JSON_SPAN_BYTES || s->spans->n[level] == RT_JSON_SPANS) {
        return;
    }
    const int32_t at = s->spans->n[level]++;
    s->spans->first[level][at] = first;
    s->spans->after[level][at] = s->at;
}

/* Of an array or object, by the function for one element. The limit bounds the C stack
 * that a body can take. */
static bool check_elements(scan *s, char close, bool (*check)(scan *))
{
    const char *first = s->at;
    s->at++;
    if (++s->depth > RT_MAX_JSON_DEPTH) {
        s->too_deep = true;
        return false;
    }
    skip_blanks(s);
    if (!take(s, close)) {
        /* After a comma an element must follow: [1,] is not JSON. */
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
    note_span(s, first);
    return true;
}

static bool check_value(scan *s)
{
    skip_blanks(s);
    /* The first byte decides. At the end it is NUL, which is no number either. */
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

rt_status rt_json_check(rt_text json, rt_json_spans *spans, rt_error *err)
{
    scan s = {.at = json.bytes, .end = json.bytes + json.length, .spans = spans};
    *spans = (rt_json_spans){.end = s.end};
    bool good = check_value(&s);
    /* One value is all that there may be. */
    if (good) {
        skip_blanks(&s);
        good = s.at == s.end;
    }
    /* First, since such a body may be JSON all the same. */
    if (s.too_deep) {
        return rt_fail(err, RT_INVALID, "rt_json_check",
                       "the body is nested more than %d deep", RT_MAX_JSON_DEPTH);
    }
    if (!good) {
        return rt_fail(err, RT_INVALID, "rt_json_check",
                       "the body is not JSON: byte %lld is not what may stand there",
                       (long long)(s.at - json.bytes) + 1); /* bytes count from 1 */
    }
    return RT_OK;
}

/* Of checked text: something else than a blank always follows. */
static void step_blanks(rt_json *json)
{
    while (is_blank(*json->at)) {
        json->at++;
    }
}

/* Of checked text, as everything below. */
rt_json rt_json_start(rt_text json, const rt_json_spans *spans)
{
    rt_json start = {json.bytes, spans};
    step_blanks(&start);
    return start;
}

/* One byte tells the kinds apart, but for -Infinity. */
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

/* From its first quote to behind its last. An escaped quote is stepped over with its
 * backslash; the digits of a code point hold none. */
static const char *after_text(const char *at)
{
    for (at++; *at != '"'; at++) {
        at += *at == '\\' ? 1 : 0;
    }
    return at + 1;
}

/* What a byte does outside of a text: it ends a number or word, or it opens or closes
 * something; a quote counts as that, since brackets inside of a text do not. Bodies are
 * walked byte by byte, so this is a table. */
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
    ['"'] = NESTS, /* a text is stepped over as a whole */
};

static const char *known_end(const rt_json *json)
{
    const rt_json_spans *spans = json->spans;
    for (int32_t level = 0; level < RT_JSON_SPAN_LEVELS; level++) {
        for (int32_t i = 0; i < spans->n[level]; i++) {
            if (spans->first[level][i] == json->at) {
                return spans->after[level][i];
            }
        }
    }
    return NULL;
}

/* Brackets are counted, not matched: the check has matched them. */
static void skip_nested(rt_json *json)
{
    int32_t depth = 0;
    const char *known = known_end(json);
    if (known != NULL) {
        json->at = known;
        return;
    }
    do {
        while ((does[(uint8_t)*json->at] & NESTS) == 0) {
            json->at++;
        }
        const char c = *json->at;
        /* Brackets in a text do not count. */
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
        /* Without either quote. */
        return (rt_text){first + 1, json->at - first - 2};
    default:
        /* Numbers and words hold none of the bytes that may follow them. */
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
    /* Which of the two would close it is known from the check. */
    const bool any = *json->at != '}' && *json->at != ']';
    json->at += any ? 0 : 1;
    return any;
}

bool rt_json_next(rt_json *json)
{
    step_blanks(json);
    /* A comma or the closing bracket: both are stepped over. */
    const bool more = *json->at++ == ',';
    if (more) {
        step_blanks(json);
    }
    return more;
}

/* The name stays as it is written: few have escapes. Blanks may surround the colon. */
rt_text rt_json_name(rt_json *json)
{
    rt_text name = rt_json_take(json);
    step_blanks(json);
    json->at++; /* the colon */
    step_blanks(json);
    return name;
}

/* Four digits, which have been checked. */
static uint32_t hexadecimal(const char *at)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        const uint32_t c = (uint8_t)at[i];
        value = 16 * value + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

/* UTF-8 of a code point (RFC 3629); its length. Six bits to each byte from the back,
 * and what is left beside the mark of the length. */
static int32_t encode(uint32_t code, char *out)
{
    const int32_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0}; /* by length */
    for (int32_t i = length - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (char)(lead[length] | code);
    return length;
}

/* The escape behind a backslash; its length, or -1 for half a pair. Code points beyond
 * 16 bits come as two escapes, a high surrogate and a low one; either alone has no
 * UTF-8. */
static int32_t unescape(const char *at, const char *end, char *out, int32_t *length)
{
    static const char names[] = "bfnrt";
    static const char codes[] = "\b\f\n\r\t"; /* in the same order */
    if (*at != 'u') {
        const char *named = strchr(names, *at);
        /* Quote, backslash and slash stand for themselves. */
        out[0] = named != NULL ? codes[named - names] : *at;
        *length = 1;
        return 1;
    }
    uint32_t code = hexadecimal(at + 1);
    int32_t taken = 5; /* u and four digits */
    /* 11: both escapes without the first backslash. */
    if (code >= 0xd800 && code < 0xdc00 && end - at >= 11 && at[5] == '\\' &&
        at[6] == 'u') {
        const uint32_t low = hexadecimal(at + 7); /* the other half */
        if (low >= 0xdc00 && low < 0xe000) {
            /* Ten bits from each half. */
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            taken = 11;
        }
    }
    *length = encode(code, out);
    /* Still a surrogate: its other half is missing, or it is the second one alone. */
    return code >= 0xd800 && code < 0xe000 ? -1 : taken;
}

rt_status rt_json_unescape(rt_text raw, rt_dynbuf *room, rt_text *out, rt_error *err)
{
    const char *at = raw.bytes;
    const char *end = raw.bytes + raw.length;
    /* Most texts have no escape and stay where they are, without a copy. */
    const char *slash = memchr(at, '\\', (size_t)raw.length);
    rt_status status = RT_OK;
    *out = raw; /* where there is nothing to undo */
    if (slash == NULL) {
        return RT_OK;
    }
    /* What lay there before is gone: a text lives until the next one with escapes. */
    rt_dynbuf_clear(room);
    while (status == RT_OK && slash != NULL) {
        char bytes[4];
        int32_t length = 0;
        /* What lies between two escapes is copied in one piece. */
        status = rt_dynbuf_add(room, at, slash - at, err);
        int32_t taken = unescape(slash + 1, end, bytes, &length);
        if (status == RT_OK && taken < 0) {
            return rt_fail(err, RT_INVALID, "rt_json_unescape",
                           "the body is not UTF-8: a \\u escape is half a pair");
        }
        status = status == RT_OK ? rt_dynbuf_add(room, bytes, length, err) : status;
        at = slash + 1 + taken; /* behind the escape */
        slash = memchr(at, '\\', (size_t)(end - at));
    }
    status = status == RT_OK ? rt_dynbuf_add(room, at, end - at, err) : status;
    *out = (rt_text){rt_dynbuf_text(room), room->size_bytes};
    return status;
}
