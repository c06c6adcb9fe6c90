/* The allocator door: the core's only way to memory.
 *
 * One door means that a test can make the n-th allocation fail and see whether
 * everything behind it cleans up (csrc/tests run a second time that way), and
 * that every size is multiplied under a check. Blocks are 64-byte aligned, a
 * cache line, which the histogram kernels rely on. */
#ifndef RT_BASE_ALLOC_H
#define RT_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { RT_ALIGNMENT = 64 };

/* `count` items of `item_bytes`, zeroed; *out is NULL on failure. A count of
 * zero gives a valid block. `where` names the caller in the error. */
RT_CHECKED rt_status rt_alloc(void **out, int64_t count, size_t item_bytes,
                              const char *where, rt_error *err);

/* A line of an allocation table: the address of a pointer of any type, and what it
 * is to point to. */
typedef struct rt_block {
    void *pointer;
    int64_t count;
    size_t item_bytes;
} rt_block;

#define RT_BLOCK(pointer, count)                                                       \
    {                                                                                  \
        &(pointer), (count), sizeof *(pointer)                                         \
    }

/* A whole table by rt_alloc; on failure every pointer of it is NULL. */
RT_CHECKED rt_status rt_alloc_all(const rt_block *blocks, size_t n_blocks,
                                  const char *where, rt_error *err);

/* The same as rt_alloc without the zeroes, for what is written before it is read:
 * zeroing would touch every page once more, on one thread. From some megabytes on the
 * block asks for huge pages: a radix scatter writes to thousands of places at
 * once, more than there are TLB entries for small pages. */
RT_CHECKED rt_status rt_alloc_scratch(void **out, int64_t count, size_t item_bytes,
                                      const char *where, rt_error *err);

/* A block of `count` items that begins with the first `used` items of *block;
 * *block is untouched on failure. */
RT_CHECKED rt_status rt_grow(void **block, int64_t used, int64_t count,
                             size_t item_bytes, const char *where, rt_error *err);

/* NULL is fine. */
void rt_free(void *block);

/* Test hooks. `rt_alloc_fail_after(n)` lets n allocations pass and fails those
 * that follow until called again with -1; `rt_alloc_live()` counts blocks. */
void rt_alloc_fail_after(int64_t passing);
int64_t rt_alloc_live(void);
int64_t rt_alloc_calls(void);

#endif
