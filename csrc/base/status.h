/* How every fallible function of the core reports: a status by value, and the
 * story in an error that the caller owns. Nothing is global, so two threads
 * never see each other's failure. */
#ifndef RT_BASE_STATUS_H
#define RT_BASE_STATUS_H

typedef enum rt_status {
    RT_OK = 0,
    RT_NO_MEMORY, /* an allocation failed */
    RT_INVALID,   /* the caller's argument cannot be worked with */
    RT_CORRUPT,   /* bytes from outside break their format */
    RT_LIMIT,     /* a size passes a limit of limits.h */
    RT_CANCELLED, /* the caller asked to stop */
    RT_TIMEOUT,   /* the deadline passed */
    RT_SYSTEM,    /* the operating system refused (files, threads) */
    RT_NETWORK,   /* no usable answer came over the wire */
    RT_REMOTE     /* the server answered with an error of its own */
} rt_status;

enum { RT_MESSAGE_BYTES = 512 };

typedef struct rt_error {
    rt_status status;
    const char *where; /* the public function that failed; static storage */
    char message[RT_MESSAGE_BYTES];
} rt_error;

#if defined(__GNUC__)
#define RT_CHECKED __attribute__((warn_unused_result))
#define RT_PRINTF(format_index, first)                                                 \
    __attribute__((format(printf, format_index, first)))
#else
#define RT_CHECKED
#define RT_PRINTF(format_index, first)
#endif

/* Fills `err` (which may be NULL) and returns `status`, so that a failing
 * function can end with `return rt_fail(...)`. */
rt_status rt_fail(rt_error *err, rt_status status, const char *where,
                  const char *format, ...) RT_PRINTF(4, 5);

/* The status as a stable lower-case word, for messages and tests. */
const char *rt_status_name(rt_status status);

#endif
