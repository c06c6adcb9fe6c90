/* Every bound of the core in one place; an error prints the bound it broke. */
#ifndef RT_BASE_LIMITS_H
#define RT_BASE_LIMITS_H

#include <stdint.h>

enum {
    RT_MAX_DRIFT_BINS = 4096, /* regular bins of one column's drift counts */
    RT_MAX_COUNTS = 1 << 26,  /* cells of one table of counts, per thread */
    RT_MAX_FEATURES = 1 << 20,
    RT_MAX_BINS = 255,           /* regular bins of a feature; one more is for NaN */
    RT_MAX_CATEGORIES = 1 << 20, /* levels of one categorical column */
    RT_MAX_THREADS = 1024
};

/* The network. */
enum {
    RT_MAX_URL_BYTES = 1 << 16,
    RT_MAX_NAME_BYTES = 250,       /* model names, aliases, tag keys */
    RT_MAX_TEXT_BYTES = 1 << 20,   /* any one text sent to a server */
    RT_MAX_HEADER_BYTES = 1 << 16, /* all headers of one answer */
    RT_MAX_JSON_BYTES = 16 << 20,  /* one JSON body, either way */
    RT_MAX_JSON_DEPTH = 32,
    RT_MAX_DOWNLOAD_BYTES = 1 << 30, /* one artefact held in memory */
    RT_MAX_ATTEMPTS = 8,             /* of one call, inside its deadline */
    RT_MAX_RETRY_DELAY_MS = 20000    /* also what Retry-After is capped at */
};

/* One artefact streamed to a file: beyond the range of an enum. */
#define RT_MAX_FILE_BYTES ((int64_t)1 << 40)

#endif
