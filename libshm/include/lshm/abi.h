/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared layout: every byte that two processes see, and who writes it.
 *
 * RULES
 *   One writer.    Each word has one writing process for its whole life; each memfd too. The column
 *                  "writer" below names it. Everyone else maps the memfd read-only, and the memfd
 *                  is sealed so that this cannot be changed (libshm/doc/design.md, section 3).
 *   Not trusted.   What another process writes is input. Readers copy a word once, check it against
 *                  what the broker told them, and then use the copy. Sizes, counts and offsets of a
 *                  region come from the broker's messages; the header is for inspectors only.
 *   Lines.         Words with different writers, and words polled for different reasons, lie on
 *                  different lines of LSHM_LINE_BYTES (two cache lines: CPUs prefetch pairs).
 *   Plain words.   Fixed-width little-endian integers. Fresh memory is zero and zero always means
 *                  "nothing yet". Names starting with reserved_ must be zero.
 *
 * REGIONS (one memfd each)                                writer       mapped read-only by
 *   public region   struct lshm_public                    broker       every client
 *   board           parts: header, then lines             broker       its client
 *   control region  parts: header, then lines             its client   broker, publishers it reads
 *   ring            struct lshm_ring, states, entries     publisher    its subscribers, broker
 *   data segment    slots, nothing else                   publisher    its subscribers, broker
 *
 * Boards and control regions grow by numbered parts (part 0, 1, 2 …), each a memfd of its own. What
 * lies inside is named by a reference: part number and line number (struct lshm_ref). A roster
 * grows by parts as well: part k is one run of LSHM_ROSTER_ROWS << k rows on one board part.
 */
#ifndef LSHM_ABI_H
#define LSHM_ABI_H

#include <stddef.h>
#include <stdint.h>

#include <lshm/version.h>

#define LSHM_LINE_BYTES 128u

/* Region kinds, and the magic that opens each region ("lshm" and the kind). */
#define LSHM_REGION_MAGIC 0x6d68736cu
#define LSHM_REGION_PUBLIC 1u
#define LSHM_REGION_BOARD 2u
#define LSHM_REGION_CONTROL 3u
#define LSHM_REGION_RING 4u
#define LSHM_REGION_SEGMENT 5u /* segments carry no header; the number is used in messages */

/* Limits of the layout. Defaults and run-time quotas are the broker's (lshm status). */
#define LSHM_TOPIC_BYTES 128u       /* name with its closing NUL */
#define LSHM_NAME_BYTES 64u         /* a client's name, likewise */
#define LSHM_ROSTER_ROWS 16u        /* rows of roster part 0; part k has twice as many as part k-1*/
#define LSHM_ROSTER_PARTS 12u       /* 16 * (2^12 - 1) = 65,520 readers of one publisher */
#define LSHM_RING_ENTRIES_MIN 4u
#define LSHM_RING_ENTRIES_MAX 65536u
#define LSHM_ENTRY_BYTES_MIN 64u    /* a descriptor and no room for a payload */
#define LSHM_ENTRY_BYTES_MAX 1024u
#define LSHM_WINDOW_MAX 4096u       /* B */
#define LSHM_HOLDS_MAX 1024u        /* H */
#define LSHM_SEGMENTS_MAX 1024u     /* data segments that one ring may name */
#define LSHM_SLOTS_MAX 16777216u    /* slots of one segment: 24 bits of a handle */

/* A reference to a line of a board or control part; UINT32_MAX in part means "none". */
struct lshm_ref {
    uint32_t part;
    uint32_t line;
};

/*
 * REGION HEADER, 64 bytes, first in every region but data segments.
 */
struct lshm_region_header {
    /*                           off writer meaning */
    uint32_t magic;            /*  0 owner  LSHM_REGION_MAGIC */
    uint16_t abi_major;        /*  4 owner  LSHM_ABI_MAJOR of the writer */
    uint16_t abi_minor;        /*  6 owner */
    uint32_t kind;             /*  8 owner  LSHM_REGION_… */
    uint32_t part;             /* 12 owner  number of this part, 0 for regions without parts */
    uint64_t bytes;            /* 16 owner  size of the region */
    uint64_t region;           /* 24 owner  the broker's number for it, never reused */
    uint64_t client;           /* 32 owner  client it belongs to, 0 for the public region */
    uint64_t reserved_40[3];   /* 40        zero */
};

