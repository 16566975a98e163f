/* SPDX-License-Identifier: Apache-2.0
 *
 * chain.pml - a forwarded message, and the death of its forwarder.
 *
 * A has published MSGS messages.  F reads them, holds each, publishes a view of
 * it in a ring of its own, and drops the hold when that entry is retired and no
 * hold of C names it.  C reads F's ring: lossless, or with LOSSY by mark, fence,
 * horizon and board.  F may be killed at any step, with KILL_C also C.  When F
 * is dead, the broker stores the final tail and DEAD on C's board, and ORPHAN
 * with the mask of F's holds in F's row at A; it clears a hold's bit once no
 * reader of F's ring may read an entry that names it (cursor, mark, then holds),
 * and makes the row GONE when the mask is empty.  A joiner D may be admitted to
 * the dead ring: its board gets a closing floor beyond each entry whose hold
 * counts no more.  A slot that A finds free counts as rewritten at once.  What
 * the broker stores is in memory at once, in its order.  With FORWARDED F has
 * forwarded everything and is dead when the run begins.  With BROKER_DIES the
 * broker's worker is killed once, at any step between F's death and GONE; the
 * next one has what is recorded (D is admitted), and what is in memory.
 *
 * Assertions (numbers: doc/design.md, section 4)
 *   I4_window      what C or D has in its window is not rewritten by A
 *   I4_hold        nor is what C holds, through F's hold
 *   I3_no_leak     quiescent, A has all its slots back
 *   I7_drained     a living lossless C took all that F committed
 *
 * Crash table: F dies ...
 *   before the hold              A frees it with the row
 *   hold .. version              not published: its bit is not set for long
 *   version .. commit word       the same; the cursor no longer counts
 *   commit word ..               ORPHAN until C, and D, are past it
 *   horizon .. drop              the same, D starts behind it
 *   drop .. version              A's copy of the table ends with the bit
 * The broker's worker dies ...
 *   DEAD .. ORPHAN               the next one does all of it again
 *   looks .. mask                it looks again
 *   mask .. mask, GONE           it goes on from the mask in the row
 *   record of D .. answer        D asks again; what D may read is kept meanwhile
 */

#ifndef MSGS
#define MSGS 2
#endif
#ifndef WINDOW
#define WINDOW 2
#endif

/* processes */
#define A     0
#define F     1
#define C     2
#define D     3
#define NPROC 4

/* words */
#define ROWF     0                      /* F's row at A: LIVE, ORPHAN, GONE broker */
#define MASK     1                      /* its holds that count, ORPHAN     broker */
#define ROWC     2                      /* C's row at F: LIVE, GONE         broker */
#define DEADC    3                      /* C's board: F is dead             broker */
#define FINALC   4                      /* C's board: final tail            broker */
#define FLOORC   5                      /* C's board: closing floor         broker */
#define FLOORD   6                      /* D's board: closing floor         broker */
#define CURF     7                      /* F's cell at A                         F */
#define HVERF    8
#define HOLDF(k) (9 + (k))
#define HORIZON  (9 + MSGS)             /* F's ring                              F */
#define CW(k)    (10 + MSGS + (k))      /* 1 published; entry k names message k  F */
#define CURC     (10 + 2 * MSGS)        /* C's cell at F                         C */
#define MARKC    (11 + 2 * MSGS)
#define HOLDC    (12 + 2 * MSGS)        /* seq + 1, 0 empty                      C */
#define HVERC    (13 + 2 * MSGS)
#define CURD     (14 + 2 * MSGS)        /* D's cell: cursor + 1, 0 unset         D */
#define NMEM     (15 + 2 * MSGS)

#define LIVE   0
#define ORPHAN 1
#define GONE   2

#ifndef SBD
#define SBD 2
#endif

hidden byte I3_no_leak, I4_window, I4_hold, I7_drained;

