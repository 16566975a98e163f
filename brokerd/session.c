/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <lshm/error.h>

#include "channel.h"
#include "client.h"
#include "ctl/error.h"
#include "evict.h"
#include "forward.h"
#include "inspect.h"
#include "latency.h"
#include "link.h"
#include "log.h"
#include "memory.h"
#include "os/socket.h"
#include "outbox.h"
#include "publisher.h"
#include "reaper.h"
#include "retain.h"
#include "segment.h"
#include "subscriber.h"

#define PACKETS_PER_TURN 16 /* then the next client's turn */
#define PACKETS_DRAINED 64

static void send_refusal(struct broker *broker, struct client *client, uint32_t type, uint64_t id,
                         int status, const char *format, va_list arguments)
{
    struct lsi_ctl_refusal refusal = {.header = {.type = type, .id = id, .status = status}};

    vsnprintf(refusal.text, sizeof(refusal.text), format, arguments);
    outbox_reply(broker, client, &refusal, sizeof(refusal));
}

void session_refuse(struct broker *broker, struct client *client,
                    const struct lsi_ctl_header *request, int status, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    send_refusal(broker, client, request->type | LSI_CTL_REPLY, request->id, status, format,
                 arguments);
    va_end(arguments);
}

/* One try: who does not read does not get to know. */
void session_cut(struct broker *broker, struct client *client, int status, const char *format, ...)
{
    struct lsi_ctl_refusal refusal = {
        .header = {.type = LSI_CTL_HELLO | LSI_CTL_REPLY, .status = status}};
    char who[LSI_CTL_TEXT_BYTES];
    va_list arguments;

    if (!client_has_session(client))
        return;
    va_start(arguments, format);
    vsnprintf(refusal.text, sizeof(refusal.text), format, arguments);
    va_end(arguments);
    log_info("cut off %s: %s", client_describe(client, who, sizeof(who)), refusal.text);
    (void)lsi_ctl_send(client->record->socket_fd, &refusal, sizeof(refusal), NULL, 0);
    session_hang_up(broker, client);
}

/* Packets left unread would reset the connection at its close: the client could not read why. */
static void drain(int fd)
{
    int i;

    for (i = 0; i < PACKETS_DRAINED; i++)
        lsi_socket_drop(fd);
}

void session_hang_up(struct broker *broker, struct client *client)
{
    struct client_record *record = client->record;
    int fd = record->socket_fd;

    if (fd < 0)
        return;
    drain(fd);
    latency_unwatch(broker, client);
    /* If we die before the close: a socket that nobody names, which the sweep finds. */
    record->socket_fd = -1;
    if (record_state(&record->record) != CLIENT_DEAD)
        record_set_state(&record->record, CLIENT_HUNG_UP);
    outbox_close(broker, client);
    close(fd); /* and so out of the epoll set: nobody else has it open */
}

/* No record for it: told without a session. */
static void turn_away(int fd, int status)
{
    struct lsi_ctl_refusal refusal = {
        .header = {.type = LSI_CTL_HELLO | LSI_CTL_REPLY, .status = status}};

    if (status == -LSHM_ELIMIT)
        snprintf(refusal.text, sizeof(refusal.text),
                 "%u connections wait to be attached or refused; try again",
                 REGISTRY_CALLERS_MAX);
    else
        snprintf(refusal.text, sizeof(refusal.text),
                 "the broker can't watch this process (%s); run client and broker in one pid "
                 "namespace, on Linux 5.3 or later",
                 lsi_error_text(-status));
    (void)lsi_ctl_send(fd, &refusal, sizeof(refusal), NULL, 0);
    close(fd);
}

void session_accept(struct broker *broker)
{
    int fd, status;

    while ((status = lsi_socket_accept(broker->registry->listen_fd, &fd)) == 0) {
        status = client_accept(broker, fd);
        if (status < 0)
            turn_away(fd, status);
    }
    if (status == -EMFILE || status == -ENFILE)
        worker_pause_accept(broker);
}

static int is_allowed(const struct client *client)
{
    return client->record->uid == 0 || client->record->uid == (uint32_t)geteuid();
}

static uint64_t count_attached(const struct broker *broker)
{
    uint64_t count = 0;
    uint32_t i;

    for (i = 0; i < *broker->tables[TABLE_CLIENTS].used; i++)
        count += record_state(table_at(&broker->tables[TABLE_CLIENTS], i)) > CLIENT_ACCEPTED;
    return count;
}

