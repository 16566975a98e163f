/* SPDX-License-Identifier: Apache-2.0 */
#include "quota.h"

#include <errno.h>
#include <stdio.h>

#include <lshm/error.h>

#include "ctl/geometry.h"
#include "os/memory.h"
#include "retain.h"

#define MIB (UINT64_C(1) << 20)

static unsigned long long mib(uint64_t bytes)
{
    return (bytes + MIB - 1) / MIB;
}

uint64_t quota_client_bytes(const struct broker *broker)
{
    uint64_t available;

    if (broker->registry->client_bytes_max != 0)
        return broker->registry->client_bytes_max;
    return lsi_memory_available(&available) < 0 ? UINT64_MAX : available / 2;
}

uint64_t quota_retain_bytes(const struct broker *broker)
{
    const uint64_t max = broker->registry->retain_bytes_max;

    return max != 0 ? max : quota_client_bytes(broker);
}

int quota_check(struct broker *broker, const struct client *client, uint64_t bytes, char *ret_text,
                size_t text_bytes)
{
    const uint64_t quota = quota_client_bytes(broker);
    uint64_t available, total;

    if (__builtin_add_overflow(client->bytes, bytes, &total) || total > quota) {
        if (ret_text)
            snprintf(ret_text, text_bytes,
                     "quota client-bytes: %llu MiB asked for, %llu MiB owned already, %llu MiB "
                     "allowed for one client; use fewer or smaller slots, or start brokerd with "
                     "a larger --client-bytes",
                     mib(bytes), mib(client->bytes), mib(quota));
        return -LSHM_EQUOTA;
    }
    if (lsi_memory_available(&available) == 0 && bytes > available) {
        if (ret_text)
            snprintf(ret_text, text_bytes,
                     "not enough memory: %llu MiB needed, %llu MiB available; use fewer or "
                     "smaller slots, or free memory",
                     mib(bytes), mib(available));
        return -ENOMEM;
    }
    return 0;
}

uint64_t quota_topic_bytes(const struct topic *topic)
{
    const struct publisher *publisher;
    uint64_t bytes = retain_topic_bytes(topic);

    LIST_FOREACH (publisher, &topic->publishers, of_topic)
        bytes += lsi_geometry_bytes(&publisher->record->geometry);
    return bytes;
}

static int exceeds(uint64_t bytes, uint64_t used, uint64_t quota)
{
    return bytes > quota || used > quota - bytes;
}

/* Of those that may still leave something, what they own; it is theirs to leave. */
static uint64_t retaining_bytes(const struct broker *broker)
{
    const struct table *table = &broker->tables[TABLE_PUBLISHERS];
    uint64_t bytes = 0;
    uint32_t i;

    for (i = 0; i < *table->used; i++) {
        const struct publisher_record *record = table_at(table, i);
        const uint32_t state = record_state(&record->record);

        if (state != PUBLISHER_FREE && record->geometry.retain > 0 &&
            (state != PUBLISHER_ENDED || record->retained > 0))
            bytes += lsi_geometry_bytes(&record->geometry);
    }
    return bytes;
}

int quota_check_claim(struct broker *broker, const struct quota_claim *claim, uint64_t spared,
                      char *ret_text, size_t text_bytes)
{
    const struct topic *topic = claim->topic;
    uint64_t quota = broker->registry->topic_bytes_max, used;

    used = topic && quota != 0 ? quota_topic_bytes(topic) - spared : 0;
    if (quota != 0 && exceeds(claim->bytes, used, quota)) {
        snprintf(ret_text, text_bytes,
                 "quota topic-bytes: %llu MiB asked for, %llu MiB owned by the topic's %u "
                 "publishers%s already, %llu MiB allowed; use fewer or smaller slots, or start "
                 "brokerd with a larger --topic-bytes",
                 mib(claim->bytes), mib(used), topic ? topic->publisher_count : 0,
                 topic && topic->retained_count > 0 ? " and what others left (lshm topic rm)" : "",
                 mib(quota));
        return -LSHM_EQUOTA;
    }
    if (claim->retains) {
        quota = quota_retain_bytes(broker);
        used = retaining_bytes(broker) - spared;
        if (exceeds(claim->bytes, used, quota)) {
            snprintf(ret_text, text_bytes,
                     "quota retain-bytes: %llu MiB asked for, %llu MiB owned by publishers that "
                     "retain messages or have left some, %llu MiB allowed; use fewer or smaller "
                     "slots, drop what was left (lshm topic rm), or start brokerd with a larger "
                     "--retain-bytes",
                     mib(claim->bytes), mib(used), mib(quota));
            return -LSHM_EQUOTA;
        }
    }
    return quota_check(broker, claim->client, claim->bytes, ret_text, text_bytes);
}
