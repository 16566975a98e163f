/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic.h"
#include "ctl/codec.h"
#include "os/memory.h"
#include "os/seal.h"
#include "os/socket.h"

#define PAGE_BYTES 4096

static void copy(int from, int to, off_t bytes)
{
    char page[PAGE_BYTES];

    for (off_t at = 0; at < bytes; at += PAGE_BYTES)
        if (pread(from, page, sizeof page, at) <= 0 || pwrite(to, page, sizeof page, at) <= 0)
            return;
}

/* In the place of `real`; −1 when it cannot be made. */
static int make_file(int real, enum relay_kind kind)
{
    bool is_writer = (fcntl(real, F_GETFL) & O_ACCMODE) == O_RDWR;
    bool is_read_write = is_writer != (kind == RELAY_OTHER_MODE);
    bool is_write_sealed = !is_writer && (kind == RELAY_SHORT || kind == RELAY_OTHER_MODE);
    int fd, reader;
    struct stat status;

    if (fstat(real, &status) < 0)
        return -1;
    if (kind == RELAY_SHORT)
        status.st_size -= PAGE_BYTES;
    fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, status.st_size) < 0)
        return fd;
    copy(real, fd, status.st_size);
    if (kind != RELAY_NO_SEALS && lsi_seal_size(fd) < 0)
        return fd;
    if (is_write_sealed && lsi_seal_writes(fd) < 0)
        return fd;
    if (is_read_write || lsi_seal_reopen(fd, &reader) < 0)
        return fd;
    close(fd);
    return reader;
}

static void forge(struct relay *relay, struct lsi_ctl_packet *packet)
{
    /* RLX: the test and the library's thread take turns by way of the socket. */
    uint32_t kind = lsi_load_relaxed(&relay->kind), index = lsi_load_relaxed(&relay->index);
    uint32_t value = lsi_load_relaxed(&relay->value);
    int fd;

    if (kind == RELAY_HONEST || packet->header.type != lsi_load_relaxed(&relay->type))
        return;
    if (kind == RELAY_WORD) {
        memcpy(packet->bytes + index, &value, sizeof value);
        lsi_add_relaxed(&relay->forged, 1);
        return;
    }
    if (index >= packet->fd_count)
        return;
    fd = make_file(packet->fds[index], kind);
    if (fd < 0)
        return;
    close(packet->fds[index]);
    packet->fds[index] = fd;
    lsi_add_relaxed(&relay->forged, 1);
}

/* One packet of a session; false at its end. */
static bool pass(struct relay *relay, int from, int to, bool is_answer)
{
    static struct lsi_ctl_packet packet;
    ssize_t bytes = lsi_socket_receive(from, packet.bytes, sizeof packet.bytes, packet.fds,
                                       LSI_CTL_FDS_MAX, &packet.fd_count);
    struct pollfd room = { .fd = to, .events = POLLOUT };
    int r;

    if (bytes < 0)
        return bytes == -EAGAIN;
    if (is_answer && packet.header.type == (LSI_CTL_HELLO | LSI_CTL_REPLY)) {
        lsi_store_relaxed(&relay->board_lines,
                          (uint32_t)(packet.hello_reply.board_bytes / LSHM_LINE_BYTES));
        lsi_store_relaxed(&relay->control_lines,
                          (uint32_t)(packet.hello_reply.control_bytes / LSHM_LINE_BYTES));
    }
    if (is_answer)
        forge(relay, &packet);
    else if (packet.header.type == LSI_CTL_MAPPED && packet.header.status != 0)
        lsi_store_relaxed(&relay->refusal, packet.header.status);
    do
        r = lsi_socket_send(to, packet.bytes, (size_t)bytes, packet.fds, packet.fd_count);
    while (r == -EAGAIN && poll(&room, 1, LST_DEADLINE_MS) == 1);
    lsi_ctl_close_fds(&packet, 0);
    return r >= 0;
}

static void serve(struct relay *relay, int client, int broker)
{
    struct pollfd wait[] = {
        { .fd = client, .events = POLLIN },
        { .fd = broker, .events = POLLIN },
        { .fd = relay->stop, .events = POLLIN },
    };

    while (poll(wait, 3, -1) > 0 && wait[2].revents == 0) {
        if (wait[0].revents != 0 && !pass(relay, client, broker, false))
            break;
        if (wait[1].revents != 0 && !pass(relay, broker, client, true))
            break;
    }
}

static void *run(void *arg)
{
    struct relay *relay = arg;
    struct pollfd wait[] = {
        { .fd = relay->listener, .events = POLLIN },
        { .fd = relay->stop, .events = POLLIN },
    };

    while (poll(wait, 2, -1) > 0 && wait[1].revents == 0) {
        int client, broker;

        if (lsi_socket_accept(relay->listener, &client) < 0)
            continue;
        if (lsi_socket_connect(relay->broker_path, &broker) == 0) {
            serve(relay, client, broker);
            close(broker);
        }
        close(client);
    }
    return NULL;
}

void relay_start(struct relay *relay, const char *dir, const char *broker_path)
{
    *relay = (struct relay){ .broker_path = broker_path };
    (void)snprintf(relay->path, sizeof relay->path, "%s/relay.sock", dir);
    assert_int_equal(lsi_socket_listen(relay->path, &relay->listener), 0);
    relay->stop = eventfd(0, EFD_CLOEXEC);
    assert_true(relay->stop >= 0);
    assert_int_equal(pthread_create(&relay->thread, NULL, run, relay), 0);
}

void relay_stop(struct relay *relay)
{
    uint64_t one = 1;

    assert_int_equal(write(relay->stop, &one, sizeof one), sizeof one);
    assert_int_equal(pthread_join(relay->thread, NULL), 0);
    close(relay->listener);
    close(relay->stop);
    unlink(relay->path);
}

void relay_forge(struct relay *relay, enum relay_kind kind, uint32_t type, uint32_t index)
{
    lsi_store_relaxed(&relay->forged, 0);
    lsi_store_relaxed(&relay->refusal, 0);
    lsi_store_relaxed(&relay->type, type);
    lsi_store_relaxed(&relay->index, index);
    lsi_store_relaxed(&relay->kind, (uint32_t)kind);
}

void relay_forge_word(struct relay *relay, uint32_t type, size_t offset, uint32_t value)
{
    lsi_store_relaxed(&relay->value, value);
    relay_forge(relay, RELAY_WORD, type, (uint32_t)offset);
}
