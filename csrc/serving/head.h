/* A whole scoring request in one piece, as clients mostly send it. What is unusual in
 * any way is left to the HTTP parser that knows everything, so that being strict costs
 * nobody an answer. */
#ifndef RT_SERVING_HEAD_H
#define RT_SERVING_HEAD_H

#include <stdbool.h>

#include "model/text.h"

/* A header that is looked for; its value is empty where it does not come, and the first
 * one's where it comes twice. Names are in lower case. */
typedef struct rt_header {
    rt_text name, value;
} rt_header;

/* True when the text is exactly one POST of `path` by HTTP/1.1 with its body: CRLF
 * after each line, printable ASCII alone, one Content-Length, and no header that
 * changes how the message is read or the connection goes on (RFC 9112). Fills the
 * values and *body. */
bool rt_head_read(rt_text text, rt_text path, rt_header *headers, int32_t n_headers,
                  rt_text *body);

#endif
