/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <lshm/error.h>

#include "keeper.h"
#include "os/memory.h"
#include "os/pages.h"
#include "os/seal.h"

#define ARENA_CLASS_BYTES_MIN 8192u
#define ARENA_CLASSES 16u /* up to 256 MiB */
#define ARENA_FREE_MAX 1024u

/* Places of the arena given back, by size. What does not fit the list is address space only. */
static uint64_t arena_free[ARENA_CLASSES][ARENA_FREE_MAX];
static uint32_t arena_free_count[ARENA_CLASSES];

static int arena_class(uint64_t bytes, uint64_t *ret_bytes)
{
    uint64_t size = ARENA_CLASS_BYTES_MIN;
    uint32_t class = 0;

    while (size < bytes && class < ARENA_CLASSES) {
        size *= 2;
        class++;
    }
    *ret_bytes = size;
    return class < ARENA_CLASSES ? (int)class : -ENOMEM;
}

static int arena_take(struct broker *broker, uint64_t bytes, uint64_t *ret_offset)
{
    uint64_t size;
    int class = arena_class(bytes, &size);

    if (class < 0)
        return class;
    if (arena_free_count[class] > 0) {
        *ret_offset = arena_free[class][--arena_free_count[class]];
        return 0;
    }
    if (size > broker->registry->arena_bytes - broker->registry->arena_used)
        return -ENOMEM;
    *ret_offset = broker->registry->arena_used;
    broker->registry->arena_used += size;
    return 0;
}

static void arena_give(uint64_t offset, uint64_t bytes)
{
    uint64_t size;
    int class = arena_class(bytes, &size);

    if (class >= 0 && arena_free_count[class] < ARENA_FREE_MAX)
        arena_free[class][arena_free_count[class]++] = offset;
}

static int is_own(const struct region_record *record)
{
    return record->kind == LSHM_REGION_PUBLIC || record->kind == LSHM_REGION_BOARD;
}

static const char *kind_name(uint32_t kind)
{
    static const char *const names[] = {"lshm",         "lshm-public", "lshm-board",
                                        "lshm-control", "lshm-ring",   "lshm-segment"};

    return kind < LSI_COUNT_OF(names) ? names[kind] : names[0];
}

/* The record, with its file, in state CREATED. */
static int create(struct broker *broker, const struct region_wish *wish, struct region **ret_region)
{
    struct region_record *record = table_take(&broker->tables[TABLE_REGIONS]);
    struct region *region;
    int status, fd = REGION_NO_FD;

    if (!record)
        return -LSHM_ELIMIT;
    region = BROKER_PRIVATE(broker, TABLE_REGIONS, regions, record);
    memset(region, 0, sizeof(*region));
    region->record = record;
    record->kind = wish->kind;
    record->part = wish->part;
    record->client = wish->client;
    record->port = wish->port;
    record->bytes = wish->bytes;
    record->reader_fd = REGION_NO_FD;
    status = is_own(record) ? arena_take(broker, wish->bytes, &record->offset) : 0;
    if (status == 0 && wish->is_huge &&
        lsi_pages_create_huge(kind_name(wish->kind), wish->bytes, &fd) == 0)
        record->pages = LSI_CTL_PAGES_HUGETLB;
    else if (status == 0)
        status = lsi_memory_create(kind_name(wish->kind), wish->bytes, &fd);
    if (status < 0) {
        table_give(&broker->tables[TABLE_REGIONS], record);
        return status;
    }
    record->fd = fd;
    /* If we die before: a file without a record, which the successor's sweep closes. */
    record_set_state(&record->record, REGION_CREATED);
    broker->region_bytes += record->bytes;
    *ret_region = region;
    return 0;
}

static int finish_seal(struct region_record *record)
{
    int status = lsi_seal_writes(record->fd);

    if (status == 0 && record->reader_fd == REGION_NO_FD)
        status = lsi_seal_reopen(record->fd, &record->reader_fd);
    if (status < 0)
        return status;
    record_set_state(&record->record, REGION_SEALED);
    close(record->fd);
    record->fd = REGION_NO_FD;
    return 0;
}

