#include "base/sha256.h"
#include "gbdt/predict.h"
#include "model/read.h"
#include "model/write.h"
#include "tests/gbdt_data.h"
#include "tests/test.h"

/* A small model and its bytes. */
static rt_status make_bytes(uint8_t **data, size_t *bytes)
{
    test_table t = {0};
    test_fit fit = {.threads = 1};
    rt_status status = test_table_init(&t, 300);
    if (status == RT_OK) {
        test_fit_init(&fit, &t, 1);
        fit.params.value[RT_P_N_ESTIMATORS] = 3;
        fit.params.value[RT_P_MAX_LEAF_NODES] = 6;
        status = test_train(&fit, NULL);
    }
    if (status == RT_OK) {
        status = rt_model_write(&fit.model, data, bytes, NULL);
    }
    rt_model_clear(&fit.model);
    test_table_clear(&t);
    return status;
}

static void reading_gives_back_what_was_written(void)
{
    uint8_t *data = NULL;
    uint8_t *again = NULL;
    size_t bytes = 0;
    size_t length = 0;
    rt_model model = {0};
    TRY(make_bytes(&data, &bytes));
    TRY(rt_model_read(&model, data, bytes, NULL));
    CHECK(model.forest.n_words > 0); /* a categorical split is in it */
    CHECK(model.features[2].n_categories == TEST_LEVELS);
    TRY(rt_model_write(&model, &again, &length, NULL));
    CHECK(length == bytes && memcmp(data, again, bytes) == 0);
done:
    rt_model_clear(&model);
    rt_free(data);
    rt_free(again);
}

static bool refused(const uint8_t *data, size_t bytes)
{
    rt_model model;
    rt_status status = rt_model_read(&model, data, bytes, NULL);
    if (status == RT_OK) {
        rt_model_clear(&model);
    }
    return status == RT_CORRUPT || (status == RT_NO_MEMORY && rt_test_faulting);
}

static void every_changed_byte_and_every_truncation_is_refused(void)
{
    uint8_t *data = NULL;
    size_t bytes = 0;
    if (rt_test_faulting) {
        return;
    }
    TRY(make_bytes(&data, &bytes));
    for (size_t i = 0; i < bytes; i++) {
        uint8_t flip = (uint8_t)(1u << (i % 8));
        data[i] ^= flip;
        CHECK(refused(data, bytes));
        data[i] ^= flip;
        CHECK(refused(data, i));
    }
    CHECK(!refused(data, bytes));
done:
    rt_free(data);
}

/* What passes must be safe to use, and must write its own bytes again. */
static void use(const rt_model *model, const uint8_t *data, size_t bytes)
{
    float x[2 * TEST_FEATURES] = {NAN, 1.0f, 3.0f, -INFINITY, 1e30f, 0.0f, NAN, 11.0f};
    double p[2] = {-1.0, -1.0};
    uint8_t *again = NULL;
    size_t length = 0;
    rt_matrix matrix = {.data = (const char *)x,
                        .rows = 2,
                        .columns = TEST_FEATURES,
                        .row_bytes = TEST_FEATURES * sizeof(float),
                        .column_bytes = sizeof(float)};
    if (model->n_features == TEST_FEATURES) {
        CHECK(rt_predict(&model->forest, &matrix, 1, NULL, p, NULL) == RT_OK);
        bool label = model->forest.loss == RT_LOSS_BINARY;
        CHECK(isfinite(p[0]) && isfinite(p[1]));
        CHECK(!label || (p[0] >= 0.0 && p[0] <= 1.0 && p[1] >= 0.0 && p[1] <= 1.0));
    }
    CHECK(rt_model_write(model, &again, &length, NULL) == RT_OK);
    CHECK(length == bytes && memcmp(again, data, bytes) == 0);
    rt_free(again);
}

/* The checksum only tells accidents: with it made right again, the validator is
 * on its own. */
static void resealed_changes_are_refused_or_harmless(void)
{
    uint8_t *data = NULL;
    size_t bytes = 0;
    int32_t passed = 0;
    if (rt_test_faulting) {
        return;
    }
    TRY(make_bytes(&data, &bytes));
    for (size_t i = 0; i < bytes - RT_SHA256_BYTES; i++) {
        static const uint8_t changes[] = {0x01, 0x80, 0xff, 0x10};
        uint8_t before = data[i];
        for (size_t c = 0; c < sizeof changes; c++) {
            rt_model model;
            data[i] = before ^ changes[c];
            rt_sha256(data, bytes - RT_SHA256_BYTES, data + bytes - RT_SHA256_BYTES);
            rt_status status = rt_model_read(&model, data, bytes, NULL);
            CHECK(status == RT_OK || status == RT_CORRUPT);
            if (status == RT_OK) {
                passed++;
                use(&model, data, bytes);
                rt_model_clear(&model);
            }
        }
        data[i] = before;
    }
    CHECK(passed > 0);
done:
    rt_free(data);
}

static void bytes_of_anything_else_are_refused(void)
{
    uint8_t zeros[512] = {0};
    CHECK(refused(zeros, 0));
    CHECK(refused(zeros, sizeof zeros));
    CHECK(refused((const uint8_t *)"tree\nversion=v4\n", 16));
}

static bool is_utf8(const char *bytes, int64_t length)
{
    return rt_text_is_utf8((rt_text){bytes, length}) != 0;
}

static void only_valid_utf8_is_text(void)
{
    CHECK(is_utf8("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\x80", 14));
    CHECK(!is_utf8("\xc0\x80", 2));         /* overlong */
    CHECK(!is_utf8("\xed\xa0\x80", 3));     /* surrogate */
    CHECK(!is_utf8("\xf4\x90\x80\x80", 4)); /* beyond U+10FFFF */
    CHECK(!is_utf8("\xe2\x82", 2));         /* cut short */
    CHECK(!is_utf8("\xff", 1));
    CHECK(is_utf8("", 0));
}

static void names_and_categories_must_be_unique(void)
{
    rt_model model = {0};
    rt_error err = {0};
    TRY(test_name_features(&model, NULL));
    memcpy(model.text + model.text_start[3], "a", 1); /* "a", "a", "c", ... */
    memcpy(model.text + model.text_start[4], "a", 1);
    CHECK(rt_model_link(&model, &err) == RT_INVALID);
    CHECK(strstr(err.message, "ascending") != NULL);
done:
    rt_model_clear(&model);
}

static const rt_test tests[] = {
    {"reading gives back what was written", reading_gives_back_what_was_written},
    {"every changed byte and every truncation is refused",
     every_changed_byte_and_every_truncation_is_refused},
    {"resealed changes are refused or harmless",
     resealed_changes_are_refused_or_harmless},
    {"bytes of anything else are refused", bytes_of_anything_else_are_refused},
    {"only valid UTF-8 is text", only_valid_utf8_is_text},
    {"names and categories must be unique", names_and_categories_must_be_unique},
};

RT_TEST_MAIN(tests)
