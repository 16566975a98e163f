/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A window on plain memory, and what must hold after each of its steps: the cell says what the
 * samples that are out need (I5, I6).
 */
#ifndef WINDOW_RIG_H
#define WINDOW_RIG_H

#include "core_rig.h"

struct rig {
    struct lst_pub pub; /* for its cell and ring memory only */
    struct lst_sub sub;
    struct lsi_window *w;
    struct lshm_cell *cell;
    const struct lshm_hold *table;
    uint64_t cursor_before, mark_before;
};

static inline void rig_init(struct rig *rig, uint32_t window, uint32_t holds, uint64_t start)
{
    lst_pub_init(&rig->pub, 64, 64, 4, start);
    rig->cell = lst_cell_new(&rig->pub, 0, holds);
    lst_sub_init(&rig->sub, &rig->pub, rig->cell, window, holds, start);
    assert_int_equal(lsi_cell_join(rig->cell, rig->pub.ring, start), start);
    rig->w = &rig->sub.window;
    rig->table = lsi_cell_holds_const(rig->cell);
    rig->cursor_before = rig->mark_before = 0;
}

static inline void rig_free(struct rig *rig)
{
    lst_sub_free(&rig->sub);
    lst_pub_free(&rig->pub);
}

static inline bool is_held(const struct rig *rig, uint64_t seq)
{
    for (uint32_t i = 0; i < rig->w->holds; i++) {
        if (rig->table[i].seq_plus_1 == seq + 1)
            return true;
    }
    return false;
}

static inline void check(struct rig *rig)
{
    uint32_t out = 0, held = 0, entries = 0;

    assert_true(rig->cell->cursor >= rig->cursor_before);
    rig->cursor_before = rig->cell->cursor;
    assert_int_equal(rig->cell->cursor, rig->w->cursor + 1);
    assert_true(rig->cell->borrow >= rig->mark_before);
    assert_true(rig->cell->borrow <= rig->w->cursor + rig->w->window);
    rig->mark_before = rig->cell->borrow;
    assert_true(rig->w->position - rig->w->cursor <= rig->w->window);
    for (uint32_t i = 0; i < rig->w->window + rig->w->holds; i++) {
        const struct lsi_sample *sample = &rig->w->samples[i];

        out += sample->state != LSI_SAMPLE_FREE;
        held += sample->state == LSI_SAMPLE_HELD;
        if (sample->state == LSI_SAMPLE_HELD)
            assert_int_equal(rig->table[sample->hold].seq_plus_1, sample->seq + 1);
        if (sample->state == LSI_SAMPLE_WINDOW)
            assert_true(sample->seq >= rig->w->cursor && sample->seq < rig->w->position);
    }
    for (uint32_t i = 0; i < rig->w->holds; i++)
        entries += rig->table[i].seq_plus_1 != 0;
    assert_int_equal(out, lsi_window_out(rig->w));
    assert_int_equal(held, entries);
    assert_int_equal(rig->w->free_hold_count, rig->w->holds - entries);
}

static inline uint32_t take(struct rig *rig)
{
    uint32_t sample;

    assert_true(lsi_window_make_room(rig->w, 0));
    sample = lsi_window_add(rig->w, false);
    check(rig);
    return sample;
}

static inline void release(struct rig *rig, uint32_t sample)
{
    lsi_window_release(rig->w, sample);
    lsi_window_settle(rig->w, 0);
    check(rig);
}

#endif
