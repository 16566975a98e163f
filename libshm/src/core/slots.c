/* SPDX-License-Identifier: Apache-2.0 */
#include "core/slots.h"

#include "base/atomic.h"

/* DIE none: states and sums are a picture for inspectors; a dead publisher's segments go whole. */
static void add(uint64_t *sum, uint64_t change)
{
    /* RLX: only this process writes it. */
    lsi_store_relaxed(sum, lsi_load_relaxed(sum) + change);
}

/* DIE none: as above. */
static void set_state(struct lsi_slots *slots, uint32_t slot, uint32_t state)
{
    uint8_t *word = &slots->states[slot];

    /* RLX: only this process writes it; inspectors take any value as of some instant. */
    add(&slots->in_state[lsi_load_relaxed(word)], UINT64_MAX);
    lsi_store_relaxed(word, (uint8_t)state);
    add(&slots->in_state[state], 1);
}

void lsi_slots_init(struct lsi_slots *slots, uint32_t count, uint32_t *free_fifo,
                    uint32_t *generations, uint8_t *states, uint64_t *in_state)
{
    *slots = (struct lsi_slots){
        .free_fifo = free_fifo,
        .generations = generations,
        .states = states,
        .in_state = in_state,
        .count = count,
        .free_count = count,
    };
    add(&in_state[LSHM_SLOT_FREE], count);
    for (uint32_t i = 0; i < count; i++) {
        free_fifo[i] = i;
        generations[i] = 1;
        states[i] = LSHM_SLOT_FREE;
    }
}

uint32_t lsi_slots_loan(struct lsi_slots *slots)
{
    uint32_t slot;

    if (slots->free_count == 0)
        return LSI_SLOT_NONE;
    slot = slots->free_fifo[slots->head];
    slots->head = slots->head + 1 == slots->count ? 0 : slots->head + 1;
    slots->free_count--;
    set_state(slots, slot, LSHM_SLOT_LOANED);
    return slot;
}

void lsi_slots_free(struct lsi_slots *slots, uint32_t slot)
{
    uint32_t end = slots->head + slots->free_count;

    slots->free_fifo[end >= slots->count ? end - slots->count : end] = slot;
    slots->free_count++;
    slots->generations[slot]++;
    set_state(slots, slot, LSHM_SLOT_FREE);
}

void lsi_slots_move(struct lsi_slots *slots, uint32_t slot, uint32_t state)
{
    set_state(slots, slot, state);
}
