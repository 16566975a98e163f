/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaning, publishing, aborting.
 *
 * A loan reserves both a place for the payload and an entry of the ring, so publish never waits.
 * Where a payload that fits an entry goes: a private block, copied into the entry at publish (the
 * payload then travels with its descriptor: one hop instead of two serial ones). Any other goes
 * into a slot.
 *
 * TOKENS  port (16) | loan (16) | generation (32). Generations are only compared for being the
 *         same, so they may come round: an old token is good again after 2^32 uses of its place.
 */
#include <string.h>

#include "api/forward.h"
#include "api/internal.h"
#include "core/handle.h"

#define TOKEN(port, loan, generation)                                                              \
    ((uint64_t)(port) << 48 | (uint64_t)(loan) << 32 | (generation))
#define TOKEN_PORT(token) ((uint32_t)((token) >> 48))
#define TOKEN_LOAN(token) ((uint32_t)((token) >> 32) & 0xffffu)
#define TOKEN_GENERATION(token) ((uint32_t)(token))

#define SPIN_PAUSES 64
/* A publisher that may grow does so before it takes these last messages from lossy readers. */
#define LOSSY_SPARED 8u

/* A ring gives room in steps of at least this, so that a slow reader costs one look per step. */
static uint64_t ring_gain(const struct lshm_publisher *publisher)
{
    uint64_t quarter = (publisher->publication.writer.mask + UINT64_C(1)) / 4;

    return quarter > 0 ? quarter : 1;
}

static bool needs_slot(const struct lshm_publisher *publisher, uint64_t length)
{
    return length > publisher->inline_bytes;
}

/* Reclaims until a slot is free: its segment, or LSI_SLOT_NONE. Of lossy readers' messages the
 * last `spared` are left to them. */
static uint32_t reclaim_slot(struct lshm_publisher *publisher, uint64_t length, bool any,
                             uint32_t spared)
{
    struct lsi_publication *p = &publisher->publication;
    uint64_t committed;
    uint32_t segment;

    p->spared = spared;
    do { /* what a lossy reader was made to pass may still lie in its window */
        committed = p->committed;
        lsi_reclaim(p, 1);
        segment = lsi_slots_find(&p->slots, length, any);
    } while (segment == LSI_SLOT_NONE && p->committed > committed);
    p->spared = 0;
    return segment;
}

/* No slot of a fitting size is free. As make_room(). */
static int make_slot(struct lshm_publisher *publisher, uint64_t length, uint32_t *ret_segment)
{
    struct lsi_publication *p = &publisher->publication;
    int r = -LSHM_ENOSLOT;

    if (publisher->geometry.memory_max > 0) {
        *ret_segment = reclaim_slot(publisher, length, false, LOSSY_SPARED);
        if (*ret_segment == LSI_SLOT_NONE)
            r = lsi_publisher_grow(publisher, length);
        if (r == 0)
            *ret_segment = lsi_slots_find(&p->slots, length, false);
    }
    if (*ret_segment == LSI_SLOT_NONE)
        *ret_segment = reclaim_slot(publisher, length, true, 0);
    if (*ret_segment != LSI_SLOT_NONE)
        return 0;
    return p->writer.tail > p->committed || p->limbo_count > 0 ? -LSHM_EAGAIN : r;
}

/* Makes room for one more loan of this length: 0, −LSHM_EAGAIN, −LSHM_ENOSLOT, or why there is no
 * segment more. *ret_segment: where its slot will be, LSI_SLOT_NONE: it fits an entry. */
static int make_room(struct lshm_publisher *publisher, uint64_t length, uint32_t *ret_segment)
{
    struct lsi_publication *p = &publisher->publication;

    *ret_segment = LSI_SLOT_NONE;
    if (LSI_UNLIKELY(publisher->loans_free_count == 0))
        return -LSHM_ENOSLOT;
    if (LSI_UNLIKELY(!lsi_publication_has_entry(p, publisher->loans_out))) {
        lsi_reclaim(p, ring_gain(publisher));
        if (!lsi_publication_has_entry(p, publisher->loans_out))
            return -LSHM_EAGAIN;
    }
    if (!needs_slot(publisher, length))
        return 0;
    *ret_segment = lsi_slots_find(&p->slots, length, false);
    if (LSI_LIKELY(*ret_segment != LSI_SLOT_NONE))
        return 0;
    return make_slot(publisher, length, ret_segment);
}

