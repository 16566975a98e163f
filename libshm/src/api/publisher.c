/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing a publisher: the broker makes its ring and segment, we map, fill and head
 * them, the broker seals them, puts the readers that are there on our board, and only then do we
 * publish.
 */
#include <stdlib.h>
#include <string.h>

#include "api/forward.h"
#include "api/internal.h"
#include "ctl/geometry.h"
#include "ctl/topic.h"
#include "os/pages.h"

#define PUBLISHER_FLAGS                                                                            \
    (LSHM_PUBLISHER_TIMESTAMPS | LSHM_PUBLISHER_NEVER_WAITS | LSHM_PUBLISHER_DROP_NEWEST |         \
     LSHM_PUBLISHER_PREFAULT | LSHM_PUBLISHER_LOCK | LSHM_PUBLISHER_HUGE)

_Static_assert(LSI_CTL_SEGMENTS == LSI_SLOTS_SEGMENTS, "what the broker makes can be accounted");

/* A pool that leaves the L2 and stays in the L3: recycled first in, first out, it streams five
 * times faster than one that stays in the L2 (measured; design.md, section 4, Loan). */
#define POOL_BYTES (UINT64_C(4) << 20)
#define POOL_SLOTS_MIN 8u
#define POOL_SLOTS_MAX 1024u

static uint32_t default_slots(uint64_t payload_bytes)
{
    uint64_t slots = POOL_BYTES / (payload_bytes > 0 ? payload_bytes : 1);

    if (slots < POOL_SLOTS_MIN)
        return POOL_SLOTS_MIN;
    return slots > POOL_SLOTS_MAX ? POOL_SLOTS_MAX : (uint32_t)slots;
}

static int check_options(struct lshm_publisher_options *o, struct lshm_error *reterr_error)
{
    uint32_t inline_bytes;

    if (o->payload_bytes == 0)
        o->payload_bytes = LSI_PAYLOAD_BYTES_USUAL;
    if (o->ring_entries == 0)
        o->ring_entries = LSI_ENTRIES_USUAL;
    if (o->entry_bytes == 0)
        o->entry_bytes = LSI_ENTRY_BYTES_USUAL;
    if (o->loans_max == 0)
        o->loans_max = LSI_LOANS_USUAL;
    if (o->payload_bytes > LSI_SLOT_BYTES_MAX) {
        lsi_error_set(reterr_error, LSHM_ETOOBIG, "payload_bytes is %llu; the largest payload is "
                      "%llu bytes: publish it in pieces", (unsigned long long)o->payload_bytes,
                      (unsigned long long)LSI_SLOT_BYTES_MAX);
        return -LSHM_ETOOBIG;
    }
    if (o->entry_bytes < LSHM_ENTRY_BYTES_MIN || o->entry_bytes > LSHM_ENTRY_BYTES_MAX ||
        (o->entry_bytes & (o->entry_bytes - 1)) != 0) {
        lsi_error_set(reterr_error, EINVAL, "entry_bytes is %u; it must be 64, 128, 256, 512 or "
                      "1024", o->entry_bytes);
        return -EINVAL;
    }
    if (o->loans_max > LSI_LOANS_MAX) {
        lsi_error_set(reterr_error, EINVAL, "loans_max is %u; it must be from 1 to %u",
                      o->loans_max, LSI_LOANS_MAX);
        return -EINVAL;
    }
    if (o->flags & ~PUBLISHER_FLAGS) {
        lsi_error_set(reterr_error, EINVAL, "flags has bits that this liblshm does not know, 0x%x: "
                      "clear them, or use a newer one", o->flags & ~PUBLISHER_FLAGS);
        return -EINVAL;
    }
    if (o->numa_node != 0 && !lsi_pages_has_node(o->numa_node - 1)) {
        lsi_error_set(reterr_error, EINVAL, "numa_node is %u, which means node %u; this machine "
                      "has one node, or none of that number: use 0, or see lscpu", o->numa_node,
                      o->numa_node - 1);
        return -EINVAL;
    }
    if (o->loans_max > o->ring_entries)
        o->loans_max = o->ring_entries;
    if (o->history < o->retain)
        o->history = o->retain;
    inline_bytes = o->entry_bytes > sizeof(struct lshm_entry)
                       ? lsi_ring_inline_bytes(o->entry_bytes) : 0;
    if (o->payload_bytes <= inline_bytes)
        o->slot_count = 0;
    else if (o->slot_count == 0 && o->memory_max == 0)
        o->slot_count = default_slots(o->payload_bytes) + o->history;
    else if (o->slot_count <= o->history && o->memory_max == 0) {
        lsi_error_set(reterr_error, EINVAL, "%s %u keeps all of the %u slots: use more slots "
                      "(slot_count) or less history",
                      o->retain == o->history ? "retain" : "history", o->history, o->slot_count);
        return -EINVAL;
    }
    return 0;
}

