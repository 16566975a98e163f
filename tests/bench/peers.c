/* SPDX-License-Identifier: Apache-2.0 */
/* --peers: its cells, the systems, the order of the turns. */
#include "peers.h"

#include <stdlib.h>
#include <string.h>

#define KIB 1024u
#define MIB (1024u * 1024u)
#define BATCH_SIZE_MAX (64u * KIB)
#define SECONDS 20.0      /* at most, per cell */
#define SECONDS_TARGET 60.0
#define SECONDS_QUICK 2.0
#define NEAR_WANTED 9u    /* pairs of each peer; a cell ends when all have them */
#define NEAR_WANTED_QUICK 3u
#define ROUNDS_MIN 2u
#define SAMPLE_NS 20e6
#define SAMPLE_QUICK_NS 5e6
#define ATTACHES 15u      /* each a new process */
#define ATTACHES_QUICK 3u
#define FANOUT_RATIO_MAX 2.0 /* of the publisher's CPU time, 64 lossy readers to 1 */
#define FANIN_RATIO_MAX 3.0  /* of the subscriber's, 64 publishers to 1 */
#define CELLS_MAX 160u

const struct peer_known peer_known[] = {
    {"lshm", "lshm", "the library"},
    {"pipe", "stream", "nothing"},
    {"unix-stream", "stream", "nothing"},
    {"unix-seqpacket", "packet", "nothing"},
    {"posix-mq", "mq", "nothing"},
    {"zeromq", "zeromq", "libzmq3-dev"},
    {"nng", "nng", "libnng-dev"},
    {"dpdk-rte_ring", "dpdk", "libdpdk-dev"},
    {"iceoryx", "iceoryx", "libiceoryx-posh-dev and iceoryx"},
    {"iceoryx2", "iceoryx2", "cargo and the crate iceoryx2"},
    {"aeron", "aeron", "cargo, the crate rusteron-client, cmake 3.30 and libclang"},
};
const size_t peer_known_count = sizeof(peer_known) / sizeof(peer_known[0]);

struct cells {
    size_t count;
    struct bench_cell cells[CELLS_MAX];
};

static void add(struct cells *cells, struct bench_cell cell)
{
    if (cells->count == CELLS_MAX) {
        bench_die("too many cells");
    }
    cells->cells[cells->count++] = cell;
}

/* Round trips and one way: every size, mode and touch, batches where they make sense. */
static void add_pairs(struct cells *cells)
{
    static const uint32_t sizes[] = {64, 4 * KIB, 64 * KIB, 1 * MIB, 4 * MIB};
    for (int i = 0; i < 2 * 2 * 2 * 5; i++) {
        uint32_t size = sizes[i % 5];
        enum bench_kind kind = i / 5 % 2 ? BENCH_ONEWAY : BENCH_ROUNDTRIP;
        enum bench_mode mode = i / 10 % 2 ? BENCH_BLOCK : BENCH_SPIN;
        enum bench_touch touch = i / 20 % 2 ? BENCH_TOUCH_HEAD : BENCH_TOUCH_ALL;
        bool quick = touch == BENCH_TOUCH_ALL && mode == BENCH_SPIN && size == 64;
        add(cells, (struct bench_cell){.kind = kind, .size = size, .batch = 1, .mode = mode,
                                       .touch = touch, .quick = quick});
        if (kind == BENCH_ONEWAY && size <= BATCH_SIZE_MAX) {
            add(cells, (struct bench_cell){.kind = kind, .size = size, .batch = 32, .mode = mode,
                                           .touch = touch, .quick = quick});
        }
    }
}

