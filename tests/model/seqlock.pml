/* SPDX-License-Identifier: Apache-2.0
 *
 * seqlock.pml - the entries of a ring with lossy readers.
 *
 * The publisher overwrites the entries of a ring of RING >= 2 without waiting
 * for anybody: it stores the coming seq in the commit word, a release fence,
 * the two words of the descriptor, then the commit word seq + 1.  The reader
 * copies what has the commit word it waits for and believes the copy only if
 * the commit word is still the same; otherwise the message is lost.  The
 * publisher may be killed at any step.  Only entries are modelled, not slots.
 *
 * Assertions (numbers: doc/design.md, section 4)
 *   I8_descriptor   commit word = seq + 1 before and after the copy: both words
 *                   are those published at seq
 *   I7_accounted    quiescent, every committed message was taken or counted lost
 *
 * Crash table: the publisher dies ...
 *   coming seq .. commit word    "older" to who waits for the new message, who
 *                                stops there; "newer" to who waits for the
 *                                overwritten one, who counts it lost
 */

#ifndef RING
#define RING 2
#endif
#ifndef MSGS
#define MSGS 5
#endif

/* processes */
#define P     0
#define R     1
#define NPROC 2

/* words, all written by the publisher */
#define CW(seq)  (3 * ((seq) % RING))           /* commit word */
#define D0(seq)  (CW(seq) + 1)                  /* descriptor, two words that */
#define D1(seq)  (CW(seq) + 2)                  /* both say seq + 1           */
#define NMEM     (3 * RING)

#ifndef SBD
#define SBD 4
#endif

hidden byte I7_accounted, I8_descriptor;

byte committed;         /* commit words stored */
byte pos;               /* of the reader: taken or lost is what lies below */
bit finished[NPROC];

#include "store_buffer.inc"

/* The release fence: what follows waits for all that is older. */
#ifdef MUT_P0
#define store_after_fence(x, y) store(P, x, y)
#else
#define store_after_fence(x, y) store_release(P, x, y)  /* covers: P0 */
#endif

proctype Publisher()
{
    byte seq;

    {
        do
        :: seq < MSGS ->
#if defined(MUT_MARK_ZERO)
            store(P, CW(seq), 0);
#elif !defined(MUT_NO_MARK)
            store(P, CW(seq), seq);
#endif
            if
            :: store_after_fence(D0(seq), seq + 1);
                store_after_fence(D1(seq), seq + 1)
            :: store_after_fence(D1(seq), seq + 1);
                store_after_fence(D0(seq), seq + 1)
            fi;
#ifdef MUT_P1
            store(P, CW(seq), seq + 1);
#else
            store_release(P, CW(seq), seq + 1);     /* covers: P1 */
#endif
            atomic { seq++; committed = seq }
        :: seq == MSGS -> break
        od
    } unless { dead[P] };
    finished[P] = 1
}

proctype Reader()
{
    byte c, d0, d1;
end:
    do
    /* An older commit word means that nothing is there yet. */
#ifdef MUT_C1
    :: pos < MSGS ->
        d0 = LD(R, D0(pos));
endwait:    d_step { LD(R, CW(pos)) > pos -> c = LD(R, CW(pos)) };
#else
    :: d_step {                                     /* covers: C1 */
        pos < MSGS && LD(R, CW(pos)) > pos -> c = LD(R, CW(pos)) };
        d0 = LD(R, D0(pos));
#endif
        d1 = LD(R, D1(pos));
#ifdef MUT_C2
        skip;                   /* as if the second load had come first */
#else
        if
        :: LD(R, CW(pos)) != c -> c = 0         /* covers: C2 */
        :: else
        fi;
#endif
        atomic {
            CHECK(I8_descriptor, c != pos + 1 || (d0 == c && d1 == c));
            pos++;                          /* taken, or lost and counted */
            c = 0; d0 = 0; d1 = 0
        }
    od
}

proctype Kernel()
{
end:
    do
    drain(P)
    :: !dead[P] && !finished[P] -> dead[P] = 1
    :: timeout ->
        CHECK(I7_accounted, pos >= committed);
        break
    od
}

init
{
    atomic { run Publisher(); run Reader(); run Kernel() }
}