static void head_ring(struct lshm_publisher *publisher)
{
    const struct lsi_ctl_geometry *g = &publisher->geometry;
    struct lshm_ring *ring = publisher->ring.base;

    ring->header = (struct lshm_region_header){
        .magic = LSHM_REGION_MAGIC,
        .abi_major = LSHM_ABI_MAJOR,
        .abi_minor = LSHM_ABI_MINOR,
        .kind = LSHM_REGION_RING,
        .bytes = g->ring_bytes,
        .region = g->ring_region,
        .client = publisher->context->client,
    };
    ring->publisher = publisher->number;
    ring->entry_count = g->entry_count;
    ring->entry_bytes = g->entry_bytes;
    ring->entries_offset = g->entries_offset;
    ring->states_offset = g->states_offset;
    ring->slot_bytes = g->slot_bytes;
    ring->slot_count = g->slot_room;
    ring->flags = g->flags;
    ring->history = g->history;
    ring->retain = g->retain;
}

/* Aligned as a slot of that size is; the kernel gives the memory when it is written. */
static void *make_scratch(uint64_t bytes)
{
    return aligned_alloc(LSI_SLOT_PAGE_BYTES,
                         (bytes + LSI_SLOT_PAGE_BYTES - 1) & ~(uint64_t)(LSI_SLOT_PAGE_BYTES - 1));
}

static int make_arrays(struct lshm_publisher *publisher)
{
    const struct lsi_ctl_geometry *g = &publisher->geometry;
    struct lsi_publication *p = &publisher->publication;
    struct lshm_ring *ring = publisher->ring.base;
    unsigned char *base = publisher->ring.base;
    uint32_t slots = g->slot_room > 0 ? g->slot_room : 1;
    uint32_t *fifo = calloc(slots, sizeof *fifo), *generations = calloc(slots, sizeof *generations);

    p->slot_of = calloc(g->entry_count, sizeof *p->slot_of);
    p->limbo = calloc(slots, sizeof *p->limbo);
    publisher->inline_bytes = lsi_ring_inline_bytes(g->entry_bytes);
    publisher->loans = calloc(publisher->loans_max, sizeof *publisher->loans);
    publisher->loans_free = calloc(publisher->loans_max, sizeof *publisher->loans_free);
    publisher->blocks = calloc(publisher->loans_max, publisher->inline_bytes + UINT64_C(8));
    if (publisher->flags & LSHM_PUBLISHER_DROP_NEWEST)
        publisher->scratch = make_scratch(publisher->payload_bytes);
    lsi_slots_init(&p->slots, g->slot_room, fifo, generations, base + g->states_offset,
                   &ring->slots_free);
    if (fifo == NULL || generations == NULL || p->slot_of == NULL || p->limbo == NULL ||
        publisher->loans == NULL || publisher->loans_free == NULL || publisher->blocks == NULL ||
        (publisher->flags & LSHM_PUBLISHER_DROP_NEWEST && publisher->scratch == NULL))
        return -ENOMEM;
    for (uint32_t i = 0; i < g->segment_count; i++)
        lsi_slots_add(&p->slots, i, g->segments[i].slot_bytes, 0, g->segments[i].first_slot,
                      g->segments[i].slot_count);
    lsi_ring_writer_init(&p->writer, ring, base + g->entries_offset, g->entry_count,
                         g->entry_bytes);
    p->writer.tail = p->committed = ring->tail = ring->horizon = LSI_SEQ_FIRST;
    for (uint32_t i = 0; i < publisher->loans_max; i++) {
        publisher->loans[i].generation = (uint32_t)LSI_COUNTER_START(32) + 1;
        publisher->loans_free[i] = publisher->loans_max - 1 - i;
    }
    publisher->loans_free_count = publisher->loans_max;
    return 0;
}