static void add_others(struct cells *cells)
{
    static const uint32_t fans[] = {1, 2, 4, 8, 64};
    add(cells, (struct bench_cell){.kind = BENCH_WAKE, .size = 64, .batch = 1,
                                   .mode = BENCH_BLOCK, .quick = true});
    add(cells, (struct bench_cell){.kind = BENCH_ATTACH, .size = 64, .batch = 1,
                                   .mode = BENCH_BLOCK, .quick = true});
    for (size_t i = 0; i < 2 * sizeof(fans) / sizeof(fans[0]); i++) {
        bool lossy = i % 2;
        struct bench_cell cell = {.kind = BENCH_FANOUT, .size = 64, .batch = 32,
                                  .mode = lossy ? BENCH_SPIN : BENCH_BLOCK, .fan = fans[i / 2],
                                  .lossy = lossy, .quick = fans[i / 2] == 2};
        add(cells, cell);
        cell.size = 64 * KIB;
        cell.touch = BENCH_TOUCH_HEAD;
        cell.quick = false;
        add(cells, cell);
    }
    for (size_t i = 0; i < sizeof(fans) / sizeof(fans[0]); i++) {
        if (fans[i] != 2 && fans[i] != 8) {
            add(cells, (struct bench_cell){.kind = BENCH_FANIN, .size = 64, .batch = 32,
                                           .mode = BENCH_BLOCK, .fan = fans[i],
                                           .quick = fans[i] == 4});
        }
    }
}

/* Whether `name` is one of the comma-separated `names`. */
static bool is_named(const char *names, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = names; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

static bool is_asked(const struct peer *peer, const struct bench_options *options)
{
    return peer->known == &peer_known[0] || !options->with ||
           is_named(options->with, peer->known->name);
}

static bool runs(const struct peer *peer)
{
    return peer->pid > 0 && !peer->failed;
}

/* Samples of the near regime, with lshm's if lshm is measured too. */
static uint32_t near_count(const struct peer *peer, bool paired)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < peer->count; i++) {
        count += peer->samples[i].regime == BENCH_NEAR &&
                 (!paired || peer->lshm[i].regime == BENCH_NEAR);
    }
    return count;
}

static void note(struct peer *peer, const struct bench_sample *sample,
                 const struct bench_sample *lshm)
{
    if (peer->count < PEER_SAMPLES_MAX) {
        peer->lshm[peer->count] = *lshm;
        peer->samples[peer->count++] = *sample;
    }
}

/* One turn of lshm and one of the peer; either may be missing. */
static void measure_pair(struct peer *lshm, struct peer *peer, bool warm)
{
    struct bench_sample first = {.regime = BENCH_MIXED}, second;
    if (runs(lshm) && peer_turn(lshm, &first) && warm) {
        note(lshm, &first, &first);
    }
    if (peer != lshm && peer_turn(peer, &second) && warm) {
        note(peer, &second, &first);
    }
}

/* Rounds until every peer has its near pairs, or the time is over. */
static void run_rounds(struct peer *peers, size_t count, const struct bench_options *options)
{
    double seconds = options->seconds > 0 ? options->seconds
                     : options->targets   ? SECONDS_TARGET
                     : options->quick     ? SECONDS_QUICK
                                          : SECONDS;
    uint32_t wanted = options->quick ? NEAR_WANTED_QUICK : NEAR_WANTED;
    uint64_t end_ns = 0;
    bool wanting = true, alone = true;

    for (size_t i = 1; i < count; i++) {
        alone = alone && !runs(&peers[i]);
    }
    for (uint32_t round = 0; wanting; round++) {
        if (round == 1) { /* the first is not used */
            end_ns = bench_now_ns() + (uint64_t)(seconds * 1e9);
        } else if (round > ROUNDS_MIN && bench_now_ns() > end_ns) {
            break;
        }
        wanting = false;
        for (size_t i = alone ? 0 : 1; i < (alone ? 1 : count); i++) {
            if (runs(&peers[i]) && near_count(&peers[i], runs(&peers[0])) < wanted) {
                wanting = true;
                measure_pair(&peers[0], &peers[i], round > 0);
            }
        }
    }
}

static void run_attaches(struct peer *peers, const struct bench_cell *cell,
                         const struct bench_options *options)
{
    uint32_t count = options->quick ? ATTACHES_QUICK : ATTACHES;
    for (uint32_t round = 0; round < count; round++) {
        for (size_t i = 0; i < peer_known_count; i++) {
            struct peer *peer = &peers[i];
            if (peer->why[0] != '\0') {
                continue;
            }
            if (peer_start(peer, cell, 0)) {
                peer->samples[peer->count] = peer->control->sample;
                peer->lshm[peer->count] = peers[0].samples[peers[0].count - (i > 0)];
                peer->count++;
            }
            peer_stop(peer);
        }
    }
}

