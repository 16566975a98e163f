/* SPDX-License-Identifier: Apache-2.0 */
#include "latency.h"

#include <errno.h>

#include <lshm/error.h>

#include "client.h"
#include "ctl/geometry.h"
#include "outbox.h"
#include "roster.h"
#include "session.h"
#include "topic.h"

#define HISTOGRAMS_MAX 4096u /* of one client, of whose parts they take at most 16 MiB */

/* Lines for the counts; without any it is not counted, which `lshm latency` shows. */
static void place(struct broker *broker, struct link *link)
{
    struct link_record *record = link->record;
    struct client *client = link->subscriber->client;
    struct lshm_ref ref;

    if (record_has_ref(&record->histogram) || !client || !client_has_session(client) ||
        client->histogram_count >= HISTOGRAMS_MAX)
        return;
    if (client_control_take_only(broker, client, LSHM_HISTOGRAM_LINES, &ref) < 0)
        return; /* it may be mapping more: latency_show_subscriber() */
    record_set_ref(&record->histogram, ref);
    client->histogram_count++;
    /* These were kept for cells of publishers to come. */
    client_control_reserve(broker, client,
                           lsi_geometry_cell_lines(link->subscriber->record->holds));
}

void latency_show(struct broker *broker, struct link *link)
{
    const struct topic *topic = link->subscriber->topic;

    if (record_state(&link->record->record) != LINK_LIVE)
        return;
    if (topic && topic->watcher_count > 0)
        place(broker, link);
    else if (!record_has_ref(&link->record->histogram))
        return; /* its board never said anything */
    roster_write_histogram(link);
}

void latency_show_subscriber(struct broker *broker, struct subscriber *subscriber)
{
    struct link *link;

    LIST_FOREACH (link, &subscriber->links, of_subscriber)
        latency_show(broker, link);
}

void latency_redo(struct broker *broker, struct topic *topic)
{
    struct publisher *publisher;
    struct subscriber *subscriber;

    LIST_FOREACH (publisher, &topic->publishers, of_topic)
        roster_write_watched(publisher);
    LIST_FOREACH (subscriber, &topic->subscribers, of_topic)
        latency_show_subscriber(broker, subscriber);
}

void latency_rebuild(struct broker *broker, const struct client *client)
{
    struct topic *topic = topic_find_number(broker, client->record->watched_topic);

    if (topic && client_has_session(client))
        topic->watcher_count++;
}

/* If we die behind the record: the successor counts who watches, and writes all boards again. */
static void set_watched(struct broker *broker, struct client *client, struct topic *topic)
{
    struct topic *before = topic_find_number(broker, client->record->watched_topic);

    if (topic == before)
        return;
    client->record->watched_topic = topic ? topic_number(broker, topic) : 0;
    if (topic && topic->watcher_count++ == 0)
        latency_redo(broker, topic);
    if (before && --before->watcher_count == 0)
        latency_redo(broker, before);
}

void latency_unwatch(struct broker *broker, struct client *client)
{
    set_watched(broker, client, NULL);
}

void latency_watch(struct broker *broker, struct client *client,
                   const struct lsi_ctl_watch *request)
{
    struct lsi_ctl_header reply = {.type = LSI_CTL_WATCH | LSI_CTL_REPLY,
                                   .id = request->header.id};
    struct topic *topic = request->topic[0] ? topic_find_name(broker, request->topic) : NULL;

    if (!client->record->is_inspector) {
        session_refuse(broker, client, &request->header, -LSHM_EDENIED,
                       "only inspectors may watch a topic; open an inspector");
        return;
    }
    if (request->topic[0] && !topic) {
        session_refuse(broker, client, &request->header, -LSHM_ENOTOPIC,
                       "there is no such topic now: nobody publishes or subscribes to it; see "
                       "lshm topic ls");
        return;
    }
    set_watched(broker, client, topic);
    outbox_reply(broker, client, &reply, sizeof(reply));
}
