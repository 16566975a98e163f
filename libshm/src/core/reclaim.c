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
        const struct lsi_reader *reader = &p->roster.readers[p->roster.active[i]];
        uint64_t gate;

        if (!lsi_reader_gates(reader))
            continue;
        gate = lsi_publication_gate_of(p, reader);
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

bool lsi_publication_may_free(const struct lsi_publication *p)
{
    /* Without limbo nobody keeps a slot, and reclaim does not look at what changed. */
    for (uint32_t i = 0; i < p->roster.active_count && p->limbo_count > 0; i++) {
        const struct lsi_reader *reader = &p->roster.readers[p->roster.active[i]];

        /* RLX: a look; reclaim does it properly. */
        if (reader->cell != NULL &&
            (lsi_load_relaxed(&reader->cell->hold_version) != reader->hold_version ||
             (lsi_reader_pins(reader) &&
              lsi_load_relaxed(&reader->cell->cursor) != reader->seen_cursor)))
            return true;
    }
    return false;
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

/* An evicted reader's quarantine ends where the window began that it had when its row was flipped:
 * what it looked at before can reach B further, and without a barrier as far as was published. */
static uint64_t quarantine_end(const struct lsi_publication *p, struct lsi_reader *reader,
                               uint64_t cursor)
{
    uint64_t first = reader->flags & LSHM_READER_EVICTABLE ? p->writer.tail : cursor;

    if (reader->quarantine_end == 0)
        reader->quarantine_end = first + reader->window;
    return reader->quarantine_end;
}

/* What a reader that does not gate may be reading, below `horizon`. At most B messages, whatever it
 * writes (evicted without a barrier: the ring more). */
static void pin_window(struct lsi_publication *p, struct lsi_reader *reader, uint64_t horizon)
{
    bool evicted = (reader->state & LSHM_ROW_STATE_MASK) == LSHM_ROW_EVICTED;
    uint64_t cursor, end, most = reader->window;

    /* ORD G1 acquire <- R1: as above. */
    cursor = lsi_load_acquire(&reader->cell->cursor);
    reader->seen_cursor = cursor;
    if (cursor == LSHM_CURSOR_CLOSED || (cursor == LSHM_CURSOR_UNSET && !evicted))
        return;
    cursor = cursor == LSHM_CURSOR_UNSET ? p->committed : cursor - 1;
    if (evicted) {
        end = quarantine_end(p, reader, cursor);
        if (reader->flags & LSHM_READER_EVICTABLE)
            most += p->writer.mask + UINT64_C(1);
        if (end > cursor && end - cursor > most)
            cursor = end - most; /* it has gone back; it gated, so it was in the ring before */
    } else {
        /* ORD G9 acquire <- Y1: the mark is read before the table; a mark that is not seen here
         * belongs to a reader that sees the horizon. */
        end = lsi_load_acquire(&reader->cell->borrow);
        if (end > cursor && end - cursor > most)
            end = cursor + most;
    }
    if (end > horizon)
        end = horizon;
    for (uint64_t seq = cursor; seq < end; seq++)
        lsi_seqset_add(&p->kept, seq, LSI_SEQSET_PINNED);
}

/* Per reader its window, then its table, after its cursor, which the caller has read: I6. */
static void collect_kept(struct lsi_publication *p, uint64_t horizon)
{
    lsi_seqset_clear(&p->kept);
    for (uint32_t i = 0; i < p->roster.active_count; i++) {
        struct lsi_reader *reader = &p->roster.readers[p->roster.active[i]];

        if (lsi_reader_pins(reader))
            pin_window(p, reader, horizon);
        scan_holds(reader);
        for (uint32_t k = 0; k < reader->held_count; k++)
            if (reader->held[k] < p->writer.tail)
                lsi_seqset_add(&p->kept, reader->held[k], LSI_SEQSET_HELD);
    }
}

static uint32_t state_of(int how)
{
    return how == LSI_SEQSET_HELD ? LSHM_SLOT_LIMBO : LSHM_SLOT_QUARANTINE;
}

/* Slots go home; a view's is another publisher's, whose reader holds it: how many are free now. */
static uint32_t let_go(struct lsi_publication *p, uint32_t slot)
{
    if (LSI_UNLIKELY(slot & LSI_SLOT_VIEW)) {
        p->drop_view(p->owner, slot & ~LSI_SLOT_VIEW);
        return 0;
    }
    lsi_slots_free(&p->slots, slot);
    return 1;
}

static void keep_slot(struct lsi_publication *p, uint32_t slot, int how)
{
    if (LSI_LIKELY(!(slot & LSI_SLOT_VIEW)))
        lsi_slots_move(&p->slots, slot, state_of(how));
}

static uint32_t sweep_limbo(struct lsi_publication *p)
{
    uint32_t kept = 0, freed = 0;

    for (uint32_t i = 0; i < p->limbo_count; i++) {
        int how = lsi_seqset_find(&p->kept, p->limbo[i].seq);

        if (how != LSI_SEQSET_ABSENT) {
            keep_slot(p, p->limbo[i].slot, how);
            p->limbo[kept++] = p->limbo[i];
        } else {
            freed += let_go(p, p->limbo[i].slot);
        }
    }
    p->limbo_count = kept;
    return freed;
}

/* Step f: what nobody keeps is free. */
static uint32_t retire(struct lsi_publication *p, uint64_t horizon)
{
    uint32_t freed = 0;

    for (uint64_t seq = p->committed; seq < horizon; seq++) {
        uint32_t slot = p->slot_of[seq & p->writer.mask];
        int how;

        if (slot == LSI_SLOT_NONE)
            continue;
        how = lsi_seqset_find(&p->kept, seq);
        if (how != LSI_SEQSET_ABSENT) {
            p->limbo[p->limbo_count++] = (struct lsi_limbo){ .seq = seq, .slot = slot };
            keep_slot(p, slot, how);
        } else {
            freed += let_go(p, slot);
        }
    }
    LSI_INVARIANT(1, horizon >= p->committed && horizon <= p->writer.tail);
    p->committed = horizon;
    LSI_INVARIANT(3, lsi_slots_sum(&p->slots) == p->slots.count);
    return freed;
}

/* Takes in what the broker changed. False: rows are not mapped, nothing may be freed. */
static bool sync(struct lsi_publication *p)
{
    uint32_t *flags = &p->writer.ring->flags;

    if (LSI_UNLIKELY(lsi_roster_changed(&p->roster)))
        lsi_roster_sync(&p->roster);
    if (LSI_UNLIKELY(p->roster.has_lapped != p->writer.marks_rewrites)) {
        p->writer.marks_rewrites = true;
        /* RLX: for inspectors; only this process writes it. */
        lsi_store_relaxed(flags, lsi_load_relaxed(flags) | LSHM_RING_LOSSY_READERS);
        /* DIE none: nobody decides by it. */
    }
    return p->roster.unmapped == 0;
}

/* Steps b to e: announces `wanted`, looks again, and returns what may be committed. */
static uint64_t settle_horizon(struct lsi_publication *p, uint64_t wanted)
{
    uint64_t *shared = &p->writer.ring->horizon;
    uint64_t lowest;

    /* RLX: ordered by the fence; joiners and lossy readers read it after theirs. */
    lsi_store_relaxed(shared, wanted);
    /* DIE G1: horizon announced, nothing freed: joiners start later than they could have. */
    /* ORD G2 full -> J1, Y1, C3: a reader whose cursor or mark we do not see below sees this
     * horizon; without it, it joins at, or takes, a message that we free. Who finds an entry
     * written over sees what we have seen of the broker. */
    lsi_fence_full();
    lowest = sync(p) ? lsi_publication_gate(p) : p->committed;
    if (lowest >= wanted)
        return wanted;
    /* RLX: a joiner that saw the larger one merely started later. */
    lsi_store_relaxed(shared, lowest);
    /* DIE G2: pulled back; nothing freed. */
    return lowest;
}

/* How far lossy readers have come: no need to take from them what they have not read. */
static uint64_t passed_by_lossy(const struct lsi_publication *p, uint64_t most)
{
    for (uint32_t i = 0; i < p->roster.active_count; i++) {
        const struct lsi_reader *reader = &p->roster.readers[p->roster.active[i]];
        uint64_t cursor;

        if (!lsi_reader_pins(reader) || reader->cell == NULL)
            continue;
        /* RLX: a wish; what may be freed is found out behind the fence. */
        cursor = lsi_load_relaxed(&reader->cell->cursor);
        if (cursor != LSHM_CURSOR_UNSET && cursor - 1 < most)
            most = cursor - 1;
    }
    return most;
}

/* Past lossy readers in steps of a quarter: each pass looks at every reader. */
static uint64_t lossy_step(const struct lsi_publication *p, uint64_t gain)
{
    uint64_t step = (p->writer.mask + UINT64_C(1)) / 4;

    if (p->slots.count > 0 && p->slots.count / 4 < step)
        step = p->slots.count / 4;
    return step > gain ? step : gain;
}

static uint64_t all_but(const struct lsi_publication *p, uint64_t last)
{
    return p->writer.tail < last ? 0 : p->writer.tail - last;
}

/* Step a: where the horizon should go; `committed` when nothing is to be gained. */
static uint64_t want(const struct lsi_publication *p, uint64_t gain)
{
    uint64_t most = lsi_publication_gate(p), wanted;
    uint64_t keep = all_but(p, p->history);

    if (most > keep)
        most = keep;
    if (most < p->committed + gain)
        return p->committed;
    if (p->roster.pinning == 0)
        return most;
    wanted = passed_by_lossy(p, most);
    if (wanted >= p->committed + gain)
        return wanted;
    keep = all_but(p, p->spared);
    if (most > keep)
        most = keep;
    if (most < p->committed + gain)
        return p->committed;
    wanted = p->committed + lossy_step(p, gain);
    return wanted > most ? most : wanted;
}

bool lsi_publication_may_gain(const struct lsi_publication *p)
{
    return want(p, 1) > p->committed || lsi_publication_may_free(p);
}

/* DIE none: the only store here is a counter. */
uint32_t lsi_reclaim(struct lsi_publication *p, uint64_t gain)
{
    uint64_t wanted;
    uint32_t freed = 0;

    if (!sync(p))
        return 0;
    wanted = want(p, gain);
    if (wanted == p->committed && p->limbo_count == 0)
        return 0;
    if (wanted > p->committed) {
        wanted = settle_horizon(p, wanted);
        if (p->roster.unmapped > 0)
            return 0;
    }
    collect_kept(p, wanted);
    if (p->limbo_count > 0)
        freed += sweep_limbo(p);
    freed += retire(p, wanted);
    /* RLX: for inspectors. */
    lsi_store_relaxed(&p->writer.ring->reclaims, ++p->reclaims);
    return freed;
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
    if (LSI_UNLIKELY(lsi_roster_changed(roster))) {
        lsi_roster_sync(roster);
        /* ORD W1 full -> S1: the same for those that the sync brought; the fence above may have
         * been spared. Who joins only now looks again by itself (api/wait.c). */
        lsi_fence_full();
    }
    for (uint32_t i = 0; i < roster->sleeper_count; i++) {
        const struct lsi_sleeper *sleeper = &roster->sleepers[i];
        /* RLX: after W1. */
        uint64_t generation = lsi_load_relaxed(sleeper->word);

        if (LSI_UNLIKELY(generation & 1))
            roster->operations.signal(roster->operations.context, sleeper->client, generation);
    }
}