static void run_turns(struct peer *peers, const struct bench_cell *cell,
                      const struct bench_options *options)
{
    double sample_ns = options->quick ? SAMPLE_QUICK_NS : SAMPLE_NS;
    for (size_t i = 0; i < peer_known_count; i++) {
        if (peers[i].why[0] == '\0' && !peer_start(&peers[i], cell, sample_ns)) {
            peer_stop(&peers[i]);
        }
    }
    run_rounds(peers, peer_known_count, options);
    for (size_t i = 0; i < peer_known_count; i++) {
        peer_stop(&peers[i]);
    }
}

static bool run_cell(const struct bench_cell *chosen, const struct bench_options *options)
{
    struct bench_cell one = *chosen, *cell = &one;
    struct peer *peers = calloc(peer_known_count, sizeof(*peers));
    bool good = true;
    if (!peers) {
        bench_die("out of memory");
    }
    cell->pool_bytes = options->pool_bytes;
    for (size_t i = 0; i < peer_known_count; i++) {
        peers[i].known = &peer_known[i];
        if (!is_asked(&peers[i], options)) {
            snprintf(peers[i].why, sizeof(peers[i].why), "not asked for");
        }
    }
    if (cell->kind == BENCH_ATTACH) {
        run_attaches(peers, cell, options);
    } else {
        run_turns(peers, cell, options);
    }
    for (size_t i = 0; i < peer_known_count; i++) {
        good = good && !peers[i].failed;
        if (!is_asked(&peers[i], options)) {
            continue;
        }
        peer_report(cell, &peers[i], options);
    }
    free(peers);
    return good;
}

static bool run_all(const struct cells *cells, const struct bench_options *options)
{
    bool good = true, any = false;
    for (size_t i = 0; i < cells->count; i++) {
        if (bench_cell_selected(&cells->cells[i], options)) {
            if (!any) {
                peer_report_head(options);
            }
            any = true;
            good = run_cell(&cells->cells[i], options) && good;
        }
    }
    return good;
}

bool bench_peers(const struct bench_options *options)
{
    struct cells cells = {0};
    add_pairs(&cells);
    add_others(&cells);
    return run_all(&cells, options);
}

/* lshm with many ends, relative to one: turns of two adaptors. False if the ratio is too high. */
static bool judge_fan(const struct bench_cell *one, uint32_t many, double ratio_max,
                      const struct bench_options *options)
{
    struct peer *peers = calloc(2, sizeof(*peers));
    struct bench_cell cells[2] = {*one, *one};
    if (!peers) {
        bench_die("out of memory");
    }
    cells[1].fan = many;
    for (int i = 0; i < 2; i++) {
        peers[i].known = &peer_known[0];
        peer_start(&peers[i], &cells[i], SAMPLE_NS);
    }
    run_rounds(peers, 2, options);
    for (int i = 0; i < 2; i++) {
        peer_stop(&peers[i]);
    }
    uint32_t pairs;
    double ratio = peer_ratio(one, &peers[1], BENCH_NEAR, &pairs);
    bool met = pairs >= NEAR_WANTED && ratio <= ratio_max;
    printf("%s (f) %s: CPU time per message with %u is %.2f x that with 1, at most %.2f; %u near"
           " pairs\n", met ? "met   " : "missed", bench_kind_name(one->kind), many, ratio,
           ratio_max, pairs);
    fflush(stdout);
    free(peers);
    return met;
}

bool bench_fan_targets(const struct bench_options *options)
{
    const struct bench_cell out = {.kind = BENCH_FANOUT, .size = 64, .batch = 32,
                                   .mode = BENCH_SPIN, .fan = 1, .lossy = true};
    const struct bench_cell in = {.kind = BENCH_FANIN, .size = 64, .batch = 32,
                                  .mode = BENCH_BLOCK, .fan = 1};
    bool met = true;
    if (bench_selects(options->only, "fanout")) {
        met = judge_fan(&out, 64, FANOUT_RATIO_MAX, options) && met;
    }
    if (bench_selects(options->only, "fanin")) {
        met = judge_fan(&in, 64, FANIN_RATIO_MAX, options) && met;
    }
    return met;
}

bool bench_fans(const struct bench_options *options)
{
    struct bench_options alone = *options;
    struct cells cells = {0};
    alone.with = "lshm";
    add_others(&cells);
    return run_all(&cells, &alone);
}