/* What an observer outside knows; one bit per message. */
byte freed;             /* A has given its slot out again         */
byte outc, outd;        /* in the window of C, of D               */
byte kept;              /* seq + 1 of the message C holds, 0 none */
byte posc;              /* private position of C                  */
bit finished[NPROC];
hidden byte g;

#include "store_buffer.inc"

#define BIT(k)  (1 << (k))
#define ALL     (BIT(MSGS) - 1)

/* ------------------------------------------------------------------ A, the origin */

byte heldf;             /* copy of F's table, a bit per entry */
byte seen_hverf;
byte seen_row, seen_mask, seen_curf;

inline read_f_table()
{
    if
    :: atomic { LD(A, HVERF) != seen_hverf -> seen_hverf = LD(A, HVERF) };   /* covers: G3 */
        heldf = LD(A, HOLDF(0));                        /* covers: G4 */
#if MSGS > 1
        heldf = heldf | (LD(A, HOLDF(1)) << 1)
#endif
    :: LD(A, HVERF) == seen_hverf
    fi
}

proctype Origin()
{
    byte pinned;
    do
    :: freed != ALL ->
#ifdef MUT_ROW_LAST
        read_f_table();
#endif
#ifdef MUT_G5
        seen_mask = LD(A, MASK);
        seen_row = LD(A, ROWF);
#else
        d_step { seen_row = LD(A, ROWF); seen_mask = LD(A, MASK) }; /* covers: G5 */
#endif
        seen_curf = LD(A, CURF);                        /* covers: G1 */
#ifndef MUT_ROW_LAST
        read_f_table();
#endif
        atomic {
            pinned = 0;
            if
            :: seen_row == LIVE -> pinned = heldf | (ALL & ~(BIT(seen_curf) - 1))
#ifdef MUT_NO_ORPHAN
            :: seen_row == ORPHAN -> skip
#else
            :: seen_row == ORPHAN -> pinned = heldf & seen_mask
#endif
            :: seen_row == GONE
            fi;
            CHECK(I4_window, !((outc | outd) & ~pinned));
            CHECK(I4_hold, kept == 0 || (pinned & BIT(kept - 1)));
            freed = freed | (ALL & ~pinned);
            pinned = 0
        };
endwait: (freed == ALL || LD(A, ROWF) != seen_row || LD(A, MASK) != seen_mask ||
            LD(A, CURF) != seen_curf || LD(A, HVERF) != seen_hverf)
    :: freed == ALL -> break
    od;
    finished[A] = 1
}

/* --------------------------------------------------------------- F, the forwarder */

byte heldc;             /* copy of C's table */
byte seen_hverc, seen_curc;

inline hold_first()
{
    store_release(F, HOLDF(fwd), 1);                    /* covers: R2 */
    store_release(F, HVERF, LD(F, HVERF) + 1)           /* covers: R3 */
}

inline read_c_table()
{
    if
    :: atomic { LD(F, HVERC) != seen_hverc -> seen_hverc = LD(F, HVERC) };
        heldc = LD(F, HOLDC)
    :: LD(F, HVERC) == seen_hverc
    fi
}

