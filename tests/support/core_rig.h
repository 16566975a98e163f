/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One publication and its readers in plain memory, for tests of the core: no broker, no mapping.
 *
 * lst_pub stands for a publisher's process: the ring, the slots' account, and roster operations
 * that find rows and cells in arrays. A row's cell reference is an index into pub->cells. lst_row_*
 * is the broker's part, with the ordering that abi.h demands, so that it may be another thread.
 * lst_sub is one subscription's side. All arrays have exactly the size that core asks for, so that
 * the address sanitizer sees one element past.
 */
#ifndef LST_CORE_RIG_H
#define LST_CORE_RIG_H

#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/counter.h"
#include "core/reclaim.h"
#include "core/window.h"

#define LST_CELLS_MAX 256u
#define LST_PARTS_MAX 3u
#define LST_ROWS_MAX (LSHM_ROSTER_ROWS * 7u)

struct lst_pub {
    struct lsi_publication publication;
    struct lshm_board_publisher record;
    struct lshm_roster_row *parts[LST_PARTS_MAX];
    struct lshm_ring *ring;
    unsigned char *entries;
    uint8_t *states;
    struct lshm_cell *cells[LST_CELLS_MAX];
    uint64_t sleep[LST_CELLS_MAX];    /* by cell, as if each were a client */
    bool unmapped_cell[LST_CELLS_MAX]; /* attach fails */
    uint32_t mapped_parts;            /* map_rows fails from this one on */
    bool no_memory, no_kept_memory;   /* reserve fails, reserve_kept fails */
    int attached;                     /* attached minus detached */
    uint32_t signals;
    uint64_t signal_client, signal_generation;
};

static inline void *lst_zeroed(size_t count, size_t bytes)
{
    size_t size = (count * bytes + LSHM_LINE_BYTES - 1) / LSHM_LINE_BYTES * LSHM_LINE_BYTES;
    void *memory = aligned_alloc(LSHM_LINE_BYTES, size);

    assert_non_null(memory);
    return memset(memory, 0, size);
}

static inline const struct lshm_roster_row *lst_op_map_rows(void *context, struct lshm_ref ref,
                                                            uint32_t rows)
{
    struct lst_pub *pub = context;

    assert_int_equal(rows, LSHM_ROSTER_ROWS << ref.part);
    return ref.part < pub->mapped_parts ? pub->parts[ref.part] : NULL;
}

static inline int lst_op_attach(void *context, struct lsi_reader *reader)
{
    struct lst_pub *pub = context;
    uint32_t cell = reader->cell_ref.line;

    if (pub->unmapped_cell[cell])
        return -1;
    reader->held = malloc(reader->holds * sizeof *reader->held + 1);
    assert_non_null(reader->held);
    reader->cell = pub->cells[cell];
    reader->sleep = &pub->sleep[cell];
    pub->attached++;
    return 0;
}

static inline void lst_op_detach(void *context, struct lsi_reader *reader)
{
    struct lst_pub *pub = context;

    if (reader->cell != NULL)
        pub->attached--;
    free(reader->held);
}

static inline int lst_op_reserve(void *context, struct lsi_roster *roster, uint32_t rows)
{
    struct lst_pub *pub = context;

    if (pub->no_memory)
        return -1;
    roster->readers = realloc(roster->readers, rows * sizeof *roster->readers);
    roster->active = realloc(roster->active, rows * sizeof *roster->active);
    roster->sleepers = realloc(roster->sleepers, rows * sizeof *roster->sleepers);
    assert_true(roster->readers && roster->active && roster->sleepers);
    memset(roster->readers + roster->capacity, 0,
           (rows - roster->capacity) * sizeof *roster->readers);
    roster->capacity = rows;
    return 0;
}

