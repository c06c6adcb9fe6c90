/* The server and our credentials for it: checked once, copied, wiped at the end. Pure:
 * no socket, no libcurl, so every rule here is tested without a network. */
#ifndef RT_NET_SERVER_H
#define RT_NET_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct rt_server_options {
    const char *base_url; /* http(s)://host[:port][/prefix] */
    const char *username; /* NULL: no basic auth */
    const char *password;
    const char *token;   /* NULL: no bearer auth; basic wins when both are given */
    const char *ca_path; /* NULL: the system's; else a PEM file or a folder */
    bool allow_plaintext;
    int32_t connect_timeout_ms;
} rt_server_options;

typedef struct rt_server {
    char *base_url; /* no slash at the end */
    char *username;
    char *password;
    char *token;
    char *basic; /* base64 of "username:password", as it looks on the wire */
    char *ca_path;
    bool ca_is_folder;
    bool loopback;
    int32_t connect_timeout_ms;
} rt_server;

RT_CHECKED rt_status rt_server_open(rt_server **out, const rt_server_options *options,
                                    rt_error *err);

/* NULL is fine. */
void rt_server_close(rt_server *server);

/* Stars every occurrence of a credential in `text`: a server may echo them. */
void rt_server_redact(const rt_server *server, char *text);

#endif
