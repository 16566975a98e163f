/* SPDX-License-Identifier: Apache-2.0 */
#include "registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void describe(struct table *table, void *records, uint32_t record_bytes, uint32_t capacity)
{
    table->records = records;
    table->record_bytes = record_bytes;
    table->capacity = capacity;
}

#define DESCRIBE(kind, field)                                                                      \
    describe(&tables[kind], registry->field, sizeof(registry->field[0]),                           \
             sizeof(registry->field) / sizeof(registry->field[0]))

int registry_open(struct registry *registry, struct table tables[TABLE_COUNT])
{
    int kind;

    memset(tables, 0, TABLE_COUNT * sizeof(tables[0]));
    DESCRIBE(TABLE_CLIENTS, clients);
    DESCRIBE(TABLE_REGIONS, regions);
    DESCRIBE(TABLE_TOPICS, topics);
    DESCRIBE(TABLE_PUBLISHERS, publishers);
    DESCRIBE(TABLE_SUBSCRIBERS, subscribers);
    DESCRIBE(TABLE_LINKS, links);
    for (kind = 0; kind < TABLE_COUNT; kind++) {
        struct table *table = &tables[kind];
        uint32_t i;

        table->used = &registry->used[kind];
        table->free_indexes = calloc(table->capacity, sizeof(table->free_indexes[0]));
        if (!table->free_indexes) {
            registry_close(tables);
            return -ENOMEM;
        }
        for (i = *table->used; i > 0; i--) {
            if (record_state(table_at(table, i - 1)) == STATE_FREE)
                table->free_indexes[table->free_count++] = i - 1;
        }
    }
    return 0;
}

void registry_close(struct table tables[TABLE_COUNT])
{
    int kind;

    for (kind = 0; kind < TABLE_COUNT; kind++) {
        free(tables[kind].free_indexes);
        tables[kind].free_indexes = NULL;
    }
}

void *table_at(const struct table *table, uint32_t index)
{
    return table->records + (size_t)index * table->record_bytes;
}

uint32_t table_index(const struct table *table, const void *record)
{
    return (uint32_t)((size_t)((const unsigned char *)record - table->records) /
                      table->record_bytes);
}

void *table_take(struct table *table)
{
    struct record *record;
    uint64_t generation;

    if (table->free_count > 0)
        record = table_at(table, table->free_indexes[--table->free_count]);
    else if (*table->used < table->capacity)
        record = table_at(table, (*table->used)++);
    else
        return NULL;
    generation = record->generation;
    memset(record, 0, table->record_bytes);
    record->generation = lsi_counter_next(generation);
    return record;
}

void table_give(struct table *table, void *record)
{
    struct record *head = record;

    record_set_state(head, STATE_FREE);
    table->free_indexes[table->free_count++] = table_index(table, record);
}

uint64_t table_number(const struct table *table, const void *record)
{
    const struct record *head = record;

    return (head->generation - 1) * table->capacity + table_index(table, record) + 1;
}

void *table_find(const struct table *table, uint64_t number)
{
    struct record *record;

    if (number == 0 || (number - 1) % table->capacity >= *table->used)
        return NULL;
    record = table_at(table, (uint32_t)((number - 1) % table->capacity));
    if (record_state(record) == STATE_FREE ||
        record->generation != (number - 1) / table->capacity + 1)
        return NULL;
    return record;
}

uint32_t table_count(const struct table *table)
{
    return *table->used - table->free_count;
}
