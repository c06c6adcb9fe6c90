/* Up to 19 digits a number is a fraction of two integers, and 128-bit arithmetic rounds
 * it once; what has more digits or a larger exponent goes through strtod, written
 * without a point, since that is what locales differ in. To write, the fewest digits
 * that read back the same are looked for, from 15, which survive a double, to 17, which
 * always suffice. Unit: one number. */
#include "serving/number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/math.h"
#include "serving/eight_digits.h"

typedef unsigned __int128 wide;

/* 19 digits fit 64 bits. Exponents are held within a million: far beyond any double,
 * and sums of them with the at most 1,024 digits of a text cannot overflow. */
enum { EXACT_DIGITS = 19, EXPONENT_MOST = 1000000, DOUBLE_BITS = 53 };

/* 10^0 to 10^19, the powers that 64 bits hold. */
static const uint64_t powers[] = {1ULL,
                                  10ULL,
                                  100ULL,
                                  1000ULL,
                                  10000ULL,
                                  100000ULL,
                                  1000000ULL,
                                  10000000ULL,
                                  100000000ULL,
                                  1000000000ULL,
                                  10000000000ULL,
                                  100000000000ULL,
                                  1000000000000ULL,
                                  10000000000000ULL,
                                  100000000000000ULL,
                                  1000000000000000ULL,
                                  10000000000000000ULL,
                                  100000000000000000ULL,
                                  1000000000000000000ULL,
                                  10000000000000000000ULL};

/* A number as it is written: digits, without leading zeros, times 10^exponent. */
typedef struct decimal {
    bool negative, plain; /* plain: without point and exponent */
    uint64_t head;        /* the first EXACT_DIGITS digits */
    int32_t n_digits;
    int64_t exponent;
    const char *first; /* the digits, with the point among them */
    const char *end;
} decimal;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A run of digits, leading zeros left out; returns its end. Called for both sides of
 * the point, so the head goes on where it stopped. Digits beyond the 19th are only
 * counted: strtod will look at them. */
static const char *take_digits(decimal *d, const char *at, const char *end)
{
    uint64_t head = d->head;
    int32_t n = d->n_digits;
    while (n == 0 && at < end && *at == '0') {
        at++;
    }
    uint64_t eight = 0;
    while (n + RT_EIGHT_DIGITS <= EXACT_DIGITS && end - at >= RT_EIGHT_DIGITS &&
           rt_are_eight_digits(at, &eight)) {
        head = RT_EIGHT_DIGITS_POWER * head + rt_eight_digits_value(eight);
        at += RT_EIGHT_DIGITS;
        n += RT_EIGHT_DIGITS;
    }
    for (; n < EXACT_DIGITS && at < end && is_digit(*at); at++, n++) {
        head = 10 * head + (uint64_t)(*at - '0');
    }
    for (; at < end && is_digit(*at); at++, n++) {
    }
    d->head = head;
    d->n_digits = n;
    return at;
}

/* Digits with at most one point; false where there is no digit. */
static bool scan_digits(decimal *d, const char *at, const char *end)
{
    d->first = at;
    d->end = take_digits(d, at, end);
    /* Written ones, zeros included: "0" and ".5" are numbers, "." is none. */
    int64_t digits = d->end - at;
    if (d->end < end && *d->end == '.') {
        const char *fraction = d->end + 1;
        d->plain = false;
        d->end = take_digits(d, fraction, end);
        /* Each digit behind the point is a tenth of the one before. */
        d->exponent = fraction - d->end;
        digits += d->end - fraction;
    }
    return digits > 0;
}

/* An exponent, if there is one; its end, NULL when it has no digits. */
static const char *scan_exponent(decimal *d, const char *at, const char *end)
{
    int64_t exponent = 0;
    if (at == end || (*at != 'e' && *at != 'E')) {
        return at;
    }
    at++;
    const bool negative = at < end && *at == '-';
    at += at < end && (*at == '-' || *at == '+') ? 1 : 0;
    if (at == end || !is_digit(*at)) {
        return NULL;
    }
    for (; at < end && is_digit(*at); at++) {
        exponent = 10 * exponent + (*at - '0');
        /* Held back at every digit, so that no length of it overflows. */
        exponent = exponent > EXPONENT_MOST ? EXPONENT_MOST : exponent;
    }
    d->plain = false;
    d->exponent += negative ? -exponent : exponent;
    return at;
}

/* Bits of x without leading zeros. */
static int32_t bits_of(wide x)
{
    const uint64_t high = (uint64_t)(x >> 64);
    const uint64_t low = (uint64_t)x;
    return high != 0  ? 128 - __builtin_clzll(high)
           : low != 0 ? 64 - __builtin_clzll(low)
                      : 0;
}

/* head / 10^places by x87's extended precision, where there is one: both are exact in
 * its 64 bits, so the quotient lies on the right side of the middle between two
 * doubles, unless it was rounded to that middle: false. The lower 11 bits of the 64 say
 * so. This spares the division of 128 bits, which is a call into the compiler's
 * library. */
