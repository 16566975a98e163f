/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_message.h"

#include <string.h>

static uint64_t seed(uint64_t key, uint64_t number)
{
    return key * 0x9e3779b97f4a7c15u + number * 0xbf58476d1ce4e5b9u + 1;
}

static uint64_t next(uint64_t x)
{
    return x * 6364136223846793005u + 1442695040888963407u;
}

void agent_message_fill(struct lshm_message *m, uint64_t key, uint64_t number)
{
    unsigned char *data = m->data;
    uint64_t x = seed(key, number);

    for (uint64_t i = 0; i < m->length; i += 8) {
        x = next(x);
        memcpy(data + i, &x, m->length - i < 8 ? m->length - i : 8);
    }
    m->user[0] = number;
    m->user[1] = key << 32 | m->length;
}

bool agent_message_is_whole(const struct lshm_message *m, uint64_t key)
{
    const unsigned char *data = m->data;
    uint64_t x = seed(key, m->seq);

    if (m->user[0] != m->seq || m->user[1] != (key << 32 | m->length))
        return false;
    for (uint64_t i = 0; i < m->length; i += 8) {
        x = next(x);
        if (memcmp(data + i, &x, m->length - i < 8 ? m->length - i : 8) != 0)
            return false;
    }
    return true;
}
