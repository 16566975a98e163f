/* SPDX-License-Identifier: Apache-2.0 */
#include "os/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/seal.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u
#endif

static int create_file(const char *name)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = (int)syscall(SYS_memfd_create, name, flags | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL) /* Linux before 6.3 */
        fd = (int)syscall(SYS_memfd_create, name, flags);
    return fd < 0 ? -errno : fd;
}

int lsi_memory_create(const char *name, uint64_t bytes, int *ret_fd)
{
    int fd, status;

    if (bytes == 0 || bytes > INT64_MAX)
        return -EINVAL;
    fd = create_file(name);
    if (fd < 0)
        return fd;
    status = ftruncate(fd, (off_t)bytes) < 0 ? -errno : lsi_seal_size(fd);
    if (status < 0) {
        close(fd);
        return status;
    }
    *ret_fd = fd;
    return 0;
}

int lsi_memory_fill(int fd, uint64_t bytes)
{
    int status;

    if (bytes > INT64_MAX)
        return -EINVAL;
    do {
        status = fallocate(fd, 0, 0, (off_t)bytes) < 0 ? -errno : 0;
    } while (status == -EINTR);
    return status;
}

static int protection(unsigned flags)
{
    return PROT_READ | ((flags & LSI_MAP_WRITE) ? PROT_WRITE : 0);
}

/* Both pieces of advice are promises of this library: failing one fails the mapping. */
static int advise(void *base, uint64_t bytes, unsigned flags)
{
    if ((flags & LSI_MAP_NO_FORK) && madvise(base, bytes, MADV_DONTFORK) < 0)
        return -errno;
    if ((flags & LSI_MAP_NO_DUMP) && madvise(base, bytes, MADV_DONTDUMP) < 0)
        return -errno;
    return 0;
}

int lsi_memory_map(int fd, uint64_t bytes, unsigned flags, void **ret_base)
{
    void *base = mmap(NULL, bytes, protection(flags), MAP_SHARED, fd, 0);
    int status;

    if (base == MAP_FAILED)
        return -errno;
    status = advise(base, bytes, flags);
    if (status < 0) {
        munmap(base, bytes);
        return status;
    }
    *ret_base = base;
    return 0;
}

int lsi_memory_map_at(int fd, uint64_t bytes, unsigned flags, void *base)
{
    if (mmap(base, bytes, protection(flags), MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
        return -errno;
    return advise(base, bytes, flags);
}

void lsi_memory_unmap(void *base, uint64_t bytes)
{
    if (base)
        munmap(base, bytes);
}

int lsi_memory_reserve(uint64_t bytes, int shared, void **ret_base)
{
    const int flags = MAP_ANONYMOUS | MAP_NORESERVE | (shared ? MAP_SHARED : MAP_PRIVATE);
    void *base = mmap(NULL, bytes, shared ? PROT_READ | PROT_WRITE : PROT_NONE, flags, -1, 0);

    if (base == MAP_FAILED)
        return -errno;
    *ret_base = base;
    return 0;
}

int lsi_memory_unreserve_at(void *base, uint64_t bytes)
{
    const int flags = MAP_ANONYMOUS | MAP_NORESERVE | MAP_PRIVATE | MAP_FIXED;

    return mmap(base, bytes, PROT_NONE, flags, -1, 0) == MAP_FAILED ? -errno : 0;
}

int lsi_memory_available(uint64_t *ret_bytes)
{
    static const char key[] = "MemAvailable:";
    char text[2048];
    const char *found;
    ssize_t count;
    int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    count = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (count <= 0)
        return -EIO;
    text[count] = '\0';
    found = strstr(text, key);
    if (!found)
        return -ENOENT;
    *ret_bytes = strtoull(found + sizeof(key) - 1, NULL, 10) * 1024u;
    return 0;
}

uint64_t lsi_memory_page_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}
