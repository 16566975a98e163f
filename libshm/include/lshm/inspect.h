/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at a broker and its arena from outside, without disturbing anyone: what `lshm` uses.
 *
 * An inspector is a session of the broker's uid or root. It maps regions read-only and reads words
 * that others are writing: each figure is true of some instant, not all of one and the same. What
 * cannot be known from outside is said to be "at most".
 */
#ifndef LSHM_INSPECT_H
#define LSHM_INSPECT_H

#include <lshm/abi.h>
#include <lshm/lshm.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lshm_inspector;

int lshm_inspector_open(const struct lshm_context_options *options, struct lshm_error *reterr_error,
                        struct lshm_inspector **ret_inspector);
void lshm_inspector_close(struct lshm_inspector *inspector);

struct lshm_broker_status {
    uint64_t size;
    uint64_t keeper_pid;
    uint64_t worker_pid;
    uint64_t worker_generation;
    uint64_t start_ns;       /* CLOCK_REALTIME */
    uint64_t clients;
    uint64_t topics;
    uint64_t publishers;
    uint64_t subscribers;
    uint64_t regions;        /* memfds */
    uint64_t region_bytes;
    uint64_t clients_max;    /* limits in force */
    uint64_t topics_max;
    uint64_t client_bytes_max;
    uint32_t abi_major;
    uint32_t abi_minor;
    char version[32];
    char socket[108];
};
int lshm_inspector_get_status(struct lshm_inspector *inspector, struct lshm_broker_status *status);

struct lshm_client_info {
    uint64_t client;
    uint64_t pid;            /* as seen by the broker */
    uint64_t uid;
    uint64_t since_ns;       /* CLOCK_REALTIME */
    uint64_t publishers;
    uint64_t subscribers;
    uint64_t bytes;          /* memory it is charged for */
    uint32_t state;          /* LSHM_CLIENT_… */
    uint32_t asleep;         /* waiting for a message right now */
    char name[LSHM_NAME_BYTES];
};
#define LSHM_CLIENT_ALIVE 1u
#define LSHM_CLIENT_HUNG_UP 2u /* closed its socket, but its process is there */
#define LSHM_CLIENT_DEAD 3u

struct lshm_topic_info {
    uint64_t topic;
    uint64_t publishers;
    uint64_t subscribers;
    uint64_t published;      /* by the publishers there are now */
    uint64_t bytes;
    char name[LSHM_TOPIC_BYTES];
};

struct lshm_publisher_info {
    uint64_t publisher;
    uint64_t topic;
    uint64_t client;
    uint64_t published;
    uint64_t bytes;
    uint64_t refused;
    uint64_t slot_bytes;
    uint64_t slots;
    uint64_t slots_free;
    uint64_t slots_loaned;
    uint64_t slots_window;
    uint64_t slots_limbo;
    uint64_t slots_quarantine;
    uint64_t memory_bytes;   /* ring and segments */
    uint32_t ring_entries;
    uint32_t entry_bytes;
    uint32_t waiting;        /* sleeps for room right now */
    uint32_t dead;           /* its process is gone; readers are still draining it */
};

struct lshm_subscriber_info {
    uint64_t subscriber;
    uint64_t topic;
    uint64_t client;
    uint64_t publisher;      /* one entry for each publisher it reads */
    uint64_t taken;
    uint64_t lost;
    uint64_t position;       /* next message */
    uint64_t tail;           /* of the publisher's ring */
    uint64_t cursor;         /* oldest message it may be using */
    uint32_t window;
    uint32_t holds_max;
    uint32_t flags;          /* LSHM_READER_… */
    uint32_t state;          /* LSHM_ROW_… */
};

struct lshm_holder_info {
    uint64_t topic;
    uint64_t publisher;      /* whose slot */
    uint64_t client;         /* who holds it */
    uint64_t subscriber;
    uint64_t seq;            /* which message; for a window the oldest of `count` */
    uint64_t count;          /* 1 for a hold; a window pins at most this many messages */
    uint64_t since_ns;       /* CLOCK_MONOTONIC_COARSE, 0 when unknown */
    uint32_t at_most;        /* 1: an upper bound */
    uint32_t kind;           /* LSHM_HOLDER_… */
};
#define LSHM_HOLDER_HOLD 1u
#define LSHM_HOLDER_WINDOW 2u
#define LSHM_HOLDER_LOAN 3u  /* the publisher itself: slots loaned, not published */

/*
 * Lists. Each returns the number of all entries there are (which may be more than `count`) and
 * fills at most `count` of them; or a negative error.
 */
int lshm_inspector_list_clients(struct lshm_inspector *inspector, struct lshm_client_info *infos,
                                size_t count);
int lshm_inspector_list_topics(struct lshm_inspector *inspector, struct lshm_topic_info *infos,
                               size_t count);
int lshm_inspector_list_publishers(struct lshm_inspector *inspector,
                                   struct lshm_publisher_info *infos, size_t count);
int lshm_inspector_list_subscribers(struct lshm_inspector *inspector,
                                    struct lshm_subscriber_info *infos, size_t count);
int lshm_inspector_list_holders(struct lshm_inspector *inspector, struct lshm_holder_info *infos,
                                size_t count);

#ifdef __cplusplus
}
#endif

#endif
