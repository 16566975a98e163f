/* SPDX-License-Identifier: Apache-2.0 */
#include "publisher.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <lshm/error.h>

#include "client.h"
#include "ctl/geometry.h"
#include "ctl/topic.h"
#include "grant.h"
#include "lines.h"
#include "link.h"
#include "log.h"
#include "memory.h"
#include "os/memory.h"
#include "outbox.h"
#include "quota.h"
#include "retain.h"
#include "roster.h"
#include "segment.h"
#include "session.h"
#include "subscriber.h"
#include "tail.h"
#include "topic.h"

/* For a subscriber that must map another control part: less than a client waits for its answer. */
#define PEER_WAIT_NS UINT64_C(2000000000)
#define NS_PER_MS UINT64_C(1000000)

static void join(struct publisher *publisher, struct client *client, struct topic *topic)
{
    publisher->client = client;
    publisher->topic = topic;
    if (client)
        LIST_INSERT_HEAD(&client->publishers, publisher, of_client);
    if (topic && retain_is_kept(publisher)) {
        retain_rebuild(publisher, topic);
    } else if (topic) {
        LIST_INSERT_HEAD(&topic->publishers, publisher, of_topic);
        topic->publisher_count++;
    }
}

static uint32_t state_of(const struct publisher *publisher)
{
    return record_state(&publisher->record->record);
}

int publisher_is_linkable(const struct publisher *publisher)
{
    return state_of(publisher) == PUBLISHER_LINKING || state_of(publisher) == PUBLISHER_OPEN;
}

/* The layout, or 0 when a refusal was sent. */
static int plan(struct broker *broker, struct client *client,
                const struct lsi_ctl_publisher_open *request,
                struct lsi_ctl_geometry *ret_geometry)
{
    char text[LSI_CTL_TEXT_BYTES];
    struct quota_claim claim;
    struct lsi_bad_option bad;
    int status;

    if (lsi_topic_check(request->topic, sizeof(request->topic)) == 0) {
        session_refuse(broker, client, &request->header, -LSHM_ENAME,
                       "not a topic name: use seg(/seg)*, segments of A-Z a-z 0-9 _ . -, at most "
                       "%u bytes",
                       LSHM_TOPIC_BYTES - 1);
        return 0;
    }
    status = lsi_geometry_plan(request, lsi_memory_page_bytes(), ret_geometry, &bad);
    if (status < 0) {
        session_refuse(broker, client, &request->header, status,
                       "%s is %llu; it must be %sfrom %llu to %llu (struct "
                       "lshm_publisher_options)",
                       bad.name, (unsigned long long)bad.value, bad.kind,
                       (unsigned long long)bad.min, (unsigned long long)bad.max);
        return 0;
    }
    claim = (struct quota_claim){.client = client,
                                 .topic = topic_find_name(broker, request->topic),
                                 .bytes = lsi_geometry_bytes(ret_geometry),
                                 .retains = request->retain > 0,
                                 .supersedes = broker->registry->ends};
    status = retain_check_quota(broker, &claim, text, sizeof(text));
    if (status < 0) {
        session_refuse(broker, client, &request->header, status, "%s", text);
        return 0;
    }
    return 1;
}

static struct publisher *make(struct broker *broker, struct client *client,
                              const struct lsi_ctl_publisher_open *request,
                              const struct lsi_ctl_geometry *geometry)
{
    const struct lshm_ref none = {REGISTRY_NO_PART, 0};
    struct topic *topic = topic_get(broker, request->topic);
    struct publisher_record *record;
    struct publisher *publisher;

    if (!topic)
        return NULL;
    record = table_take(&broker->tables[TABLE_PUBLISHERS]);
    if (!record) {
        topic_put(broker, topic);
        return NULL;
    }
    record->client = client_number(broker, client);
    record->topic = topic_number(broker, topic);
    record->request_id = request->header.id;
    record->ends_before = broker->registry->ends;
    record->pid = client->record->pid;
    record->uid = client->record->uid;
    memcpy(record->name, client->record->name, sizeof(record->name));
    record->board_record = none;
    record->geometry = *geometry;
    record_set_state(&record->record, PUBLISHER_CREATED);
    publisher = BROKER_PRIVATE(broker, TABLE_PUBLISHERS, publishers, record);
    memset(publisher, 0, sizeof(*publisher));
    publisher->record = record;
    join(publisher, client, topic);
    return publisher;
}

