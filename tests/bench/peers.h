/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --peers: lshm and other systems, the same work in the same run.
 *
 * Each system of a cell runs as an adaptor (peers/peer.h) that waits for its turns:
 *
 *     lshm | peer A | lshm | peer B | ... | lshm | peer A | ...
 *
 * A pair is a peer's sample and the lshm sample just before it, if both show one regime.
 */
#ifndef PEERS_H
#define PEERS_H

#include "bench.h"
#include "peers/peer.h"

#define PEERS_MAX 16u
#define PEER_SAMPLES_MAX 1024u

/* What the benchmark knows of a system before it tries it. */
struct peer_known {
    const char *name;
    const char *program; /* lshm-peer-PROGRAM */
    const char *needs;   /* to be built; what a skip says */
};
extern const struct peer_known peer_known[];
extern const size_t peer_known_count;

/* A system in a cell: its adaptor, what it measured. */
struct peer {
    const struct peer_known *known;
    pid_t pid;                  /* 0: has ended */
    struct peer_control *control;
    char why[PEER_WHY_BYTES];   /* it was not measured; empty: it was */
    bool failed;                /* ... and should have been */
    uint64_t memory_bytes;
    uint32_t count;
    struct bench_sample samples[PEER_SAMPLES_MAX];
    struct bench_sample lshm[PEER_SAMPLES_MAX]; /* the lshm sample before each */
};

/* peer_process.c: one adaptor. */
/* Starts it; false if it can't be measured (peer->why). */
bool peer_start(struct peer *peer, const struct bench_cell *cell, double sample_ns);
/* One measurement; false if it failed. */
bool peer_turn(struct peer *peer, struct bench_sample *ret_sample);
/* Also notes how much memory the system uses. */
void peer_stop(struct peer *peer);

/* peer_report.c */
/* The median over the pairs of a regime of what the bench compares, the peer's to lshm's. */
double peer_ratio(const struct bench_cell *cell, const struct peer *peer, enum bench_regime regime,
                  uint32_t *ret_pairs);
void peer_report_head(const struct bench_options *options);
void peer_report(const struct bench_cell *cell, const struct peer *peer,
                 const struct bench_options *options);

#endif
