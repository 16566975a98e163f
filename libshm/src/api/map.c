/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A publisher's own memory: mapped first, so that what was asked for can be said of the mapping
 * (node, huge pages), then filled, then locked.
 *
 * Every page is there before the broker hands the memory to readers: nobody's access is ever a
 * SIGBUS, or a late lack of memory.
 */
#include "api/internal.h"
#include "os/pages.h"
#include "os/seal.h"

static int prepare(struct lshm_publisher *publisher, struct lsi_part part, int fd, uint32_t *pages)
{
    bool huge = pages != NULL && publisher->flags & LSHM_PUBLISHER_HUGE;
    int r = 0;

    if (publisher->numa_node != 0)
        r = lsi_pages_bind(part.base, part.bytes, publisher->numa_node - 1);
    if (r == 0 && huge && *pages == LSI_CTL_PAGES_NORMAL) {
        lsi_pages_wish_huge(part.base, part.bytes);
        /* Pages that the file gets without a mapping would be small ones. */
        r = lsi_pages_populate(part.base, part.bytes, true);
    }
    if (r == 0)
        r = lsi_memory_fill(fd, part.bytes);
    if (r == 0 && publisher->flags & LSHM_PUBLISHER_PREFAULT)
        r = lsi_pages_populate(part.base, part.bytes, true);
    if (r == 0 && publisher->flags & LSHM_PUBLISHER_LOCK) {
        r = lsi_pages_lock(part.base, part.bytes);
        publisher->lock_failed = r < 0;
    }
    if (r == 0 && huge && *pages == LSI_CTL_PAGES_NORMAL &&
        lsi_pages_are_huge(part.base, part.bytes))
        *pages = LSI_CTL_PAGES_HUGE;
    return r;
}

int lsi_publisher_map(struct lshm_publisher *publisher, int fd, uint64_t bytes, uint32_t *pages,
                      struct lsi_part *ret_part)
{
    unsigned flags = LSI_MAP_WRITE | lsi_context_map_flags(publisher->context);
    struct lsi_part part = { .bytes = bytes };
    int r = lsi_seal_check_writer(fd, bytes);

    if (r == 0)
        r = lsi_memory_map(fd, bytes, flags, &part.base);
    if (r < 0)
        return r;
    r = prepare(publisher, part, fd, pages);
    if (r < 0) {
        lsi_memory_unmap(part.base, bytes);
        return r;
    }
    *ret_part = part;
    return 0;
}

int lsi_reader_map(const struct lshm_subscriber *subscriber, int fd, uint64_t bytes,
                   struct lsi_part *ret_part)
{
    unsigned flags = lsi_context_map_flags(subscriber->context);
    void *base;
    int r = lsi_seal_check_reader(fd, bytes);

    if (r == 0)
        r = lsi_memory_map(fd, bytes, flags, &base);
    if (r < 0)
        return r;
    *ret_part = (struct lsi_part){ .base = base, .bytes = bytes };
    if (subscriber->flags & LSHM_SUBSCRIBER_PREFAULT)
        (void)lsi_pages_populate(base, bytes, false); /* else at the first access */
    return 0;
}