void publisher_open(struct broker *broker, struct client *client,
                    const struct lsi_ctl_publisher_open *request)
{
    struct lsi_ctl_geometry geometry;
    struct publisher *publisher;

    LIST_FOREACH (publisher, &client->publishers, of_client) {
        if (publisher->record->request_id == request->header.id)
            break;
    }
    if (!publisher) {
        if (!plan(broker, client, request, &geometry))
            return;
        publisher = make(broker, client, request, &geometry);
        if (!publisher) {
            session_refuse(broker, client, &request->header, -LSHM_ELIMIT,
                           "no room for another topic or publisher: %u topics and %u publishers "
                           "at most; close some",
                           REGISTRY_TOPICS_MAX, REGISTRY_PUBLISHERS_MAX);
            return;
        }
    }
    publisher_advance(broker, publisher);
}

/* The ring is part 0, segments are parts 1, 2, … of the port's memory. */
static struct region **slot_of(struct publisher *publisher, const struct region_record *record)
{
    if (record->kind == LSHM_REGION_RING)
        return &publisher->ring;
    return record->part < LSI_CTL_SEGMENTS ? &publisher->segments[record->part] : NULL;
}

static int make_region(struct broker *broker, struct publisher *publisher, uint32_t kind,
                       uint32_t part, uint64_t bytes)
{
    struct region_wish wish = {.kind = kind,
                               .part = part,
                               .client = publisher->record->client,
                               .port = publisher_number(broker, publisher),
                               .bytes = bytes,
                               .is_huge = kind == LSHM_REGION_SEGMENT &&
                                          publisher->record->geometry.is_huge};
    struct region *region;
    int status;

    status = region_create_for(broker, &wish, &region);
    if (status < 0)
        return status;
    publisher_adopt(broker, region);
    return 0;
}

void publisher_adopt(struct broker *broker, struct region *region)
{
    struct publisher *publisher = publisher_find(broker, region->record->port);
    struct region **slot = publisher ? slot_of(publisher, region->record) : NULL;
    struct lsi_ctl_geometry *geometry;

    if (!slot || *slot) {
        region_release(broker, region);
        return;
    }
    *slot = region;
    geometry = &publisher->record->geometry;
    if (region->record->kind == LSHM_REGION_RING)
        geometry->ring_region = region_number(broker, region);
    else
        geometry->segments[region->record->part].region = region_number(broker, region);
    if (region->record->kind == LSHM_REGION_SEGMENT)
        geometry->segments[region->record->part].pages = region->record->pages;
    if (publisher->client)
        publisher->client->bytes += region->record->bytes;
}

/* CREATED: what does not exist is made, and all of it is sent. */
static int send_memory(struct broker *broker, struct publisher *publisher)
{
    struct lsi_ctl_geometry *geometry = &publisher->record->geometry;
    struct lsi_ctl_publisher_memory memory;
    struct outgoing outgoing = {
        .packet = &memory, .bytes = sizeof(memory), .fd = -1, .is_writable = 1};
    uint32_t i;
    int status = 0;

    if (!publisher->ring)
        status = make_region(broker, publisher, LSHM_REGION_RING, 0, geometry->ring_bytes);
    for (i = 0; status == 0 && i < geometry->segment_count; i++) {
        if (!publisher->segments[i])
            status = make_region(broker, publisher, LSHM_REGION_SEGMENT, i,
                                 geometry->segments[i].bytes);
    }
    if (status < 0)
        return status;
    memset(&memory, 0, sizeof(memory));
    memory.header.type = LSI_CTL_PUBLISHER_MEMORY;
    memory.header.id = publisher->record->request_id;
    memory.publisher = publisher_number(broker, publisher);
    memory.topic = publisher->record->topic;
    memory.geometry = *geometry;
    outgoing.regions[outgoing.region_count++] = publisher->ring;
    for (i = 0; i < geometry->segment_count; i++)
        outgoing.regions[outgoing.region_count++] = publisher->segments[i];
    outbox_put(broker, publisher->client, &outgoing);
    return 0;
}

static int is_sealed(const struct region *region)
{
    return region && record_state(&region->record->record) == REGION_SEALED;
}

int publisher_mapped(struct broker *broker, struct publisher *publisher, struct region *region)
{
    uint32_t i;
    int status = region_seal(broker, region);

    if (status < 0)
        return status;
    if (state_of(publisher) == PUBLISHER_OPEN)
        segment_mapped(broker, publisher, region);
    if (state_of(publisher) != PUBLISHER_CREATED || !is_sealed(publisher->ring))
        return 0;
    for (i = 0; i < publisher->record->geometry.segment_count; i++) {
        if (!is_sealed(publisher->segments[i]))
            return 0;
    }
    record_set_state(&publisher->record->record, PUBLISHER_SEALED);
    publisher_advance(broker, publisher);
    return 0;
}

void publisher_note_pages(struct publisher *publisher, struct region *region, uint32_t pages)
{
    if (region->record->pages != LSI_CTL_PAGES_NORMAL || pages != LSI_CTL_PAGES_HUGE)
        return;
    region->record->pages = pages;
    publisher->record->geometry.segments[region->record->part].pages = pages;
}