static int map_memory(struct lshm_publisher *publisher, const struct lsi_ctl_packet *reply)
{
    const struct lsi_ctl_publisher_memory *memory = &reply->publisher_memory;
    int r;

    if (reply->header.type != LSI_CTL_PUBLISHER_MEMORY)
        return -LSHM_EPROTO;
    publisher->number = memory->publisher;
    publisher->topic = memory->topic;
    publisher->geometry = memory->geometry;
    r = lsi_publisher_map(publisher, reply->fds[0], memory->geometry.ring_bytes, NULL,
                          &publisher->ring);
    for (uint32_t i = 0; r == 0 && i < memory->geometry.segment_count; i++)
        r = lsi_publisher_map(publisher, reply->fds[1 + i], memory->geometry.segments[i].bytes,
                              &publisher->geometry.segments[i].pages, &publisher->segments[i]);
    if (r < 0)
        return r;
    head_ring(publisher);
    return make_arrays(publisher);
}

/* With control held. The broker forgets a port whose memory could not be mapped. */
static void give_up(struct lshm_publisher *publisher)
{
    struct lsi_ctl_port_close request = {
        .header = { .type = LSI_CTL_PUBLISHER_CLOSE },
        .port = publisher->number,
    };
    struct lsi_ctl_packet reply;

    lsi_control_request(publisher->context, &request.header, sizeof request, &reply, NULL);
    lsi_ctl_close_fds(&reply, 0);
}

/* With control held. */
static int open_port(struct lshm_publisher *publisher, struct lsi_ctl_publisher_open *request,
                     struct lshm_error *reterr_error)
{
    struct lshm_context *context = publisher->context;
    struct lsi_ctl_mapped mapped = { .header = { .type = LSI_CTL_MAPPED } };
    struct lsi_roster_operations operations = lsi_publisher_roster_operations;
    const struct lshm_board_publisher *record;
    struct lsi_ctl_packet reply;
    int r = lsi_control_request(context, &request->header, sizeof *request, &reply, reterr_error);

    if (r == 0) {
        r = map_memory(publisher, &reply);
        if (r < 0 && publisher->lock_failed)
            lsi_error_set(reterr_error, r, "cannot lock %llu bytes in memory: %s; raise "
                          "RLIMIT_MEMLOCK (ulimit -l), or do without LSHM_PUBLISHER_LOCK",
                          (unsigned long long)lsi_geometry_bytes(&publisher->geometry),
                          lshm_strerror(r));
        else if (r < 0)
            lsi_error_set(reterr_error, r, "cannot map %llu bytes for the publisher: %s; ask for "
                          "fewer slots, or see lshm doctor for memory limits", (unsigned long long)
                          lsi_geometry_bytes(&publisher->geometry), lshm_strerror(r));
        mapped.header.id = request->header.id;
        mapped.regions[mapped.count++] = publisher->geometry.ring_region;
        for (uint32_t i = 0; i < publisher->geometry.segment_count; i++)
            mapped.regions[mapped.count++] = publisher->geometry.segments[i].region;
        mapped.pages = publisher->geometry.segments[0].pages;
    }
    lsi_ctl_close_fds(&reply, 0);
    if (mapped.header.id != 0 && r < 0)
        give_up(publisher);
    else if (mapped.header.id != 0)
        r = lsi_control_send(context, &mapped.header, sizeof mapped);
    while (r == 0) {
        r = lsi_control_await(context, &request->header, sizeof *request, &reply, reterr_error);
        lsi_ctl_close_fds(&reply, 0);
        if (reply.header.type != LSI_CTL_PUBLISHER_MEMORY)
            break; /* else a new worker repeats what we have mapped */
    }
    if (r < 0)
        return r;
    record = lsi_part_at(context->board, reply.publisher_open_reply.record, sizeof *record);
    if (reply.header.type != (LSI_CTL_PUBLISHER_OPEN | LSI_CTL_REPLY) || record == NULL)
        return -LSHM_EPROTO;
    operations.context = publisher;
    lsi_roster_init(&publisher->publication.roster, record, publisher->geometry.entry_count,
                    &operations);
    publisher->publication.roster.stamps_always = publisher->flags & LSHM_PUBLISHER_TIMESTAMPS;
    LIST_INSERT_HEAD(&context->publishers, publisher, entry);
    return 0;
}

