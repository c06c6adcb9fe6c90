/* Names and categories of a model: UTF-8 with a length, compared by bytes. */
#ifndef RT_MODEL_TEXT_H
#define RT_MODEL_TEXT_H

#include <stdint.h>

typedef struct rt_text {
    const char *bytes;
    int64_t length;
} rt_text;

int rt_text_is_utf8(rt_text text);
int rt_text_compare(rt_text a, rt_text b); /* by bytes: <0, 0, >0 */

#endif
