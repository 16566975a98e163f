/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include <stdlib.h>

#include "outbox.h"

struct peer {
    RB_ENTRY(peer) by_pair;
    LIST_ENTRY(peer) of_client;
    LIST_ENTRY(peer) of_owner;
    struct client *client; /* who has it */
    struct client *owner;
    struct region *region;
    int is_acknowledged;
};

static int compare(const struct peer *a, const struct peer *b)
{
    if (a->client != b->client)
        return a->client < b->client ? -1 : 1;
    if (a->region != b->region)
        return a->region < b->region ? -1 : 1;
    return 0;
}

RB_HEAD(peer_tree, peer);
static struct peer_tree peers = RB_INITIALIZER(&peers);
RB_PROTOTYPE(peer_tree, peer, by_pair, compare)
RB_GENERATE(peer_tree, peer, by_pair, compare)

static struct region *region_of(const struct link *link)
{
    const struct parts *control = &link->subscriber->client->control;

    return control->items[link->record->cell.part].region;
}

/* The pair, made if need be; NULL without memory. */
static struct peer *get(struct link *link, int *ret_is_made)
{
    struct peer wanted = {.client = link->publisher->client, .region = region_of(link)};
    struct peer *peer = RB_FIND(peer_tree, &peers, &wanted);

    *ret_is_made = 0;
    if (peer)
        return peer;
    peer = calloc(1, sizeof(*peer));
    if (!peer)
        return NULL;
    peer->client = wanted.client;
    peer->region = wanted.region;
    peer->owner = link->subscriber->client;
    RB_INSERT(peer_tree, &peers, peer);
    LIST_INSERT_HEAD(&peer->client->peers, peer, of_client);
    LIST_INSERT_HEAD(&peer->owner->watched, peer, of_owner);
    *ret_is_made = 1;
    return peer;
}

void peer_tell(struct broker *broker, struct link *link)
{
    int is_made;
    struct peer *peer = get(link, &is_made);
    struct region *region = region_of(link);
    struct lsi_ctl_push_part push = {.header.type = LSI_CTL_PUSH_PEER,
                                     .client = region->record->client,
                                     .region = region_number(broker, region),
                                     .bytes = region->record->bytes,
                                     .part = region->record->part};
    struct outgoing outgoing = {.packet = &push,
                                .bytes = sizeof(push),
                                .regions = {region},
                                .region_count = 1,
                                .fd = -1,
                                .acknowledge = ACKNOWLEDGE_PEER,
                                .number = push.region};

    if (peer && !is_made) {
        link->record->is_peer_acknowledged = peer->is_acknowledged != 0;
        return;
    }
    outbox_put(broker, link->publisher->client, &outgoing);
}

/* Links made between push and acknowledgement are found through the publishers of the client. */
void peer_acknowledge(struct broker *broker, struct client *client, uint64_t number)
{
    struct region *region = region_find(broker, number);
    struct peer wanted = {.client = client, .region = region};
    struct peer *peer = region ? RB_FIND(peer_tree, &peers, &wanted) : NULL;
    struct publisher *publisher;
    struct link *link;

    if (!peer)
        return;
    peer->is_acknowledged = 1;
    LIST_FOREACH (publisher, &client->publishers, of_client) {
        LIST_FOREACH (link, &publisher->links, of_publisher) {
            if (record_state(&link->record->record) == LINK_LIVE && region_of(link) == region)
                link->record->is_peer_acknowledged = 1;
        }
    }
}

void peer_remember(struct broker *broker, struct link *link)
{
    int is_made;
    struct peer *peer = get(link, &is_made);

    (void)broker;
    if (peer)
        peer->is_acknowledged = 1;
}

static void forget(struct peer *peer)
{
    RB_REMOVE(peer_tree, &peers, peer);
    LIST_REMOVE(peer, of_client);
    LIST_REMOVE(peer, of_owner);
    free(peer);
}

static void tell_gone(struct broker *broker, struct client *client, uint64_t gone)
{
    struct lsi_ctl_push_client push = {.header.type = LSI_CTL_PUSH_PEER_GONE, .value = gone};

    outbox_reply(broker, client, &push, sizeof(push));
}

/* A client may have several parts of the one that is gone; one word about it is enough. */
static int is_told(const struct client *gone, const struct peer *peer)
{
    const struct peer *earlier;

    LIST_FOREACH (earlier, &gone->watched, of_owner) {
        if (earlier == peer)
            return 0;
        if (earlier->client == peer->client)
            return 1;
    }
    return 0;
}

void peer_forget(struct broker *broker, struct client *client)
{
    const uint64_t number = client_number(broker, client);
    struct peer *peer;

    while ((peer = LIST_FIRST(&client->peers)))
        forget(peer);
    LIST_FOREACH (peer, &client->watched, of_owner) {
        if (!is_told(client, peer))
            tell_gone(broker, peer->client, number);
    }
    while ((peer = LIST_FIRST(&client->watched)))
        forget(peer);
}
