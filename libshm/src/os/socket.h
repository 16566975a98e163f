/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control sockets: SOCK_SEQPACKET over a path, packets with descriptors, who is at the other end.
 *
 * Nothing here ever blocks but lsi_socket_connect(), and no send raises SIGPIPE. Calls return ≥ 0
 * or −errno.
 */
#ifndef LSI_OS_SOCKET_H
#define LSI_OS_SOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LSI_SOCKET_PATH_BYTES 108u /* sun_path with its NUL */
#define LSI_SOCKET_FDS_MAX 253u    /* SCM_MAX_FD of the kernel */

/* Connects to a listening socket. −ENOENT and −ECONNREFUSED: nobody listens there. */
int lsi_socket_connect(const char *path, int *ret_fd);
/* A non-blocking listening socket at a path that does not exist yet, mode 0600. */
int lsi_socket_listen(const char *path, int *ret_fd);
/* The next connection, non-blocking; −EAGAIN when there is none. */
int lsi_socket_accept(int fd, int *ret_fd);
/* A non-blocking pair of datagram sockets. */
int lsi_socket_pair(int ret_fds[2]);

/* One packet. −EAGAIN: the other end does not read. −EPIPE, −ECONNRESET: it is gone. */
int lsi_socket_send(int fd, const void *packet, size_t bytes, const int *fds, unsigned fd_count);
/*
 * One packet: its size, −EAGAIN when there is none, −EPIPE at the end of the session, −EMSGSIZE
 * when it (or its list of descriptors) does not fit and is gone, −EMFILE when this process has not
 * as many descriptors left: it stays queued, and its bytes are in `packet`. One thread at a time.
 */
ssize_t lsi_socket_receive(int fd, void *packet, size_t packet_bytes, int *ret_fds,
                           unsigned fds_max, unsigned *ret_fd_count);
/* The same packet stays queued. −EBADMSG when it brings descriptors; none is ever installed. */
ssize_t lsi_socket_peek(int fd, void *packet, size_t packet_bytes);
/* Drops the packet that was peeked at. */
void lsi_socket_drop(int fd);

/* Who connected, as the kernel knows it; pidfd is CLOEXEC and the caller's. */
struct lsi_socket_peer {
    pid_t pid;
    uid_t uid;
    int pidfd;
};
int lsi_socket_get_peer(int fd, struct lsi_socket_peer *ret_peer);
int lsi_socket_get_peer_uid(int fd, uid_t *ret_uid);

#endif