static int write_record(struct broker *broker, struct publisher *publisher)
{
    struct publisher_record *record = publisher->record;
    struct lshm_ref ref;
    int status;

    if (!record_has_ref(&record->board_record)) {
        status = client_board_take(broker, publisher->client, 1, &ref);
        if (status < 0)
            return status;
        record_set_ref(&record->board_record, ref);
    }
    roster_write_record(broker, publisher);
    record_set_state(&record->record, PUBLISHER_LINKING);
    return 0;
}

static int link_all(struct broker *broker, struct publisher *publisher)
{
    const uint64_t stamp = ++broker->stamp;
    struct subscriber *subscriber;
    struct link *link;
    int status;

    LIST_FOREACH (link, &publisher->links, of_publisher) {
        link->subscriber->stamp = stamp;
        status = link_advance(broker, link);
        if (status < 0)
            return status;
    }
    LIST_FOREACH (subscriber, &publisher->topic->subscribers, of_topic) {
        if (subscriber->stamp == stamp || !subscriber_wants(subscriber, publisher))
            continue;
        status = link_make(broker, publisher, subscriber);
        if (status < 0)
            return status;
    }
    return 0;
}

static void stop_waiting(struct broker *broker, struct publisher *publisher)
{
    if (publisher->deadline_ns != 0)
        TAILQ_REMOVE(&broker->waiting, publisher, waiting);
    publisher->deadline_ns = 0;
}

static void start_waiting(struct broker *broker, struct publisher *publisher)
{
    if (publisher->deadline_ns != 0)
        return;
    publisher->deadline_ns = worker_now_ns() + PEER_WAIT_NS;
    TAILQ_INSERT_TAIL(&broker->waiting, publisher, waiting);
}

static void answer(struct broker *broker, struct publisher *publisher)
{
    struct lsi_ctl_publisher_open_reply reply = {
        .header = {.type = LSI_CTL_PUBLISHER_OPEN | LSI_CTL_REPLY,
                   .id = publisher->record->request_id},
        .publisher = publisher_number(broker, publisher),
        .topic = publisher->record->topic,
        .record = publisher->record->board_record,
    };

    outbox_reply(broker, publisher->client, &reply, sizeof(reply));
}

static void fail_open(struct broker *broker, struct publisher *publisher, int status,
                      const char *text)
{
    struct client *client = publisher->client;
    struct lsi_ctl_header request = {.type = LSI_CTL_PUBLISHER_OPEN,
                                     .id = publisher->record->request_id};

    publisher_end(broker, publisher);
    session_refuse(broker, client, &request, status, "%s", text);
}

void publisher_advance(struct broker *broker, struct publisher *publisher)
{
    char text[LSI_CTL_TEXT_BYTES] =
        "no room for the cells or rows of its subscribers; see `lshm status`";
    int status = 0;

    if (state_of(publisher) == PUBLISHER_CREATED) {
        status = send_memory(broker, publisher);
        if (status < 0)
            fail_open(broker, publisher, status,
                      "its ring or segment could not be made; see `lshm status` for the limits");
        return;
    }
    if (state_of(publisher) == PUBLISHER_SEALED)
        status = write_record(broker, publisher);
    if (status == 0 && state_of(publisher) == PUBLISHER_LINKING)
        status = link_all(broker, publisher);
    if (status == -LSHM_EQUOTA)
        grant_explain(publisher, text, sizeof(text));
    if (status < 0) {
        fail_open(broker, publisher, status, text);
        return;
    }
    if (publisher->pending_count > 0) {
        start_waiting(broker, publisher);
        return;
    }
    stop_waiting(broker, publisher);
    if (state_of(publisher) == PUBLISHER_LINKING)
        record_set_state(&publisher->record->record, PUBLISHER_OPEN);
    if (state_of(publisher) == PUBLISHER_OPEN)
        answer(broker, publisher);
}

static const struct client *slow_peer(const struct publisher *publisher)
{
    const struct link *link;

    LIST_FOREACH (link, &publisher->links, of_publisher) {
        if (record_state(&link->record->record) == LINK_WANTED)
            return link->subscriber->client;
    }
    return publisher->client;
}

int publisher_expire(struct broker *broker)
{
    struct publisher *publisher;

    while ((publisher = TAILQ_FIRST(&broker->waiting))) {
        const uint64_t now = worker_now_ns();
        char text[LSI_CTL_TEXT_BYTES], who[LSI_CTL_TEXT_BYTES / 2];

        if (now < publisher->deadline_ns)
            return (int)((publisher->deadline_ns - now) / NS_PER_MS) + 1;
        client_describe(slow_peer(publisher), who, sizeof(who));
        snprintf(text, sizeof(text),
                 "the subscriber of %s does not map the memory it needs; continue or stop it", who);
        fail_open(broker, publisher, -LSHM_EPEER, text);
    }
    return -1;
}