/*
 * PUBLIC REGION. Written by the broker, read by all.
 */
struct lshm_public {
    struct lshm_region_header header; /*   0 broker */
    uint64_t features;                /*  64 broker LSHM_FEATURE_… bits in force */
    uint64_t start_ns;                /*  72 broker CLOCK_REALTIME when the keeper started */
    uint64_t clients_max;             /*  80 broker quotas and defaults, for lshm status */
    uint64_t slots_bytes_max;         /*  88 broker data bytes one client may own */
    uint64_t reserved_96[4];          /*  96        zero */
    uint64_t worker_generation;       /* 128 broker +1 whenever a new worker took over */
    uint64_t draining;                /* 136 broker not 0: the broker was told to stop */
    uint64_t reserved_144[14];        /* 144        zero */
    uint64_t flag_version;            /* 256 broker feature flags: version, then words */
    uint64_t flags[31];               /* 264 broker */
};

/*
 * BOARD PART. Line 0 is the header; in part 0, line 1 holds what is looked at on every call.
 * All other lines are given out to the records below.
 */
struct lshm_board {
    struct lshm_region_header header; /*   0 broker */
    uint64_t reserved_64[8];          /*  64        zero */
    uint64_t pushed;                  /* 128 broker messages pushed to this client so far; more
                                                    than it has read: read the control socket */
    uint64_t reserved_136[15];        /* 136        zero */
};
#define LSHM_BOARD_FIRST_LINE_PART0 2u
#define LSHM_BOARD_FIRST_LINE 1u

/*
 * PUBLISHER RECORD, one line on the publisher's own board: whom it must wait for.
 */
struct lshm_board_publisher {
    uint64_t roster_version;    /*  0 broker +1 after any change of a row or of the directory */
    uint64_t publisher;         /*  8 broker the port's number */
    uint64_t topic;             /* 16 broker the topic's number */
    uint32_t roster_parts;      /* 24 broker parts in the directory */
    uint32_t flags;             /* 28 broker LSHM_BOARD_…; changed before the version is */
    struct lshm_ref roster[LSHM_ROSTER_PARTS]; /* 32 broker where each part's run of rows starts */
};

#define LSHM_BOARD_WATCHED 1u      /* somebody wants to know how long messages take: stamp them */

/*
 * ROSTER ROW, 64 bytes: one reader of one publisher. state is generation << 8 | LSHM_ROW_….
 *
 *   FREE -> LIVE -> GONE -> FREE'      FREE' has the next generation
 *            |  \-> EVICTED -> GONE
 *            \----> ORPHAN --> GONE
 *
 * To use a row again: state GONE of a new generation, release fence, the other fields, state
 * (release), then roster_version + 1 (release). Within a generation only the state changes, in one
 * store (an orphan's mask before it): a LIVE row that showed GONE for an instant would lose what
 * its publisher keeps for it. To read one: state (acquire), fields, acquire fence, the same state
 * again, else once more.
 */
#define LSHM_ROW_FREE 0u
#define LSHM_ROW_LIVE 1u
#define LSHM_ROW_EVICTED 2u
#define LSHM_ROW_ORPHAN 3u
#define LSHM_ROW_GONE 4u
#define LSHM_ROW_STATE_MASK 0xffu
#define LSHM_ROW_GENERATION_SHIFT 8u

#define LSHM_READER_LOSSY 1u       /* may be lapped; never gates */
#define LSHM_READER_MAY_BLOCK 2u   /* sleeps: look at its sleep word after a flush */
#define LSHM_READER_NO_LOCAL 4u    /* wants nothing of its own client */
#define LSHM_READER_EVICTABLE 8u   /* no membarrier: its quarantine is the whole ring */

struct lshm_roster_row {
    uint64_t state;             /*  0 broker generation << 8 | LSHM_ROW_… */
    uint64_t client;            /*  8 broker the reader's client number */
    struct lshm_ref cell;       /* 16 broker its cell: part and line of that client */
    uint64_t link;              /* 24 broker number of this (subscription, publisher) pair */
    uint32_t flags;             /* 32 broker LSHM_READER_… */
    uint32_t window;            /* 36 broker B */
    uint32_t holds;             /* 40 broker H */
    uint32_t reserved_44;       /* 44        zero */
    uint64_t orphan_mask;       /* 48 broker ORPHAN: hold entries that still count */
    uint64_t reserved_56;       /* 56        zero */
};