static void hello(struct broker *broker, struct client *client,
                  const struct lsi_ctl_packet *packet)
{
    const struct lsi_ctl_hello *request = &packet->hello;
    int status;

    if (!lsi_ctl_is_same_abi(request->abi_major, request->abi_minor)) {
        session_cut(broker, client, -LSHM_EVERSION,
                    "ABI %u.%u is not the broker's %u.%u (brokerd " LSHM_VERSION
                    "); use the liblshm of the broker's version",
                    request->abi_major, request->abi_minor, LSHM_ABI_MAJOR, LSHM_ABI_MINOR);
        return;
    }
    if (!is_allowed(client)) {
        session_cut(broker, client, -LSHM_EDENIED,
                    "you are uid %u, this is the broker of uid %u; run as that user or start a "
                    "broker of your own",
                    client->record->uid, (unsigned)geteuid());
        return;
    }
    if (record_state(&client->record->record) == CLIENT_ACCEPTED) {
        if (count_attached(broker) >= broker->registry->clients_max) {
            session_cut(broker, client, -LSHM_ELIMIT,
                        "%llu clients are attached, and no more are allowed; end one, or start "
                        "brokerd with a larger --clients-max (at most %u)",
                        (unsigned long long)broker->registry->clients_max, REGISTRY_CLIENTS_MAX);
            return;
        }
        memcpy(client->record->name, request->name, sizeof(request->name));
        client->record->is_inspector = (request->flags & LSI_CTL_HELLO_INSPECTOR) != 0;
        client->record->has_barrier = (request->flags & LSI_CTL_HELLO_BARRIER) != 0;
    } else if (client->record->hello_id != request->header.id) {
        session_cut(broker, client, -LSHM_EPROTO, "a second HELLO");
        return;
    }
    status = client_attach(broker, client, request->header.id);
    if (status < 0)
        session_cut(broker, client, status,
                    "no memory for its board and control region: %s; free memory, or raise the "
                    "quota with --client-bytes",
                    lsi_error_text(status));
}

/* New lines: for links that wait for a cell, and for the opens that wait for those. */
static void place_waiting(struct broker *broker, struct subscriber *subscriber)
{
    struct link *link;

    LIST_FOREACH (link, &subscriber->links, of_subscriber) {
        if (record_state(&link->record->record) == LINK_WANTED &&
            link_advance(broker, link) > 0 && link->publisher->deadline_ns != 0 &&
            link->publisher->pending_count == 0)
            publisher_advance(broker, link->publisher);
    }
    latency_show_subscriber(broker, subscriber);
    if (record_state(&subscriber->record->record) == SUBSCRIBER_OPENING)
        subscriber_advance(broker, subscriber);
}

/* One region that the client says it has mapped. 0 or −errno. */
static int mapped_region(struct broker *broker, struct client *client, uint64_t number,
                         uint32_t pages)
{
    struct region *region = region_find(broker, number);
    struct publisher *publisher;
    struct subscriber *subscriber, *next;
    int status;

    if (!region || region->record->client != client_number(broker, client))
        return 0; /* gone meanwhile: closed, or failed */
    publisher = publisher_find(broker, region->record->port);
    if (region->record->kind == LSHM_REGION_SEGMENT && publisher)
        publisher_note_pages(publisher, region, pages);
    if (region->record->kind != LSHM_REGION_CONTROL)
        return publisher ? publisher_mapped(broker, publisher, region) : 0;
    status = client_part_mapped(broker, client, region);
    if (status < 0)
        return status;
    for (subscriber = LIST_FIRST(&client->subscribers); subscriber; subscriber = next) {
        next = LIST_NEXT(subscriber, of_client);
        place_waiting(broker, subscriber);
    }
    return 0;
}

static void mapped(struct broker *broker, struct client *client,
                   const struct lsi_ctl_packet *packet)
{
    uint32_t i;
    int status = 0;

    if (packet->header.status < 0) {
        session_cut(broker, client, packet->header.status,
                    "it could not map its memory (%s); raise its memory limits",
                    lsi_error_text(packet->header.status));
        return;
    }
    for (i = 0; status == 0 && i < packet->mapped.count; i++)
        status = mapped_region(broker, client, packet->mapped.regions[i], packet->mapped.pages);
    if (status < 0) {
        session_cut(broker, client, -LSHM_EPROTO,
                    "MAPPED for memory that it did not allocate (%s)", lsi_error_text(-status));
        return;
    }
    if (packet->header.id == client->record->hello_id && client->control.count > 0)
        client_attached(broker, client, packet->header.id);
}

