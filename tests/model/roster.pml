/* SPDX-License-Identifier: Apache-2.0
 *
 * roster.pml - the rows of a roster, used again, and the directory of its parts.
 *
 * The broker writes the rows of one publisher: row 0, in part 0, is used by
 * USES readers one after the other; row 1 lies in part 1, which is added on the
 * way.  A row is used again by storing GONE with the next generation, a release
 * fence, the two fields of its record, LIVE (release), the roster's version
 * (release).  A part is its place in the directory, then the number of parts
 * (release), then the version.  The broker's worker may be killed once at any
 * step; its successor writes again what it does not find as the registry says.
 * The publisher syncs whenever the version is not the one it remembers.
 *
 * Assertions
 *   row_record      what was copied with a state is the record of that state
 *   part_placed     a part that counts has its place in the directory
 *   row_current     quiescent, the publisher knows the rows as they are
 *
 * Crash table: the worker dies ...
 *   GONE .. LIVE         the row is GONE: written again, of the next generation
 *   LIVE .. version      LIVE for this very reader: the version is bumped
 *   place .. count       the place is written again
 *   count .. version     the version is bumped
 */

#ifndef USES
#define USES 2
#endif
#define ROW_TRIES 2

/* processes */
#define P     0
#define B     1
#define NPROC 2

/* words, all written by the broker */
#define RVER     0              /* roster version                             */
#define PARTS    1              /* number of parts                            */
#define PLACE    2              /* of part 1, 0 unset                         */
#define STATE(i) (3 + 3 * (i))  /* generation * 2, + 1 LIVE                   */
#define F0(i)    (4 + 3 * (i))  /* the record: both fields say which reader   */
#define F1(i)    (5 + 3 * (i))
#define NMEM     9

#ifndef SBD
#define SBD 4
#endif

hidden byte row_record, part_placed, row_current;

/* What an observer outside knows. */
byte recorded[2 * USES + 3];    /* the reader whose record generation n of row 0 is */
bit restarted;
hidden byte g;

#include "store_buffer.inc"

/* ------------------------------------------------------------------- broker */

/* The registry, which every worker inherits. */
byte use;               /* the reader that row 0 is for, 0 none */
byte marked;            /* the reader whose row is on the board, version included */
bit grown;

/* The release fence between GONE and the fields. */
#ifdef MUT_B0
#define store_after_fence(x, y) store(B, x, y)
#else
#define store_after_fence(x, y) store_release(B, x, y)  /* covers: B0 */
#endif

#ifdef MUT_SAME_GEN
#define NEXT(generation) (generation == 0 -> 1 : generation)
#else
#define NEXT(generation) (generation + 1)
#endif

inline bump_version()
{
#ifdef MUT_B2
    store(B, RVER, LD(B, RVER) + 1)
#else
    store_release(B, RVER, LD(B, RVER) + 1)         /* covers: B2 */
#endif
}

inline write_row(i, reader)
{
    n = LD(B, STATE(i));
    if
    :: n % 2 == 0 || LD(B, F0(i)) != reader ->
        n = NEXT(n / 2);
        if
        :: i == 0 -> recorded[n] = reader
        :: else
        fi;
#ifndef MUT_NO_GONE
        store_release(B, STATE(i), n * 2);
#endif
        if
        :: store_after_fence(F0(i), reader); store_after_fence(F1(i), reader)
        :: store_after_fence(F1(i), reader); store_after_fence(F0(i), reader)
        fi;
#ifdef MUT_B1
        store(B, STATE(i), n * 2 + 1)
#else
        store_release(B, STATE(i), n * 2 + 1)   /* covers: B1 */
#endif
    :: else
    fi;
    n = 0;
    bump_version()
}

proctype Broker()
{
    byte n;
    {
end:
        do
        :: use < USES && marked == use ->       /* another reader gets row 0 */
            use++
        :: marked < use ->
            write_row(0, use);
            atomic { EMPTY(B) -> marked = use }     /* a system call answers */
        :: !grown ->
            store(B, PLACE, 1);
#ifdef MUT_B3
            store(B, PARTS, 2);
#else
            store_release(B, PARTS, 2);             /* covers: B3 */
#endif
            write_row(1, 1);
            atomic { EMPTY(B) -> grown = 1 }
        od
    } unless { dead[B] };
    atomic { EMPTY(B) -> dead[B] = 0; restarted = 1; n = 0; run Broker() }
}

/* ---------------------------------------------------------------- publisher */

byte seen_rver;
bit unmapped;
byte row[2];            /* state */
byte cell[2];           /* of the record */

inline read_row(i)
{
    do
    :: true ->
#ifdef MUT_G5
        f0 = LD(P, F0(i));
        f1 = LD(P, F1(i));
        s = LD(P, STATE(i));
#else
        s = LD(P, STATE(i));                    /* covers: G5 */
        f0 = LD(P, F0(i));
        f1 = LD(P, F1(i));
#endif
#ifdef MUT_G8
        break                   /* as if the second load had come first */
#else
        if
        :: LD(P, STATE(i)) == s -> break        /* covers: G8 */
        :: else
        fi;
        tries++;
        if
        :: tries == ROW_TRIES -> unmapped = 1; break
        :: else
        fi
#endif
    od;
    atomic {
        if
        :: tries < ROW_TRIES ->
            CHECK(row_record, s % 2 == 0 ||
                (i == 0 && f0 == recorded[s / 2] && f1 == f0) ||
                (i == 1 && f0 == 1 && f1 == 1));
            row[i] = s;
            cell[i] = (s % 2 -> f0 : 0)
        :: else
        fi;
        tries = 0; s = 0; f0 = 0; f1 = 0
    }
}

proctype Publisher()
{
    byte v, s, f0, f1, tries, parts;
end:
    do
    :: unmapped || LD(P, RVER) != seen_rver ->
#ifdef MUT_G6
        parts = LD(P, PARTS);
        unmapped = 0;
        read_row(0);
        if
        :: parts == 2 -> CHECK(part_placed, LD(P, PLACE) == 1); read_row(1)
        :: else
        fi;
        atomic { seen_rver = LD(P, RVER); parts = 0 }
#else
        v = LD(P, RVER);                                /* covers: G6 */
#ifdef MUT_G7
        s = LD(P, PLACE);
        parts = LD(P, PARTS);
        atomic { CHECK(part_placed, parts != 2 || s == 1); s = 0 };
#else
        parts = LD(P, PARTS);                           /* covers: G7 */
        CHECK(part_placed, parts != 2 || LD(P, PLACE) == 1);
#endif
        unmapped = 0;
        read_row(0);
        if
        :: parts == 2 -> read_row(1)
        :: else
        fi;
        atomic { seen_rver = v; v = 0; parts = 0 }
#endif
    od
}

proctype Kernel()
{
end:
    do
    drain(B)
#ifdef BROKER_DIES
    :: !restarted && !dead[B] -> dead[B] = 1
#endif
    :: timeout ->
        CHECK(row_current, row[0] == mem[STATE(0)] && cell[0] == USES &&
            row[1] == mem[STATE(1)] && cell[1] == 1);
        break
    od
}

init
{
    recorded[0] = 99;
    atomic { run Publisher(); run Broker(); run Kernel() }
}
