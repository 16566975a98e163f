/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's private state: indexes over the registry, and what is lost with the worker without
 * harm. One struct for each record, at the same index; lists join what belongs together.
 *
 * Everything here is rebuilt from the registry by a new worker (rebuild.c). Nothing here is needed
 * to know what must be done: only to find it fast.
 */
#ifndef BROKERD_WORKER_H
#define BROKERD_WORKER_H

#include <stdint.h>

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#include "base/compiler.h"
#include "ctl/codec.h"
#include "registry.h"

struct broker;
struct client;
struct publisher;
struct subscriber;
struct topic;

struct region {
    LIST_ENTRY(region) of_client;
    struct region_record *record;
    void *base;      /* broker-written: where it is mapped here */
    uint32_t pins;   /* queued messages that will send its descriptor */
};
LIST_HEAD(region_list, region);

/* The lines of one part that are given out. */
struct part {
    struct region *region;
    uint32_t lines;
    uint32_t lines_free;
    uint64_t *used;
};
struct parts {
    struct part *items;
    uint32_t count;
};

/* A message on its way to a client; see outbox.h. */
struct message;
TAILQ_HEAD(message_list, message);
struct outbox {
    struct message_list queued;
    struct message_list unacknowledged;
    uint32_t queued_count;
    uint32_t fds_unacknowledged;
    int is_look_queued;
    int is_write_watched;
};

/* "This client has that region of a peer": struct peer in peer.h. */
struct peer;
LIST_HEAD(peer_list, peer);

LIST_HEAD(publisher_list, publisher);
TAILQ_HEAD(publisher_queue, publisher);
LIST_HEAD(subscriber_list, subscriber);
LIST_HEAD(link_list, link);

struct client {
    struct client_record *record;
    struct region_list regions; /* board, control; rings and segments of publishers not ended */
    struct publisher_list publishers;
    struct subscriber_list subscribers;
    uint32_t subscriber_count;
    uint32_t histogram_count;   /* of its links */
    struct peer_list peers;     /* what it has of others */
    struct peer_list watched;   /* what others have of it */
    struct parts board;
    struct parts control;
    struct outbox outbox;
    uint64_t bytes;             /* charged to its quota */
    uint64_t stamp;             /* see reaper.c */
    struct client *next_met;    /* likewise */
};

struct topic {
    RB_ENTRY(topic) by_name;
    struct topic_record *record;
    struct publisher_list publishers;
    struct publisher_queue retained; /* ended, and their last messages stay; the first end first */
    struct subscriber_list subscribers;
    uint32_t publisher_count;
    uint32_t retained_count;
    uint32_t subscriber_count;
    uint32_t watcher_count;     /* sessions for which latencies are counted */
};
RB_HEAD(topic_tree, topic);

struct publisher {
    LIST_ENTRY(publisher) of_client;
    LIST_ENTRY(publisher) of_topic;
    TAILQ_ENTRY(publisher) waiting;
    TAILQ_ENTRY(publisher) of_retained;
    struct publisher_record *record;
    struct client *client;       /* NULL: dead */
    struct topic *topic;         /* NULL: ended, and nothing is retained */
    int is_retained;             /* in its topic's list of these */
    int has_published;           /* known to have, once it was looked for (retain.c) */
    struct region *ring;
    struct region *segments[LSI_CTL_SEGMENTS];
    struct link_list links;
    uint32_t link_count;
    uint32_t pending_count;      /* links that have no cell yet */
    struct link **rows;
    uint32_t row_count;
    uint32_t row_capacity;
    uint32_t row_hint;           /* no free row below */
    uint64_t deadline_ns;        /* 0: not waiting */
};

struct subscriber {
    LIST_ENTRY(subscriber) of_client;
    LIST_ENTRY(subscriber) of_topic;
    struct subscriber_record *record;
    struct client *client;
    struct topic *topic;         /* NULL: closed */
    struct link_list links;
    uint32_t link_count;
    uint32_t pending_count;
    uint64_t stamp;              /* see publisher_link_all() */
};

struct link {
    LIST_ENTRY(link) of_publisher;
    LIST_ENTRY(link) of_subscriber;
    struct link_record *record;
    struct publisher *publisher;
    struct subscriber *subscriber;
};

struct broker {
    struct registry *registry;
    struct table tables[TABLE_COUNT];
    unsigned char *arena;
    int epoll_fd;
    struct lshm_public *public;
    struct client *clients;      /* by index */
    struct region *regions;
    struct topic *topics;
    struct publisher *publishers;
    struct subscriber *subscribers;
    struct link *links;
    struct topic_tree topic_tree;
    struct publisher_queue waiting; /* publishers whose open waits for a peer, oldest first */
    uint64_t region_bytes;
    uint64_t stamp;
    uint64_t request_serial;
    int is_accept_paused;
    int is_draining;
    int is_send_retry_due;       /* descriptors in flight were too many: try again soon */
    int is_burial_due;           /* a dead client waits for its ring to be drained: look */
    int is_keeper_dead;
};

#define BROKER_PRIVATE(broker, kind, array, pointer)                                               \
    (&(broker)->array[table_index(&(broker)->tables[kind], (pointer))])

/* What an epoll event is about: kind << 56 | the client's number. */
enum watch_kind { WATCH_LISTEN = 1, WATCH_KEEPER, WATCH_REQUESTS, WATCH_SOCKET, WATCH_PROCESS };
#define WATCH_KIND_SHIFT 56u
int worker_watch(struct broker *broker, int fd, enum watch_kind kind, uint64_t number);
/* No descriptors left: connections wait a little. */
void worker_pause_accept(struct broker *broker);
int worker_watch_writes(struct broker *broker, struct client *client, int is_on);

/* The worker's life. Never returns. */
void worker_run(struct registry *registry, void *arena) __attribute__((noreturn));

/* CLOCK_MONOTONIC */
uint64_t worker_now_ns(void);
/* Address space that its private state takes at most, but for what comes with clients. */
uint64_t worker_private_bytes(void);

/* The public struct of a number, or NULL. */
struct client *client_find(struct broker *broker, uint64_t number);
struct region *region_find(struct broker *broker, uint64_t number);
struct topic *topic_find_number(struct broker *broker, uint64_t number);
struct publisher *publisher_find(struct broker *broker, uint64_t number);
struct subscriber *subscriber_find(struct broker *broker, uint64_t number);
struct link *link_find(struct broker *broker, uint64_t number);
uint64_t client_number(const struct broker *broker, const struct client *client);
uint64_t region_number(const struct broker *broker, const struct region *region);
uint64_t topic_number(const struct broker *broker, const struct topic *topic);
uint64_t publisher_number(const struct broker *broker, const struct publisher *publisher);
uint64_t subscriber_number(const struct broker *broker, const struct subscriber *subscriber);
uint64_t link_number(const struct broker *broker, const struct link *link);

#endif