proctype Forwarder()
{
    byte fwd, horizon, low, top, k, mine;       /* mine: a bit per hold of its own */
    bit row;

    {
    do
    :: fwd < MSGS ->
#ifdef MUT_PUBLISH_FIRST
        store_release(F, CW(fwd), 1);
        hold_first();
        store_release(F, CURF, fwd + 1);
#else
        hold_first();
        if
        :: store_release(F, CURF, fwd + 1);             /* covers: R1 */
            store_release(F, CW(fwd), 1)                /* covers: P1 */
        :: store_release(F, CW(fwd), 1);
            store_release(F, CURF, fwd + 1)
        fi;
#endif
        atomic { mine = mine | BIT(fwd); fwd++ }
    :: mine != 0 ->
        /* Its own ring: horizon, fence, row, cursor, mark, version, table. */
        seen_curc = LD(F, CURC);
#ifdef LOSSY
        low = fwd;
#else
        low = (LD(F, ROWC) == GONE -> fwd : seen_curc);
#endif
        if
        :: low > horizon ->
            store(F, HORIZON, low);
#ifndef MUT_G2
            fence(F);                                   /* covers: G2 */
#endif
            horizon = low
        :: low <= horizon
        fi;
        d_step { row = (LD(F, ROWC) == GONE); low = LD(F, CURC) };
#ifdef LOSSY
        top = LD(F, MARKC);
#endif
#ifdef MUT_NO_LIMBO
        heldc = 0;
#else
        read_c_table();
#endif
        k = 0;
        do
        :: k < horizon ->
            if
            :: (mine & BIT(k)) && (row ||
                (heldc != k + 1 && !(low <= k && k < top && k < low + WINDOW))) ->
                mine = mine & ~BIT(k);
                store_release(F, HOLDF(k), 0);          /* covers: R2 */
                store_release(F, HVERF, LD(F, HVERF) + 1) /* covers: R3 */
            :: else
            fi;
            k++
        :: else -> break
        od;
        atomic { k = 0; low = 0; top = 0 };
        (mine == 0 || fwd < MSGS || (LD(F, ROWC) == GONE) != row || LD(F, CURC) != seen_curc ||
            LD(F, HVERC) != seen_hverc);
        row = 0
    :: fwd == MSGS && mine == 0 -> break
    od
    } unless { dead[F] };
    atomic {
        finished[F] = 1;
        fwd = 0; horizon = 0; low = 0; top = 0; k = 0; mine = 0; row = 0;
        heldc = 0; seen_hverc = 0; seen_curc = 0
    }
}

/* ---------------------------------------------------------------- C, the far reader */

proctype Reader()
{
    byte low, final, floor;
    bit d, ended;

    {
    do
    :: posc < MSGS && !ended && posc - low < WINDOW ->
#ifdef LOSSY
        store(C, MARKC, low + WINDOW);
#ifndef MUT_MARK_NO_FENCE
        fence(C);
#endif
        floor = LD(C, HORIZON);
#endif
        d = LD(C, DEADC);                               /* covers: D2 */
        final = LD(C, FINALC);
#ifdef LOSSY
        atomic {
            if
            :: LD(C, FLOORC) > floor -> floor = LD(C, FLOORC)
            :: else
            fi
        };
        if
        :: floor > posc && outc == 0 ->                 /* a skip; mark again */
            atomic { posc = floor; low = floor };
            store_release(C, CURC, low);
            goto again
        :: floor > posc && outc != 0 -> goto again      /* the window first */
        :: floor <= posc
        fi;
#endif
        if
        :: atomic { d && posc >= final -> ended = 1 }
        :: atomic { !(d && posc >= final) && LD(C, CW(posc)) -> /* covers: C1 */
            CHECK(I4_window, !(freed & BIT(posc)));
            outc = outc | BIT(posc);
            posc++
            }
        :: !(d && posc >= final) && !LD(C, CW(posc))
        fi;
again:
        atomic { d = 0; final = 0; floor = 0 };
        (outc != 0 || kept != 0 || ended || posc == MSGS || LD(C, CW(posc)) || LD(C, DEADC))
    /* release the oldest */
    :: posc > low -> atomic { store_release(C, CURC, low + 1); outc = outc & ~BIT(low); low++ }
    /* turn it into a hold */
    :: posc > low && kept == 0 ->
#ifdef MUT_CURSOR_FIRST
        store_release(C, CURC, low + 1);
#endif
        atomic { store_release(C, HOLDC, low + 1); kept = low + 1; outc = outc & ~BIT(low) };
        store_release(C, HVERC, LD(C, HVERC) + 1);
#ifndef MUT_CURSOR_FIRST
        store_release(C, CURC, low + 1);
#endif
        low++
    :: kept != 0 ->
        atomic { store_release(C, HOLDC, 0); kept = 0 };
        store_release(C, HVERC, LD(C, HVERC) + 1)
    :: (posc == MSGS || ended) && low == posc && kept == 0 -> break     /* DRAINED */
    od
    } unless { dead[C] };
    atomic { finished[C] = 1; low = 0; final = 0; floor = 0; d = 0; ended = 0 }
}

