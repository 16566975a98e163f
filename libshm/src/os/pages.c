/* SPDX-License-Identifier: Apache-2.0 */
#include "os/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "os/memory.h"
#include "os/seal.h"

#ifndef MFD_HUGETLB
#define MFD_HUGETLB 0x0004u
#endif
#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21u << 26)
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#define BIND_MODE 2 /* MPOL_BIND of linux/mempolicy.h */
#define NODES_MAX 1024u
#define NODES_ONLINE "/sys/devices/system/node/online"

static int create_file(const char *name)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_HUGE_2MB;
    int fd = (int)syscall(SYS_memfd_create, name, flags | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL) /* Linux before 6.3 */
        fd = (int)syscall(SYS_memfd_create, name, flags);
    return fd < 0 ? -errno : fd;
}

/* A mapping reserves the pages, and the file keeps them when it goes. */
static int reserve(int fd, uint64_t bytes)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (base == MAP_FAILED)
        return -errno;
    munmap(base, bytes);
    return 0;
}

int lsi_pages_create_huge(const char *name, uint64_t bytes, int *ret_fd)
{
    int status, fd = create_file(name);

    if (fd < 0)
        return fd;
    status = ftruncate(fd, (off_t)bytes) < 0 ? -errno : reserve(fd, bytes);
    if (status == 0)
        status = lsi_seal_size(fd);
    if (status < 0) {
        close(fd);
        return status;
    }
    *ret_fd = fd;
    return 0;
}

void lsi_pages_wish_huge(void *base, uint64_t bytes)
{
    (void)madvise(base, bytes, MADV_HUGEPAGE);
}

bool lsi_pages_are_huge(const void *base, uint64_t bytes)
{
    const uint64_t wanted = bytes & ~(LSI_HUGE_PAGE_BYTES - 1);
    static const char key[] = "ShmemPmdMapped:";
    unsigned long long kib = 0;
    bool is_ours = false;
    char line[512], *end;
    FILE *file = fopen("/proc/self/smaps", "re");

    while (file && fgets(line, sizeof(line), file)) {
        const unsigned long long first = strtoull(line, &end, 16);

        if (*end == '-') /* else the line of a figure, whose name may begin with such a digit */
            is_ours = first == (uintptr_t)base;
        else if (is_ours && strncmp(line, key, sizeof(key) - 1) == 0)
            kib = strtoull(line + sizeof(key) - 1, NULL, 10);
    }
    if (file)
        fclose(file);
    return wanted > 0 && kib * 1024 >= wanted;
}

/* One access to each page; what is written is fresh, and nobody else writes it. */
static void touch(void *base, uint64_t bytes, bool is_written)
{
    const uint64_t page = lsi_memory_page_bytes();

    for (uint64_t at = 0; at < bytes; at += page) {
        uint8_t *byte = (uint8_t *)base + at;
        /* RLX: only that there is a page. */
        uint8_t value = lsi_load_relaxed(byte);

        /* RLX: as above. DIE none: it writes what is there. */
        if (is_written)
            lsi_store_relaxed(byte, value);
    }
}

int lsi_pages_populate(void *base, uint64_t bytes, bool is_written)
{
    int status;

    do {
        status = madvise(base, bytes, is_written ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) < 0
                     ? -errno : 0;
    } while (status == -EINTR || status == -EAGAIN);
    if (status == -EINVAL) { /* Linux before 5.14 */
        touch(base, bytes, is_written);
        return 0;
    }
    return status == -EFAULT ? -ENOMEM : status; /* EFAULT: where an access would be a SIGBUS */
}

int lsi_pages_lock(void *base, uint64_t bytes)
{
    return mlock(base, bytes) < 0 ? -errno : 0;
}

int lsi_pages_bind(void *base, uint64_t bytes, uint32_t node)
{
    unsigned long mask[NODES_MAX / (8 * sizeof(unsigned long))] = {0};
    const uint32_t bits = 8 * sizeof(mask[0]);

    if (node >= NODES_MAX)
        return -EINVAL;
    mask[node / bits] |= 1ul << node % bits;
    return syscall(SYS_mbind, base, bytes, BIND_MODE, mask, (unsigned long)NODES_MAX, 0) < 0
               ? -errno : 0;
}

/* A list such as "0-1,4". */
bool lsi_pages_has_node(uint32_t node)
{
    char text[256] = "";
    uint32_t count = 0;
    bool found = false;
    FILE *file = fopen(NODES_ONLINE, "re");
    char *at = file ? fgets(text, sizeof(text), file) : NULL;

    if (file)
        fclose(file);
    while (at && *at >= '0' && *at <= '9') {
        unsigned long first = strtoul(at, &at, 10), last = first;

        if (*at == '-')
            last = strtoul(at + 1, &at, 10);
        found = found || (node >= first && node <= last);
        count += (uint32_t)(last - first) + 1;
        at += *at == ',';
    }
    return found && count > 1;
}
