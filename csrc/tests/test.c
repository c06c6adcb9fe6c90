#include "tests/test.h"

int rt_test_failures = 0;
bool rt_test_faulting = false;

enum { MAX_FAULT_POINTS = 400 };

/* Long tests make thousands of allocations: beyond the first hundred, every
 * fault point costs a whole run, so they are thinned evenly. */
static int64_t next_point(int64_t point, int64_t calls)
{
    int64_t step = point < 100 ? 1 : 1 + calls / MAX_FAULT_POINTS;
    return point + step;
}

static int64_t run_under_faults(const rt_test *test, int64_t calls)
{
    int64_t rounds = 0;
    rt_test_faulting = true;
    for (int64_t point = 0; point < calls; point = next_point(point, calls)) {
        int64_t live = rt_alloc_live();
        rt_alloc_fail_after(point);
        test->run();
        rt_alloc_fail_after(-1);
        if (rt_alloc_live() != live) {
            rt_test_failures++;
            fprintf(stderr, "%s: leaks when allocation %lld fails\n", test->name,
                    (long long)point);
        }
        rounds++;
    }
    rt_test_faulting = false;
    return rounds;
}

static bool run_test(const rt_test *test)
{
    int before = rt_test_failures;
    int64_t live = rt_alloc_live();
    int64_t calls = rt_alloc_calls();
    test->run();
    calls = rt_alloc_calls() - calls;
    if (rt_alloc_live() != live) {
        rt_test_failures++;
        fprintf(stderr, "%s: leaks\n", test->name);
    }
    int64_t rounds = run_under_faults(test, calls);
    bool passed = rt_test_failures == before;
    printf("%s %s (%lld failing allocations)\n", passed ? "ok    " : "FAILED",
           test->name, (long long)rounds);
    return passed;
}

int rt_test_main(const rt_test *tests, int count)
{
    int failed = 0;
    for (int i = 0; i < count; i++) {
        failed += run_test(&tests[i]) ? 0 : 1;
    }
    printf("%d passed, %d failed\n", count - failed, failed);
    return failed > 0;
}
