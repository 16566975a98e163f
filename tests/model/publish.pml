/* SPDX-License-Identifier: Apache-2.0
 *
 * publish.pml - publish, take, release, hold and reclaim on a lossless ring.
 *
 * One publisher with a ring of RING entries and SLOTS slots sends MSGS
 * messages to READERS lossless readers, each with a window of WINDOW messages
 * and a hold table of one entry.  A reader may take, release, turn the oldest
 * message of its window into a hold, or drop its hold, in any order, and may be
 * killed at any step.  A message's payload is its seq + 1; a slot is reused by
 * the publisher only through reclaim.
 *
 * Assertions (numbers: doc/design.md, section 4)
 *   I1_committed    committed horizon <= cursor of every live reader <= tail
 *   I2_not_lapped   tail - committed <= RING: a commit word never runs ahead of
 *                   a lossless reader, neither before nor after the copy
 *   I3_no_leak      at the end every slot is free again
 *   I4_window       a payload read in the window is not rewritten
 *   I4_hold         a payload read under a hold is not rewritten
 *   I6_order        in memory: the version that announces a hold implies its
 *                   entry; a cursor beyond a kept message implies both
 *   I7_all_taken    living readers took every message, once and in order
 *   I8_descriptor   the descriptor copied for seq is the one published at seq
 *   I8_payload      and its payload is there
 *   I9_gone_frees   a dead reader stops nobody once the broker has said so
 *
 * Crash table: the reader dies ...
 *   before the hold entry        the cursor still pins the message
 *   hold entry .. version        the same; the entry names a seq in the window
 *   version .. cursor            pinned twice
 *   cursor stored                the hold pins the slot until the row is GONE
 *   drop: entry .. version       the slot stays in limbo until the row is GONE
 * In each case the pidfd fires after the stores drained, the broker sets the
 * row GONE, and the publisher frees what the reader pinned.
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
#ifndef WINDOW
#define WINDOW 2
#endif
#ifndef READERS
#define READERS 1
#endif

/* processes */
#define P     0
#define B     1
#define R(r)  (2 + (r))
#define NPROC (2 + READERS)

/* words */
#define CW(seq)  ((seq) % RING)             /* commit words             publisher */
#define DESC(seq) (RING + (seq) % RING)     /* seq * 4 + slot           publisher */
#define PAY(s)   (2 * RING + (s))           /* seq + 1                  publisher */
#define RVER     (2 * RING + SLOTS)         /* roster version              broker */
#define ROW(r)   (RVER + 1 + (r))           /* LIVE, GONE                  broker */
#define CELL(r)  (RVER + 1 + READERS + 3 * (r))
#define CUR(r)   (CELL(r))                  /* cursor                      reader */
#define HOLD(r)  (CELL(r) + 1)              /* seq + 1, 0 empty            reader */
#define HVER(r)  (CELL(r) + 2)              /* hold table version          reader */
#define NMEM     (RVER + 1 + 4 * READERS)

#define LIVE 0
#define GONE 1

#ifndef SBD
#define SBD 3
#endif

hidden byte I1_committed, I2_not_lapped, I3_no_leak, I4_window, I4_hold;
hidden byte I6_order, I7_all_taken, I8_descriptor, I8_payload, I9_gone_frees;

/* What an observer outside knows; no process reads it. */
byte tail;              /* messages published                         */
byte committed;         /* committed horizon                          */
byte taken[READERS];    /* private position of each reader            */
byte kept[READERS];     /* seq + 1 of the message it holds, 0 none    */
byte bumps[READERS];    /* hold versions stored so far                */
bit finished[NPROC];
hidden byte g;          /* scratch of d_step blocks */

#ifdef NO_I6
#define AFTER_DRAIN skip
#else
#define AFTER_DRAIN hold_before_cursor()
#endif
#include "store_buffer.inc"

inline hold_before_cursor()
{
    for (g : 0 .. READERS - 1) {
        CHECK(I6_order, kept[g] == 0 ||
            ((mem[HVER(g)] != bumps[g] || mem[HOLD(g)] == kept[g]) &&
             (mem[CUR(g)] < kept[g] || mem[HVER(g)] == bumps[g])))
    }
}

/* ---------------------------------------------------------------- publisher */

byte seq1[SLOTS];       /* seq + 1 of the message in a slot, 0 free */
byte row[READERS];      /* what it knows of the roster              */
byte seen_rver;
byte seen_cur[READERS];
byte seen_hver[READERS];
byte held[READERS];     /* copy of each hold table                  */

#define FREE_SLOT (seq1[0] == 0 || seq1[1] == 0 || seq1[SLOTS - 1] == 0)
#define ALL_FREE  (seq1[0] == 0 && seq1[1] == 0 && seq1[SLOTS - 1] == 0)

