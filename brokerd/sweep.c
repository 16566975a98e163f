/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <bsd/stdlib.h>

/* Calls back for each open descriptor but the one it looks through. */
static int for_each_fd(void (*visit)(int fd, void *context), void *context)
{
    DIR *directory = opendir("/proc/self/fd");
    const struct dirent *entry;

    if (!directory)
        return -errno;
    while ((entry = readdir(directory))) {
        const char *error;
        int fd = (int)strtonum(entry->d_name, 0, INT32_MAX, &error);

        if (!error && fd != dirfd(directory))
            visit(fd, context);
    }
    closedir(directory);
    return 0;
}

struct known {
    const struct registry *registry;
    unsigned char *is_known;
    int count;
    int *adopted;
    int adopted_count;
};

static void mark(struct known *known, int32_t fd)
{
    if (fd >= 0 && fd < known->count)
        known->is_known[fd] = 1;
}

static void mark_all(struct known *known)
{
    const struct registry *registry = known->registry;
    uint32_t i;

    for (i = 0; i < registry->keeper_fd_count; i++)
        mark(known, registry->keeper_fds[i]);
    for (i = 0; i < registry->used[TABLE_CLIENTS]; i++) {
        if (record_state(&registry->clients[i].record) == CLIENT_FREE)
            continue;
        mark(known, registry->clients[i].socket_fd);
        mark(known, registry->clients[i].process_fd);
    }
    for (i = 0; i < registry->used[TABLE_REGIONS]; i++) {
        const struct region_record *region = &registry->regions[i];
        const uint32_t state = record_state(&region->record);

        if (state == REGION_FREE)
            continue;
        mark(known, region->reader_fd);
        if (state != REGION_SEALED)
            mark(known, region->fd);
    }
}

/* A connection to our own socket has its path as its own address. */
static int is_connection(const struct registry *registry, int fd)
{
    struct sockaddr_un address = {0};
    socklen_t bytes = sizeof(address);
    int listens = 0;
    socklen_t listens_bytes = sizeof(listens);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_bytes) == 0 && !listens &&
           getsockname(fd, (struct sockaddr *)&address, &bytes) == 0 &&
           address.sun_family == AF_UNIX &&
           strncmp(address.sun_path, registry->socket_path, sizeof(address.sun_path)) == 0;
}

static void judge(int fd, void *context)
{
    struct known *known = context;

    if (fd < known->count && known->is_known[fd])
        return;
    if (known->adopted_count < SWEEP_ADOPTED_MAX && is_connection(known->registry, fd))
        known->adopted[known->adopted_count++] = fd;
    else
        close(fd);
}

static void find_highest(int fd, void *context)
{
    int *highest = context;

    if (fd > *highest)
        *highest = fd;
}

int sweep(const struct registry *registry, int ret_adopted[SWEEP_ADOPTED_MAX])
{
    struct known known = {.registry = registry, .adopted = ret_adopted};
    int highest = 0;

    if (for_each_fd(find_highest, &highest) < 0)
        return 0;
    known.count = highest + 1;
    known.is_known = calloc((size_t)known.count, 1);
    if (!known.is_known)
        return 0;
    mark_all(&known);
    (void)for_each_fd(judge, &known);
    free(known.is_known);
    return known.adopted_count;
}

static void note(int fd, void *context)
{
    struct registry *registry = context;

    if (registry->keeper_fd_count < REGISTRY_KEEPER_FDS_MAX)
        registry->keeper_fds[registry->keeper_fd_count++] = fd;
}

int sweep_note_keeper(struct registry *registry)
{
    return for_each_fd(note, registry);
}