static inline int lst_op_reserve_kept(void *context, uint64_t count)
{
    struct lst_pub *pub = context;
    struct lsi_seqset *kept = &pub->publication.kept;
    uint32_t words = 2;

    if (pub->no_kept_memory)
        return -1;
    while (words < 2 * count)
        words *= 2;
    if (kept->words != NULL && kept->mask + 1 >= words)
        return 0;
    kept->words = realloc(kept->words, words * sizeof *kept->words);
    assert_non_null(kept->words);
    lsi_seqset_init(kept, kept->words, words);
    return 0;
}

static inline void lst_op_signal(void *context, uint64_t client, uint64_t generation)
{
    struct lst_pub *pub = context;

    pub->signals++;
    pub->signal_client = client;
    pub->signal_generation = generation;
}

/* entries N; messages are numbered from `first`; history 0. */
static inline void lst_pub_init(struct lst_pub *pub, uint32_t entries, uint32_t entry_bytes,
                                uint32_t slots, uint64_t first)
{
    struct lsi_publication *p = &pub->publication;
    struct lsi_roster_operations operations = {
        pub, lst_op_map_rows, lst_op_attach, lst_op_detach, lst_op_reserve, lst_op_reserve_kept,
        lst_op_signal,
    };

    memset(pub, 0, sizeof *pub);
    pub->ring = lst_zeroed(1, sizeof *pub->ring);
    pub->entries = lst_zeroed(entries, entry_bytes);
    pub->states = malloc(slots);
    pub->mapped_parts = LST_PARTS_MAX;
    for (uint32_t k = 0; k < LST_PARTS_MAX; k++) {
        pub->parts[k] = lst_zeroed(LSHM_ROSTER_ROWS << k, sizeof *pub->parts[k]);
        pub->record.roster[k] = (struct lshm_ref){ .part = k };
        for (uint32_t i = 0; i < LSHM_ROSTER_ROWS << k; i++) /* 56 bits have the generation */
            pub->parts[k][i].state = LSI_COUNTER_START(56) << LSHM_ROW_GENERATION_SHIFT;
    }
    lsi_ring_writer_init(&p->writer, pub->ring, pub->entries, entries, entry_bytes);
    lsi_slots_init(&p->slots, slots, malloc(slots * sizeof(uint32_t)),
                   calloc(slots, sizeof(uint32_t)), pub->states, &pub->ring->slots_free);
    lsi_slots_add(&p->slots, 0, 4096, 0, 0, slots);
    lsi_roster_init(&p->roster, &pub->record, entries, &operations);
    p->slot_of = malloc(entries * sizeof *p->slot_of);
    p->limbo = malloc(slots * sizeof *p->limbo);
    p->writer.tail = p->committed = pub->ring->tail = pub->ring->horizon = first;
}

static inline void lst_pub_free(struct lst_pub *pub)
{
    struct lsi_publication *p = &pub->publication;

    lsi_roster_clear(&p->roster);
    assert_int_equal(pub->attached, 0);
    for (uint32_t i = 0; i < LST_CELLS_MAX; i++)
        free(pub->cells[i]);
    for (uint32_t k = 0; k < LST_PARTS_MAX; k++)
        free(pub->parts[k]);
    free(pub->ring);
    free(pub->entries);
    free(pub->states);
    free(p->slots.free_fifo);
    free(p->slots.generations);
    free(p->roster.readers);
    free(p->roster.active);
    free(p->roster.sleepers);
    free(p->kept.words);
    free(p->slot_of);
    free(p->limbo);
}

/* A slot of the segment that comes first, or LSI_SLOT_NONE. */
static inline uint32_t lst_slots_loan(struct lsi_slots *slots)
{
    uint32_t segment = lsi_slots_find(slots, 1, true);

    return segment == LSI_SLOT_NONE ? LSI_SLOT_NONE : lsi_slots_loan(slots, segment);
}

/* Loans a slot and publishes a message that names it: the slot, or LSI_SLOT_NONE. */
static inline uint32_t lst_pub_publish(struct lst_pub *pub)
{
    uint32_t slot = lst_slots_loan(&pub->publication.slots);
    struct lsi_descriptor d = { .handle = slot + 1ull };

    if (slot != LSI_SLOT_NONE)
        lsi_publication_publish(&pub->publication, &d, NULL, slot);
    return slot;
}

