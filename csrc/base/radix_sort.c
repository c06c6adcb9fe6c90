#include "base/radix_sort.h"

#include <assert.h>
#include <omp.h>
#include <stdbool.h>

#include "base/alloc.h"
#include "base/ranges.h"

enum {
    SMALL_ITEMS = 16, /* insertion sort: its moves are cheaper than a table */
    PART_BITS = 8,    /* digit of a part that lies in the cache */
    TOP_BITS = 11,    /* digit of the first, parallel split */
    TOP_BUCKETS = 1 << TOP_BITS,
    TOP_ITEMS = 1 << 14, /* below this one thread's cache holds everything */
    BLOCK_ITEMS = 1 << 20
};

static inline int32_t bits_of(uint64_t x)
{
    return x == 0 ? 0 : 64 - __builtin_clzll(x);
}

/* Bits of a digit that leaves some four items per bucket. */
static inline int32_t digit_bits(int64_t count, int32_t most)
{
    int32_t bits = bits_of((uint64_t)count) - 3;
    return bits < 1 ? 1 : bits > most ? most : bits;
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

#define ITEM rt_ranked
#define KEY(item) ((item).key)
#define NAMED(name) name##_ranked
#include "base/sort_body.h"