static void write_header(struct broker *broker, struct region *region)
{
    const struct region_record *record = region->record;
    struct lshm_region_header *header = region->base;

    header->magic = LSHM_REGION_MAGIC;
    header->abi_major = LSHM_ABI_MAJOR;
    header->abi_minor = LSHM_ABI_MINOR;
    header->kind = record->kind;
    header->part = record->part;
    header->bytes = record->bytes;
    header->region = region_number(broker, region);
    header->client = record->client;
}

/* From CREATED to SEALED. Nobody else has the file yet, so its header needs no order. */
static int finish_own(struct broker *broker, struct region *region)
{
    struct region_record *record = region->record;
    int status = 0;

    if (record_state(&record->record) == REGION_CREATED) {
        status = keeper_map(broker, record->fd, record->offset, record->bytes);
        if (status < 0)
            return status;
        status = lsi_memory_map_at(record->fd, record->bytes, LSI_MAP_WRITE,
                                   broker->arena + record->offset);
        if (status < 0)
            return status;
        record_set_state(&record->record, REGION_MAPPED);
    }
    region->base = broker->arena + record->offset;
    write_header(broker, region);
    return finish_seal(record);
}

int region_create_own(struct broker *broker, const struct region_wish *wish,
                      struct region **ret_region)
{
    struct region *region;
    int status = create(broker, wish, &region);

    if (status < 0)
        return status;
    status = lsi_memory_fill(region->record->fd, wish->bytes);
    if (status == 0)
        status = finish_own(broker, region);
    if (status < 0) {
        region_release(broker, region);
        return status;
    }
    *ret_region = region;
    return 0;
}

int region_create_for(struct broker *broker, const struct region_wish *wish,
                      struct region **ret_region)
{
    return create(broker, wish, ret_region);
}

int region_seal(struct broker *broker, struct region *region)
{
    struct region_record *record = region->record;
    int status;

    (void)broker;
    if (record_state(&record->record) == REGION_SEALED)
        return 0;
    status = lsi_seal_check_filled(record->fd, record->bytes);
    return status < 0 ? status : finish_seal(record);
}

static void close_fd(int32_t *fd)
{
    int was = *fd;

    *fd = REGION_NO_FD;
    if (was >= 0)
        close(was);
}

static void destroy(struct broker *broker, struct region *region)
{
    struct region_record *record = region->record;

    if (is_own(record)) {
        keeper_unmap(broker, record->offset, record->bytes);
        (void)lsi_memory_unreserve_at(broker->arena + record->offset, record->bytes);
        arena_give(record->offset, record->bytes);
    }
    close_fd(&record->fd);
    close_fd(&record->reader_fd);
    broker->region_bytes -= record->bytes;
    region->base = NULL;
    table_give(&broker->tables[TABLE_REGIONS], record);
}

void region_release(struct broker *broker, struct region *region)
{
    record_set_state(&region->record->record, REGION_DOOMED);
    if (region->pins == 0)
        destroy(broker, region);
}

void region_unpin(struct broker *broker, struct region *region)
{
    if (--region->pins == 0 && record_state(&region->record->record) == REGION_DOOMED)
        destroy(broker, region);
}

int region_rebuild(struct broker *broker, struct region *region)
{
    struct region_record *record = region->record;
    uint32_t state = record_state(&record->record);

    broker->region_bytes += record->bytes;
    if (state == REGION_DOOMED) {
        destroy(broker, region);
        return 0;
    }
    if (state == REGION_SEALED) {
        record->fd = REGION_NO_FD; /* the sweep closes what its predecessor could not */
        region->base = is_own(record) ? broker->arena + record->offset : NULL;
        return 0;
    }
    return is_own(record) ? finish_own(broker, region) : 0;
}
