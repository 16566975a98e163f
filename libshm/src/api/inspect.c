/* SPDX-License-Identifier: Apache-2.0 */
/* An inspector's session: hello, one request at a time, the broker's own figures and tables. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/inspector.h"
#include "ctl/geometry.h"

#define RECORDS_MAX (1u << 21) /* more than any table of a broker has */

/* A push: of interest is only a new worker, which may not have our request. */
static int take_push(struct lshm_inspector *inspector, struct lsi_ctl_packet *push,
                     struct lsi_ctl_header *request, size_t bytes, uint64_t deadline_ns)
{
    struct lsi_ctl_received received = {
        .header = { .type = LSI_CTL_RECEIVED },
        .up_to = push->header.id,
    };
    bool restarted = push->header.type == LSI_CTL_PUSH_WORKER;
    int r;

    lsi_ctl_close_fds(push, 0);
    r = lsi_session_send(inspector->socket, &received.header, sizeof received, deadline_ns);
    if (r == 0 && restarted)
        r = lsi_session_send(inspector->socket, request, bytes, deadline_ns);
    return r;
}

/* Reads until the reply to `request` is there: 1, or a negative error of the session. */
static int await_reply(struct lshm_inspector *inspector, struct lsi_ctl_header *request,
                       size_t bytes, struct lsi_ctl_packet *reply, uint64_t deadline_ns)
{
    for (;;) {
        int r = lsi_ctl_receive(inspector->socket, reply);

        if (r == 0) {
            r = lsi_session_poll(inspector->socket, POLLIN, deadline_ns);
            if (r == 0)
                r = -ETIMEDOUT;
        } else if (r > 0 && reply->header.type & LSI_CTL_PUSH) {
            r = take_push(inspector, reply, request, bytes, deadline_ns);
        } else if (r > 0 && (reply->header.id == request->id || lsi_session_is_cut(reply))) {
            return 1;
        } else if (r > 0) {
            lsi_ctl_close_fds(reply, 0); /* a second answer, after a change of worker */
        }
        if (r < 0)
            return r;
    }
}

static int explain(struct lshm_inspector *inspector, int r, struct lshm_error *reterr_error)
{
    if (r == -ETIMEDOUT) {
        lsi_error_set(reterr_error, r, "the broker did not answer within %lld ms: is it stopped or "
                      "overloaded? Try again, or raise timeout_ns",
                      (long long)(inspector->timeout_ns / 1000000));
        return r;
    }
    inspector->broken = r;
    if (r == -EMFILE) {
        lsi_error_set(reterr_error, r, "no descriptors are left for memory that the broker sends: "
                      "close some, or raise the limit (ulimit -n)");
        return r;
    }
    lsi_error_set(reterr_error, r, "lost the broker: %s; start brokerd and open a new inspector",
                  lshm_strerror(r));
    return r;
}

int lsi_inspector_request(struct lshm_inspector *inspector, struct lsi_ctl_header *request,
                          size_t bytes, struct lsi_ctl_packet *reply,
                          struct lshm_error *reterr_error)
{
    uint64_t deadline = lsi_now_ns() + (uint64_t)inspector->timeout_ns;
    int r = inspector->broken;

    reply->fd_count = 0;
    if (r == 0) {
        request->id = inspector->last_request = lsi_counter_next(inspector->last_request);
        r = lsi_session_send(inspector->socket, request, bytes, deadline);
    }
    if (r == 0 || r == -LSHM_EGONE) /* gone: its last word, if any, is in the socket */
        r = await_reply(inspector, request, bytes, reply, deadline);
    if (r < 0) {
        reply->fd_count = 0;
        return explain(inspector, r, reterr_error);
    }
    r = lsi_session_status(reply, reterr_error);
    if (lsi_session_is_cut(reply))
        inspector->broken = r;
    if (r == 0 && reply->header.type != (request->type | LSI_CTL_REPLY)) {
        lsi_ctl_close_fds(reply, 0);
        return explain(inspector, -LSHM_EPROTO, reterr_error);
    }
    return r;
}

