/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A publisher that gets more slots while it is in use.
 *
 * Slots are of the power of two that fits the payload, 4 KiB at least and never larger than
 * payload_bytes asks for. The first segment of a size leaves the L2 cache (recycled first in, first
 * out: slots.h), each further one doubles what there is of that size, so that a handful of segments
 * is enough for any number of slots. memory_max bounds the sum.
 *
 * A segment of which nothing was loaned for a while, and nothing is in use, is given back, at a
 * later loan; at once when the limit stands in the way of another size, or the application says so.
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
#define ASK_AGAIN_NS UINT64_C(100000000)
#define IDLE_NS UINT64_C(2000000000)

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

static int map_memory(struct lshm_publisher *publisher, struct lsi_ctl_packet *packet,
                      struct lsi_part *ret_part)
{
    int r = -LSHM_EPROTO;

    if (packet->header.type == LSI_CTL_SEGMENT_MEMORY)
        r = check_layout(publisher, &packet->segment_reply);
    if (r == 0)
        r = lsi_publisher_map(publisher, packet->fds[0], packet->segment_reply.layout.bytes,
                              &packet->segment_reply.layout.pages, ret_part);
    return r;
}

static void add_segment(struct lshm_publisher *publisher, uint32_t number,
                        const struct lsi_ctl_segment *layout, struct lsi_part part)
{
    publisher->segments[number] = part;
    publisher->geometry.segments[number] = *layout;
    lsi_slots_add(&publisher->publication.slots, number, layout->slot_bytes,
                  least_for(layout->slot_bytes), layout->first_slot, layout->slot_count);
    publisher->idle_since_ns[number] = 0;
    publisher->grown++;
}

void lsi_segment_remove(struct lshm_context *context, uint64_t publisher, uint64_t region)
{
    struct lsi_ctl_segment_end message = {
        .header = { .type = LSI_CTL_SEGMENT_REMOVE },
        .port = publisher,
        .region = region,
    };

    lsi_control_send(context, &message.header, sizeof message);
}

/* With control held: none of its slots is in use. */
static void give_back(struct lshm_publisher *publisher, uint32_t number)
{
    struct lsi_ctl_segment *layout = &publisher->geometry.segments[number];

    lsi_slots_remove(&publisher->publication.slots, number);
    lsi_memory_unmap(publisher->segments[number].base, publisher->segments[number].bytes);
    lsi_segment_remove(publisher->context, publisher->number, layout->region);
    publisher->segments[number] = (struct lsi_part){ 0 };
    *layout = (struct lsi_ctl_segment){ 0 };
    publisher->grown--;
}

static bool is_unused(const struct lshm_publisher *publisher, uint32_t number)
{
    const struct lsi_slots_segment *s = &publisher->publication.slots.segments[number];

    return s->count > 0 && s->free_count == s->count;
}

/* What is not in use, but for slots of `but_bytes`: how many bytes. */
static uint64_t give_back_unused(struct lshm_publisher *publisher, uint64_t but_bytes)
{
    const struct lsi_ctl_geometry *geometry = &publisher->geometry;
    uint64_t owned = lsi_geometry_segment_bytes(geometry);

    pthread_mutex_lock(&publisher->context->control);
    for (uint32_t i = geometry->segment_count; i < LSI_CTL_SEGMENTS; i++)
        if (is_unused(publisher, i) && geometry->segments[i].slot_bytes != but_bytes)
            give_back(publisher, i);
    pthread_mutex_unlock(&publisher->context->control);
    return owned - lsi_geometry_segment_bytes(geometry);
}

/* What lossy readers have not come to yet stays theirs. */
static void reclaim_passed(struct lshm_publisher *publisher)
{
    publisher->publication.spared = UINT32_MAX;
    lsi_reclaim(&publisher->publication, 1);
    publisher->publication.spared = 0;
}

/* Since when this segment was idle at every look; 0: it is not. */
static uint64_t idle_since(struct lshm_publisher *publisher, uint32_t number, uint64_t now)
{
    struct lsi_slots_segment *s = &publisher->publication.slots.segments[number];

    if (!is_unused(publisher, number) || s->was_loaned)
        publisher->idle_since_ns[number] = 0;
    else if (publisher->idle_since_ns[number] == 0)
        publisher->idle_since_ns[number] = now;
    s->was_loaned = false;
    return publisher->idle_since_ns[number];
}

void lsi_publisher_give_back_idle(struct lshm_publisher *publisher)
{
    uint64_t now = lsi_now_coarse_ns();

    if (LSI_LIKELY(now < publisher->look_ns))
        return;
    publisher->look_ns = now + IDLE_NS / 4;
    reclaim_passed(publisher);
    pthread_mutex_lock(&publisher->context->control);
    for (uint32_t i = publisher->geometry.segment_count; i < LSI_CTL_SEGMENTS; i++) {
        uint64_t since = idle_since(publisher, i, now);

        if (since != 0 && now - since >= IDLE_NS)
            give_back(publisher, i);
    }
    pthread_mutex_unlock(&publisher->context->control);
}

LSI_API int64_t lshm_publisher_trim(struct lshm_publisher *publisher)
{
    int64_t bytes;

    LSI_ENTER(publisher, LSI_PUBLISHER_MAGIC);
    if (!lsi_port_enter(&publisher->busy))
        return -LSHM_EBUSY;
    reclaim_passed(publisher);
    bytes = (int64_t)give_back_unused(publisher, 0);
    lsi_port_leave(&publisher->busy);
    return bytes;
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
    mapped.pages = memory.layout.pages;
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
    if (r == 0) {
        add_segment(publisher, memory.number, &memory.layout, part);
        return 0;
    }
    lsi_memory_unmap(part.base, part.bytes);
    if (memory.header.type == LSI_CTL_SEGMENT_MEMORY)
        lsi_segment_remove(context, publisher->number, memory.layout.region);
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
    if (r < 0)
        publisher->grow_after_ns = lsi_now_coarse_ns() + ASK_AGAIN_NS;
    return r;
}

int lsi_publisher_grow(struct lshm_publisher *publisher, uint64_t length)
{
    uint64_t slot_bytes = slot_bytes_for(&publisher->geometry, length);
    int r;

    if (publisher->geometry.memory_max == 0)
        return -LSHM_ENOSLOT;
    if (lsi_now_coarse_ns() < publisher->grow_after_ns)
        return publisher->grow_error;
    r = grow(publisher, slot_bytes);
    if ((r == -LSHM_EQUOTA || r == -LSHM_ELIMIT || r == -ENOMEM) &&
        give_back_unused(publisher, slot_bytes) > 0)
        r = grow(publisher, slot_bytes);
    publisher->grow_error = r;
    return r;
}
