/* Where a server is and how it is spoken to: options checked once and copied. */
#define _POSIX_C_SOURCE 200809L
#include "net/server.h"

#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "net/secret.h"
#include "net/url.h"

static rt_status copy_options(rt_server *server, const rt_server_options *options,
                              rt_error *err)
{
    const struct {
        const char *from;
        char **to;
        const char *name;
    } texts[] = {
        {options->base_url, &server->base_url, "the server address"},
        {options->username, &server->username, "username"},
        {options->password, &server->password, "password"},
        {options->token, &server->token, "token"},
        {options->ca_path, &server->ca_path, "ca_path"},
    };
    rt_status status = RT_OK;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && status == RT_OK; i++) {
        status = rt_secret_copy(texts[i].to, texts[i].from, texts[i].name, err);
    }
    if (status == RT_OK && server->username != NULL) {
        const char *password = server->password != NULL ? server->password : "";
        status = rt_secret_basic(&server->basic, server->username, password, err);
    }
    return status;
}

static rt_status check_address(rt_server *server, const rt_server_options *options,
                               rt_error *err)
{
    bool plain = false;
    bool secrets = server->username != NULL || server->token != NULL;
    rt_status status =
        rt_url_check_base(server->base_url, &plain, &server->loopback, err);
    if (status == RT_OK && plain && secrets && !server->loopback &&
        !options->allow_plaintext) {
        return rt_fail(err, RT_INVALID, "rt_server_open",
                       "credentials would travel readable over plain http; use an "
                       "https address, or allow_plaintext on a network you trust");
    }
    size_t length = strlen(server->base_url);
    while (length > 0 && server->base_url[length - 1] == '/') {
        server->base_url[--length] = '\0';
    }
    return status;
}

static rt_status check_ca(rt_server *server, rt_error *err)
{
    struct stat about;
    if (server->ca_path == NULL) {
        return RT_OK;
    }
    if (stat(server->ca_path, &about) != 0) {
        return rt_fail(err, RT_INVALID, "rt_server_open",
                       "the CA certificates %.200s cannot be read", server->ca_path);
    }
    server->ca_is_folder = S_ISDIR(about.st_mode);
    return RT_OK;
}

rt_status rt_server_open(rt_server **out, const rt_server_options *options,
                         rt_error *err)
{
    void *block = NULL;
    assert(options->base_url != NULL);

    *out = NULL;
    rt_status status = rt_alloc(&block, 1, sizeof(rt_server), "rt_server_open", err);
    if (status != RT_OK) {
        return status;
    }
    rt_server *server = block;
    server->connect_timeout_ms = options->connect_timeout_ms;
    status = copy_options(server, options, err);
    if (status == RT_OK) {
        status = check_address(server, options, err);
    }
    if (status == RT_OK) {
        status = check_ca(server, err);
    }
    if (status != RT_OK) {
        rt_server_close(server);
        return status;
    }
    *out = server;
    return RT_OK;
}

void rt_server_close(rt_server *server)
{
    if (server == NULL) {
        return;
    }
    rt_secret_free(server->base_url);
    rt_secret_free(server->username);
    rt_secret_free(server->password);
    rt_secret_free(server->token);
    rt_secret_free(server->basic);
    rt_secret_free(server->ca_path);
    rt_free(server);
}

void rt_server_redact(const rt_server *server, char *text)
{
    rt_secret_redact(text, server->basic);
    rt_secret_redact(text, server->token);
    rt_secret_redact(text, server->password);
}
