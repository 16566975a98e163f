/* SPDX-License-Identifier: Apache-2.0 */
/* Watching a topic: the broker switches the counting on; what was counted is read here. */
#include <stdlib.h>
#include <string.h>

#include "api/inspector.h"

LSI_API int lshm_inspector_watch(struct lshm_inspector *inspector, const char *topic,
                                 struct lshm_error *reterr_error)
{
    struct lsi_ctl_watch request = { .header = { .type = LSI_CTL_WATCH } };
    struct lsi_ctl_packet reply;
    int r;

    if (inspector == NULL || inspector->magic != LSI_INSPECTOR_MAGIC)
        return -LSHM_ECLOSED;
    if (topic != NULL) {
        r = lsi_name_check(topic, reterr_error);
        if (r < 0)
            return r;
        lsi_ctl_set_text(request.topic, sizeof request.topic, topic);
    }
    r = lsi_inspector_request(inspector, &request.header, sizeof request, &reply, reterr_error);
    lsi_ctl_close_fds(&reply, 0);
    return r;
}

static void fill(struct lshm_inspector *inspector, const struct lsi_ctl_link_record *record,
                 struct lshm_latency_info *info)
{
    info->link = record->link;
    info->topic = record->topic;
    info->subscriber = record->subscriber;
    info->client = record->client;
    info->publisher = record->publisher;
    info->reserved = 0;
    info->known = lsi_inspector_look_histogram(inspector, record, &info->histogram);
}

LSI_API int lshm_inspector_list_latencies(struct lshm_inspector *inspector,
                                          struct lshm_latency_info *infos, size_t count)
{
    struct lsi_ctl_link_record *records = NULL;
    int n = lsi_inspector_begin(inspector), total = 0;

    if (n < 0)
        return n;
    n = lsi_inspector_collect(inspector, LSI_CTL_LIST_LINKS, (void **)&records);
    for (int i = 0; i < n; i++) {
        if (records[i].histogram_region == 0)
            continue;
        if ((size_t)total < count)
            fill(inspector, &records[i], &infos[total]);
        total++;
    }
    free(records);
    return lsi_inspector_end(inspector, n < 0 ? n : total);
}
