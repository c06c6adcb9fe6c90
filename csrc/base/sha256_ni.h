/* SHA-256 by the processor's own instructions, some ten times faster; same digests. */
#ifndef RT_BASE_SHA256_NI_H
#define RT_BASE_SHA256_NI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether this processor has them, and no lower level is forced (base/isa.h). */
bool rt_sha256_ni_usable(void);

/* Takes `count` blocks of 64 bytes into the state; `constants` are the 64 of FIPS
 * 180-4. */
void rt_sha256_ni_absorb(uint32_t state[8], const uint8_t *blocks, size_t count,
                         const uint32_t constants[64]);

#endif