/* Loans that need no further look. Room was made for one. */
static size_t count_room(const struct lshm_publisher *publisher, uint32_t segment)
{
    const struct lsi_publication *p = &publisher->publication;
    uint64_t room = p->writer.mask + UINT64_C(1) -
                    (p->writer.tail + publisher->loans_out - p->committed);

    if (room > publisher->loans_free_count)
        room = publisher->loans_free_count;
    if (segment != LSI_SLOT_NONE && room > p->slots.segments[segment].free_count)
        room = p->slots.segments[segment].free_count;
    return (size_t)room;
}

/* After a refusal: the ring has room, so it is a slot that is missing. */
static bool publisher_lacks_slot(const struct lshm_publisher *publisher)
{
    return lsi_publication_has_entry(&publisher->publication, publisher->loans_out);
}

bool lsi_publisher_ready(void *port)
{
    const struct lshm_publisher *publisher = port;
    const struct lsi_publication *p = &publisher->publication;

    if (lsi_roster_changed(&p->roster))
        return true;
    if (publisher->lacks_slot)
        return lsi_publication_may_free(p) || lsi_publication_wanted(p, 1) == 0;
    return lsi_publication_wanted(p, ring_gain(publisher)) == 0;
}

/* A subscriber of this thread has this link. With control held. */
static bool is_own(struct lshm_context *context, uint64_t link)
{
    struct lshm_subscriber *subscriber;

    LIST_FOREACH(subscriber, &context->subscribers, entry) {
        /* RLX: our own store, or another thread's, which is not us. */
        if (lsi_load_relaxed(&subscriber->owner) == lsi_thread() &&
            lsi_subscriber_knows(subscriber, link))
            return true;
    }
    return false;
}

/* A subscriber that this very thread reads gates: nobody else will ever move its cursor. */
static bool waits_for_itself(struct lshm_publisher *publisher, uint64_t gain)
{
    struct lshm_context *context = publisher->context;
    const struct lsi_publication *p = &publisher->publication;
    bool found = false;

    for (uint32_t i = 0; i < p->roster.active_count && !found; i++) {
        const struct lsi_reader *reader = &p->roster.readers[p->roster.active[i]];

        if (reader->client != context->client || !lsi_reader_gates(reader) ||
            lsi_publication_gate_of(p, reader) >= p->committed + gain)
            continue;
        pthread_mutex_lock(&context->control);
        found = is_own(context, reader->link);
        pthread_mutex_unlock(&context->control);
    }
    return found;
}

/* After a refusal: until when who gates may go on doing so. */
static uint64_t watch_stalls(struct lshm_publisher *publisher)
{
    uint64_t gain = publisher_lacks_slot(publisher) ? 1 : ring_gain(publisher);

    return lsi_publisher_watch_stalls(publisher, gain);
}

void lsi_publisher_store_waiting(struct lshm_publisher *publisher, bool waiting)
{
    struct lsi_publication *p = &publisher->publication;
    struct lshm_ring *ring = p->writer.ring;
    uint64_t word = LSHM_WAITING_NONE;

    if (waiting) {
        word = publisher->lacks_slot ? LSHM_WAITING_ANY
                                     : p->committed + ring_gain(publisher) + 1;
        publisher->waiting_generation = lsi_counter_next(publisher->waiting_generation);
        /* RLX: before the word that makes readers look at it. */
        lsi_store_relaxed(&ring->waiting_generation, publisher->waiting_generation);
    }
    /* ORD S3 release -> W3: whoever sees the word sees its generation. */
    lsi_store_release(&ring->waiting, word);
    /* DIE W1: says that it waits, for ever: readers send a byte to a socket that is closed. */
}