/*
 * READER RECORD, one line on the subscriber's board for each ring it reads.
 *
 *   LIVE -> DEAD (final_tail is set first) -> FREE
 *     \--> EVICTED -> FREE
 */
#define LSHM_LINK_FREE 0u
#define LSHM_LINK_LIVE 1u
#define LSHM_LINK_DEAD 2u     /* the publisher is gone; nothing at or past final_tail exists */
#define LSHM_LINK_EVICTED 3u  /* nothing more may be taken through this cell */
struct lshm_board_reader {
    uint64_t state;             /*  0 broker LSHM_LINK_… */
    uint64_t link;              /*  8 broker number of the pair */
    uint64_t final_tail;        /* 16 broker valid once DEAD; EVICTED: once it is not 0 */
    uint64_t closing_floor;     /* 24 broker messages below are closed to a lossy reader */
    uint64_t publisher;         /* 32 broker the port's number */
    uint64_t segments;          /* 40 broker bit n: the ring may name its segment n + 1, which this
                                             client has, or which is on its way to it */
    uint64_t histogram;         /* 48 broker (part + 1) << 32 | line of its struct lshm_histogram:
                                             count there how long messages took; 0: do not */
    uint64_t reserved_56[9];    /* 56        zero */
};

/*
 * CONTROL PART. Line 0 is the header; in part 0, line 1 is the sleep word's and line 2 has the
 * client's counters. All other lines are given out, by the broker, to reader cells.
 */
struct lshm_control {
    struct lshm_region_header header; /*   0 client */
    uint64_t reserved_64[8];          /*  64        zero */
    uint64_t sleep;                   /* 128 client generation; odd: it sleeps, or is about to */
    uint64_t reserved_136[15];        /* 136        zero */
    uint64_t sleeps;                  /* 256 client times it went to sleep */
    uint64_t wakes_sent;              /* 264 client wake-ups it sent */
    uint64_t wakes_full;              /* 272 client … that found the channel full already */
    uint64_t maps;                    /* 280 client peer regions it has mapped now */
    uint64_t reserved_288[12];        /* 288        zero */
};
#define LSHM_CONTROL_FIRST_LINE_PART0 3u
#define LSHM_CONTROL_FIRST_LINE 1u

/*
 * READER CELL: LSHM_CELL_LINES lines, and behind them the hold table: H times struct lshm_hold.
 * Line 0 is what publishers look at. Messages from the cursor to the reader's private position are
 * its window: at most B.
 */
#define LSHM_CURSOR_UNSET 0u               /* not joined yet: pins what the publisher committed */
#define LSHM_CURSOR_CLOSED UINT64_MAX      /* pins nothing any more, except by its holds */
struct lshm_hold {
    uint64_t seq_plus_1;        /*  0 client message kept, 0: none. Never moves inside the table */
    uint64_t since_ns;          /*  8 client CLOCK_MONOTONIC_COARSE when it became a hold */
};
struct lshm_cell {
    uint64_t cursor;            /*   0 client n+1: messages from n on may be in use; 0 unset */
    uint64_t hold_version;      /*   8 client +1 after each change of the hold table */
    uint64_t borrow;            /*  16 client lossy readers: end of what they may touch */
    uint64_t reserved_24[13];   /*  24        zero */
    uint64_t link;              /* 128 client the pair this cell serves, for inspectors */
    uint64_t position;          /* 136 client next message to take: a hint for inspectors */
    uint64_t taken;             /* 144 client messages taken */
    uint64_t lost_start;        /* 152 client … lost before a start raised from 0 */
    uint64_t lost_lapped;       /* 160 client … lapped (lossy) */
    uint64_t lost_limit;        /* 168 client … skipped by a queue limit */
    uint64_t lost_evicted;      /* 176 client … lost by eviction */
    uint64_t lost_corrupt;      /* 184 client … whose descriptor was not valid */
    uint64_t holds_made;        /* 192 client samples that became holds */
    uint64_t reserved_200[7];   /* 200        zero */
};
#define LSHM_CELL_LINES 2u
#define LSHM_HOLDS_PER_LINE 8u

