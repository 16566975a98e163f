/* SPDX-License-Identifier: Apache-2.0 */
#include "core/cell.h"

#include <string.h>

#include "base/atomic.h"

uint64_t lsi_cell_join(struct lshm_cell *cell, const struct lshm_ring *ring, uint64_t start)
{
    uint64_t horizon;

    if (start > LSI_SEQ_MAX)
        start = LSI_SEQ_MAX;
    /* RLX: ordered by the fence. */
    lsi_store_relaxed(&cell->cursor, start + 1);
    /* DIE J1: a cursor at the start, no reader behind it. It pins the ring from here on until the
     * broker sets the row GONE at this death. */
    /* ORD J1 full -> G2: either the publisher's second look sees this cursor and pulls its horizon
     * back, or this look sees the horizon. For a lossless reader that is defence in depth: its
     * unset cell has gated since before the broker's answer (tests/model/join.pml); for a reader
     * that does not gate, the publisher may free what it is about to read. */
    lsi_fence_full();
    /* RLX: after J1; a horizon pulled back again only makes us start later than we could. */
    horizon = lsi_load_relaxed(&ring->horizon);
    if (horizon > start) {
        start = horizon < LSI_SEQ_MAX ? horizon : LSI_SEQ_MAX;
        lsi_cell_set_cursor(cell, start);
    }
    return start;
}

void lsi_cell_set_cursor(struct lshm_cell *cell, uint64_t seq)
{
    /* ORD R1 release -> G1: every load of the payloads below seq, and every hold on them, comes
     * first; without it the publisher writes into what we still read. */
    lsi_store_release(&cell->cursor, seq + 1);
    /* DIE R1: released; private book-keeping behind it dies with us. */
}

void lsi_cell_close(struct lshm_cell *cell)
{
    /* ORD R1 release -> G1: as above, for everything. */
    lsi_store_release(&cell->cursor, LSHM_CURSOR_CLOSED);
    /* DIE R2: the cell pins nothing, its row is still LIVE; the broker makes it GONE. */
}

void lsi_cell_reset(struct lshm_cell *cell, uint32_t holds)
{
    struct lshm_hold *table = lsi_cell_holds(cell);

    /* RLX: no publisher has a row for this cell, and none gets one before the broker hears of it.*/
    for (uint32_t i = 0; i < holds; i++) {
        lsi_store_relaxed(&table[i].seq_plus_1, 0);
        lsi_store_relaxed(&table[i].since_ns, 0);
    }
    lsi_store_relaxed(&cell->hold_version, 0);
    lsi_store_relaxed(&cell->borrow, 0);
    memset(&cell->link, 0, sizeof *cell - offsetof(struct lshm_cell, link));
    lsi_store_relaxed(&cell->cursor, LSHM_CURSOR_UNSET);
    /* DIE R3: reset, the broker not told: the cell's lines go with this client. */
}

/* The version is stored after the table's entry, before the cursor: I6. */
static void bump_version(struct lshm_cell *cell)
{
    /* RLX: only this process writes it. */
    uint64_t version = lsi_load_relaxed(&cell->hold_version);

    /* ORD R3 release -> G3: a publisher that sees the version scans a table with the entry; without
     * it an unchanged version hides the hold. */
    lsi_store_release(&cell->hold_version, lsi_counter_next(version));
    /* DIE R4: the hold (or its end) counts; the cursor has not moved: both protect the message. */
}

void lsi_cell_hold(struct lshm_cell *cell, uint32_t index, uint64_t seq, uint64_t now_ns)
{
    struct lshm_hold *hold = &lsi_cell_holds(cell)[index];

    /* RLX: for inspectors. */
    lsi_store_relaxed(&hold->since_ns, now_ns);
    /* ORD R2 release -> G4: the entry is complete when a scan finds it. */
    lsi_store_release(&hold->seq_plus_1, seq + 1);
    /* DIE R5: entry without its version: the cursor still protects the message. */
    bump_version(cell);
}

void lsi_cell_drop(struct lshm_cell *cell, uint32_t index)
{
    struct lshm_hold *hold = &lsi_cell_holds(cell)[index];

    /* ORD R2 release -> G4: every load of the payload comes first. */
    lsi_store_release(&hold->seq_plus_1, 0);
    /* DIE R6: dropped, version not bumped: the slot stays in limbo until the row is GONE. */
    bump_version(cell);
}

uint64_t lsi_cell_waited_for(const struct lshm_cell *cell, const struct lshm_ring *ring)
{
    uint64_t waiting;

    /* ORD W2 full -> S1: either the publisher's look after its fence sees our release, or this look
     * sees its waiting word; without it both may miss, and it sleeps until its time-out. */
    lsi_fence_full();
    /* ORD W3 acquire <- S3 */
    waiting = lsi_load_acquire(&ring->waiting);
    if (waiting == LSHM_WAITING_NONE)
        return 0;
    /* RLX: our own word. */
    if (waiting != LSHM_WAITING_ANY && lsi_load_relaxed(&cell->cursor) < waiting)
        return 0;
    /* RLX: after W3: at least the generation of that wait. */
    return lsi_load_relaxed(&ring->waiting_generation);
}