/* ------------------------------------------------------ D joins the dead F's ring */

bit reply;
byte final;             /* in the answer */

proctype Joiner()
{
    byte start;
end:
    reply;
    store_release(D, CURD, 1);                          /* history: from 0 on */
    fence(D);                                           /* covers: J1 */
    start = (LD(D, FLOORD) > LD(D, HORIZON) -> LD(D, FLOORD) : LD(D, HORIZON));
    store_release(D, CURD, start + 1);
    do
    :: start < final ->
        atomic {
            CHECK(I4_window, !(freed & BIT(start)));
            outd = outd | BIT(start)
        };
        atomic {
            store_release(D, CURD, start + 2);          /* covers: R1 */
            outd = 0;
            start++
        }
    :: start >= final -> break
    od;
    start = 0;
    finished[D] = 1
}

/* ---------------------------------------------------------------------- the broker */

byte mask, tried;
bit buried, admitted, toldc;
bit killed, replaced;   /* its worker, once */

/* May a reader of the dead ring still read entry k?  After a first look it looks again when the
 * answer, by a glance, is no. */
#ifdef LOSSY
#define GLANCE_C(k) (mem[CURC] <= k && k < mem[MARKC] && k < mem[CURC] + WINDOW)
#else
#define GLANCE_C(k) (mem[CURC] <= k)
#endif
#define GLANCE(k) (!(!GONE_FOR_GOOD(C) && (GLANCE_C(k) || mem[HOLDC] == k + 1)) && \
    !(admitted && (mem[CURD] == 0 || mem[CURD] - 1 <= k)))
#define CHECKS(k) :: buried && (mask & BIT(k)) && (!(tried & BIT(k)) || GLANCE(k)) -> \
    tried = tried | BIT(k); check_hold(k)

inline check_hold(k)
{
    pins = 0;
#ifdef MUT_HOLDS_FIRST
    if
    :: mem[HOLDC] == k + 1 && !GONE_FOR_GOOD(C) -> pins = 1
    :: else
    fi;
#endif
#ifdef LOSSY
    n = mem[CURC];
    if
    :: n <= k && k < mem[MARKC] && k < n + WINDOW && !GONE_FOR_GOOD(C) -> pins = 1
    :: else
    fi;
    n = 0;
#else
    if
    :: mem[CURC] <= k && !GONE_FOR_GOOD(C) -> pins = 1
    :: else
    fi;
#endif
#if !defined(MUT_HOLDS_FIRST) && !defined(MUT_NO_HOLDS)
    if
    :: mem[HOLDC] == k + 1 && !GONE_FOR_GOOD(C) -> pins = 1
    :: else
    fi;
#endif
    if
#ifdef MUT_UNSET
    :: admitted && mem[CURD] != 0 && mem[CURD] - 1 <= k -> pins = 1
#else
    :: admitted && (mem[CURD] == 0 || mem[CURD] - 1 <= k) -> pins = 1
#endif
    :: else
    fi;
    if
    :: atomic { !pins -> mask = mask & ~BIT(k) };
        if
        :: mask == 0 -> mem[ROWF] = GONE
        :: mask != 0 -> mem[MASK] = mask
        fi
    :: pins
    fi;
    pins = 0
}

/* What F committed: nobody stores in its ring any more. */
inline read_ring()
{
    final = 0;
    do :: final < MSGS && mem[CW(final)] -> final++ :: else -> break od
}

