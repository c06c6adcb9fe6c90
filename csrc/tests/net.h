/* jansson's memory comes through the allocator door too, so that a failing
 * allocation of its own is among the faults a test goes through. */
#ifndef RT_TESTS_NET_H
#define RT_TESTS_NET_H

#include <jansson.h>

#include "tests/test.h"

static inline void *door(size_t bytes)
{
    void *block = NULL;
    return rt_alloc(&block, (int64_t)bytes, 1, "jansson", NULL) == RT_OK ? block : NULL;
}

/* NULL only when an allocation was told to fail. */
static inline json_t *parse(const char *text)
{
    json_set_alloc_funcs(door, rt_free);
    json_t *value = json_loads(text, 0, NULL);
    CHECK(value != NULL || rt_test_faulting);
    return value;
}

#endif
