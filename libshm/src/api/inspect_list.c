/* SPDX-License-Identifier: Apache-2.0 */
/* Clients, topics and publishers: the broker's records with what regions say beside them. */
#include <stdlib.h>
#include <string.h>

#include "api/inspector.h"
#include "ctl/geometry.h"

static uint32_t look_asleep(struct lshm_inspector *inspector,
                            const struct lsi_ctl_client_record *record)
{
    const struct lshm_control *control = NULL;

    if (record->control_bytes >= sizeof *control)
        control = lsi_inspector_view(inspector, record->control_region, record->control_bytes);
    if (control == NULL)
        return LSHM_UNKNOWN_32;
    return lsi_load_relaxed(&control->sleep) & 1; /* RLX: as of some instant */
}

static void fill_client(struct lshm_inspector *inspector,
                        const struct lsi_ctl_client_record *record, struct lshm_client_info *info)
{
    *info = (struct lshm_client_info){
        .client = record->client,
        .pid = record->pid,
        .uid = record->uid,
        .since_ns = record->since_ns,
        .publishers = record->publishers,
        .subscribers = record->subscribers,
        .bytes = record->bytes,
        .state = record->state,
        .asleep = look_asleep(inspector, record),
    };
    if (record->state == LSHM_CLIENT_ALIVE && record->control_region == 0)
        info->state = LSHM_CLIENT_INSPECTOR;
    memcpy(info->name, record->name, sizeof info->name);
    info->name[sizeof info->name - 1] = '\0';
}

LSI_API int lshm_inspector_list_clients(struct lshm_inspector *inspector,
                                        struct lshm_client_info *infos, size_t count)
{
    struct lsi_ctl_client_record *records = NULL;
    int n = lsi_inspector_begin(inspector);

    if (n < 0)
        return n;
    n = lsi_inspector_collect(inspector, LSI_CTL_LIST_CLIENTS, (void **)&records);
    for (int i = 0; i < n && (size_t)i < count; i++)
        fill_client(inspector, &records[i], &infos[i]);
    free(records);
    return lsi_inspector_end(inspector, n);
}

_Static_assert(LSHM_PAGES_HUGE == LSI_CTL_PAGES_HUGE, "the same words");
_Static_assert(LSHM_PAGES_HUGETLB == LSI_CTL_PAGES_HUGETLB, "the same words");

static uint64_t grown_bytes(const struct lsi_ctl_geometry *geometry)
{
    uint64_t bytes = 0;

    for (uint32_t i = geometry->segment_count; i < LSI_CTL_SEGMENTS; i++)
        bytes += geometry->segments[i].bytes;
    return bytes;
}

static void fill_publisher(struct lshm_inspector *inspector,
                           const struct lsi_ctl_publisher_record *record,
                           struct lshm_publisher_info *info)
{
    struct lsi_ring_look ring;

    lsi_inspector_look_ring(inspector, &record->geometry, true, &ring);
    *info = (struct lshm_publisher_info){
        .publisher = record->publisher,
        .topic = record->topic,
        .client = record->client,
        .published = ring.published,
        .bytes = ring.bytes,
        .refused = ring.refused,
        .aborts = ring.aborts,
        .unmapped = ring.unmapped,
        .memory_bytes = record->memory_bytes,
        .grown_bytes = grown_bytes(&record->geometry),
        .memory_max = record->geometry.memory_max,
        .slot_bytes = record->geometry.slot_bytes,
        .slots = lsi_geometry_slots(&record->geometry),
        .slots_free = ring.in_state[LSHM_SLOT_FREE],
        .slots_loaned = ring.in_state[LSHM_SLOT_LOANED],
        .slots_window = ring.in_state[LSHM_SLOT_WINDOW],
        .slots_limbo = ring.in_state[LSHM_SLOT_LIMBO],
        .slots_quarantine = ring.in_state[LSHM_SLOT_QUARANTINE],
        .ring_entries = record->geometry.entry_count,
        .entry_bytes = record->geometry.entry_bytes,
        .waiting = ring.waiting,
        .dead = record->dead,
        .retained = record->retained,
        .ended_ns = record->ended_ns,
        .pid = record->pid,
    };
    memcpy(info->name, record->name, sizeof info->name);
    info->name[sizeof info->name - 1] = '\0';
}

LSI_API int lshm_inspector_list_publishers(struct lshm_inspector *inspector,
                                           struct lshm_publisher_info *infos, size_t count)
{
    struct lsi_ctl_publisher_record *records = NULL;
    int n = lsi_inspector_begin(inspector);

    if (n < 0)
        return n;
    n = lsi_inspector_collect(inspector, LSI_CTL_LIST_PUBLISHERS, (void **)&records);
    for (int i = 0; i < n && (size_t)i < count; i++)
        fill_publisher(inspector, &records[i], &infos[i]);
    free(records);
    return lsi_inspector_end(inspector, n);
}

/* The segments of one publisher, from infos[at] on: where the next one's begin. */
static int fill_segments(const struct lsi_ctl_publisher_record *record,
                         struct lshm_segment_info *infos, size_t count, int at)
{
    for (uint32_t i = 0; i < LSI_CTL_SEGMENTS; i++) {
        const struct lsi_ctl_segment *segment = &record->geometry.segments[i];

        if (segment->slot_count == 0)
            continue;
        if ((size_t)at < count)
            infos[at] = (struct lshm_segment_info){
                .publisher = record->publisher,
                .number = i + 1,
                .bytes = segment->bytes,
                .slot_bytes = segment->slot_bytes,
                .slots = segment->slot_count,
                .grown = i >= record->geometry.segment_count,
                .pages = segment->pages,
            };
        at++;
    }
    return at;
}

