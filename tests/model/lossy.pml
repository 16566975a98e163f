/* SPDX-License-Identifier: Apache-2.0
 *
 * lossy.pml - a lossy reader, and the publisher that never waits for it.
 *
 * The publisher sends MSGS messages through a ring of RING entries: it stores
 * the coming seq in the commit word, a release fence, the descriptor, the
 * commit word seq + 1.  When the ring is full it reclaims: horizon, fence, row,
 * cursor, mark, version, table; what no window [cursor, min(mark, cursor +
 * WINDOW)) and no hold names is free.  The reader has a window of WINDOW
 * messages and a hold table of one entry: mark, fence, horizon, what lies below
 * is lost, then the entries; it may release, hold or drop at any time, and be
 * killed at any step.  With SURE it marks only what it has not marked yet, else
 * in every call.  With JOINS it joins while the publisher runs, who does
 * not store coming seqs before it knows of the reader; otherwise it is there
 * from the start.  A slot that is free counts as rewritten at once.
 *
 * Assertions (numbers: doc/design.md, section 4)
 *   I4_window      what the reader has in its window is not rewritten
 *   I4_hold        nor is what it holds
 *   I5_mark        in the reader's eyes, mark <= cursor + WINDOW
 *   I7_given_up    only what the publisher gave up is counted as lost
 *   I7_accounted   quiescent, a living reader took or lost every message
 *   I8_descriptor  commit word = seq + 1 before and after the copy: it is the
 *                  descriptor published at seq
 *   I3_no_leak     quiescent, all that was given up and is not used is free
 *   never_waits    RING + WINDOW + 1 slots (a ring with the loan that has one
 *                  of its entries, a window, a hold) are enough for a publisher
 *                  that waits for nobody
 *
 * Crash table: the reader dies ...
 *   mark .. horizon             pins what the mark says until its row is GONE
 *   hold .. version .. cursor   as in publish.pml
 *   cursor .. mark (skip)       pins its hold only
 */

#ifndef RING
#define RING 2
#endif
#ifndef MSGS
#define MSGS 5
#endif
#ifndef WINDOW
#define WINDOW 2
#endif
#ifdef MUT_ONE_SLOT_LESS
#define FEWER 1
#else
#define FEWER 0
#endif
#ifndef SLOTS
#define SLOTS (RING + WINDOW + 1 - FEWER)
#endif

/* processes */
#define P     0
#define R     1
#define B     2
#define NPROC 3

/* words */
#define CW(seq)   ((seq) % RING)                /* commit words       publisher */
#define DESC(seq) (RING + (seq) % RING)         /* seq + 1            publisher */
#define HORIZON   (2 * RING)                    /* shared horizon     publisher */
#define ROW       (2 * RING + 1)                /* LIVE, GONE            broker */
#define RVER      (2 * RING + 6)                /* roster version        broker */
#define CUR       (2 * RING + 2)                /* cursor + 1, 0 unset   reader */
#define MARK      (2 * RING + 3)                /* borrow mark           reader */
#define HOLD      (2 * RING + 4)                /* seq + 1, 0 empty      reader */
#define HVER      (2 * RING + 5)                /* hold table version    reader */
#define NMEM      (2 * RING + 7)

#define LIVE 0
#define GONE 1

#ifndef SBD
#define SBD 3
#endif

hidden byte I3_no_leak, I4_window, I4_hold, I5_mark, I7_given_up, I7_accounted;
hidden byte I8_descriptor, never_waits;

/* What an observer outside knows; one bit per message. */
byte freed;             /* its slot was given out again                       */
byte out;               /* the reader may read it: in its window              */
byte kept;              /* seq + 1 of the message that it holds, 0 none       */
byte given_up;          /* below: the publisher has let the lossy reader down */
byte tail;              /* messages published                                 */
bit finished[NPROC];
bit reply;              /* the broker's answer has arrived (JOINS) */
hidden byte g;

#include "store_buffer.inc"

