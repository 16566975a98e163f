/* SPDX-License-Identifier: Apache-2.0 */
#include "subscriber.h"

#include <errno.h>
#include <string.h>

#include <lshm/error.h>

#include "client.h"
#include "ctl/geometry.h"
#include "ctl/topic.h"
#include "grant.h"
#include "link.h"
#include "outbox.h"
#include "publisher.h"
#include "retain.h"
#include "session.h"
#include "topic.h"

static void join(struct subscriber *subscriber, struct client *client, struct topic *topic)
{
    subscriber->client = client;
    LIST_INSERT_HEAD(&client->subscribers, subscriber, of_client);
    client->subscriber_count++;
    subscriber->topic = topic;
    if (topic) {
        LIST_INSERT_HEAD(&topic->subscribers, subscriber, of_topic);
        topic->subscriber_count++;
    }
}

static void leave_topic(struct broker *broker, struct subscriber *subscriber)
{
    struct topic *topic = subscriber->topic;

    if (!topic)
        return;
    subscriber->topic = NULL;
    LIST_REMOVE(subscriber, of_topic);
    topic->subscriber_count--;
    topic_put(broker, topic);
}

static struct subscriber *find_request(const struct client *client, uint64_t id)
{
    struct subscriber *subscriber;

    LIST_FOREACH (subscriber, &client->subscribers, of_client) {
        if (subscriber->record->request_id == id)
            return subscriber;
    }
    return NULL;
}

/* What is wrong with the request: its refusal is sent, 0. */
static int check(struct broker *broker, struct client *client,
                 const struct lsi_ctl_subscriber_open *request)
{
    if (lsi_topic_check(request->topic, sizeof(request->topic)) == 0) {
        session_refuse(broker, client, &request->header, -LSHM_ENAME,
                       "not a topic name: use seg(/seg)*, segments of A-Z a-z 0-9 _ . -, at most "
                       "%u bytes",
                       LSHM_TOPIC_BYTES - 1);
        return 0;
    }
    if (request->window == 0 || request->window > LSHM_WINDOW_MAX) {
        session_refuse(broker, client, &request->header, -EINVAL,
                       "window %u is not in 1 … %u; set lshm_subscriber_options.window",
                       request->window, LSHM_WINDOW_MAX);
        return 0;
    }
    if (request->holds > LSHM_HOLDS_MAX) {
        session_refuse(broker, client, &request->header, -EINVAL,
                       "holds %u is more than %u; set lshm_subscriber_options.holds",
                       request->holds, LSHM_HOLDS_MAX);
        return 0;
    }
    return 1;
}

static struct subscriber *make(struct broker *broker, struct client *client,
                               const struct lsi_ctl_subscriber_open *request)
{
    struct topic *topic = topic_get(broker, request->topic);
    struct subscriber_record *record;
    struct subscriber *subscriber;

    if (!topic)
        return NULL;
    record = table_take(&broker->tables[TABLE_SUBSCRIBERS]);
    if (!record) {
        topic_put(broker, topic);
        return NULL;
    }
    record->client = client_number(broker, client);
    record->topic = topic_number(broker, topic);
    record->request_id = request->header.id;
    record->window = request->window;
    record->holds = request->holds;
    record->flags = request->flags;
    record->history = request->history;
    record_set_state(&record->record, SUBSCRIBER_OPENING);
    subscriber = BROKER_PRIVATE(broker, TABLE_SUBSCRIBERS, subscribers, record);
    memset(subscriber, 0, sizeof(*subscriber));
    subscriber->record = record;
    join(subscriber, client, topic);
    return subscriber;
}

