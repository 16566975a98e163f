/* SPDX-License-Identifier: Apache-2.0
 *
 * evict.pml - a lossless reader that gates for too long is evicted.
 *
 * The publisher sends MSGS messages through a ring of RING entries to one
 * lossless reader with a window of WINDOW messages and a hold table of one
 * entry.  Once it gated, the broker may evict it at any time: EVICTED on its
 * board, a membarrier (the reader's buffer is empty), EVICTED in the row,
 * roster version.  The row gates no more; the publisher reads the cursor after
 * it and leaves [cursor, cursor + WINDOW) alone, with NO_MEMBARRIER [cursor,
 * own tail + WINDOW), and what the table names. The reader looks at its board
 * once a call, before the entries; evicted, it takes nothing more, stores
 * CLOSED when its window is empty, and leaves when it holds nothing.  It may be
 * killed at any step.  A slot that is free counts as rewritten at once.
 *
 * Assertions (numbers: doc/design.md, section 4)
 *   I1_committed   committed horizon <= cursor of a living reader that gates
 *   I3_no_leak     quiescent, all is free: CLOSED or a death ends the quarantine
 *   I4_window      what the reader has in its window is not rewritten
 *   I4_hold        nor is what it holds
 *   I7_exact       it may start again at the larger of tail hint and position:
 *                  what lies between position and start is lost, no more
 *   I7_all_taken   a reader that nobody evicted took everything
 *   I8_descriptor  commit word = seq + 1 before and after the copy: it is the
 *                  descriptor published at seq
 *   I9_evicted     a reader that is lapped finds EVICTED on its board
 *
 * Crash table: the reader dies ...
 *   before EVICTED            as without an eviction: its row becomes GONE
 *   EVICTED .. CLOSED         the quarantine ends with the row
 *   CLOSED .. leave           its hold ends with the row
 */

#ifndef RING
#define RING 2
#endif
#ifndef MSGS
#define MSGS 4
#endif
#ifndef WINDOW
#define WINDOW 2
#endif

/* processes */
#define P     0
#define R     1
#define B     2
#define NPROC 3

/* words */
#define CW(seq)   ((seq) % RING)                /* commit words       publisher */
#define DESC(seq) (RING + (seq) % RING)         /* seq + 1            publisher */
#define ROW       (2 * RING)                    /* LIVE, EVICTED, GONE   broker */
#define RVER      (2 * RING + 1)                /* roster version        broker */
#define BOARD     (2 * RING + 2)                /* the reader's board    broker */
#define CUR       (2 * RING + 3)                /* cursor + 1, 0 unset   reader */
#define HOLD      (2 * RING + 4)                /* seq + 1, 0 empty      reader */
#define HVER      (2 * RING + 5)                /* hold table version    reader */
#define NMEM      (2 * RING + 6)

#define LIVE    0
#define EVICTED 1
#define GONE    2
#define CLOSED  99                      /* cursor word */

#ifndef SBD
#define SBD 3
#endif

hidden byte I1_committed, I3_no_leak, I4_window, I4_hold, I7_exact, I7_all_taken;
hidden byte I8_descriptor, I9_evicted;

/* What an observer outside knows; one bit per message. */
byte freed;             /* its slot was given out again                 */
byte out;               /* the reader may read it: in its window        */
byte kept;              /* seq + 1 of the message that it holds, 0 none */
byte tail;              /* messages published                           */
byte pos;               /* private position of the reader               */
bit told_evicted;       /* a call has returned LSHM_EEVICTED            */
bit gated;              /* the publisher has told the broker so             */
bit left;               /* the reader said that it leaves               */
bit finished[NPROC];
hidden byte g;

#include "store_buffer.inc"

#define BIT(seq) (1 << (seq))

/* ---------------------------------------------------------------- publisher */

byte committed;         /* committed horizon */
byte row;
byte cur;               /* seq, once read after the row */
byte top;               /* end of the quarantine */
byte held;
byte seen_rver, seen_hver;

inline publish()
{
    /* The ring has held an evicted reader: the coming seq, a release fence. */
#ifndef MUT_NO_COMING
    if
    :: row != LIVE -> store(P, CW(tail), tail)
    :: row == LIVE
    fi;
#endif
    if
    :: row == LIVE -> store(P, DESC(tail), tail + 1)
#ifdef MUT_P0
    :: row != LIVE -> store(P, DESC(tail), tail + 1)
#else
    :: row != LIVE -> store_release(P, DESC(tail), tail + 1) /* covers: P0 */
#endif
    fi;
    atomic { store_release(P, CW(tail), tail + 1); tail++ } /* covers: P1 */
}

