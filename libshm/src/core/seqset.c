/* SPDX-License-Identifier: Apache-2.0 */
#include "core/seqset.h"

#include <string.h>

/* Fibonacci hashing: neighbouring numbers spread over the table (Knuth, TAOCP 3, 6.4). */
static uint32_t slot_of(const struct lsi_seqset *set, uint64_t seq)
{
    return (uint32_t)((seq * 0x9e3779b97f4a7c15u) >> 32) & set->mask;
}

void lsi_seqset_init(struct lsi_seqset *set, uint64_t *words, uint32_t word_count)
{
    set->words = words;
    set->mask = word_count - 1;
    set->count = word_count; /* so that clear empties memory of unknown contents */
    lsi_seqset_clear(set);
}

void lsi_seqset_clear(struct lsi_seqset *set)
{
    if (set->count > 0)
        memset(set->words, 0, ((size_t)set->mask + 1) * sizeof *set->words);
    set->count = 0;
}

int lsi_seqset_add(struct lsi_seqset *set, uint64_t seq, int how)
{
    uint32_t at = slot_of(set, seq);

    if (set->count > set->mask / 2)
        return 0;
    while (set->words[at] != 0 && set->words[at] >> 1 != seq + 1)
        at = (at + 1) & set->mask;
    if (set->words[at] == 0) {
        set->words[at] = (seq + 1) << 1 | (how == LSI_SEQSET_PINNED);
        set->count++;
    }
    return 1;
}

int lsi_seqset_find(const struct lsi_seqset *set, uint64_t seq)
{
    uint32_t at;

    if (set->count == 0)
        return LSI_SEQSET_ABSENT;
    at = slot_of(set, seq);
    while (set->words[at] != 0) {
        if (set->words[at] >> 1 == seq + 1)
            return set->words[at] & 1 ? LSI_SEQSET_PINNED : LSI_SEQSET_HELD;
        at = (at + 1) & set->mask;
    }
    return LSI_SEQSET_ABSENT;
}