/*
 * HISTOGRAM of the time from a message's stamp to its take, in ns, on LSHM_HISTOGRAM_LINES lines of
 * the reader's control region; only for links that somebody watches, or once did. Log-linear, as
 * HdrHistogram's buckets (G. Tene, https://github.com/HdrHistogram/HdrHistogram): one for each
 * value below 8, then eight for each power of two. They only grow while the link lasts: who wants
 * to know of a span of time subtracts what was there at its beginning. A copy is of no one instant:
 * its total is the sum of the buckets copied, and nothing else.
 */
#define LSHM_HISTOGRAM_BUCKETS 496u
struct lshm_histogram {
    uint64_t link;              /*   0 client the pair counted here; 0: nothing is to be believed */
    uint64_t untimed;           /*   8 client messages without a time, not counted below */
    uint64_t max;               /*  16 client the largest value */
    uint64_t reserved_24[13];   /*  24        zero */
    uint64_t buckets[LSHM_HISTOGRAM_BUCKETS]; /* 128 client messages by what they took */
};
#define LSHM_HISTOGRAM_LINES 32u

/*
 * RING. Header lines, one state byte per slot, then the entries. The offsets of the last two are in
 * the broker's message (and here, for inspectors).
 */
#define LSHM_WAITING_NONE 0u
#define LSHM_WAITING_ANY UINT64_MAX        /* lacks a slot: any release or drop may help */
struct lshm_ring {
    struct lshm_region_header header; /*   0 publisher */
    uint64_t publisher;         /*  64 publisher the port's number */
    uint32_t entry_count;       /*  72 publisher N, a power of two */
    uint32_t entry_bytes;       /*  76 publisher 64 … 1024, a multiple of 64 */
    uint64_t entries_offset;    /*  80 publisher */
    uint64_t states_offset;     /*  88 publisher */
    uint64_t slot_bytes;        /*  96 publisher of its largest slots */
    uint32_t slot_count;        /* 104 publisher state bytes: slots of all segments at most */
    uint32_t flags;             /* 108 publisher LSHM_RING_… */
    uint32_t history;           /* 112 publisher messages that a newcomer gets */
    uint32_t retain;            /* 116 publisher messages that outlive the publisher */
    uint64_t reserved_120;      /* 120           zero */
    uint64_t tail;              /* 128 publisher a hint, stored after the commit words; readers
                                                 use the commit words */
    uint64_t reserved_136[15];  /* 136           zero */
    uint64_t horizon;           /* 256 publisher messages below may be gone */
    uint64_t reserved_264[15];  /* 264           zero */
    uint64_t waiting;           /* 384 publisher cursor word it waits for, or LSHM_WAITING_… */
    uint64_t waiting_generation;/* 392 publisher +1 before each wait */
    uint64_t reserved_400[14];  /* 400           zero */
    uint64_t bytes_published;   /* 512 publisher payload bytes */
    uint64_t loans;             /* 520 publisher loans given */
    uint64_t aborts;            /* 528 publisher loans given back unpublished */
    uint64_t refused;           /* 536 publisher loans refused because readers gate */
    uint64_t reclaims;          /* 544 publisher reclaim passes */
    uint64_t slots_free;        /* 552 publisher slots by state, as of its last call */
    uint64_t slots_loaned;      /* 560 publisher */
    uint64_t slots_window;      /* 568 publisher */
    uint64_t slots_limbo;       /* 576 publisher */
    uint64_t slots_quarantine;  /* 584 publisher */
    uint64_t unmapped_rows;     /* 592 publisher readers whose cells it could not map yet */
    uint64_t dropped;           /* 600 publisher messages dropped for want of room */
    uint64_t reserved_608[4];   /* 608           zero */
};
#define LSHM_RING_MAY_BLOCK 1u             /* the publisher sleeps when full: look at waiting */
#define LSHM_RING_TIMESTAMPS 2u            /* messages carry their time */
#define LSHM_RING_LOSSY_READERS 4u         /* has ever had one: entries are marked while rewritten*/

/* Slot states, one byte each, at states_offset. */
#define LSHM_SLOT_FREE 0u
#define LSHM_SLOT_LOANED 1u
#define LSHM_SLOT_WINDOW 2u
#define LSHM_SLOT_LIMBO 3u
#define LSHM_SLOT_QUARANTINE 4u