/* The row goes last: a worker that finds it LIVE does all of it again. */
inline bury()
{
    atomic {
        read_ring();
        mask = 0;
        for (g : 0 .. MSGS - 1) {
            if
            :: g < final && mem[HOLDF(g)] -> mask = mask | BIT(g)
            :: else
            fi
        }
        g = 0
    };
#ifdef MUT_GONE
    mask = 0;
#endif
    mem[FINALC] = final;
    mem[DEADC] = 1;
#if defined(LOSSY) && !defined(MUT_NO_FLOOR_C)
    mem[FLOORC] = final;                        /* closed to a lossy reader at once */
#endif
#ifdef MUT_MASK_LATE
    mem[ROWF] = (mask == 0 -> GONE : ORPHAN);
    mem[MASK] = mask
#else
    mem[MASK] = mask;
    mem[ROWF] = (mask == 0 -> GONE : ORPHAN)
#endif
}

/* D is in the drain check first; what counts no more is closed before D hears of the ring. */
inline admit()
{
#ifndef MUT_ADMIT_LATE
    admitted = 1;
#endif
    atomic {
        n = final;
        do :: n > 0 && (mask & BIT(n - 1)) -> n-- :: else -> break od;
#ifdef MUT_NO_FLOOR
        if :: mask != 0 -> n = 0 :: else fi             /* GONE only */
#endif
    };
    atomic { mem[FLOORD] = n; n = 0 };
    reply = 1;
#ifdef MUT_ADMIT_LATE
    admitted = 1
#endif
}

proctype Broker()
{
    byte n;
    bit pins;
    {
again:
end:
        do
        :: GONE_FOR_GOOD(F) && mem[ROWF] == LIVE -> bury(); buried = 1
#ifndef MUT_NEVER_CLEARED
        CHECKS(0)
#if MSGS > 1
        CHECKS(1)
#endif
#endif
#ifndef NO_JOINER
        :: buried && !reply -> admit()
#endif
        :: GONE_FOR_GOOD(C) && !toldc && !buried -> atomic { toldc = 1; mem[ROWC] = GONE }
        od
    } unless { killed };
    /* The next worker has what is recorded and what its predecessor stored. */
    atomic {
        killed = 0;
        n = 0; pins = 0; tried = 0;
        buried = (mem[ROWF] != LIVE);
        if
#ifdef MUT_FORGETS
        :: buried -> mask = 0
#else
        :: buried -> read_ring(); mask = (mem[ROWF] == ORPHAN -> mem[MASK] : 0)
#endif
        :: !buried -> mask = 0; final = 0
        fi
    };
    goto again
}

proctype Kernel()
{
end:
    do
    drain(F)
    drain(C)
    drain(D)
#ifndef NO_KILL
    :: !dead[F] && !finished[F] -> dead[F] = 1
#endif
#ifdef BROKER_DIES
    :: atomic { !replaced && GONE_FOR_GOOD(F) && mem[ROWF] != GONE -> replaced = 1; killed = 1 }
#endif
#ifdef KILL_C
    :: atomic { !dead[C] && !finished[C] -> dead[C] = 1; outc = 0; kept = 0 }
#endif
    :: timeout ->
        CHECK(I3_no_leak, finished[A]);
#ifndef LOSSY
        CHECK(I7_drained, dead[C] || (finished[C] && (dead[F] || posc == MSGS)));
#endif
        break
    od
}

init
{
    atomic {
        run Origin();
#ifdef FORWARDED
        for (g : 0 .. MSGS - 1) {
            mem[HOLDF(g)] = 1;
            mem[CW(g)] = 1
        }
        g = 0;
        mem[HVERF] = 1;
        mem[CURF] = MSGS;
        dead[F] = 1;
        finished[F] = 1;
#else
        run Forwarder();
#endif
        run Reader();
#ifndef NO_JOINER
        run Joiner();
#endif
        run Broker();
        run Kernel()
    }
}
