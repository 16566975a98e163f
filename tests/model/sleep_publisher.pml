/* SPDX-License-Identifier: Apache-2.0
 *
 * sleep_publisher.pml - a publisher sleeps until its readers made room.
 *
 * The publisher waits twice: for room in the ring (every live cursor past
 * message 0; the waiting word says which cursor), then for a slot (message 1
 * neither in a window nor held; the waiting word says ANY).  Each wait has a
generation, which a reader signals at most once.  Each of READERS
 * lossless readers releases message 0, then releases message 1 or holds and
 * later drops it; after each release or drop it fences and looks at the waiting
 * word.  Each reader may be killed at any step.  Nothing here has a time-out.
 *
 * Assertions (numbers: doc/design.md, section 4)
 *   I12_sleeps_on_room   quiescent, the living have given everything back, but
 *                        the publisher is still blocked
 *   I11_sleeps_on_dead   the same with a reader that died
 *   I4_room              the publisher goes on only when no living reader uses
 *                        what it waited for
 *
 * Crash table: a reader dies ...
 *   before its cursor or clear   the broker: row GONE, version, wake
 *   cursor or clear .. look      the same wake: the publisher finds the cursor,
 *                                the table, or the row changed
 *   after the signal             the publisher wakes twice
 */

#ifndef READERS
#define READERS 1
#endif

/* processes */
#define P     0
#define B     1
#define R(r)  (2 + (r))
#define NPROC (2 + READERS)

/* words */
#define WAIT     0                      /* waiting word              publisher */
#define RVER     1                      /* roster version               broker */
#define ROW(r)   (2 + (r))              /* LIVE, GONE                   broker */
#define CUR(r)   (2 + READERS + 3 * (r)) /* cursor                      reader */
#define HOLD(r)  (CUR(r) + 1)           /* seq + 1, 0 empty             reader */
#define HVER(r)  (CUR(r) + 2)           /* hold table version           reader */
#define WGEN     (2 + 4 * READERS)      /* which wait it is          publisher */
#define NMEM     (3 + 4 * READERS)

#define LIVE 0
#define GONE 1
#define ANY  99                         /* waiting word: a slot, any slot */

#ifndef SBD
#define SBD 3
#endif

hidden byte I12_sleeps_on_room, I11_sleeps_on_dead, I4_room;

bit channel[READERS];   /* bytes in the channel (reader, publisher) */
bit bell;               /* bytes in the control socket from the broker */
bit blocked;
bit finished[NPROC];
hidden byte g;

#include "store_buffer.inc"

/* ---------------------------------------------------------------- publisher */

bit row[READERS];
byte seen_rver;
byte cursor[READERS];
byte seen_hver[READERS];
byte held[READERS];

#if READERS == 1
#define ROOM1(r) (row[r] == GONE || cursor[r] >= need)
#define ROOM  ROOM1(0)
#define SLOT1(r) (row[r] == GONE || held[r] != need)
#define ENOUGH (ROOM && (need < 2 || SLOT1(0)))
#define BELLS (channel[0] || bell)
#else
#define ROOM1(r) (row[r] == GONE || cursor[r] >= need)
#define ROOM  (ROOM1(0) && ROOM1(1))
#define SLOT1(r) (row[r] == GONE || held[r] != need)
#define ENOUGH (ROOM && (need < 2 || (SLOT1(0) && SLOT1(1))))
#define BELLS (channel[0] || channel[1] || bell)
#endif

/* One pass of reclaim: roster version and rows, cursors, versions, tables. */
inline look()
{
#ifndef MUT_NO_BOARD
    v = LD(P, RVER);                                        /* covers: G6 */
    if
    :: v != seen_rver ->
        d_step {
            for (g : 0 .. READERS - 1) { row[g] = LD(P, ROW(g)) } /* covers: G5 */
            seen_rver = v; v = 0
        }
    :: else -> v = 0
    fi;
#endif
    look_at(0);
#if READERS > 1
    look_at(1);
#endif
}

inline look_at(r)
{
    if
    :: row[r] == LIVE ->
        cursor[r] = LD(P, CUR(r));                      /* covers: G1 */
#ifdef MUT_G3
        v = LD(P, HOLD(r));
        atomic {
            if
            :: LD(P, HVER(r)) != seen_hver[r] -> held[r] = v
            :: else
            fi;
            seen_hver[r] = LD(P, HVER(r));
            v = 0
        }
#else
        v = LD(P, HVER(r));                             /* covers: G3 */
        if
        :: v != seen_hver[r] ->
            d_step { held[r] = LD(P, HOLD(r)); seen_hver[r] = v; v = 0 } /* covers: G4 */
        :: else -> v = 0
        fi
#endif
    :: else
    fi
}

inline drain_channels()
{
    d_step {
        for (g : 0 .. READERS - 1) { channel[g] = 0 }
        bell = 0;
        g = 0
    }
}

