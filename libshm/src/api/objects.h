/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands behind the opaque handles of lshm.h.
 *
 * LOCKS   control    the socket, the tables of ports, parts and peers' memory. Held during a whole
 *                    request; never taken on the hot path.
 *         peers_lock channels to peers and what was signalled. Held for a few instructions or one
 *                    send. Taken inside control, never the other way round.
 *         sleep_lock who waits in this process (wait.c).
 * THREADS A port is used by one thread at a time; what another thread has for it (a new ring, a
 *         release) goes on a list of the port and is taken in at its next call.
 */
#ifndef LSI_OBJECTS_H
#define LSI_OBJECTS_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

#include <lshm/abi.h>
#include <lshm/lshm.h>

#include "api/views.h"
#include "base/atomic.h"
#include "base/compiler.h"
#include "base/counter.h"
#include "core/reclaim.h"
#include "core/ring.h"
#include "core/window.h"
#include "ctl/codec.h"
#include "os/memory.h"

#define LSI_CONTEXT_MAGIC 0x6c736378u
#define LSI_PUBLISHER_MAGIC 0x6c737075u
#define LSI_SUBSCRIBER_MAGIC 0x6c737375u
#define LSI_INSPECTOR_MAGIC 0x6c73696eu
#define LSI_PARTS_MAX 64u
#define LSI_PEER_BUCKETS 64u
#define LSI_LINKS_MAX 32768u
#define LSI_ABANDONED 16u
#define LSI_DEFAULT_TIMEOUT_NS 5000000000

struct lsi_part {
    void *base; /* NULL: not there */
    uint64_t bytes;
};

/* Another client: its reader cells if we publish to it, the channels between us. */
struct lsi_peer {
    LIST_ENTRY(lsi_peer) entry;
    uint64_t client;
    struct lsi_part parts[LSI_PARTS_MAX]; /* of its control region, read-only */
    int channel;              /* wakes it; -1 */
    uint64_t asked_ns;        /* when the channel was asked for, 0: never */
    uint64_t signalled;       /* sleep generation signalled last */
    uint32_t readers;         /* of our publishers, with cells in its memory */
    bool gone;                /* it is no more; forgotten with the last of those readers */
};

/* A link that the broker was told of and has not confirmed: its cell cannot be given out yet. */
struct lsi_leaving {
    LIST_ENTRY(lsi_leaving) entry;
    uint64_t request;
    uint64_t subscriber;
    uint64_t link;
    struct lshm_cell *cell;
    struct lshm_histogram *histogram; /* NULL: none */
    uint32_t holds;
};

struct lsi_link;
/* Whether a port has something; only looks. Another thread may ask while the port's own sleeps. */
typedef bool lsi_ready_function(void *port);

/* A thread that sleeps. */
struct lsi_waiter {
    LIST_ENTRY(lsi_waiter) entry;
    lsi_ready_function *ready;
    void *port;
    bool found;   /* the leader found its port ready */
    bool covered; /* the leader has looked at it behind its fence */
};

/* How long a port's waits have brought nothing since the broker is gone, over all its calls. */
struct lsi_alone {
    uint64_t since_ns; /* 0: not yet */
    uint64_t moved;    /* what the port had got done then */
};

LIST_HEAD(lsi_waiter_list, lsi_waiter);
LIST_HEAD(lsi_peer_list, lsi_peer);
LIST_HEAD(lsi_leaving_list, lsi_leaving);
LIST_HEAD(lsi_publisher_list, lshm_publisher);
LIST_HEAD(lsi_subscriber_list, lshm_subscriber);
STAILQ_HEAD(lsi_link_queue, lsi_link);

struct lshm_context {
    uint32_t magic;
    uint32_t flags;                 /* LSHM_CONTEXT_… */
    const uint8_t *alive;           /* one page that fork() wipes: 0 in a child */
    int socket;
    uint64_t client;
    int64_t timeout_ns;
    const struct lshm_public *public_region;
    uint64_t public_bytes;
    struct lsi_part board[LSI_PARTS_MAX];
    struct lsi_part control_parts[LSI_PARTS_MAX];
    const struct lshm_board *board0;
    struct lshm_control *control0;
    uint64_t pushes_seen;           /* numbers of board0->pushed that were read (any thread) */
    uint64_t starved_until_ns;      /* a push waits for descriptors; when to try again; 0 (any) */
    uint64_t starved_push;          /* the last one of which the subscribers were told */
    int broken;                     /* not 0: the broker is gone; the data path goes on */