static bool divide_extended(uint64_t head, int32_t places, double *out)
{
#if LDBL_MANT_DIG == 64
    const long double quotient = (long double)head / (long double)powers[places];
    uint64_t mantissa = 0;
    memcpy(&mantissa, &quotient, sizeof mantissa);
    *out = (double)quotient;
    return (mantissa & 0x7ff) != 0x400;
#else
    (void)head, (void)places, (void)out;
    return false;
#endif
}

/* head / 10^places, rounded once. Two doubles that hold their integers exactly divide
 * so by themselves (Clinger 1990; powers of ten are exact up to 10^22); else the
 * quotient has at least 63 bits before its remainder is dropped, more than the 54 that
 * rounding looks at. */
static double divide(uint64_t head, int32_t places)
{
    double found = 0.0;
    if (head <= 1ULL << DOUBLE_BITS) {
        return (double)head / (double)powers[places];
    }
    if (divide_extended(head, places, &found)) {
        return found;
    }
    /* As far up as 127 bits go. */
    const int32_t up = 127 - bits_of(head);
    const wide numerator = (wide)head << up;
    wide quotient = numerator / powers[places];
    const bool inexact = quotient * powers[places] != numerator;
    const int32_t spare = bits_of(quotient) - DOUBLE_BITS;
    const wide half = (wide)1 << (spare - 1);
    const wide rest = quotient & ((half << 1) - 1);
    quotient >>= spare;
    /* To nearest, halves to even; a remainder that was dropped makes a half more than
     * one. */
    if (rest > half || (rest == half && (inexact || (quotient & 1) != 0))) {
        quotient++;
    }
    return (double)(uint64_t)quotient * rt_pow2(spare - up);
}

/* The digits without their point, and the exponent that makes up for it. */
static double by_strtod(const decimal *d)
{
    char text[RT_NUMBER_TEXT_MOST + RT_NUMBER_TEXT_ROOM];
    size_t length = 0;
    for (const char *at = d->first; at < d->end; at++) {
        if (is_digit(*at)) {
            text[length++] = *at;
        }
    }
    (void)snprintf(text + length, RT_NUMBER_TEXT_ROOM, "e%lld", (long long)d->exponent);
    return strtod(text, NULL);
}

/* The cheapest exact way: a number without a fraction is converted, which rounds once;
 * a decimal fraction is divided; the rest is rare. */
static double magnitude(const decimal *d)
{
    if (d->n_digits == 0) {
        return 0.0;
    }
    if (d->n_digits <= EXACT_DIGITS && d->exponent == 0) {
        return (double)d->head;
    }
    if (d->n_digits <= EXACT_DIGITS && d->exponent < 0 &&
        d->exponent >= -EXACT_DIGITS) {
        return divide(d->head, (int32_t)-d->exponent);
    }
    return by_strtod(d);
}

/* -2^63 is an integer as well, though 2^63 is not. Negated as unsigned, which is
 * defined for it too. */
static void take_integer(const decimal *d, rt_number *out)
{
    const uint64_t most = (uint64_t)INT64_MAX + (d->negative ? 1 : 0);
    out->is_integer = d->plain && d->n_digits <= EXACT_DIGITS && d->head <= most;
    out->integer = !out->is_integer ? 0
                   : d->negative    ? (int64_t)(0 - d->head)
                                    : (int64_t)d->head;
}

const char *rt_number_step(const char *text, const char *end, rt_number *out)
{
    decimal d = {.plain = true};
    const char *at = text;
    if (at == end) {
        return NULL;
    }
    d.negative = *at == '-';
    at += *at == '-' || *at == '+' ? 1 : 0;
    at = scan_digits(&d, at, end) ? scan_exponent(&d, d.end, end) : NULL;
    /* The bound is that of by_strtod's array. */
    if (at == NULL || at - text > RT_NUMBER_TEXT_MOST) {
        return NULL;
    }
    const double value = magnitude(&d);
    out->value = d.negative ? -value : value;
    take_integer(&d, out);
    return at;
}

bool rt_number_read(const char *text, int64_t length, rt_number *out)
{
    return rt_number_step(text, text + length, out) == text + length && length > 0;
}

/* Digits and exponent to the text: 0.00123, 123.4, 5.0, 1.2e+30. The point lies behind
 * `point` digits. Exponents begin where Python's repr begins with them, which is what
 * MLflow's answers look like. */
