/* CRC-32C (Castagnoli; RFC 3720, appendix B.4): what a record on disk is checked by. */
#ifndef RT_BASE_CRC32C_H
#define RT_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of bytes that follow those of `crc`; 0 to begin with. */
uint32_t rt_crc32c(uint32_t crc, const void *data, size_t bytes);

#endif
