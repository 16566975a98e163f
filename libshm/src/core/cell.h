/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader's cell: the words by which one subscription tells one publisher what it may still be
 * using.
 *
 * MODEL  cursor is the reader's epoch: messages below it are done with, unless a hold names them.
 *        A hold is entered before the cursor moves past its message, so a publisher that sees the
 *        cursor sees the hold: message passing, no fence (design.md, section 4, Release).
 *
 * INVARIANTS  I5 the cursor never goes back     I6 hold, then version, then cursor
 *
 * Written by one thread at a time of the subscriber's process; read by the publisher at any time.
 */
#ifndef LSI_CELL_H
#define LSI_CELL_H

#include <stdint.h>

#include <lshm/abi.h>

#include "base/counter.h"

/* The number of a ring's first message. */
#define LSI_SEQ_FIRST LSI_COUNTER_START(32)
/*
 * Message numbers end here: at 10^9 messages a second, after 146 years. What a ring claims beyond
 * is not believed, so no position that came from it overflows.
 */
#define LSI_SEQ_MAX ((uint64_t)1 << 62)

/* Lines that a cell with this many holds takes. */
static inline uint32_t lsi_cell_lines(uint32_t holds)
{
    return LSHM_CELL_LINES + (holds + LSHM_HOLDS_PER_LINE - 1) / LSHM_HOLDS_PER_LINE;
}

static inline struct lshm_hold *lsi_cell_holds(struct lshm_cell *cell)
{
    return (struct lshm_hold *)(cell + 1);
}

static inline const struct lshm_hold *lsi_cell_holds_const(const struct lshm_cell *cell)
{
    return (const struct lshm_hold *)(cell + 1);
}

/*
 * Joins a ring: from when on is this reader heard? `start` is LSI_SEQ_FIRST for a ring opened after
 * the subscription, else its tail. Returns the first message it will get, which is larger than
 * start when the publisher had already given up messages in between. Both come from the ring: at
 * most LSI_SEQ_MAX counts.
 */
uint64_t lsi_cell_join(struct lshm_cell *cell, const struct lshm_ring *ring, uint64_t start);

/* Everything below seq is done with, but for what is held. */
void lsi_cell_set_cursor(struct lshm_cell *cell, uint64_t seq);
/* Nothing is used any more through this cell. Holds must be dropped. */
void lsi_cell_close(struct lshm_cell *cell);
/* Back to unset, before it serves another ring; only when no publisher has a row for it. */
void lsi_cell_reset(struct lshm_cell *cell, uint32_t holds);

/* Enters a hold on seq at `index`, which is free. Before the cursor moves past seq. */
void lsi_cell_hold(struct lshm_cell *cell, uint32_t index, uint64_t seq, uint64_t now_ns);
void lsi_cell_drop(struct lshm_cell *cell, uint32_t index);

/*
 * After a release or drop on a ring whose publisher may block: whether it waits for this. 0, or the
 * generation of its wait, which is to be signalled once.
 */
uint64_t lsi_cell_waited_for(const struct lshm_cell *cell, const struct lshm_ring *ring);

#endif