void publisher_release_region(struct broker *broker, struct publisher *publisher,
                              struct region **region)
{
    if (!*region)
        return;
    if ((*region)->record->port != publisher_number(broker, publisher)) {
        region_unpin(broker, *region); /* another publisher's */
        *region = NULL;
        return;
    }
    if (publisher->client)
        publisher->client->bytes -= (*region)->record->bytes;
    region_release(broker, *region);
    *region = NULL;
}

/* Readers go on with what they have mapped; the kernel frees it with the last mapping. */
static void release_regions(struct broker *broker, struct publisher *publisher)
{
    uint32_t i;

    publisher_release_region(broker, publisher, &publisher->ring);
    for (i = 0; i < LSI_CTL_SEGMENTS; i++)
        publisher_release_region(broker, publisher, &publisher->segments[i]);
}

static void leave(struct broker *broker, struct publisher *publisher)
{
    struct topic *topic = publisher->topic;

    if (!topic || publisher->is_retained)
        return;
    if (retain_is_kept(publisher)) {
        retain_enter(publisher);
        retain_settle(broker, topic);
        return;
    }
    publisher->topic = NULL;
    LIST_REMOVE(publisher, of_topic);
    topic->publisher_count--;
    topic_put(broker, topic);
}

void publisher_end(struct broker *broker, struct publisher *publisher)
{
    struct publisher_record *record = publisher->record;
    struct link *link, *next;
    uint32_t left;

    stop_waiting(broker, publisher);
    if (state_of(publisher) != PUBLISHER_ENDED) {
        record->final_tail =
            is_sealed(publisher->ring) ? tail_read_final(&record->geometry, publisher->ring) : 0;
        retain_decide(broker, publisher);
        record_set_state(&record->record, PUBLISHER_ENDED);
    }
    LIST_FOREACH (link, &publisher->links, of_publisher)
        roster_end_reader(broker, link);
    roster_close(broker, publisher);
    leave(broker, publisher);
    left = publisher->link_count;
    for (link = LIST_FIRST(&publisher->links); link && left > 0; link = next, left--) {
        next = LIST_NEXT(link, of_publisher);
        if (record_state(&link->record->record) < LINK_LIVE && left > 1)
            link_free(broker, link); /* its reader never heard of it */
        else if (record_state(&link->record->record) < LINK_LIVE) {
            link_free(broker, link);
            return;
        }
    }
    publisher_free_if_drained(broker, publisher);
}

void publisher_free_if_drained(struct broker *broker, struct publisher *publisher)
{
    if (publisher->link_count > 0 || state_of(publisher) != PUBLISHER_ENDED)
        return;
    if (retain_is_kept(publisher)) {
        retain_trim(broker, publisher);
        return;
    }
    release_regions(broker, publisher);
    if (publisher->client) {
        broker->is_burial_due |= record_state(&publisher->client->record->record) == CLIENT_DEAD;
        LIST_REMOVE(publisher, of_client);
    }
    publisher->client = NULL;
    table_give(&broker->tables[TABLE_PUBLISHERS], publisher->record);
}

void publisher_close(struct broker *broker, struct client *client,
                     const struct lsi_ctl_port_close *request)
{
    struct lsi_ctl_header reply = {.type = LSI_CTL_PUBLISHER_CLOSE | LSI_CTL_REPLY,
                                   .id = request->header.id};
    struct publisher *publisher = publisher_find(broker, request->port);

    if (publisher && (publisher->client != client || state_of(publisher) == PUBLISHER_ENDED))
        publisher = NULL;
    if (!publisher && client->record->close_id != request->header.id) {
        session_refuse(broker, client, &request->header, -LSHM_EFOREIGN,
                       "%llu is not a publisher of this client", (unsigned long long)request->port);
        return;
    }
    client->record->close_id = request->header.id;
    if (publisher)
        publisher_end(broker, publisher);
    outbox_reply(broker, client, &reply, sizeof(reply));
}

int publisher_rebuild(struct broker *broker, struct publisher *publisher)
{
    struct publisher_record *record = publisher->record;
    struct client *client = client_find(broker, record->client);
    const int is_ended = state_of(publisher) == PUBLISHER_ENDED;
    const int has_topic = !is_ended || retain_is_kept(publisher);
    uint32_t part;

    join(publisher, client, has_topic ? topic_find_number(broker, record->topic) : NULL);
    if (!client || is_ended)
        return 0;
    lines_mark(&client->board, record->board_record, 1);
    for (part = 0; part < record->roster_parts; part++)
        lines_mark(&client->board, record->roster[part], roster_part_lines(part));
    return 0;
}
