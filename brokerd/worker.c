/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker: one thread, one epoll set, no timer unless something waits. It never blocks on a
 * client: every socket is non-blocking and every send has a queue (outbox.c). When the keeper dies
 * it removes the broker's files and ends, and with it go all memory and all sessions.
 */
#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <bsd/unistd.h>

#include "client.h"
#include "ctl/error.h"
#include "keeper.h"
#include "log.h"
#include "memory.h"
#include "os/memory.h"
#include "os/process.h"
#include "outbox.h"
#include "publisher.h"
#include "reaper.h"
#include "rebuild.h"
#include "session.h"
#include "sweep.h"

#define EVENTS_PER_TURN 64
#define RETRY_MS 20
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define PUBLIC_BYTES 4096u

uint64_t worker_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int worker_watch(struct broker *broker, int fd, enum watch_kind kind, uint64_t number)
{
    struct epoll_event event = {.events = EPOLLIN,
                                .data.u64 = (uint64_t)kind << WATCH_KIND_SHIFT | number};

    return epoll_ctl(broker->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int worker_watch_writes(struct broker *broker, struct client *client, int is_on)
{
    struct epoll_event event = {.events = is_on ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.u64 = (uint64_t)WATCH_SOCKET << WATCH_KIND_SHIFT |
                                            client_number(broker, client)};

    if (client->outbox.is_write_watched == is_on)
        return 0;
    client->outbox.is_write_watched = is_on;
    return epoll_ctl(broker->epoll_fd, EPOLL_CTL_MOD, client->record->socket_fd, &event) < 0
               ? -errno
               : 0;
}

void worker_pause_accept(struct broker *broker)
{
    if (!broker->is_accept_paused)
        log_info("no descriptors left for another client; raise the limit of open files "
                 "(ulimit -n)");
    broker->is_accept_paused = 1;
    epoll_ctl(broker->epoll_fd, EPOLL_CTL_DEL, broker->registry->listen_fd, NULL);
}

uint64_t worker_private_bytes(void)
{
    static const struct registry *none;
    static const struct broker *nothing;

#define BYTES(array)                                                                               \
    (sizeof(none->array) / sizeof(none->array[0]) *                                                \
     (sizeof(nothing->array[0]) + sizeof(nothing->tables[0].free_indexes[0])))
    return BYTES(clients) + BYTES(regions) + BYTES(topics) + BYTES(publishers) +
           BYTES(subscribers) + BYTES(links);
#undef BYTES
}

static int make_arrays(struct broker *broker)
{
    const struct table *tables = broker->tables;

    broker->clients = calloc(tables[TABLE_CLIENTS].capacity, sizeof(broker->clients[0]));
    broker->regions = calloc(tables[TABLE_REGIONS].capacity, sizeof(broker->regions[0]));
    broker->topics = calloc(tables[TABLE_TOPICS].capacity, sizeof(broker->topics[0]));
    broker->publishers = calloc(tables[TABLE_PUBLISHERS].capacity, sizeof(broker->publishers[0]));
    broker->subscribers =
        calloc(tables[TABLE_SUBSCRIBERS].capacity, sizeof(broker->subscribers[0]));
    broker->links = calloc(tables[TABLE_LINKS].capacity, sizeof(broker->links[0]));
    if (!broker->clients || !broker->regions || !broker->topics || !broker->publishers ||
        !broker->subscribers || !broker->links)
        return -ENOMEM;
    return 0;
}

static int make_public(struct broker *broker)
{
    const uint64_t page = lsi_memory_page_bytes();
    struct region_wish wish = {.kind = LSHM_REGION_PUBLIC,
                               .bytes = page > PUBLIC_BYTES ? page : PUBLIC_BYTES};
    struct region *region = region_find(broker, broker->registry->public_region);
    int status;

    if (!region) {
        status = region_create_own(broker, &wish, &region);
        if (status < 0)
            return status;
        broker->registry->public_region = region_number(broker, region);
    }
    broker->public = region->base;
    broker->public->start_ns = broker->registry->start_ns;
    broker->public->clients_max = broker->registry->clients_max;
    broker->public->slots_bytes_max = broker->registry->client_bytes_max;
    return 0;
}

/* Everybody learns that there is a new worker: who waits for an answer asks again. */
static void announce(struct broker *broker)
{
    struct lsi_ctl_push_client push = {.header.type = LSI_CTL_PUSH_WORKER};
    uint32_t i;

    /* RLX: only a worker writes it, and its predecessor is dead. */
    push.value = lsi_counter_next(lsi_load_relaxed(&broker->public->worker_generation));
    /* RLX: clients act on the push, which the kernel orders after this.
     * DIE V1: clients keep waiting; the next worker raises it again. */
    lsi_store_relaxed(&broker->public->worker_generation, push.value);
    for (i = 0; i < *broker->tables[TABLE_CLIENTS].used; i++) {
        struct client *client = &broker->clients[i];

        if (client->record && record_state(&client->record->record) == CLIENT_ALIVE)
            outbox_reply(broker, client, &push, sizeof(push));
    }
}

static int watch_clients(struct broker *broker)
{
    uint32_t i;

    for (i = 0; i < *broker->tables[TABLE_CLIENTS].used; i++) {
        const struct client *client = &broker->clients[i];
        uint64_t number;

        if (!client->record || record_state(&client->record->record) == CLIENT_FREE)
            continue;
        number = client_number(broker, client);
        if (client->record->socket_fd >= 0)
            (void)worker_watch(broker, client->record->socket_fd, WATCH_SOCKET, number);
        if (client->record->process_fd >= 0)
            (void)worker_watch(broker, client->record->process_fd, WATCH_PROCESS, number);
    }
    return 0;
}

static int watch_all(struct broker *broker)
{
    const struct registry *registry = broker->registry;
    int status;

    broker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (broker->epoll_fd < 0)
        return -errno;
    status = worker_watch(broker, registry->listen_fd, WATCH_LISTEN, 0);
    if (status == 0)
        status = worker_watch(broker, registry->keeper_fd, WATCH_KEEPER, 0);
    if (status == 0)
        status = worker_watch(broker, registry->request_fd, WATCH_REQUESTS, 0);
    return status < 0 ? status : watch_clients(broker);
}

static int start(struct broker *broker, int *adopted, int *ret_adopted_count)
{
    int status;

    RB_INIT(&broker->topic_tree);
    TAILQ_INIT(&broker->waiting);
    (void)keeper_take_news(broker); /* answers to its predecessor */
    *ret_adopted_count = sweep(broker->registry, adopted);
    status = registry_open(broker->registry, broker->tables);
    if (status == 0)
        status = make_arrays(broker);
    if (status == 0)
        status = rebuild_indexes(broker);
    if (status == 0)
        status = make_public(broker);
    return status < 0 ? status : watch_all(broker);
}

static void start_drain(struct broker *broker)
{
    uint32_t i;

    if (broker->is_draining)
        return;
    broker->is_draining = 1;
    epoll_ctl(broker->epoll_fd, EPOLL_CTL_DEL, broker->registry->listen_fd, NULL);
    /* RLX: the LOOK below wakes the clients, and the kernel orders it after this.
     * DIE V2: the keeper ends the broker anyway. */
    lsi_store_relaxed(&broker->public->draining, (uint64_t)1);
    for (i = 0; i < *broker->tables[TABLE_CLIENTS].used; i++) {
        if (broker->clients[i].record &&
            record_state(&broker->clients[i].record->record) == CLIENT_ALIVE)
            outbox_look(broker, &broker->clients[i]);
    }
}

static void end(struct broker *broker)
{
    keeper_remove_files(broker->registry);
    _exit(EX_OK);
}

static void dispatch(struct broker *broker, const struct epoll_event *event)
{
    const enum watch_kind kind = (enum watch_kind)(event->data.u64 >> WATCH_KIND_SHIFT);
    const uint64_t number = event->data.u64 & ((UINT64_C(1) << WATCH_KIND_SHIFT) - 1);
    struct client *client;

    switch (kind) {
    case WATCH_LISTEN:
        session_accept(broker);
        return;
    case WATCH_KEEPER:
        end(broker);
        return;
    case WATCH_REQUESTS:
        if (keeper_take_news(broker))
            start_drain(broker);
        return;
    default:
        break;
    }
    client = client_find(broker, number);
    if (!client)
        return; /* buried earlier in this turn */
    if (kind == WATCH_PROCESS) {
        reaper_bury(broker, client);
        return;
    }
    if (event->events & EPOLLOUT)
        outbox_flush(broker, client);
    if ((event->events & ~(uint32_t)EPOLLOUT) && client_has_session(client))
        session_read(broker, client);
}

static void retry(struct broker *broker)
{
    uint32_t i;

    if (broker->is_accept_paused && !broker->is_draining) {
        broker->is_accept_paused = 0;
        (void)worker_watch(broker, broker->registry->listen_fd, WATCH_LISTEN, 0);
    }
    if (!broker->is_send_retry_due)
        return;
    broker->is_send_retry_due = 0;
    for (i = 0; i < *broker->tables[TABLE_CLIENTS].used; i++) {
        if (broker->clients[i].record &&
            record_state(&broker->clients[i].record->record) != CLIENT_FREE)
            outbox_flush(broker, &broker->clients[i]);
    }
}

static int sooner(int a, int b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

/* One that hung up cannot leave any more: a drain does not wait for it. */
static int has_sessions(const struct broker *broker)
{
    uint32_t i;

    for (i = 0; i < *broker->tables[TABLE_CLIENTS].used; i++) {
        if (broker->clients[i].record && client_has_session(&broker->clients[i]))
            return 1;
    }
    return 0;
}

/* ms until something is due, −1: nothing is. Ends the worker when a drain is over. */
static int time_left(struct broker *broker)
{
    int wait = publisher_expire(broker);

    if (broker->is_send_retry_due || broker->is_accept_paused)
        wait = sooner(wait, RETRY_MS);
    if (broker->is_draining) {
        const uint64_t now = worker_now_ns(), deadline = broker->registry->drain_deadline_ns;

        if (now >= deadline || !has_sessions(broker))
            _exit(EX_OK);
        wait = sooner(wait, (int)((deadline - now) / NS_PER_MS) + 1);
    }
    return wait;
}

static void run(struct broker *broker)
{
    struct epoll_event events[EVENTS_PER_TURN];

    for (;;) {
        int i, count = epoll_wait(broker->epoll_fd, events, EVENTS_PER_TURN, time_left(broker));

        for (i = 0; i < count; i++)
            dispatch(broker, &events[i]);
        reaper_bury_drained(broker);
        if (broker->is_keeper_dead)
            end(broker);
        if (broker->registry->drain_deadline_ns != 0) /* said while we waited for an answer */
            start_drain(broker);
        if (count == 0 || broker->is_accept_paused)
            retry(broker);
    }
}

void worker_run(struct registry *registry, void *arena)
{
    struct broker *broker = calloc(1, sizeof(*broker));
    int adopted[SWEEP_ADOPTED_MAX], adopted_count = 0, i, status;

    setproctitle("worker");
    if (!broker)
        _exit(EX_OSERR);
    broker->registry = registry;
    broker->arena = arena;
    broker->request_serial = (uint64_t)getpid() << 32; /* unlike the predecessor's */
    status = start(broker, adopted, &adopted_count);
    if (status < 0) {
        log_info("worker can't start: %s; %s", lsi_error_text(-status), log_advice(-status));
        _exit(EX_OSERR);
    }
    if (keeper_say_ready(broker))
        log_leave_foreground();
    for (i = 0; i < adopted_count; i++) {
        if (client_accept(broker, adopted[i]) < 0)
            close(adopted[i]);
    }
    announce(broker);
    rebuild_redo(broker);
    if (registry->drain_deadline_ns != 0)
        start_drain(broker);
    run(broker);
    abort();
}
