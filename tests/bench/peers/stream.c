/* SPDX-License-Identifier: Apache-2.0 */
/* Byte streams: pipe and unix-stream. A batch is one write of so many messages. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "inline.h"
#include "peer.h"

#define PIPE_BYTES (1 << 20)   /* what an unprivileged process may have */
#define SOCKET_BYTES (4 << 20)

struct end {
    int in, out;
    size_t capacity;
    unsigned char *sending, *received;
};

static int there[2], back[2]; /* read, write */
static struct end this_end;

static void must(bool good, const char *what)
{
    if (!good) {
        bench_die("%s: %m", what);
    }
}

/* Who may not have so much gets what the system allows. */
static void make_sockets(int pair[2])
{
    const int bytes = SOCKET_BYTES;
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    for (int i = 0; i < 2; i++) {
        if (setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0) {
            setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
        }
    }
}

void peer_prepare(struct peer_control *control)
{
    peer_pairs_only(control);
    bool pipes = strcmp(control->peer, "pipe") == 0;
    for (int i = 0; i < 2; i++) {
        int *pair = i == 0 ? there : back;
        if (pipes) {
            must(pipe(pair) == 0, "pipe");
            (void)fcntl(pair[1], F_SETPIPE_SZ, PIPE_BYTES);
        } else {
            make_sockets(pair);
        }
        for (int j = 0; control->cell.mode == BENCH_SPIN && j < 2; j++) {
            must(fcntl(pair[j], F_SETFL, O_NONBLOCK) == 0, "fcntl");
        }
    }
}

static void end_open(struct bench_worker *worker)
{
    bool producer = worker->side == BENCH_PRODUCER;
    size_t bytes = (size_t)worker->cell->size * worker->cell->batch;
    this_end.out = producer ? there[1] : back[1];
    this_end.in = producer ? back[0] : there[0];
    this_end.capacity = bytes;
    this_end.sending = aligned_alloc(BENCH_LINE_BYTES, (bytes + 127) / 128 * 128);
    this_end.received = aligned_alloc(BENCH_LINE_BYTES, (bytes + 127) / 128 * 128);
    must(this_end.sending && this_end.received, "aligned_alloc");
    memset(this_end.sending, 0, bytes);
    memset(this_end.received, 0, bytes);
}

static void end_ready(struct bench_worker *worker)
{
    (void)worker;
}

static void close_stream(struct bench_worker *worker)
{
    (void)worker;
    free(this_end.sending);
    free(this_end.received);
}

static inline struct end *end_of(struct bench_worker *worker)
{
    (void)worker;
    return &this_end;
}

static inline void send_some(struct end *end, const struct bench_cell *cell, uint64_t first,
                        uint32_t count)
{
    size_t bytes = (size_t)cell->size * count, sent = 0;
    for (uint32_t i = 0; i < count; i++) {
        bench_fill(end->sending + (size_t)i * cell->size, cell, first + i);
    }
    while (sent < bytes) {
        ssize_t result = write(end->out, end->sending + sent, bytes - sent);
        must(result >= 0 || errno == EAGAIN, "write");
        sent += result > 0 ? (size_t)result : 0;
    }
}

static inline uint32_t receive_some(struct end *end, const struct bench_cell *cell, uint32_t most,
                                    bool wait, uint64_t *sum)
{
    size_t bytes = 0;
    (void)wait; /* no lossy fan here */
    while (bytes == 0 || bytes % cell->size != 0) {
        size_t want = bytes == 0 ? (size_t)cell->size * most : cell->size - bytes % cell->size;
        ssize_t result = read(end->in, end->received + bytes, want);
        must(result > 0 || (result < 0 && errno == EAGAIN), "read");
        bytes += result > 0 ? (size_t)result : 0;
    }
    uint32_t count = (uint32_t)(bytes / cell->size);
    for (uint32_t i = 0; i < count; i++) {
        *sum += bench_sum(end->received + (size_t)i * cell->size, cell);
    }
    return count;
}

static inline void give_back(struct end *end)
{
    (void)end;
}

#include "loops.h"

static const struct bench_system stream = {
    .name = "stream",
    .open = end_open,
    .ready = end_ready,
    .close = close_stream,
    .roundtrip = loop_roundtrip,
    .oneway = loop_oneway,
    .wake = loop_wake,
};
const struct bench_system *const peer_system = &stream;