static void publisher_free(struct lshm_publisher *publisher)
{
    struct lsi_publication *p = &publisher->publication;

    lsi_forward_free_publisher(publisher);
    lsi_roster_clear(&p->roster);
    if (publisher->ring.base != NULL)
        lsi_memory_unmap(publisher->ring.base, publisher->ring.bytes);
    for (uint32_t i = 0; i < LSI_CTL_SEGMENTS; i++)
        if (publisher->segments[i].base != NULL)
            lsi_memory_unmap(publisher->segments[i].base, publisher->segments[i].bytes);
    free(p->roster.readers);
    free(p->roster.active);
    free(p->roster.sleepers);
    free(p->kept.words);
    free(p->slots.free_fifo);
    free(p->slots.generations);
    free(p->slot_of);
    free(p->limbo);
    free(publisher->loans);
    free(publisher->loans_free);
    free(publisher->blocks);
    free(publisher->scratch);
    publisher->magic = 0;
    free(publisher);
}

static int open_checked(struct lshm_publisher *publisher, const char *topic,
                        const struct lshm_publisher_options *o, struct lshm_error *reterr_error)
{
    struct lshm_context *context = publisher->context;
    bool needs_slots =
        o->slot_count > 0 || o->payload_bytes > lsi_ring_inline_bytes(o->entry_bytes);
    struct lsi_ctl_publisher_open request = {
        .header = { .type = LSI_CTL_PUBLISHER_OPEN },
        .slot_bytes = needs_slots ? o->payload_bytes : 0,
        .memory_max = needs_slots ? o->memory_max : 0,
        .slot_count = o->slot_count,
        .entry_count = o->ring_entries,
        .entry_bytes = o->entry_bytes,
        .history = o->history,
        .retain = o->retain,
        .is_huge = needs_slots && o->flags & LSHM_PUBLISHER_HUGE,
        .flags = (o->flags & LSHM_PUBLISHER_NEVER_WAITS ? 0 : LSHM_RING_MAY_BLOCK) |
                 (o->flags & LSHM_PUBLISHER_TIMESTAMPS ? LSHM_RING_TIMESTAMPS : 0),
    };
    int r;

    lsi_ctl_set_text(request.topic, sizeof request.topic, topic);
    publisher->magic = LSI_PUBLISHER_MAGIC;
    publisher->payload_bytes = o->payload_bytes;
    publisher->publication.history = o->history;
    publisher->loans_max = o->loans_max;
    publisher->wait_ns = o->wait_ns;
    publisher->stall_ns = o->stall_ns;
    publisher->spin_ns = lsi_spin_ns(o->spin_ns);
    publisher->flags = o->flags;
    publisher->numa_node = o->numa_node;
    pthread_mutex_lock(&context->control);
    publisher->port = lsi_new_port();
    r = open_port(publisher, &request, reterr_error);
    pthread_mutex_unlock(&context->control);
    if (r == 0 && lsi_roster_sync(&publisher->publication.roster) > 0)
        lsi_roster_sync(&publisher->publication.roster);
    return r;
}

LSI_API int lshm_publisher_open(struct lshm_context *context, const char *topic,
                                const struct lshm_publisher_options *options,
                                struct lshm_error *reterr_error,
                                struct lshm_publisher **ret_publisher)
{
    struct lshm_publisher_options given;
    struct lshm_publisher *publisher;
    int r = lsi_port_check(context, topic, &given, sizeof given, options, reterr_error);

