/* The levels of a category, numbered in the order of their first appearance. */
#ifndef RT_SERVING_LEVELS_H
#define RT_SERVING_LEVELS_H

#include "base/dynbuf.h"
#include "model/text.h"

typedef struct rt_levels {
    rt_dynbuf text;
    int64_t *start; /* [count + 1] where each begins in the text */
    int64_t count, room;
    int64_t *slot; /* [n_slots] a number and one more, or 0 */
    int64_t n_slots;
    rt_status status; /* RT_NO_MEMORY once a level could not be kept */
} rt_levels;

void rt_levels_init(rt_levels *levels);
void rt_levels_clear(rt_levels *levels);

/* The level's number; NaN, and the status says so, when memory ran out. */
double rt_levels_number(rt_levels *levels, rt_text level);

#endif
