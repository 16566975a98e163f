/* SPDX-License-Identifier: Apache-2.0
 *
 * join.pml - a reader joins without the publisher's acknowledgement.
 *
 * The publisher publishes TOTAL messages and reclaims at any time with any
 * wish (reclaim steps a-e, pull-back); JOINERS lossless readers join through
 * the broker, at the tail, at tail - HISTORY or at 0, then read, release or
 * stop; each may be killed at any step; so may the broker's worker, once, after
 * which its successor redoes the step it was in.  The publisher's own death at
 * a step is the run in which it is never scheduled again.
 *
 * A cell starts unset (0); n means cursor n - 1.  One word per message stands
 * for commit word, descriptor and slot: 0 not yet published, seq + 1
 * published, JUNK the slot was given out again.
 *
 * Assertions (numbers: doc/design.md, section 4)
 *   I1_committed      committed horizon <= cursor of every joined living reader
 *   I1_horizon        in memory: shared horizon >= committed horizon
 *   I2_ring           tail - committed <= RING
 *   I4_window         what a joined reader reads in its window is not reused
 *   I7_from_now       when subscribe returns, the start is not past the tail
 *   I7_nothing_lost   a reader whose row the publisher found when it opened the
 *                     ring loses nothing from 0 on
 *   row_record        a LIVE row is read together with its own record
 *
 * Crash table
 *   broker: record .. row state     row unused; redone
 *   broker: row state .. version    redone, the version is bumped then
 *   broker: version .. reply        the row gates (unset) until redone
 *   joiner: row on the board, cursor unset     gates at the committed horizon
 *   joiner: cursor stored, horizon not read    gates there (clamped)
 *       ... both until its pidfd fired and its row is GONE
 *   publisher: (b) .. (e)           the horizon may stay ahead of the committed
 *                                   one: a joiner skips what was not freed
 */

#ifndef TOTAL
#define TOTAL 3
#endif
#ifndef RING
#define RING 2
#endif
#ifndef HISTORY
#define HISTORY 1
#endif
#ifndef KILLS
#define KILLS JOINERS /* how many of the joiners may be killed */
#endif
#ifndef JOINERS
#define JOINERS 2
#endif

/* processes */
#define P     0
#define B     1
#define J(j)  (2 + (j))
#define NPROC (2 + JOINERS)

/* words */
#define MSG(seq) (seq)                          /* a message          publisher */
#define TAIL     (TOTAL)                        /* tail hint          publisher */
#define HORIZON  (TOTAL + 1)                    /* shared horizon     publisher */
#define RVER     (TOTAL + 2)                    /* roster version        broker */
#define ROW(j)   (TOTAL + 3 + 2 * (j))          /* GONE, LIVE            broker */
#define RECORD(j) (TOTAL + 4 + 2 * (j))         /* which cell: j + 1     broker */
#define CUR(j)   (TOTAL + 3 + 2 * JOINERS + (j)) /* cursor cell          joiner */
#define NMEM     (TOTAL + 3 + 3 * JOINERS)

#define GONE 0
#define LIVE 1
#define JUNK 99

#ifndef SBD
#define SBD 3
#endif

hidden byte I1_committed, I1_horizon, I2_ring, I4_window;
hidden byte I7_from_now, I7_nothing_lost, row_record;

/* What an observer outside knows. */
byte tail;
byte committed;
byte cursor[JOINERS];   /* as last stored, once joined */
bit joined[JOINERS];
bit early[JOINERS];     /* the publisher found the row when it opened the ring */
bit reply[JOINERS];     /* the broker's answer has arrived */
bit mapped[JOINERS];    /* the publisher has the region of the cell */
bit finished[NPROC];
bit restarted;
hidden byte g;

#ifdef NO_I1
#define AFTER_DRAIN skip
#else
#define AFTER_DRAIN CHECK(I1_horizon, mem[HORIZON] >= committed)
#endif
#include "store_buffer.inc"

/* ---------------------------------------------------------------- publisher */

