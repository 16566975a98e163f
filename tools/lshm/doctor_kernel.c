/* SPDX-License-Identifier: Apache-2.0 */
/* Versions, and what lshm needs of the kernel: tried, not guessed from the version. */
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#define FILE_BYTES 4096

void doctor_versions(struct doctor *doctor)
{
    struct utsname name;
    bool same = strcmp(lshm_version(), LSHM_VERSION) == 0;

    doctor_find(doctor, same ? LEVEL_OK : LEVEL_WARN, "library",
                same ? NULL : "install lshm and liblshm of one version",
                "liblshm %s, ABI %d.%d; this tool is %s", lshm_version(), LSHM_ABI_MAJOR,
                LSHM_ABI_MINOR, LSHM_VERSION);
    if (uname(&name) == 0) {
        unsigned major = 0, minor = 0;
        char *end;
        bool old;

        major = (unsigned)strtoul(name.release, &end, 10);
        minor = *end == '.' ? (unsigned)strtoul(end + 1, NULL, 10) : 0;
        old = major < 5 || (major == 5 && minor < 3);
        doctor_find(doctor, old ? LEVEL_FAIL : LEVEL_OK, "kernel",
                    old ? "Linux 5.3 or later is needed" : NULL, "%s %s %s", name.sysname,
                    name.release, name.machine);
    }
    doctor_find(doctor, LEVEL_OK, "C library", NULL, "glibc %s", gnu_get_libc_version());
}

/* A writer maps, seals, writes on; afterwards nobody may write anew. NULL, or what went wrong. */
static const char *try_seals(int fd)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    char path[64], byte = 1;
    unsigned char *writer;
    void *second;
    int again;

    if (ftruncate(fd, FILE_BYTES) < 0 || fallocate(fd, 0, 0, FILE_BYTES) < 0)
        return "memory files cannot be filled";
    writer = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (writer == MAP_FAILED)
        return "memory files cannot be mapped";
    if (fcntl(fd, F_ADD_SEALS, seals) < 0) {
        munmap(writer, FILE_BYTES);
        return "F_SEAL_FUTURE_WRITE is refused";
    }
    *writer = 1;
    munmap(writer, FILE_BYTES);
    if (write(fd, &byte, 1) >= 0)
        return "a sealed file can still be written";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    again = open(path, O_RDWR | O_CLOEXEC);
    if (again < 0)
        return NULL;
    second = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
    close(again);
    if (second == MAP_FAILED)
        return NULL;
    munmap(second, FILE_BYTES);
    return "a sealed file can still be mapped for writing";
}

static void check_memory_files(struct doctor *doctor)
{
    int fd = memfd_create("lshm-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const char *wrong;

    if (fd < 0) {
        doctor_find(doctor, LEVEL_FAIL, "seals", "use a Linux kernel with CONFIG_MEMFD_CREATE, and "
                    "a sandbox that allows memfd_create", "no memory files: %s",
                    lshm_strerror(errno));
        return;
    }
    wrong = try_seals(fd);
    close(fd);
    if (wrong != NULL)
        doctor_find(doctor, LEVEL_FAIL, "seals", "Linux 5.1 or later is needed, without a sandbox "
                    "that emulates it", "%s", wrong);
    else
        doctor_find(doctor, LEVEL_OK, "seals", NULL, "F_SEAL_FUTURE_WRITE keeps its promise");
    fd = memfd_create("lshm-doctor", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    doctor_find(doctor, fd < 0 ? LEVEL_WARN : LEVEL_OK, "memfd NOEXEC",
                fd < 0 ? "nothing to do; Linux 6.3 adds it" : NULL,
                fd < 0 ? "not offered: memory files could be executed" : "memory files cannot be "
                                                                         "executed");
    if (fd >= 0)
        close(fd);
}

static void check_pidfd(struct doctor *doctor)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0), pair[2], peer = -1;
    socklen_t length = sizeof peer;

    doctor_find(doctor, fd < 0 ? LEVEL_FAIL : LEVEL_OK, "pidfd",
                fd < 0 ? "Linux 5.3 or later, and a sandbox that allows pidfd_open" : NULL,
                fd < 0 ? "cannot watch processes: %s" : "processes can be watched%s",
                fd < 0 ? lshm_strerror(errno) : "");
    if (fd >= 0)
        close(fd);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return;
    if (getsockopt(pair[0], SOL_SOCKET, SO_PEERPIDFD, &peer, &length) == 0)
        doctor_find(doctor, LEVEL_OK, "SO_PEERPIDFD", NULL, "the broker knows its peers for sure");
    else
        doctor_find(doctor, LEVEL_WARN, "SO_PEERPIDFD", "nothing to do; Linux 6.5 adds it",
                    "not offered: the broker finds its peers by their pid");
    if (peer >= 0)
        close(peer);
    close(pair[0]);
    close(pair[1]);
}

static void check_waiting(struct doctor *doctor)
{
    const struct timespec none = { 0 };
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event;
    long r = epoll < 0 ? -1 : syscall(SYS_epoll_pwait2, epoll, &event, 1, &none, NULL, 0);

    doctor_find(doctor, r < 0 ? LEVEL_WARN : LEVEL_OK, "epoll_pwait2",
                r < 0 ? "nothing to do; Linux 5.11 adds it" : NULL,
                r < 0 ? "not offered: time-outs are rounded up to 1 ms"
                      : "time-outs are exact to the nanosecond");
    if (epoll >= 0)
        close(epoll);
    r = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    if (r >= 0 && r & MEMBARRIER_CMD_GLOBAL_EXPEDITED)
        doctor_find(doctor, LEVEL_OK, "membarrier", NULL, "expedited, across processes");
    else
        doctor_find(doctor, LEVEL_WARN, "membarrier", "allow membarrier() in the sandbox",
                    "not offered: an eviction costs the whole ring");
}

static void check_fork(struct doctor *doctor)
{
    void *page = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool works = page != MAP_FAILED && madvise(page, FILE_BYTES, MADV_WIPEONFORK) == 0;

    doctor_find(doctor, works ? LEVEL_OK : LEVEL_FAIL, "MADV_WIPEONFORK",
                works ? NULL : "Linux 4.14 or later is needed",
                works ? "forked children are noticed" : "forked children cannot be noticed");
    if (page != MAP_FAILED)
        munmap(page, FILE_BYTES);
}

void doctor_kernel(struct doctor *doctor)
{
    check_memory_files(doctor);
    check_pidfd(doctor);
    check_waiting(doctor);
    check_fork(doctor);
}