inline read_cursor()
{
    d_step {
        g = LD(P, CUR);                             /* covers: G1 */
#ifdef MUT_UNSET_FREE
        if :: g == 0 && row == EVICTED -> g = CLOSED :: else fi;
#endif
        if
        :: g == 0 && row == EVICTED && v == EVICTED -> g = cur      /* as of the flip */
        :: g == 0 && !(row == EVICTED && v == EVICTED) -> g = committed
        :: g != 0 -> g = g - 1
        fi;
#ifdef MUT_LOWER_CLAMP
        if :: g < committed -> g = committed :: else fi;
#endif
        cur = g;
        g = 0
    }
}

inline sync_roster()
{
    if
    :: LD(P, RVER) != seen_rver ->                  /* covers: G6 */
        atomic { seen_rver = LD(P, RVER); v = row };
        row = LD(P, ROW);                           /* covers: G5 */
#ifndef MUT_CURSOR_FIRST
        read_cursor();
#endif
        atomic {
            if
            :: v == LIVE && row == EVICTED ->       /* flipped: the quarantine */
#ifdef NO_MEMBARRIER
#ifdef MUT_TAIL_SHORT
                top = tail
#else
                top = tail + WINDOW
#endif
#else
                top = cur + WINDOW
#endif
            :: else
            fi;
            v = 0
        }
    :: LD(P, RVER) == seen_rver
    fi
}

inline read_table()
{
    if
    :: atomic { LD(P, HVER) != seen_hver -> seen_hver = LD(P, HVER) };  /* covers: G3 */
        held = LD(P, HOLD)                          /* covers: G4 */
    :: LD(P, HVER) == seen_hver
    fi
}

#ifdef MUT_NO_QUARANTINE
#define PINNED(seq) (row == EVICTED && false)
#else
#define PINNED(seq) (row == EVICTED && cur <= seq && seq < top)
#endif
#ifdef MUT_NO_HOLDS
#define HELD(seq) (row == LIVE && held == seq + 1)
#else
#define HELD(seq) (row != GONE && held == seq + 1)
#endif

inline reclaim()
{
    sync_roster();
    if
    :: atomic { row != GONE -> v = row }; read_cursor(); v = 0
    :: row == GONE
    fi;
    atomic {
        if
        :: row == LIVE && cur > committed -> committed = (cur < tail -> cur : tail)
        :: row == LIVE && cur <= committed
        :: row != LIVE && tail < MSGS -> committed++
        :: row != LIVE && tail == MSGS -> committed = tail
        fi;
        CHECK(I1_committed, row != LIVE || dead[R] || committed < LD(R, CUR) || committed == 0)
    };
    if
    :: row != GONE -> read_table()
    :: row == GONE
    fi;
    d_step {
        for (g : 0 .. MSGS - 1) {
            if
            :: g < committed && !(freed & BIT(g)) && !PINNED(g) && !HELD(g) ->
                CHECK(I4_window, !(out & BIT(g)));
                CHECK(I4_hold, kept != g + 1);
                freed = freed | BIT(g)
            :: else
            fi
        }
        g = 0
    }
}

#define ALL_FREE (freed == BIT(MSGS) - 1)
#define WORD(c)  (mem[CUR] == 0 || mem[CUR] - 1 == c)
#define NEWS     (mem[RVER] != seen_rver || mem[HVER] != seen_hver || !WORD(cur))

proctype Publisher()
{
    byte v;

    do
    :: tail < MSGS && tail - committed < RING -> publish()
    :: tail < MSGS && tail - committed == RING ->
        reclaim();
        gated = (gated || tail - committed == RING);
endwait:    tail - committed < RING || NEWS
    :: tail == MSGS ->
        reclaim();
endidle:    ALL_FREE || NEWS;
        if
        :: ALL_FREE -> break
        :: else
        fi
    od;
    finished[P] = 1
}

/* ------------------------------------------------------------------- reader */