/* Until there is room or the time is over: as make_room(). */
static int wait_for_room(struct lshm_publisher *publisher, uint64_t length, int64_t timeout_ns,
                         uint32_t *ret_segment)
{
    uint64_t now = lsi_now_ns();
    uint64_t deadline = timeout_ns < 0 ? UINT64_MAX : now + (uint64_t)timeout_ns;
    uint64_t spin_end = now + publisher->spin_ns;
    const struct lsi_publication *p = &publisher->publication;
    int r, woken = 0;

    if (spin_end > deadline)
        spin_end = deadline;
    while ((r = make_room(publisher, length, ret_segment)) == -LSHM_EAGAIN && now < spin_end) {
        /* A look takes the readers' lines away from them; a ring gives room by the quarter. */
        for (int i = 0; i < SPIN_PAUSES; i++)
            lsi_cpu_relax();
        now = lsi_now_ns();
    }
    if (r == -LSHM_EAGAIN &&
        waits_for_itself(publisher, publisher_lacks_slot(publisher) ? 1 : ring_gain(publisher)))
        return -EDEADLK;
    if (publisher->flags & LSHM_PUBLISHER_NEVER_WAITS)
        return r;
    if (r == -LSHM_EAGAIN)
        woken = lsi_wait_alone(publisher->context, &publisher->alone,
                               p->writer.tail + p->committed);
    while (r == -LSHM_EAGAIN && woken >= 0 && lsi_now_ns() < deadline) {
        uint64_t until = watch_stalls(publisher);

        publisher->lacks_slot = publisher_lacks_slot(publisher);
        lsi_publisher_store_waiting(publisher, true);
        /* The sleep's own fence (S1) stands between the waiting word and its look. */
        woken = lsi_wait(publisher->context, lsi_publisher_ready, publisher, &publisher->alone,
                         until < deadline ? until : deadline);
        lsi_publisher_store_waiting(publisher, false);
        r = make_room(publisher, length, ret_segment);
    }
    return r == -LSHM_EAGAIN && woken < 0 ? woken : r;
}

/* DIE none: a counter; the waiting word is store_waiting()'s. */
static int get_room(struct lshm_publisher *publisher, uint64_t length, uint32_t *ret_segment)
{
    int r;

    if (LSI_UNLIKELY(publisher->grown > 0))
        lsi_publisher_give_back_idle(publisher);
    r = make_room(publisher, length, ret_segment);
    if (LSI_LIKELY(r == 0)) {
        if (LSI_UNLIKELY(publisher->wants_room)) {
            publisher->wants_room = false;
            lsi_publisher_store_waiting(publisher, false);
        }
        return 0;
    }
    if (r == -LSHM_EAGAIN && publisher->wait_ns != 0)
        r = wait_for_room(publisher, length, publisher->wait_ns, ret_segment);
    else if (r == -LSHM_EAGAIN)
        watch_stalls(publisher);
    if (r == -LSHM_EAGAIN && !(publisher->flags & LSHM_PUBLISHER_DROP_NEWEST)) {
        publisher->refused++;
        /* RLX: a counter for inspectors. */
        lsi_store_relaxed(&publisher->publication.writer.ring->refused, publisher->refused);
        if (publisher->context->polled) {
            publisher->wants_room = true;
            publisher->lacks_slot = publisher_lacks_slot(publisher);
            lsi_publisher_store_waiting(publisher, true);
            lsi_wait_arm(publisher->context);
        }
    }
    return r;
}

static inline void fill_loan(const struct lshm_publisher *publisher, uint32_t index, size_t length,
                      struct lshm_message *m)
{
    m->length = length;
    m->seq = 0;
    m->publisher = publisher->number;
    m->time_ns = 0;
    m->user[0] = 0;
    m->user[1] = 0;
    m->flags = 0;
    m->schema = 0;
    m->token = TOKEN(publisher->port, index, publisher->loans[index].generation);
}

