#define _DEFAULT_SOURCE /* posix_memalign, madvise */
#include "base/alloc.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "base/sizes.h"

enum { HUGE_PAGE_BYTES = 2 << 20, HUGE_BLOCK_BYTES = 8 << 20 };

/* Countdown to the first failing allocation; negative: none fails. */
static _Atomic int64_t passing_left = -1;
static _Atomic int64_t live_blocks = 0;
static _Atomic int64_t total_calls = 0;

static int must_fail(void)
{
    int64_t left = atomic_load(&passing_left);
    if (left < 0) {
        return 0;
    }
    while (left > 0) {
        if (atomic_compare_exchange_weak(&passing_left, &left, left - 1)) {
            return 0;
        }
    }
    return left == 0;
}

static void *fresh_block(size_t bytes)
{
    bool huge = bytes >= HUGE_BLOCK_BYTES;
    void *block = NULL;
    /* posix_memalign keeps the alignment promise for any size. */
    if (posix_memalign(&block, huge ? HUGE_PAGE_BYTES : RT_ALIGNMENT,
                       bytes > 0 ? bytes : 1) != 0) {
        return NULL;
    }
#if defined(MADV_HUGEPAGE)
    if (huge) {
        (void)madvise(block, bytes, MADV_HUGEPAGE); /* advice: may be ignored */
    }
#endif
    return block;
}

rt_status rt_alloc_scratch(void **out, int64_t count, size_t item_bytes,
                           const char *where, rt_error *err)
{
    size_t bytes = 0;
    void *block = NULL;

    *out = NULL;
    if (!rt_size_array(count, item_bytes, &bytes)) {
        return rt_fail(err, RT_LIMIT, where, "%lld items of %zu bytes do not fit",
                       (long long)count, item_bytes);
    }
    atomic_fetch_add(&total_calls, 1);
    if (!must_fail()) {
        block = fresh_block(bytes);
    }
    if (block == NULL) {
        return rt_fail(err, RT_NO_MEMORY, where, "out of memory for %zu bytes", bytes);
    }
    atomic_fetch_add(&live_blocks, 1);
    *out = block;
    return RT_OK;
}

rt_status rt_alloc(void **out, int64_t count, size_t item_bytes, const char *where,
                   rt_error *err)
{
    rt_status status = rt_alloc_scratch(out, count, item_bytes, where, err);
    if (status == RT_OK) {
        memset(*out, 0, (size_t)count * item_bytes);
    }
    return status;
}

/* Pointers of other types are copied as bytes: they are not void * to the compiler. */
static void *swap_pointer(void *address, void *fresh)
{
    void *old = NULL;
    memcpy(&old, address, sizeof old);
    memcpy(address, &fresh, sizeof fresh);
    return old;
}

rt_status rt_alloc_all(const rt_block *blocks, size_t n_blocks, const char *where,
                       rt_error *err)
{
    rt_status status = RT_OK;
    for (size_t i = 0; i < n_blocks; i++) {
        void *fresh = NULL;
        if (status == RT_OK) {
            status =
                rt_alloc(&fresh, blocks[i].count, blocks[i].item_bytes, where, err);
        }
        (void)swap_pointer(blocks[i].pointer, fresh);
    }
    for (size_t i = 0; i < n_blocks && status != RT_OK; i++) {
        rt_free(swap_pointer(blocks[i].pointer, NULL));
    }
    return status;
}

rt_status rt_grow(void **block, int64_t used, int64_t count, size_t item_bytes,
                  const char *where, rt_error *err)
{
    void *larger = NULL;
    rt_status status = rt_alloc(&larger, count, item_bytes, where, err);
    if (status != RT_OK) {
        return status;
    }
    if (used > 0) {
        memcpy(larger, *block, (size_t)used * item_bytes);
    }
    rt_free(*block);
    *block = larger;
    return RT_OK;
}

void rt_free(void *block)
{
    if (block != NULL) {
        atomic_fetch_sub(&live_blocks, 1);
        free(block);
    }
}

void rt_alloc_fail_after(int64_t passing)
{
    atomic_store(&passing_left, passing);
}

int64_t rt_alloc_live(void)
{
    return atomic_load(&live_blocks);
}

int64_t rt_alloc_calls(void)
{
    return atomic_load(&total_calls);
}
