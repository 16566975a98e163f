/* SPDX-License-Identifier: Apache-2.0
 *
 * sleep_reader.pml - a reader sleeps until there is a message or a death.
 *
 * RINGS publishers publish MSGS messages each, in batches of one or more, with
 * one flush after each batch; the reader subscribes through the broker while
 * they run, takes everything, and sleeps whenever nothing is there: drain the
 * channels, store the sleep word (odd), fence, look again, block.  Each
 * publisher may be killed at any step.  Nothing here has a time-out: the timer
 * of the library is a second line of defence, and would hide the mistakes.
 *
 * Assertions (numbers: doc/design.md, section 4)
 *   I12_sleeps_on_work   quiescent, but the reader is blocked and a message
 *                        that it has not taken is in memory
 *   I11_sleeps_on_dead   quiescent, but the reader is blocked on the ring of a
 *                        dead publisher
 *   I7_drained           a reader that is told the end of a ring has taken all
 *                        that was committed to it
 *   one_signal           at most one signal per publisher and sleep generation
 *
 * Crash table: a publisher dies ...
 *   before the commit word       nothing there; the final tail says so
 *   commit word .. signal        the broker stores the final tail and DEAD on
 *                                the reader's board, then wakes it
 *   after the signal             the reader wakes twice
 */

#ifndef MSGS
#define MSGS 2
#endif
#ifndef RINGS
#define RINGS 1
#endif

/* processes */
#define P(k)  (k)
#define B     (RINGS)
#define R     (RINGS + 1)
#define NPROC (RINGS + 2)

/* words */
#define CW(k)    (k)                    /* messages committed       publisher k */
#define RVER(k)  (RINGS + (k))          /* its roster version            broker */
#define DEAD(k)  (2 * RINGS + (k))      /* on the reader's board         broker */
#define FINAL(k) (3 * RINGS + (k))      /* final tail + 1, same board    broker */
#define SLEEP    (4 * RINGS)            /* sleep generation              reader */
#define NMEM     (4 * RINGS + 1)

#ifndef SBD
#define SBD 2
#endif

hidden byte I12_sleeps_on_work, I11_sleeps_on_dead, I7_drained, one_signal;

byte channel[RINGS];       /* bytes in the channel (publisher k, reader) */
bit bell;               /* bytes in the control socket from the broker */
bit reply;              /* the broker's answer has arrived */
byte taken[RINGS];
bit ended[RINGS];       /* the reader has seen the end of this ring */
bit blocked;
bit finished[NPROC];
byte signalled[RINGS];  /* last sleep generation each publisher signalled */
hidden byte g;

#include "store_buffer.inc"

/* ---------------------------------------------------------------- publisher */

proctype Publisher(byte k)
{
    byte sent, gen;
    bit knows;              /* private roster: is the reader in it? */

    {
        do
        :: sent < MSGS ->
            store_release(P(k), CW(k), sent + 1);   /* covers: P1 */
            sent++;
            if
            :: true                         /* flush now */
            :: sent < MSGS -> goto next     /* or batch one more */
            fi;
#ifndef MUT_W1
            fence(P(k));                            /* covers: W1 */
#endif
#ifdef MUT_NO_RESYNC
            if :: sent == 1 -> knows = LD(P(k), RVER(k)) :: else fi;
#else
            knows = LD(P(k), RVER(k));              /* covers: G6 */
#endif
            if
            :: knows ->
                gen = LD(P(k), SLEEP);
                if
#ifdef MUT_ONCE
                :: gen % 2 == 1 && signalled[k] == 0 ->
#else
                :: gen % 2 == 1 && gen != signalled[k] ->
#endif
                    atomic {
                        CHECK(one_signal, gen != signalled[k]);
                        signalled[k] = gen;
                        channel[k] = 1;
                        gen = 0
                    }
                :: else -> gen = 0
                fi
            :: else
            fi;
next:           skip
        :: sent == MSGS -> break
        od
    } unless { dead[P(k)] };
    finished[P(k)] = 1
}

/* ------------------------------------------------------------------- reader */

#if RINGS == 1
#define BELLS   (channel[0] || bell)
#define ALL_END (ended[0] || taken[0] == MSGS)
#else
#define BELLS   (channel[0] || channel[1] || bell)
#define ALL_END ((ended[0] || taken[0] == MSGS) && (ended[1] || taken[1] == MSGS))
#endif
#define OPEN(k) (!ended[k] && taken[k] < MSGS)

