/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <lshm/error.h>
#include <lshm/inspect.h>

#include "ctl/geometry.h"
#include "outbox.h"
#include "quota.h"
#include "retain.h"
#include "session.h"

#define LIST_SCAN_MAX 65536u /* records looked at for one page: the rest is the next page's */

void inspect_status(struct broker *broker, struct client *client,
                    const struct lsi_ctl_header *request)
{
    const struct registry *registry = broker->registry;
    struct lsi_ctl_status_reply reply = {
        .header = {.type = LSI_CTL_STATUS | LSI_CTL_REPLY, .id = request->id},
        .keeper_pid = registry->keeper_pid,
        .worker_pid = (uint64_t)getpid(),
        /* RLX: only a worker writes it, and this is the worker. */
        .worker_generation = lsi_load_relaxed(&broker->public->worker_generation),
        .start_ns = registry->start_ns,
        .clients = table_count(&broker->tables[TABLE_CLIENTS]),
        .topics = table_count(&broker->tables[TABLE_TOPICS]),
        .publishers = table_count(&broker->tables[TABLE_PUBLISHERS]),
        .subscribers = table_count(&broker->tables[TABLE_SUBSCRIBERS]),
        .regions = table_count(&broker->tables[TABLE_REGIONS]),
        .region_bytes = broker->region_bytes,
        .clients_max = registry->clients_max,
        .topics_max = REGISTRY_TOPICS_MAX,
        .publishers_max = REGISTRY_PUBLISHERS_MAX,
        .subscribers_max = REGISTRY_SUBSCRIBERS_MAX,
        .client_bytes_max = quota_client_bytes(broker),
        .topic_bytes_max = registry->topic_bytes_max,
        .retain_bytes_max = quota_retain_bytes(broker),
        .version = LSHM_VERSION,
    };

    retain_count(broker, &reply.retained, &reply.retained_bytes);
    outbox_reply(broker, client, &reply, sizeof(reply));
}

static uint64_t count_publishers(const struct client *client)
{
    const struct publisher *publisher;
    uint64_t count = 0;

    LIST_FOREACH (publisher, &client->publishers, of_client)
        count++;
    return count;
}

static uint64_t count_subscribers(const struct client *client)
{
    const struct subscriber *subscriber;
    uint64_t count = 0;

    LIST_FOREACH (subscriber, &client->subscribers, of_client)
        count++;
    return count;
}

static uint32_t public_state(uint32_t state)
{
    if (state == CLIENT_DEAD)
        return LSHM_CLIENT_DEAD;
    return state == CLIENT_HUNG_UP ? LSHM_CLIENT_HUNG_UP : LSHM_CLIENT_ALIVE;
}

static void fill_client(struct broker *broker, uint32_t index, void *ret_record)
{
    const struct client *client = &broker->clients[index];
    const struct client_record *from = client->record;
    struct lsi_ctl_client_record *record = ret_record;
    const struct region *region;

    record->client = client_number(broker, client);
    record->pid = from->pid;
    record->uid = from->uid;
    record->since_ns = from->since_ns;
    record->publishers = count_publishers(client);
    record->subscribers = count_subscribers(client);
    record->bytes = client->bytes;
    record->state = public_state(record_state(&from->record));
    LIST_FOREACH (region, &client->regions, of_client) {
        if (region->record->kind == LSHM_REGION_CONTROL && region->record->part == 0 &&
            record_state(&region->record->record) == REGION_SEALED) {
            record->control_region = region_number(broker, region);
            record->control_bytes = region->record->bytes;
        }
    }
    memcpy(record->name, from->name, sizeof(record->name));
}

static void fill_topic(struct broker *broker, uint32_t index, void *ret_record)
{
    const struct topic *topic = &broker->topics[index];
    struct lsi_ctl_topic_record *record = ret_record;

    record->topic = topic_number(broker, topic);
    record->publishers = topic->publisher_count;
    record->subscribers = topic->subscriber_count;
    record->retained = topic->retained_count;
    record->retained_bytes = retain_topic_bytes(topic);
    memcpy(record->name, topic->record->name, sizeof(record->name));
}

static void fill_publisher(struct broker *broker, uint32_t index, void *ret_record)
{
    const struct publisher *publisher = &broker->publishers[index];
    struct lsi_ctl_publisher_record *record = ret_record;

    record->publisher = publisher_number(broker, publisher);
    record->topic = publisher->record->topic;
    record->client = publisher->record->client;
    record->memory_bytes = lsi_geometry_bytes(&publisher->record->geometry);
    record->dead = record_state(&publisher->record->record) == PUBLISHER_ENDED;
    if (record->dead) {
        record->ended_ns = publisher->record->ended_ns;
        record->retained = publisher->record->retained;
    }
    record->pid = publisher->record->pid;
    memcpy(record->name, publisher->record->name, sizeof(record->name));
    record->geometry = publisher->record->geometry;
}

static void fill_subscriber(struct broker *broker, uint32_t index, void *ret_record)
{
    const struct subscriber_record *from = broker->subscribers[index].record;
    struct lsi_ctl_subscriber_record *record = ret_record;

    record->subscriber = subscriber_number(broker, &broker->subscribers[index]);
    record->topic = from->topic;
    record->client = from->client;
    record->window = from->window;
    record->holds = from->holds;
    record->flags = from->flags;
}

