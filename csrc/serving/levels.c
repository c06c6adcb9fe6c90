/* An open hash over the texts, keyed by nothing: they come from a log that is ours.
 * Unit: one text. */
#include "serving/levels.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

static uint64_t hash(rt_text text)
{
    uint64_t h = 14695981039346656037U; /* FNV-1a */
    for (int64_t i = 0; i < text.length; i++) {
        h = (h ^ (uint8_t)text.bytes[i]) * 1099511628211U;
    }
    return h ^ (h >> 32);
}

static rt_text text_of(const rt_levels *levels, int64_t number)
{
    return (rt_text){levels->text.data + levels->start[number],
                     levels->start[number + 1] - levels->start[number]};
}

void rt_levels_init(rt_levels *levels)
{
    *levels = (rt_levels){.status = RT_OK};
    rt_dynbuf_init(&levels->text, INT64_MAX / 4);
}

void rt_levels_clear(rt_levels *levels)
{
    rt_dynbuf_free(&levels->text);
    rt_free(levels->start);
    rt_free(levels->slot);
    *levels = (rt_levels){.status = RT_OK};
}

/* Where the text is, or belongs. */
static int64_t find(const rt_levels *levels, rt_text text)
{
    int64_t at = (int64_t)(hash(text) & (uint64_t)(levels->n_slots - 1));
    while (levels->slot[at] != 0 &&
           rt_text_compare(text_of(levels, levels->slot[at] - 1), text) != 0) {
        at = (at + 1) & (levels->n_slots - 1);
    }
    return at;
}

/* Twice the room, and slots for four times as many. */
static rt_status grow(rt_levels *levels)
{
    const int64_t room = levels->room > 0 ? 2 * levels->room : 64;
    void *start = levels->start;
    void *slot = NULL;
    rt_status status = rt_grow(&start, levels->start != NULL ? levels->count + 1 : 0,
                               room + 1, sizeof *levels->start, "rt_levels", NULL);
    levels->start = start;
    if (status == RT_OK) {
        status = rt_alloc(&slot, 4 * room, sizeof *levels->slot, "rt_levels", NULL);
    }
    if (status != RT_OK) {
        return status;
    }
    if (levels->room == 0) {
        levels->start[0] = 0;
    }
    rt_free(levels->slot);
    levels->slot = slot;
    levels->n_slots = 4 * room;
    levels->room = room;
    for (int64_t i = 0; i < levels->count; i++) {
        levels->slot[find(levels, text_of(levels, i))] = i + 1;
    }
    return RT_OK;
}

static rt_status add(rt_levels *levels, rt_text level, int64_t at)
{
    rt_status status = rt_dynbuf_add(&levels->text, level.bytes, level.length, NULL);
    if (status == RT_OK) {
        levels->count++;
        levels->start[levels->count] = levels->text.size_bytes;
        levels->slot[at] = levels->count;
    }
    return status;
}

double rt_levels_number(rt_levels *levels, rt_text level)
{
    if (levels->status == RT_OK && levels->count == levels->room) {
        levels->status = grow(levels);
    }
    if (levels->status != RT_OK) {
        return (double)NAN;
    }
    const int64_t at = find(levels, level);
    if (levels->slot[at] == 0) {
        levels->status = add(levels, level, at);
    }
    return levels->status == RT_OK ? (double)(levels->slot[at] - 1) : (double)NAN;
}
