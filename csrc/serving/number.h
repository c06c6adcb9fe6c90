/* Decimal texts and doubles, both ways exact and free of the process's locale: a text
 * becomes the nearest double, a double the shortest text that becomes it again. */
#ifndef RT_SERVING_NUMBER_H
#define RT_SERVING_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

enum { RT_NUMBER_TEXT_MOST = 1024, RT_NUMBER_TEXT_ROOM = 32 };

typedef struct rt_number {
    double value;
    bool is_integer; /* written without point and exponent, and within 64 bits */
    int64_t integer;
} rt_number;

/* The number that the text begins with, [+-]digits[.digits][e[+-]digits], as long as it
 * can be; returns its end. Beyond the range of doubles it is an infinity. NULL when
 * there is none, or one of more than RT_NUMBER_TEXT_MOST bytes. */
const char *rt_number_step(const char *text, const char *end, rt_number *out);

/* True when all of the text is such a number. */
bool rt_number_read(const char *text, int64_t length, rt_number *out);

/* The text, without a NUL: a JSON number, or NaN, Infinity and -Infinity as MLflow
 * writes them. Returns its length. */
int32_t rt_number_write(double x, char out[RT_NUMBER_TEXT_ROOM]);

#endif
