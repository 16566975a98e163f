/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nng over ipc: PAIR for two ends, PUB and SUB for fan-out (which is always lossy), PUSH and PULL
 * for fan-in. Messages are filled and read where nng keeps them.
 */
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <unistd.h>

#include "inline.h"
#include "peer.h"

#define POLL_US 100

struct end {
    nng_socket socket;
    int flags;          /* of send and receive */
    nng_msg *taken;
};

static struct end this_end;
static uint32_t pipes;

static void must(int result, const char *what)
{
    if (result != 0) {
        bench_die("%s: %s", what, nng_strerror(result));
    }
}

void peer_prepare(struct peer_control *control)
{
    peer_no_batches(control);
    if (control->cell.kind == BENCH_FANOUT && !control->cell.lossy) {
        peer_skip(control, "its PUB loses messages of slow subscribers");
    }
}

static void count_pipe(nng_pipe pipe, nng_pipe_ev event, void *argument)
{
    (void)pipe;
    (void)event;
    (void)argument;
    __atomic_fetch_add(&pipes, 1, __ATOMIC_RELEASE);
}

static int open_socket(const struct bench_cell *cell, bool producer, nng_socket *socket)
{
    if (cell->kind == BENCH_FANOUT) {
        return producer ? nng_pub0_open(socket) : nng_sub0_open(socket);
    }
    if (cell->kind == BENCH_FANIN) {
        return producer ? nng_push0_open(socket) : nng_pull0_open(socket);
    }
    return nng_pair0_open(socket);
}

static void end_open(struct bench_worker *worker)
{
    const struct bench_cell *cell = worker->cell;
    bool producer = worker->side == BENCH_PRODUCER;
    bool binds = cell->kind == BENCH_FANIN ? !producer : producer;
    int buffers = (int)bench_slot_count(cell);
    char name[PEER_NAME_BYTES];
    must(open_socket(cell, producer, &this_end.socket), "nng_open");
    this_end.flags = cell->mode == BENCH_SPIN ? NNG_FLAG_NONBLOCK : 0;
    must(nng_pipe_notify(this_end.socket, NNG_PIPE_EV_ADD_POST, count_pipe, NULL), "pipe_notify");
    must(nng_socket_set_size(this_end.socket, NNG_OPT_RECVMAXSZ, 0), "recv-size-max");
    /* Not every protocol has both. */
    (void)nng_socket_set_int(this_end.socket, NNG_OPT_SENDBUF, buffers);
    (void)nng_socket_set_int(this_end.socket, NNG_OPT_RECVBUF, buffers);
    if (cell->kind == BENCH_FANOUT && !producer) {
        must(nng_socket_set(this_end.socket, NNG_OPT_SUB_SUBSCRIBE, "", 0), "subscribe");
    }
    peer_name(worker, "abstract://", "there", name);
    if (binds) {
        must(nng_listen(this_end.socket, name, NULL, 0), "nng_listen");
    } else {
        int tries_later = cell->kind == BENCH_FANIN ? NNG_FLAG_NONBLOCK : 0;
        must(nng_dial(this_end.socket, name, NULL, tries_later), "nng_dial");
    }
}

/* Waits until everyone is connected. */
static void end_ready(struct bench_worker *worker)
{
    uint32_t wanted = worker->cell->kind == BENCH_FANOUT ? worker->cell->fan : 1;
    while (__atomic_load_n(&pipes, __ATOMIC_ACQUIRE) < wanted) {
        usleep(POLL_US);
    }
}

static void close_nng(struct bench_worker *worker)
{
    (void)worker;
    nng_close(this_end.socket);
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
        nng_msg *message;
        int result;
        must(nng_msg_alloc(&message, cell->size), "nng_msg_alloc");
        bench_fill(nng_msg_body(message), cell, first + i);
        while ((result = nng_sendmsg(end->socket, message, end->flags)) == NNG_EAGAIN) {
        }
        must(result, "nng_sendmsg");
    }
}

static inline uint32_t receive_some(struct end *end, const struct bench_cell *cell, uint32_t most,
                                    bool wait, uint64_t *sum)
{
    int result;
    (void)most;
    while ((result = nng_recvmsg(end->socket, &end->taken, end->flags)) == NNG_EAGAIN) {
        if (!wait) {
            return 0;
        }
    }
    must(result, "nng_recvmsg");
    *sum += bench_sum(nng_msg_body(end->taken), cell);
    return 1;
}

static inline void give_back(struct end *end)
{
    nng_msg_free(end->taken);
}

#include "loops.h"

static const struct bench_system nng = {
    .name = "nng",
    .open = end_open,
    .ready = end_ready,
    .close = close_nng,
    .roundtrip = loop_roundtrip,
    .oneway = loop_oneway,
    .wake = loop_wake,
    .fan = loop_fan,
    .attach = loop_attach,
};
const struct bench_system *const peer_system = &nng;