/*
 * ENTRY: the descriptor of one message, and behind it, in larger entries, room for a small payload.
 * Message seq is at index seq & (N-1). commit is seq+1 once it is published: that store is the
 * publication. seq (one less) means "being rewritten" on rings that have had lossy readers.
 */
#define LSHM_ENTRY_INLINE 1u               /* the payload is in the entry; handle is 0 */
#define LSHM_ENTRY_VIEW 2u                 /* handle names a slot of another publisher */
#define LSHM_ENTRY_TIME 4u                 /* time_ns is set */
#define LSHM_ENTRY_USER_SHIFT 16u          /* the upper 16 bits of flags are the application's */
struct lshm_entry {
    uint64_t commit;            /*  0 publisher seq + 1 */
    uint64_t handle;            /*  8 publisher segment << 48 | generation << 24 | slot */
    uint32_t length;            /* 16 publisher payload bytes */
    uint32_t offset;            /* 20 publisher where in the slot */
    uint32_t flags;             /* 24 publisher LSHM_ENTRY_… */
    uint32_t schema;            /* 28 publisher schema version, 0: none */
    uint64_t time_ns;           /* 32 publisher CLOCK_MONOTONIC */
    uint64_t user[2];           /* 40 publisher the application's */
    uint64_t reserved_56;       /* 56           zero */
};

#define LSHM_HANDLE_SEGMENT_SHIFT 48u
#define LSHM_HANDLE_GENERATION_SHIFT 24u
#define LSHM_HANDLE_FIELD_MASK 0xffffffu