static int say_hello(struct lshm_inspector *inspector, const char *name,
                     struct lshm_error *reterr_error)
{
    struct lsi_ctl_hello hello = {
        .header = { .type = LSI_CTL_HELLO },
        .abi_major = LSHM_ABI_MAJOR,
        .abi_minor = LSHM_ABI_MINOR,
        .flags = LSI_CTL_HELLO_INSPECTOR,
    };
    struct lsi_ctl_packet reply;
    int r;

    lsi_ctl_set_text(hello.name, sizeof hello.name, name);
    r = lsi_inspector_request(inspector, &hello.header, sizeof hello, &reply, reterr_error);
    if (r == 0)
        r = lsi_session_check_abi(reply.hello_reply.abi_major, reply.hello_reply.abi_minor,
                                  reterr_error);
    if (r == 0) {
        inspector->abi_major = reply.hello_reply.abi_major;
        inspector->abi_minor = reply.hello_reply.abi_minor;
    }
    lsi_ctl_close_fds(&reply, 0);
    return r;
}

LSI_API int lshm_inspector_open(const struct lshm_context_options *options,
                                struct lshm_error *reterr_error,
                                struct lshm_inspector **ret_inspector)
{
    struct lshm_context_options given;
    struct lshm_inspector *inspector;
    int r = lsi_options_copy(&given, sizeof given, options);

    if (r < 0 || given.flags & ~LSHM_CONTEXT_DUMP || given.reserved != 0) {
        lsi_error_set(reterr_error, EINVAL, "the inspector's options have unknown or unset fields: "
                      "set size to sizeof, and zero the rest");
        return -EINVAL;
    }
    inspector = calloc(1, sizeof *inspector);
    if (inspector == NULL)
        return -ENOMEM;
    inspector->magic = LSI_INSPECTOR_MAGIC;
    inspector->socket = -1;
    inspector->timeout_ns = given.timeout_ns > 0 ? given.timeout_ns : LSI_DEFAULT_TIMEOUT_NS;
    for (uint32_t i = 0; i < LSI_VIEW_BUCKETS; i++)
        LIST_INIT(&inspector->views[i]);
    r = lsi_session_connect(given.socket, inspector->path, reterr_error, &inspector->socket);
    if (r == 0)
        r = say_hello(inspector, given.name != NULL ? given.name : program_invocation_short_name,
                      reterr_error);
    if (r < 0) {
        lshm_inspector_close(inspector);
        return r;
    }
    *ret_inspector = inspector;
    return 0;
}

LSI_API void lshm_inspector_close(struct lshm_inspector *inspector)
{
    struct lsi_ctl_header bye = { .type = LSI_CTL_BYE };

    if (inspector == NULL || inspector->magic != LSI_INSPECTOR_MAGIC)
        return;
    if (inspector->socket >= 0) {
        if (!inspector->broken)
            lsi_ctl_send(inspector->socket, &bye, sizeof bye, NULL, 0);
        close(inspector->socket);
    }
    lsi_inspector_drop_views(inspector);
    inspector->magic = 0;
    free(inspector);
}

LSI_API int lshm_inspector_get_status(struct lshm_inspector *inspector,
                                      struct lshm_broker_status *status)
{
    struct lsi_ctl_header request = { .type = LSI_CTL_STATUS };
    struct lshm_broker_status s = {
        .size = sizeof s,
        .payload_bytes = { 1, LSI_PAYLOAD_BYTES_USUAL, LSI_SLOT_BYTES_MAX },
        .slot_count = { 1, 0, LSHM_SLOTS_MAX },
        .ring_entries = { LSHM_RING_ENTRIES_MIN, LSI_ENTRIES_USUAL, LSHM_RING_ENTRIES_MAX },
        .entry_bytes = { LSHM_ENTRY_BYTES_MIN, LSI_ENTRY_BYTES_USUAL, LSHM_ENTRY_BYTES_MAX },
        .loans = { 1, LSI_LOANS_USUAL, LSI_LOANS_MAX },
        .history = { 0, 0, LSHM_RING_ENTRIES_MAX - LSHM_RING_ENTRIES_MAX / 4 },
        .retain = { 0, 0, LSHM_RING_ENTRIES_MAX - LSHM_RING_ENTRIES_MAX / 4 },
        .window = { 1, LSI_WINDOW_USUAL, LSHM_WINDOW_MAX },
        .holds = { 1, LSI_HOLDS_USUAL, LSHM_HOLDS_MAX },
    };
    struct lsi_ctl_packet reply;
    const struct lsi_ctl_status_reply *from = &reply.status_reply;
    int r;

