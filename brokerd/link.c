/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <errno.h>
#include <string.h>

#include <lshm/error.h>

#include "client.h"
#include "ctl/geometry.h"
#include "forward.h"
#include "grant.h"
#include "latency.h"
#include "lines.h"
#include "outbox.h"
#include "peer.h"
#include "publisher.h"
#include "retain.h"
#include "roster.h"
#include "segment.h"
#include "subscriber.h"

static void join(struct link *link, struct publisher *publisher, struct subscriber *subscriber)
{
    link->publisher = publisher;
    link->subscriber = subscriber;
    LIST_INSERT_HEAD(&publisher->links, link, of_publisher);
    LIST_INSERT_HEAD(&subscriber->links, link, of_subscriber);
    publisher->link_count++;
    subscriber->link_count++;
}

static int is_pending(const struct link *link)
{
    return record_state(&link->record->record) == LINK_WANTED;
}

static int make(struct broker *broker, struct publisher *publisher, struct subscriber *subscriber,
                uint32_t is_again)
{
    const struct lshm_ref none = {REGISTRY_NO_PART, 0};
    struct link_record *record = table_take(&broker->tables[TABLE_LINKS]);
    struct link *link;
    int status;

    if (!record)
        return -LSHM_ELIMIT;
    record->subscriber = subscriber_number(broker, subscriber);
    record->publisher = publisher_number(broker, publisher);
    record->cell = none;
    record->board_record = none;
    record->histogram = none;
    record->row = ROSTER_NO_ROW;
    record->is_again = is_again;
    record->is_retained = (uint32_t)retain_is_kept(publisher);
    record->is_new = record_state(&publisher->record->record) == PUBLISHER_LINKING;
    link = BROKER_PRIVATE(broker, TABLE_LINKS, links, record);
    memset(link, 0, sizeof(*link));
    link->record = record;
    link->publisher = publisher;
    link->subscriber = subscriber;
    status = grant_link(link);
    if (status < 0) {
        table_give(&broker->tables[TABLE_LINKS], record);
        return status;
    }
    record_set_state(&record->record, LINK_WANTED);
    join(link, publisher, subscriber);
    publisher->pending_count++;
    subscriber->pending_count++;
    return link_advance(broker, link);
}

int link_make(struct broker *broker, struct publisher *publisher, struct subscriber *subscriber)
{
    return make(broker, publisher, subscriber, 0);
}

int link_make_again(struct broker *broker, struct publisher *publisher,
                    struct subscriber *subscriber)
{
    return make(broker, publisher, subscriber, 1);
}

static int place(struct broker *broker, struct link *link)
{
    struct link_record *record = link->record;
    struct client *client = link->subscriber->client;
    const uint32_t cell_lines = lsi_geometry_cell_lines(link->subscriber->record->holds);
    struct lshm_ref ref;
    int status = 0;

    if (!record_has_ref(&record->cell)) {
        status = client_control_take(broker, client, cell_lines, &ref);
        if (status < 0)
            return status;
        record_set_ref(&record->cell, ref);
    }
    if (!record_has_ref(&record->board_record)) {
        status = client_board_take(broker, client, 1, &ref);
        if (status < 0)
            return status;
        record_set_ref(&record->board_record, ref);
    }
    status = record->is_retained ? 0 : roster_take_row(broker, link);
    if (status == 0)
        record_set_state(&record->record, LINK_PLACED);
    return status;
}

static void tell_ring(struct broker *broker, struct link *link)
{
    const struct link_record *record = link->record;
    struct publisher *publisher = link->publisher;
    struct lsi_ctl_push_ring push = {
        .header.type = LSI_CTL_PUSH_RING,
        .subscriber = record->subscriber,
        .link = link_number(broker, link),
        .publisher = record->publisher,
        .client = publisher->record->client,
        .cell = record->cell,
        .record = record->board_record,
        .flags = record->is_again ? LSI_CTL_RING_AGAIN : record->is_new ? LSI_CTL_RING_NEW : 0,
        .window = record->window,
        .holds = record->holds,
        .retained = record->is_retained ? publisher->record->retained : 0,
        .geometry = publisher->record->geometry,
    };
    struct outgoing outgoing = {.packet = &push,
                                .bytes = sizeof(push),
                                .fd = -1,
                                .acknowledge = ACKNOWLEDGE_RING,
                                .number = push.link};
    uint32_t i;

    outgoing.regions[outgoing.region_count++] = publisher->ring;
    for (i = 0; i < push.geometry.segment_count; i++)
        outgoing.regions[outgoing.region_count++] = publisher->segments[i];
    memset(&push.geometry.segments[i], 0,
           (LSI_CTL_SEGMENTS - i) * sizeof(push.geometry.segments[0]));
    outbox_put(broker, link->subscriber->client, &outgoing);
}

