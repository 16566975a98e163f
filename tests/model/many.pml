/* SPDX-License-Identifier: Apache-2.0
 *
 * many.pml - two publishers, two readers of both, three slots each, one crash.
 *
 * Each publisher sends MSGS messages through a ring of RING entries, from SLOTS
 * slots of its own.  Both readers read both rings; each has a cell in every ring,
 * with a hold table of one entry, and may take, release, hold and drop in any
 * order.  One process, a publisher or a reader, may be killed at any step.  The
 * rows of a dead reader become GONE, one publisher after the other; DEAD and the
 * final tail go to one reader after the other.
 *
 * The state space is a product of four cells, so it has to be small:
 *   - What concerns one ring alone (publish.pml explores it) is one step here.
 *     Who fills an entry is seen when it stores the commit word; a take and what
 *     ends it are one, as nothing at or after a cursor may be rewritten, taken or
 *     not.  A pass reads both cursors, then both tables: one that reads them one
 *     after the other sees some as they were before, and frees no more than this.
 *   - A publisher without room makes a pass when a pass would gain something.
 *   - The publishers differ in their number only, and so do the readers; so the
 *     one that is killed is number 0, and the broker goes from 0 to 1.
 *   - A slot that is free counts as rewritten at once, so nobody knows its name.
 *   - With SC stores are in memory at once.
 *
 * Assertions (numbers: doc/design.md, section 4)
 *   I1_committed   committed horizon <= cursor of every live reader <= tail
 *   I2_not_lapped  a commit word never runs ahead of a lossless reader
 *   I3_no_leak     quiescent, a living publisher has all its slots back
 *   I4_window      what lies at or after a reader's cursor is not rewritten
 *   I4_hold        nor is what it holds
 *   I7_all_taken   a living reader took all that was committed, of both rings
 *
 * Crash table: a reader dies ...
 *   hold .. cursor         pinned twice, until the row is GONE
 *   with holds, two rings  each publisher frees its own when its row is GONE
 * a publisher dies ...
 *   loan .. commit word    nobody sees it: it lies beyond the final tail
 *   horizon .. free        its slots stay as they are, as long as they are held
 */

#ifndef RING
#define RING 2
#endif
#ifndef SLOTS
#define SLOTS 3
#endif
#ifndef MSGS
#define MSGS 4
#endif
#ifndef MSGS1
#define MSGS1 MSGS      /* of publisher 1 */
#endif
#if MSGS == MSGS1
#define TO_SEND(p) MSGS
#else
#define TO_SEND(p) ((p) == 0 -> MSGS : MSGS1)
#endif

/* processes */
#define P(p)  (p)
#define R(r)  (2 + (r))
#define B     4
#define NPROC 5

/* words; a cell has the number 2 * publisher + reader */
#define CELL(p, r)  (2 * (p) + (r))
#define CW(p, seq)  ((p) * RING + (seq) % RING)     /* commit words         publisher */
#define ROW(p, r)   (2 * RING + CELL(p, r))         /* LIVE, GONE              broker */
#define BOARD(p, r) (2 * RING + 4 + CELL(p, r))     /* final tail + 1: DEAD    broker */
#define CUR(p, r)   (2 * RING + 8 + CELL(p, r))     /* cursor                  reader */
#define HOLD(p, r)  (2 * RING + 12 + CELL(p, r))    /* seq + 1, 0 empty        reader */
#define NMEM        (2 * RING + 16)

#define LIVE 0
#define GONE 1

#ifndef SBD
#define SBD 2
#endif

hidden byte I1_committed, I2_not_lapped, I3_no_leak, I4_window, I4_hold, I7_all_taken;

/* What an observer outside knows. */
byte tail[2];           /* messages published                            */
byte committed[2];      /* committed horizon                             */
byte freed[2];          /* given out again: a bit a message              */
byte low[4];            /* the reader's own cursor                       */
byte kept[4];           /* seq + 1 of the message that it holds, 0 none  */
bit finished[4];
hidden byte g, least;

#include "store_buffer.inc"

#define BIT(seq) (1 << (seq))

/* --------------------------------------------------------------- publishers */

#define ONE(p, seq) ((freed[p] >> (seq)) & 1)
#define USED(p)     (tail[p] - ONE(p, 0) - ONE(p, 1) - ONE(p, 2) - ONE(p, 3))
#define ROOM(p)     (tail[p] < TO_SEND(p) && tail[p] - committed[p] < RING && USED(p) < SLOTS)
#define ALL_FREE(p) (freed[p] == BIT(TO_SEND(p)) - 1)

/* The cursor of a live row, the table of one. */
#define GATE(p, r) (LD(P(p), ROW(p, r)) == LIVE -> LD(P(p), CUR(p, r)) : tail[p])
#define LOWEST(p)  (GATE(p, 0) < GATE(p, 1) -> GATE(p, 0) : GATE(p, 1))
#define HELD(p, r, seq) (LD(P(p), ROW(p, r)) == LIVE && LD(P(p), HOLD(p, r)) == seq + 1)

/* Would a pass move the horizon, or free the message? */
#define GAIN1(p, seq) \
    (seq < committed[p] && !ONE(p, seq) && !HELD(p, 0, seq) && !HELD(p, 1, seq))
#define GAIN(p) (LOWEST(p) > committed[p] || GAIN1(p, 0) || GAIN1(p, 1) || GAIN1(p, 2) || \
    GAIN1(p, 3))

