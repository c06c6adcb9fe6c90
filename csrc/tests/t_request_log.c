#define _DEFAULT_SOURCE /* mkdtemp */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/isa.h"
#include "serving/log.h"
#include "serving/read_log.h"
#include "serving/record.h"
#include "tests/gbdt_data.h"
#include "tests/test.h"

enum { ANSWERS = 40, PATH_ROOM = 512, FILE_ROOM = 1 << 20 };

static rt_text text_of(const char *text)
{
    return (rt_text){text, (int64_t)strlen(text)};
}

static void the_checksum_is_castagnolis(void)
{
    static const uint8_t zeroes[32];
    CHECK(rt_crc32c(0, "123456789", 9) == 0xe3069283U); /* RFC 3720, B.4 */
    CHECK(rt_crc32c(0, zeroes, sizeof zeroes) == 0x8a9136aaU);
    CHECK(rt_crc32c(rt_crc32c(0, "12345", 5), "6789", 4) == 0xe3069283U);
}

static void the_checksum_is_the_same_without_the_instruction(void)
{
    const rt_isa best = rt_isa_in_use();
    uint8_t bytes[100];
    for (int32_t i = 0; i < 100; i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    for (size_t n = 0; n < sizeof bytes; n++) {
        CHECK(rt_isa_force(RT_ISA_BASELINE));
        const uint32_t plain = rt_crc32c(3, bytes, n);
        CHECK(rt_isa_force(best));
        CHECK(rt_crc32c(3, bytes, n) == plain);
    }
}

static void a_record_is_read_whole_or_not_at_all(void)
{
    const double scores[] = {0.25, 0.5};
    const uint64_t units[] = {7, 9};
    const rt_record written = {.head = {.kind = RT_RECORD_ANSWER,
                                        .rows = 2,
                                        .outputs = 1,
                                        .version = 5,
                                        .previous = 4,
                                        .limit = 8},
                               .scores = (const char *)scores,
                               .units = (const char *)units,
                               .id = text_of("id"),
                               .body = text_of("body")};
    rt_record read;
    rt_dynbuf bytes;
    rt_dynbuf_init(&bytes, 1 << 16);
    TRY(rt_record_write(&bytes, &written, NULL));
    const int64_t size = bytes.size_bytes;
    const rt_text whole = {bytes.data, size};
    CHECK(rt_record_read(whole, 0, &read) == size);
    CHECK(read.body.length == 4 && memcmp(read.body.bytes, "body", 4) == 0);
    CHECK(read.id.length == 2 && memcmp(read.scores, scores, sizeof scores) == 0);
    CHECK(rt_record_answered_by(&read, 0) == 5 && rt_record_answered_by(&read, 1) == 4);
    for (int64_t cut = 0; cut < size; cut++) {
        CHECK(rt_record_read((rt_text){bytes.data, cut}, 0, &read) == 0);
        bytes.data[cut] ^= 4;
        CHECK(rt_record_read(whole, 0, &read) == 0);
        bytes.data[cut] ^= 4;
    }
done:
    rt_dynbuf_free(&bytes);
}

/* A model, two of it as arms, and a log in a folder of its own. */
typedef struct desk {
    rt_model model;
    rt_schema schema;
    _Atomic int64_t in_use;
    rt_arms arms;
    char folder[PATH_ROOM];
    int64_t counts[RT_LOG_WIDTH];
    rt_log_options options;
    rt_request_log *log;
} desk;

static rt_status desk_open(desk *d)
{
    memset(d, 0, sizeof *d);
    (void)snprintf(d->folder, sizeof d->folder, "/tmp/request_log_XXXXXX");
    CHECK(mkdtemp(d->folder) != NULL);
    d->options = (rt_log_options){.folder = d->folder,
                                  .segment_bytes = 1 << 20,
                                  .segment_ns = INT64_MAX,
                                  .queue_bytes = 1 << 20,
                                  .unsynced_bytes = 1 << 20,
                                  .counts = d->counts};
    rt_status status = test_name_features(&d->model, NULL);
    if (status == RT_OK) {
        status =
            rt_forest_init(&d->model.forest, TEST_FEATURES, RT_LOSS_BINARY, 1, NULL);
    }
    if (status == RT_OK) {
        status = rt_schema_init(&d->schema, &d->model, NULL);
    }
    d->arms = (rt_arms){.champion = &d->schema,
                        .previous = &d->schema,
                        .champion_version = 2,
                        .previous_version = 1,
                        .limit = UINT64_MAX / 2,
                        .in_use = &d->in_use};
    return status;
}

static rt_status desk_answer(desk *d, const char *unit, const char *level)
{
    char body[PATH_ROOM];
    rt_dynbuf answer;
    rt_dynbuf_init(&answer, 1 << 16);
    (void)snprintf(body, sizeof body,
                   "{\"inputs\": {\"number\": 1, \"gaps\": null, \"level\": \"%s\", "
                   "\"constant\": 4, \"extreme\": 5, \"who\": \"row %s\"}}",
                   level, unit);
    rt_request request = {.kind = RT_BODY_JSON,
                          .body = text_of(body),
                          .unit = text_of(unit),
                          .id = text_of(unit),
                          .most_rows = 1,
                          .log = d->log};
    rt_status status = rt_request_answer(&d->arms, &request, &answer, NULL);
    rt_dynbuf_free(&answer);
    return status;
}

static void desk_close(desk *d)
{
    rt_log_free(d->log);
    DIR *folder = opendir(d->folder);
    struct dirent *entry = folder != NULL ? readdir(folder) : NULL;
    while (entry != NULL) {
        char path[2 * PATH_ROOM];
        (void)snprintf(path, sizeof path, "%s/%s", d->folder, entry->d_name);
        (void)unlink(path);
        entry = readdir(folder);
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    (void)rmdir(d->folder);
    rt_schema_clear(&d->schema);
    rt_model_clear(&d->model);
}

/* The segments of the folder, one behind the other. */
static rt_text desk_read(const desk *d, char room[FILE_ROOM])
{
    rt_text all = {room, 0};
    DIR *folder = opendir(d->folder);
    struct dirent *entry = folder != NULL ? readdir(folder) : NULL;
    for (; entry != NULL; entry = readdir(folder)) {
        char path[2 * PATH_ROOM];
        if (strstr(entry->d_name, ".log") == NULL) {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/%s", d->folder, entry->d_name);
        FILE *file = fopen(path, "rb");
        CHECK(file != NULL);
        if (file != NULL) {
            all.length += (int64_t)fread(room + all.length, 1,
                                         (size_t)(FILE_ROOM - all.length), file);
            (void)fclose(file);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return all;
}

static char room[FILE_ROOM];

static void answers_are_in_the_log_and_scored_by_the_other_model(void)
{
    desk d;
    rt_log_totals totals;
    char unit[16];
    int64_t by_previous = 0;
    TRY(desk_open(&d));
    TRY(rt_log_open(&d.log, &d.options, NULL));
    for (int32_t i = 0; i < ANSWERS; i++) {
        (void)snprintf(unit, sizeof unit, "%d", i);
        TRY(desk_answer(&d, unit, "a"));
    }
    rt_log_scan(desk_read(&d, room), &totals);
    CHECK(totals.answer_rows == d.counts[RT_LOG_LOGGED]); /* before anything ends */
    rt_log_stop(d.log);
    CHECK(d.in_use == 0);
    CHECK(d.counts[RT_LOG_LOGGED] + d.counts[RT_LOG_DROPPED] == ANSWERS);
    if (!rt_test_faulting) {
        const rt_text segment = desk_read(&d, room);
        rt_record record;
        CHECK(d.counts[RT_LOG_LOGGED] == ANSWERS && d.counts[RT_LOG_TROUBLES] == 0);
        CHECK(d.counts[RT_LOG_SHADOW_ROWS] == ANSWERS + (ANSWERS + 15) / 16);
        rt_log_scan(segment, &totals);
        CHECK(totals.sound_bytes == segment.length);
        CHECK(segment.length == d.counts[RT_LOG_BYTES]);
        CHECK(totals.shadow_rows == d.counts[RT_LOG_SHADOW_ROWS]);
        for (int64_t at = 0; at < segment.length;) {
            at += rt_record_read(segment, at, &record);
            if (record.head.kind == RT_RECORD_ANSWER) {
                by_previous += rt_record_answered_by(&record, 0) == 1 ? 1 : 0;
            }
        }
        CHECK(by_previous > ANSWERS / 5 && by_previous < 4 * ANSWERS / 5);
    }
done:
    desk_close(&d);
}

static void what_overflows_drops_the_shadow_first(void)
{
    desk d;
    TRY(desk_open(&d));
    d.options.unsynced_bytes = 0;
    TRY(rt_log_open(&d.log, &d.options, NULL));
    TRY(desk_answer(&d, "1", "a"));
    CHECK(rt_test_faulting ||
          (d.counts[RT_LOG_LOGGED] == 1 && d.counts[RT_LOG_SHADOW_DROPPED] == 1));
    rt_log_free(d.log);
    d.log = NULL;
    d.options.unsynced_bytes = -1;
    TRY(rt_log_open(&d.log, &d.options, NULL));
    TRY(desk_answer(&d, "1", "a"));
    CHECK(d.counts[RT_LOG_DROPPED] >= 1);
    rt_log_stop(d.log);
    TRY(desk_answer(&d, "2", "a"));
    CHECK(d.counts[RT_LOG_DROPPED] >= 2);
done:
    desk_close(&d);
}

static void a_folder_that_is_gone_drops_records_alone(void)
{
    desk d;
    TRY(desk_open(&d));
    (void)rmdir(d.folder);
    TRY(rt_log_open(&d.log, &d.options, NULL));
    TRY(desk_answer(&d, "1", "a"));
    CHECK(d.counts[RT_LOG_DROPPED] == 1 && d.counts[RT_LOG_TROUBLES] >= 1);
done:
    desk_close(&d);
}

/* The columns of a log: the model's, and the id. */
static rt_status open_columns(rt_model *model, rt_schema *schema, rt_levels levels[6])
{
    static const char names[] = "numbergapslevelconstantextremewho";
    static const int32_t lengths[] = {6, 4, 5, 8, 7, 3};
    rt_status status = rt_model_init(model, 6, 6, sizeof names - 1, NULL);
    for (int32_t f = 0; f < 6 && status == RT_OK; f++) {
        model->text_start[f + 1] = model->text_start[f] + lengths[f];
        model->features[f].kind = f == 2 || f == 5 ? RT_CATEGORICAL : RT_NUMERIC;
    }
    if (status == RT_OK) {
        memcpy(model->text, names, sizeof names - 1);
        status = rt_model_link(model, NULL);
    }
    for (int32_t f = 0; f < 6; f++) {
        rt_levels_init(&levels[f]);
    }
    if (status == RT_OK) {
        status = rt_schema_init(schema, model, NULL);
    }
    schema->levels = levels;
    schema->last_is_optional = true;
    return status;
}

static void a_segment_is_read_by_columns(void)
{
    rt_levels levels[6] = {{.count = 0}};
    rt_model model = {0};
    rt_schema columns = {0};
    rt_log_totals totals;
    int64_t numbers[RT_LOG_NUMBERS * 4];
    int64_t shadow_numbers[RT_LOG_NUMBERS * 16];
    double scores[16];
    double x[4 * 6];
    int64_t unread = 0;
    desk d;
    TRY(desk_open(&d));
    TRY(rt_log_open(&d.log, &d.options, NULL));
    TRY(desk_answer(&d, "0", "a"));
    TRY(desk_answer(&d, "1", "unheard of"));
    TRY(desk_answer(&d, "2", "a"));
    rt_log_stop(d.log);
    TRY(open_columns(&model, &columns, levels));
    const rt_text segment = desk_read(&d, room);
    rt_log_scan((rt_text){segment.bytes, segment.length - 1}, &totals);
    CHECK(rt_test_faulting || totals.sound_bytes < segment.length - 1);
    rt_log_scan(segment, &totals);
    CHECK(totals.answer_rows <= 3 && totals.shadow_rows <= 4);
    rt_log_rows answers = {
        .numbers = numbers, .scores = scores, .x = x, .rows = totals.answer_rows};
    rt_log_rows shadows = {
        .numbers = shadow_numbers, .scores = scores + 4, .rows = totals.shadow_rows};
    TRY(rt_log_read(segment, &totals, &columns, &answers, &shadows, &unread, NULL));
    if (!rt_test_faulting) {
        CHECK(answers.done == 3 && shadows.done == 4 && unread == 0);
        CHECK(x[0] == 1.0 && isnan(x[1]) && x[4] == 5.0);
        CHECK(x[2] == 0.0 && x[6 + 2] == 1.0 && x[12 + 2] == 0.0);
        CHECK(x[5] == 0.0 && x[6 + 5] == 1.0 && x[12 + 5] == 2.0);
        CHECK(strcmp(rt_dynbuf_text(&levels[2].text), "aunheard of") == 0);
        CHECK(strcmp(rt_dynbuf_text(&levels[5].text), "row 0row 1row 2") == 0);
        CHECK(numbers[RT_LOG_SEQUENCE * 3 + 2] == 2);
    }
done:
    for (int32_t f = 0; f < 6; f++) {
        rt_levels_clear(&levels[f]);
    }
    rt_schema_clear(&columns);
    rt_model_clear(&model);
    desk_close(&d);
}

static void levels_are_numbered_as_they_come(void)
{
    rt_levels levels;
    char text[16];
    rt_levels_init(&levels);
    for (int32_t round = 0; round < 2; round++) {
        for (int32_t i = 0; i < 1000; i++) {
            (void)snprintf(text, sizeof text, "level %d", i);
            const double number = rt_levels_number(&levels, text_of(text));
            CHECK(number == i || (isnan(number) && levels.status == RT_NO_MEMORY));
        }
    }
    rt_levels_clear(&levels);
}

static const rt_test tests[] = {
    {"the_checksum_is_castagnolis", the_checksum_is_castagnolis},
    {"the_checksum_is_the_same_without_the_instruction",
     the_checksum_is_the_same_without_the_instruction},
    {"a_record_is_read_whole_or_not_at_all", a_record_is_read_whole_or_not_at_all},
    {"answers_are_in_the_log_and_scored_by_the_other_model",
     answers_are_in_the_log_and_scored_by_the_other_model},
    {"what_overflows_drops_the_shadow_first", what_overflows_drops_the_shadow_first},
    {"a_folder_that_is_gone_drops_records_alone",
     a_folder_that_is_gone_drops_records_alone},
    {"a_segment_is_read_by_columns", a_segment_is_read_by_columns},
    {"levels_are_numbered_as_they_come", levels_are_numbered_as_they_come},
};

RT_TEST_MAIN(tests)
