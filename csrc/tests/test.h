/* The whole test framework: checks that print where they failed, and a runner
 * that repeats every test under an allocator failing at its 1st, 2nd, ... call
 * until the test passes untouched. A test must survive that: it may return
 * early when a call gives RT_NO_MEMORY, but may neither crash nor leak. */
#ifndef RT_TESTS_TEST_H
#define RT_TESTS_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/status.h"

extern int rt_test_failures;
extern bool rt_test_faulting; /* an allocation of this round was told to fail */

#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition)) {                                                            \
            rt_test_failures++;                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
        }                                                                              \
    } while (0)

/* A call that must succeed, unless this round makes allocations fail: then it
 * must say so, and the test goes to its `done` label to clean up. */
#define TRY(call)                                                                      \
    do {                                                                               \
        rt_status try_status = (call);                                                 \
        if (try_status == RT_NO_MEMORY && rt_test_faulting) {                          \
            goto done;                                                                 \
        }                                                                              \
        CHECK(try_status == RT_OK);                                                    \
        if (try_status != RT_OK) {                                                     \
            goto done;                                                                 \
        }                                                                              \
    } while (0)

typedef struct rt_test {
    const char *name;
    void (*run)(void);
} rt_test;

/* Runs each test once whole, then once per allocation it makes with that one
 * and all later ones failing. Prints "N passed, M failed"; returns M > 0. */
int rt_test_main(const rt_test *tests, int count);

#define RT_TEST_MAIN(tests)                                                            \
    int main(void)                                                                     \
    {                                                                                  \
        return rt_test_main(tests, (int)(sizeof(tests) / sizeof((tests)[0])));         \
    }

#endif