/* What only a client with a control region may ask. */
static void handle_port(struct broker *broker, struct client *client,
                        const struct lsi_ctl_packet *packet)
{
    switch (packet->header.type) {
    case LSI_CTL_PUBLISHER_OPEN:
        publisher_open(broker, client, &packet->publisher_open);
        break;
    case LSI_CTL_PUBLISHER_CLOSE:
        publisher_close(broker, client, &packet->port_close);
        break;
    case LSI_CTL_SEGMENT_ADD:
        segment_add(broker, client, &packet->segment_add);
        break;
    case LSI_CTL_SEGMENT_REMOVE:
        segment_remove(broker, client, &packet->segment_end);
        break;
    case LSI_CTL_SEGMENT_IMPORT:
        forward_import(broker, client, &packet->segment_import);
        break;
    case LSI_CTL_SEGMENT_LEFT:
        segment_left(broker, client, &packet->segment_end);
        break;
    case LSI_CTL_SUBSCRIBER_OPEN:
        subscriber_open(broker, client, &packet->subscriber_open);
        break;
    case LSI_CTL_SUBSCRIBER_CLOSE:
        subscriber_close(broker, client, &packet->port_close);
        break;
    case LSI_CTL_LINK_LEAVE:
        subscriber_leave(broker, client, &packet->link);
        break;
    case LSI_CTL_LINK_RESET:
        subscriber_reset(broker, client, &packet->link);
        break;
    case LSI_CTL_EVICT:
        evict(broker, client, &packet->evict);
        break;
    case LSI_CTL_REJOIN:
        evict_rejoin(broker, client, &packet->link);
        break;
    case LSI_CTL_TOPIC_CLEAR:
        retain_clear(broker, client, &packet->topic_clear);
        break;
    case LSI_CTL_CHANNEL:
        channel_make(broker, client, packet->channel.peer);
        break;
    default:
        session_cut(broker, client, -LSHM_EPROTO, "%s out of place",
                    lsi_ctl_type_name(packet->header.type));
        break;
    }
}

static void handle_any(struct broker *broker, struct client *client,
                       const struct lsi_ctl_packet *packet)
{
    switch (packet->header.type) {
    case LSI_CTL_RECEIVED:
        outbox_acknowledge(broker, client, packet->received.up_to);
        break;
    case LSI_CTL_STATUS:
        inspect_status(broker, client, &packet->header);
        break;
    case LSI_CTL_LIST:
        inspect_list(broker, client, &packet->list);
        break;
    case LSI_CTL_WATCH:
        latency_watch(broker, client, &packet->watch);
        break;
    case LSI_CTL_REGION:
        inspect_region(broker, client, &packet->region);
        break;
    default:
        if (client->record->is_inspector)
            session_cut(broker, client, -LSHM_EPROTO, "an inspector can't send %s",
                        lsi_ctl_type_name(packet->header.type));
        else
            handle_port(broker, client, packet);
        break;
    }
}

static void handle(struct broker *broker, struct client *client,
                   const struct lsi_ctl_packet *packet)
{
    const uint32_t state = record_state(&client->record->record);

    if (packet->header.type == LSI_CTL_HELLO)
        hello(broker, client, packet);
    else if (packet->header.type == LSI_CTL_MAPPED && state != CLIENT_ACCEPTED)
        mapped(broker, client, packet);
    else if (state != CLIENT_ALIVE)
        session_cut(broker, client, -LSHM_EPROTO, "%s before it was attached",
                    lsi_ctl_type_name(packet->header.type));
    else
        handle_any(broker, client, packet);
}

static void read_packets(struct broker *broker, struct client *client)
{
    static struct lsi_ctl_packet packet;
    int turn, status;

    for (turn = 0; turn < PACKETS_PER_TURN && client_has_session(client); turn++) {
        status = lsi_ctl_peek(client->record->socket_fd, &packet);
        if (status == 0)
            return;
        if (status == -LSHM_EPROTO) {
            session_cut(broker, client, status,
                        "a malformed packet (%s); use liblshm " LSHM_VERSION,
                        lsi_ctl_type_name(packet.header.type));
        } else if (status < 0) {
            session_hang_up(broker, client);
        } else if (packet.header.type == LSI_CTL_BYE) {
            reaper_bury(broker, client);
            return;
        } else {
            handle(broker, client, &packet);
            if (client_has_session(client))
                lsi_socket_drop(client->record->socket_fd);
        }
    }
}

void session_read(struct broker *broker, struct client *client)
{
    const uint64_t number = client_number(broker, client);

    read_packets(broker, client);
    if (client_find(broker, number) != client || client_has_session(client))
        return;
    /* Without ports there is nothing that its memory could still be used for; else its pidfd says
     * when it is gone. */
    if (client->record->is_inspector ||
        (LIST_EMPTY(&client->publishers) && LIST_EMPTY(&client->subscribers)))
        reaper_bury(broker, client);
}