/* No room: whatever is written there is dropped. */
static void give_scratch(struct lshm_publisher *publisher, size_t length, struct lshm_message *m)
{
    uint32_t index = publisher->loans_free[--publisher->loans_free_count];

    publisher->loans[index].out = true;
    publisher->loans[index].slot = LSI_SLOT_SCRATCH;
    publisher->loans[index].capacity = publisher->payload_bytes;
    m->data = publisher->scratch;
    fill_loan(publisher, index, length, m);
}

/* The next slot of this segment, which has one: where it is. */
static void *take_slot(struct lshm_publisher *publisher, uint32_t segment, struct lsi_loan *loan)
{
    struct lsi_slots *slots = &publisher->publication.slots;
    const struct lsi_slots_segment *s = &slots->segments[segment];
    unsigned char *base = publisher->segments[segment].base;

    loan->slot = lsi_slots_loan(slots, segment);
    loan->capacity = s->slot_bytes < publisher->payload_bytes ? s->slot_bytes
                                                              : publisher->payload_bytes;
    if (s->free_count > 0) /* the next one's first line, 8 % of a 64 KiB round trip */
        LSI_PREFETCH_WRITE(base + slots->free_fifo[s->first + s->head] * s->slot_bytes);
    return base + lsi_slot_index(loan->slot) * s->slot_bytes;
}

/* The place of a new loan. */
static inline uint32_t take_place(struct lshm_publisher *publisher)
{
    uint32_t index = publisher->loans_free[--publisher->loans_free_count];

    publisher->loans_out++;
    publisher->loans[index].out = true;
    return index;
}

/* Room for a payload that fits an entry, without any look. */
static inline bool has_block(const struct lshm_publisher *publisher, size_t length)
{
    return !needs_slot(publisher, length) && publisher->loans_free_count > 0 &&
           lsi_publication_has_entry(&publisher->publication, publisher->loans_out) &&
           publisher->grown == 0 && !publisher->wants_room;
}

/* There is such room. */
static inline void give_block(struct lshm_publisher *publisher, size_t length,
                              struct lshm_message *m)
{
    uint32_t index = take_place(publisher);
    struct lsi_loan *loan = &publisher->loans[index];

    loan->slot = LSI_SLOT_NONE;
    loan->capacity = publisher->inline_bytes;
    m->data = publisher->blocks + (uint64_t)index * publisher->inline_bytes;
    fill_loan(publisher, index, length, m);
}

/* Room was made: a slot of this segment, or, with LSI_SLOT_NONE, a private block. */
static void give(struct lshm_publisher *publisher, uint32_t segment, size_t length,
                 struct lshm_message *m)
{
    uint32_t index;

    if (segment == LSI_SLOT_NONE) {
        give_block(publisher, length, m);
        return;
    }
    index = take_place(publisher);
    m->data = take_slot(publisher, segment, &publisher->loans[index]);
    fill_loan(publisher, index, length, m);
}

LSI_API int lshm_publisher_loan_batch(struct lshm_publisher *publisher, size_t length,
                                      struct lshm_message *ret_messages, size_t count)
{
    uint32_t segment;
    size_t got = 0;
    int r = 0;

    LSI_ENTER(publisher, LSI_PUBLISHER_MAGIC);
    if (LSI_UNLIKELY(length > publisher->payload_bytes))
        return -LSHM_ETOOBIG;
    if (!lsi_port_enter(&publisher->busy))
        return -LSHM_EBUSY;
    if (count > INT32_MAX)
        count = INT32_MAX;
    while (got < count) {
        size_t ready;

        r = got == 0 ? get_room(publisher, length, &segment)
                     : make_room(publisher, length, &segment);
        if (r == -LSHM_EAGAIN && publisher->scratch != NULL) {
            give_scratch(publisher, length, &ret_messages[got++]);
            continue;
        }
        if (r < 0)
            break;
        ready = count_room(publisher, segment);
        for (; ready > 0 && got < count; ready--)
            give(publisher, segment, length, &ret_messages[got++]);
    }
    lsi_port_leave(&publisher->busy);
    return got > 0 ? (int)got : r;
}

