/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket from the client's side: one request at a time, pushes whenever they come.
 *
 * A request is repeated with its id when a new worker says that it took over: the old one may have
 * died with the answer. Everything here runs with context->control held.
 *
 * A packet whose descriptors this process has no room for is not lost: a push stays in the socket
 * until there is room, which holds up what is behind it; a reply is given up, and its port closed.
 */
#include <poll.h>
#include <string.h>

#include "api/internal.h"
#include "api/session.h"
#include "os/socket.h"

/* A push that waits for descriptors is tried again after this long. */
#define STARVED_NS UINT64_C(100000000)

static int broken(struct lshm_context *context, int error)
{
    context->broken = error;
    return error;
}

static void explain_broken(struct lshm_error *reterr_error, int error)
{
    lsi_error_set(reterr_error, error, "lost the broker: %s; start brokerd and open a new context",
                  lshm_strerror(error));
}

static int explain_starved(struct lshm_error *reterr_error)
{
    lsi_error_set(reterr_error, EMFILE, "no descriptors are left for memory that the broker sends: "
                  "close some, or raise the limit (ulimit -n), and call again");
    return -EMFILE;
}

static int send_until(struct lshm_context *context, struct lsi_ctl_header *message, size_t bytes,
                      uint64_t deadline_ns)
{
    int r = lsi_session_send(context->socket, message, bytes, deadline_ns);

    return r == -LSHM_EGONE ? broken(context, r) : r;
}

int lsi_control_send(struct lshm_context *context, struct lsi_ctl_header *message, size_t bytes)
{
    if (context->broken)
        return context->broken;
    return send_until(context, message, bytes, lsi_now_ns() + (uint64_t)context->timeout_ns);
}

static void acknowledge(struct lshm_context *context)
{
    struct lsi_ctl_received message = {
        .header = { .type = LSI_CTL_RECEIVED },
        .up_to = context->received,
    };

    lsi_control_send(context, &message.header, sizeof message);
}

/* DIE none: private memory. */
static void handle_push(struct lshm_context *context, struct lsi_ctl_packet *packet)
{
    /* RLX: only ever compared for being different; written with the lock held. */
    lsi_store_relaxed(&context->pushes_seen, packet->header.id);
    lsi_push_handle(context, packet);
    lsi_ctl_close_fds(packet, 0);
    context->received = packet->header.id;
}

/* A port that was opened after we had given up waiting is closed again. */
static void close_stray(struct lshm_context *context, uint32_t type, uint64_t port)
{
    struct lsi_ctl_port_close close = {
        .header = { .type = type, .id = lsi_control_next_id(context) },
        .port = port,
    };
    struct lsi_ctl_link reset = {
        .header = { .type = LSI_CTL_LINK_RESET },
        .subscriber = port,
    };

    lsi_control_send(context, &close.header, sizeof close);
    if (type == LSI_CTL_SUBSCRIBER_CLOSE) /* its rings were never joined: the cells are unset */
        lsi_control_send(context, &reset.header, sizeof reset);
}

static void close_abandoned(struct lshm_context *context, const struct lsi_ctl_packet *packet)
{
    switch (packet->header.type) {
    case LSI_CTL_PUBLISHER_MEMORY:
        close_stray(context, LSI_CTL_PUBLISHER_CLOSE, packet->publisher_memory.publisher);
        break;
    case LSI_CTL_PUBLISHER_OPEN | LSI_CTL_REPLY:
        close_stray(context, LSI_CTL_PUBLISHER_CLOSE, packet->publisher_open_reply.publisher);
        break;
    case LSI_CTL_SEGMENT_MEMORY:
    case LSI_CTL_SEGMENT_ADD | LSI_CTL_REPLY:
        lsi_segment_remove(context, packet->segment_reply.publisher,
                           packet->segment_reply.layout.region);
        break;
    case LSI_CTL_SUBSCRIBER_OPEN | LSI_CTL_REPLY:
        close_stray(context, LSI_CTL_SUBSCRIBER_CLOSE, packet->subscriber_open_reply.subscriber);
        break;
    }
}

