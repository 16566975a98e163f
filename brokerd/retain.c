/* SPDX-License-Identifier: Apache-2.0 */
#include "retain.h"

#include <time.h>

#include <lshm/error.h>

#include "core/cell.h"
#include "ctl/geometry.h"
#include "ctl/topic.h"
#include "log.h"
#include "outbox.h"
#include "publisher.h"
#include "segment.h"
#include "session.h"
#include "tail.h"
#include "topic.h"

#define NS_PER_S UINT64_C(1000000000)

static uint64_t wall_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void retain_decide(struct broker *broker, struct publisher *publisher)
{
    struct publisher_record *record = publisher->record;
    uint64_t count = record->geometry.retain;

    record->ended_ns = wall_ns();
    /* If we die before it is ENDED: a number is left out, and the next worker does it again. */
    record->end_number = ++broker->registry->ends;
    record->retained = 0;
    if (record_state(&record->record) != PUBLISHER_OPEN || record->final_tail <= LSI_SEQ_FIRST)
        return;
    if (count > record->final_tail - LSI_SEQ_FIRST)
        count = record->final_tail - LSI_SEQ_FIRST;
    record->retained = tail_count_back(&record->geometry, publisher->ring, record->final_tail,
                                       (uint32_t)count, &record->retained_segments);
}

int retain_is_kept(const struct publisher *publisher)
{
    return record_state(&publisher->record->record) == PUBLISHER_ENDED &&
           publisher->record->retained > 0;
}

/* In order of their end; a new worker finds them in another. */
static void insert(struct publisher *publisher, struct topic *topic)
{
    struct publisher *before = TAILQ_LAST(&topic->retained, publisher_queue);

    while (before && before->record->end_number > publisher->record->end_number)
        before = TAILQ_PREV(before, publisher_queue, of_retained);
    if (before)
        TAILQ_INSERT_AFTER(&topic->retained, before, publisher, of_retained);
    else
        TAILQ_INSERT_HEAD(&topic->retained, publisher, of_retained);
    publisher->topic = topic;
    publisher->is_retained = 1;
    topic->retained_count++;
}

void retain_enter(struct publisher *publisher)
{
    struct topic *topic = publisher->topic;

    LIST_REMOVE(publisher, of_topic);
    topic->publisher_count--;
    insert(publisher, topic);
}

void retain_rebuild(struct publisher *publisher, struct topic *topic)
{
    insert(publisher, topic);
}

void retain_trim(struct broker *broker, struct publisher *publisher)
{
    segment_keep_only(broker, publisher, publisher->record->retained_segments);
}

/* If we die behind the store: nobody retains it, and the next worker frees it. */
static void drop(struct broker *broker, struct publisher *publisher)
{
    struct topic *topic = publisher->topic;

    publisher->record->retained = 0;
    publisher->topic = NULL;
    publisher->is_retained = 0;
    TAILQ_REMOVE(&topic->retained, publisher, of_retained);
    topic->retained_count--;
    publisher_free_if_drained(broker, publisher);
}

static int has_published(struct publisher *publisher)
{
    if (!publisher->has_published && publisher->record->geometry.retain > 0 &&
        record_state(&publisher->record->record) == PUBLISHER_OPEN)
        publisher->has_published =
            tail_read_final(&publisher->record->geometry, publisher->ring) > LSI_SEQ_FIRST;
    return publisher->has_published;
}

/* Up to this end, what is retained is superseded. */
static uint64_t superseded(struct topic *topic)
{
    struct publisher *publisher;
    uint64_t last = 0;

    TAILQ_FOREACH (publisher, &topic->retained, of_retained) {
        if (publisher->record->ends_before > last)
            last = publisher->record->ends_before;
    }
    LIST_FOREACH (publisher, &topic->publishers, of_topic) {
        if (publisher->record->ends_before > last && has_published(publisher))
            last = publisher->record->ends_before;
    }
    return last;
}

static void drop_up_to(struct broker *broker, struct topic *topic, uint64_t last)
{
    struct publisher *publisher, *next;

    for (publisher = TAILQ_FIRST(&topic->retained); publisher; publisher = next) {
        next = TAILQ_NEXT(publisher, of_retained);
        if (publisher->record->end_number <= last)
            drop(broker, publisher);
    }
}