LSI_API int lshm_inspector_list_segments(struct lshm_inspector *inspector,
                                         struct lshm_segment_info *infos, size_t count)
{
    struct lsi_ctl_publisher_record *records = NULL;
    int segments = 0, n = lsi_inspector_begin(inspector);

    if (n < 0)
        return n;
    n = lsi_inspector_collect(inspector, LSI_CTL_LIST_PUBLISHERS, (void **)&records);
    for (int i = 0; i < n; i++)
        segments = fill_segments(&records[i], infos, count, segments);
    free(records);
    return lsi_inspector_end(inspector, n < 0 ? n : segments);
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_topics(const void *a, const void *b)
{
    const struct lshm_topic_info *const *one = a, *const *other = b;

    return compare_numbers((*one)->topic, (*other)->topic);
}

/* Unknown if one of them is. */
static uint64_t add_figures(uint64_t sum, uint64_t figure)
{
    return sum == LSHM_UNKNOWN || figure == LSHM_UNKNOWN ? LSHM_UNKNOWN : sum + figure;
}

/* Adds up what the publishers of these topics say. */
static int sum_publishers(struct lshm_inspector *inspector, struct lshm_topic_info *infos,
                          size_t count)
{
    struct lshm_topic_info **sorted = calloc(count + 1, sizeof *sorted);
    struct lsi_ctl_publisher_record *records = NULL;
    int n = -ENOMEM;

    if (sorted != NULL)
        n = lsi_inspector_collect(inspector, LSI_CTL_LIST_PUBLISHERS, (void **)&records);
    for (size_t i = 0; n > 0 && i < count; i++)
        sorted[i] = &infos[i];
    if (n > 0)
        qsort(sorted, count, sizeof *sorted, compare_topics);
    for (int i = 0; i < n; i++) {
        struct lshm_topic_info wanted = { .topic = records[i].topic };
        struct lshm_topic_info *key = &wanted, **found;
        struct lsi_ring_look ring;

        found = bsearch(&key, sorted, count, sizeof *sorted, compare_topics);
        if (found == NULL)
            continue;
        lsi_inspector_look_ring(inspector, &records[i].geometry, false, &ring);
        (*found)->published = add_figures((*found)->published, ring.published);
        (*found)->bytes = add_figures((*found)->bytes, ring.bytes);
        (*found)->memory_bytes += records[i].memory_bytes;
    }
    free(records);
    free(sorted);
    return n < 0 ? n : 0;
}

static void fill_topic(const struct lsi_ctl_topic_record *record, struct lshm_topic_info *info)
{
    *info = (struct lshm_topic_info){
        .topic = record->topic,
        .publishers = record->publishers,
        .subscribers = record->subscribers,
        .retained = record->retained,
        .retained_bytes = record->retained_bytes,
    };
    memcpy(info->name, record->name, sizeof info->name);
    info->name[sizeof info->name - 1] = '\0';
}

LSI_API int lshm_inspector_list_topics(struct lshm_inspector *inspector,
                                       struct lshm_topic_info *infos, size_t count)
{
    struct lsi_ctl_topic_record *records = NULL;
    size_t given;
    int r, n = lsi_inspector_begin(inspector);

    if (n < 0)
        return n;
    n = lsi_inspector_collect(inspector, LSI_CTL_LIST_TOPICS, (void **)&records);
    given = n < 0 ? 0 : (size_t)n < count ? (size_t)n : count;
    for (size_t i = 0; i < given; i++)
        fill_topic(&records[i], &infos[i]);
    free(records);
    if (given > 0 && (r = sum_publishers(inspector, infos, given)) < 0)
        n = r;
    return lsi_inspector_end(inspector, n);
}

LSI_API int lshm_inspector_find_topic(struct lshm_inspector *inspector, const char *name,
                                      struct lshm_error *reterr_error,
                                      struct lshm_topic_info *ret_info)
{
    struct lsi_ctl_topic_record *records = NULL;
    struct lshm_topic_info found = { 0 };
    int n, r = lsi_name_check(name, reterr_error);

    if (r < 0 || (r = lsi_inspector_begin(inspector)) < 0)
        return r;
    n = r = lsi_inspector_collect(inspector, LSI_CTL_LIST_TOPICS, (void **)&records);
    for (int i = 0; i < n && found.topic == 0; i++)
        if (strncmp(records[i].name, name, sizeof records[i].name) == 0)
            fill_topic(&records[i], &found);
    free(records);
    if (found.topic != 0)
        r = sum_publishers(inspector, &found, 1);
    else if (r >= 0)
        r = -LSHM_ENOTOPIC;
    r = lsi_inspector_end(inspector, r);
    if (r == -LSHM_ENOTOPIC)
        lsi_error_set(reterr_error, LSHM_ENOTOPIC, "there is no topic \"%s\" now: nobody publishes "
                      "or subscribes to it; see lshm topic ls", name);
    else if (r == 0)
        *ret_info = found;
    return r;
}
