/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing a subscription: the broker sends a ring for each publisher that is there,
 * then its answer; when open returns, all of them have been joined.
 */
#include <stdlib.h>
#include <string.h>

#include "api/forward.h"
#include "api/internal.h"
#include "core/histogram.h"
#include "ctl/topic.h"

#define SUBSCRIBER_FLAGS                                                                           \
    (LSHM_SUBSCRIBER_NO_LOCAL | LSHM_SUBSCRIBER_NEVER_WAITS | LSHM_SUBSCRIBER_LATEST |             \
     LSHM_SUBSCRIBER_BY_TIME | LSHM_SUBSCRIBER_PREFAULT)

int lsi_statistics_copy(void *to, const void *from, size_t bytes)
{
    uint64_t size;

    memcpy(&size, to, sizeof size);
    if (size < sizeof size)
        return -EINVAL;
    if (size < bytes)
        bytes = (size_t)size;
    memcpy((unsigned char *)to + sizeof size, (const unsigned char *)from + sizeof size,
           bytes - sizeof size);
    return 0;
}

uint32_t lsi_new_port(void)
{
    static uint64_t last = LSI_COUNTER_START(16);

    /* RLX: only to be different. */
    return (uint32_t)(lsi_add_relaxed(&last, 1) % 0xffffu) + 1;
}

int lsi_name_check(const char *topic, struct lshm_error *reterr_error)
{
    if (topic == NULL) {
        lsi_error_set(reterr_error, LSHM_ENAME, "no topic was given (NULL): name one");
        return -LSHM_ENAME;
    }
    if (lsi_topic_check(topic, strnlen(topic, LSHM_TOPIC_BYTES) + 1) == 0) {
        lsi_error_set(reterr_error, LSHM_ENAME, "\"%.40s%s\" is not a topic name: use segments of "
                      "A-Z a-z 0-9 _ . - with / between them, at most %u bytes", topic,
                      strnlen(topic, 41) > 40 ? "..." : "", LSHM_TOPIC_BYTES - 1);
        return -LSHM_ENAME;
    }
    return 0;
}

int lsi_port_check(struct lshm_context *context, const char *topic, void *copy, size_t bytes,
                   const void *options, struct lshm_error *reterr_error)
{
    if (context == NULL || context->magic != LSI_CONTEXT_MAGIC)
        return -LSHM_ECLOSED;
    if (lsi_context_forked(context)) {
        lsi_error_set(reterr_error, ECHILD, "%s", lshm_strerror(ECHILD));
        return -ECHILD;
    }
    if (lsi_options_copy(copy, bytes, options) < 0) {
        lsi_error_set(reterr_error, EINVAL, "the port's options have unknown or unset fields: set "
                      "size to sizeof, and zero the rest");
        return -EINVAL;
    }
    return lsi_name_check(topic, reterr_error);
}

/* With control held. */
static int open_port(struct lshm_subscriber *subscriber, const char *topic,
                     struct lshm_error *reterr_error)
{
    struct lshm_context *context = subscriber->context;
    struct lsi_ctl_subscriber_open request = {
        .header = { .type = LSI_CTL_SUBSCRIBER_OPEN },
        .window = subscriber->window,
        .holds = subscriber->holds,
        .flags = (subscriber->flags & LSHM_SUBSCRIBER_NO_LOCAL ? LSHM_READER_NO_LOCAL : 0) |
                 (subscriber->flags & LSHM_SUBSCRIBER_LATEST ? LSHM_READER_LOSSY : 0) |
                 (subscriber->flags & LSHM_SUBSCRIBER_NEVER_WAITS ? 0 : LSHM_READER_MAY_BLOCK),
        .history = subscriber->history,
    };
    struct lsi_ctl_packet reply;
    int r;

