/* The file, part by part (docs/model-format.md). Every part is an array whose
 * length the header names, so the whole length is known before anything is
 * believed. */
#ifndef RT_MODEL_LAYOUT_H
#define RT_MODEL_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sha256.h"
#include "base/sizes.h"
#include "gbdt/params.h"
#include "linear/fit.h"

enum {
    RT_MAGIC_BYTES = 8,
    RT_HEADER_BYTES = 88, /* before the parameters */
    RT_PARAM_BYTES = 8,
    RT_LINEAR_OBJECTIVE = 16, /* what an rt_linear_loss has added to it */
    RT_FEATURE_BYTES = 8,
    RT_LENGTH_BYTES = 4,
    RT_NODE_BYTES = 48,
    RT_WORD_BYTES = 8,
    RT_SCORE_BYTES = 8
};

/* Not text, and damaged by any newline or 7-bit conversion on the way. */
static const uint8_t rt_model_magic[RT_MAGIC_BYTES] = {0x89, 'R',  'T',  'M',
                                                       '\r', '\n', 0x1a, '\n'};

/* A linear model has a fill for each feature and slopes of all outputs, and may have
 * what learning goes on from; the others have trees. */
typedef struct rt_counts {
    int64_t features, trees, texts, text_bytes, nodes, words, outputs;
    int64_t params, fills, slopes, memory;
    rt_linear_memory kind; /* of the memory */
} rt_counts;

/* Whole length of the file; false when it does not fit in 63 bits. */
static inline bool rt_layout_bytes(const rt_counts *counts, int64_t *bytes)
{
    const int64_t part[][2] = {
        {counts->features, RT_FEATURE_BYTES}, {counts->texts, RT_LENGTH_BYTES},
        {counts->trees, RT_LENGTH_BYTES},     {counts->nodes, RT_NODE_BYTES},
        {counts->words, RT_WORD_BYTES},       {counts->text_bytes, 1},
        {counts->outputs, RT_SCORE_BYTES},    {counts->params, RT_PARAM_BYTES},
        {counts->fills, RT_SCORE_BYTES},      {counts->slopes, RT_SCORE_BYTES},
        {counts->memory, RT_SCORE_BYTES},
    };
    *bytes = RT_HEADER_BYTES + RT_SHA256_BYTES;
    for (uint32_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        int64_t length = 0;
        if (part[i][0] < 0 || !rt_mul_i64(part[i][0], part[i][1], &length) ||
            !rt_add_i64(*bytes, length, bytes)) {
            return false;
        }
    }
    return true;
}

#endif