/* The broker's part: cells and rows. */

static inline struct lshm_cell *lst_cell_new(struct lst_pub *pub, uint32_t cell, uint32_t holds)
{
    pub->cells[cell] = lst_zeroed(lsi_cell_lines(holds), LSHM_LINE_BYTES);
    return pub->cells[cell];
}

static inline struct lshm_roster_row *lst_row(struct lst_pub *pub, uint32_t row)
{
    uint32_t part = 0;

    while (row >= LSHM_ROSTER_ROWS << part) {
        row -= LSHM_ROSTER_ROWS << part;
        part++;
    }
    return &pub->parts[part][row];
}

static inline void lst_bump(struct lst_pub *pub)
{
    lsi_store_release(&pub->record.roster_version,
                      lsi_counter_next(lsi_load_relaxed(&pub->record.roster_version)));
}

static inline void lst_parts(struct lst_pub *pub, uint32_t parts)
{
    lsi_store_release(&pub->record.roster_parts, parts);
    lst_bump(pub);
}

/* Another state of the same use of this row. */
static inline void lst_row_state(struct lst_pub *pub, uint32_t index, uint64_t state)
{
    struct lshm_roster_row *row = lst_row(pub, index);
    uint64_t generation = lsi_load_relaxed(&row->state) >> LSHM_ROW_GENERATION_SHIFT;

    lsi_store_release(&row->state, generation << LSHM_ROW_GENERATION_SHIFT | state);
    lst_bump(pub);
}

/* A new use of a row that is FREE or GONE. */
static inline void lst_row_live(struct lst_pub *pub, uint32_t index, uint32_t cell, uint32_t flags,
                                uint32_t window, uint32_t holds)
{
    struct lshm_roster_row *row = lst_row(pub, index);
    uint64_t generation = lsi_load_relaxed(&row->state) >> LSHM_ROW_GENERATION_SHIFT;

    lsi_store_relaxed(&row->state, generation << LSHM_ROW_GENERATION_SHIFT | LSHM_ROW_GONE);
    lsi_fence_release();
    lsi_store_relaxed(&row->client, cell);
    lsi_store_relaxed(&row->cell.part, 0);
    lsi_store_relaxed(&row->cell.line, cell);
    lsi_store_relaxed(&row->link, cell + 1000u);
    lsi_store_relaxed(&row->flags, flags);
    lsi_store_relaxed(&row->window, window);
    lsi_store_relaxed(&row->holds, holds);
    lsi_store_release(&row->state,
                      (generation + 1) << LSHM_ROW_GENERATION_SHIFT | LSHM_ROW_LIVE);
    lst_bump(pub);
}

/* A subscription's side. */

struct lst_sub {
    struct lsi_window window;
    struct lsi_ring_reader ring;
};

static inline void lst_sub_init(struct lst_sub *sub, struct lst_pub *pub, struct lshm_cell *cell,
                                uint32_t window, uint32_t holds, uint64_t start)
{
    const struct lsi_ring_writer *writer = &pub->publication.writer;
    struct lsi_window *w = &sub->window;

    *sub = (struct lst_sub){ 0 };
    w->at = malloc(lsi_window_slots(window) * sizeof *w->at);
    w->samples = malloc((window + holds) * sizeof *w->samples);
    w->free_samples = malloc((window + holds) * sizeof *w->free_samples);
    w->free_holds = malloc(holds * sizeof *w->free_holds + 1);
    assert_true(w->at && w->samples && w->free_samples && w->free_holds);
    lsi_window_init(w, cell, window, holds, start);
    lsi_ring_reader_init(&sub->ring, pub->ring, pub->entries, writer->mask + 1,
                         writer->entry_bytes);
}

static inline void lst_sub_free(struct lst_sub *sub)
{
    free(sub->window.at);
    free(sub->window.samples);
    free(sub->window.free_samples);
    free(sub->window.free_holds);
    *sub = (struct lst_sub){ 0 };
}

#endif
