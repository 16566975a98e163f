/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry: all that the broker knows and a new worker must know.
 *
 * It lies in shared anonymous memory that the keeper made and every worker inherits. The worker is
 * its one writer, and every change is "write the record, then flip one state word": a worker killed
 * at any instruction leaves a registry from which its successor rebuilds its private indexes and
 * does the unfinished step again. So each step is written to be done twice.
 *
 * Records name each other by numbers that are never used again: number = (generation - 1) *
 * capacity + index + 1. That ends with the 2^44th use of one of the most numerous records, the
 * links; for clients, whose numbers have 56 bits in an epoll event, with the 2^45th. A record that
 * is taken gets the next generation, so a number that outlived its record finds nothing.
 *
 * Descriptors are numbers in the table that keeper and workers share; what the table holds and the
 * registry does not name is closed by the next worker (sweep.c).
 *
 * Only a worker reads or writes here, one at a time: the release order of the state words is for
 * the compiler, so that a record is whole before its state says so.
 */
#ifndef BROKERD_REGISTRY_H
#define BROKERD_REGISTRY_H

#include <stdint.h>

#include <lshm/abi.h>

#include "base/atomic.h"
#include "base/counter.h"
#include "ctl/message.h"

#define REGISTRY_CLIENTS_MAX 1024u
#define REGISTRY_CALLERS_MAX 64u /* connections beyond: they are told why not */
#define REGISTRY_REGIONS_MAX 65536u
#define REGISTRY_TOPICS_MAX 16384u
#define REGISTRY_PUBLISHERS_MAX 16384u
#define REGISTRY_SUBSCRIBERS_MAX 16384u
#define REGISTRY_LINKS_MAX 1048576u
#define REGISTRY_KEEPER_FDS_MAX 32u

#define REGISTRY_NO_PART UINT32_MAX /* in struct lshm_ref: not chosen yet */

/* First in every record. FREE is 0: fresh memory is an empty registry. */
struct record {
    uint32_t state;
    uint32_t reserved;
    uint64_t generation;
};
#define STATE_FREE 0u

enum client_state {
    CLIENT_FREE = STATE_FREE,
    CLIENT_ACCEPTED,  /* connected, no HELLO yet */
    CLIENT_ATTACHING, /* HELLO taken: its regions are made, MAPPED is awaited */
    CLIENT_ALIVE,
    CLIENT_HUNG_UP,   /* no session any more, but its process is there: counts as stopped */
    CLIENT_DEAD,      /* being buried */
};
struct client_record {
    struct record record;
    int32_t socket_fd;
    int32_t process_fd;
    uint32_t uid;
    uint32_t is_inspector;
    uint32_t has_barrier; /* takes part in barriers of all processes */
    uint32_t reserved;
    uint64_t pid;
    uint64_t since_ns;
    uint64_t hello_id;
    uint64_t watched_topic; /* inspectors: whose latencies are counted for it; 0: none */
    uint64_t close_id; /* the last close request: one that is repeated may find nothing to close */
    uint64_t clear_id;          /* the last TOPIC_CLEAR, and its answer */
    uint64_t cleared_publishers;
    char name[LSHM_NAME_BYTES];
};

enum region_state {
    REGION_FREE = STATE_FREE,
    REGION_CREATED, /* fd may be written; a writer is to map it */
    REGION_MAPPED,  /* broker-written ones: the keeper has it mapped */
    REGION_SEALED,  /* reader_fd is read-only, fd is of no more use */
    REGION_DOOMED,  /* nobody wants it, but a queued message still needs its descriptor */
};
struct region_record {
    struct record record;
    uint32_t kind;    /* LSHM_REGION_… */
    uint32_t part;
    uint64_t client;  /* whose; 0: the broker's own */
    uint64_t port;    /* rings and segments: the publisher */
    uint64_t bytes;
    uint64_t offset;  /* broker-written: place in the keeper's arena */
    int32_t fd;
    int32_t reader_fd;
    uint32_t is_acknowledged; /* parts: the client has it */
    uint32_t pages;           /* LSI_CTL_PAGES_… */
};