void subscriber_open(struct broker *broker, struct client *client,
                     const struct lsi_ctl_subscriber_open *request)
{
    struct subscriber *subscriber = find_request(client, request->header.id);

    if (!subscriber) {
        if (!check(broker, client, request))
            return;
        subscriber = make(broker, client, request);
        if (!subscriber) {
            session_refuse(broker, client, &request->header, -LSHM_ELIMIT,
                           "no room for another topic or subscriber: %u topics and %u subscribers "
                           "at most; close some",
                           REGISTRY_TOPICS_MAX, REGISTRY_SUBSCRIBERS_MAX);
            return;
        }
        /* Its client is in the library now, and may not be for a long time. */
        client_control_reserve(broker, client, lsi_geometry_cell_lines(request->holds));
    }
    subscriber_advance(broker, subscriber);
}

int subscriber_wants(const struct subscriber *subscriber, const struct publisher *publisher)
{
    if (subscriber->client == publisher->client &&
        (subscriber->record->flags & LSHM_READER_NO_LOCAL))
        return 0;
    return client_has_session(subscriber->client) &&
           record_state(&subscriber->record->record) != SUBSCRIBER_CLOSED;
}

static int link_one(struct broker *broker, struct subscriber *subscriber,
                    struct publisher *publisher)
{
    struct link *link;

    if (!subscriber_wants(subscriber, publisher))
        return 0;
    LIST_FOREACH (link, &subscriber->links, of_subscriber) {
        if (link->publisher == publisher)
            return link_advance(broker, link);
    }
    return link_make(broker, publisher, subscriber);
}

/* A link to each publisher that has none yet; the one where it failed. What is retained comes
 * first, so that it is taken first: of a latest value, the old one before the new one. */
static int link_all(struct broker *broker, struct subscriber *subscriber,
                    const struct publisher **ret_publisher)
{
    struct topic *topic = subscriber->topic;
    struct publisher *publisher;
    int status = 0;

    retain_settle(broker, topic);
    TAILQ_FOREACH (publisher, &topic->retained, of_retained) {
        if (subscriber->record->history > 0 && status >= 0) {
            *ret_publisher = publisher;
            status = link_one(broker, subscriber, publisher);
        }
    }
    LIST_FOREACH (publisher, &topic->publishers, of_topic) {
        if (publisher_is_linkable(publisher) && status >= 0) {
            *ret_publisher = publisher;
            status = link_one(broker, subscriber, publisher);
        }
    }
    return status;
}

static void answer(struct broker *broker, struct subscriber *subscriber)
{
    struct lsi_ctl_subscriber_open_reply reply = {
        .header = {.type = LSI_CTL_SUBSCRIBER_OPEN | LSI_CTL_REPLY,
                   .id = subscriber->record->request_id},
        .subscriber = subscriber_number(broker, subscriber),
        .topic = subscriber->record->topic,
        .rings = subscriber->link_count,
    };

    outbox_reply(broker, subscriber->client, &reply, sizeof(reply));
}

void subscriber_advance(struct broker *broker, struct subscriber *subscriber)
{
    const uint32_t state = record_state(&subscriber->record->record);
    struct client *client = subscriber->client;
    struct lsi_ctl_header request = {.type = LSI_CTL_SUBSCRIBER_OPEN,
                                     .id = subscriber->record->request_id};
    char text[LSI_CTL_TEXT_BYTES] = "no room for its readers' cells or rows; use a smaller window "
                                    "or fewer holds, or see `lshm status` for the limits";
    const struct publisher *publisher;
    int status;

    if (state == SUBSCRIBER_CLOSED)
        return;
    if (state == SUBSCRIBER_OPENING) {
        status = link_all(broker, subscriber, &publisher);
        if (status == -LSHM_EQUOTA)
            grant_explain(publisher, text, sizeof(text));
        if (status < 0) {
            subscriber_bury(broker, subscriber);
            session_refuse(broker, client, &request, status, "%s", text);
            return;
        }
        if (subscriber->pending_count > 0)
            return; /* until its client has mapped another control part */
        record_set_state(&subscriber->record->record, SUBSCRIBER_OPEN);
    }
    answer(broker, subscriber);
}

