/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPDK's rte_ring, single producer and single consumer, without its environment: rings of slot
 * addresses in memory that both ends inherit, full and free slots, FIFO reuse as in lshm.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include <rte_ring.h>

#include "inline.h"
#include "peer.h"

struct end {
    struct rte_ring *out_full, *out_free, *in_full, *in_free;
    uint32_t count;
    void *taken[BENCH_BATCH_MAX];
};

static struct rte_ring *rings[2][2]; /* there and back; full and free */
static struct end this_end;

static struct rte_ring *make_ring(const char *name)
{
    ssize_t bytes = rte_ring_get_memsize(2 * BENCH_RING_ENTRIES);
    struct rte_ring *ring = bytes > 0 ? bench_shared_memory((size_t)bytes) : NULL;
    if (!ring || rte_ring_init(ring, name, BENCH_RING_ENTRIES,
                               RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ) != 0) {
        bench_die("rte_ring_init failed");
    }
    return ring;
}

void peer_prepare(struct peer_control *control)
{
    const struct bench_cell *cell = &control->cell;
    peer_pairs_only(control);
    if (cell->mode == BENCH_BLOCK) {
        peer_skip(control, "polls only");
    }
    uint32_t slots = bench_slot_count(cell);
    for (int way = 0; way < 2; way++) {
        unsigned char *pool = bench_shared_memory((size_t)slots * cell->size);
        rings[way][0] = make_ring("full");
        rings[way][1] = make_ring("free");
        for (uint32_t i = 0; i < slots; i++) {
            rte_ring_sp_enqueue(rings[way][1], pool + (size_t)i * cell->size);
        }
    }
}

static void end_open(struct bench_worker *worker)
{
    int out = worker->side == BENCH_PRODUCER ? 0 : 1;
    this_end = (struct end){.out_full = rings[out][0], .out_free = rings[out][1],
                            .in_full = rings[!out][0], .in_free = rings[!out][1]};
}

static void end_ready(struct bench_worker *worker)
{
    (void)worker;
}

static void close_dpdk(struct bench_worker *worker)
{
    (void)worker;
}

static inline struct end *end_of(struct bench_worker *worker)
{
    (void)worker;
    return &this_end;
}

static inline void send_some(struct end *end, const struct bench_cell *cell, uint64_t first,
                             uint32_t count)
{
    void *slots[BENCH_BATCH_MAX];
    for (uint32_t sent = 0; sent < count;) {
        uint32_t got = rte_ring_sc_dequeue_burst(end->out_free, slots, count - sent, NULL);
        for (uint32_t i = 0; i < got; i++) {
            bench_fill(slots[i], cell, first + sent + i);
        }
        for (uint32_t put = 0; put < got;) {
            put += rte_ring_sp_enqueue_burst(end->out_full, slots + put, got - put, NULL);
        }
        sent += got;
    }
}

static inline uint32_t receive_some(struct end *end, const struct bench_cell *cell, uint32_t most,
                                    bool wait, uint64_t *sum)
{
    do {
        end->count = rte_ring_sc_dequeue_burst(end->in_full, end->taken, most, NULL);
    } while (end->count == 0 && wait);
    for (uint32_t i = 0; i < end->count; i++) {
        *sum += bench_sum(end->taken[i], cell);
    }
    return end->count;
}

/* There is room: the ring holds every slot. */
static inline void give_back(struct end *end)
{
    rte_ring_sp_enqueue_bulk(end->in_free, end->taken, end->count, NULL);
}

#include "loops.h"

static const struct bench_system ring = {
    .name = "dpdk",
    .open = end_open,
    .ready = end_ready,
    .close = close_dpdk,
    .roundtrip = loop_roundtrip,
    .oneway = loop_oneway,
};
const struct bench_system *const peer_system = &ring;