/* Look at ring k: the board first, then the entries; all there is is taken. */
inline look(k)
{
    if
    :: OPEN(k) ->
#if defined(MUT_D2)
        final = LD(R, FINAL(k));
        d = LD(R, DEAD(k));
        committed = LD(R, CW(k));
#elif defined(MUT_BOARD_LAST)
        committed = LD(R, CW(k));
        d = LD(R, DEAD(k));
        if :: d -> final = committed + 1 :: else fi;
#else
        d = LD(R, DEAD(k));                             /* covers: D2 */
        final = LD(R, FINAL(k));
        committed = LD(R, CW(k));                              /* covers: C1 */
#endif
        d_step {
            if
            :: d && committed + 1 > final -> committed = (final > 0 -> final - 1 : 0)
            :: else                         /* nothing past the final tail */
            fi;
            if
            :: committed > taken[k] -> taken[k] = committed; found = 1
            :: else
            fi;
            if
            :: d && taken[k] + 1 >= final -> ended[k] = 1
            :: else
            fi;
            d = 0; final = 0; committed = 0
        }
    :: else
    fi
}

inline drain_channels()
{
    d_step {
        for (g : 0 .. RINGS - 1) { channel[g] = 0 }
        bell = 0;
        g = 0
    }
}

proctype Reader()
{
    byte gen, final, committed;
    bit d, found;

    reply;
    do
    :: !ALL_END ->
        /* spin: look without sleeping */
        found = 0;
        look(0);
#if RINGS > 1
        look(1);
#endif
        if
        :: found || ALL_END -> goto next
        :: else
        fi;
#ifndef MUT_DRAIN_LATE
        drain_channels();
#endif
        gen = gen + 1;
        store(R, SLEEP, gen);
#ifndef MUT_S1
        fence(R);                                       /* covers: S1 */
#endif
#ifndef MUT_NO_LOOK
        look(0);
#if RINGS > 1
        look(1);
#endif
#endif
#ifdef MUT_DRAIN_LATE
        drain_channels();
#endif
        if
        :: found || ALL_END
        :: else ->
            blocked = 1;
            BELLS;
            blocked = 0
        fi;
#ifdef MUT_SAME_GEN
        gen = gen - 1;
#else
        gen = gen + 1;
#endif
        store(R, SLEEP, gen);
next:       skip
    :: ALL_END -> break
    od;
    atomic { finished[R] = 1; gen = 0; found = 0 }
}

/* -------------------------------------------------------- broker and kernel */

#define BURY(k) :: GONE_FOR_GOOD(P(k)) && !told[k] -> told[k] = 1; bury(k)

inline bury(k)
{
#ifdef MUT_WAKE_FIRST
    bell = 1;
#endif
    store(B, FINAL(k), mem[CW(k)] + 1);
#ifdef MUT_D1
    store(B, DEAD(k), 1);
#else
    store_release(B, DEAD(k), 1);                           /* covers: D1 */
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
    bit told[RINGS];

#ifdef MUT_REPLY_FIRST
    reply = 1;
#endif
    store_release(B, RVER(0), 1);                           /* covers: B2 */
#if RINGS > 1
    store_release(B, RVER(1), 1);
#endif
    EMPTY(B);
    reply = 1;
end:
    do
    BURY(0)
#if RINGS > 1
    BURY(1)
#endif
    od
}

#ifndef KILLS
#define KILLS RINGS /* how many of the publishers may be killed */
#endif
#define KILL(k) :: !dead[P(k)] && !finished[P(k)] -> dead[P(k)] = 1

proctype Kernel()
{
end:
    do
    drain(P(0))
#if KILLS > 0
    KILL(0)
#endif
#if RINGS > 1
    drain(P(1))
#if KILLS > 1
    KILL(1)
#endif
#endif
    drain(B)
    drain(R)
    :: timeout ->
        for (g : 0 .. RINGS - 1) {
            CHECK(I12_sleeps_on_work, !blocked || ended[g] || taken[g] == mem[CW(g)]);
            CHECK(I11_sleeps_on_dead, !blocked || ended[g] || taken[g] == MSGS ||
                !dead[P(g)]);
            CHECK(I7_drained, taken[g] == mem[CW(g)])
        }
        g = 0;
        CHECK(I12_sleeps_on_work, finished[R]);
        break
    od
}

init
{
    atomic {
        run Publisher(0);
#if RINGS > 1
        run Publisher(1);
#endif
        run Reader();
        run Broker();
        run Kernel()
    }
}
