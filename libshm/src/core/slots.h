/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A publisher's slots: which are free, and in what order they are used again.
 *
 * Private to the publisher, but for the state bytes and their sums: those are in its ring, for
 * inspectors, and nobody else can write them. Slots are recycled first in, first out: a payload
 * still dirty in the reader's view of the writer's L2 streams at 7 GB/s, one that has been evicted
 * to the shared L3 at 46 (measured; design.md, section 4, Loan).
 *
 *   FREE -> LOANED -> WINDOW -> FREE            a slot is in exactly one of these (I3)
 *     ^--------'         \--> LIMBO -> FREE
 *
 * One thread at a time, as the port that owns it. No allocation: the owner passes the arrays.
 */
#ifndef LSI_SLOTS_H
#define LSI_SLOTS_H

#include <stdint.h>

#include <lshm/abi.h>

#define LSI_SLOT_NONE UINT32_MAX

struct lsi_slots {
    uint32_t *free_fifo;   /* count entries */
    uint32_t *generations; /* count entries */
    uint8_t *states;       /* count bytes in the ring's memory */
    uint32_t count;
    uint32_t head;         /* of free_fifo: next to loan */
    uint32_t free_count;
    uint64_t *in_state;    /* slots by LSHM_SLOT_…, in the ring's memory */
};

/* All slots FREE, used in ascending order first. */
void lsi_slots_init(struct lsi_slots *slots, uint32_t count, uint32_t *free_fifo,
                    uint32_t *generations, uint8_t *states, uint64_t *in_state);
/* FREE -> LOANED: a slot, or LSI_SLOT_NONE. */
uint32_t lsi_slots_loan(struct lsi_slots *slots);
/* Any state -> FREE; the next loan of it has another generation. */
void lsi_slots_free(struct lsi_slots *slots, uint32_t slot);
/* Slots in any state: all of them (I3). */
static inline uint64_t lsi_slots_sum(const struct lsi_slots *slots)
{
    uint64_t sum = 0;

    for (uint32_t state = 0; state <= LSHM_SLOT_QUARANTINE; state++)
        sum += slots->in_state[state];
    return sum;
}

/* Moves a slot that is in use to another state. */
void lsi_slots_move(struct lsi_slots *slots, uint32_t slot, uint32_t state);

#endif