enum topic_state { TOPIC_FREE = STATE_FREE, TOPIC_USED };
struct topic_record {
    struct record record;
    char name[LSHM_TOPIC_BYTES];
};

enum publisher_state {
    PUBLISHER_FREE = STATE_FREE,
    PUBLISHER_CREATED, /* its memory is with the client, MAPPED is awaited */
    PUBLISHER_SEALED,  /* read-only descriptors exist */
    PUBLISHER_LINKING, /* its record is on the board; links to the subscribers there are */
    PUBLISHER_OPEN,    /* the client was told */
    PUBLISHER_ENDED,   /* closed or dead; stays until its last reader left, and while retained */
};
/* Of segments that were not made with the ring. */
enum segment_state {
    SEGMENT_FREE = STATE_FREE,
    SEGMENT_CREATED, /* its publisher is to map it */
    SEGMENT_OPEN,    /* readers have it, or it is on its way to them */
    SEGMENT_LEAVING, /* given back: readers are to unmap it */
};
struct publisher_record {
    struct record record;
    uint64_t client;
    uint64_t topic;
    uint64_t request_id;
    uint64_t ends_before; /* registry.ends when it opened */
    uint64_t final_tail;  /* this and the next four are valid once ENDED */
    uint64_t end_number;  /* it was the …th to end */
    uint64_t ended_ns;    /* CLOCK_REALTIME */
    uint32_t retained;    /* its last messages that stay; 0: none, or not any more */
    uint32_t retained_segments; /* bits: where they lie */
    uint64_t pid;         /* whose it is or was */
    uint32_t uid;
    uint32_t reserved_uid;
    char name[LSHM_NAME_BYTES];
    struct lshm_ref board_record;
    uint32_t roster_parts;
    uint32_t reserved;
    struct lshm_ref roster[LSHM_ROSTER_PARTS];
    struct lsi_ctl_geometry geometry;
    uint64_t grow_id;      /* the last request for a segment, and its number */
    uint32_t grow_number;
    uint32_t segment_states[LSI_CTL_SEGMENTS];
    uint64_t source_links[LSI_CTL_SEGMENTS]; /* foreign ones: where their messages come from */
};

enum subscriber_state {
    SUBSCRIBER_FREE = STATE_FREE,
    SUBSCRIBER_OPENING,
    SUBSCRIBER_OPEN,
    SUBSCRIBER_CLOSED, /* its links left; cells are to be reset */
};
struct subscriber_record {
    struct record record;
    uint64_t client;
    uint64_t topic;
    uint64_t request_id;
    uint32_t window;
    uint32_t holds;
    uint32_t flags; /* LSHM_READER_… */
    uint32_t history;
};

enum link_state {
    LINK_FREE = STATE_FREE,
    LINK_WANTED, /* looks for its cell, its reader record, its row */
    LINK_PLACED, /* has them */
    LINK_LIVE,   /* row LIVE, reader told */
    LINK_LEFT,   /* row GONE; the cell is to be reset */
};
struct link_record {
    struct record record;
    uint64_t subscriber;
    uint64_t publisher;
    struct lshm_ref cell;         /* on the subscriber's control region */
    struct lshm_ref board_record; /* on the subscriber's board */
    struct lshm_ref histogram;    /* on its control region, once somebody has watched it */
    uint32_t row;                 /* of the publisher's roster; UINT32_MAX: not chosen */
    uint32_t window;              /* granted: at most what the subscriber asked for */
    uint32_t holds;
    uint32_t is_new;              /* the ring was opened after the subscription */
    uint32_t is_again;            /* takes the place of one that was evicted */
    uint32_t is_evicted;          /* it gates no more; its window is the publisher's to respect */
    uint32_t is_retained;         /* made when its publisher had ended: has no row */
    uint32_t reserved;
    uint32_t is_ring_acknowledged;
    uint32_t is_peer_acknowledged;
    uint32_t segments_sent; /* bits: not made with the ring, and its reader may have them */
    uint32_t segments_acknowledged;
};

