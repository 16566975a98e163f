/* SPDX-License-Identifier: Apache-2.0 */
#include "core/reclaim.h"

#include "base/atomic.h"
#include "base/check.h"
#include "base/compiler.h"

/* Where this reader gates: a hostile cursor hurts its own owner only, since it is clamped. */
uint64_t lsi_publication_gate_of(const struct lsi_publication *p, const struct lsi_reader *reader)
{
    uint64_t cursor;

    if (reader->cell == NULL)
        return p->committed;
    /* ORD G1 acquire <- R1: what the reader did below its cursor is over, and the holds that
     * replace it are in its table. */
    cursor = lsi_load_acquire(&reader->cell->cursor);
    if (cursor == LSHM_CURSOR_UNSET || cursor - 1 < p->committed)
        return p->committed;
    return cursor - 1 > p->writer.tail ? p->writer.tail : cursor - 1;
}

uint64_t lsi_publication_gate(const struct lsi_publication *p)
{
    uint64_t lowest = p->writer.tail;

    for (uint32_t i = 0; i < p->roster.active_count; i++) {
        uint64_t gate = lsi_publication_gate_of(p, &p->roster.readers[p->roster.active[i]]);

        if (gate < lowest)
            lowest = gate;
    }
    return lowest;
}

uint64_t lsi_publication_wanted(const struct lsi_publication *p, uint64_t gain)
{
    uint64_t goal = p->committed + gain;

    return lsi_publication_gate(p) >= goal ? 0 : goal + 1;
}

/* Copies the reader's hold table if it changed. */
static void scan_holds(struct lsi_reader *reader)
{
    const struct lshm_hold *table;
    uint64_t version;

    /* ORD G3 acquire <- R3: the version is read before the table and remembered as of then. */
    version = lsi_load_acquire(&reader->cell->hold_version);
    if (version == reader->hold_version)
        return;
    reader->hold_version = version;
    reader->held_count = 0;
    table = (const struct lshm_hold *)(reader->cell + 1);
    for (uint32_t i = 0; i < reader->holds; i++) {
        /* ORD G4 acquire <- R2: a dropped entry's reads are over. */
        uint64_t word = lsi_load_acquire(&table[i].seq_plus_1);

        if (word != 0)
            reader->held[reader->held_count++] = word - 1;
    }
}

/* Every table after its reader's cursor, which the caller has read: I6. */
static void collect_held(struct lsi_publication *p)
{
    lsi_seqset_clear(&p->held);
    for (uint32_t i = 0; i < p->roster.active_count; i++) {
        struct lsi_reader *reader = &p->roster.readers[p->roster.active[i]];

        scan_holds(reader);
        for (uint32_t k = 0; k < reader->held_count; k++)
            lsi_seqset_add(&p->held, reader->held[k]);
    }
}

static uint32_t sweep_limbo(struct lsi_publication *p)
{
    uint32_t kept = 0, freed = 0;

    for (uint32_t i = 0; i < p->limbo_count; i++) {
        if (lsi_seqset_has(&p->held, p->limbo[i].seq)) {
            p->limbo[kept++] = p->limbo[i];
        } else {
            lsi_slots_free(&p->slots, p->limbo[i].slot);
            freed++;
        }
    }
    p->limbo_count = kept;
    return freed;
}

/* Step f: what no hold names is free. */
static uint32_t retire(struct lsi_publication *p, uint64_t horizon)
{
    uint32_t freed = 0;

    for (uint64_t seq = p->committed; seq < horizon; seq++) {
        uint32_t slot = p->slot_of[seq & p->writer.mask];

        if (slot == LSI_SLOT_NONE)
            continue;
        if (lsi_seqset_has(&p->held, seq)) {
            p->limbo[p->limbo_count++] = (struct lsi_limbo){ .seq = seq, .slot = slot };
            lsi_slots_move(&p->slots, slot, LSHM_SLOT_LIMBO);
        } else {
            lsi_slots_free(&p->slots, slot);
            freed++;
        }
    }
    LSI_INVARIANT(1, horizon >= p->committed && horizon <= p->writer.tail);
    p->committed = horizon;
    LSI_INVARIANT(3, lsi_slots_sum(&p->slots) == p->slots.count);
    return freed;
}

