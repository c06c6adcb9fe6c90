/* Eight bytes a step, by the processor's own instruction where it has one (every one
 * with AVX2 does), else by eight tables (Kounavis and Berry, "Novel table lookup-based
 * algorithms for high-performance CRC generation", 2008). Unit: one byte. */
#include "base/crc32c.h"

#include <pthread.h>
#include <string.h>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#include "base/isa.h"

enum { STEP = 8, BYTE_VALUES = 256 };

static const uint32_t polynomial = 0x82f63b78U; /* reflected */

static uint32_t table[STEP][BYTE_VALUES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    for (uint32_t i = 0; i < BYTE_VALUES; i++) {
        uint32_t c = i;
        for (int32_t bit = 0; bit < 8; bit++) {
            c = (c & 1) != 0 ? (c >> 1) ^ polynomial : c >> 1;
        }
        table[0][i] = c;
    }
    for (int32_t k = 1; k < STEP; k++) {
        for (int32_t i = 0; i < BYTE_VALUES; i++) {
            const uint32_t before = table[k - 1][i];
            table[k][i] = (before >> 8) ^ table[0][before & 0xff];
        }
    }
}

static uint32_t by_tables(uint32_t c, const uint8_t *at, size_t bytes)
{
    (void)pthread_once(&once, make_tables);
    for (; bytes >= STEP; bytes -= STEP, at += STEP) {
        uint64_t v = 0;
        memcpy(&v, at,
               sizeof v); /* little-endian, as every machine that we build for */
        v ^= c;
        c = 0;
        for (int32_t k = 0; k < STEP; k++) {
            c ^= table[STEP - 1 - k][(v >> (8 * k)) & 0xff];
        }
    }
    for (; bytes > 0; bytes--, at++) {
        c = (c >> 8) ^ table[0][(c ^ *at) & 0xff];
    }
    return c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t
by_instruction(uint32_t c, const uint8_t *at, size_t bytes)
{
    uint64_t wide = c;
    for (; bytes >= STEP; bytes -= STEP, at += STEP) {
        uint64_t v = 0;
        memcpy(&v, at, sizeof v);
        wide = _mm_crc32_u64(wide, v);
    }
    c = (uint32_t)wide;
    for (; bytes > 0; bytes--, at++) {
        c = _mm_crc32_u8(c, *at);
    }
    return c;
}
#endif

uint32_t rt_crc32c(uint32_t crc, const void *data, size_t bytes)
{
#if defined(__x86_64__)
    if (rt_isa_in_use() != RT_ISA_BASELINE) {
        return ~by_instruction(~crc, data, bytes);
    }
#endif
    return ~by_tables(~crc, data, bytes);
}