byte row[JOINERS];
byte record[JOINERS];
byte seen_rver;
#ifdef MUT_G6
byte newrow[JOINERS];
#endif

/* (d) Roster version, then the rows; a row is its state, then its record. */
inline sync_roster()
{
#ifdef MUT_G6
    d_step { newrow[0] = LD(P, ROW(0)); newrow[JOINERS - 1] = LD(P, ROW(JOINERS - 1)) };
    v = LD(P, RVER);
    if
    :: v != seen_rver ->
        atomic {
            row[0] = newrow[0]; row[JOINERS - 1] = newrow[JOINERS - 1];
            seen_rver = v; v = 0
        }
    :: else -> v = 0
    fi;
#else
    v = LD(P, RVER);                                        /* covers: G6 */
    if
    :: v != seen_rver ->
        j = 0;
        do
        :: j < JOINERS -> load_row(j); j++
        :: else -> break
        od;
        atomic { seen_rver = v; v = 0 }
    :: else -> v = 0
    fi;
#endif
    j = 0
}

inline load_row(j)
{
#ifdef MUT_G5
    record[j] = LD(P, RECORD(j));
    row[j] = LD(P, ROW(j));
#else
    row[j] = LD(P, ROW(j));                                 /* covers: G5 */
    record[j] = LD(P, RECORD(j));
#endif
    CHECK(row_record, row[j] == GONE || record[j] == j + 1)
}

/* The smallest cursor of a live row, at most w, into w. */
inline lowest(w)
{
    j = 0;
    do
    :: j < JOINERS && row[j] == LIVE ->
        d_step {
            g = LD(P, CUR(j));                      /* covers: G1 */
            if
#ifdef MUT_UNMAPPED
            :: !mapped[j] -> g = w
#else
            :: !mapped[j] -> g = committed
#endif
#if defined(UNSET_PASSES) || defined(MUT_UNSET)
            :: mapped[j] && g == 0 -> g = w
#else
            :: mapped[j] && g == 0 -> g = committed
#endif
            :: else -> g = g - 1
            fi;
#ifndef MUT_CLAMP
            if :: g < committed -> g = committed :: else fi;
#endif
            if :: g < w -> w = g :: else fi;
            g = 0;
            j++
        }
    :: j < JOINERS && row[j] == GONE -> j++
    :: else -> j = 0; break
    od
}

proctype Publisher()
{
    byte v, j, want, got;

    sync_roster();                          /* open */
    d_step {
        for (g : 0 .. JOINERS - 1) { early[g] = (row[g] == LIVE) }
        g = 0
    };
    do
    :: tail < TOTAL && tail - committed < RING ->
        store_release(P, MSG(tail), tail + 1);  /* covers: P1 */
        tail++;
        store(P, TAIL, tail)
    :: tail > committed + HISTORY ->
        /* (a) */
        if
        :: want = tail - HISTORY
        :: tail > committed + HISTORY + 1 -> want = committed + 1
        fi;
        lowest(want);
        if
#ifdef MUT_CLAMP
        :: want == committed -> want = 0
        :: else ->
#else
        :: want <= committed -> want = 0
        :: else ->
#endif
            store(P, HORIZON, want);        /* (b) */
#ifndef MUT_G2
            fence(P);                       /* (c) covers: G2 */
#endif
#ifndef MUT_NO_RESYNC
            sync_roster();                  /* (d) */
#endif
            got = want;
#ifndef MUT_PULLBACK
            lowest(got);                    /* (e) */
#endif
            atomic {
                j = committed;
                committed = got;
                CHECK(I2_ring, tail - committed <= RING);
                for (g : 0 .. JOINERS - 1) {
                    CHECK(I1_committed, !joined[g] || dead[J(g)] ||
                        committed <= cursor[g])
                }
                g = 0
            };
            if
            :: got < want -> store(P, HORIZON, got)
            :: else
            fi;
            do                              /* (f) */
            :: j < got -> store(P, MSG(j), JUNK); j++
            :: else -> break
            od;
            atomic { want = 0; got = 0; j = 0 }
        fi
    :: tail == TOTAL -> break
    od
}

