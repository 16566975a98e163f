/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control protocol: what a client and brokerd say to each other over a SOCK_SEQPACKET socket.
 *
 * One packet is one message: a header, a fixed body, for lists a counted tail, and descriptors.
 * Both ends treat every packet as hostile: size against type, then every field, before any use
 * (codec.h).
 *
 * REQUESTS carry an id that the client never uses twice; the reply has the same id and type |
 *   LSI_CTL_REPLY. status is 0 or −errno / −LSHM_E…; a refusal carries struct lsi_ctl_refusal.
 *   A client has at most one request outstanding and sends it again, same id, when the worker's
 *   generation changed before the reply came: every request is idempotent by (client, id).
 * PUSHES go from the broker to a client unasked, numbered 1, 2, … in the header's id; the board's
 *   `pushed` counts them, so a client that does not sleep need not look at its socket. A client
 *   says RECEIVED when it has acted on them; at most LSI_CTL_UNACKED_FDS descriptors of pushes are
 *   on their way, so a client that is owed many says RECEIVED while it waits for its reply.
 *   A new worker pushes again what was not acknowledged; clients take repeats in their stride.
 *   Numbers only rise, but some may be missing after a change of worker: a client compares `pushed`
 *   with the highest number it has seen. `pushed` is raised before the push can be received.
 *   Pushes and replies come in the order in which the broker made them.
 *
 * MAP THEN SEAL: a memfd that a client will write comes read-write; the client maps it, fallocates
 *   it, closes it and sends MAPPED; the broker seals it (FUTURE_WRITE | SEAL) and only then hands
 *   read-only descriptors to others.
 *
 * Attach:   HELLO -> reply HELLO [public, board part 0, control part 0 (rw)], MAPPED(control; the
 *           HELLO's id) -> reply MAPPED, a bare header. Inspectors: two descriptors and no MAPPED.
 * Publish:  PUBLISHER_OPEN -> PUBLISHER_MEMORY [ring rw, segments rw] (a reply of its own type,
 *           same id), MAPPED(ring, segments) -> (PEER pushes), reply PUBLISHER_OPEN. Existing
 *           subscribers get a RING push; their rows are on the publisher's board before the reply.
 * Grow:     SEGMENT_ADD -> SEGMENT_MEMORY [segment rw] (a reply of its own type, same id),
 *           MAPPED(segment) -> (SEGMENT pushes to all readers), reply SEGMENT_ADD. RING pushes
 *           bring the segments that were made with the ring, SEGMENT pushes all others.
 * Shrink:   SEGMENT_REMOVE -> SEGMENT_GONE pushes to all who have it, SEGMENT_LEFT from each; then
 *           the broker lets go of the memory, and its number may be used again.
 * Forward:  SEGMENT_IMPORT -> (SEGMENT pushes to all readers), reply: the ring's number for it.
 * Subscribe: SUBSCRIBER_OPEN -> RING pushes, one for each publisher and, if it wants history, for
 *           each that has ended and left something, then the reply.
 * Cut off:  a refusal of type HELLO | REPLY with id 0 is the broker's last word to a client that
 *           broke the protocol or does not read; the session ends with it.
 * Evict:    EVICT (publisher) -> the reader's record says EVICTED, a barrier in all processes, its
 *           row too; REJOIN (reader) -> RING push with LSI_CTL_RING_AGAIN. The old link stays until
 *           its samples are back, then leaves as any.
 * Leave:    LINK_LEAVE (cursor is CLOSED, no sample out) -> row GONE -> reply; the client resets
 *           the cell to unset and says LINK_RESET; the cell may then be given out again.
 */
#ifndef LSI_MESSAGE_H
#define LSI_MESSAGE_H

#include <stdint.h>

#include <lshm/abi.h>

#include "ctl/layout.h"

#define LSI_CTL_BYTES_MAX 16384u
#define LSI_CTL_FDS_MAX 253u
#define LSI_CTL_UNACKED_FDS 16u
#define LSI_CTL_TEXT_BYTES 400u
#define LSI_CTL_REPLY 0x100u
#define LSI_CTL_PUSH 0x200u

enum lsi_ctl_type {
    LSI_CTL_HELLO = 1,
    LSI_CTL_BYE = 2,              /* no reply: orderly end of the session */
    LSI_CTL_MAPPED = 3,           /* no reply but to the one that ends an attach */
    LSI_CTL_PUBLISHER_OPEN = 4,
    LSI_CTL_PUBLISHER_CLOSE = 5,
    LSI_CTL_SUBSCRIBER_OPEN = 6,
    LSI_CTL_SUBSCRIBER_CLOSE = 7, /* all its links leave; samples must be back */
    LSI_CTL_LINK_LEAVE = 8,
    LSI_CTL_LINK_RESET = 9,       /* no reply */
    LSI_CTL_RECEIVED = 10,        /* no reply */
    LSI_CTL_CHANNEL = 11,         /* no reply: CHANNEL pushes to both ends follow; ask again after
                                     a change of worker */
    LSI_CTL_STATUS = 12,
    LSI_CTL_LIST = 13,
    LSI_CTL_REGION = 14,          /* inspectors: a region's read-only descriptor */
    LSI_CTL_EVICT = 15,           /* no reply: a reader gates for longer than its stall limit */
    LSI_CTL_REJOIN = 16,          /* no reply: a RING push in place of an evicted link follows; ask
                                     again after a change of worker */
    LSI_CTL_SEGMENT_ADD = 17,
    LSI_CTL_SEGMENT_REMOVE = 18,  /* no reply: all its slots are free, and it will use none */
    LSI_CTL_SEGMENT_LEFT = 19,    /* no reply: the reader has unmapped it */
    LSI_CTL_WATCH = 20,           /* inspectors: how long a topic's messages take */
    LSI_CTL_TOPIC_CLEAR = 21,     /* drops what the topic retains */
    LSI_CTL_SEGMENT_IMPORT = 22,  /* a ring is to have views of messages that its client reads */
    LSI_CTL_TYPE_END,

    LSI_CTL_PUBLISHER_MEMORY = LSI_CTL_REPLY + 0x80,
    LSI_CTL_SEGMENT_MEMORY = LSI_CTL_REPLY + 0x81,

    LSI_CTL_PUSH_BOARD_PART = LSI_CTL_PUSH + 1,
    LSI_CTL_PUSH_CONTROL_PART = LSI_CTL_PUSH + 2, /* rw: map, fallocate, MAPPED */
    LSI_CTL_PUSH_RING = LSI_CTL_PUSH + 3,
    LSI_CTL_PUSH_PEER = LSI_CTL_PUSH + 4,         /* a reader's control part, for publishers */
    LSI_CTL_PUSH_PEER_GONE = LSI_CTL_PUSH + 5,
    LSI_CTL_PUSH_CHANNEL = LSI_CTL_PUSH + 6,
    LSI_CTL_PUSH_LOOK = LSI_CTL_PUSH + 7,         /* something on the board changed: wake up */
    LSI_CTL_PUSH_WORKER = LSI_CTL_PUSH + 8,       /* a new worker: repeat the open request */
    LSI_CTL_PUSH_SEGMENT = LSI_CTL_PUSH + 9,      /* another segment of a ring that it reads */
    LSI_CTL_PUSH_SEGMENT_GONE = LSI_CTL_PUSH + 10, /* unmap it, and say so */
    LSI_CTL_PUSH_END,
};

struct lsi_ctl_header {
    uint32_t type;
    uint32_t bytes;      /* of the whole packet */
    uint64_t id;         /* request id or push number */
    int32_t status;      /* replies */
    uint32_t fds;        /* descriptors that come with it */
};

struct lsi_ctl_refusal {
    struct lsi_ctl_header header;
    char text[LSI_CTL_TEXT_BYTES]; /* one line, NUL-terminated: what, why, how to fix it */
};

#define LSI_CTL_HELLO_INSPECTOR 1u
#define LSI_CTL_HELLO_BARRIER 2u /* takes part in barriers of all processes (os/barrier.h) */
struct lsi_ctl_hello { /* its first 16 bytes after the header never change */
    struct lsi_ctl_header header;
    uint32_t abi_major;
    uint32_t abi_minor;
    uint64_t flags;
    char name[LSHM_NAME_BYTES];
};

/* Its first 8 bytes after the header never change. fds: public, board part 0, control part 0 (rw;
 * not for inspectors). */
struct lsi_ctl_hello_reply {
    struct lsi_ctl_header header;
    uint32_t abi_major;
    uint32_t abi_minor;
    uint64_t client;
    uint64_t public_bytes;
    uint64_t board_bytes;
    uint64_t control_bytes;
    uint64_t control_region;
    uint64_t worker_generation;
    uint64_t keeper_pid;
};

#define LSI_CTL_MAPPED_MAX (1u + LSI_CTL_SEGMENTS)
struct lsi_ctl_mapped {
    struct lsi_ctl_header header; /* id: of the request that brought the regions, or the push
    number;
                                     status: 0, or why it could not be mapped */
    uint32_t count;
    uint32_t pages;               /* what its writer got for segments: LSI_CTL_PAGES_… */
    uint64_t regions[LSI_CTL_MAPPED_MAX];
};

struct lsi_ctl_publisher_open {
    struct lsi_ctl_header header;
    char topic[LSHM_TOPIC_BYTES];
    uint64_t slot_bytes;  /* 0: no data segments, ever */
    uint64_t memory_max;  /* bytes of segments that it may grow to; 0: it does not grow */
    uint32_t slot_count;  /* made with the ring */
    uint32_t entry_count;
    uint32_t entry_bytes;
    uint32_t flags;       /* LSHM_RING_MAY_BLOCK, LSHM_RING_TIMESTAMPS */
    uint32_t history;
    uint32_t retain;
    uint32_t is_huge;     /* huge pages, where there are any */
    uint32_t reserved;
};

struct lsi_ctl_publisher_memory { /* fds: ring, then segment_count segments, all read-write */
    struct lsi_ctl_header header;
    uint64_t publisher;
    uint64_t topic;
    struct lsi_ctl_geometry geometry;
};

struct lsi_ctl_publisher_open_reply {
    struct lsi_ctl_header header;
    uint64_t publisher;
    uint64_t topic;
    struct lshm_ref record; /* struct lshm_board_publisher on the client's board */
};

struct lsi_ctl_port_close { /* PUBLISHER_CLOSE, SUBSCRIBER_CLOSE; the reply is a bare header */
    struct lsi_ctl_header header;
    uint64_t port;
};

struct lsi_ctl_subscriber_open {
    struct lsi_ctl_header header;
    char topic[LSHM_TOPIC_BYTES];
    uint32_t window;
    uint32_t holds;
    uint32_t flags;   /* LSHM_READER_… */
    uint32_t history;
};

struct lsi_ctl_subscriber_open_reply {
    struct lsi_ctl_header header;
    uint64_t subscriber;
    uint64_t topic;
    uint64_t rings;   /* RING pushes that came before this reply */
};

/* LINK_LEAVE (reply: bare header), LINK_RESET; link 0: all links of the subscriber. REJOIN. */
struct lsi_ctl_link {
    struct lsi_ctl_header header;
    uint64_t subscriber;
    uint64_t link;
};

struct lsi_ctl_evict {
    struct lsi_ctl_header header;
    uint64_t publisher;
    uint64_t link;
};

struct lsi_ctl_received {
    struct lsi_ctl_header header;
    uint64_t up_to; /* push number */
};

struct lsi_ctl_channel {
    struct lsi_ctl_header header;
    uint64_t peer;  /* client to be woken by the sender of this */
};

struct lsi_ctl_push_part { /* BOARD_PART (ro), CONTROL_PART (rw), PEER (ro): one descriptor */
    struct lsi_ctl_header header;
    uint64_t client;  /* whose */
    uint64_t region;
    uint64_t bytes;
    uint32_t part;
    uint32_t reserved;
};

#define LSI_CTL_RING_NEW 1u /* opened after the subscription: start at 0, else at its tail */
#define LSI_CTL_RING_AGAIN 2u /* after an eviction: start at its tail, without history */
struct lsi_ctl_push_ring { /* fds: ring, then segments, all read-only */
    struct lsi_ctl_header header;
    uint64_t subscriber;
    uint64_t link;
    uint64_t publisher;
    uint64_t client;          /* the publisher's */
    struct lshm_ref cell;     /* in the receiver's control region */
    struct lshm_ref record;   /* struct lshm_board_reader on the receiver's board */
    uint32_t flags;           /* LSI_CTL_RING_… */
    uint32_t window;          /* granted, as in its row */
    uint32_t holds;
    uint32_t retained;        /* its publisher had ended: what is left of it, the last so many; the
                                 record says DEAD */
    struct lsi_ctl_geometry geometry;
};

struct lsi_ctl_push_segment { /* SEGMENT: one descriptor, read-only; GONE: none */
    struct lsi_ctl_header header;
    uint64_t subscriber;
    uint64_t link;
    uint32_t number;
    uint32_t reserved;
    struct lsi_ctl_segment layout;
};

#define LSI_CTL_CHANNEL_SEND 1u /* this end wakes `peer`; else `peer` wakes us through it */
struct lsi_ctl_push_channel {
    struct lsi_ctl_header header;
    uint64_t peer;
    uint32_t flags;
    uint32_t reserved;
};

struct lsi_ctl_push_client { /* PEER_GONE: client; WORKER: generation; LOOK: 0 */
    struct lsi_ctl_header header;
    uint64_t value;
};

#endif
