/* SPDX-License-Identifier: Apache-2.0 */
#include "forward.h"

#include <lshm/error.h>

#include "link.h"
#include "memory.h"
#include "outbox.h"
#include "publisher.h"
#include "segment.h"
#include "session.h"

static const struct lsi_ctl_segment *layout_of(const struct publisher *publisher, uint32_t number)
{
    return &publisher->record->geometry.segments[number];
}

/* LSI_CTL_SEGMENTS: there is none. */
static uint32_t find_source(const struct publisher *publisher, uint64_t region)
{
    uint32_t i = 0;

    while (i < LSI_CTL_SEGMENTS &&
           (layout_of(publisher, i)->region != region || !publisher->segments[i]))
        i++;
    return i;
}

static int is_from(const struct publisher *publisher, uint32_t number, uint64_t link,
                   uint64_t region)
{
    const struct lsi_ctl_segment *layout = layout_of(publisher, number);

    return layout->is_foreign && publisher->segments[number] &&
           publisher->record->source_links[number] == link &&
           (region == 0 || layout->region == region);
}

static uint32_t find_import(const struct publisher *publisher, uint64_t link, uint64_t region)
{
    uint32_t i = 0;

    while (i < LSI_CTL_SEGMENTS && !is_from(publisher, i, link, region))
        i++;
    return i;
}

static uint32_t find_free(const struct publisher *publisher)
{
    uint32_t i = publisher->record->geometry.segment_count;

    while (i < LSI_CTL_SEGMENTS && layout_of(publisher, i)->slot_count > 0)
        i++;
    return i;
}

static void import(struct broker *broker, struct publisher *publisher, uint32_t number,
                   const struct link *link, uint32_t source)
{
    struct publisher_record *record = publisher->record;

    /* If we die before it is OPEN: a segment of no state, which the successor forgets. */
    record->source_links[number] = link_number(broker, link);
    record->geometry.segments[number] = *layout_of(link->publisher, source);
    record->geometry.segments[number].first_slot = 0;
    record->geometry.segments[number].is_foreign = 1;
    publisher->segments[number] = link->publisher->segments[source];
    publisher->segments[number]->pins++;
    segment_open(broker, publisher, number);
}

static void answer(struct broker *broker, struct client *client, const struct publisher *publisher,
                   uint32_t number, const struct lsi_ctl_segment_import *request)
{
    struct lsi_ctl_segment_reply reply = {
        .header = {.type = LSI_CTL_SEGMENT_IMPORT | LSI_CTL_REPLY, .id = request->header.id},
        .publisher = request->publisher,
        .number = number,
        .layout = *layout_of(publisher, number),
    };

    outbox_reply(broker, client, &reply, sizeof(reply));
}

void forward_import(struct broker *broker, struct client *client,
                    const struct lsi_ctl_segment_import *request)
{
    struct publisher *publisher = publisher_find(broker, request->publisher);
    struct link *link = link_find(broker, request->link);
    uint32_t number, source;

    if (!publisher || publisher->client != client ||
        record_state(&publisher->record->record) != PUBLISHER_OPEN || !link ||
        link->subscriber->client != client || record_state(&link->record->record) != LINK_LIVE) {
        session_refuse(broker, client, &request->header, -LSHM_EFOREIGN,
                       "publisher %llu and link %llu are not both this client's",
                       (unsigned long long)request->publisher, (unsigned long long)request->link);
        return;
    }
    number = find_import(publisher, request->link, request->region);
    source = find_source(link->publisher, request->region);
    if (number == LSI_CTL_SEGMENTS && source < LSI_CTL_SEGMENTS &&
        publisher->record->geometry.retain == 0) {
        number = find_free(publisher);
        if (number < LSI_CTL_SEGMENTS)
            import(broker, publisher, number, link, source);
    }
    if (number == LSI_CTL_SEGMENTS) {
        session_refuse(broker, client, &request->header, -LSHM_ELIMIT,
                       "no room for views of another segment: a ring names %u segments at most, "
                       "and none of others if it retains",
                       LSI_CTL_SEGMENTS);
        return;
    }
    answer(broker, client, publisher, number, request);
}

void forward_end(struct broker *broker, struct link *link, uint64_t region)
{
    const uint64_t number = link_number(broker, link);
    struct publisher *publisher;
    uint32_t i;

    if (!link->subscriber->client)
        return;
    LIST_FOREACH (publisher, &link->subscriber->client->publishers, of_client) {
        for (i = 0; i < LSI_CTL_SEGMENTS; i++) {
            if (!is_from(publisher, i, number, region))
                continue;
            publisher_release_region(broker, publisher, &publisher->segments[i]);
            segment_leave(broker, publisher, i);
        }
    }
}

int forward_has_imports(const struct publisher *publisher)
{
    uint32_t i;

    for (i = 0; i < LSI_CTL_SEGMENTS; i++) {
        if (layout_of(publisher, i)->is_foreign && publisher->segments[i])
            return 1;
    }
    return 0;
}

void forward_rebuild(struct broker *broker, struct publisher *publisher, uint32_t number)
{
    struct region *region = region_find(broker, layout_of(publisher, number)->region);

    if (region && link_find(broker, publisher->record->source_links[number])) {
        region->pins++;
        publisher->segments[number] = region;
    } else {
        segment_leave(broker, publisher, number);
    }
}
