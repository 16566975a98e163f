/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring: how one message's descriptor gets from its publisher to any number of readers.
 *
 * MODEL  Entry seq & (N-1) holds message seq. Its commit word is seq+1 from the moment the message
 *        is published until the publisher writes there again, N messages later. Readers poll the
 *        commit word of the entry they want next; nothing else is polled. (FastForward, Giacomoni
 *        et al., PPoPP 2008: the flag lies with the data, so a hand-off is one line's transfer.)
 *
 * INVARIANTS  I2 tail - committed horizon <= N
 *             I8 commit = seq+1 before and after the copy: the copy is what was published at seq
 *
 *              publish    take       together with
 *   publish    -          yes        any number of readers; one publishing thread
 *   take       yes        yes        wait-free, no store to shared memory
 */
#ifndef LSI_RING_H
#define LSI_RING_H

#include <stdbool.h>
#include <stdint.h>

#include <lshm/abi.h>

#include "base/atomic.h"
#include "base/compiler.h"

/* How far ahead the publisher fetches entries for writing: 1 to 8 measured the same, none is 1.8
 * times slower one way; in a ring of 4 the entry 4 ahead is the one just published. */
#define LSI_RING_PREFETCH_AHEAD 4u
/* How far ahead a reader that found a message fetches: the misses of a backlog overlap then, which
 * the work on each message keeps the CPU from seeing by itself (one way, batch 32: 42 ns a message
 * without, 35 with; 4 and 16 ahead: 36). */
#define LSI_RING_BACKLOG_AHEAD 8u

/* What an entry says about its message, as a private copy. */
struct lsi_descriptor {
    uint64_t handle;
    uint32_t length;
    uint32_t offset;
    uint32_t flags;
    uint32_t schema;
    uint64_t time_ns;
    uint64_t user[2];
};

struct lsi_ring_writer {
    struct lshm_ring *ring;
    unsigned char *entries;
    uint64_t tail;        /* next message */
    uint32_t mask;        /* N - 1 */
    uint32_t entry_bytes;
    bool marks_rewrites;  /* has ever had a lossy reader */
};

struct lsi_ring_reader {
    const struct lshm_ring *ring;
    const unsigned char *entries;
    uint32_t mask;
    uint32_t entry_bytes;
};

/* Takes what the broker said, not what the ring's header says. entries: entry_count of them. */
void lsi_ring_writer_init(struct lsi_ring_writer *writer, struct lshm_ring *ring, void *entries,
                          uint32_t entry_count, uint32_t entry_bytes);
void lsi_ring_reader_init(struct lsi_ring_reader *reader, const struct lshm_ring *ring,
                          const void *entries, uint32_t entry_count, uint32_t entry_bytes);

/* Bytes of payload that an entry can carry itself. */
static inline uint32_t lsi_ring_inline_bytes(uint32_t entry_bytes)
{
    return entry_bytes - (uint32_t)sizeof(struct lshm_entry);
}

/*
 * Whether message seq has been published (or passed), and its time: 0 when it has none, or was
 * passed. A look, no promise.
 */
bool lsi_ring_peek_time(const struct lsi_ring_reader *reader, uint64_t seq, uint64_t *ret_time_ns);
/* Whether message seq has been published (or passed). A look, no promise. */
bool lsi_ring_has(const struct lsi_ring_reader *reader, uint64_t seq);

static inline struct lshm_entry *lsi_ring_writer_entry(const struct lsi_ring_writer *writer,
                                                       uint64_t seq)
{
    return (struct lshm_entry *)(writer->entries +
                                 (seq & writer->mask) * (uint64_t)writer->entry_bytes);
}

static inline const struct lshm_entry *lsi_ring_reader_entry(const struct lsi_ring_reader *reader,
                                                             uint64_t seq)
{
    return (const struct lshm_entry *)(reader->entries +
                                       (seq & reader->mask) * (uint64_t)reader->entry_bytes);
}

/* DIE none: the entry's commit word decides whether any of this is looked at. */
static inline void lsi_ring_store_words(struct lshm_entry *entry, const void *payload,
                                        uint32_t bytes)
{
    uint64_t *to = (uint64_t *)(entry + 1);
    const uint64_t *from = payload;
    const uint64_t *end = from + (bytes + 7) / 8;

    /* RLX: ordered by the commit word, P1. */
    for (; end - from >= 4; from += 4, to += 4) {
        lsi_store_pair_relaxed(to, from);
        lsi_store_pair_relaxed(to + 2, from + 2);
    }
    for (; from < end; from++, to++)
        lsi_store_relaxed(to, *from); /* RLX: as above */
}

/*
 * Publishes message writer->tail. With LSHM_ENTRY_INLINE, `payload` (8-byte aligned, length rounded
 * up to 8 readable) goes into the entry. The caller has made sure that the entry is free (I2).
 */
LSI_HOT void lsi_ring_publish(struct lsi_ring_writer *writer,
                              const struct lsi_descriptor *descriptor, const void *payload)
{
    struct lshm_entry *entry = lsi_ring_writer_entry(writer, writer->tail);
    const unsigned char *next;

    if (writer->marks_rewrites) {
        /* RLX: ordered before the fields below by the fence. */
        lsi_store_relaxed(&entry->commit, writer->tail);
        /* DIE K1: entry marked as being rewritten. It reads as "nothing yet"; the message that was
         * there was given up already. The broker's final tail stops here. */
        /* ORD P0 release -> C2: a reader that copied one of the new fields finds the mark when it
         * looks again; without it, it takes a mixture for the old message. */
        lsi_fence_release();
    }
    /* The payload's line first: once the first store to the descriptor's line is visible, readers
     * that poll it take the line back, so nothing should stand between that store and the commit
     * word. */
    if (descriptor->flags & LSHM_ENTRY_INLINE)
        lsi_ring_store_words(entry, payload, descriptor->length);
    /* RLX: all fields are ordered by the commit word, P1. */
    lsi_store_relaxed(&entry->handle, descriptor->handle);
    lsi_store_relaxed(&entry->length, descriptor->length);
    lsi_store_relaxed(&entry->offset, descriptor->offset);
    lsi_store_relaxed(&entry->flags, descriptor->flags);
    lsi_store_relaxed(&entry->schema, descriptor->schema);
    lsi_store_relaxed(&entry->time_ns, descriptor->time_ns);
    lsi_store_relaxed(&entry->user[0], descriptor->user[0]);
    lsi_store_relaxed(&entry->user[1], descriptor->user[1]);
    /* DIE K2: entry filled, not committed. Nobody sees it; slot and entry go with the publisher. */

    writer->tail++;
    /* ORD P1 release -> C1: publishes the descriptor and the payload it names; without it C1 reads
     * a message that is not there yet. */
    lsi_store_release(&entry->commit, writer->tail);
    /* DIE K3: committed, nobody told. Readers that poll see it; a sleeper learns of it with the
     * notice of this death, and the final tail counts it. */

    next = (const unsigned char *)lsi_ring_writer_entry(writer, writer->tail - 1 +
                                                                    LSI_RING_PREFETCH_AHEAD);
    LSI_PREFETCH_WRITE(next);
    if (writer->entry_bytes > sizeof *entry)
        LSI_PREFETCH_WRITE(next + sizeof *entry);
}

static inline void lsi_ring_load_words(const struct lshm_entry *entry, void *block, uint32_t bytes)
{
    const uint64_t *from = (const uint64_t *)(entry + 1);
    uint64_t *to = block;
    const uint64_t *end = from + (bytes + 7) / 8;

    /* RLX: ordered by C1 and C2. */
    for (; end - from >= 4; from += 4, to += 4) {
        lsi_load_pair_relaxed(to, from);
        lsi_load_pair_relaxed(to + 2, from + 2);
    }
    for (; from < end; from++, to++)
        *to = lsi_load_relaxed(from); /* RLX: as above */
}

/*
 * Copies message seq's descriptor, and an inline payload into `block` (room for inline_bytes).
 * LSI_RING_…; after CORRUPT the descriptor is not to be used.
 */
#define LSI_RING_TAKEN 1
#define LSI_RING_NOTHING 0
#define LSI_RING_LAPPED (-1)  /* the entry has a later message */
#define LSI_RING_CORRUPT (-2) /* an inline payload larger than its entry */
LSI_HOT int lsi_ring_take(const struct lsi_ring_reader *reader, uint64_t seq,
                          struct lsi_descriptor *ret_descriptor, void *block)
{
    const struct lshm_entry *entry = lsi_ring_reader_entry(reader, seq), *ahead;
    struct lsi_descriptor *d = ret_descriptor;
    bool too_long = false;
    uint64_t commit;

    if (reader->entry_bytes > sizeof *entry)
        LSI_PREFETCH_READ(entry + 1);
    /* ORD C1 acquire <- P1 */
    commit = lsi_load_acquire(&entry->commit);
    if (commit != seq + 1)
        return commit > seq + 1 ? LSI_RING_LAPPED : LSI_RING_NOTHING;
    ahead = lsi_ring_reader_entry(reader, seq + LSI_RING_BACKLOG_AHEAD);
    LSI_PREFETCH_READ(ahead);
    if (reader->entry_bytes > sizeof *entry)
        LSI_PREFETCH_READ(ahead + 1);

    /* RLX: after C1; each word is read once, what it says is checked by the caller. */
    d->handle = lsi_load_relaxed(&entry->handle);
    d->length = lsi_load_relaxed(&entry->length);
    d->offset = lsi_load_relaxed(&entry->offset);
    d->flags = lsi_load_relaxed(&entry->flags);
    d->schema = lsi_load_relaxed(&entry->schema);
    d->time_ns = lsi_load_relaxed(&entry->time_ns);
    d->user[0] = lsi_load_relaxed(&entry->user[0]);
    d->user[1] = lsi_load_relaxed(&entry->user[1]);
    if (d->flags & LSHM_ENTRY_INLINE) {
        too_long = d->length > lsi_ring_inline_bytes(reader->entry_bytes);
        if (!too_long)
            lsi_ring_load_words(entry, block, d->length);
    }

    /* ORD C2 acquire <- P0: what was copied is older than this look at the commit word. */
    lsi_fence_acquire();
    /* RLX: after C2. */
    if (lsi_load_relaxed(&entry->commit) != seq + 1) {
        /* ORD C3 acquire <- G2: who asks next why this was written over finds the answer on the
         * board; without it, an eviction looks like a publisher that breaks the rules. */
        lsi_fence_acquire();
        return LSI_RING_LAPPED;
    }
    return too_long ? LSI_RING_CORRUPT : LSI_RING_TAKEN;
}

#endif