/* ------------------------------------------------------------------- joiner */

proctype Joiner(byte j)
{
    byte start, pos;

    {
        reply[j];
        /* The start: at the tail, with history, or everything. */
        start = LD(J(j), TAIL);
        if
        :: true
        :: start >= HISTORY && HISTORY > 0 -> start = start - HISTORY
        :: start > 0 -> start = 0
        fi;
#ifdef MUT_LOOK_FIRST
        pos = LD(J(j), HORIZON);
        store_release(J(j), CUR(j), start + 1);
        fence(J(j));
#else
        store_release(J(j), CUR(j), start + 1); /* covers: R1 */
#ifndef MUT_J1
        fence(J(j));                            /* covers: J1 */
#endif
        pos = LD(J(j), HORIZON);
#endif
        if
        :: pos > start -> store_release(J(j), CUR(j), pos + 1)
        :: else -> pos = start
        fi;
        atomic {
            joined[j] = 1;
            cursor[j] = pos;
            CHECK(I1_committed, committed <= pos);
            CHECK(I7_from_now, pos <= tail);
#ifndef NO_I7
            CHECK(I7_nothing_lost, !early[j] || start > 0 || pos == 0);
#endif
            start = 0
        };
        do
        :: pos < TOTAL && LD(J(j), MSG(pos)) != 0 ->
            d_step {
                CHECK(I4_window, LD(J(j), MSG(pos)) == pos + 1);
                pos++;
                cursor[j] = pos
            };
            store_release(J(j), CUR(j), pos + 1)    /* covers: R1 */
        :: true -> break
        od
    } unless { dead[J(j)] };
    atomic { finished[J(j)] = 1; start = 0; pos = 0 }
}

/* -------------------------------------------------------- broker and kernel */

#define ADMIT(j) :: !told[j] -> admit(j)
#define BURY(j)  :: told[j] == 1 && GONE_FOR_GOOD(J(j)) -> bury(j)

inline admit(j)
{
#ifdef MUT_REPLY_FIRST
    reply[j] = 1;
#endif
    store(B, RECORD(j), j + 1);
#ifdef MUT_B1
    store(B, ROW(j), LIVE);
#else
    store_release(B, ROW(j), LIVE);                 /* covers: B1 */
#endif
#ifdef MUT_B2
    store(B, RVER, LD(B, RVER) + 1);
#else
    store_release(B, RVER, LD(B, RVER) + 1);        /* covers: B2 */
#endif
    EMPTY(B);                       /* a system call sends the answer */
    reply[j] = 1;
    atomic { mapped[j] = 1; told[j] = 1 }
}

inline bury(j)
{
    store_release(B, ROW(j), GONE);
    store_release(B, RVER, LD(B, RVER) + 1);
    atomic { told[j] = 2 }
}

byte told[JOINERS];     /* the broker's registry, kept by its keeper */

proctype Broker()
{
    {
end:
        do
        ADMIT(0)
        BURY(0)
#if JOINERS > 1
        ADMIT(1)
        BURY(1)
#endif
        od
    } unless { dead[B] };
    atomic { EMPTY(B) -> dead[B] = 0; restarted = 1; run Broker() }
}

#define KILL(p) :: !dead[p] && !finished[p] -> dead[p] = 1

proctype Kernel()
{
end:
    do
    drain(P)
    drain(B)
    drain(J(0))
#if KILLS > 0
    KILL(J(0))
#endif
#if JOINERS > 1
    drain(J(1))
#if KILLS > 1
    KILL(J(1))
#endif
#endif
#ifdef BROKER_DIES /* its worker does, and a successor takes over */
    :: !restarted && !dead[B] -> dead[B] = 1
#endif
    od
}

init
{
    atomic {
        run Publisher();
        run Joiner(0);
#if JOINERS > 1
        run Joiner(1);
#endif
        run Broker();
        run Kernel()
    }
}