    lsi_ctl_set_text(request.topic, sizeof request.topic, topic);
    subscriber->port = lsi_new_port();
    context->opening = subscriber;
    r = lsi_control_request(context, &request.header, sizeof request, &reply, reterr_error);
    context->opening = NULL;
    lsi_ctl_close_fds(&reply, 0);
    if (r < 0)
        return r;
    subscriber->number = reply.subscriber_open_reply.subscriber;
    subscriber->topic = reply.subscriber_open_reply.topic;
    LIST_INSERT_HEAD(&context->subscribers, subscriber, entry);
    return 0;
}

static void subscriber_free(struct lshm_subscriber *subscriber)
{
    struct lsi_link *link;

    for (uint32_t i = 0; i < subscriber->links_count; i++)
        if (subscriber->links[i] != NULL)
            lsi_link_destroy(subscriber->links[i]);
    while ((link = STAILQ_FIRST(&subscriber->incoming)) != NULL) {
        STAILQ_REMOVE_HEAD(&subscriber->incoming, entry);
        lsi_link_destroy(link);
    }
    lsi_forward_free_subscriber(subscriber);
    pthread_mutex_destroy(&subscriber->release_lock);
    free(subscriber->links);
    subscriber->magic = 0;
    free(subscriber);
}

static int check_options(struct lshm_subscriber_options *o, struct lshm_error *reterr_error)
{
    if (o->window == 0)
        o->window = LSI_WINDOW_USUAL;
    if (o->holds == 0)
        o->holds = LSI_HOLDS_USUAL;
    if (o->window > LSHM_WINDOW_MAX) {
        lsi_error_set(reterr_error, LSHM_ELIMIT, "window is %u; it must be from 1 to %u",
                      o->window, LSHM_WINDOW_MAX);
        return -LSHM_ELIMIT;
    }
    if (o->holds > LSHM_HOLDS_MAX) {
        lsi_error_set(reterr_error, LSHM_ELIMIT, "holds is %u; it must be from 1 to %u", o->holds,
                      LSHM_HOLDS_MAX);
        return -LSHM_ELIMIT;
    }
    if (o->flags & ~SUBSCRIBER_FLAGS) {
        lsi_error_set(reterr_error, EINVAL, "flags has bits that this liblshm does not know, 0x%x: "
                      "clear them, or use a newer one", o->flags & ~SUBSCRIBER_FLAGS);
        return -EINVAL;
    }
    if (o->reserved != 0) {
        lsi_error_set(reterr_error, EINVAL, "reserved is %u; it must be 0: zero the options first",
                      (unsigned)o->reserved);
        return -EINVAL;
    }
    if (o->queue_limit != 0 && !(o->flags & LSHM_SUBSCRIBER_LATEST)) {
        lsi_error_set(reterr_error, EINVAL, "queue_limit %u: a lossless subscriber loses nothing; "
                      "set LSHM_SUBSCRIBER_LATEST too", o->queue_limit);
        return -EINVAL;
    }
    return 0;
}

LSI_API int lshm_subscriber_open(struct lshm_context *context, const char *topic,
                                 const struct lshm_subscriber_options *options,
                                 struct lshm_error *reterr_error,
                                 struct lshm_subscriber **ret_subscriber)
{
    struct lshm_subscriber_options given;
    struct lshm_subscriber *subscriber;
    int r = lsi_port_check(context, topic, &given, sizeof given, options, reterr_error);

