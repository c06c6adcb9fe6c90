#include <string.h>

#include "base/philox.h"
#include "evaluation/cells.h"
#include "parallel/task.h"
#include "tests/test.h"

enum { ROWS = 2000, DAYS = 4, LEVELS = 3, COUNTS = DAYS * LEVELS * RT_CELLS };

typedef struct cells_call {
    rt_joint_rows rows;
    int32_t n_threads;
    int64_t *counts;
} cells_call;

static rt_status run_cells(void *argument, rt_error *err)
{
    cells_call *call = argument;
    return rt_joint_cells(&call->rows, call->n_threads, NULL, call->counts, err);
}

static void each_row_lands_in_its_cell(void)
{
    for (uint8_t cell = 0; cell < RT_CELLS; cell++) {
        const int32_t day = 1;
        const int32_t level = 2;
        const uint8_t y = cell >> 2;
        const uint8_t champion = (cell >> 1) & 1;
        const uint8_t challenger = cell & 1;
        int64_t counts[COUNTS] = {0};
        cells_call call = {
            {&day, &y, &champion, &challenger, 1, DAYS, 1, {&level}, {LEVELS}},
            1,
            counts};
        TRY(rt_task_run(run_cells, &call, NULL));
        CHECK(counts[(1 * LEVELS + 2) * RT_CELLS + cell] == 1);
    }
done:;
}

static int32_t day[ROWS];
static int32_t level[ROWS];
static uint8_t bits[3][ROWS];

static rt_joint_rows random_rows(void)
{
    static uint32_t words[ROWS];
    rt_philox_fill(1, 2, 0, ROWS, words);
    for (int i = 0; i < ROWS; i++) {
        day[i] = (int32_t)(words[i] % DAYS);
        level[i] = (int32_t)(words[i] / DAYS % LEVELS);
        for (int k = 0; k < 3; k++) {
            bits[k][i] = (words[i] >> (20 + k)) & 1;
        }
    }
    return (rt_joint_rows){day,  bits[0], bits[1], bits[2], ROWS,
                           DAYS, 1,       {level}, {LEVELS}};
}

static void any_team_gives_the_same_cells(void)
{
    int64_t counts[2][COUNTS];
    const int32_t teams[] = {1, 2, 3, 7};
    for (int i = 0; i < 4; i++) {
        cells_call call = {random_rows(), teams[i], counts[i > 0]};
        TRY(rt_task_run(run_cells, &call, NULL));
        CHECK(memcmp(counts[0], counts[i > 0], sizeof counts[0]) == 0);
    }
done:;
}

/* The cube of two columns, summed over the second, is the table of the first. */
static void a_cube_rolls_up_to_its_columns(void)
{
    static int64_t cube[COUNTS * DAYS];
    int64_t table[COUNTS];
    rt_joint_rows rows = random_rows();
    cells_call single = {rows, 1, table};
    rows.n_columns = 2;
    rows.level[1] = day; /* any column of small numbers will do */
    rows.n_levels[1] = DAYS;
    cells_call both = {rows, 3, cube};
    TRY(rt_task_run(run_cells, &single, NULL));
    TRY(rt_task_run(run_cells, &both, NULL));
    for (int i = 0; i < DAYS * LEVELS; i++) {
        for (int cell = 0; cell < RT_CELLS; cell++) {
            int64_t sum = 0;
            for (int second = 0; second < DAYS; second++) {
                sum += cube[(i * DAYS + second) * RT_CELLS + cell];
            }
            CHECK(sum == table[i * RT_CELLS + cell]);
        }
    }
done:;
}

static void refuse(const rt_joint_rows *rows, const char *message)
{
    int64_t counts[COUNTS];
    rt_error err = {0};
    cells_call call = {*rows, 3, counts};
    rt_status status = rt_task_run(run_cells, &call, &err);
    if (status == RT_NO_MEMORY && rt_test_faulting) {
        return;
    }
    CHECK(status == RT_INVALID);
    CHECK(strcmp(err.message, message) == 0);
}

static void a_bad_row_is_named_with_its_argument(void)
{
    rt_joint_rows rows = random_rows();
    bits[2][1900] = 255;
    refuse(&rows, "challenger[1900] is 255, it must lie in 0..1");
    bits[1][1800] = 2;
    refuse(&rows, "champion[1800] is 2, it must lie in 0..1");
    bits[0][1700] = 3;
    refuse(&rows, "y[1700] is 3, it must lie in 0..1");
    level[20] = -1;
    refuse(&rows, "level[20] is -1, it must lie in 0..2");
    day[7] = DAYS;
    refuse(&rows, "day[7] is 4, it must lie in 0..3");
}

static void impossible_sizes_are_refused(void)
{
    rt_joint_rows rows = random_rows();
    int64_t counts[1];
    rows.n_levels[0] = 1 << 20;
    rows.n_days = INT32_MAX;
    CHECK(rt_joint_cells(&rows, 1, NULL, counts, NULL) == RT_LIMIT);
    rows.n_levels[0] = -1;
    CHECK(rt_joint_cells(&rows, 1, NULL, counts, NULL) == RT_INVALID);
    rows.n_levels[0] = 1;
    rows.n_days = 1;
    CHECK(rt_joint_cells(&rows, -1, NULL, counts, NULL) == RT_INVALID);
}

static const rt_test tests[] = {
    {"each row lands in its cell", each_row_lands_in_its_cell},
    {"any team gives the same cells", any_team_gives_the_same_cells},
    {"a cube rolls up to its columns", a_cube_rolls_up_to_its_columns},
    {"a bad row is named with its argument", a_bad_row_is_named_with_its_argument},
    {"impossible sizes are refused", impossible_sizes_are_refused},
};

RT_TEST_MAIN(tests)
