/* SPDX-License-Identifier: Apache-2.0 */
#include "core/slots.h"

#include "base/atomic.h"
#include "base/counter.h"

/* DIE none: states and sums are a picture for inspectors; a dead publisher's segments go whole. */
static void add(uint64_t *sum, uint64_t change)
{
    /* RLX: only this process writes it. */
    lsi_store_relaxed(sum, lsi_load_relaxed(sum) + change);
}

/* DIE none: as above. */
static void set_state(struct lsi_slots *slots, uint32_t id, uint32_t state)
{
    uint8_t *word = &slots->states[lsi_slots_at(slots, id)];

    /* RLX: only this process writes it; inspectors take any value as of some instant. */
    add(&slots->in_state[lsi_load_relaxed(word)], UINT64_MAX);
    lsi_store_relaxed(word, (uint8_t)state);
    add(&slots->in_state[state], 1);
}

void lsi_slots_init(struct lsi_slots *slots, uint32_t room, uint32_t *free_fifo,
                    uint32_t *generations, uint8_t *states, uint64_t *in_state)
{
    *slots = (struct lsi_slots){
        .free_fifo = free_fifo,
        .generations = generations,
        .states = states,
        .in_state = in_state,
        .room = room,
    };
    for (uint32_t i = 0; i < room; i++)
        generations[i] = (uint32_t)LSI_COUNTER_START(24);
}

static bool comes_before(const struct lsi_slots *slots, uint32_t a, uint32_t b)
{
    uint64_t a_bytes = slots->segments[a].slot_bytes, b_bytes = slots->segments[b].slot_bytes;

    return a_bytes < b_bytes || (a_bytes == b_bytes && a < b);
}

static void sort_in(struct lsi_slots *slots, uint32_t segment)
{
    uint32_t at = slots->order_count++;

    for (; at > 0 && comes_before(slots, segment, slots->order[at - 1]); at--)
        slots->order[at] = slots->order[at - 1];
    slots->order[at] = (uint8_t)segment;
}

void lsi_slots_add(struct lsi_slots *slots, uint32_t segment, uint64_t slot_bytes, uint64_t least,
                   uint32_t first, uint32_t count)
{
    slots->segments[segment] = (struct lsi_slots_segment){
        .slot_bytes = slot_bytes,
        .least = least,
        .first = first,
        .count = count,
        .free_count = count,
    };
    sort_in(slots, segment);
    slots->count += count;
    slots->free_count += count;
    add(&slots->in_state[LSHM_SLOT_FREE], count);
    for (uint32_t i = 0; i < count; i++) {
        slots->free_fifo[first + i] = i;
        slots->generations[first + i]++;
        slots->states[first + i] = LSHM_SLOT_FREE;
    }
}

void lsi_slots_remove(struct lsi_slots *slots, uint32_t segment)
{
    uint32_t count = slots->segments[segment].count, kept = 0;

    for (uint32_t i = 0; i < slots->order_count; i++)
        if (slots->order[i] != segment)
            slots->order[kept++] = slots->order[i];
    slots->order_count = kept;
    slots->count -= count;
    slots->free_count -= count;
    add(&slots->in_state[LSHM_SLOT_FREE], UINT64_MAX - count + 1);
    slots->segments[segment] = (struct lsi_slots_segment){ 0 };
}

uint32_t lsi_slots_loan(struct lsi_slots *slots, uint32_t segment)
{
    struct lsi_slots_segment *s = &slots->segments[segment];
    uint32_t id = lsi_slot_id(segment, slots->free_fifo[s->first + s->head]);

    s->head = s->head + 1 == s->count ? 0 : s->head + 1;
    s->free_count--;
    slots->free_count--;
    s->was_loaned = true;
    set_state(slots, id, LSHM_SLOT_LOANED);
    return id;
}

void lsi_slots_free(struct lsi_slots *slots, uint32_t id)
{
    struct lsi_slots_segment *s = &slots->segments[lsi_slot_segment(id)];
    uint32_t end = s->head + s->free_count;

    slots->free_fifo[s->first + (end >= s->count ? end - s->count : end)] = lsi_slot_index(id);
    s->free_count++;
    slots->free_count++;
    slots->generations[lsi_slots_at(slots, id)]++;
    set_state(slots, id, LSHM_SLOT_FREE);
}

void lsi_slots_move(struct lsi_slots *slots, uint32_t id, uint32_t state)
{
    set_state(slots, id, state);
}
