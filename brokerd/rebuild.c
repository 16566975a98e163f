/* SPDX-License-Identifier: Apache-2.0 */
#include "rebuild.h"

#include <string.h>

#include "client.h"
#include "evict.h"
#include "latency.h"
#include "lines.h"
#include "link.h"
#include "memory.h"
#include "publisher.h"
#include "reaper.h"
#include "roster.h"
#include "segment.h"
#include "subscriber.h"
#include "topic.h"

/* i: index of every record in use of a table */
#define FOR_EACH_USED(broker, kind, i)                                                             \
    for ((i) = 0; (i) < *(broker)->tables[kind].used; (i)++)                                       \
        if (record_state(table_at(&(broker)->tables[kind], (i))) != STATE_FREE)

static void set_records(struct broker *broker)
{
    uint32_t i;

    FOR_EACH_USED (broker, TABLE_CLIENTS, i)
        client_init(&broker->clients[i], table_at(&broker->tables[TABLE_CLIENTS], i));
    FOR_EACH_USED (broker, TABLE_REGIONS, i)
        broker->regions[i].record = table_at(&broker->tables[TABLE_REGIONS], i);
    FOR_EACH_USED (broker, TABLE_TOPICS, i)
        broker->topics[i].record = table_at(&broker->tables[TABLE_TOPICS], i);
    FOR_EACH_USED (broker, TABLE_PUBLISHERS, i)
        broker->publishers[i].record = table_at(&broker->tables[TABLE_PUBLISHERS], i);
    FOR_EACH_USED (broker, TABLE_SUBSCRIBERS, i)
        broker->subscribers[i].record = table_at(&broker->tables[TABLE_SUBSCRIBERS], i);
    FOR_EACH_USED (broker, TABLE_LINKS, i)
        broker->links[i].record = table_at(&broker->tables[TABLE_LINKS], i);
}

static int add_lines(struct client *client, struct region *region)
{
    const uint32_t part = region->record->part;

    if (region->record->kind == LSHM_REGION_BOARD)
        return lines_add_part(&client->board, region,
                              part ? LSHM_BOARD_FIRST_LINE : LSHM_BOARD_FIRST_LINE_PART0);
    client->bytes += region->record->bytes;
    if (record_state(&region->record->record) != REGION_SEALED)
        return 0;
    return lines_add_part(&client->control, region,
                          part ? LSHM_CONTROL_FIRST_LINE : LSHM_CONTROL_FIRST_LINE_PART0);
}

/* Boards and control parts, which ports need; rings and segments come after their publishers. */
static int rebuild_region(struct broker *broker, struct region *region)
{
    struct client *client = client_find(broker, region->record->client);
    int status = region_rebuild(broker, region);

    if (status < 0 || record_state(&region->record->record) == REGION_FREE)
        return status;
    switch (region->record->kind) {
    case LSHM_REGION_PUBLIC:
        broker->registry->public_region = region_number(broker, region);
        return 0;
    case LSHM_REGION_BOARD:
    case LSHM_REGION_CONTROL:
        if (!client) {
            region_release(broker, region);
            return 0;
        }
        LIST_INSERT_HEAD(&client->regions, region, of_client);
        return add_lines(client, region);
    default:
        return 0;
    }
}

static int is_port_memory(const struct region *region)
{
    return region->record->kind == LSHM_REGION_RING || region->record->kind == LSHM_REGION_SEGMENT;
}

