/* UTF-8, checked by the table of well-formed sequences (Unicode 15, table 3-7). Unit:
 * bytes. */
#include "model/text.h"

#include <string.h>

int rt_text_compare(rt_text a, rt_text b)
{
    int64_t shared = a.length < b.length ? a.length : b.length;
    int order = shared > 0 ? memcmp(a.bytes, b.bytes, (size_t)shared) : 0;
    if (order != 0) {
        return order;
    }
    return a.length < b.length ? -1 : a.length > b.length;
}

/* Length of the sequence that `first` begins and the range its second byte must
 * lie in (Unicode 15, table 3-7: no overlong forms, surrogates or values past
 * U+10FFFF); 0 if none may begin so. */
static int sequence(uint8_t first, uint8_t *low, uint8_t *high)
{
    *low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first < 0x80) {
        return 1;
    }
    if (first >= 0xc2 && first <= 0xdf) {
        return 2;
    }
    if (first >= 0xe0 && first <= 0xef) {
        return 3;
    }
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

int rt_text_is_utf8(rt_text text)
{
    const uint8_t *bytes = (const uint8_t *)text.bytes;
    int64_t at = 0;
    while (at < text.length) {
        uint8_t low = 0;
        uint8_t high = 0;
        int length = sequence(bytes[at], &low, &high);
        if (length == 0 || at + length > text.length) {
            return 0;
        }
        for (int i = 1; i < length; i++) {
            uint8_t byte = bytes[at + i];
            if (byte < (i == 1 ? low : 0x80) || byte > (i == 1 ? high : 0xbf)) {
                return 0;
            }
        }
        at += length;
    }
    return 1;
}
