/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A publisher that gets more slots while it is in use.
 *
 * Slots are of the power of two that fits the payload, 4 KiB at least and never larger than
 * payload_bytes asks for. The first segment of a size leaves the L2 cache (recycled first in, first
 * out: slots.h), each further one doubles what there is of that size, so that a handful of segments
 * is enough for any number of slots. memory_max bounds the sum.
 *
 * This is not the hot path: a loan that finds no slot asks the broker and waits for its answer.
 */
#include "api/internal.h"
#include "ctl/geometry.h"

#define FIRST_BYTES (UINT64_C(2) << 20)
/* Slots above the first size are spared for payloads that fill an eighth of them, at least. */
#define SPARED_BYTES (UINT64_C(64) << 10)
#define SPARED_PART 8u
/* After a refusal; what was used up may be given back, but not every loan needs to ask. */
#define ASK_AGAIN_NS UINT64_C(1000000000)

static uint64_t slot_bytes_for(const struct lsi_ctl_geometry *geometry, uint64_t length)
{
    uint64_t bytes = LSI_GROWN_SLOT_BYTES;

    while (bytes < length)
        bytes *= 2;
    return bytes < geometry->slot_bytes ? bytes : geometry->slot_bytes;
}

static uint64_t least_for(uint64_t slot_bytes)
{
    return slot_bytes > SPARED_BYTES ? slot_bytes / SPARED_PART : 0;
}

static uint32_t count_same(const struct lsi_ctl_geometry *geometry, uint64_t slot_bytes)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < LSI_CTL_SEGMENTS; i++)
        if (geometry->segments[i].slot_bytes == slot_bytes)
            count += geometry->segments[i].slot_count;
    return count;
}

/* How many slots of this size to ask for: 0 when not one may be had. */
static uint32_t choose_count(const struct lshm_publisher *publisher, uint64_t slot_bytes)
{
    const struct lsi_ctl_geometry *geometry = &publisher->geometry;
    uint64_t owned = lsi_geometry_segment_bytes(geometry);
    uint64_t left = geometry->memory_max > owned ? geometry->memory_max - owned : 0;
    uint64_t room = geometry->slot_room - lsi_geometry_slots(geometry);
    uint64_t count = count_same(geometry, slot_bytes), entries = geometry->entry_count;

    if (count < FIRST_BYTES / slot_bytes)
        count = FIRST_BYTES / slot_bytes;
    if (count > entries)
        count = entries; /* only holds can need more of this size, and may have it */
    if (count == 0)
        count = 1;
    if (count > left / slot_bytes)
        count = left / slot_bytes;
    return (uint32_t)(count < room ? count : room);
}

/* A layout that fits what there is, or the broker must not be believed. */
static int check_layout(const struct lshm_publisher *publisher,
                        const struct lsi_ctl_segment_reply *reply)
{
    struct lsi_ctl_geometry geometry = publisher->geometry;

    if (geometry.segments[reply->number].slot_count > 0 || reply->publisher != publisher->number)
        return -LSHM_EPROTO;
    geometry.segments[reply->number] = reply->layout;
    return lsi_geometry_check(&geometry) ? 0 : -LSHM_EPROTO;
}

static int map_memory(struct lshm_publisher *publisher, const struct lsi_ctl_packet *packet,
                      struct lsi_part *ret_part)
{
    int r = -LSHM_EPROTO;

    if (packet->header.type == LSI_CTL_SEGMENT_MEMORY)
        r = check_layout(publisher, &packet->segment_reply);
    if (r == 0)
        r = lsi_publisher_map(publisher, packet->fds[0], packet->segment_reply.layout.bytes,
                              ret_part);
    return r;
}

static void add_segment(struct lshm_publisher *publisher, uint32_t number,
                        const struct lsi_ctl_segment *layout, struct lsi_part part)
{
    publisher->segments[number] = part;
    publisher->geometry.segments[number] = *layout;
    lsi_slots_add(&publisher->publication.slots, number, layout->slot_bytes,
                  least_for(layout->slot_bytes), layout->first_slot, layout->slot_count);
}

/* With control held. */
static int ask(struct lshm_publisher *publisher, uint64_t slot_bytes, uint32_t count)
{
    struct lshm_context *context = publisher->context;
    struct lsi_ctl_segment_add request = {
        .header = { .type = LSI_CTL_SEGMENT_ADD },
        .publisher = publisher->number,
        .slot_bytes = slot_bytes,
        .slot_count = count,
    };
    struct lsi_ctl_mapped mapped = { .header = { .type = LSI_CTL_MAPPED }, .count = 1 };
    struct lsi_ctl_segment_reply memory;
    struct lsi_part part = { 0 };
    struct lsi_ctl_packet reply;
    int r = lsi_control_request(context, &request.header, sizeof request, &reply, NULL);

    if (r < 0)
        return r;
    r = map_memory(publisher, &reply, &part);
    memory = reply.segment_reply;
    lsi_ctl_close_fds(&reply, 0);
    mapped.header.id = request.header.id;
    mapped.regions[0] = memory.layout.region;
    if (r == 0)
        r = lsi_control_send(context, &mapped.header, sizeof mapped);
    while (r == 0) {
        r = lsi_control_await(context, &request.header, sizeof request, &reply, NULL);
        lsi_ctl_close_fds(&reply, 0);
        if (r < 0 || reply.header.type != LSI_CTL_SEGMENT_MEMORY)
            break; /* else a new worker repeats what we have mapped */
    }
    if (r == 0 && reply.header.type != (LSI_CTL_SEGMENT_ADD | LSI_CTL_REPLY))
        r = -LSHM_EPROTO;
    if (r == 0)
        add_segment(publisher, memory.number, &memory.layout, part);
    else
        lsi_memory_unmap(part.base, part.bytes);
    return r;
}

static int grow(struct lshm_publisher *publisher, uint64_t slot_bytes)
{
    uint32_t count = choose_count(publisher, slot_bytes);
    int r;

    if (count == 0)
        return -LSHM_EQUOTA;
    pthread_mutex_lock(&publisher->context->control);
    r = ask(publisher, slot_bytes, count);
    if ((r == -LSHM_EQUOTA || r == -ENOMEM) && count > 1)
        r = ask(publisher, slot_bytes, 1);
    pthread_mutex_unlock(&publisher->context->control);
    return r;
}

int lsi_publisher_grow(struct lshm_publisher *publisher, uint64_t length)
{
    uint64_t now = lsi_now_coarse_ns();

    if (publisher->geometry.memory_max == 0)
        return -LSHM_ENOSLOT;
    if (now < publisher->grow_after_ns)
        return publisher->grow_error;
    publisher->grow_error = grow(publisher, slot_bytes_for(&publisher->geometry, length));
    if (publisher->grow_error < 0 && publisher->grow_error != -LSHM_EQUOTA)
        publisher->grow_after_ns = now + ASK_AGAIN_NS;
    return publisher->grow_error;
}