void retain_settle(struct broker *broker, struct topic *topic)
{
    if (topic->retained_count > 0)
        drop_up_to(broker, topic, superseded(topic));
}

static uint64_t bytes_up_to(const struct topic *topic, uint64_t last)
{
    const struct publisher *publisher;
    uint64_t bytes = 0;

    TAILQ_FOREACH (publisher, &topic->retained, of_retained) {
        if (publisher->record->end_number <= last)
            bytes += lsi_geometry_bytes(&publisher->record->geometry);
    }
    return bytes;
}

int retain_check_quota(struct broker *broker, const struct quota_claim *claim, char *ret_text,
                       size_t text_bytes)
{
    char text[LSI_CTL_TEXT_BYTES];
    uint64_t spared;
    int status;

    if (claim->topic)
        retain_settle(broker, claim->topic);
    status = quota_check_claim(broker, claim, 0, ret_text, text_bytes);
    if (status != -LSHM_EQUOTA || !claim->topic || !claim->retains)
        return status;
    spared = bytes_up_to(claim->topic, claim->supersedes);
    if (spared == 0 || quota_check_claim(broker, claim, spared, text, sizeof(text)) < 0)
        return status;
    log_info("dropped what was retained on %s for its successor: %s", claim->topic->record->name,
             ret_text);
    drop_up_to(broker, claim->topic, claim->supersedes);
    return 0;
}

/* 1, or 0 when its refusal was sent. */
static int check_clear(struct broker *broker, struct client *client,
                       const struct lsi_ctl_topic_clear *request, const struct topic *topic)
{
    if (lsi_topic_check(request->topic, sizeof(request->topic)) == 0) {
        session_refuse(broker, client, &request->header, -LSHM_ENAME,
                       "not a topic name: use seg(/seg)*, segments of A-Z a-z 0-9 _ . -, at most "
                       "%u bytes",
                       LSHM_TOPIC_BYTES - 1);
        return 0;
    }
    if (!topic || topic->retained_count == 0) {
        session_refuse(broker, client, &request->header, -LSHM_ENOTOPIC,
                       "nothing is retained on %s: no publisher that has ended left anything "
                       "there, or another has taken its place; see lshm topic ls",
                       request->topic);
        return 0;
    }
    return 1;
}

void retain_clear(struct broker *broker, struct client *client,
                  const struct lsi_ctl_topic_clear *request)
{
    struct topic *topic = topic_find_name(broker, request->topic);
    struct client_record *record = client->record;
    struct lsi_ctl_topic_clear_reply reply = {
        .header = {.type = LSI_CTL_TOPIC_CLEAR | LSI_CTL_REPLY, .id = request->header.id}};

    if (topic)
        retain_settle(broker, topic);
    if (record->clear_id != request->header.id) {
        if (!check_clear(broker, client, request, topic))
            return;
        record->cleared_publishers = topic->retained_count;
        /* ORD E1 release -> E2: a successor that finds the id finds the answer, and clears the
         * rest. DIE E5: nothing is cleared yet; the request is there still. */
        lsi_store_release(&record->clear_id, request->header.id);
    }
    if (topic) {
        drop_up_to(broker, topic, UINT64_MAX);
        topic_put(broker, topic);
    }
    reply.publishers = record->cleared_publishers;
    outbox_reply(broker, client, &reply, sizeof(reply));
}

uint64_t retain_topic_bytes(const struct topic *topic)
{
    return bytes_up_to(topic, UINT64_MAX);
}

void retain_count(const struct broker *broker, uint64_t *ret_publishers, uint64_t *ret_bytes)
{
    uint32_t i;

    *ret_publishers = *ret_bytes = 0;
    for (i = 0; i < *broker->tables[TABLE_TOPICS].used; i++) {
        const struct topic *topic = &broker->topics[i];

        if (record_state(table_at(&broker->tables[TABLE_TOPICS], i)) != TOPIC_USED ||
            topic->retained_count == 0)
            continue;
        *ret_publishers += topic->retained_count;
        *ret_bytes += retain_topic_bytes(topic);
    }
}
