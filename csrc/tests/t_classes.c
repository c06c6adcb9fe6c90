#include <string.h>

#include "base/philox.h"
#include "evaluation/classes.h"
#include "parallel/task.h"
#include "tests/test.h"

enum {
    ROWS = 500,
    DAYS = 3,
    LEVELS = 2,
    K = 4,
    TABLE = DAYS * LEVELS * RT_CLASS_TABLES * K * K
};

static int32_t day[ROWS];
static int32_t level[ROWS];
static uint8_t y[ROWS];
static uint8_t champion[ROWS];
static uint8_t challenger[ROWS];

static rt_class_rows random_rows(void)
{
    static uint32_t words[ROWS];
    rt_philox_fill(8, 1, 0, ROWS, words);
    for (int i = 0; i < ROWS; i++) {
        day[i] = (int32_t)(words[i] % DAYS);
        level[i] = (int32_t)(words[i] / 7 % LEVELS);
        y[i] = (uint8_t)(words[i] / 64 % K);
        champion[i] = (uint8_t)(words[i] / 1024 % K);
        challenger[i] = (uint8_t)(words[i] / 65536 % K);
    }
    return (rt_class_rows){.day = day,
                           .level = level,
                           .y = y,
                           .champion = champion,
                           .challenger = challenger,
                           .n_rows = ROWS,
                           .n_days = DAYS,
                           .n_levels = LEVELS,
                           .n_classes = K};
}

typedef struct classes_call {
    rt_class_rows rows;
    int32_t n_threads;
    int64_t counts[TABLE];
} classes_call;

static rt_status run(void *argument, rt_error *err)
{
    classes_call *c = argument;
    return rt_count_classes(&c->rows, c->n_threads, NULL, c->counts, err);
}

static void tables_are_those_of_the_definitions(void)
{
    static int64_t expected[DAYS * LEVELS][RT_CLASS_TABLES][K][K];
    classes_call c = {random_rows(), 2, {0}};
    memset(expected, 0, sizeof expected);
    TRY(rt_task_run(run, &c, NULL));
    for (int i = 0; i < ROWS; i++) {
        int64_t(*of)[K][K] = expected[day[i] * LEVELS + level[i]];
        of[RT_CLASSES_OLD][y[i]][champion[i]]++;
        of[RT_CLASSES_NEW][y[i]][challenger[i]]++;
        of[RT_CLASSES_SAID][champion[i]][challenger[i]]++;
        if (challenger[i] == y[i]) {
            of[RT_CLASSES_FIXED][y[i]][champion[i]]++;
        }
        if (champion[i] == y[i]) {
            of[RT_CLASSES_KEPT][y[i]][challenger[i]]++;
        }
    }
    CHECK(memcmp(expected, c.counts, sizeof expected) == 0);
done:;
}

static void any_team_gives_the_same_counts(void)
{
    static const int32_t teams[] = {2, 3, 7};
    classes_call first = {random_rows(), 1, {0}};
    classes_call other = first;
    TRY(rt_task_run(run, &first, NULL));
    for (size_t i = 0; i < sizeof teams / sizeof teams[0]; i++) {
        other.n_threads = teams[i];
        TRY(rt_task_run(run, &other, NULL));
        CHECK(memcmp(first.counts, other.counts, sizeof first.counts) == 0);
    }
done:;
}

static void refuse(classes_call *c, const char *message)
{
    rt_error err = {RT_OK, NULL, ""};
    const rt_status status = rt_task_run(run, c, &err);
    CHECK((rt_test_faulting && status == RT_NO_MEMORY) ||
          (status != RT_OK && strstr(err.message, message) != NULL));
}

static void a_bad_row_is_named_with_its_argument(void)
{
    classes_call c = {random_rows(), 1, {0}};
    challenger[400] = K;
    refuse(&c, "challenger[400] is 4, it must lie in 0..3");
    champion[300] = 255;
    refuse(&c, "champion[300] is 255");
    y[250] = K;
    refuse(&c, "y[250] is 4");
    level[200] = LEVELS;
    refuse(&c, "level[200] is 2, it must lie in 0..1");
    day[100] = -1;
    refuse(&c, "day[100] is -1, it must lie in 0..2");
    c.rows.n_classes = 0;
    refuse(&c, "there are 0 classes, not 1 to 256");
    c.rows.n_classes = 256;
    c.rows.n_days = 1000;
    refuse(&c, "pass the limit");
    c.rows.n_days = -1;
    refuse(&c, "neither can be negative");
}

static void no_rows_are_fine(void)
{
    classes_call c = {random_rows(), 3, {0}};
    c.rows.n_rows = 0;
    TRY(rt_task_run(run, &c, NULL));
    for (int i = 0; i < TABLE; i++) {
        CHECK(c.counts[i] == 0);
    }
done:;
}

static const rt_test tests[] = {
    {"tables are those of the definitions", tables_are_those_of_the_definitions},
    {"any team gives the same counts", any_team_gives_the_same_counts},
    {"a bad row is named with its argument", a_bad_row_is_named_with_its_argument},
    {"no rows are fine", no_rows_are_fine},
};

RT_TEST_MAIN(tests)
