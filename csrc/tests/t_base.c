#include "base/sizes.h"
#include "parallel/task.h"
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
}

static const rt_test tests[] = {
    {"allocation refuses sizes that wrap", allocation_refuses_sizes_that_wrap},
    {"growing keeps what was there", growing_keeps_what_was_there},
    {"a task hands over status and error", a_task_hands_over_status_and_error},
    {"threads are at least one", threads_are_at_least_one},
};

RT_TEST_MAIN(tests)