#define NEWS1(r) (mem[HVER(r)] != seen_hver[r] || mem[CUR(r)] != seen_cur[r])
#if READERS == 1
#define NEWS (mem[RVER] != seen_rver || NEWS1(0))
#else
#define NEWS (mem[RVER] != seen_rver || NEWS1(0) || NEWS1(1))
#endif

/* (d) re-read the roster version, rows only if it changed. */
inline sync_roster()
{
    v = LD(P, RVER);                /* covers: G6 */
    if
    :: v != seen_rver ->
        r = 0;
        do
        :: r < READERS -> d_step { row[r] = LD(P, ROW(r)); r++ } /* covers: G5 */
        :: else -> break
        od;
        atomic { seen_rver = v; v = 0; r = 0 }
    :: else -> v = 0
    fi
}

/* (e) the smallest cursor of a live row becomes the committed horizon. */
inline read_cursors()
{
    low = tail;
    r = 0;
    do
    :: r < READERS && row[r] == LIVE ->
        d_step {
            seen_cur[r] = LD(P, CUR(r));            /* covers: G1 */
            if :: seen_cur[r] < low -> low = seen_cur[r] :: else fi;
            r++
        }
    :: r < READERS && row[r] != LIVE -> r++
    :: else -> break
    od;
    atomic {
        if :: low > committed -> committed = low :: else fi;
        low = 0; r = 0
    }
}

/* (f) hold tables: the version first, an unchanged table is not scanned. */
inline read_holds()
{
    r = 0;
    do
    :: r < READERS && row[r] == LIVE ->
#ifdef MUT_G3
        low = LD(P, HOLD(r));
        v = LD(P, HVER(r));
        d_step { if :: v != seen_hver[r] -> held[r] = low :: else fi; seen_hver[r] = v };
#else
        v = LD(P, HVER(r));                             /* covers: G3 */
        if
        :: v != seen_hver[r] ->
            d_step { held[r] = LD(P, HOLD(r)); seen_hver[r] = v } /* covers: G4 */
        :: else
        fi;
#endif
        d_step { low = 0; v = 0; r++ }
    :: r < READERS && row[r] != LIVE -> d_step { held[r] = 0; r++ }
    :: else -> r = 0; break
    od
}

/* Free what no window and no hold names. */
inline free_slots()
{
    d_step {
        for (g : 0 .. SLOTS - 1) {
            if
            :: seq1[g] != 0 && seq1[g] <= committed && seq1[g] != held[0] &&
               seq1[g] != held[READERS - 1] -> seq1[g] = 0
            :: else
            fi
        }
        g = 0
    }
}

inline reclaim()
{
    sync_roster();
#ifdef MUT_G1
    read_holds();
    read_cursors();
    free_slots();
#else
    read_cursors();
#ifdef MUT_G4
    free_slots();
#endif
    read_holds();
    free_slots();
#endif
    d_step {
        for (g : 0 .. READERS - 1) {
            CHECK(I1_committed, row[g] == GONE || dead[R(g)] ||
                (committed <= LD(R(g), CUR(g)) && mem[CUR(g)] <= tail))
        }
        g = 0
    }
}

proctype Publisher()
{
    byte v, r, low, s;

    do
    :: tail < MSGS && FREE_SLOT && tail - committed < RING ->
        d_step {                                        /* loan */
            CHECK(I2_not_lapped, tail - committed < RING);
            s = 0;
            do :: seq1[s] != 0 -> s++ :: else -> break od;
            seq1[s] = tail + 1
        }
        store(P, PAY(s), tail + 1);
        store(P, DESC(tail), tail * 4 + s);
#ifdef MUT_P1
        store(P, CW(tail), tail + 1);
#else
        store_release(P, CW(tail), tail + 1);           /* covers: P1 */
#endif
        d_step { tail++; s = 0 }
#ifdef VOLUNTARY
    :: tail < MSGS && tail > committed -> reclaim()
#endif
    :: tail < MSGS && !(FREE_SLOT && tail - committed < RING) ->
        reclaim();
        (FREE_SLOT && tail - committed < RING) || NEWS
    :: tail == MSGS && !ALL_FREE -> reclaim(); ALL_FREE || NEWS
    :: tail == MSGS && ALL_FREE -> break
    od;
    finished[P] = 1
}

/* ------------------------------------------------------------------- reader */