void subscriber_free_if_left(struct broker *broker, struct subscriber *subscriber)
{
    if (subscriber->link_count > 0 ||
        record_state(&subscriber->record->record) != SUBSCRIBER_CLOSED)
        return;
    leave_topic(broker, subscriber);
    LIST_REMOVE(subscriber, of_client);
    subscriber->client->subscriber_count--;
    table_give(&broker->tables[TABLE_SUBSCRIBERS], subscriber->record);
}

void subscriber_bury(struct broker *broker, struct subscriber *subscriber)
{
    struct link *link = LIST_FIRST(&subscriber->links), *next;

    record_set_state(&subscriber->record->record, SUBSCRIBER_CLOSED);
    leave_topic(broker, subscriber);
    for (; link; link = next) {
        next = LIST_NEXT(link, of_subscriber);
        if (!next)
            break;
        link_free(broker, link);
    }
    if (link)
        link_free(broker, link); /* the last one takes the subscriber with it */
    else
        subscriber_free_if_left(broker, subscriber);
}

static struct subscriber *own(struct broker *broker, const struct client *client, uint64_t number)
{
    struct subscriber *subscriber = subscriber_find(broker, number);

    return subscriber && subscriber->client == client ? subscriber : NULL;
}

static void answer_done(struct broker *broker, struct client *client,
                        const struct lsi_ctl_header *request)
{
    struct lsi_ctl_header reply = {.type = request->type | LSI_CTL_REPLY, .id = request->id};

    outbox_reply(broker, client, &reply, sizeof(reply));
}

void subscriber_close(struct broker *broker, struct client *client,
                      const struct lsi_ctl_port_close *request)
{
    struct subscriber *subscriber = own(broker, client, request->port);
    struct link *link;

    if (!subscriber && client->record->close_id != request->header.id) {
        session_refuse(broker, client, &request->header, -LSHM_EFOREIGN,
                       "%llu is not a subscriber of this client",
                       (unsigned long long)request->port);
        return;
    }
    client->record->close_id = request->header.id;
    if (subscriber) {
        record_set_state(&subscriber->record->record, SUBSCRIBER_CLOSED);
        leave_topic(broker, subscriber);
        LIST_FOREACH (link, &subscriber->links, of_subscriber)
            link_leave(broker, link);
        subscriber_free_if_left(broker, subscriber);
    }
    answer_done(broker, client, &request->header);
}

void subscriber_leave(struct broker *broker, struct client *client,
                      const struct lsi_ctl_link *request)
{
    struct subscriber *subscriber = own(broker, client, request->subscriber);
    struct link *link;

    if (!subscriber) {
        session_refuse(broker, client, &request->header, -LSHM_EFOREIGN,
                       "%llu is not a subscriber of this client",
                       (unsigned long long)request->subscriber);
        return;
    }
    LIST_FOREACH (link, &subscriber->links, of_subscriber) {
        if (request->link == 0 || link_number(broker, link) == request->link)
            link_leave(broker, link);
    }
    answer_done(broker, client, &request->header);
}

void subscriber_reset(struct broker *broker, struct client *client,
                      const struct lsi_ctl_link *request)
{
    struct subscriber *subscriber = own(broker, client, request->subscriber);
    struct link *link, *next;
    uint32_t left = subscriber ? subscriber->link_count : 0;

    if (!subscriber)
        return; /* said again after a change of worker */
    for (link = LIST_FIRST(&subscriber->links); link && left > 0; link = next, left--) {
        next = LIST_NEXT(link, of_subscriber);
        if ((request->link == 0 || link_number(broker, link) == request->link) &&
            record_state(&link->record->record) == LINK_LEFT)
            link_free(broker, link);
    }
}

int subscriber_rebuild(struct broker *broker, struct subscriber *subscriber)
{
    struct subscriber_record *record = subscriber->record;
    struct client *client = client_find(broker, record->client);
    struct topic *topic = topic_find_number(broker, record->topic);

    if (!client) {
        table_give(&broker->tables[TABLE_SUBSCRIBERS], record);
        return 0;
    }
    join(subscriber, client,
         record_state(&record->record) == SUBSCRIBER_CLOSED ? NULL : topic);
    return 0;
}