static void fill_link(struct broker *broker, uint32_t index, void *ret_record)
{
    const struct link *link = &broker->links[index];
    const struct subscriber *subscriber = link->subscriber;
    const struct link_record *from = link->record;
    struct lsi_ctl_link_record *record = ret_record;
    const struct parts *control = &subscriber->client->control;

    record->link = link_number(broker, link);
    record->subscriber = from->subscriber;
    record->publisher = from->publisher;
    record->topic = subscriber->record->topic;
    record->client = subscriber->record->client;
    if (from->cell.part < control->count && control->items[from->cell.part].region) {
        const struct region *region = control->items[from->cell.part].region;

        record->control_region = region_number(broker, region);
        record->control_bytes = region->record->bytes;
        record->cell_line = from->cell.line;
    }
    if (record_has_ref(&from->histogram) && from->histogram.part < control->count &&
        control->items[from->histogram.part].region) {
        const struct region *region = control->items[from->histogram.part].region;

        record->histogram_region = region_number(broker, region);
        record->histogram_bytes = region->record->bytes;
        record->histogram_line = from->histogram.line;
    }
    record->state = record_state(&from->record) == LINK_LEFT ? LSHM_ROW_GONE
                    : from->is_evicted                       ? LSHM_ROW_EVICTED
                                                             : LSHM_ROW_LIVE;
    record->window = from->window;
    record->holds = from->holds;
    record->flags = subscriber->record->flags;
}

static const struct listing {
    uint32_t what;
    enum table_kind table;
    uint32_t record_bytes;
    void (*fill)(struct broker *broker, uint32_t index, void *ret_record);
} listings[] = {
    {LSI_CTL_LIST_CLIENTS, TABLE_CLIENTS, sizeof(struct lsi_ctl_client_record), fill_client},
    {LSI_CTL_LIST_TOPICS, TABLE_TOPICS, sizeof(struct lsi_ctl_topic_record), fill_topic},
    {LSI_CTL_LIST_PUBLISHERS, TABLE_PUBLISHERS, sizeof(struct lsi_ctl_publisher_record),
     fill_publisher},
    {LSI_CTL_LIST_SUBSCRIBERS, TABLE_SUBSCRIBERS, sizeof(struct lsi_ctl_subscriber_record),
     fill_subscriber},
    {LSI_CTL_LIST_LINKS, TABLE_LINKS, sizeof(struct lsi_ctl_link_record), fill_link},
};

/* Accepted connections that have not said HELLO are nobody yet. */
static int is_listed(const struct table *table, enum table_kind kind, uint32_t index)
{
    const uint32_t state = record_state(table_at(table, index));

    return state != STATE_FREE && !(kind == TABLE_CLIENTS && state == CLIENT_ACCEPTED);
}

static const struct listing *find_listing(uint32_t what)
{
    size_t i;

    for (i = 0; i < LSI_COUNT_OF(listings); i++) {
        if (listings[i].what == what)
            return &listings[i];
    }
    return &listings[0];
}

void inspect_list(struct broker *broker, struct client *client, const struct lsi_ctl_list *request)
{
    static union {
        struct lsi_ctl_list_reply reply;
        unsigned char bytes[LSI_CTL_BYTES_MAX];
    } page;
    const struct listing *listing = find_listing(request->what);
    const struct table *table = &broker->tables[listing->table];
    const uint32_t room = (uint32_t)(sizeof(page) - sizeof(page.reply)) / listing->record_bytes;
    uint32_t index = request->from < *table->used ? (uint32_t)request->from : *table->used;
    const uint32_t stop =
        *table->used - index > LIST_SCAN_MAX ? index + LIST_SCAN_MAX : *table->used;

    memset(&page, 0, sizeof(page));
    page.reply.header.type = LSI_CTL_LIST | LSI_CTL_REPLY;
    page.reply.header.id = request->header.id;
    page.reply.what = listing->what;
    page.reply.record_bytes = listing->record_bytes;
    for (; index < stop && page.reply.count < room; index++) {
        if (is_listed(table, listing->table, index))
            listing->fill(broker, index,
                          page.bytes + sizeof(page.reply) +
                              (size_t)page.reply.count++ * listing->record_bytes);
    }
    page.reply.next = index < *table->used ? index : 0;
    outbox_reply(broker, client, &page,
                 sizeof(page.reply) + (size_t)page.reply.count * listing->record_bytes);
}

void inspect_region(struct broker *broker, struct client *client,
                    const struct lsi_ctl_region *request)
{
    struct region *region = region_find(broker, request->region);
    struct lsi_ctl_region_reply reply = {
        .header = {.type = LSI_CTL_REGION | LSI_CTL_REPLY, .id = request->header.id}};
    struct outgoing outgoing = {.packet = &reply,
                                .bytes = sizeof(reply),
                                .regions = {region},
                                .region_count = 1,
                                .fd = -1};

    if (!client->record->is_inspector) {
        session_refuse(broker, client, &request->header, -LSHM_EDENIED,
                       "only inspectors may map other processes' regions; open an inspector");
        return;
    }
    if (!region || record_state(&region->record->record) != REGION_SEALED) {
        session_refuse(broker, client, &request->header, -ENOENT,
                       "no region %llu (any more), or its writer has not mapped it yet",
                       (unsigned long long)request->region);
        return;
    }
    reply.region = request->region;
    reply.bytes = region->record->bytes;
    reply.kind = region->record->kind;
    reply.part = region->record->part;
    outbox_put(broker, client, &outgoing);
}