/* Steps b to e: announces `wanted`, looks again, and returns what may be committed. */
static uint64_t settle_horizon(struct lsi_publication *p, uint64_t wanted)
{
    uint64_t *shared = &p->writer.ring->horizon;
    uint64_t lowest;

    /* RLX: ordered by the fence; joiners read it after theirs. */
    lsi_store_relaxed(shared, wanted);
    /* DIE G1: horizon announced, nothing freed: joiners start later than they could have. */
    /* ORD G2 full -> J1: a reader whose cursor we do not see below sees this horizon; without it,
     * it joins at a message that we free. */
    lsi_fence_full();
    if (lsi_roster_changed(&p->roster) && lsi_roster_sync(&p->roster) > 0)
        lowest = p->committed;
    else
        lowest = lsi_publication_gate(p);
    if (lowest >= wanted)
        return wanted;
    /* RLX: a joiner that saw the larger one merely started later. */
    lsi_store_relaxed(shared, lowest);
    /* DIE G2: pulled back; nothing freed. */
    return lowest;
}

/* DIE none: the only store here is a counter. */
uint32_t lsi_reclaim(struct lsi_publication *p, uint64_t gain)
{
    uint64_t wanted, keep = p->writer.tail < p->history ? 0 : p->writer.tail - p->history;
    uint32_t freed = 0;

    if (lsi_roster_changed(&p->roster) && lsi_roster_sync(&p->roster) > 0)
        return 0;
    wanted = lsi_publication_gate(p);
    if (wanted > keep)
        wanted = keep;
    if (wanted < p->committed + gain)
        wanted = p->committed;
    if (wanted == p->committed && p->limbo_count == 0)
        return 0;
    if (wanted > p->committed) {
        wanted = settle_horizon(p, wanted);
        if (p->roster.unmapped > 0)
            return 0;
    }
    collect_held(p);
    if (p->limbo_count > 0)
        freed += sweep_limbo(p);
    freed += retire(p, wanted);
    /* RLX: for inspectors. */
    lsi_store_relaxed(&p->writer.ring->reclaims, ++p->reclaims);
    return freed;
}

void lsi_publication_publish(struct lsi_publication *p, const struct lsi_descriptor *descriptor,
                             const void *payload, uint32_t slot)
{
    LSI_INVARIANT(2, p->writer.tail - p->committed <= p->writer.mask);
    p->slot_of[p->writer.tail & p->writer.mask] = slot;
    if (slot != LSI_SLOT_NONE)
        lsi_slots_move(&p->slots, slot, LSHM_SLOT_WINDOW);
    p->bytes += descriptor->length;
    lsi_ring_publish(&p->writer, descriptor, payload);
}

/* DIE none: the tail is a hint and the sum is for inspectors; the final tail comes from the commit
 * words behind the hint. A sleeper that was not signalled gets the notice of this death. */
void lsi_publication_flush(struct lsi_publication *p)
{
    struct lsi_roster *roster = &p->roster;

    /* RLX: after the commit words by P1's own release on x86 and by the broker's rule that the hint
     * never counts as proof. */
    lsi_store_relaxed(&p->writer.ring->tail, p->writer.tail);
    lsi_store_relaxed(&p->writer.ring->bytes_published, p->bytes);
    if (roster->blockers > 0) {
        /* ORD W1 full -> S1: either the sleeper's look after its fence sees the commit words, or we
         * see its sleep word; without it both may miss, and it sleeps until its time-out. */
        lsi_fence_full();
    }
    if (LSI_UNLIKELY(lsi_roster_changed(roster)))
        lsi_roster_sync(roster);
    if (roster->blockers == 0)
        return;
    for (uint32_t i = 0; i < roster->active_count; i++) {
        const struct lsi_reader *reader = &roster->readers[roster->active[i]];
        uint64_t generation;

        if (!(reader->flags & LSHM_READER_MAY_BLOCK) || reader->sleep == NULL)
            continue;
        /* RLX: after W1. */
        generation = lsi_load_relaxed(reader->sleep);
        if (generation & 1)
            roster->operations.signal(roster->operations.context, reader->client, generation);
    }
}
