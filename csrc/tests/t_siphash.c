/* Known answers of the authors' vectors.h: key 00 01 .. 0f, input 00 01 .. of each
 * length. */
#include "base/siphash.h"
#include "tests/test.h"

static void known_answers_hold(void)
{
    static const struct {
        size_t bytes;
        uint64_t hash;
    } answers[] = {
        {0, 0x726fdb47dd0e0e31U}, {1, 0x74f839c593dc67fdU},  {7, 0xab0200f58b01d137U},
        {8, 0x93f5f5799a932462U}, {15, 0xa129ca6149be45e5U}, {63, 0x958a324ceb064572U},
    };
    uint8_t bytes[64];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        CHECK(rt_siphash(bytes, bytes, answers[i].bytes) == answers[i].hash);
    }
}

static const rt_test tests[] = {
    {"known_answers_hold", known_answers_hold},
};

RT_TEST_MAIN(tests)