proctype Reader(byte r)
{
    byte cur, c, d, h;
    byte slot[WINDOW];      /* of the messages in the window, by seq % WINDOW */
    byte hslot;

    {
        do
        /* take: commit word, descriptor, commit word, payload */
#ifdef MUT_C1
        :: taken[r] < MSGS && taken[r] - cur < WINDOW ->
            d = LD(R(r), DESC(taken[r]));
            d_step { LD(R(r), CW(taken[r])) > taken[r] -> c = LD(R(r), CW(taken[r])) };
#else
        :: d_step {                                     /* covers: C1 */
            taken[r] < MSGS && taken[r] - cur < WINDOW &&
            LD(R(r), CW(taken[r])) > taken[r] ->
            c = LD(R(r), CW(taken[r]));
            CHECK(I2_not_lapped, c == taken[r] + 1) };
            d = LD(R(r), DESC(taken[r]));
#endif
            CHECK(I2_not_lapped, LD(R(r), CW(taken[r])) == c);
            d_step {
                CHECK(I8_descriptor, d / 4 == taken[r] && c == taken[r] + 1);
                slot[taken[r] % WINDOW] = d % 4;
                c = LD(R(r), PAY(d % 4));
                CHECK(I8_payload, c >= taken[r] + 1);
                CHECK(I4_window, c <= taken[r] + 1);
                taken[r]++;
                c = 0; d = 0
            }
        /* release the oldest message of the window */
        :: taken[r] > cur ->
#ifdef MUT_R1_LOAD
            store_release(R(r), CUR(r), cur + 1);
            CHECK(I4_window, LD(R(r), PAY(slot[cur % WINDOW])) == cur + 1);
            cur++;
#else
            CHECK(I4_window, LD(R(r), PAY(slot[cur % WINDOW])) == cur + 1);
            store_release(R(r), CUR(r), cur + 1);   /* covers: R1 */
            cur++;
#endif
        /* turn it into a hold: entry, version, cursor */
        :: taken[r] > cur && kept[r] == 0 ->
            d_step { hslot = slot[cur % WINDOW]; h = cur + 1 };
#if defined(MUT_CURSOR_FIRST)
            atomic { kept[r] = h; bumps[r]++ };
            store_release(R(r), CUR(r), h);
            store_release(R(r), HOLD(r), h);
            store_release(R(r), HVER(r), bumps[r]);
#elif defined(MUT_VERSION_FIRST)
            atomic { kept[r] = h; bumps[r]++ };
            store_release(R(r), HVER(r), bumps[r]);
            store_release(R(r), HOLD(r), h);
            store_release(R(r), CUR(r), h);
#else
            atomic { kept[r] = h; bumps[r]++ };
            store_release(R(r), HOLD(r), h);        /* covers: R2 */
#ifdef MUT_R3
            store(R(r), HVER(r), bumps[r]);
#else
            store_release(R(r), HVER(r), bumps[r]); /* covers: R3 */
#endif
#ifdef MUT_R1
            store(R(r), CUR(r), h);
#else
            store_release(R(r), CUR(r), h);         /* covers: R1 */
#endif
#endif
            d_step { cur = h; h = 0 }
        /* drop the hold */
        :: kept[r] != 0 ->
#ifdef MUT_R2
            store_release(R(r), HOLD(r), 0);
            CHECK(I4_hold, LD(R(r), PAY(hslot)) == kept[r]);
            d_step { kept[r] = 0; hslot = 0; bumps[r]++ };
#else
            CHECK(I4_hold, LD(R(r), PAY(hslot)) == kept[r]);
            d_step { kept[r] = 0; hslot = 0; bumps[r]++ };
            store_release(R(r), HOLD(r), 0);        /* covers: R2 */
#endif
#ifndef MUT_NO_BUMP
            store_release(R(r), HVER(r), bumps[r]); /* covers: R3 */
#endif
        :: cur == MSGS && kept[r] == 0 -> break
        od
    } unless { dead[R(r)] };
    atomic { finished[R(r)] = 1; cur = 0; c = 0; d = 0; h = 0; hslot = 0 }
}

/* -------------------------------------------------------- broker and kernel */

#ifdef MUT_TIMER
#define LOST(r) true                    /* any silence is taken for death */
#else
#define LOST(r) GONE_FOR_GOOD(R(r))             /* pidfd */
#endif

#define BURY(r) :: LOST(r) && !told[r] -> told[r] = 1; bury(r)

inline bury(r)
{
#ifdef MUT_B2
    store_release(B, ROW(r), GONE);
    store(B, RVER, told[0] + told[READERS - 1]);
#else
    store_release(B, ROW(r), GONE);                                 /* covers: B1 */
    store_release(B, RVER, told[0] + told[READERS - 1]);            /* covers: B2 */
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
        CHECK(I9_gone_frees, finished[P] || !(dead[R(0)] || dead[R(READERS - 1)]));
        CHECK(I3_no_leak, finished[P]);
        CHECK(I7_all_taken, (dead[R(0)] || taken[0] == MSGS) &&
            (dead[R(READERS - 1)] || taken[READERS - 1] == MSGS));
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
