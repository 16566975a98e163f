/* SPDX-License-Identifier: Apache-2.0 */
#include "topic.h"

#include <string.h>

#include "ctl/codec.h"

int topic_compare(const struct topic *a, const struct topic *b)
{
    return strncmp(a->record->name, b->record->name, LSHM_TOPIC_BYTES);
}

RB_GENERATE(topic_tree, topic, by_name, topic_compare)

static void init(struct topic *topic, struct topic_record *record)
{
    memset(topic, 0, sizeof(*topic));
    topic->record = record;
    LIST_INIT(&topic->publishers);
    TAILQ_INIT(&topic->retained);
    LIST_INIT(&topic->subscribers);
}

struct topic *topic_find_name(struct broker *broker, const char *name)
{
    struct topic_record wanted_record = {0};
    struct topic wanted = {.record = &wanted_record};

    lsi_ctl_set_text(wanted_record.name, sizeof(wanted_record.name), name);
    return RB_FIND(topic_tree, &broker->topic_tree, &wanted);
}

struct topic *topic_get(struct broker *broker, const char *name)
{
    struct topic_record *record;
    struct topic *topic = topic_find_name(broker, name);

    if (topic)
        return topic;
    record = table_take(&broker->tables[TABLE_TOPICS]);
    if (!record)
        return NULL;
    lsi_ctl_set_text(record->name, sizeof(record->name), name);
    record_set_state(&record->record, TOPIC_USED);
    topic = BROKER_PRIVATE(broker, TABLE_TOPICS, topics, record);
    init(topic, record);
    RB_INSERT(topic_tree, &broker->topic_tree, topic);
    return topic;
}

void topic_rebuild(struct broker *broker, struct topic *topic)
{
    init(topic, topic->record);
    RB_INSERT(topic_tree, &broker->topic_tree, topic);
}

void topic_put(struct broker *broker, struct topic *topic)
{
    if (topic->publisher_count > 0 || topic->subscriber_count > 0 || topic->retained_count > 0)
        return;
    RB_REMOVE(topic_tree, &broker->topic_tree, topic);
    table_give(&broker->tables[TABLE_TOPICS], topic->record);
}
