/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ZeroMQ over ipc: PAIR for two ends, PUB and SUB for fan-out, PUSH and PULL for fan-in. Messages
 * are filled and read where ZeroMQ keeps them.
 */
#include <errno.h>
#include <unistd.h>
#include <zmq.h>

#include "inline.h"
#include "peer.h"

#define MARK_BYTES 1 /* tells a publisher's subscriber that it is connected */

struct end {
    void *context, *socket;
    int flags;          /* of send and receive */
    zmq_msg_t taken;
};

static struct end this_end;

static void must(bool good, const char *what)
{
    if (!good) {
        bench_die("%s: %s", what, zmq_strerror(errno));
    }
}

void peer_prepare(struct peer_control *control)
{
    peer_no_batches(control);
}

static void set(void *socket, int option, int value)
{
    must(zmq_setsockopt(socket, option, &value, sizeof(value)) == 0, "zmq_setsockopt");
}

static void end_open(struct bench_worker *worker)
{
    const struct bench_cell *cell = worker->cell;
    bool producer = worker->side == BENCH_PRODUCER;
    int type = cell->kind == BENCH_FANOUT  ? (producer ? ZMQ_XPUB : ZMQ_SUB)
               : cell->kind == BENCH_FANIN ? (producer ? ZMQ_PUSH : ZMQ_PULL)
                                           : ZMQ_PAIR;
    bool binds = cell->kind == BENCH_FANIN ? !producer : producer;
    char name[PEER_NAME_BYTES];
    this_end.context = zmq_ctx_new();
    this_end.socket = this_end.context ? zmq_socket(this_end.context, type) : NULL;
    this_end.flags = cell->mode == BENCH_SPIN ? ZMQ_DONTWAIT : 0;
    must(this_end.socket != NULL, "zmq_socket");
    set(this_end.socket, ZMQ_SNDHWM, (int)bench_slot_count(cell));
    set(this_end.socket, ZMQ_RCVHWM, (int)bench_slot_count(cell));
    set(this_end.socket, ZMQ_LINGER, 0);
    if (type == ZMQ_XPUB) {
        set(this_end.socket, ZMQ_XPUB_NODROP, !cell->lossy);
        set(this_end.socket, ZMQ_XPUB_VERBOSE, 1);
    } else if (type == ZMQ_SUB) {
        must(zmq_setsockopt(this_end.socket, ZMQ_SUBSCRIBE, "", 0) == 0, "zmq_setsockopt");
    }
    peer_name(worker, "ipc://@", "there", name);
    if (binds) {
        must(zmq_bind(this_end.socket, name) == 0, "zmq_bind");
    } else {
        must(zmq_connect(this_end.socket, name) == 0, "zmq_connect");
    }
    zmq_msg_init(&this_end.taken);
}

/* An XPUB socket gets a message from each subscriber. */
static void end_ready(struct bench_worker *worker)
{
    uint32_t wanted = worker->cell->kind == BENCH_FANOUT ? worker->cell->fan : 0;
    for (uint32_t seen = 0; seen < wanted; seen++) {
        char mark[MARK_BYTES + 1];
        must(zmq_recv(this_end.socket, mark, sizeof(mark), 0) >= 0, "zmq_recv");
    }
}

static void close_zeromq(struct bench_worker *worker)
{
    (void)worker;
    zmq_msg_close(&this_end.taken);
    zmq_close(this_end.socket);
    zmq_ctx_term(this_end.context);
}

static inline struct end *end_of(struct bench_worker *worker)
{
    (void)worker;
    return &this_end;
}

static inline void send_some(struct end *end, const struct bench_cell *cell, uint64_t first,
                             uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        zmq_msg_t message;
        must(zmq_msg_init_size(&message, cell->size) == 0, "zmq_msg_init_size");
        bench_fill(zmq_msg_data(&message), cell, first + i);
        while (zmq_msg_send(&message, end->socket, end->flags) < 0) {
            must(errno == EAGAIN || errno == EINTR, "zmq_msg_send");
        }
    }
}

static inline uint32_t receive_some(struct end *end, const struct bench_cell *cell, uint32_t most,
                                    bool wait, uint64_t *sum)
{
    (void)most;
    while (zmq_msg_recv(&end->taken, end->socket, end->flags) < 0) {
        must(errno == EAGAIN || errno == EINTR, "zmq_msg_recv");
        if (!wait) {
            return 0;
        }
    }
    *sum += bench_sum(zmq_msg_data(&end->taken), cell);
    return 1;
}

/* The next receive gives it back. */
static inline void give_back(struct end *end)
{
    (void)end;
}

#include "loops.h"

static const struct bench_system zeromq = {
    .name = "zeromq",
    .open = end_open,
    .ready = end_ready,
    .close = close_zeromq,
    .roundtrip = loop_roundtrip,
    .oneway = loop_oneway,
    .wake = loop_wake,
    .fan = loop_fan,
    .attach = loop_attach,
};
const struct bench_system *const peer_system = &zeromq;
