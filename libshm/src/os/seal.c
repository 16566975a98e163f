/* SPDX-License-Identifier: Apache-2.0 */
#include "os/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lshm/error.h>

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#endif
#ifndef F_SEAL_SEAL
#define F_SEAL_SEAL 0x0001
#define F_SEAL_SHRINK 0x0002
#define F_SEAL_GROW 0x0004
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define SEALS_SIZE (F_SEAL_SHRINK | F_SEAL_GROW)
#define SEALS_ALL (SEALS_SIZE | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)
#define STAT_BLOCK_BYTES 512u

static int has_seals(int fd, int wanted)
{
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0)
        return -errno;
    return (seals & wanted) == wanted ? 0 : -EPERM;
}

int lsi_seal_size(int fd)
{
    if (fcntl(fd, F_ADD_SEALS, SEALS_SIZE) < 0)
        return -errno;
    return has_seals(fd, SEALS_SIZE);
}

/* Sealing twice is fine: who does a step again finds it done. */
int lsi_seal_writes(int fd)
{
    if (has_seals(fd, SEALS_ALL) == 0)
        return 0;
    if (fcntl(fd, F_ADD_SEALS, SEALS_ALL) < 0)
        return -errno;
    return has_seals(fd, SEALS_ALL);
}

int lsi_seal_reopen(int fd, int *ret_fd)
{
    char path[32];
    int reader;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    reader = open(path, O_RDONLY | O_CLOEXEC);
    if (reader < 0)
        return -errno;
    *ret_fd = reader;
    return 0;
}

int lsi_seal_check_filled(int fd, uint64_t bytes)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    return (uint64_t)status.st_blocks >= bytes / STAT_BLOCK_BYTES ? 0 : -ENODATA;
}

static int check(int fd, uint64_t bytes, int mode, int seals)
{
    struct stat status;
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || (flags & O_ACCMODE) != mode || has_seals(fd, seals) < 0)
        return -LSHM_ECORRUPT;
    if (fstat(fd, &status) < 0 || status.st_size < 0 || (uint64_t)status.st_size != bytes)
        return -LSHM_ECORRUPT;
    return 0;
}

int lsi_seal_check_reader(int fd, uint64_t bytes)
{
    return check(fd, bytes, O_RDONLY, SEALS_ALL);
}

int lsi_seal_check_writer(int fd, uint64_t bytes)
{
    return check(fd, bytes, O_RDWR, SEALS_SIZE);
}
