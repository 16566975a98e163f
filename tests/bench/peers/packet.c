/* SPDX-License-Identifier: Apache-2.0 */
/* unix-seqpacket: a batch is one sendmmsg() or recvmmsg(). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "inline.h"
#include "peer.h"

#define SOCKET_BYTES (16 << 20)

struct end {
    int fd;
    unsigned char *bytes[2];                  /* to send, received: one batch each */
    struct mmsghdr headers[2][BENCH_BATCH_MAX];
    struct iovec parts[2][BENCH_BATCH_MAX];
};

static int sockets[2];
static struct end this_end;

static void must(bool good, const char *what)
{
    if (!good) {
        bench_die("%s: %m", what);
    }
}

void peer_prepare(struct peer_control *control)
{
    const int bytes = SOCKET_BYTES;
    peer_pairs_only(control);
    must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) == 0, "socketpair");
    for (int i = 0; i < 2; i++) {
        if (setsockopt(sockets[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0) {
            setsockopt(sockets[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
        }
        if (control->cell.mode == BENCH_SPIN) {
            must(fcntl(sockets[i], F_SETFL, O_NONBLOCK) == 0, "fcntl");
        }
    }
    /* The kernel refuses what is larger than the buffer, or than the memory it finds. */
    char *probe = calloc(1, control->cell.size);
    ssize_t sent = probe ? write(sockets[0], probe, control->cell.size) : -1;
    if (sent < 0) {
        peer_skip(control, "the kernel refuses messages of %u bytes: %s", control->cell.size,
                  strerror(errno));
    }
    must(read(sockets[1], probe, control->cell.size) == sent, "read");
    free(probe);
}

static void end_open(struct bench_worker *worker)
{
    size_t size = worker->cell->size;
    this_end.fd = sockets[worker->side == BENCH_PRODUCER ? 0 : 1];
    for (int i = 0; i < 2; i++) {
        this_end.bytes[i] = aligned_alloc(BENCH_LINE_BYTES, (size * BENCH_BATCH_MAX + 127) &
                                                                ~(size_t)127);
        must(this_end.bytes[i] != NULL, "aligned_alloc");
        memset(this_end.bytes[i], 0, size * worker->cell->batch);
        for (uint32_t j = 0; j < BENCH_BATCH_MAX; j++) {
            this_end.parts[i][j] = (struct iovec){this_end.bytes[i] + j * size, size};
            this_end.headers[i][j].msg_hdr = (struct msghdr){.msg_iov = &this_end.parts[i][j],
                                                             .msg_iovlen = 1};
        }
    }
}

static void end_ready(struct bench_worker *worker)
{
    (void)worker;
}

static void close_packet(struct bench_worker *worker)
{
    (void)worker;
    free(this_end.bytes[0]);
    free(this_end.bytes[1]);
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
        bench_fill(end->bytes[0] + (size_t)i * cell->size, cell, first + i);
    }
    for (uint32_t sent = 0; sent < count;) {
        ssize_t result = count == 1 ? send(end->fd, end->bytes[0], cell->size, 0)
                                    : sendmmsg(end->fd, end->headers[0] + sent, count - sent, 0);
        must(result >= 0 || errno == EAGAIN, "send");
        sent += result < 0 ? 0 : count == 1 ? 1 : (uint32_t)result;
    }
}

static inline uint32_t receive_some(struct end *end, const struct bench_cell *cell, uint32_t most,
                                    bool wait, uint64_t *sum)
{
    ssize_t result;
    (void)wait; /* no lossy fan here */
    do {
        result = most == 1 ? recv(end->fd, end->bytes[1], cell->size, 0)
                           : recvmmsg(end->fd, end->headers[1], most, MSG_WAITFORONE, NULL);
        must(result > 0 || (result < 0 && errno == EAGAIN), "recv");
    } while (result < 0);
    uint32_t count = most == 1 ? 1 : (uint32_t)result;
    for (uint32_t i = 0; i < count; i++) {
        *sum += bench_sum(end->bytes[1] + (size_t)i * cell->size, cell);
    }
    return count;
}

static inline void give_back(struct end *end)
{
    (void)end;
}

#include "loops.h"

static const struct bench_system packet = {
    .name = "packet",
    .open = end_open,
    .ready = end_ready,
    .close = close_packet,
    .roundtrip = loop_roundtrip,
    .oneway = loop_oneway,
    .wake = loop_wake,
};
const struct bench_system *const peer_system = &packet;
