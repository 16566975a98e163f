/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring: how one message's descriptor gets from its publisher to any number of readers.
 *
 * MODEL  Entry seq & (N-1) holds message seq. Its commit word is seq+1 from the moment the message
 *        is published until the publisher writes there again, N messages later. Readers poll the
 *        commit word of the entry they want next; nothing else is polled. (FastForward, Giacomoni
 *        et al., PPoPP 2008: the flag lies with the data, so a hand-off is one line's transfer.)
 *
 * INVARIANTS  I2 tail - committed horizon <= N
 *             I8 commit = seq+1 before and after the copy: the copy is what was published at seq
 *
 *              publish    take       together with
 *   publish    -          yes        any number of readers; one publishing thread
 *   take       yes        yes        wait-free, no store to shared memory
 */
#ifndef LSI_RING_H
#define LSI_RING_H

#include <stdbool.h>
#include <stdint.h>

#include <lshm/abi.h>

/* What an entry says about its message, as a private copy. */
struct lsi_descriptor {
    uint64_t handle;
    uint32_t length;
    uint32_t offset;
    uint32_t flags;
    uint32_t schema;
    uint64_t time_ns;
    uint64_t user[2];
};

struct lsi_ring_writer {
    struct lshm_ring *ring;
    unsigned char *entries;
    uint64_t tail;        /* next message */
    uint32_t mask;        /* N - 1 */
    uint32_t entry_bytes;
    bool marks_rewrites;  /* has ever had a lossy reader */
};

struct lsi_ring_reader {
    const struct lshm_ring *ring;
    const unsigned char *entries;
    uint32_t mask;
    uint32_t entry_bytes;
};

/* Takes what the broker said, not what the ring's header says. entries: entry_count of them. */
void lsi_ring_writer_init(struct lsi_ring_writer *writer, struct lshm_ring *ring, void *entries,
                          uint32_t entry_count, uint32_t entry_bytes);
void lsi_ring_reader_init(struct lsi_ring_reader *reader, const struct lshm_ring *ring,
                          const void *entries, uint32_t entry_count, uint32_t entry_bytes);

/* Bytes of payload that an entry can carry itself. */
static inline uint32_t lsi_ring_inline_bytes(uint32_t entry_bytes)
{
    return entry_bytes - (uint32_t)sizeof(struct lshm_entry);
}

/*
 * Publishes message writer->tail. With LSHM_ENTRY_INLINE, `payload` (8-byte aligned, length rounded
 * up to 8 readable) goes into the entry. The caller has made sure that the entry is free (I2).
 */
void lsi_ring_publish(struct lsi_ring_writer *writer, const struct lsi_descriptor *descriptor,
                      const void *payload);

/*
 * Copies message seq's descriptor, and an inline payload into `block` (room for inline_bytes).
 * LSI_RING_…; after CORRUPT the descriptor is not to be used.
 */
#define LSI_RING_TAKEN 1
#define LSI_RING_NOTHING 0
#define LSI_RING_LAPPED (-1)  /* the entry has a later message */
#define LSI_RING_CORRUPT (-2) /* an inline payload larger than its entry */
int lsi_ring_take(const struct lsi_ring_reader *reader, uint64_t seq,
                  struct lsi_descriptor *ret_descriptor, void *block);

/*
 * Whether message seq has been published (or passed), and its time: 0 when it has none, or was
 * passed. A look, no promise.
 */
bool lsi_ring_peek_time(const struct lsi_ring_reader *reader, uint64_t seq, uint64_t *ret_time_ns);
/* Whether message seq has been published (or passed). A look, no promise. */
bool lsi_ring_has(const struct lsi_ring_reader *reader, uint64_t seq);

#endif
