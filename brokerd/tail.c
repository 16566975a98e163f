/* SPDX-License-Identifier: Apache-2.0 */
#include "tail.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/handle.h"
#include "ctl/error.h"
#include "log.h"

#define RUN_BYTES 65536u /* entries read at a time */

/* 1, or 0 when it cannot be read, which ends the count and is said. */
static int read_ring(const struct region *ring, uint64_t offset, void *ret_data, size_t bytes)
{
    ssize_t got = pread(ring->record->reader_fd, ret_data, bytes, (off_t)offset);

    if (got == (ssize_t)bytes)
        return 1;
    log_info("can't read a dead publisher's ring: %s; its last messages may be lost",
             got < 0 ? lsi_error_text(errno) : "it is too short");
    return 0;
}

static uint64_t read_word(const struct region *ring, uint64_t offset)
{
    uint64_t word;

    return read_ring(ring, offset, &word, sizeof(word)) ? word : 0;
}

/*
 * By pread(), since mapping takes memory and may fail just when processes die for want of it. Its
 * writer is dead or has closed the port; a wrong hint harms only its own readers.
 */
uint64_t tail_read_final(const struct lsi_ctl_geometry *geometry, const struct region *ring)
{
    uint64_t seq = read_word(ring, offsetof(struct lshm_ring, tail));
    uint64_t i;

    for (i = 0; i < geometry->entry_count; i++, seq++) {
        const uint64_t index = seq & (geometry->entry_count - 1);
        const uint64_t entry = geometry->entries_offset + index * geometry->entry_bytes;

        if (read_word(ring, entry + offsetof(struct lshm_entry, commit)) != seq + 1)
            break;
    }
    return seq;
}

/* The bit of the segment that it is said to lie in; a wrong one is its joiners' to find out. */
static uint32_t segment_bit(const struct lshm_entry *entry)
{
    const uint32_t number = lsi_handle_segment(entry->handle) - 1;

    if (entry->flags & LSHM_ENTRY_INLINE || number >= LSI_CTL_SEGMENTS)
        return 0;
    return UINT32_C(1) << number;
}

uint32_t tail_count_back(const struct lsi_ctl_geometry *geometry, const struct region *ring,
                         uint64_t end, uint32_t most, uint32_t *ret_segments)
{
    static unsigned char run[RUN_BYTES];
    const uint32_t run_max = RUN_BYTES / geometry->entry_bytes;
    uint32_t count = 0, i;

    *ret_segments = 0;
    while (count < most) {
        const uint32_t last = (uint32_t)(end - count - 1) & (geometry->entry_count - 1);
        uint32_t entries = most - count < last + 1 ? most - count : last + 1;

        if (entries > run_max)
            entries = run_max;
        if (!read_ring(ring,
                       geometry->entries_offset +
                           (uint64_t)(last + 1 - entries) * geometry->entry_bytes,
                       run, (size_t)entries * geometry->entry_bytes))
            return count;
        for (i = entries; i > 0; i--, count++) {
            struct lshm_entry entry;

            memcpy(&entry, run + (size_t)(i - 1) * geometry->entry_bytes, sizeof(entry));
            if (entry.commit != end - count)
                return count;
            *ret_segments |= segment_bit(&entry);
        }
    }
    return count;
}
