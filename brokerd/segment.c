/* SPDX-License-Identifier: Apache-2.0 */
#include "segment.h"

#include <errno.h>
#include <string.h>

#include <lshm/error.h>

#include "ctl/geometry.h"
#include "forward.h"
#include "memory.h"
#include "os/memory.h"
#include "outbox.h"
#include "publisher.h"
#include "quota.h"
#include "retain.h"
#include "roster.h"
#include "session.h"

#define MIB (UINT64_C(1) << 20)

static uint32_t *state_of(const struct publisher *publisher, uint32_t number)
{
    return &publisher->record->segment_states[number];
}

static uint32_t get_state(const struct publisher *publisher, uint32_t number)
{
    /* ORD E2 acquire <- E1: what this state speaks of. */
    return lsi_load_acquire(state_of(publisher, number));
}

static void set_state(const struct publisher *publisher, uint32_t number, uint32_t state)
{
    /* ORD E1 release -> E2: a successor that finds this state finds the layout it speaks of.
     * DIE M2: the old state, and the step is done again. */
    lsi_store_release(state_of(publisher, number), state);
}

/* Nobody can name it. Its number is free again. */
static void forget(struct broker *broker, struct publisher *publisher, uint32_t number)
{
    publisher_release_region(broker, publisher, &publisher->segments[number]);
    memset(&publisher->record->geometry.segments[number], 0,
           sizeof(publisher->record->geometry.segments[number]));
    set_state(publisher, number, SEGMENT_FREE);
}

/* What its client has given up waiting for. */
static void forget_unmapped(struct broker *broker, struct publisher *publisher)
{
    uint32_t i;

    for (i = 0; i < LSI_CTL_SEGMENTS; i++) {
        if (get_state(publisher, i) == SEGMENT_CREATED)
            forget(broker, publisher, i);
    }
}

static uint32_t bit_of(uint32_t number)
{
    return UINT32_C(1) << number;
}

static void tell(struct broker *broker, struct link *link, uint32_t number)
{
    const struct publisher *publisher = link->publisher;
    const int is_gone = get_state(publisher, number) == SEGMENT_LEAVING;
    struct lsi_ctl_push_segment push = {
        .header.type = is_gone ? LSI_CTL_PUSH_SEGMENT_GONE : LSI_CTL_PUSH_SEGMENT,
        .subscriber = link->record->subscriber,
        .link = link_number(broker, link),
        .number = number,
        .layout = publisher->record->geometry.segments[number],
    };
    struct outgoing outgoing = {.packet = &push,
                                .bytes = sizeof(push),
                                .regions = {publisher->segments[number]},
                                .region_count = !is_gone,
                                .fd = -1,
                                .acknowledge = ACKNOWLEDGE_SEGMENT,
                                .number = push.link,
                                .segment = push.layout.region * LSI_CTL_SEGMENTS + number};

    if (link->subscriber->client)
        outbox_put(broker, link->subscriber->client, &outgoing);
}

static void show(struct broker *broker, struct link *link, uint32_t bits)
{
    link->record->segments_sent |= bits;
    roster_write_segments(broker, link);
}

void segment_show_all(struct broker *broker, struct link *link)
{
    uint32_t bits = 0, i;

    for (i = 0; i < LSI_CTL_SEGMENTS; i++) {
        if (get_state(link->publisher, i) == SEGMENT_OPEN)
            bits |= bit_of(i);
    }
    show(broker, link, bits);
}

void segment_tell_all(struct broker *broker, struct link *link)
{
    uint32_t i;

    for (i = 0; i < LSI_CTL_SEGMENTS; i++) {
        const uint32_t state = get_state(link->publisher, i);

        if ((state == SEGMENT_OPEN && !(link->record->segments_acknowledged & bit_of(i))) ||
            (state == SEGMENT_LEAVING && link->record->segments_sent & bit_of(i)))
            tell(broker, link, i);
    }
}

void segment_acknowledge(struct link *link, uint64_t segment)
{
    const struct lsi_ctl_geometry *geometry = &link->publisher->record->geometry;
    const uint32_t number = (uint32_t)(segment % LSI_CTL_SEGMENTS);

    if (number >= geometry->segment_count &&
        geometry->segments[number].region == segment / LSI_CTL_SEGMENTS)
        link->record->segments_acknowledged |= bit_of(number);
}

static void fill_reply(struct broker *broker, const struct publisher *publisher, uint32_t type,
                       struct lsi_ctl_segment_reply *ret_reply)
{
    const struct publisher_record *record = publisher->record;

    *ret_reply = (struct lsi_ctl_segment_reply){
        .header = {.type = type, .id = record->grow_id},
        .publisher = publisher_number(broker, publisher),
        .number = record->grow_number,
        .layout = record->geometry.segments[record->grow_number],
    };
}

static void answer(struct broker *broker, struct publisher *publisher)
{
    struct lsi_ctl_segment_reply reply;

    fill_reply(broker, publisher, LSI_CTL_SEGMENT_ADD | LSI_CTL_REPLY, &reply);
    outbox_reply(broker, publisher->client, &reply, sizeof(reply));
}