static bool is_open(const struct lsi_ctl_header *request)
{
    return request->type == LSI_CTL_PUBLISHER_OPEN || request->type == LSI_CTL_SUBSCRIBER_OPEN ||
           request->type == LSI_CTL_SEGMENT_ADD;
}

static void abandon(struct lshm_context *context, const struct lsi_ctl_header *request)
{
    if (is_open(request))
        context->abandoned[context->abandoned_count++ % LSI_ABANDONED] = request->id;
}

static bool is_abandoned(const struct lshm_context *context, uint64_t request)
{
    for (uint32_t i = 0; i < LSI_ABANDONED; i++)
        if (context->abandoned[i] == request)
            return request != 0;
    return false;
}

/* A reply that nobody waits for: to LINK_LEAVE, to a request that timed out, or a worker's
 * repetition of what its predecessor had said already. */
static void handle_stray(struct lshm_context *context, struct lsi_ctl_packet *packet)
{
    if (packet->header.type == (LSI_CTL_LINK_LEAVE | LSI_CTL_REPLY))
        lsi_link_left(context, packet->header.id);
    else if (is_abandoned(context, packet->header.id) && packet->header.status == 0)
        close_abandoned(context, packet);
    lsi_ctl_close_fds(packet, 0);
}

bool lsi_control_is_starved(const struct lshm_context *context)
{
    /* RLX: to try too early or too late is only a try or a wait more. */
    uint64_t until = lsi_load_relaxed(&context->starved_until_ns);

    return LSI_UNLIKELY(until != 0) && lsi_now_ns() < until;
}

/* The socket is readable until there are descriptors again: sleepers must not be woken by it.
 * DIE none: private memory. */
static void starve(struct lshm_context *context, uint64_t push)
{
    struct lshm_subscriber *subscriber;

    /* RLX: as where it is read. */
    lsi_store_relaxed(&context->starved_until_ns, lsi_now_ns() + STARVED_NS);
    lsi_wait_watch_control(context, false);
    if (push == context->starved_push)
        return;
    context->starved_push = push;
    LIST_FOREACH(subscriber, &context->subscribers, entry) {
        /* RLX: the port's thread tells the application; the news bring it to look. */
        lsi_store_relaxed(&subscriber->failed, -EMFILE);
        lsi_store_relaxed(&subscriber->news, 1);
    }
    lsi_wait_kick(context);
}

/* DIE none: private memory. */
static void relieve(struct lshm_context *context)
{
    if (context->starved_until_ns == 0)
        return;
    /* RLX: as where it is read. */
    lsi_store_relaxed(&context->starved_until_ns, 0);
    lsi_wait_watch_control(context, true);
}

/* As lsi_ctl_receive, but for want of descriptors a reply comes without them. */
static int receive(struct lshm_context *context, struct lsi_ctl_packet *packet)
{
    int r = lsi_ctl_receive(context->socket, packet);

    if (r == -EMFILE && packet->header.type & LSI_CTL_PUSH) {
        starve(context, packet->header.id);
        return r;
    }
    if (r == -EMFILE) {
        lsi_socket_drop(context->socket);
        packet->fd_count = packet->header.fds;
        r = lsi_ctl_check_answer(packet, packet->header.bytes);
        packet->fd_count = 0;
        return r < 0 ? r : 1;
    }
    relieve(context);
    return r;
}

/* Whoever reads nothing would not see the session's end. Then what waits is lost, but so it is
 * with any push that was on its way when the broker died. */
static bool is_hung_up(const struct lshm_context *context)
{
    struct pollfd poll_fd = { .fd = context->socket };

    return poll(&poll_fd, 1, 0) > 0 && poll_fd.revents & POLLHUP;
}

void lsi_control_drain(struct lshm_context *context)
{
    struct lsi_ctl_packet packet;
    uint64_t before = context->received;
    int r = 0;

    if (context->broken)
        return;
    while (!lsi_control_is_starved(context) && (r = receive(context, &packet)) > 0) {
        if (packet.header.type & LSI_CTL_PUSH)
            handle_push(context, &packet);
        else
            handle_stray(context, &packet);
    }
    if (r < 0 && r != -EMFILE)
        broken(context, r);
    else if (context->starved_until_ns != 0 && is_hung_up(context))
        broken(context, -LSHM_EGONE);
    if (context->received != before)
        acknowledge(context);
}

