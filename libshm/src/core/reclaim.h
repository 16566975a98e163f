/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A publisher's account of its messages, and how slots come home.
 *
 * MODEL  A slot that was published stays in the window until every lossless reader's cursor has
 *        passed its message, then in limbo while some reader's hold names it, or in quarantine
 *        while it lies in the window of a reader that does not gate (lossy, evicted), then it is
 *        free. The publisher finds that out by reading its readers' cells, in batches; nobody tells
 *        it. The cursor is the epoch of epoch-based reclamation, with one domain per ring
 *        (design.md, section 4, Reclaim; the study: algorithms.md, 1d, 3.4 and 3.6).
 *
 * INVARIANTS  I1 committed <= every live lossless cursor <= tail
 *             I2 tail + loans - committed <= N
 *             I3 a slot is in exactly one state
 *             I4 a slot under a live window, quarantine or hold is never free or loaned
 *
 * `committed` is the private truth, never decreases, and clamps every cursor from below, also that
 * of a reader seen for the first time. The shared horizon may run ahead of it between steps b and
 * e.
 *
 * One thread at a time, as the port that owns it. No allocation: the owner passes the arrays.
 */
#ifndef LSI_RECLAIM_H
#define LSI_RECLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "core/ring.h"
#include "core/roster.h"
#include "core/seqset.h"
#include "core/slots.h"

struct lsi_limbo {
    uint64_t seq;
    uint32_t slot;
    uint32_t reserved;
};

struct lsi_publication {
    struct lsi_ring_writer writer;
    struct lsi_slots slots;
    struct lsi_roster roster;
    uint64_t committed;        /* messages below are given up: their entries may be reused */
    uint32_t history;          /* messages kept for newcomers */
    uint32_t spared;           /* … that lossy readers are not made to pass, for now */
    uint32_t *slot_of;         /* N entries: slot of message seq & (N-1), or LSI_SLOT_NONE */
    struct lsi_limbo *limbo;   /* passed, but kept: limbo and quarantine; room for every slot */
    uint32_t limbo_count;
    struct lsi_seqset kept;    /* what any reader keeps; words NULL until a reader can */
    void (*drop_view)(void *owner, uint32_t slot); /* nobody uses this view any more */
    void *owner;
    uint64_t bytes;            /* payload bytes published */
    uint64_t reclaims;         /* passes */
};

/*
 * Tries to move the horizon by at least `gain` messages and to empty the limbo. Past lossy readers
 * it goes no further than it must, in batches. Returns the number of slots freed. Steps a to f of
 * design.md; steps b and c are skipped when nothing could be gained.
 */
uint32_t lsi_reclaim(struct lsi_publication *publication, uint64_t gain);

/* Entries free for one more message beyond `loans` promised ones. */
static inline bool lsi_publication_has_entry(const struct lsi_publication *p, uint64_t loans)
{
    return p->writer.tail + loans - p->committed <= p->writer.mask;
}

/*
 * Publishes what `descriptor` says; slot is the one its handle names, or LSI_SLOT_NONE with an
 * inline payload. The entry must be free. Readers that poll see it at once; sleepers after the
 * flush.
 */
LSI_HOT void lsi_publication_publish(struct lsi_publication *p,
                                     const struct lsi_descriptor *descriptor,
                                     const void *payload, uint32_t slot)
{
    LSI_INVARIANT(2, p->writer.tail - p->committed <= p->writer.mask);
    p->slot_of[p->writer.tail & p->writer.mask] = slot;
    if (!(slot & LSI_SLOT_VIEW)) /* nor LSI_SLOT_NONE */
        lsi_slots_move(&p->slots, slot, LSHM_SLOT_WINDOW);
    p->bytes += descriptor->length;
    lsi_ring_publish(&p->writer, descriptor, payload);
}

/* Once per batch: the tail hint, and a signal to each reader that sleeps. */
void lsi_publication_flush(struct lsi_publication *publication);

/*
 * The smallest cursor word (position + 1) whose arrival would let `gain` messages go, for the
 * waiting word: readers at or past it signal. 0 when there is that much room now.
 */
uint64_t lsi_publication_wanted(const struct lsi_publication *publication, uint64_t gain);

/* The smallest seq that this reader may still use, clamped to [committed, tail]. */
uint64_t lsi_publication_gate_of(const struct lsi_publication *publication,
                                 const struct lsi_reader *reader);
/* The smallest seq that any lossless reader may still use, clamped to [committed, tail]. */
uint64_t lsi_publication_gate(const struct lsi_publication *publication);
/* Whether a reclaim that is to gain one message, or to empty the limbo, could. Only looks. */
bool lsi_publication_may_gain(const struct lsi_publication *publication);
/* Whether the last reclaim could find more now: a hold dropped, a window moved. Only looks. */
bool lsi_publication_may_free(const struct lsi_publication *publication);

#endif
