/* SPDX-License-Identifier: Apache-2.0 */
#include "tail.h"

#include "os/memory.h"

uint64_t tail_read_final(const struct lsi_ctl_geometry *geometry, const struct region *ring)
{
    const struct lshm_ring *header;
    const unsigned char *base;
    void *mapped;
    uint64_t seq, i;

    if (lsi_memory_map(ring->record->reader_fd, ring->record->bytes, 0, &mapped) < 0)
        return 0;
    base = mapped;
    header = mapped;
    /* RLX: its writer is dead or has closed the port; a wrong hint harms only its own readers. */
    seq = lsi_load_relaxed(&header->tail);
    for (i = 0; i < geometry->entry_count; i++, seq++) {
        const uint64_t index = seq & (geometry->entry_count - 1);
        const struct lshm_entry *entry =
            (const void *)(base + geometry->entries_offset + index * geometry->entry_bytes);

        /* RLX: as above. */
        if (lsi_load_relaxed(&entry->commit) != seq + 1)
            break;
    }
    lsi_memory_unmap(mapped, ring->record->bytes);
    return seq;
}
