/* SPDX-License-Identifier: Apache-2.0 */
/* From numbers to private structs and back: one pair of functions for each table. */
#include "worker.h"

#define NUMBERS(object, array, kind, find)                                                         \
    struct object *find(struct broker *broker, uint64_t number)                                    \
    {                                                                                              \
        const struct table *table = &broker->tables[kind];                                         \
        void *record = table_find(table, number);                                                  \
                                                                                                   \
        return record ? &broker->array[table_index(table, record)] : NULL;                         \
    }                                                                                              \
    uint64_t object##_number(const struct broker *broker, const struct object *object)             \
    {                                                                                              \
        return table_number(&broker->tables[kind], object->record);                                \
    }

NUMBERS(client, clients, TABLE_CLIENTS, client_find)
NUMBERS(region, regions, TABLE_REGIONS, region_find)
NUMBERS(topic, topics, TABLE_TOPICS, topic_find_number)
NUMBERS(publisher, publishers, TABLE_PUBLISHERS, publisher_find)
NUMBERS(subscriber, subscribers, TABLE_SUBSCRIBERS, subscriber_find)
NUMBERS(link, links, TABLE_LINKS, link_find)
