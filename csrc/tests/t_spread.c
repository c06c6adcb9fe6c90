#define _GNU_SOURCE
#include <omp.h>
#include <sched.h>

#include "parallel/placement.h"
#include "tests/test.h"

#if defined(__linux__)
/* One thread that takes a processor twice meets itself, and moves; what the process may
 * use stays as it was. */
static void who_meets_another_moves(void)
{
    rt_spread spread = {0};
    cpu_set_t before, after;
    CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
    rt_spread_take(&spread);
    int32_t taken = 0;
    for (int32_t i = 0; i < RT_SPREAD_WORDS; i++) {
        taken += __builtin_popcountll(spread.taken[i]);
    }
    CHECK(taken == 1);
    rt_spread_take(&spread);
    CHECK(sched_getaffinity(0, sizeof after, &after) == 0);
    CHECK(CPU_EQUAL(&before, &after));
    taken = 0;
    for (int32_t i = 0; i < RT_SPREAD_WORDS; i++) {
        taken += __builtin_popcountll(spread.taken[i]);
    }
    CHECK(taken == (CPU_COUNT(&before) > 1 ? 2 : 1));
}

/* More threads than processors, and than the process may use. */
static void a_crowd_shares(void)
{
    cpu_set_t before, one;
    const int here = sched_getcpu();
    CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
    rt_spread_team(1);
    rt_spread_team(9);
    CPU_ZERO(&one);
    CPU_SET((size_t)here, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    rt_spread_team(3);
    CHECK(sched_getcpu() == here);
    CHECK(sched_setaffinity(0, sizeof before, &before) == 0);
}
#else
static void who_meets_another_moves(void)
{
}

static void a_crowd_shares(void)
{
    rt_spread_team(9);
}
#endif

/* The next region has the threads that were asked for, not one more. */
static void the_team_is_as_large_as_asked_for(void)
{
    int32_t size = 0;
    rt_spread_team(3);
#pragma omp parallel num_threads(3) default(none) shared(size)
    {
#pragma omp single
        size = omp_get_num_threads();
    }
    CHECK(size == 3);
}

static const rt_test tests[] = {
    {"who meets another moves, and is not bound", who_meets_another_moves},
    {"a crowd shares what there is", a_crowd_shares},
    {"the team is as large as asked for", the_team_is_as_large_as_asked_for},
};

RT_TEST_MAIN(tests)
