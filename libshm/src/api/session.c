/* SPDX-License-Identifier: Apache-2.0 */
#include "api/session.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "api/internal.h"
#include "os/path.h"

static int explain_connect(int r, const char *path, struct lshm_error *reterr_error)
{
    switch (r) {
    case -ENOENT:
    case -ECONNREFUSED:
        lsi_error_set(reterr_error, LSHM_ENOBROKER, "no broker listens at %s: start brokerd, or "
                      "name another socket with LSHM_SOCKET or the socket option", path);
        return -LSHM_ENOBROKER;
    case -EACCES:
    case -EPERM:
        lsi_error_set(reterr_error, r, "no permission to use %s: it belongs to another user; run "
                      "as that user, or start a brokerd of your own", path);
        return r;
    case -EMFILE:
    case -ENFILE:
        lsi_error_set(reterr_error, r, "no descriptors left to connect to %s: close some, or raise "
                      "the limit (ulimit -n)", path);
        return r;
    default:
        lsi_error_set(reterr_error, r, "cannot connect to %s: %s", path, lshm_strerror(r));
        return r;
    }
}

int lsi_session_connect(const char *option, char path[LSI_SOCKET_PATH_BYTES],
                        struct lshm_error *reterr_error, int *ret_fd)
{
    uid_t uid;
    int fd;
    int r = lsi_path_find(option, path, LSI_SOCKET_PATH_BYTES);

    if (r < 0) {
        lsi_error_set(reterr_error, r, "the socket's path is longer than %u bytes: choose a "
                      "shorter one with LSHM_SOCKET or the socket option",
                      LSI_SOCKET_PATH_BYTES - 1);
        return r;
    }
    r = lsi_socket_connect(path, &fd);
    if (r < 0)
        return explain_connect(r, path, reterr_error);
    r = lsi_socket_get_peer_uid(fd, &uid);
    if (r == 0 && uid != 0 && uid != geteuid() && geteuid() != 0) {
        lsi_error_set(reterr_error, LSHM_EDENIED,
                      "the broker at %s runs as uid %u, neither root nor you: name your own "
                      "broker's socket with LSHM_SOCKET", path, (unsigned)uid);
        r = -LSHM_EDENIED;
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int lsi_session_poll(int fd, short events, uint64_t deadline_ns)
{
    struct pollfd poll_fd = { .fd = fd, .events = events };
    uint64_t now = lsi_now_ns();
    struct timespec left = { 0 };
    int n;

    if (now < deadline_ns) {
        left.tv_sec = (time_t)((deadline_ns - now) / 1000000000);
        left.tv_nsec = (long)((deadline_ns - now) % 1000000000);
    }
    n = ppoll(&poll_fd, 1, &left, NULL);
    if (n < 0)
        return errno == EINTR ? 1 : -errno;
    return n;
}

int lsi_session_send(int fd, struct lsi_ctl_header *message, size_t bytes, uint64_t deadline_ns)
{
    for (;;) {
        int r = lsi_ctl_send(fd, message, bytes, NULL, 0);

        if (r != -EAGAIN)
            return r;
        r = lsi_session_poll(fd, POLLOUT, deadline_ns);
        if (r < 0)
            return r;
        if (r == 0)
            return -ETIMEDOUT;
    }
}

int lsi_session_status(const struct lsi_ctl_packet *reply, struct lshm_error *reterr_error)
{
    int status = reply->header.status;

    if (status >= 0)
        return 0;
    if (reply->header.bytes == sizeof reply->refusal)
        lsi_error_set(reterr_error, status, "%.*s", (int)sizeof reply->refusal.text,
                      reply->refusal.text);
    else
        lsi_error_set(reterr_error, status, "the broker refused: %s", lshm_strerror(status));
    return status;
}

int lsi_session_check_abi(uint32_t abi_major, uint32_t abi_minor, struct lshm_error *reterr_error)
{
    if (lsi_ctl_is_same_abi(abi_major, abi_minor))
        return 0;
    lsi_error_set(reterr_error, LSHM_EVERSION, "the broker speaks ABI %u.%u, this liblshm "
                  LSHM_VERSION " speaks %u.%u: start the brokerd of this version, or use the "
                  "liblshm of the broker's", abi_major, abi_minor, LSHM_ABI_MAJOR, LSHM_ABI_MINOR);
    return -LSHM_EVERSION;
}

bool lsi_session_is_cut(const struct lsi_ctl_packet *reply)
{
    return reply->header.type == (LSI_CTL_HELLO | LSI_CTL_REPLY) && reply->header.id == 0 &&
           reply->header.status < 0;
}