    pthread_mutex_t control;
    uint64_t last_request;
    uint64_t abandoned[LSI_ABANDONED]; /* requests that timed out: their ports are closed again */
    uint32_t abandoned_count;
    uint64_t received;              /* last push number acted on */
    struct lshm_subscriber *opening; /* its links arrive before its number does */
    struct lsi_publisher_list publishers;
    struct lsi_subscriber_list subscribers;
    struct lsi_leaving_list leaving;
    uint64_t joined_ns;             /* when a ring was joined last (any thread) */

    pthread_mutex_t peers_lock;
    struct lsi_peer_list peers[LSI_PEER_BUCKETS];

    int epoll;                      /* socket, own event, channels' receiving ends */
    int event;                      /* wakes our own sleepers */
    int timer;                      /* -1 until the descriptor was asked for */
    bool polled;                    /* the descriptor was asked for */
    pthread_mutex_t sleep_lock;
    pthread_cond_t sleep_changed;
    uint64_t sleep_generation;      /* as stored in control0->sleep */
    struct lsi_waiter_list waiters;
    bool leading;                   /* one of them arms and blocks for all */
    uint64_t rounds;                /* leaders' returns */
    int *channels;                  /* receiving ends */
    uint32_t channel_count;
};

#define LSI_SLOT_SCRATCH (LSI_SLOT_NONE - 1)
struct lsi_loan {
    uint64_t capacity;    /* payload bytes */
    uint32_t generation;
    uint32_t slot;        /* its id; LSI_SLOT_NONE: the private block; LSI_SLOT_SCRATCH: none */
    bool out;
};

struct lshm_publisher {
    uint32_t magic;
    uint32_t port;              /* in tokens */
    struct lshm_context *context;
    LIST_ENTRY(lshm_publisher) entry;
    uint64_t number;
    uint64_t topic;
    struct lsi_publication publication;
    struct lsi_ctl_geometry geometry;
    struct lsi_part ring;
    struct lsi_part segments[LSI_CTL_SEGMENTS];
    uint64_t payload_bytes;
    uint32_t inline_bytes;
    uint32_t loans_max;
    uint32_t loans_out;
    uint32_t loans_free_count;
    struct lsi_loan *loans;
    uint32_t *loans_free;
    unsigned char *blocks;      /* loans_max times inline_bytes */
    int64_t wait_ns;
    uint64_t spin_ns;
    uint32_t flags;
    uint32_t numa_node;         /* 1 + the node; 0: any */
    bool lock_failed;           /* that is why its memory could not be mapped */
    int grow_error;             /* what the broker said when it was asked for more last */
    uint64_t grow_after_ns;     /* and when it may be asked again */
    uint32_t grown;             /* segments that were not made with the ring */
    uint64_t look_ns;           /* when to look for idle ones */
    uint64_t idle_since_ns[LSI_CTL_SEGMENTS];
    void *scratch;              /* with DROP_NEWEST: what is written there is dropped */
    uint64_t refused;
    uint64_t aborts;
    uint64_t dropped;
    uint64_t waiting_generation;
    struct lsi_alone alone;
    int64_t stall_ns;           /* how long a lossless reader may gate; 0: for ever */
    uint64_t evict_asked_ns;
    bool wants_room;            /* a loan was refused while the descriptor is polled */
    bool lacks_slot;            /* it waits for a slot, not for room in the ring */
    struct lsi_views views;
    struct lsi_forwarder_list sources;
    bool sleeps_with_views;     /* its waiting word says so */
    bool closing;               /* closed, but its readers have views */
    uint32_t busy;              /* debug builds: in use by a thread */
};

