#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

rt_status rt_fail(rt_error *err, rt_status status, const char *where,
                  const char *format, ...)
{
    if (err != NULL) {
        va_list arguments;
        err->status = status;
        err->where = where;
        va_start(arguments, format);
        (void)vsnprintf(err->message, sizeof err->message, format, arguments);
        va_end(arguments);
    }
    return status;
}

const char *rt_status_name(rt_status status)
{
    static const char *const names[] = {
        "ok",        "no_memory", "invalid", "corrupt", "limit",
        "cancelled", "timeout",   "system",  "network", "remote",
    };
    if ((unsigned)status >= sizeof names / sizeof names[0]) {
        return "unknown";
    }
    return names[status];
}
