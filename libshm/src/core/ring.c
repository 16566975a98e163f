/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ring.h"

#include "base/atomic.h"
#include "base/compiler.h"

void lsi_ring_writer_init(struct lsi_ring_writer *writer, struct lshm_ring *ring, void *entries,
                          uint32_t entry_count, uint32_t entry_bytes)
{
    *writer = (struct lsi_ring_writer){
        .ring = ring,
        .entries = entries,
        .mask = entry_count - 1,
        .entry_bytes = entry_bytes,
    };
}

void lsi_ring_reader_init(struct lsi_ring_reader *reader, const struct lshm_ring *ring,
                          const void *entries, uint32_t entry_count, uint32_t entry_bytes)
{
    *reader = (struct lsi_ring_reader){
        .ring = ring,
        .entries = entries,
        .mask = entry_count - 1,
        .entry_bytes = entry_bytes,
    };
}

bool lsi_ring_has(const struct lsi_ring_reader *reader, uint64_t seq)
{
    /* RLX: only decides whether to look properly. */
    return lsi_load_relaxed(&lsi_ring_reader_entry(reader, seq)->commit) > seq;
}

bool lsi_ring_peek_time(const struct lsi_ring_reader *reader, uint64_t seq, uint64_t *ret_time_ns)
{
    const struct lshm_entry *entry = lsi_ring_reader_entry(reader, seq);
    /* ORD C1 acquire <- P1 */
    uint64_t commit = lsi_load_acquire(&entry->commit);

    *ret_time_ns = 0;
    /* RLX: after C1; only decides which ring is taken from first. */
    if (commit == seq + 1 && lsi_load_relaxed(&entry->flags) & LSHM_ENTRY_TIME)
        *ret_time_ns = lsi_load_relaxed(&entry->time_ns);
    return commit > seq;
}