#define BIT(seq) (1 << (seq))

/* ---------------------------------------------------------------- publisher */

byte committed;         /* committed horizon */
byte seen_hver;
byte held;              /* copy of the hold table */
#ifdef JOINS
bit knows;              /* its roster has (ever) held a lossy reader */
#else
#define knows true
#endif

/* The release fence after the coming seq. */
#ifdef MUT_P0
#define store_after_fence(x, y) store(P, x, y)
#else
#define store_after_fence(x, y) store_release(P, x, y)  /* covers: P0 */
#endif

inline publish()
{
    atomic {
#ifndef MUT_NO_COMING
        if
        :: knows -> store(P, CW(tail), tail)
#ifdef JOINS
        :: !knows
#endif
        fi;
#endif
        n = tail;
        for (g : 0 .. tail) {
            if
            :: g < tail && (freed & BIT(g)) -> n--
            :: else
            fi
        }
        CHECK(never_waits, n < SLOTS);
        g = 0; n = 0
    };
    store_after_fence(DESC(tail), tail + 1);
#ifdef MUT_P1
    atomic { store(P, CW(tail), tail + 1); tail++ }
#else
    atomic { store_release(P, CW(tail), tail + 1); tail++ } /* covers: P1 */
#endif
}

inline read_table()
{
#ifdef MUT_G3
    held = LD(P, HOLD);
    seen_hver = LD(P, HVER)
#else
    if
#ifdef JOINS
    :: !knows
#endif
    :: atomic { knows && LD(P, HVER) != seen_hver -> seen_hver = LD(P, HVER) };  /* covers: G3 */
        held = LD(P, HOLD)                      /* covers: G4 */
    :: knows && LD(P, HVER) == seen_hver
    fi
#endif
}

/* (f) Whatever is below the committed horizon and not free is in quarantine or in limbo. */
inline free_slots()
{
    d_step {
        for (g : 0 .. MSGS - 1) {
            if
            :: g < committed && !(freed & BIT(g)) &&
               (!knows || row == GONE || (g + 1 != held &&
                !(cur > 0 && cur - 1 <= g && g < mark && g < cur - 1 + WINDOW))) ->
                CHECK(I4_window, !(out & BIT(g)));
                CHECK(I4_hold, kept != g + 1);
                freed = freed | BIT(g)
            :: else
            fi
        }
        g = 0
    }
}

inline read_cell()
{
    if
    :: d_step { knows -> row = LD(P, ROW); cur = LD(P, CUR) };  /* covers: G1 */
#ifdef MUT_G9
        skip
#else
        mark = LD(P, MARK)                          /* covers: G9 */
#endif
#ifdef JOINS
    :: !knows
#endif
    fi;
#ifdef MUT_LOWER_CLAMP
    if
    :: cur > 0 && cur - 1 < committed -> cur = committed + 1
    :: else
    fi
#endif
}

/* want: the horizon wished for; the committed one only sweeps. */
inline reclaim(want)
{
#ifdef MUT_READ_FIRST
    read_cell();
#endif
    if
    :: want > committed ->
        atomic { store(P, HORIZON, want); given_up = want };    /* (b) */
#ifndef MUT_G2
        fence(P);                                   /* (c) covers: G2 */
#endif
#if defined(JOINS) && !defined(MUT_NO_RESYNC)
        knows = LD(P, RVER);                        /* (d) covers: G6 */
#endif
        committed = want                            /* (e) nobody gates */
    :: else
    fi;
#ifdef MUT_G1
    read_table();
#endif
#ifndef MUT_READ_FIRST
    read_cell();
#endif
#ifdef MUT_G4
    free_slots();
#endif
#ifndef MUT_G1
    read_table();
#endif
#ifdef MUT_G9
    if
    :: knows -> mark = LD(P, MARK)
    :: else
    fi;
#endif
    free_slots();
    atomic { row = LIVE; cur = 0; mark = 0 }
}

