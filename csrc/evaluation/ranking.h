/* Rows in the order of a score, with their labels, and which of them are tied. */
#ifndef RT_EVALUATION_RANKING_H
#define RT_EVALUATION_RANKING_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"

/* At most INT32_MAX rows; `items` and `scratch` have room for as many. */
typedef struct rt_ranking {
    const uint8_t *y;
    int64_t n_rows;
    uint64_t *items, *scratch;
    int32_t threads;
    rt_ctl *ctl;
    const char *where;
} rt_ranking;

/* Fills `items`, ascending by score: the upper 32 bits number the groups of equal
 * scores, below them lie the row and, in the last bit, its label. */
RT_CHECKED rt_status rt_rank_rows(const rt_ranking *r, const double *score,
                                  const char *name, rt_error *err);

static inline uint32_t rt_item_group(uint64_t item)
{
    return (uint32_t)(item >> 32);
}

static inline int64_t rt_item_row(uint64_t item)
{
    return (int64_t)((item & UINT32_MAX) >> 1);
}

static inline int rt_item_label(uint64_t item)
{
    return (int)(item & 1);
}

/* The end of the group that begins at `begin`, and how many of each label it has. */
static inline int64_t rt_group_end(const rt_ranking *r, int64_t begin, int64_t here[2])
{
    const uint32_t group = rt_item_group(r->items[begin]);
    here[0] = here[1] = 0;
    do {
        here[rt_item_label(r->items[begin])]++;
        begin++;
    } while (begin < r->n_rows && rt_item_group(r->items[begin]) == group);
    return begin;
}

#endif
