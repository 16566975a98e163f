/* SPDX-License-Identifier: Apache-2.0 */
#include "channel.h"

#include "client.h"
#include "log.h"
#include "os/socket.h"
#include "outbox.h"

/* Whether one of the reader's subscriptions reads a publisher of the writer's. */
static int reads(const struct client *reader, const struct client *writer)
{
    const struct subscriber *subscriber;
    const struct link *link;

    LIST_FOREACH (subscriber, &reader->subscribers, of_client) {
        LIST_FOREACH (link, &subscriber->links, of_subscriber) {
            if (link->publisher->client == writer)
                return 1;
        }
    }
    return 0;
}

static void push(struct broker *broker, struct client *client, uint64_t peer, uint32_t flags,
                 int fd)
{
    struct lsi_ctl_push_channel packet = {
        .header.type = LSI_CTL_PUSH_CHANNEL, .peer = peer, .flags = flags};
    struct outgoing outgoing = {.packet = &packet, .bytes = sizeof(packet), .fd = fd};

    outbox_put(broker, client, &outgoing);
}

void channel_make(struct broker *broker, struct client *client, uint64_t peer)
{
    const uint64_t number = client_number(broker, client);
    struct client *other = client_find(broker, peer);
    int fds[2], status;

    if (!other || !client_has_session(other) || (!reads(client, other) && !reads(other, client)))
        return; /* gone meanwhile */
    if (outbox_has_channel(client, peer, LSI_CTL_CHANNEL_SEND) ||
        outbox_has_channel(other, number, 0))
        return; /* on its way already */
    status = lsi_socket_pair(fds);
    if (status < 0) {
        log_info("no channel between clients: raise the limit of open files (ulimit -n)");
        return;
    }
    /* The waker's end first: it is on its board before the sleeper, woken by its own end, can be
     * asleep again. */
    push(broker, client, peer, LSI_CTL_CHANNEL_SEND, fds[1]);
    push(broker, other, number, 0, fds[0]);
}
