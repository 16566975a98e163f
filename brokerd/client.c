/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <lshm/error.h>

#include "lines.h"
#include "log.h"
#include "memory.h"
#include "os/memory.h"
#include "os/socket.h"
#include "outbox.h"
#include "peer.h"
#include "quota.h"

#define BOARD_PART0_BYTES 8192u
#define CONTROL_PART0_BYTES 32768u
#define PART_BYTES_MIN 16384u
#define PART_SHIFT_MAX 6u        /* parts grow up to 1 MiB, unless one run needs more */
/* Kept free ahead of need: for publishers that come while the client does not call the library. So
 * many, and one for each of its subscriptions, which may all be of one topic. */
#define CONTROL_SPARE_CELLS 64u
#define CONTROL_SPARE_LINES_MAX 4096u /* but not more than half a MiB */
#define NS_PER_S UINT64_C(1000000000)

void client_init(struct client *client, struct client_record *record)
{
    memset(client, 0, sizeof(*client));
    client->record = record;
    LIST_INIT(&client->regions);
    LIST_INIT(&client->publishers);
    LIST_INIT(&client->subscribers);
    LIST_INIT(&client->peers);
    LIST_INIT(&client->watched);
    outbox_open(&client->outbox);
}

static uint64_t wall_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int client_accept(struct broker *broker, int socket_fd)
{
    struct lsi_socket_peer peer;
    struct client_record *record;
    uint64_t number;
    int status = lsi_socket_get_peer(socket_fd, &peer);

    if (status < 0)
        return status;
    record = table_take(&broker->tables[TABLE_CLIENTS]);
    if (!record) {
        close(peer.pidfd);
        return -LSHM_ELIMIT;
    }
    record->socket_fd = socket_fd;
    record->process_fd = peer.pidfd;
    record->uid = peer.uid;
    record->pid = (uint64_t)peer.pid;
    record->since_ns = wall_ns();
    client_init(BROKER_PRIVATE(broker, TABLE_CLIENTS, clients, record), record);
    /* If we die before: a socket and a pidfd without a record; the sweep adopts the one and closes
     * the other. */
    record_set_state(&record->record, CLIENT_ACCEPTED);
    number = table_number(&broker->tables[TABLE_CLIENTS], record);
    status = worker_watch(broker, socket_fd, WATCH_SOCKET, number);
    if (status == 0)
        status = worker_watch(broker, peer.pidfd, WATCH_PROCESS, number);
    if (status < 0) {
        table_give(&broker->tables[TABLE_CLIENTS], record);
        close(peer.pidfd);
    }
    return status;
}

int client_has_session(const struct client *client)
{
    return client->record->socket_fd >= 0;
}

struct lshm_board *client_board(const struct client *client)
{
    uint32_t state = record_state(&client->record->record);

    if (state == CLIENT_DEAD || state == CLIENT_FREE || client->board.count == 0)
        return NULL;
    return client->board.items[0].region ? client->board.items[0].region->base : NULL;
}

const char *client_describe(const struct client *client, char *text, size_t text_bytes)
{
    char name[4 * LSHM_NAME_BYTES];

    snprintf(text, text_bytes, "pid %llu (%s)", (unsigned long long)client->record->pid,
             log_name(client->record->name, name, sizeof(name)));
    return text;
}

static uint64_t part_bytes(uint32_t part, uint32_t run)
{
    const uint32_t shift = part > PART_SHIFT_MAX ? PART_SHIFT_MAX : part;
    uint64_t bytes = (uint64_t)PART_BYTES_MIN << shift;

    while (bytes < (uint64_t)(run + 1) * LSHM_LINE_BYTES)
        bytes *= 2;
    return bytes;
}

static uint64_t first_part_bytes(uint64_t bytes)
{
    const uint64_t page = lsi_memory_page_bytes();

    return bytes < page ? page : bytes;
}

static int make_board_part(struct broker *broker, struct client *client, uint64_t bytes,
                           struct region **ret_region)
{
    struct region_wish wish = {.kind = LSHM_REGION_BOARD,
                               .part = client->board.count,
                               .client = client_number(broker, client),
                               .bytes = bytes};
    struct region *region;
    int status = region_create_own(broker, &wish, &region);

