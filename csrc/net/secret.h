/* Texts that may be credentials: copied once, wiped when freed, starred when a
 * server echoes them. */
#ifndef RT_NET_SECRET_H
#define RT_NET_SECRET_H

#include <stdint.h>

#include "base/status.h"

/* NULL stays NULL. Control bytes are refused: the text becomes a header. */
RT_CHECKED rt_status rt_secret_copy(char **out, const char *text, const char *name,
                                    rt_error *err);

/* base64 of "username:password" (RFC 7617), to recognise it in echoes. */
RT_CHECKED rt_status rt_secret_basic(char **out, const char *username,
                                     const char *password, rt_error *err);

void rt_secret_free(char *secret);

/* Overwrites each occurrence of `secret` in `text` with stars, in place. Secrets
 * under four bytes are left: starring every "a" hides nothing but the message. */
void rt_secret_redact(char *text, const char *secret);

#endif
