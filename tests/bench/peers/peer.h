/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An adaptor: a program that lets the benchmark measure one system, lshm or another.
 *
 * The benchmark starts it once for each cell, with a memory object that both map (struct
 * peer_control). It forks the ends, which open the system (turn 1) and then sleep until `turn` is
 * raised. A turn is one measurement between two calibrations. At its end the first producer stores
 * the sample and sets `done` to the turn. With `quit` the ends close the system and go.
 *
 * Ends: producers first, then consumers. Their main threads are pinned once the system is open,
 * producers to CPU 0 and consumers to CPU 1; the system's own threads run where the kernel wants.
 */
#ifndef PEER_H
#define PEER_H

#include "bench.h"

#define PEER_ENDS_MAX (BENCH_FAN_MAX + 1u)
#define PEER_WHY_BYTES 160
#define PEER_NAME_BYTES 64

struct peer_control {
    uint32_t turn;                  /* futex; the benchmark raises it */
    uint32_t done;                  /* futex; follows turn */
    uint32_t quit;
    uint32_t skipped;               /* the system can't do this cell; `why` says why */
    char why[PEER_WHY_BYTES];
    char directory[PEER_NAME_BYTES]; /* of the system's files; the benchmark removes it */
    char peer[PEER_NAME_BYTES];     /* which system, for programs that know several */
    struct bench_cell cell;
    double sample_ns;
    uint64_t messages;              /* of the next measurement */
    int32_t ends[PEER_ENDS_MAX];    /* process ids */
    struct bench_sample sample;
    struct bench_shared shared;
};

/* What an adaptor's file defines. */
extern const struct bench_system *const peer_system;
/* Before the ends are forked: refuse the cell, make what both ends inherit, start helpers. */
void peer_prepare(struct peer_control *control);

/* main.c, for adaptors */
/* This cell can't be measured; does not return. */
_Noreturn void peer_skip(struct peer_control *control, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The cells of two processes, without batches: what most systems can do. */
void peer_pairs_only(struct peer_control *control);
void peer_no_batches(struct peer_control *control);
/* A process that works for the system; ended with SIGTERM after the ends. */
void peer_helper(struct peer_control *control, pid_t pid);
/* A name that no other run uses: PREFIX, this run, `way`. */
const char *peer_name(const struct bench_worker *worker, const char *prefix, const char *way,
                      char name[PEER_NAME_BYTES]);

#endif
