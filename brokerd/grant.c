/* SPDX-License-Identifier: Apache-2.0 */
#include "grant.h"

#include <stdio.h>

#include <lshm/error.h>

#include "ctl/geometry.h"

/* What there is, or, as a publisher grows, what there is at least room for. */
static uint64_t count_slots(const struct lsi_ctl_geometry *geometry)
{
    const struct lsi_ctl_segment *first = &geometry->segments[0];
    uint64_t reserved = geometry->segment_count > 0 ? first->slot_count : 0;

    if (geometry->memory_max == 0)
        return reserved;
    return reserved + (geometry->memory_max - reserved * geometry->slot_bytes) /
                          geometry->slot_bytes;
}

/* Slots that stay with the publisher, for loans and for what is on its way. */
static uint64_t own_slots(uint64_t slots)
{
    return slots / 4 > 2 ? slots / 4 : 2;
}

static uint64_t granted(const struct publisher *publisher)
{
    const struct link *link;
    uint64_t sum = 0;

    LIST_FOREACH (link, &publisher->links, of_publisher) {
        if (link->subscriber->record->flags & LSHM_READER_LOSSY)
            sum += link->record->window + link->record->holds;
    }
    return sum;
}

/* Slots that no reader may keep yet. */
static uint64_t left_over(const struct publisher *publisher)
{
    const struct lsi_ctl_geometry *geometry = &publisher->record->geometry;
    const uint64_t slots = count_slots(geometry);
    uint64_t kept = geometry->history + own_slots(slots) + granted(publisher);

    return kept < slots ? slots - kept : 0;
}

int grant_link(struct link *link)
{
    const struct subscriber_record *asked = link->subscriber->record;
    struct link_record *record = link->record;
    uint64_t share = left_over(link->publisher);

    record->window = asked->window;
    record->holds = asked->holds;
    if (!(asked->flags & LSHM_READER_LOSSY) || record->is_retained ||
        link->publisher->record->geometry.slot_bytes == 0)
        return 0;
    if (share > 2)
        share -= share / 2;
    if (record->window + (uint64_t)record->holds <= share)
        return 0;
    if (record->holds > share / 4)
        record->holds = (uint32_t)(share / 4);
    if (record->window > share - record->holds)
        record->window = (uint32_t)(share - record->holds);
    return record->window > 0 ? 0 : -LSHM_EQUOTA;
}

void grant_explain(const struct publisher *publisher, char *text, size_t text_bytes)
{
    const struct lsi_ctl_geometry *geometry = &publisher->record->geometry;
    const uint64_t slots = count_slots(geometry);

    snprintf(text, text_bytes,
             "a publisher of the topic has %llu slots; it needs %llu itself, keeps %u for "
             "newcomers, and its other latest subscribers may keep %llu: open it with a larger "
             "slot_count or memory_max, or close some of them",
             (unsigned long long)slots, (unsigned long long)own_slots(slots), geometry->history,
             (unsigned long long)granted(publisher));
}