    if (r < 0 || (r = check_options(&given, reterr_error)) < 0)
        return r;
    publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL) {
        lsi_error_set(reterr_error, ENOMEM, "no memory for a publisher: see ulimit -v");
        return -ENOMEM;
    }
    publisher->context = context;
    r = open_checked(publisher, topic, &given, reterr_error);
    if (r < 0) {
        publisher_free(publisher);
        return r;
    }
    *ret_publisher = publisher;
    return 0;
}

void lsi_publisher_end(struct lshm_publisher *publisher)
{
    struct lsi_ctl_port_close request = { .header = { .type = LSI_CTL_PUBLISHER_CLOSE } };
    struct lshm_context *context = publisher->context;
    struct lsi_ctl_packet reply;

    pthread_mutex_lock(&context->control);
    LIST_REMOVE(publisher, entry);
    request.port = publisher->number;
    lsi_control_request(context, &request.header, sizeof request, &reply, NULL);
    lsi_ctl_close_fds(&reply, 0);
    pthread_mutex_unlock(&context->control);
    publisher_free(publisher);
}

LSI_API void lshm_publisher_close(struct lshm_publisher *publisher)
{
    if (publisher == NULL || publisher->magic != LSI_PUBLISHER_MAGIC ||
        lsi_context_forked(publisher->context))
        return;
    lsi_publisher_return_loans(publisher);
    if (!lsi_forward_delays_publisher(publisher))
        lsi_publisher_end(publisher);
}

LSI_API int lshm_publisher_send(struct lshm_publisher *publisher, const void *data, size_t length)
{
    struct lshm_message message;
    int r = lshm_publisher_loan(publisher, length, &message);

    if (r < 0)
        return r;
    if (length > 0)
        memcpy(message.data, data, length);
    return lshm_publisher_publish(publisher, &message);
}

static uint64_t count_joined(const struct lsi_roster *roster)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < roster->active_count; i++) {
        const struct lshm_cell *cell = roster->readers[roster->active[i]].cell;

        /* RLX: a reader that has set its cursor will not be sent back; later is only late. */
        if (cell != NULL && lsi_load_relaxed(&cell->cursor) != LSHM_CURSOR_UNSET)
            count++;
    }
    return count;
}

LSI_API int lshm_publisher_get_statistics(struct lshm_publisher *publisher,
                                          struct lshm_publisher_statistics *statistics)
{
    struct lshm_publisher_statistics s = { .size = sizeof s };
    struct lsi_publication *p;
    const uint64_t *in_state;

    LSI_ENTER(publisher, LSI_PUBLISHER_MAGIC);
    lsi_forward_look(publisher);
    p = &publisher->publication;
    if (lsi_roster_changed(&p->roster) || p->roster.unmapped > 0)
        lsi_roster_sync(&p->roster);
    in_state = p->slots.in_state;
    s.publisher = publisher->number;
    s.published = p->writer.tail - LSI_SEQ_FIRST;
    s.bytes = p->bytes;
    s.refused = publisher->refused;
    s.dropped = publisher->dropped;
    s.evicted = p->roster.evictions;
    s.forwarded = publisher->views.forwarded;
    s.forward_copies = publisher->views.copied;
    s.views = publisher->views.count - publisher->views.free_count;
    s.readers = p->roster.active_count;
    s.joined = count_joined(&p->roster);
    s.unmapped = p->roster.unmapped;
    s.slots = p->slots.count;
    s.slots_free = in_state[LSHM_SLOT_FREE];
    s.slots_loaned = in_state[LSHM_SLOT_LOANED];
    s.slots_window = in_state[LSHM_SLOT_WINDOW];
    s.slots_limbo = in_state[LSHM_SLOT_LIMBO];
    s.slots_quarantine = in_state[LSHM_SLOT_QUARANTINE];
    return lsi_statistics_copy(statistics, &s, sizeof s);
}
