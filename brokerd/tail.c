/* SPDX-License-Identifier: Apache-2.0 */
#include "tail.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ctl/error.h"
#include "log.h"

/* One word of the ring; 0 when it cannot be read, which ends the count and is said. */
static uint64_t read_word(const struct region *ring, uint64_t offset)
{
    uint64_t word = 0;
    ssize_t bytes = pread(ring->record->reader_fd, &word, sizeof(word), (off_t)offset);

    if (bytes == (ssize_t)sizeof(word))
        return word;
    log_info("can't read a dead publisher's ring: %s; its last messages may be lost",
             bytes < 0 ? lsi_error_text(errno) : "it is too short");
    return 0;
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