void link_tell(struct broker *broker, struct link *link)
{
    segment_show_all(broker, link);
    if (!link->record->is_ring_acknowledged)
        tell_ring(broker, link);
    segment_tell_all(broker, link);
    if (!link->record->is_peer_acknowledged && link->publisher->client &&
        record_state(&link->publisher->record->record) != PUBLISHER_ENDED)
        peer_tell(broker, link);
}

int link_advance(struct broker *broker, struct link *link)
{
    struct link_record *record = link->record;
    int status;

    if (record_state(&record->record) == LINK_WANTED) {
        status = place(broker, link);
        if (status < 0)
            return status == -EAGAIN ? 0 : status;
        link->publisher->pending_count--;
        link->subscriber->pending_count--;
    }
    if (record_state(&record->record) == LINK_PLACED) {
        roster_write_reader(broker, link);
        if (record->is_retained)
            roster_end_reader(broker, link);
        else
            roster_write_row(broker, link);
        record_set_state(&record->record, LINK_LIVE);
        link_tell(broker, link);
        latency_show(broker, link);
    }
    return 1;
}

void link_leave(struct broker *broker, struct link *link)
{
    if (record_state(&link->record->record) == LINK_LEFT)
        return;
    roster_end_row(broker, link);
    if (is_pending(link)) {
        link->publisher->pending_count--;
        link->subscriber->pending_count--;
    }
    record_set_state(&link->record->record, LINK_LEFT);
    if (link->publisher->client &&
        record_state(&link->publisher->client->record->record) == CLIENT_DEAD)
        broker->is_burial_due = 1; /* it may wait for this reader */
}

static void give_lines(struct link *link)
{
    struct client *client = link->subscriber->client;
    const struct link_record *record = link->record;

    if (!client)
        return;
    if (record_has_ref(&record->cell))
        lines_give(&client->control, record->cell,
                   lsi_geometry_cell_lines(link->subscriber->record->holds));
    if (record_has_ref(&record->histogram)) {
        lines_give(&client->control, record->histogram, LSHM_HISTOGRAM_LINES);
        client->histogram_count--;
    }
    if (record_has_ref(&record->board_record))
        lines_give(&client->board, record->board_record, 1);
}

void link_free(struct broker *broker, struct link *link)
{
    struct publisher *publisher = link->publisher;
    struct subscriber *subscriber = link->subscriber;

    link_leave(broker, link);
    forward_end(broker, link, 0);
    roster_free_reader(link);
    give_lines(link);
    LIST_REMOVE(link, of_publisher);
    LIST_REMOVE(link, of_subscriber);
    table_give(&broker->tables[TABLE_LINKS], link->record);
    publisher->link_count--;
    subscriber->link_count--;
    segment_drop_left(broker, publisher);
    publisher_free_if_drained(broker, publisher);
    subscriber_free_if_left(broker, subscriber);
}

int link_rebuild(struct broker *broker, struct link *link)
{
    const struct link_record *record = link->record;
    struct publisher *publisher = publisher_find(broker, record->publisher);
    struct subscriber *subscriber = subscriber_find(broker, record->subscriber);
    struct client *client;

    if (!publisher || !subscriber) { /* its ports went, and the predecessor before it */
        table_give(&broker->tables[TABLE_LINKS], link->record);
        return 0;
    }
    join(link, publisher, subscriber);
    if (is_pending(link)) {
        publisher->pending_count++;
        subscriber->pending_count++;
    }
    client = subscriber->client;
    if (client) {
        lines_mark(&client->control, record->cell,
                   lsi_geometry_cell_lines(subscriber->record->holds));
        lines_mark(&client->control, record->histogram, LSHM_HISTOGRAM_LINES);
        if (record_has_ref(&record->histogram))
            client->histogram_count++;
        lines_mark(&client->board, record->board_record, 1);
    }
    if (record_state(&record->record) == LINK_LIVE && record->is_peer_acknowledged &&
        publisher->client && client)
        peer_remember(broker, link);
    return roster_mark_row(publisher, link);
}
