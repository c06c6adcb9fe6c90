/* What becomes part of a URL or a header: encoded exactly once, never decoded
 * (CVE-2024-1560 was a second decoding), and free of control bytes, which could
 * start a header of their own. */
#ifndef RT_NET_URL_H
#define RT_NET_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/dynbuf.h"

/* No byte below 0x20 and no 0x7f within `size_bytes`. */
bool rt_text_is_clean(const char *text, int64_t size_bytes);

/* "localhost", 127.x.y.z or [::1]. Literals only: a name that merely resolves to
 * this machine today is no promise. (libcurl pins "localhost", RFC 6761.) */
bool rt_host_is_loopback(const char *host);

/* A base address must be http(s)://host[:port][/prefix] and nothing else: no user
 * info, query, fragment or exotic byte. The narrow alphabet leaves two parsers
 * nothing to disagree about. */
RT_CHECKED rt_status rt_url_check_base(const char *base, bool *plain, bool *loopback,
                                       rt_error *err);

/* "/" and one percent-encoded segment; refuses "", ".", ".." and control bytes. */
RT_CHECKED rt_status rt_url_add_segment(rt_dynbuf *url, const char *segment,
                                        int64_t size_bytes, rt_error *err);

/* Every "/"-separated part of `path` as a segment of its own. */
RT_CHECKED rt_status rt_url_add_path(rt_dynbuf *url, const char *path, rt_error *err);

/* "?key=value" or "&key=value", as the URL so far demands. */
RT_CHECKED rt_status rt_url_add_query(rt_dynbuf *url, const char *key,
                                      const char *value, int64_t value_bytes,
                                      rt_error *err);

#endif