    if (status < 0)
        return status;
    status = lines_add_part(&client->board, region,
                            wish.part ? LSHM_BOARD_FIRST_LINE : LSHM_BOARD_FIRST_LINE_PART0);
    if (status < 0) {
        region_release(broker, region);
        return status;
    }
    LIST_INSERT_HEAD(&client->regions, region, of_client);
    *ret_region = region;
    return 0;
}

struct pending {
    uint32_t parts; /* all control parts */
    uint32_t lines; /* of those that are made but not mapped by the client yet */
    uint32_t run;   /* the largest run in one of these */
};

static struct pending count_pending(const struct client *client)
{
    const struct region *region;
    struct pending pending = {0, 0, 0};
    uint32_t lines;

    LIST_FOREACH (region, &client->regions, of_client) {
        if (region->record->kind != LSHM_REGION_CONTROL)
            continue;
        pending.parts++;
        if (record_state(&region->record->record) != REGION_CREATED)
            continue;
        lines = (uint32_t)(region->record->bytes / LSHM_LINE_BYTES) - LSHM_CONTROL_FIRST_LINE;
        pending.lines += lines;
        if (lines > pending.run)
            pending.run = lines;
    }
    return pending;
}

static int make_control_part(struct broker *broker, struct client *client, uint32_t part,
                             uint64_t bytes, struct region **ret_region)
{
    struct region_wish wish = {.kind = LSHM_REGION_CONTROL,
                               .part = part,
                               .client = client_number(broker, client),
                               .bytes = bytes};
    struct region *region;
    int status = quota_check(broker, client, bytes, NULL, 0);

    if (status < 0)
        return status;
    status = region_create_for(broker, &wish, &region);
    if (status < 0)
        return status;
    LIST_INSERT_HEAD(&client->regions, region, of_client);
    client->bytes += bytes;
    *ret_region = region;
    return 0;
}

void client_push_part(struct broker *broker, struct client *client, struct region *region)
{
    struct lsi_ctl_push_part push = {
        .header.type = region->record->kind == LSHM_REGION_BOARD ? LSI_CTL_PUSH_BOARD_PART
                                                                 : LSI_CTL_PUSH_CONTROL_PART,
        .client = region->record->client,
        .region = region_number(broker, region),
        .bytes = region->record->bytes,
        .part = region->record->part,
    };
    struct outgoing outgoing = {.packet = &push,
                                .bytes = sizeof(push),
                                .regions = {region},
                                .region_count = 1,
                                .is_writable = region->record->kind == LSHM_REGION_CONTROL,
                                .fd = -1,
                                .acknowledge = ACKNOWLEDGE_REGION,
                                .number = region_number(broker, region)};

    outbox_put(broker, client, &outgoing);
}

static struct region *find_part(const struct client *client, uint32_t kind, uint32_t part)
{
    struct region *region;

    LIST_FOREACH (region, &client->regions, of_client) {
        if (region->record->kind == kind && region->record->part == part)
            return region;
    }
    return NULL;
}

static void answer_hello(struct broker *broker, struct client *client, struct region *board,
                         struct region *control)
{
    struct region *public = region_find(broker, broker->registry->public_region);
    struct lsi_ctl_hello_reply reply = {
        .header = {.type = LSI_CTL_HELLO | LSI_CTL_REPLY, .id = client->record->hello_id},
        .abi_major = LSHM_ABI_MAJOR,
        .abi_minor = LSHM_ABI_MINOR,
        .client = client_number(broker, client),
        .public_bytes = public->record->bytes,
        .board_bytes = board->record->bytes,
        /* RLX: only a worker writes it, and this is the worker. */
        .worker_generation = lsi_load_relaxed(&broker->public->worker_generation),
        .keeper_pid = broker->registry->keeper_pid,
    };
    struct outgoing outgoing = {.packet = &reply,
                                .bytes = sizeof(reply),
                                .regions = {public, board},
                                .region_count = 2,
                                .fd = -1};

    if (control) {
        reply.control_bytes = control->record->bytes;
        reply.control_region = region_number(broker, control);
        outgoing.regions[2] = control;
        outgoing.region_count = 3;
        outgoing.is_writable = 1;
    }
    outbox_put(broker, client, &outgoing);
}

