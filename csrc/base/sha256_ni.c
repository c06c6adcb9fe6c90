#include "base/sha256_ni.h"

#include "base/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

enum { BLOCK = 64, SSE41_BIT = 19, SHA_BIT = 29, LANE_SWAP = 0xB1, REVERSE = 0x1B };

static int ask_processor(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    bool sse41 = __get_cpuid(1, &a, &b, &c, &d) && (c >> SSE41_BIT & 1) != 0;
    bool sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> SHA_BIT & 1) != 0;
    return sse41 && sha ? 1 : 0;
}

bool rt_sha256_ni_usable(void)
{
    static atomic_int known = -1; /* under a hypervisor asking takes microseconds */
    int usable = atomic_load_explicit(&known, memory_order_relaxed);
    if (usable < 0) {
        usable = ask_processor();
        atomic_store_explicit(&known, usable, memory_order_relaxed);
    }
    return usable == 1 && rt_isa_in_use() != RT_ISA_BASELINE;
}

/* The instructions hold the state as ABEF and CDGH. Four rounds a step; from the fifth
 * step on the message is expanded from the four vectors before. */
__attribute__((target("sha,sse4.1,ssse3"))) void
rt_sha256_ni_absorb(uint32_t state[8], const uint8_t *blocks, size_t count,
                    const uint32_t constants[64])
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i *words = (__m128i *)(void *)state;
    const __m128i *k = (const __m128i *)(const void *)constants;
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128(words), LANE_SWAP);
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), REVERSE);
    __m128i abef = _mm_alignr_epi8(low, high, 8);
    __m128i cdgh = _mm_blend_epi16(high, low, 0xF0);
    for (; count > 0; count--, blocks += BLOCK) {
        const __m128i *block = (const __m128i *)(const void *)blocks;
        const __m128i abef_before = abef;
        const __m128i cdgh_before = cdgh;
        __m128i w[4];
        for (int i = 0; i < 4; i++) {
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128(block + i), big_endian);
        }
        for (int i = 0; i < 16; i++) {
            if (i >= 4) {
                const __m128i seven_back =
                    _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4);
                const __m128i part = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
                w[i & 3] = _mm_sha256msg2_epu32(_mm_add_epi32(part, seven_back),
                                                w[(i + 3) & 3]);
            }
            const __m128i add = _mm_add_epi32(w[i & 3], _mm_loadu_si128(k + i));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, add);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(add, 0x0E));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    low = _mm_shuffle_epi32(abef, REVERSE);
    high = _mm_shuffle_epi32(cdgh, LANE_SWAP);
    _mm_storeu_si128(words, _mm_blend_epi16(low, high, 0xF0));
    _mm_storeu_si128(words + 1, _mm_alignr_epi8(high, low, 8));
}
#else
bool rt_sha256_ni_usable(void)
{
    return false;
}

void rt_sha256_ni_absorb(uint32_t state[8], const uint8_t *blocks, size_t count,
                         const uint32_t constants[64])
{
    (void)state, (void)blocks, (void)count, (void)constants;
}
#endif