#ifdef VOLUNTARY
#define NEEDS_ROOM (tail > committed)
#else
#define NEEDS_ROOM (tail < MSGS && tail - committed == RING)
#endif
#define ALL_FREE (freed == BIT(committed) - 1)
#define NEWS (mem[ROW] == GONE || mem[CUR] != seen_cur || mem[HVER] != seen_hver)

proctype Publisher()
{
    byte n, cur, mark, want, seen_cur;
    bit row;

    do
    :: tail < MSGS && tail - committed < RING -> publish()
    :: NEEDS_ROOM ->
        if
        :: want = committed + 1
        :: tail > committed + 1 -> want = tail
        fi;
        reclaim(want);
        want = 0
    :: tail == MSGS ->
        /* Idle: it sweeps whenever it might gain something. */
        if
        :: ALL_FREE -> break
        :: else
        fi;
        seen_cur = LD(P, CUR);
        reclaim(committed);
endidle:    ALL_FREE || NEWS;
        seen_cur = 0
    od;
    finished[P] = 1
}

/* ------------------------------------------------------------------- reader */

/* The oldest message of the window becomes a hold: entry, version (cursor: the caller). */
inline keep_oldest()
{
    atomic {
        store_release(R, HOLD, low + 1);            /* covers: R2 */
        kept = low + 1; out = out & ~BIT(low); bumps++
    };
#ifdef MUT_R3
    store(R, HVER, bumps)
#else
    store_release(R, HVER, bumps)                   /* covers: R3 */
#endif
}

inline set_cursor(seq)
{
#ifdef MUT_R1
    store(R, CUR, (seq) + 1)
#else
    store_release(R, CUR, (seq) + 1)                /* covers: R1 */
#endif
}

#ifdef SURE
#define ANEW (pos >= sure)
#define SET_SURE sure = top
#else
#define ANEW true
#define SET_SURE skip
#endif

/* Message pos is not to be had. */
inline lose()
{
    d_step {
        CHECK(I7_given_up, pos < given_up);
        pos++
    }
}