#ifdef __cplusplus
#define LSHM_LAYOUT_ASSERT(type, field, offset)                                                    \
    static_assert(offsetof(struct type, field) == (offset), #type "." #field);
#define LSHM_SIZE_ASSERT(type, bytes) static_assert(sizeof(struct type) == (bytes), #type);
#else
#define LSHM_LAYOUT_ASSERT(type, field, offset)                                                    \
    _Static_assert(offsetof(struct type, field) == (offset), #type "." #field);
#define LSHM_SIZE_ASSERT(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type);
#endif

/*
 * Every field and size once more as data: X(structure, field, offset) and Y(structure, bytes).
 * The asserts below and layout-v1.json are both made from this list.
 */
#define LSHM_LAYOUT(X, Y)                                                                          \
    X(lshm_ref, part, 0) X(lshm_ref, line, 4) Y(lshm_ref, 8)                                       \
    X(lshm_region_header, magic, 0) X(lshm_region_header, abi_major, 4)                            \
    X(lshm_region_header, abi_minor, 6) X(lshm_region_header, kind, 8)                             \
    X(lshm_region_header, part, 12) X(lshm_region_header, bytes, 16)                               \
    X(lshm_region_header, region, 24) X(lshm_region_header, client, 32)                            \
    X(lshm_region_header, reserved_40, 40) Y(lshm_region_header, 64)                               \
    X(lshm_public, header, 0) X(lshm_public, features, 64) X(lshm_public, start_ns, 72)            \
    X(lshm_public, clients_max, 80) X(lshm_public, slots_bytes_max, 88)                            \
    X(lshm_public, reserved_96, 96) X(lshm_public, worker_generation, 128)                         \
    X(lshm_public, draining, 136) X(lshm_public, reserved_144, 144)                                \
    X(lshm_public, flag_version, 256) X(lshm_public, flags, 264) Y(lshm_public, 512)               \
    X(lshm_board, header, 0) X(lshm_board, reserved_64, 64) X(lshm_board, pushed, 128)             \
    X(lshm_board, reserved_136, 136) Y(lshm_board, 256)                                            \
    X(lshm_board_publisher, roster_version, 0) X(lshm_board_publisher, publisher, 8)               \
    X(lshm_board_publisher, topic, 16) X(lshm_board_publisher, roster_parts, 24)                   \
    X(lshm_board_publisher, flags, 28) X(lshm_board_publisher, roster, 32)                         \
    Y(lshm_board_publisher, 128)                                                                   \
    X(lshm_roster_row, state, 0) X(lshm_roster_row, client, 8) X(lshm_roster_row, cell, 16)        \
    X(lshm_roster_row, link, 24) X(lshm_roster_row, flags, 32) X(lshm_roster_row, window, 36)      \
    X(lshm_roster_row, holds, 40) X(lshm_roster_row, reserved_44, 44)                              \
    X(lshm_roster_row, orphan_mask, 48) X(lshm_roster_row, reserved_56, 56)                        \
    Y(lshm_roster_row, 64)                                                                         \
    X(lshm_board_reader, state, 0) X(lshm_board_reader, link, 8)                                   \
    X(lshm_board_reader, final_tail, 16) X(lshm_board_reader, closing_floor, 24)                   \
    X(lshm_board_reader, publisher, 32) X(lshm_board_reader, segments, 40)                         \
    X(lshm_board_reader, histogram, 48) X(lshm_board_reader, reserved_56, 56)                      \
    Y(lshm_board_reader, 128)                                                                      \
    X(lshm_control, header, 0) X(lshm_control, reserved_64, 64) X(lshm_control, sleep, 128)        \
    X(lshm_control, reserved_136, 136) X(lshm_control, sleeps, 256)                                \
    X(lshm_control, wakes_sent, 264) X(lshm_control, wakes_full, 272)                              \
    X(lshm_control, maps, 280) X(lshm_control, reserved_288, 288) Y(lshm_control, 384)             \
    X(lshm_hold, seq_plus_1, 0) X(lshm_hold, since_ns, 8) Y(lshm_hold, 16)                         \
    X(lshm_cell, cursor, 0) X(lshm_cell, hold_version, 8) X(lshm_cell, borrow, 16)                 \
    X(lshm_cell, reserved_24, 24) X(lshm_cell, link, 128) X(lshm_cell, position, 136)              \
    X(lshm_cell, taken, 144) X(lshm_cell, lost_start, 152) X(lshm_cell, lost_lapped, 160)          \
    X(lshm_cell, lost_limit, 168) X(lshm_cell, lost_evicted, 176)                                  \
    X(lshm_cell, lost_corrupt, 184) X(lshm_cell, holds_made, 192)                                  \
    X(lshm_cell, reserved_200, 200) Y(lshm_cell, 256)                                              \
    X(lshm_histogram, link, 0) X(lshm_histogram, untimed, 8) X(lshm_histogram, max, 16)            \
    X(lshm_histogram, reserved_24, 24) X(lshm_histogram, buckets, 128) Y(lshm_histogram, 4096)     \
    X(lshm_ring, header, 0) X(lshm_ring, publisher, 64) X(lshm_ring, entry_count, 72)              \
    X(lshm_ring, entry_bytes, 76) X(lshm_ring, entries_offset, 80)                                 \
    X(lshm_ring, states_offset, 88) X(lshm_ring, slot_bytes, 96) X(lshm_ring, slot_count, 104)     \
    X(lshm_ring, flags, 108) X(lshm_ring, history, 112) X(lshm_ring, retain, 116)                  \
    X(lshm_ring, reserved_120, 120) X(lshm_ring, tail, 128) X(lshm_ring, reserved_136, 136)        \
    X(lshm_ring, horizon, 256) X(lshm_ring, reserved_264, 264) X(lshm_ring, waiting, 384)          \
    X(lshm_ring, waiting_generation, 392) X(lshm_ring, reserved_400, 400)                          \
    X(lshm_ring, bytes_published, 512) X(lshm_ring, loans, 520) X(lshm_ring, aborts, 528)          \
    X(lshm_ring, refused, 536) X(lshm_ring, reclaims, 544) X(lshm_ring, slots_free, 552)           \
    X(lshm_ring, slots_loaned, 560) X(lshm_ring, slots_window, 568)                                \
    X(lshm_ring, slots_limbo, 576) X(lshm_ring, slots_quarantine, 584)                             \
    X(lshm_ring, unmapped_rows, 592) X(lshm_ring, dropped, 600)                                    \
    X(lshm_ring, reserved_608, 608) Y(lshm_ring, 640)                                              \
    X(lshm_entry, commit, 0) X(lshm_entry, handle, 8) X(lshm_entry, length, 16)                    \
    X(lshm_entry, offset, 20) X(lshm_entry, flags, 24) X(lshm_entry, schema, 28)                   \
    X(lshm_entry, time_ns, 32) X(lshm_entry, user, 40) X(lshm_entry, reserved_56, 56)              \
    Y(lshm_entry, 64)

LSHM_LAYOUT(LSHM_LAYOUT_ASSERT, LSHM_SIZE_ASSERT)

#endif