int client_attach(struct broker *broker, struct client *client, uint64_t hello_id)
{
    struct region *board = find_part(client, LSHM_REGION_BOARD, 0);
    struct region *control = find_part(client, LSHM_REGION_CONTROL, 0);
    int status = 0;

    if (record_state(&client->record->record) == CLIENT_ACCEPTED) {
        client->record->hello_id = hello_id;
        record_set_state(&client->record->record, CLIENT_ATTACHING);
    }
    if (!board)
        status = make_board_part(broker, client, first_part_bytes(BOARD_PART0_BYTES), &board);
    if (status == 0 && !control && !client->record->is_inspector)
        status = make_control_part(broker, client, 0, first_part_bytes(CONTROL_PART0_BYTES),
                                   &control);
    if (status < 0)
        return status;
    board->record->is_acknowledged = 1; /* parts 0 come with the answer, not with a push */
    if (client->record->is_inspector)
        record_set_state(&client->record->record, CLIENT_ALIVE);
    else
        control->record->is_acknowledged = 1;
    answer_hello(broker, client, board, control);
    return 0;
}

int client_attached(struct broker *broker, struct client *client, uint64_t id)
{
    struct lsi_ctl_header reply = {.type = LSI_CTL_MAPPED | LSI_CTL_REPLY, .id = id};

    record_set_state(&client->record->record, CLIENT_ALIVE);
    outbox_reply(broker, client, &reply, sizeof(reply));
    return 0;
}

int client_part_mapped(struct broker *broker, struct client *client, struct region *region)
{
    int status = region_seal(broker, region);

    if (status < 0)
        return status;
    region->record->is_acknowledged = 1;
    return lines_add_part(&client->control, region,
                          region->record->part ? LSHM_CONTROL_FIRST_LINE
                                               : LSHM_CONTROL_FIRST_LINE_PART0);
}

int client_board_take(struct broker *broker, struct client *client, uint32_t run,
                      struct lshm_ref *ret_ref)
{
    struct region *region;
    int status = lines_take(&client->board, run, ret_ref);

    if (status != -EAGAIN)
        return status;
    status = make_board_part(broker, client, part_bytes(client->board.count, run), &region);
    if (status < 0)
        return status;
    client_push_part(broker, client, region);
    return lines_take(&client->board, run, ret_ref);
}

static int grow_control(struct broker *broker, struct client *client, uint32_t part, uint32_t run)
{
    struct region *region;
    int status = make_control_part(broker, client, part, part_bytes(part, run), &region);

    if (status == 0)
        client_push_part(broker, client, region);
    return status;
}

void client_control_reserve(struct broker *broker, struct client *client, uint32_t run)
{
    const struct pending pending = count_pending(client);
    const uint32_t spare = lines_count_free(&client->control) + pending.lines;
    const uint32_t cells = CONTROL_SPARE_CELLS + client->subscriber_count;
    uint32_t wanted = lines_count(&client->control) / 4;

    if (wanted < cells * run)
        wanted = cells * run;
    if (wanted > CONTROL_SPARE_LINES_MAX)
        wanted = CONTROL_SPARE_LINES_MAX;
    if (spare < wanted) /* failing is not a failure yet */
        (void)grow_control(broker, client, pending.parts, wanted - spare);
}

int client_control_take_only(struct broker *broker, struct client *client, uint32_t run,
                             struct lshm_ref *ret_ref)
{
    struct pending pending;
    int status = lines_take(&client->control, run, ret_ref);

    if (status != -EAGAIN)
        return status;
    pending = count_pending(client);
    if (pending.run < run)
        status = grow_control(broker, client, pending.parts, run);
    return status < 0 ? status : -EAGAIN;
}

int client_control_take(struct broker *broker, struct client *client, uint32_t run,
                        struct lshm_ref *ret_ref)
{
    int status = client_control_take_only(broker, client, run, ret_ref);

    if (status == 0)
        client_control_reserve(broker, client, run);
    return status;
}

void client_free(struct broker *broker, struct client *client)
{
    struct client_record *record = client->record;
    struct region *region;
    int socket_fd = record->socket_fd, process_fd = record->process_fd;

    outbox_close(broker, client);
    while ((region = LIST_FIRST(&client->regions))) {
        LIST_REMOVE(region, of_client);
        region_release(broker, region);
    }
    lines_close(&client->board);
    lines_close(&client->control);
    table_give(&broker->tables[TABLE_CLIENTS], record);
    if (socket_fd >= 0)
        close(socket_fd);
    if (process_fd >= 0)
        close(process_fd);
}