proctype Reader()
{
    byte low, pos, top;         /* cursor, private position, mark */
    byte bumps, f, c, d, sure;

    {
#ifdef JOINS
    /* The row is on the board, the cell unset: the start is wherever the tail hint was. */
    reply;
    if
    :: pos = 0
    :: pos = tail
    fi;
    low = pos;
    set_cursor(low);
#ifndef MUT_J1
    fence(R);                                       /* covers: J1 */
#endif
    f = LD(R, HORIZON);
    if
    :: f > pos -> atomic { pos = f; low = f }; set_cursor(low)
    :: else
    fi;
    f = 0;
#else
    set_cursor(0);
    fence(R);
#endif
    do
#ifdef SURE
    /* What an earlier mark covers needs no new one. */
    :: pos < sure && pos < MSGS -> top = sure; goto entries
#endif
    /* take: mark, fence, horizon */
    :: pos - low < WINDOW && pos < MSGS && ANEW ->
        do
        :: true ->
#ifdef ANY_BATCH
            if
            :: top = low + WINDOW
            :: pos + 1 < low + WINDOW -> top = pos + 1
            fi;
#else
            top = low + WINDOW;
#endif
#if defined(MUT_HORIZON_FIRST)
            f = LD(R, HORIZON);
#endif
#if !defined(MUT_NO_MARK) && !defined(MUT_MARK_LATE)
            store(R, MARK, top);
#endif
#ifndef MUT_Y1
            fence(R);                               /* covers: Y1 */
#endif
#ifndef MUT_HORIZON_FIRST
            f = LD(R, HORIZON);
#endif
            if
            :: atomic { f <= pos -> f = 0; SET_SURE; goto entries }
            :: else
            fi;
            /* A skip: what is still out becomes a hold, or the call takes nothing. */
#ifdef MUT_SKIP_OVER
            low = f;
#else
            if
            :: out == 0
            :: out != 0 && kept == 0 && out == BIT(low) -> keep_oldest()
            :: else -> f = 0; goto nothing
            fi;
            low = f;
#endif
            d_step {
                CHECK(I7_given_up, f <= given_up);
                pos = f;
                f = 0
            };
#ifndef MUT_SKIP_STAY
            set_cursor(low)
#else
            skip
#endif
        od;
entries:
        CHECK(I5_mark, top <= low + WINDOW);
        do
        :: pos < top ->
#ifdef MUT_C1
            d = LD(R, DESC(pos));
            c = LD(R, CW(pos));
#else
            c = LD(R, CW(pos));                     /* covers: C1 */
            if
            :: c == pos + 1 -> d = LD(R, DESC(pos))
            :: else
            fi;
#endif
            if
            :: c <= pos -> break                    /* older: nothing there */
            :: c > pos + 1 -> c = 0; lose()         /* lapped */
#ifndef MUT_C2
            :: c == pos + 1 && LD(R, CW(pos)) != c ->   /* covers: C2 */
                atomic { c = 0; d = 0 };
                lose()
            :: c == pos + 1 && LD(R, CW(pos)) == c ->
#else
            :: c == pos + 1 ->
#endif
                d_step {
                    CHECK(I8_descriptor, d == pos + 1);
                    CHECK(I4_window, !(freed & BIT(pos)));
                    out = out | BIT(pos);
                    pos++;
                    c = 0; d = 0
                };
#ifdef MUT_MARK_LATE
                store(R, MARK, top);
                fence(R);
#endif
                skip
            fi
        :: pos == top -> break
        od;
nothing:
        atomic { top = 0; c = 0; d = 0 };
        /* If there was nothing, wait for something. */
        if
        :: out != 0 || kept != 0 || pos == MSGS
        :: out == 0 && kept == 0 && LD(R, CW(pos)) > pos
        fi
    /* release the oldest message of the window */
    :: pos > low ->
#ifdef MUT_R1_LOAD
        set_cursor(low + 1);
        atomic { out = out & ~BIT(low); low++ }
#else
        atomic { set_cursor(low + 1); out = out & ~BIT(low); low++ }
#endif
    /* turn it into a hold: entry, version, cursor */
    :: pos > low && (out & BIT(low)) && kept == 0 ->
#if defined(MUT_CURSOR_FIRST)
        set_cursor(low + 1);
        keep_oldest();
        low++
#else
        keep_oldest();
        atomic { set_cursor(low + 1); low++ }
#endif
    /* drop the hold */
    :: kept != 0 ->
#ifdef MUT_R2
        store_release(R, HOLD, 0);
        d_step { kept = 0; bumps++ };
#else
        atomic { store_release(R, HOLD, 0); kept = 0; bumps++ };    /* covers: R2 */
#endif
#ifndef MUT_NO_BUMP
        store_release(R, HVER, bumps)               /* covers: R3 */
#else
        skip
#endif
    :: low == MSGS && kept == 0 -> break
    od
    } unless { dead[R] };
    atomic {
        finished[R] = 1;
        low = 0; pos = 0; top = 0; sure = 0; bumps = 0; f = 0; c = 0; d = 0
    }
}

/* -------------------------------------------------------- broker and kernel */

proctype Broker()
{
#ifdef JOINS
#ifdef MUT_REPLY_FIRST
    reply = 1;
#endif
    store_release(B, ROW, LIVE);                            /* covers: B1 */
    store_release(B, RVER, 1);                              /* covers: B2 */
    EMPTY(B);
    reply = 1;
#endif
end:
    GONE_FOR_GOOD(R) -> store_release(B, ROW, GONE)         /* covers: B1 */
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
        CHECK(I7_accounted, finished[R]);
#ifndef NO_I3
        CHECK(I3_no_leak, finished[P]);
#endif
        break
    od
}

init
{
    atomic { run Publisher(); run Reader(); run Broker(); run Kernel() }
}