inline free_slots(p)
{
    for (g : 0 .. MSGS - 1) {
        if
        :: GAIN1(p, g) ->
            CHECK(I4_window, (dead[R(0)] || g < low[CELL(p, 0)]) &&
                (dead[R(1)] || g < low[CELL(p, 1)]));
            CHECK(I4_hold, (dead[R(0)] || kept[CELL(p, 0)] != g + 1) &&
                (dead[R(1)] || kept[CELL(p, 1)] != g + 1));
            freed[p] = freed[p] | BIT(g)
        :: else
        fi
    }
    g = 0
}

proctype Publisher(byte p)
{
    {
    do
    :: atomic { ROOM(p) ->
        store_release(P(p), CW(p, tail[p]), tail[p] + 1);
        tail[p]++
        }
    :: d_step { !ROOM(p) && !ALL_FREE(p) && GAIN(p) ->
        committed[p] = LOWEST(p);
        CHECK(I1_committed, committed[p] <= tail[p] &&
            (dead[R(0)] || committed[p] <= low[CELL(p, 0)]) &&
            (dead[R(1)] || committed[p] <= low[CELL(p, 1)]))
        };
        d_step { free_slots(p) }
    :: ALL_FREE(p) -> break
    od
    } unless { dead[P(p)] };
    finished[P(p)] = 1
}

/* ------------------------------------------------------------------ readers */

#define FINAL(p) (LD(R(r), BOARD(p, r)) == 0 -> TO_SEND(p) : LD(R(r), BOARD(p, r)) - 1)
#define DONE(p)  (low[CELL(p, r)] >= FINAL(p) && kept[CELL(p, r)] == 0)
#define THERE(p) (low[CELL(p, r)] < FINAL(p) && \
    LD(R(r), CW(p, low[CELL(p, r)])) > low[CELL(p, r)])
#define TAKE(p) \
    CHECK(I2_not_lapped, LD(R(r), CW(p, low[CELL(p, r)])) == low[CELL(p, r)] + 1)

#ifdef MUT_WRONG_CELL
#define TABLE(p) (1 - (p))      /* a hold in the cell of the other ring */
#else
#define TABLE(p) p
#endif
#ifdef MUT_CURSOR_FIRST
#define FIRST(p, r)  store_release(R(r), CUR(p, r), kept[CELL(p, r)]); low[CELL(p, r)]++
#define SECOND(p, r) store_release(R(r), HOLD(TABLE(p), r), kept[CELL(p, r)])
#else
#define FIRST(p, r)  store_release(R(r), HOLD(TABLE(p), r), kept[CELL(p, r)])
#define SECOND(p, r) low[CELL(p, r)]++; store_release(R(r), CUR(p, r), low[CELL(p, r)])
#endif

#define ONE_RING(p) \
    /* take and release */ \
    :: atomic { THERE(p) -> \
        TAKE(p); \
        store_release(R(r), CUR(p, r), low[CELL(p, r)] + 1); \
        low[CELL(p, r)]++ \
        } \
    /* take and hold: entry, cursor */ \
    :: atomic { THERE(p) && kept[CELL(p, r)] == 0 -> \
        TAKE(p); \
        kept[CELL(p, r)] = low[CELL(p, r)] + 1; \
        FIRST(p, r) \
        }; \
        atomic { SECOND(p, r) } \
    /* drop */ \
    :: atomic { kept[CELL(p, r)] != 0 -> \
        store_release(R(r), HOLD(TABLE(p), r), 0); \
        kept[CELL(p, r)] = 0 \
        }

proctype Reader(byte r)
{
    {
    do
    ONE_RING(0)
    ONE_RING(1)
    :: DONE(0) && DONE(1) -> break
    od
    } unless { dead[R(r)] };
    finished[R(r)] = 1
}

/* -------------------------------------------------------- broker and kernel */

#ifdef MUT_ONE_BOARD
#define ALSO_TELL(p) skip
#else
#define ALSO_TELL(p) store_release(B, BOARD(p, 1), final + 1)
#endif
#define BURY(p) \
    :: atomic { GONE_FOR_GOOD(P(p)) -> \
        do \
        :: final < TO_SEND(p) && mem[CW(p, final)] > final -> final++ \
        :: else -> break \
        od \
        }; \
        store_release(B, BOARD(p, 0), final + 1);           /* covers: D1 */ \
        ALSO_TELL(p)

proctype Broker()
{
    byte final;
end:
    if
#ifdef MUT_TIMER
    :: true ->                                  /* a silent reader counts as dead */
#else
    :: GONE_FOR_GOOD(R(0)) ->
#endif
        store_release(B, ROW(0, 0), GONE);                  /* covers: B1 */
#ifndef MUT_ONE_ROW
        store_release(B, ROW(1, 0), GONE)
#endif
    BURY(0)
#if MSGS != MSGS1
    BURY(1)
#endif
    fi
}

#define KILL(p) \
    :: !dead[P(0)] && !dead[P(1)] && !dead[R(0)] && !finished[p] -> dead[p] = 1

proctype Kernel()
{
end:
    do
    drain(P(0))
    drain(P(1))
    drain(R(0))
    drain(R(1))
    drain(B)
#ifndef NO_KILL
    KILL(P(0))
    KILL(R(0))
#if MSGS != MSGS1
    KILL(P(1))
#endif
#endif
    :: timeout ->
        CHECK(I7_all_taken, finished[R(0)] && finished[R(1)]);
        CHECK(I3_no_leak, finished[P(0)] && finished[P(1)]);
        break
    od
}

init
{
    atomic {
        run Publisher(0);
        run Publisher(1);
        run Reader(0);
        run Reader(1);
        run Broker();
        run Kernel()
    }
}
