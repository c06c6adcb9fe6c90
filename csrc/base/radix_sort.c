/* The three sorts of sort_body.h: a most significant digit first, which deals the items
 * out to threads, then two digits at once within each bucket. */
#include "base/radix_sort.h"

#include <assert.h>
#include <stdbool.h>

#include "base/alloc.h"
#include "base/ranges.h"

enum {
    SMALL_ITEMS = 16, /* insertion sort: its moves are cheaper than a table */
    DIGIT_BITS = 10,  /* of a part; two make a head */
    TOP_BITS = 11,    /* digit of the first, parallel split */
    TOP_BUCKETS = 1 << TOP_BITS,
    TOP_ITEMS = 1 << 14,  /* below this one thread's cache holds everything */
    BLOCK_ITEMS = 1 << 20 /* items between two looks at the cancel flag */
};

static inline int32_t bits_of(uint64_t x)
{
    return x == 0 ? 0 : 64 - __builtin_clzll(x);
}

/* With two bits more than `count` has, few items of an even spread share a head. */
static inline int32_t head_bits(int64_t count, int32_t spread)
{
    const int32_t wanted = bits_of((uint64_t)count) + 2;
    const int32_t most = spread < 2 * DIGIT_BITS ? spread : 2 * DIGIT_BITS;
    return wanted < most ? wanted : most;
}

#define ITEM uint32_t
#define KEY(item) (item)
#define NAMED(name) name##_u32
#include "base/sort_body.h"
#undef NAMED
#undef KEY
#undef ITEM

#define ITEM uint64_t
#define KEY(item) (item)
#define NAMED(name) name##_u64
#include "base/sort_body.h"
#undef NAMED
#undef KEY
#undef ITEM

/* Without the parallel split, which needs a table for each thread. */
void rt_sort_keys(uint64_t *keys, uint64_t *scratch, int64_t count)
{
    sort_part_u64(keys, scratch, count);
}

#define ITEM rt_ranked
#define KEY(item) ((item).key)
#define NAMED(name) name##_ranked
#include "base/sort_body.h"
