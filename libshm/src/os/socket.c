/* SPDX-License-Identifier: Apache-2.0 */
#include "os/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/process.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define BACKLOG 4096

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(LSI_SOCKET_FDS_MAX * sizeof(int))];
};

static int address_of(const char *path, struct sockaddr_un *ret_address)
{
    size_t length = strlen(path);

    if (length == 0 || length >= sizeof(ret_address->sun_path))
        return -ENAMETOOLONG;
    memset(ret_address, 0, sizeof(*ret_address));
    ret_address->sun_family = AF_UNIX;
    memcpy(ret_address->sun_path, path, length + 1);
    return 0;
}

int lsi_socket_connect(const char *path, int *ret_fd)
{
    struct sockaddr_un address;
    int status = address_of(path, &address);
    int fd;

    if (status < 0)
        return status;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    do {
        status = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    } while (status == -EINTR);
    if (status < 0) {
        close(fd);
        return status;
    }
    *ret_fd = fd;
    return 0;
}

int lsi_socket_listen(const char *path, int *ret_fd)
{
    struct sockaddr_un address;
    int status = address_of(path, &address);
    int fd;

    if (status < 0)
        return status;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (fchmod(fd, S_IRUSR | S_IWUSR) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0) {
        status = -errno;
        close(fd);
        return status;
    }
    *ret_fd = fd;
    return 0;
}

int lsi_socket_accept(int fd, int *ret_fd)
{
    int accepted;

    do {
        accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    } while (accepted < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (accepted < 0)
        return -errno;
    *ret_fd = accepted;
    return 0;
}

int lsi_socket_pair(int ret_fds[2])
{
    const int type = SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

    return socketpair(AF_UNIX, type, 0, ret_fds) < 0 ? -errno : 0;
}

int lsi_socket_send(int fd, const void *packet, size_t bytes, const int *fds, unsigned fd_count)
{
    union control control;
    struct iovec part = {(void *)(uintptr_t)packet, bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t sent;

    if (fd_count > LSI_SOCKET_FDS_MAX)
        return -EMSGSIZE;
    if (fd_count > 0) {
        struct cmsghdr *rights = &control.align;

        memset(&control, 0, CMSG_SPACE(fd_count * sizeof(int)));
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    }
    do {
        sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

/* Takes the descriptors over; more than the caller has room for are closed. */
static unsigned collect(struct msghdr *message, int *ret_fds, unsigned fds_max, int *ret_extra)
{
    struct cmsghdr *rights;
    unsigned count = 0;

    for (rights = CMSG_FIRSTHDR(message); rights; rights = CMSG_NXTHDR(message, rights)) {
        size_t i, received;

        if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS)
            continue;
        received = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (i = 0; i < received; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(rights) + i * sizeof(int), sizeof(fd));
            if (count < fds_max) {
                ret_fds[count++] = fd;
            } else {
                close(fd);
                *ret_extra = 1;
            }
        }
    }
    return count;
}

ssize_t lsi_socket_receive(int fd, void *packet, size_t packet_bytes, int *ret_fds,
                           unsigned fds_max, unsigned *ret_fd_count)
{
    union control control;
    struct iovec part = {packet, packet_bytes};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t received;
    unsigned count, i;
    int extra = 0, resets = 0;

    *ret_fd_count = 0;
    /*
     * A look installs the descriptors too, and what was looked at stays queued: only once we have
     * them all is the packet dropped. So no thread that takes the last one meanwhile can cost any.
     * The other end closed without reading all we sent: said once, then come its last packets.
     */
    do {
        received = recvmsg(fd, &message, MSG_DONTWAIT | MSG_PEEK | MSG_CMSG_CLOEXEC);
        resets += received < 0 && errno == ECONNRESET;
    } while (received < 0 && (errno == EINTR || (errno == ECONNRESET && resets == 1)));
    if (received < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    if (received == 0)
        return -EPIPE;
    count = collect(&message, ret_fds, fds_max, &extra);
    if (!extra && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        lsi_socket_drop(fd);
        *ret_fd_count = count;
        return received;
    }
    for (i = 0; i < count; i++)
        close(ret_fds[i]);
    /* Room for more descriptors, and yet cut: this process has none left. */
    if (message.msg_flags & MSG_CTRUNC && !extra && count < fds_max)
        return -EMFILE;
    lsi_socket_drop(fd);
    return -EMSGSIZE;
}

/* Without room for control data the kernel drops descriptors and says so. */
ssize_t lsi_socket_peek(int fd, void *packet, size_t packet_bytes)
{
    struct iovec part = {packet, packet_bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t received;

    do {
        received = recvmsg(fd, &message, MSG_DONTWAIT | MSG_PEEK);
    } while (received < 0 && errno == EINTR);
    if (received < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    if (message.msg_flags & MSG_CTRUNC)
        return -EBADMSG;
    if (received == 0)
        return -EPIPE;
    return (message.msg_flags & MSG_TRUNC) ? -EMSGSIZE : received;
}

void lsi_socket_drop(int fd)
{
    char byte;
    ssize_t received;

    do { /* a reset is said once, and not instead of the packet */
        received = recv(fd, &byte, sizeof(byte), MSG_DONTWAIT);
    } while (received < 0 && (errno == EINTR || errno == ECONNRESET));
}

int lsi_socket_get_peer_uid(int fd, uid_t *ret_uid)
{
    struct ucred who;
    socklen_t bytes = sizeof(who);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) < 0)
        return -errno;
    *ret_uid = who.uid;
    return 0;
}

int lsi_socket_get_peer(int fd, struct lsi_socket_peer *ret_peer)
{
    struct ucred who;
    socklen_t bytes = sizeof(who);
    int pidfd;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) < 0)
        return -errno;
    bytes = sizeof(pidfd);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &bytes) < 0) {
        int status;

        if (errno != ENOPROTOOPT)
            return -errno;
        status = lsi_process_open(who.pid, &pidfd); /* Linux before 6.5 */
        if (status < 0)
            return status;
    }
    ret_peer->pid = who.pid;
    ret_peer->uid = who.uid;
    ret_peer->pidfd = pidfd;
    return 0;
}