    if (r < 0 || (r = check_options(&given, reterr_error)) < 0)
        return r;
    subscriber = calloc(1, sizeof *subscriber);
    if (subscriber == NULL) {
        lsi_error_set(reterr_error, ENOMEM, "no memory for a subscriber: see ulimit -v");
        return -ENOMEM;
    }
    subscriber->magic = LSI_SUBSCRIBER_MAGIC;
    subscriber->context = context;
    subscriber->window = given.window;
    subscriber->holds = given.holds;
    subscriber->flags = given.flags;
    subscriber->queue_limit = given.queue_limit;
    subscriber->history = given.history;
    subscriber->spin_ns = lsi_spin_ns(given.spin_ns);
    subscriber->owner = lsi_thread();
    STAILQ_INIT(&subscriber->incoming);
    pthread_mutex_init(&subscriber->release_lock, NULL);
    subscriber->links = calloc(LSI_LINKS_MAX, sizeof(struct lsi_link *));
    r = subscriber->links == NULL ? -ENOMEM : 0;
    if (r == 0) {
        pthread_mutex_lock(&context->control);
        r = open_port(subscriber, topic, reterr_error);
        pthread_mutex_unlock(&context->control);
    } else {
        lsi_error_set(reterr_error, r, "no memory for a subscriber: see ulimit -v");
    }
    if (r < 0) {
        subscriber_free(subscriber);
        return r;
    }
    lsi_subscriber_adopt(subscriber);
    if (subscriber->failed < 0) {
        r = subscriber->failed;
        lsi_error_set(reterr_error, r, "cannot map a publisher's memory: %s; raise the memory "
                      "limit (ulimit -v)", lshm_strerror(r));
        lshm_subscriber_close(subscriber);
        return r;
    }
    *ret_subscriber = subscriber;
    return 0;
}

/* Nothing is used any more through any cell. Samples still out are given up: their memory goes.
 * But views of them stay held: false, there are some. */
static bool close_cells(struct lshm_subscriber *subscriber)
{
    bool has_views = false;

    for (uint32_t i = 0; i < subscriber->links_count; i++) {
        struct lsi_link *link = subscriber->links[i];

        if (link == NULL)
            continue;
        for (uint32_t k = 0; k < link->window.window + link->window.holds; k++)
            if (link->window.samples[k].state == LSI_SAMPLE_HELD) {
                has_views |= link->views != NULL && link->views[k] > 1;
                if (link->views == NULL || link->views[k] < 2)
                    lsi_window_release(&link->window, k);
            }
        lsi_cell_close(link->window.cell);
        lsi_link_notify(link);
    }
    return !has_views;
}

static void reset_cells(struct lshm_subscriber *subscriber)
{
    const struct lsi_link *link;

    for (uint32_t i = 0; i < subscriber->links_count; i++) {
        link = subscriber->links[i];
        if (link != NULL && link->histogram != NULL)
            lsi_histogram_end_use(link->histogram);
        if (link != NULL)
            lsi_cell_reset(link->window.cell, subscriber->holds);
    }
    STAILQ_FOREACH(link, &subscriber->incoming, entry)
        lsi_cell_reset(link->window.cell, subscriber->holds);
}

/* With views the broker is not told: it learns of the end with that of the context, and looks
 * after what they are of. */
void lsi_subscriber_end(struct lshm_subscriber *subscriber)
{
    struct lsi_ctl_port_close request = { .header = { .type = LSI_CTL_SUBSCRIBER_CLOSE } };
    struct lsi_ctl_link reset = { .header = { .type = LSI_CTL_LINK_RESET } };
    struct lshm_context *context = subscriber->context;
    bool has_views = !close_cells(subscriber);
    struct lsi_ctl_packet reply = { .fd_count = 0 };

    pthread_mutex_lock(&context->control);
    request.port = reset.subscriber = subscriber->number;
    if (!has_views &&
        lsi_control_request(context, &request.header, sizeof request, &reply, NULL) == 0) {
        reset_cells(subscriber);
        lsi_control_send(context, &reset.header, sizeof reset);
    }
    lsi_ctl_close_fds(&reply, 0);
    LIST_REMOVE(subscriber, entry);
    pthread_mutex_unlock(&context->control);
    subscriber_free(subscriber);
}

LSI_API void lshm_subscriber_close(struct lshm_subscriber *subscriber)
{
    if (subscriber == NULL || subscriber->magic != LSI_SUBSCRIBER_MAGIC ||
        lsi_context_forked(subscriber->context))
        return;
    if (!lsi_forward_delays_subscriber(subscriber))
        lsi_subscriber_end(subscriber);
}