struct registry {
    /* the keeper's, set before the first worker */
    int32_t listen_fd;
    int32_t keeper_fd;         /* pidfd of the keeper */
    int32_t request_fd;        /* the worker's end towards the keeper */
    int32_t lock_fd;
    uint32_t keeper_fd_count;
    int32_t keeper_fds[REGISTRY_KEEPER_FDS_MAX]; /* everything the keeper had open */
    uint64_t keeper_pid;
    uint64_t start_ns;
    uint64_t arena_bytes;
    uint64_t drain_deadline_ns; /* CLOCK_MONOTONIC; 0: not draining */
    char socket_path[LSI_CTL_TEXT_BYTES];
    char lock_path[LSI_CTL_TEXT_BYTES];
    /* limits in force */
    uint64_t clients_max;
    uint64_t client_bytes_max; /* 0: half of MemAvailable, at that moment */
    uint64_t topic_bytes_max;  /* 0: no other limit than the clients' */
    uint64_t retain_bytes_max; /* 0: as for one client */
    /* the worker's */
    uint64_t public_region;
    uint64_t arena_used;
    uint64_t ends;             /* publishers that have ended: orders what is retained */
    uint32_t used[8];          /* by enum table: records ever used */
    struct client_record clients[REGISTRY_CLIENTS_MAX + REGISTRY_CALLERS_MAX];
    struct region_record regions[REGISTRY_REGIONS_MAX];
    struct topic_record topics[REGISTRY_TOPICS_MAX];
    struct publisher_record publishers[REGISTRY_PUBLISHERS_MAX];
    struct subscriber_record subscribers[REGISTRY_SUBSCRIBERS_MAX];
    struct link_record links[REGISTRY_LINKS_MAX];
};

/* One table of the registry, with the private list of its free records. */
enum table_kind {
    TABLE_CLIENTS,
    TABLE_REGIONS,
    TABLE_TOPICS,
    TABLE_PUBLISHERS,
    TABLE_SUBSCRIBERS,
    TABLE_LINKS,
    TABLE_COUNT
};
struct table {
    unsigned char *records;
    uint32_t record_bytes;
    uint32_t capacity;
    uint32_t *used;
    uint32_t *free_indexes;
    uint32_t free_count;
};

/* Builds the free lists. 0 or −ENOMEM. */
int registry_open(struct registry *registry, struct table tables[TABLE_COUNT]);
void registry_close(struct table tables[TABLE_COUNT]);
/* A free record, all zero but its new generation; NULL when the table is full. */
void *table_take(struct table *table);
/* Gives a record back. */
void table_give(struct table *table, void *record);
void *table_at(const struct table *table, uint32_t index);
uint32_t table_index(const struct table *table, const void *record);
uint64_t table_number(const struct table *table, const void *record);
/* The record of that number; NULL when there is none (any more). */
void *table_find(const struct table *table, uint64_t number);
uint32_t table_count(const struct table *table);

static inline void record_set_state(struct record *record, uint32_t state)
{
    /* ORD E1 release -> E2: a successor that finds this state finds the whole record.
     * DIE E1: the old state, and the step is done again. */
    lsi_store_release(&record->state, state);
}

/* A reference of two words: the part, which says that there is one, is stored last. */
static inline void record_set_ref(struct lshm_ref *ref, struct lshm_ref value)
{
    ref->line = value.line;
    /* ORD E3 release -> E4: no part without its line.
     * DIE E3: lines that nobody names; the successor's bitmaps do not have them. */
    lsi_store_release(&ref->part, value.part);
}

static inline int record_has_ref(const struct lshm_ref *ref)
{
    /* ORD E4 acquire <- E3 */
    return lsi_load_acquire(&ref->part) != REGISTRY_NO_PART;
}

static inline uint32_t record_state(const struct record *record)
{
    /* ORD E2 acquire <- E1: the record that this state speaks of. */
    return lsi_load_acquire(&record->state);
}

#endif
