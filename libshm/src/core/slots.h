/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A publisher's slots: which are free, and in what order they are used again.
 *
 * MODEL  Slots lie in segments, each with slots of one size. A loan takes a free slot of the
 *        smallest size that fits, of the segment with the lowest number: so the highest ones fall
 *        idle first and can be given back. A slot that is much too large is taken only when there
 *        will be no other. Within a segment slots are recycled first in, first
 *        out: a payload still dirty in the reader's view of the writer's L2 streams at 7 GB/s, one
 *        that has been evicted to the shared L3 at 46 (measured; design.md, section 4, Loan).
 *
 *   FREE -> LOANED -> WINDOW -> FREE            a slot is in exactly one of these (I3)
 *     ^--------'         \--> LIMBO -> FREE
 *
 * Private to the publisher, but for the state bytes and their sums: those are in its ring, for
 * inspectors, and nobody else can write them. Each segment has a run of the arrays, which begins at
 * its `first`. A slot's name here is its segment's number and its own (lsi_slot_id).
 *
 * One thread at a time, as the port that owns it. No allocation: the owner passes the arrays.
 */
#ifndef LSI_SLOTS_H
#define LSI_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include <lshm/abi.h>

#define LSI_SLOT_NONE UINT32_MAX
/* Not a slot of its own: with a number of the owner's, a view of another publisher's. */
#define LSI_SLOT_VIEW 0x80000000u
#define LSI_SLOT_INDEX_BITS 24u
#define LSI_SLOTS_SEGMENTS 32u

struct lsi_slots_segment {
    uint64_t slot_bytes;
    uint64_t least;        /* smaller payloads take its slots when there are no others */
    uint32_t first;        /* of its run in the arrays */
    uint32_t count;        /* 0: there is no segment of this number */
    uint32_t head;         /* of its free_fifo: next to loan */
    uint32_t free_count;
    bool was_loaned;       /* since the owner last looked */
};

struct lsi_slots {
    uint32_t *free_fifo;   /* room entries */
    uint32_t *generations; /* room entries; handles have 24 bits of them */
    uint8_t *states;       /* room bytes in the ring's memory */
    uint64_t *in_state;    /* slots by LSHM_SLOT_…, in the ring's memory */
    uint32_t room;
    uint32_t count;        /* slots of all segments */
    uint32_t free_count;   /* likewise */
    uint32_t order_count;
    uint8_t order[LSI_SLOTS_SEGMENTS]; /* segments: smallest slots first, then lowest number */
    struct lsi_slots_segment segments[LSI_SLOTS_SEGMENTS];
};

static inline uint32_t lsi_slot_id(uint32_t segment, uint32_t slot)
{
    return segment << LSI_SLOT_INDEX_BITS | slot;
}

static inline uint32_t lsi_slot_segment(uint32_t id)
{
    return id >> LSI_SLOT_INDEX_BITS;
}

static inline uint32_t lsi_slot_index(uint32_t id)
{
    return id & ((1u << LSI_SLOT_INDEX_BITS) - 1);
}

/* The slot's place in the arrays. */
static inline uint32_t lsi_slots_at(const struct lsi_slots *slots, uint32_t id)
{
    return slots->segments[lsi_slot_segment(id)].first + lsi_slot_index(id);
}

/* No segments yet. */
void lsi_slots_init(struct lsi_slots *slots, uint32_t room, uint32_t *free_fifo,
                    uint32_t *generations, uint8_t *states, uint64_t *in_state);
/* A segment: its slots are FREE, used in ascending order first. Its number is not in use, and its
 * run of the arrays is nobody else's. */
void lsi_slots_add(struct lsi_slots *slots, uint32_t segment, uint64_t slot_bytes, uint64_t least,
                   uint32_t first, uint32_t count);
/* Takes away a segment whose slots are all FREE. */
void lsi_slots_remove(struct lsi_slots *slots, uint32_t segment);
/* A segment with a free slot of `bytes` or more, unless `any` not a much too large one;
 * LSI_SLOT_NONE. */
static inline uint32_t lsi_slots_find(const struct lsi_slots *slots, uint64_t bytes, bool any)
{
    for (uint32_t i = 0; i < slots->order_count; i++) {
        const struct lsi_slots_segment *segment = &slots->segments[slots->order[i]];

        if (segment->free_count > 0 && segment->slot_bytes >= bytes &&
            (bytes >= segment->least || any))
            return slots->order[i];
    }
    return LSI_SLOT_NONE;
}
/* FREE -> LOANED: the next slot of a segment that has one. */
uint32_t lsi_slots_loan(struct lsi_slots *slots, uint32_t segment);
/* Any state -> FREE; the next loan of it has another generation. */
void lsi_slots_free(struct lsi_slots *slots, uint32_t id);
/* Moves a slot that is in use to another state. */
void lsi_slots_move(struct lsi_slots *slots, uint32_t id, uint32_t state);
/* Slots in any state: all of them (I3). */
static inline uint64_t lsi_slots_sum(const struct lsi_slots *slots)
{
    uint64_t sum = 0;

    for (uint32_t state = 0; state <= LSHM_SLOT_QUARANTINE; state++)
        sum += slots->in_state[state];
    return sum;
}

#endif