proctype Reader()
{
    byte low, c, d;
    bit closed;

    {
    store_release(R, CUR, 1);
#ifndef MUT_J1
    fence(R);                                       /* covers: J1 */
#endif
    do
    /* A call: the board, then the entries; the cursor stays where it is. */
    :: !told_evicted && pos < MSGS && pos - low < WINDOW ->
#ifndef MUT_NO_LOOK
        told_evicted = LD(R, BOARD);                    /* covers: D2 */
#endif
#ifdef MUT_DRAIN_LATE
        /* The list of releases is drained after the look at the board. */
        if
        :: pos > low ->
            atomic { store_release(R, CUR, pos + 1); low = pos; out = 0 }
        :: true
        fi;
#endif
        do
        :: !told_evicted && pos - low < WINDOW && pos < MSGS ->
#ifdef MUT_C3
            d = LD(R, BOARD);
#endif
            c = LD(R, CW(pos));                     /* covers: C1 */
            if
            :: c <= pos -> break
            :: c == pos + 1 ->
                d = LD(R, DESC(pos));
                if
                :: atomic { LD(R, CW(pos)) == c ->  /* covers: C2 */
                    CHECK(I8_descriptor, d == c);
                    CHECK(I4_window, !(freed & BIT(pos)));
                    out = out | BIT(pos);
                    pos++;
                    c = 0; d = 0
                    }
                :: LD(R, CW(pos)) != c -> c = pos + 2
                fi
            :: c > pos + 1 ->                       /* lapped: why? */
                atomic {
#ifdef MUT_C3
                    told_evicted = d;
#else
                    told_evicted = LD(R, BOARD);        /* covers: C3 */
#endif
                    CHECK(I9_evicted, told_evicted);
                    told_evicted = 1
                }
            fi
        :: told_evicted || pos - low == WINDOW || pos == MSGS -> break
        od;
        atomic { c = 0; d = 0 };
        /* Nothing to do but to wait for a message or the end. */
        if
        :: out != 0 || kept != 0 || told_evicted || pos == MSGS
        :: out == 0 && kept == 0 && !told_evicted && pos < MSGS ->
            LD(R, CW(pos)) > pos || LD(R, BOARD)
        fi
    /* release the oldest message of the window */
    :: pos > low && !closed ->
        atomic { store_release(R, CUR, low + 2); out = out & ~BIT(low); low++ }
    /* turn it into a hold: entry, version, cursor */
    :: pos > low && !closed && kept == 0 ->
        atomic { store_release(R, HOLD, low + 1); kept = low + 1; out = out & ~BIT(low) };
        store_release(R, HVER, LD(R, HVER) + 1);
        atomic { store_release(R, CUR, low + 2); low++ }
    /* drop the hold */
    :: kept != 0 ->
        atomic { store_release(R, HOLD, 0); kept = 0 };
        store_release(R, HVER, LD(R, HVER) + 1)
    /* evicted, or through: the last of the window is gone */
#ifdef MUT_CLOSED_EARLY
    :: told_evicted && !closed ->
#else
    :: told_evicted && pos == low && !closed ->
#endif
#ifndef MUT_NEVER_CLOSED
        store_release(R, CUR, CLOSED);
#endif
        /* It may start again at the tail, which is only a hint: as low as `committed`. */
        atomic {
#ifdef MUT_HINT
            CHECK(I7_exact, pos <= committed);
#endif
            CHECK(I7_exact, pos <= tail);
            closed = 1
        }
    :: (closed || pos == MSGS) && low == pos && kept == 0 -> break
    od;
#ifndef MUT_NEVER_CLOSED
    atomic { EMPTY(R); left = 1 }
#endif
    } unless { dead[R] };
    atomic {
        finished[R] = 1;
        low = 0; c = 0; d = 0; closed = 0
    }
}

/* -------------------------------------------------------- broker and kernel */

inline flip(state)
{
    store_release(B, ROW, state);                           /* covers: B1 */
    store_release(B, RVER, LD(B, RVER) + 1)                 /* covers: B2 */
}

proctype Broker()
{
    bit evicted;
end:
    do
    :: !evicted && gated ->                     /* past its stall limit */
#ifdef MUT_ROW_FIRST
        flip(EVICTED);
        store_release(B, BOARD, 1);
#else
#ifdef MUT_X1
        store(B, BOARD, 1);
#else
        store_release(B, BOARD, 1);                     /* covers: X1 */
#endif
#ifdef NO_MEMBARRIER
        skip;
#else
#ifndef MUT_MEMBARRIER
        EMPTY(B); EMPTY(R);                     /* membarrier */
#endif
#endif
        flip(EVICTED);
#endif
        evicted = 1
    :: left || GONE_FOR_GOOD(R) ->
        flip(GONE);
        break
    od
}

proctype Kernel()
{
end:
    do
    drain(P)
    drain(R)
    drain(B)
#ifndef NO_KILL
    :: atomic { !dead[R] && !finished[R] -> dead[R] = 1; out = 0; kept = 0 }
#endif
    :: timeout ->
        CHECK(I3_no_leak, finished[P]);
        CHECK(I7_all_taken, dead[R] || told_evicted || pos == MSGS);
        break
    od
}

init
{
    atomic { run Publisher(); run Reader(); run Broker(); run Kernel() }
}