void segment_open(struct broker *broker, struct publisher *publisher, uint32_t number)
{
    struct link *link;

    LIST_FOREACH (link, &publisher->links, of_publisher) {
        if (record_state(&link->record->record) != LINK_LIVE)
            continue;
        show(broker, link, bit_of(number));
        tell(broker, link, number);
    }
    /* If we die before: the client asks again, and all are told again. */
    set_state(publisher, number, SEGMENT_OPEN);
}

static int send_memory(struct broker *broker, struct publisher *publisher, uint32_t number)
{
    const struct region_wish wish = {
        .kind = LSHM_REGION_SEGMENT,
        .part = number,
        .client = publisher->record->client,
        .port = publisher_number(broker, publisher),
        .bytes = publisher->record->geometry.segments[number].bytes,
        .is_huge = publisher->record->geometry.is_huge != 0};
    struct lsi_ctl_segment_reply reply;
    struct outgoing outgoing = {.packet = &reply,
                                .bytes = sizeof(reply),
                                .region_count = 1,
                                .is_writable = 1,
                                .fd = -1};
    struct region *region;
    int status;

    if (!publisher->segments[number]) {
        status = region_create_for(broker, &wish, &region);
        if (status < 0)
            return status;
        publisher_adopt(broker, region);
    }
    fill_reply(broker, publisher, LSI_CTL_SEGMENT_MEMORY, &reply);
    outgoing.regions[0] = publisher->segments[number];
    outbox_put(broker, publisher->client, &outgoing);
    return 0;
}

/* What is next for the segment that was asked for last. 0 or −errno. */
static int advance(struct broker *broker, struct publisher *publisher)
{
    const uint32_t number = publisher->record->grow_number;
    const struct region *region = publisher->segments[number];
    int is_sealed = region && record_state(&region->record->record) == REGION_SEALED;

    if (get_state(publisher, number) == SEGMENT_CREATED && !is_sealed)
        return send_memory(broker, publisher, number);
    if (get_state(publisher, number) == SEGMENT_CREATED)
        segment_open(broker, publisher, number);
    answer(broker, publisher);
    return 0;
}

void segment_mapped(struct broker *broker, struct publisher *publisher, const struct region *region)
{
    const uint32_t number = region->record->part;

    if (region->record->kind == LSHM_REGION_SEGMENT && number == publisher->record->grow_number &&
        get_state(publisher, number) == SEGMENT_CREATED)
        (void)advance(broker, publisher);
}

static unsigned long long mib(uint64_t bytes)
{
    return (bytes + MIB - 1) / MIB;
}

/* Its layout, in the registry; 0, or a refusal was sent. */
static int plan(struct broker *broker, struct client *client, struct publisher *publisher,
                const struct lsi_ctl_segment_add *request)
{
    struct publisher_record *record = publisher->record;
    struct lsi_ctl_geometry geometry = record->geometry;
    const uint64_t owned = lsi_geometry_segment_bytes(&geometry);
    struct quota_claim claim = {.client = client,
                                .topic = publisher->topic,
                                .retains = geometry.retain > 0,
                                .supersedes = record->ends_before};
    char text[LSI_CTL_TEXT_BYTES];
    uint32_t number = 0;
    int status = lsi_geometry_add(&geometry, request->slot_bytes, request->slot_count,
                                  lsi_memory_page_bytes(), &number);
    uint64_t bytes = geometry.segments[number].bytes;

    if (status < 0) {
        session_refuse(broker, client, &request->header, status,
                       "%u slots of %llu bytes more can't be had: at most %u segments and %u "
                       "slots; use fewer sizes of messages, or a larger ring_entries",
                       request->slot_count, (unsigned long long)request->slot_bytes,
                       LSI_CTL_SEGMENTS, geometry.slot_room);
        return 0;
    }
    if (lsi_geometry_segment_bytes(&geometry) > geometry.memory_max) {
        session_refuse(broker, client, &request->header, -LSHM_EQUOTA,
                       "quota memory_max: %llu MiB asked for, %llu MiB owned already, %llu MiB "
                       "allowed for this publisher; open it with a larger memory_max",
                       mib(bytes), mib(owned), mib(geometry.memory_max));
        return 0;
    }
    claim.bytes = bytes;
    status = retain_check_quota(broker, &claim, text, sizeof(text));
    if (status < 0) {
        session_refuse(broker, client, &request->header, status, "%s", text);
        return 0;
    }
    record->geometry.segments[number] = geometry.segments[number];
    record->grow_number = number;
    record->grow_id = request->header.id;
    set_state(publisher, number, SEGMENT_CREATED);
    return 1;
}