void lsi_control_poll(struct lshm_context *context)
{
    pthread_mutex_lock(&context->control);
    lsi_control_drain(context);
    pthread_mutex_unlock(&context->control);
}

static int explain_failure(struct lshm_context *context, const struct lsi_ctl_header *request,
                           int r, struct lshm_error *reterr_error)
{
    if (r != -ETIMEDOUT && r != -EMFILE) {
        explain_broken(reterr_error, broken(context, r));
        return r;
    }
    abandon(context, request);
    if (r == -EMFILE)
        return explain_starved(reterr_error);
    lsi_error_set(reterr_error, r, "the broker did not answer within %lld ms: is it stopped or "
                  "overloaded? Try again, or raise timeout_ns",
                  (long long)(context->timeout_ns / 1000000));
    return r;
}

static int take_reply(struct lshm_context *context, const struct lsi_ctl_packet *reply,
                      struct lshm_error *reterr_error)
{
    int r = lsi_session_status(reply, reterr_error);

    if (reply->header.fds != reply->fd_count) {
        close_abandoned(context, reply);
        return explain_starved(reterr_error);
    }
    if (r == 0 && reply->header.type == (LSI_CTL_SUBSCRIBER_OPEN | LSI_CTL_REPLY) &&
        context->opening != NULL)
        lsi_links_keep(context->opening, reply->subscriber_open_reply.subscriber);
    return r;
}

int lsi_control_await(struct lshm_context *context, struct lsi_ctl_header *request, size_t bytes,
                      struct lsi_ctl_packet *reply, struct lshm_error *reterr_error)
{
    uint64_t deadline = lsi_now_ns() + (uint64_t)context->timeout_ns;
    int r;

    for (;;) {
        r = receive(context, reply);
        if (r < 0)
            break;
        if (r == 0) {
            r = lsi_session_poll(context->socket, POLLIN, deadline);
            if (r < 0)
                break;
            if (r == 0) {
                r = -ETIMEDOUT;
                break;
            }
            continue;
        }
        if (reply->header.type & LSI_CTL_PUSH) {
            bool restarted = reply->header.type == LSI_CTL_PUSH_WORKER;

            handle_push(context, reply);
            acknowledge(context);
            if (restarted && (r = send_until(context, request, bytes, deadline)) < 0)
                break;
        } else if (reply->header.id == request->id) {
            return take_reply(context, reply, reterr_error);
        } else if (lsi_session_is_cut(reply)) {
            return broken(context, lsi_session_status(reply, reterr_error));
        } else {
            handle_stray(context, reply);
        }
    }
    reply->fd_count = 0;
    return explain_failure(context, request, r, reterr_error);
}

/* One more try to take in what waits for descriptors; without it no answer can be read.
 * DIE none: private memory. */
static bool is_blocked(struct lshm_context *context)
{
    if (context->starved_until_ns == 0)
        return false;
    /* RLX: as where it is read. */
    lsi_store_relaxed(&context->starved_until_ns, 1);
    lsi_control_drain(context);
    return !context->broken && context->starved_until_ns != 0;
}

int lsi_control_request(struct lshm_context *context, struct lsi_ctl_header *request, size_t bytes,
                        struct lsi_ctl_packet *reply, struct lshm_error *reterr_error)
{
    int r;

    reply->fd_count = 0;
    if (is_blocked(context) && is_open(request))
        return explain_starved(reterr_error);
    if (context->broken) {
        explain_broken(reterr_error, context->broken);
        return context->broken;
    }
    request->id = lsi_control_next_id(context);
    r = send_until(context, request, bytes, lsi_now_ns() + (uint64_t)context->timeout_ns);
    if (r < 0 && r != -LSHM_EGONE) { /* gone: its last word, if any, is in the socket */
        lsi_error_set(reterr_error, r, "cannot reach the broker: %s", lshm_strerror(r));
        return r;
    }
    return lsi_control_await(context, request, bytes, reply, reterr_error);
}
