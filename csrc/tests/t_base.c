#include "base/limits.h"
#include "base/ranges.h"
#include "parallel/task.h"
#include "parallel/threads.h"
#include "tests/test.h"

#include <string.h>

static void allocation_refuses_sizes_that_wrap(void)
{
    void *block = NULL;
    rt_error err = {0};
    CHECK(rt_alloc(&block, INT64_MAX, 8, "here", &err) == RT_LIMIT);
    CHECK(block == NULL);
    CHECK(strcmp(err.where, "here") == 0);
    CHECK(rt_alloc(&block, -1, 8, "here", &err) == RT_LIMIT);
}

static void growing_keeps_what_was_there(void)
{
    void *block = NULL;
    TRY(rt_alloc(&block, 3, sizeof(int32_t), "test", NULL));
    memcpy(block, (int32_t[]){7, 8, 9}, 3 * sizeof(int32_t));
    TRY(rt_grow(&block, 3, 5, sizeof(int32_t), "test", NULL));
    CHECK(((int32_t *)block)[2] == 9);
    CHECK(((int32_t *)block)[4] == 0);
    CHECK((uintptr_t)block % RT_ALIGNMENT == 0);
done:
    rt_free(block);
}

static rt_status fail_with_argument(void *argument, rt_error *err)
{
    return rt_fail(err, RT_INVALID, "fail_with_argument", "%s", (char *)argument);
}

static void a_task_hands_over_status_and_error(void)
{
    char text[] = "the body's own words";
    rt_error err = {0};
    rt_status status = rt_task_run(fail_with_argument, text, &err);
    if (status == RT_NO_MEMORY && rt_test_faulting) {
        return;
    }
    CHECK(status == RT_INVALID);
    CHECK(strcmp(err.message, text) == 0);
    CHECK(strcmp(rt_status_name(status), "invalid") == 0);
}

static void threads_are_at_least_one(void)
{
    CHECK(rt_default_threads() >= 1);
    CHECK(rt_resolve_threads(7) == 7);
    CHECK(rt_resolve_threads(0) == rt_default_threads());
    CHECK(rt_useful_threads(0, 10, 100) == 1);
    CHECK(rt_useful_threads(5, 10, 100) == 5);
}

static void a_thread_count_out_of_range_is_refused(void)
{
    rt_error err = {0};
    CHECK(rt_check_threads(0, "here", &err) == RT_OK);
    CHECK(rt_check_threads(RT_MAX_THREADS, "here", &err) == RT_OK);
    CHECK(rt_check_threads(-1, "here", &err) == RT_INVALID);
    CHECK(rt_check_threads(RT_MAX_THREADS + 1, "here", &err) == RT_INVALID);
    CHECK(strcmp(err.message, "n_threads is 1025, it must lie in 0..1024") == 0);
}

/* The ranges follow each other, from 0 to all, none larger by more than one. */
static void ranges_cover_every_item_once(void)
{
    static const int64_t counts[] = {0, 1, 6, 7, 1000, INT64_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        CHECK(rt_range_begin(counts[i], 0, 7) == 0);
        CHECK(rt_range_begin(counts[i], 7, 7) == counts[i]);
        for (int32_t rank = 0; rank < 7; rank++) {
            int64_t size = rt_range_begin(counts[i], rank + 1, 7) -
                           rt_range_begin(counts[i], rank, 7);
            CHECK(size == counts[i] / 7 || size == counts[i] / 7 + 1);
        }
    }
}

/* A table is whole or nothing, and an empty block is a block. */
static void a_table_is_allocated_whole_or_not_at_all(void)
{
    int32_t *numbers = NULL;
    double *empty = NULL;
    char *huge = NULL;
    const rt_block good[] = {RT_BLOCK(numbers, 3), RT_BLOCK(empty, 0)};
    const rt_block bad[] = {RT_BLOCK(numbers, 3), {&huge, INT64_MAX, 8}};
    CHECK(rt_alloc_all(bad, 2, "test", NULL) != RT_OK);
    CHECK(numbers == NULL && huge == NULL);
    TRY(rt_alloc_all(good, 2, "test", NULL));
    CHECK(numbers[0] == 0 && numbers[2] == 0);
    CHECK(empty != NULL);
done:
    rt_free(numbers);
    rt_free(empty);
}

static const rt_test tests[] = {
    {"allocation refuses sizes that wrap", allocation_refuses_sizes_that_wrap},
    {"growing keeps what was there", growing_keeps_what_was_there},
    {"a task hands over status and error", a_task_hands_over_status_and_error},
    {"threads are at least one", threads_are_at_least_one},
    {"a thread count out of range is refused", a_thread_count_out_of_range_is_refused},
    {"ranges cover every item once", ranges_cover_every_item_once},
    {"a table is allocated whole or not at all",
     a_table_is_allocated_whole_or_not_at_all},
};

RT_TEST_MAIN(tests)