static int32_t lay_out(const char *digits, int32_t n, int32_t point, char *out)
{
    int32_t at = 0;
    while (n > 1 && digits[n - 1] == '0') {
        n--;
    }
    if (point < -3 || point > 16) {
        at = snprintf(out, RT_NUMBER_TEXT_ROOM, "%c", digits[0]);
        if (n > 1) {
            out[at++] = '.';
            memcpy(out + at, digits + 1, (size_t)n - 1);
            at += n - 1;
        }
        return at + snprintf(out + at, 8, "e%+03d", point - 1);
    }
    /* Place by place, digit i or a zero, with one digit at least on either side. */
    for (int32_t i = point < 1 ? point : 1; i <= (n > point + 1 ? n : point + 1); i++) {
        if (i == point + 1) {
            out[at++] = '.';
        }
        out[at++] = i >= 1 && i <= n ? digits[i - 1] : '0';
    }
    return at;
}

/* m 10^places / 2^shift as an integer, halves to even, if it becomes m / 2^shift again:
 * lies within half a unit of m. All products stay below 2^126 for shift 1 to 66 and
 * places 0 to 20. A half of a unit on the very border is refused, as it reads back by
 * evenness alone. */
static bool scaled(uint64_t m, int32_t shift, int32_t places, uint64_t *out)
{
    const uint64_t high = powers[places > 19 ? places - 19 : 0];
    const wide unit = (wide)powers[places > 19 ? 19 : places] * high;
    const wide exact = unit * m;
    const wide half = (wide)1 << (shift - 1);
    const wide rest = exact & ((half << 1) - 1);
    wide found = exact >> shift;
    if (rest > half || (rest == half && (found & 1) != 0)) {
        found++;
    }
    const wide back = found << shift;
    const wide off = back > exact ? back - exact : exact - back;
    /* Below a power of two doubles lie twice as dense. */
    const bool dense = back < exact && m == 1ULL << (DOUBLE_BITS - 1);
    *out = (uint64_t)found;
    return (dense ? 4 : 2) * off < unit;
}

/* Shortest digits of 1e-4 <= x < 1e15 by integers alone; false: leave it to printf. */
static bool fast_digits(double x, char *digits, int32_t *n, int32_t *point)
{
    int32_t exponent = 0;
    /* x = m 2^-shift with all 53 bits of m: x is not subnormal here. */
    const uint64_t m = (uint64_t)ldexp(frexp(x, &exponent), DOUBLE_BITS);
    const int32_t shift = DOUBLE_BITS - exponent;
    uint64_t found = 0;
    *point = x < 0.001 ? -3 : x < 0.01 ? -2 : x < 0.1 ? -1 : 0;
    /* Powers below 10^16 are exact doubles, so the number of digits is never one
     * off. */
    for (; x >= 1.0 && x >= (double)powers[*point]; ++*point) {
    }
    for (int32_t wanted = 15; wanted <= 17; wanted++) {
        /* Rounding up to 10^wanted would be a digit too many. */
        if (scaled(m, shift, wanted - *point, &found) && found < powers[wanted]) {
            *n = wanted;
            for (int32_t i = wanted; i > 0; i--) {
                digits[i - 1] = (char)('0' + found % 10);
                found /= 10;
            }
            return digits[0] != '0';
        }
    }
    return false;
}

/* Shortest digits of any positive number, by printf, point left out: 15 digits survive
 * a double unless it is subnormal, and 17 always tell it from its neighbours. Whether
 * fewer do is tried by reading them back. */
static void slow_digits(double x, char *digits, int32_t *n, int32_t *point)
{
    char text[RT_NUMBER_TEXT_ROOM];
    rt_number back;
    for (int32_t wanted = x < DBL_MIN ? 1 : 15;; wanted++) {
        int32_t found = 0;
        (void)snprintf(text, sizeof text, "%.*e", wanted - 1, x);
        /* Digits alone are taken: the point may be a comma in the process's locale. */
        const char *e = strchr(text, 'e');
        for (const char *at = text; at < e; at++) {
            if (is_digit(*at)) {
                digits[found++] = *at;
            }
        }
        *n = found;
        *point = (int32_t)strtol(e + 1, NULL, 10) + 1;
        int32_t length = lay_out(digits, found, *point, text);
        if (wanted == 17 || (rt_number_read(text, length, &back) && back.value == x)) {
            return;
        }
    }
}

int32_t rt_number_write(double x, char out[RT_NUMBER_TEXT_ROOM])
{
    char digits[RT_NUMBER_TEXT_ROOM];
    int32_t n = 1;
    int32_t point = 1;
    /* -0.0 keeps its sign, NaN has none that means anything. */
    const int32_t sign = signbit(x) && !isnan(x) ? 1 : 0;
    out[0] = '-';
    if (isnan(x) || isinf(x)) {
        const char *word = isnan(x) ? "NaN" : "Infinity";
        memcpy(out + sign, word, strlen(word));
        return sign + (int32_t)strlen(word);
    }
    x = fabs(x);
    digits[0] = '0';
    if (x > 0.0 && !(x >= 1e-4 && x < 1e15 && fast_digits(x, digits, &n, &point))) {
        slow_digits(x, digits, &n, &point);
    }
    return sign + lay_out(digits, n, point, out + sign);
}