/* What became of messages. */
struct lsi_account {
    uint64_t taken;
    uint64_t lost_start;   /* given up before the join could keep them */
    uint64_t lost_lapped;
    uint64_t lost_limit;   /* beyond the queue limit */
    uint64_t lost_evicted;
    uint64_t lost_corrupt;
};

/* A segment that came, or is to go, while the ring is read, until the port's thread sees to it. */
struct lsi_arrival {
    STAILQ_ENTRY(lsi_arrival) entry;
    uint32_t number;
    struct lsi_ctl_segment layout;
    struct lsi_part part;           /* not mapped: see fd */
    int fd;
    bool is_gone;                   /* it is to be unmapped */
};
STAILQ_HEAD(lsi_arrival_queue, lsi_arrival);

/* One ring that a subscriber reads. */
struct lsi_link {
    STAILQ_ENTRY(lsi_link) entry;   /* while it is incoming */
    struct lshm_subscriber *subscriber;
    uint64_t port;                  /* the subscriber's number, in the broker's words */
    uint64_t number;
    uint64_t publisher;
    uint64_t client;                /* the publisher's */
    uint64_t start;                 /* the first message it can get */
    uint64_t token;                 /* what its samples' tokens have in common */
    const struct lshm_board_reader *record;
    struct lsi_ctl_geometry geometry;
    struct lsi_part ring;
    struct lsi_part segments[LSI_CTL_SEGMENTS]; /* laid out as geometry.segments */
    struct lsi_arrival_queue arrivals; /* under control */
    struct lsi_ring_reader reader;
    struct lsi_window window;
    unsigned char *blocks;          /* (B + H) private blocks of inline_bytes */
    uint16_t *views;                /* (B + H) by sample: views of it * 2, + 1: released. NULL */
    uint8_t *segment_of;            /* (B + H) by sample: where its payload is */
    uint32_t inline_bytes;
    bool may_block;                 /* the publisher sleeps for room */
    bool fresh;                     /* ring opened after the subscription: start at its first */
    uint32_t retained;              /* not 0: its publisher had ended, and left so many messages */
    bool lossy;
    bool dead;                      /* DEAD was seen; drain up to final_tail */
    bool drained;                   /* nothing more to take */
    bool lacks;                     /* its next message lies in memory that is on its way */
    bool evicted;                   /* its place is lost: nothing more may be taken through it */
    bool closed;                    /* evicted, and its cell says that its window is empty */
    uint64_t final_tail;
    uint64_t signalled;             /* waiting generation signalled last */
    struct lsi_account account;
    uint64_t lost_told;             /* as in the cell */
    struct lshm_histogram *histogram; /* NULL: nobody has watched it yet */
};

struct lshm_subscriber {
    uint32_t magic;
    uint32_t port;
    struct lshm_context *context;
    LIST_ENTRY(lshm_subscriber) entry;
    uint64_t number;
    uint64_t topic;
    uint32_t window;
    uint32_t holds;
    uint32_t flags;
    uint32_t queue_limit;           /* 0: none */
    uint32_t history;
    uint64_t spin_ns;
    uintptr_t owner;                /* thread of the last take */
    struct lsi_link *only;          /* its one ring, lossless, while it lives, or NULL: look */
    struct lsi_link **links;        /* LSI_LINKS_MAX, by index; NULL: unused */
    uint32_t links_count;           /* highest used index + 1 */
    uint32_t drained;               /* links that may be left when their samples are back */
    uint32_t evictions;             /* that the application was not told of */
    uint32_t rejoining;             /* evicted links whose loss is not known yet */
    int failed;                     /* a ring could not be mapped: take says so, once */
    uint32_t next_link;             /* fair take: where the next call starts */
    struct lsi_link_queue incoming; /* under control */
    uint32_t news;                  /* incoming is not empty (any thread) */
    pthread_mutex_t release_lock;   /* other threads' releases against links that go */
    uint64_t released;              /* list of releases by other threads (release.c) */
    struct lsi_account before;      /* of links that have left */
    struct lsi_forwarder_list forwarders;
    bool closing;                   /* closed, but messages of it are forwarded still */
    uint32_t next_in_set;           /* the first of a set that is waited for: where to look first */
    struct lsi_alone alone;
    uint32_t busy;
};

#endif