LSI_API int lshm_publisher_loan(struct lshm_publisher *publisher, size_t length,
                                struct lshm_message *ret_message)
{
    uint32_t segment;
    int r;

    LSI_ENTER(publisher, LSI_PUBLISHER_MAGIC);
    if (LSI_UNLIKELY(length > publisher->payload_bytes))
        return -LSHM_ETOOBIG;
    if (!lsi_port_enter(&publisher->busy))
        return -LSHM_EBUSY;
    if (LSI_LIKELY(has_block(publisher, length))) {
        give_block(publisher, length, ret_message);
        lsi_port_leave(&publisher->busy);
        return 0;
    }
    r = get_room(publisher, length, &segment);
    if (LSI_LIKELY(r == 0)) {
        give(publisher, segment, length, ret_message);
    } else if (r == -LSHM_EAGAIN && publisher->scratch != NULL) {
        give_scratch(publisher, length, ret_message);
        r = 0;
    }
    lsi_port_leave(&publisher->busy);
    return r;
}

static inline int find_loan(const struct lshm_publisher *publisher, const struct lshm_message *m,
                     uint32_t *ret_index)
{
    uint32_t index = TOKEN_LOAN(m->token);

    if (TOKEN_PORT(m->token) != publisher->port)
        return -LSHM_EFOREIGN;
    if (index >= publisher->loans_max || !publisher->loans[index].out ||
        publisher->loans[index].generation != TOKEN_GENERATION(m->token))
        return -LSHM_ESTALE;
    *ret_index = index;
    return 0;
}

static inline void end_loan(struct lshm_publisher *publisher, uint32_t index)
{
    struct lsi_loan *loan = &publisher->loans[index];

    loan->out = false;
    loan->generation++;
    publisher->loans_out -= loan->slot != LSI_SLOT_SCRATCH;
    publisher->loans_free[publisher->loans_free_count++] = index;
}

/* DIE none: a counter, or nothing before the core's own. */
LSI_HOT void publish_one(struct lshm_publisher *publisher, uint32_t index, struct lshm_message *m)
{
    struct lsi_publication *p = &publisher->publication;
    struct lsi_loan *loan = &publisher->loans[index];
    struct lsi_descriptor d = {
        .length = (uint32_t)m->length,
        .flags = m->flags & 0xffff0000u,
        .schema = m->schema,
        .user = { m->user[0], m->user[1] },
    };

    if (LSI_UNLIKELY(loan->slot == LSI_SLOT_SCRATCH)) {
        m->seq = LSHM_SEQ_NONE;
        publisher->dropped++;
        /* RLX: a counter for inspectors. */
        lsi_store_relaxed(&p->writer.ring->dropped, publisher->dropped);
        end_loan(publisher, index);
        return;
    }
    if (loan->slot == LSI_SLOT_NONE)
        d.flags |= LSHM_ENTRY_INLINE;
    else if (LSI_UNLIKELY(loan->slot & LSI_SLOT_VIEW))
        lsi_forward_describe(publisher, loan->slot, &d);
    else
        d.handle = lsi_handle(1 + lsi_slot_segment(loan->slot),
                              p->slots.generations[lsi_slots_at(&p->slots, loan->slot)],
                              lsi_slot_index(loan->slot));
    if (p->roster.stamps) {
        d.flags |= LSHM_ENTRY_TIME;
        d.time_ns = lsi_now_ns();
        m->time_ns = d.time_ns;
        m->flags |= LSHM_MESSAGE_TIME;
    }
    m->seq = p->writer.tail;
    lsi_publication_publish(p, &d, publisher->blocks + (uint64_t)index * publisher->inline_bytes,
                            loan->slot);
    end_loan(publisher, index);
}