int rebuild_indexes(struct broker *broker)
{
    uint32_t i;
    int status = 0;

    set_records(broker);
    FOR_EACH_USED (broker, TABLE_REGIONS, i)
        status = status < 0 ? status : rebuild_region(broker, &broker->regions[i]);
    FOR_EACH_USED (broker, TABLE_TOPICS, i)
        topic_rebuild(broker, &broker->topics[i]);
    FOR_EACH_USED (broker, TABLE_PUBLISHERS, i)
        status = status < 0 ? status : publisher_rebuild(broker, &broker->publishers[i]);
    FOR_EACH_USED (broker, TABLE_REGIONS, i) {
        if (is_port_memory(&broker->regions[i]))
            publisher_adopt(broker, &broker->regions[i]);
    }
    FOR_EACH_USED (broker, TABLE_PUBLISHERS, i)
        segment_rebuild(broker, &broker->publishers[i]);
    FOR_EACH_USED (broker, TABLE_SUBSCRIBERS, i)
        status = status < 0 ? status : subscriber_rebuild(broker, &broker->subscribers[i]);
    FOR_EACH_USED (broker, TABLE_LINKS, i)
        status = status < 0 ? status : link_rebuild(broker, &broker->links[i]);
    FOR_EACH_USED (broker, TABLE_CLIENTS, i)
        latency_rebuild(broker, &broker->clients[i]);
    return status;
}

static void redo_clients(struct broker *broker)
{
    struct region *region;
    uint32_t i;

    FOR_EACH_USED (broker, TABLE_CLIENTS, i) {
        struct client *client = &broker->clients[i];
        const uint32_t state = record_state(&client->record->record);

        if (state == CLIENT_DEAD || (state == CLIENT_HUNG_UP && LIST_EMPTY(&client->publishers) &&
                                     LIST_EMPTY(&client->subscribers))) {
            reaper_bury(broker, client);
            continue;
        }
        LIST_FOREACH (region, &client->regions, of_client) {
            if (region->record->part > 0 && !region->record->is_acknowledged)
                client_push_part(broker, client, region);
        }
    }
}

static void redo_link(struct broker *broker, struct link *link)
{
    const uint32_t state = record_state(&link->record->record);
    const int is_ended = record_state(&link->publisher->record->record) == PUBLISHER_ENDED;

    if (state == LINK_LIVE && link->record->row == ROSTER_NO_ROW && !is_ended)
        link_leave(broker, link);
    else if (state == LINK_LIVE)
        link_tell(broker, link);
    else if (state == LINK_PLACED)
        (void)link_advance(broker, link);
    if (state == LINK_LIVE && link->record->is_evicted)
        evict_redo(broker, link);
}

static void redo_publisher(struct broker *broker, struct publisher *publisher)
{
    switch (record_state(&publisher->record->record)) {
    case PUBLISHER_ENDED:
        publisher_end(broker, publisher);
        break;
    case PUBLISHER_SEALED:
        publisher_advance(broker, publisher);
        break;
    case PUBLISHER_LINKING:
        roster_write_record(broker, publisher);
        publisher_advance(broker, publisher);
        break;
    case PUBLISHER_OPEN:
        roster_write_record(broker, publisher);
        segment_drop_left(broker, publisher);
        break;
    default:
        break;
    }
}

void rebuild_redo(struct broker *broker)
{
    uint32_t i;

    redo_clients(broker);
    FOR_EACH_USED (broker, TABLE_PUBLISHERS, i) {
        if (broker->publishers[i].client ||
            record_state(&broker->publishers[i].record->record) == PUBLISHER_ENDED)
            redo_publisher(broker, &broker->publishers[i]);
        else
            publisher_end(broker, &broker->publishers[i]);
    }
    FOR_EACH_USED (broker, TABLE_LINKS, i)
        redo_link(broker, &broker->links[i]);
    FOR_EACH_USED (broker, TABLE_SUBSCRIBERS, i) {
        struct subscriber *subscriber = &broker->subscribers[i];

        if (record_state(&subscriber->record->record) == SUBSCRIBER_OPENING)
            subscriber_advance(broker, subscriber);
        else
            subscriber_free_if_left(broker, subscriber);
    }
    FOR_EACH_USED (broker, TABLE_TOPICS, i) {
        latency_redo(broker, &broker->topics[i]);
        topic_put(broker, &broker->topics[i]);
    }
}
