#define _POSIX_C_SOURCE 200809L /* nanosleep, alarm */
/* Who does which rows, and how a team waits for its own. */
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "parallel/team.h"
#include "tests/test.h"

enum { ROWS_MAX = 40000 };

/* How many rows of [0, rows) have not yet been met, batch after batch of this rank. */
static int64_t walk(rt_team team, int64_t rows, uint8_t *met)
{
    int64_t own = 0;
    int64_t last = 0;
    for (rt_batch batch = rt_batch_first(team, rows); batch.begin < batch.end;
         batch = rt_batch_next(batch)) {
        CHECK(batch.begin >= last && batch.end <= rows);
        CHECK(batch.end - batch.begin <= RT_TEAM_BATCH);
        last = batch.end;
        for (int64_t row = batch.begin; row < batch.end; row++) {
            own += met[row] == 0 ? 1 : 0;
            met[row] = 1;
        }
    }
    return own;
}

static void every_row_belongs_to_one_rank(void)
{
    static const int64_t counts[] = {1, 255, 256, 257, 4095, 9999, ROWS_MAX};
    static uint8_t met[ROWS_MAX];
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (int32_t size = 1; size <= 17; size++) {
            int64_t before = 0;
            memset(met, 0, sizeof met);
            for (int32_t rank = 0; rank < size; rank++) {
                const rt_team team = {rank, size, NULL};
                CHECK(rt_team_before(team, counts[i]) == before);
                before += walk(team, counts[i], met);
            }
            CHECK(before == counts[i]);
        }
    }
}

/* Any eighth of the rows, as a split on what they are sorted by would cut them out. */
static void every_rank_has_some_of_what_is_sorted(void)
{
    const int64_t rows = 1000000;
    for (int64_t part = 0; part < 8; part++) {
        for (int32_t rank = 0; rank < 4; rank++) {
            int64_t own = 0;
            for (rt_batch batch = rt_batch_first((rt_team){rank, 4, NULL}, rows);
                 batch.begin < batch.end; batch = rt_batch_next(batch)) {
                own += batch.begin * 8 / rows == part ? batch.end - batch.begin : 0;
            }
            CHECK(own > rows / 8 / 4 / 2);
        }
    }
}

static void nap(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

typedef struct meeting {
    rt_barrier barrier;
    int32_t times, slept;
} meeting;

static void *arrive_early(void *argument)
{
    meeting *m = argument;
    for (int32_t i = 0; i < m->times; i++) {
        m->slept += rt_barrier_wait(&m->barrier, 2) ? 1 : 0;
    }
    return NULL;
}

/* Longer than anybody spins: the other sleeps and has to be woken. */
static void who_sleeps_at_a_barrier_is_woken(void)
{
    meeting m = {.times = 20};
    pthread_t other;
    (void)alarm(60); /* who is not woken would wait for ever */
    rt_barrier_init(&m.barrier);
    CHECK(pthread_create(&other, NULL, arrive_early, &m) == 0);
    for (int32_t i = 0; i < m.times; i++) {
        nap();
        (void)rt_barrier_wait(&m.barrier, 2);
    }
    CHECK(pthread_join(other, NULL) == 0);
    CHECK(m.slept > m.times / 2);
    rt_barrier_destroy(&m.barrier);
    (void)alarm(0);
}

static const rt_test tests[] = {
    {"every row belongs to one rank", every_row_belongs_to_one_rank},
    {"every rank has some of what is sorted", every_rank_has_some_of_what_is_sorted},
    {"who sleeps at a barrier is woken", who_sleeps_at_a_barrier_is_woken},
};

RT_TEST_MAIN(tests)