void segment_add(struct broker *broker, struct client *client,
                 const struct lsi_ctl_segment_add *request)
{
    struct publisher *publisher = publisher_find(broker, request->publisher);
    int status;

    if (!publisher || publisher->client != client ||
        record_state(&publisher->record->record) != PUBLISHER_OPEN) {
        session_refuse(broker, client, &request->header, -LSHM_EFOREIGN,
                       "%llu is not a publisher of this client",
                       (unsigned long long)request->publisher);
        return;
    }
    if (publisher->record->grow_id != request->header.id ||
        get_state(publisher, publisher->record->grow_number) == SEGMENT_FREE) {
        forget_unmapped(broker, publisher);
        if (!plan(broker, client, publisher, request))
            return;
    }
    status = advance(broker, publisher);
    if (status == 0)
        return;
    forget_unmapped(broker, publisher);
    session_refuse(broker, client, &request->header, status,
                   "a segment could not be made; see `lshm status` for the limits");
}

/* LSI_CTL_SEGMENTS: there is none. */
static uint32_t find_region(const struct publisher *publisher, uint64_t region)
{
    uint32_t i = publisher->record->geometry.segment_count;

    while (i < LSI_CTL_SEGMENTS && (publisher->record->geometry.segments[i].region != region ||
                                    get_state(publisher, i) == SEGMENT_FREE))
        i++;
    return i;
}

/* LEAVING, and no reader can have it mapped. */
static int is_left(const struct publisher *publisher, uint32_t number)
{
    const struct link *link;

    if (get_state(publisher, number) != SEGMENT_LEAVING)
        return 0;
    LIST_FOREACH (link, &publisher->links, of_publisher) {
        if (link->record->segments_sent & bit_of(number))
            return 0;
    }
    return 1;
}

void segment_drop_left(struct broker *broker, struct publisher *publisher)
{
    uint32_t i;

    for (i = 0; i < LSI_CTL_SEGMENTS; i++) {
        if (is_left(publisher, i))
            forget(broker, publisher, i);
    }
}

void segment_leave(struct broker *broker, struct publisher *publisher, uint32_t number)
{
    struct link *link;

    /* If we die before: what led to it is there still. Behind: the successor tells the readers. */
    set_state(publisher, number, SEGMENT_LEAVING);
    LIST_FOREACH (link, &publisher->links, of_publisher) {
        if (link->record->segments_sent & bit_of(number))
            tell(broker, link, number);
    }
    segment_drop_left(broker, publisher);
}

void segment_remove(struct broker *broker, struct client *client,
                    const struct lsi_ctl_segment_end *request)
{
    struct publisher *publisher = publisher_find(broker, request->port);
    uint32_t number;

    if (!publisher || publisher->client != client)
        return;
    number = find_region(publisher, request->region);
    if (number == LSI_CTL_SEGMENTS || publisher->record->geometry.segments[number].is_foreign)
        return;
    if (get_state(publisher, number) == SEGMENT_CREATED) {
        forget(broker, publisher, number);
        return;
    }
    segment_leave(broker, publisher, number);
}

/* By another number, too: of a ring of views. */
static int has_region(const struct link *link, uint64_t region)
{
    uint32_t i;

    for (i = 0; i < LSI_CTL_SEGMENTS; i++) {
        if (link->publisher->record->geometry.segments[i].region == region &&
            link->record->segments_sent & bit_of(i))
            return 1;
    }
    return 0;
}

void segment_left(struct broker *broker, struct client *client,
                  const struct lsi_ctl_segment_end *request)
{
    struct link *link = link_find(broker, request->port);
    uint32_t number;

    if (!link || link->subscriber->client != client)
        return;
    number = request->number;
    if (link->publisher->record->geometry.segments[number].region != request->region ||
        get_state(link->publisher, number) != SEGMENT_LEAVING)
        return;
    link->record->segments_acknowledged &= ~bit_of(number);
    link->record->segments_sent &= ~bit_of(number);
    roster_write_segments(broker, link);
    if (!has_region(link, request->region))
        forward_end(broker, link, request->region);
    segment_drop_left(broker, link->publisher);
}

void segment_keep_only(struct broker *broker, struct publisher *publisher, uint32_t bits)
{
    struct lsi_ctl_geometry *geometry = &publisher->record->geometry;
    const uint32_t made = bit_of(geometry->segment_count) - 1;
    uint32_t i;

    /* If we die behind it: a segment of no state, which segment_rebuild() forgets. */
    if (!(bits & made))
        geometry->segment_count = 0;
    for (i = geometry->segment_count; i < LSI_CTL_SEGMENTS; i++) {
        if (geometry->segments[i].slot_count > 0 && !(bits & bit_of(i)))
            forget(broker, publisher, i);
    }
}

void segment_rebuild(struct broker *broker, struct publisher *publisher)
{
    uint32_t i;

    for (i = publisher->record->geometry.segment_count; i < LSI_CTL_SEGMENTS; i++) {
        const uint32_t state = get_state(publisher, i);

        if (publisher->record->geometry.segments[i].is_foreign && state != SEGMENT_FREE)
            forward_rebuild(broker, publisher, i);
        else if (state == SEGMENT_FREE || (state != SEGMENT_CREATED && !publisher->segments[i]))
            forget(broker, publisher, i);
    }
}