    if (inspector == NULL || inspector->magic != LSI_INSPECTOR_MAGIC)
        return -LSHM_ECLOSED;
    r = lsi_inspector_request(inspector, &request, sizeof request, &reply, NULL);
    if (r < 0)
        return r;
    s.keeper_pid = from->keeper_pid;
    s.worker_pid = from->worker_pid;
    s.worker_generation = from->worker_generation;
    s.start_ns = from->start_ns;
    s.clients = from->clients;
    s.topics = from->topics;
    s.publishers = from->publishers;
    s.subscribers = from->subscribers;
    s.regions = from->regions;
    s.region_bytes = from->region_bytes;
    s.clients_max = from->clients_max;
    s.topics_max = from->topics_max;
    s.client_bytes_max = from->client_bytes_max;
    s.topic_bytes_max = from->topic_bytes_max;
    s.retained = from->retained;
    s.retained_bytes = from->retained_bytes;
    s.retain_bytes_max = from->retain_bytes_max;
    s.publishers_max = from->publishers_max;
    s.subscribers_max = from->subscribers_max;
    s.abi_major = inspector->abi_major;
    s.abi_minor = inspector->abi_minor;
    memcpy(s.version, from->version, sizeof s.version);
    memcpy(s.socket, inspector->path, sizeof s.socket);
    return lsi_statistics_copy(status, &s, sizeof s);
}

/* One page onto the end of *records: 0 or a negative error; *from becomes the next page. */
static int collect_page(struct lshm_inspector *inspector, uint32_t what, uint64_t *from,
                        unsigned char **records, uint32_t *count)
{
    struct lsi_ctl_list request = { .header = { .type = LSI_CTL_LIST }, .what = what };
    struct lsi_ctl_packet reply;
    const struct lsi_ctl_list_reply *page = &reply.list_reply;
    unsigned char *grown;
    int r;

    request.from = *from;
    r = lsi_inspector_request(inspector, &request.header, sizeof request, &reply, NULL);
    if (r < 0)
        return r;
    if (page->what != what || page->count > RECORDS_MAX - *count ||
        (page->next != 0 && page->next <= *from))
        return -LSHM_EPROTO;
    grown = reallocarray(*records, *count + page->count + UINT64_C(1), page->record_bytes);
    if (grown == NULL)
        return -ENOMEM;
    *records = grown;
    memcpy(grown + (uint64_t)*count * page->record_bytes, reply.bytes + sizeof *page,
           (uint64_t)page->count * page->record_bytes);
    *count += page->count;
    *from = page->next;
    return 0;
}

int lsi_inspector_collect(struct lshm_inspector *inspector, uint32_t what, void **ret_records)
{
    unsigned char *records = NULL;
    uint32_t count = 0;
    uint64_t from = 0;
    int r;

    do
        r = collect_page(inspector, what, &from, &records, &count);
    while (r == 0 && from != 0);
    if (r < 0) {
        free(records);
        return r;
    }
    *ret_records = records;
    return (int)count;
}

int lsi_inspector_begin(struct lshm_inspector *inspector)
{
    if (inspector == NULL || inspector->magic != LSI_INSPECTOR_MAGIC)
        return -LSHM_ECLOSED;
    inspector->pass++;
    return 0;
}

int lsi_inspector_end(struct lshm_inspector *inspector, int result)
{
    lsi_inspector_trim(inspector);
    return inspector->broken ? inspector->broken : result;
}