/* Up to the first that is not valid: how many, or the error when that was the first. */
LSI_HOT int publish(struct lshm_publisher *publisher, struct lshm_message *messages, size_t count)
{
    uint32_t index;
    size_t done;
    int r = 0;

    for (done = 0; done < count; done++) {
        r = find_loan(publisher, &messages[done], &index);
        if (LSI_UNLIKELY(r < 0))
            break;
        if (LSI_UNLIKELY(messages[done].length > publisher->loans[index].capacity)) {
            r = -LSHM_ETOOBIG;
            break;
        }
        publish_one(publisher, index, &messages[done]);
    }
    if (done > 0)
        lsi_publication_flush(&publisher->publication);
    return done > 0 ? (int)done : r;
}

LSI_API int lshm_publisher_publish_batch(struct lshm_publisher *publisher,
                                         struct lshm_message *messages, size_t count)
{
    int r;

    LSI_ENTER(publisher, LSI_PUBLISHER_MAGIC);
    if (count > INT32_MAX)
        count = INT32_MAX;
    if (!lsi_port_enter(&publisher->busy))
        return -LSHM_EBUSY;
    r = publish(publisher, messages, count);
    lsi_port_leave(&publisher->busy);
    return r;
}

LSI_API int lshm_publisher_publish(struct lshm_publisher *publisher, struct lshm_message *message)
{
    int r;

    LSI_ENTER(publisher, LSI_PUBLISHER_MAGIC);
    if (!lsi_port_enter(&publisher->busy))
        return -LSHM_EBUSY;
    r = publish(publisher, message, 1);
    lsi_port_leave(&publisher->busy);
    return r < 0 ? r : 0;
}

/* DIE none: a counter; the slot's state byte is for inspectors. */
static void abort_one(struct lshm_publisher *publisher, uint32_t index)
{
    struct lsi_publication *p = &publisher->publication;

    if (publisher->loans[index].slot < LSI_SLOT_SCRATCH)
        lsi_slots_free(&p->slots, publisher->loans[index].slot);
    publisher->aborts++;
    /* RLX: a counter for inspectors. */
    lsi_store_relaxed(&p->writer.ring->aborts, publisher->aborts);
    end_loan(publisher, index);
}

void lsi_publisher_return_loans(struct lshm_publisher *publisher)
{
    for (uint32_t i = 0; i < publisher->loans_max; i++)
        if (publisher->loans[i].out)
            abort_one(publisher, i);
}

LSI_API int lshm_publisher_abort_batch(struct lshm_publisher *publisher,
                                       struct lshm_message *messages, size_t count)
{
    uint32_t index;
    size_t done;
    int r = 0;

    LSI_ENTER(publisher, LSI_PUBLISHER_MAGIC);
    if (!lsi_port_enter(&publisher->busy))
        return -LSHM_EBUSY;
    for (done = 0; done < count && done < INT32_MAX; done++) {
        r = find_loan(publisher, &messages[done], &index);
        if (r < 0)
            break;
        abort_one(publisher, index);
    }
    lsi_port_leave(&publisher->busy);
    return done > 0 ? (int)done : r;
}

LSI_API int lshm_publisher_abort(struct lshm_publisher *publisher, struct lshm_message *message)
{
    int r = lshm_publisher_abort_batch(publisher, message, 1);

    return r < 0 ? r : 0;
}

LSI_API int lshm_publisher_wait(struct lshm_publisher *publisher, int64_t timeout_ns)
{
    uint32_t segment;
    uint64_t length;
    int r;

    LSI_ENTER(publisher, LSI_PUBLISHER_MAGIC);
    if (!lsi_port_enter(&publisher->busy))
        return -LSHM_EBUSY;
    length = publisher->geometry.memory_max > 0 ? publisher->inline_bytes + UINT64_C(1)
                                                : publisher->payload_bytes;
    r = make_room(publisher, length, &segment);
    if (r == -LSHM_EAGAIN && timeout_ns != 0)
        r = wait_for_room(publisher, length, timeout_ns, &segment);
    lsi_port_leave(&publisher->busy);
    return r == 0 ? 1 : r == -LSHM_EAGAIN ? 0 : r;
}
