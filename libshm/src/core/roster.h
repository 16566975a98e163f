/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A publisher's readers: the broker's roster on the board, and what the publisher keeps of each
 * row.
 *
 * MODEL  The broker alone writes the roster and bumps its version after each change. The publisher
 *        reads the version (one load of a line that rarely changes) and, when it differs, the rows.
 *        What it keeps privately per row is dropped when the row's generation changes.
 *
 * Who maps memory and allocates is the owner: it passes the operations below. Core itself makes no
 * system call. One thread at a time, as the port that owns it.
 */
#ifndef LSI_ROSTER_H
#define LSI_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

#include <lshm/abi.h>

struct lsi_reader {
    uint64_t state;               /* the row's, generation included; 0: not in use */
    const struct lshm_cell *cell; /* NULL: not mapped yet */
    const uint64_t *sleep;        /* its client's sleep word; NULL likewise */
    uint64_t client;
    uint64_t link;
    struct lshm_ref cell_ref;
    uint32_t flags;               /* LSHM_READER_… */
    uint32_t window;              /* B */
    uint32_t holds;               /* H */
    uint32_t held_count;
    uint64_t *held;               /* seqs found in its hold table at hold_version; room for H */
    uint64_t hold_version;
    uint64_t seen_cursor;         /* lossy or evicted: its cursor word at the last reclaim */
    uint64_t quarantine_end;      /* evicted: the end of what it may be reading; 0: not known yet */
    uint64_t gate_seen;           /* what the owner's stall clock last saw: where it gated, since */
    uint64_t gate_since_ns;       /* when; 0: it does not gate */
};

/* Whether the publisher waits for it. */
static inline bool lsi_reader_gates(const struct lsi_reader *reader)
{
    return (reader->state & LSHM_ROW_STATE_MASK) == LSHM_ROW_LIVE &&
           !(reader->flags & LSHM_READER_LOSSY);
}

/* Whether its window keeps slots although it does not gate. */
static inline bool lsi_reader_pins(const struct lsi_reader *reader)
{
    uint64_t state = reader->state & LSHM_ROW_STATE_MASK;

    return state == LSHM_ROW_EVICTED ||
           (state == LSHM_ROW_LIVE && reader->flags & LSHM_READER_LOSSY);
}

struct lsi_sleeper {
    const uint64_t *word;
    uint64_t client;
};

struct lsi_roster;

struct lsi_roster_operations {
    void *context;
    /* `rows` rows that start at `ref` on the own board; NULL: that part is not mapped yet. */
    const struct lshm_roster_row *(*map_rows)(void *context, struct lshm_ref ref, uint32_t rows);
    /* Sets reader->cell, sleep and held (H words); 0, or not yet: try again at the next sync. */
    int (*attach)(void *context, struct lsi_reader *reader);
    void (*detach)(void *context, struct lsi_reader *reader);
    /* Makes roster->readers, ->active and ->sleepers hold `rows`, old contents kept, new readers
     * zero; 0 or -1. */
    int (*reserve)(void *context, struct lsi_roster *roster, uint32_t rows);
    /* Makes the set of kept messages hold `count`; 0 or -1. */
    int (*reserve_kept)(void *context, uint64_t count);
    /* Wakes a client that sleeps in this generation; duplicates are the owner's to suppress. */
    void (*signal)(void *context, uint64_t client, uint64_t generation);
};

struct lsi_roster {
    const struct lshm_board_publisher *record;
    struct lsi_roster_operations operations;
    uint32_t entry_count;         /* of the ring: what an evicted reader may pin at most */
    uint64_t version;             /* as of the last sync */
    uint32_t capacity;
    uint32_t active_count;
    uint32_t *active;             /* indexes of readers that count */
    struct lsi_reader *readers;   /* by row */
    uint32_t unmapped;            /* rows that could not be attached or read yet */
    uint32_t blockers;            /* active readers that may sleep */
    uint32_t sleeper_count;
    struct lsi_sleeper *sleepers; /* the sleep words of those: all that a flush looks at */
    uint32_t pinning;             /* active readers whose windows keep slots without gating */
    bool has_lapped;              /* there has been one: entries are marked while rewritten */
    uint64_t evictions;           /* rows seen to be evicted */
    bool stamps_always;           /* the owner's choice, whatever the board says */
    bool stamps;                  /* messages are given their time */
    uint64_t kept_max;            /* messages that active readers can keep: by H, by such windows */
};

void lsi_roster_init(struct lsi_roster *roster, const struct lshm_board_publisher *record,
                     uint32_t entry_count, const struct lsi_roster_operations *operations);
/* Detaches every reader. */
void lsi_roster_clear(struct lsi_roster *roster);

/* Whether sync has something to do. One load. */
bool lsi_roster_changed(const struct lsi_roster *roster);
/* Reads the rows again. Returns how many could not be attached: while there are some, nothing may
 * be reclaimed. */
uint32_t lsi_roster_sync(struct lsi_roster *roster);

#endif