proctype Publisher()
{
    byte v, need, gen;

    need = 1;
    do
    :: need <= 2 ->
        look();
        if
        :: ENOUGH -> goto next
        :: else
        fi;
#ifndef MUT_DRAIN_LATE
        drain_channels();
#endif
        gen++;
#ifndef MUT_GEN_LATE
        store(P, WGEN, gen);
#endif
#ifdef MUT_S3
        store(P, WAIT, (need == 1 -> 1 : ANY));
#elif defined(MUT_NO_ANY)
        store_release(P, WAIT, need);
#else
        store_release(P, WAIT, (need == 1 -> 1 : ANY)); /* covers: S3 */
#endif
#ifndef MUT_S2
        fence(P);                                       /* covers: S1 */
#endif
#ifndef MUT_NO_LOOK
        look();
#endif
#ifdef MUT_GEN_LATE
        store(P, WGEN, gen);
#endif
#ifdef MUT_DRAIN_LATE
        drain_channels();
#endif
        if
        :: ENOUGH
        :: else ->
            blocked = 1;
            BELLS;
            blocked = 0
        fi;
        store_release(P, WAIT, 0);
        look();
        if
        :: ENOUGH -> goto next
        :: else -> goto again
        fi;
next:       atomic {
            for (g : 0 .. READERS - 1) {
                CHECK(I4_room, dead[R(g)] || (LD(R(g), CUR(g)) >= need &&
                    (need < 2 || LD(R(g), HOLD(g)) != need)))
            }
            g = 0;
            need++
        };
again:      skip
    :: need > 2 -> break
    od;
    finished[P] = 1
}

/* ------------------------------------------------------------------- reader */

/* The end of a call that gave something back. */
inline look_at_waiting_word(r, drop)
{
#ifdef MUT_W3
    n = LD(R(r), WGEN);
    w = LD(R(r), WAIT);
#else
    w = LD(R(r), WAIT);                                     /* covers: W3 */
    n = LD(R(r), WGEN);
#endif
    atomic {
        if
        :: (w == ANY || (w != 0 && !drop && cur >= w)) && n != signalled ->
            channel[r] = 1;
            signalled = n
        :: else
        fi;
        w = 0; n = 0
    }
}

inline after_cursor(r)
{
#ifndef MUT_W2
    fence(R(r));                                            /* covers: W2 */
#endif
    look_at_waiting_word(r, false)
}

proctype Reader(byte r)
{
    byte cur, w, n, signalled;

    {
        cur = 1;
        store_release(R(r), CUR(r), 1);                 /* covers: R1 */
        after_cursor(r);
        cur = 2;
        if
        :: store_release(R(r), CUR(r), 2);
            after_cursor(r)
        :: store_release(R(r), HOLD(r), 2);             /* covers: R2 */
            store_release(R(r), HVER(r), 1);        /* covers: R3 */
            store_release(R(r), CUR(r), 2);
            after_cursor(r);
            store_release(R(r), HOLD(r), 0);
#if defined(MUT_R3)
            store(R(r), HVER(r), 2);
#elif !defined(MUT_NO_BUMP)
            store_release(R(r), HVER(r), 2);
#endif
#ifndef MUT_W2_DROP
            fence(R(r));                            /* covers: W2 */
#endif
#ifdef MUT_DROP_SILENT
            skip
#else
            look_at_waiting_word(r, true)
#endif
        fi
    } unless { dead[R(r)] };
    atomic { finished[R(r)] = 1; cur = 0; w = 0; n = 0; signalled = 0 }
}

/* -------------------------------------------------------- broker and kernel */

#define BURY(r) :: GONE_FOR_GOOD(R(r)) && !told[r] -> told[r] = 1; bury(r)

inline bury(r)
{
#ifdef MUT_WAKE_FIRST
    bell = 1;
#endif
    store_release(B, ROW(r), GONE);                         /* covers: B1 */
#if defined(MUT_B2)
    store(B, RVER, told[0] + told[READERS - 1]);
#elif !defined(MUT_NO_VERSION)
    store_release(B, RVER, told[0] + told[READERS - 1]);    /* covers: B2 */
#endif
    EMPTY(B);                       /* a system call rings */
#if !defined(MUT_WAKE_FIRST) && !defined(MUT_NO_WAKE)
    bell = 1
#else
    skip
#endif
}

proctype Broker()
{
    bit told[READERS];
end:
    do
    BURY(0)
#if READERS > 1
    BURY(1)
#endif
    od
}

#ifndef KILLS
#define KILLS READERS /* how many of the readers may be killed */
#endif
#define KILL(r) :: !dead[R(r)] && !finished[R(r)] -> dead[R(r)] = 1

proctype Kernel()
{
end:
    do
    drain(P)
    drain(B)
    drain(R(0))
#if KILLS > 0
    KILL(0)
#endif
#if READERS > 1
    drain(R(1))
#if KILLS > 1
    KILL(1)
#endif
#endif
    :: timeout ->
        CHECK(I11_sleeps_on_dead, finished[P] || !(dead[R(0)] || dead[R(READERS - 1)]));
        CHECK(I12_sleeps_on_room, finished[P]);
        break
    od
}

init
{
    atomic {
        run Publisher();
        run Reader(0);
#if READERS > 1
        run Reader(1);
#endif
        run Broker();
        run Kernel()
    }
}
