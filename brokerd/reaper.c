/* SPDX-License-Identifier: Apache-2.0 */
#include "reaper.h"

#include <unistd.h>

#include "client.h"
#include "forward.h"
#include "peer.h"
#include "publisher.h"
#include "roster.h"
#include "session.h"
#include "subscriber.h"

/* Whether somebody alive may still read what its rings name; dead ones who may, and were not met
 * yet, go on the list. */
static int has_living_reader(struct broker *broker, const struct client *client,
                             struct client **list)
{
    const struct publisher *publisher;
    struct link *link;

    LIST_FOREACH (publisher, &client->publishers, of_client) {
        if (!forward_has_imports(publisher))
            continue;
        LIST_FOREACH (link, &publisher->links, of_publisher) {
            struct client *reader = link->subscriber->client;

            if (!reader || reader->stamp == broker->stamp ||
                record_state(&link->record->record) == LINK_LEFT)
                continue;
            reader->stamp = broker->stamp;
            if (record_state(&reader->record->record) != CLIENT_DEAD)
                return 1;
            reader->next_met = *list;
            *list = reader;
        }
    }
    return 0;
}

/* The same at any length of chain; a ring of dead processes keeps nothing. */
static int is_read(struct broker *broker, struct client *client)
{
    struct client *list = client;

    client->stamp = ++broker->stamp;
    client->next_met = NULL;
    while (list) {
        const struct client *next = list;

        list = list->next_met;
        if (has_living_reader(broker, next, &list))
            return 1;
    }
    return 0;
}

static void end_publishers(struct broker *broker, struct client *client)
{
    struct publisher *publisher, *next;

    for (publisher = LIST_FIRST(&client->publishers); publisher; publisher = next) {
        next = LIST_NEXT(publisher, of_client);
        publisher_end(broker, publisher);
    }
}

/* Its links stay, and count by their holds alone. */
static void orphan(struct broker *broker, struct client *client)
{
    struct subscriber *subscriber;
    struct link *link;

    LIST_FOREACH (subscriber, &client->subscribers, of_client) {
        LIST_FOREACH (link, &subscriber->links, of_subscriber)
            roster_orphan_row(broker, link);
    }
}

static void forget_process(struct client *client)
{
    const int fd = client->record->process_fd;

    client->record->process_fd = -1;
    if (fd >= 0)
        close(fd); /* and so out of the epoll set */
}

void reaper_bury(struct broker *broker, struct client *client)
{
    struct subscriber *subscriber;
    struct publisher *publisher;

    if (record_state(&client->record->record) != CLIENT_DEAD)
        broker->is_burial_due = 1; /* it may have been the last that read a dead one's ring */
    record_set_state(&client->record->record, CLIENT_DEAD);
    session_hang_up(broker, client);
    end_publishers(broker, client);
    if (is_read(broker, client)) {
        orphan(broker, client);
        forget_process(client);
        return;
    }
    while ((subscriber = LIST_FIRST(&client->subscribers)))
        subscriber_bury(broker, subscriber);
    while ((publisher = LIST_FIRST(&client->publishers))) { /* readers are still draining it */
        LIST_REMOVE(publisher, of_client);
        publisher->client = NULL;
    }
    peer_forget(broker, client);
    client_free(broker, client);
    broker->is_burial_due = 1;
}

void reaper_bury_drained(struct broker *broker)
{
    uint32_t i;

    while (broker->is_burial_due) {
        broker->is_burial_due = 0;
        for (i = 0; i < *broker->tables[TABLE_CLIENTS].used; i++) {
            struct client *client = &broker->clients[i];

            if (client->record && record_state(&client->record->record) == CLIENT_DEAD)
                reaper_bury(broker, client);
        }
    }
}
