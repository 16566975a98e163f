/* SPDX-License-Identifier: Apache-2.0 */
#include "core/window.h"

#include "base/atomic.h"
#include "base/check.h"
#include "base/counter.h"

/* A mark reaches at least this far: so many messages share a fence, and so many slots stay in
 * quarantine when the reader stops. */
#define MARK_AHEAD 8u
#define ANNOUNCE_TRIES 8

uint32_t lsi_window_slots(uint32_t window)
{
    uint32_t slots = 1;

    while (slots < window)
        slots *= 2;
    return slots;
}

void lsi_window_init(struct lsi_window *w, struct lshm_cell *cell, uint32_t size, uint32_t holds,
                     uint64_t start)
{
    w->cell = cell;
    w->cursor = start;
    w->position = start;
    w->mark = start;
    w->sure = start;
    w->window = size;
    w->holds = holds;
    w->mask = lsi_window_slots(size) - 1;
    w->free_count = size + holds;
    w->free_hold_count = holds;
    w->released_ahead = 0;
    for (uint32_t i = 0; i < size + holds; i++) {
        w->samples[i] = (struct lsi_sample){
            .generation = (uint32_t)LSI_COUNTER_START(16) + 1,
        };
        w->free_samples[i] = size + holds - 1 - i;
    }
    for (uint32_t i = 0; i < holds; i++)
        w->free_holds[i] = holds - 1 - i;
}

/* Takes the window's sample at seq out of the cursor's protection. False: no hold is free. */
static bool keep(struct lsi_window *w, uint64_t seq, uint64_t now_ns)
{
    struct lsi_sample *sample = &w->samples[w->at[seq & w->mask]];

    if (sample->copied) {
        sample->state = LSI_SAMPLE_COPIED;
        return true;
    }
    if (w->free_hold_count == 0)
        return false;
    sample->hold = w->free_holds[--w->free_hold_count];
    sample->state = LSI_SAMPLE_HELD;
    lsi_cell_hold(w->cell, sample->hold, seq, now_ns);
    return true;
}

bool lsi_window_hold(struct lsi_window *w, uint32_t index, uint64_t now_ns)
{
    const struct lsi_sample *sample = &w->samples[index];

    if (sample->state == LSI_SAMPLE_HELD)
        return true;
    if (sample->copied || !keep(w, sample->seq, now_ns))
        return false;
    w->at[sample->seq & w->mask] = LSI_WINDOW_RELEASED; /* for the cursor */
    w->released_ahead++;
    return true;
}

/* Over what is released at the window's old end. */
static void pass_released(struct lsi_window *w)
{
    while (w->cursor < w->position && w->at[w->cursor & w->mask] == LSI_WINDOW_RELEASED) {
        w->cursor++;
        w->released_ahead--;
    }
}

bool lsi_window_make_room(struct lsi_window *w, uint64_t now_ns)
{
    if (w->free_count == 0)
        return false;
    if (w->position - w->cursor < w->window)
        return true;
    if (w->at[w->cursor & w->mask] != LSI_WINDOW_RELEASED) {
        if (!keep(w, w->cursor, now_ns))
            return false;
        w->cursor++;
    }
    pass_released(w);
    lsi_cell_set_cursor(w->cell, w->cursor);
    return true;
}

void lsi_window_skip(struct lsi_window *w)
{
    w->at[w->position & w->mask] = LSI_WINDOW_RELEASED;
    w->position++;
    w->released_ahead++;
}

/* Makes holds of all samples that are out in the window, if there are holds for them. */
static bool keep_all(struct lsi_window *w, uint64_t now_ns)
{
    uint32_t needed = 0;

    for (uint64_t seq = w->cursor; seq < w->position; seq++) {
        uint32_t index = w->at[seq & w->mask];

        needed += index != LSI_WINDOW_RELEASED && !w->samples[index].copied;
    }
    if (needed > w->free_hold_count)
        return false;
    for (; w->cursor < w->position; w->cursor++)
        if (w->at[w->cursor & w->mask] != LSI_WINDOW_RELEASED)
            keep(w, w->cursor, now_ns);
    w->released_ahead = 0;
    return true;
}

bool lsi_window_skip_to(struct lsi_window *w, uint64_t to, uint64_t now_ns)
{
    LSI_INVARIANT(5, to >= w->position);
    if (!keep_all(w, now_ns))
        return false;
    w->cursor = to;
    w->position = to;
    lsi_cell_set_cursor(w->cell, to);
    return true;
}

/* The mark in the cell, a fence, and what the ring says behind it. */
static uint64_t mark_and_look(struct lsi_window *w, const struct lshm_ring *ring, uint64_t count)
{
    uint64_t mark = w->position + (count > MARK_AHEAD ? count : MARK_AHEAD);

    if (mark > w->cursor + w->window)
        mark = w->cursor + w->window;
    if (mark > w->mark)
        w->mark = mark;
    /* RLX: ordered by the fence. */
    lsi_store_relaxed(&w->cell->borrow, w->mark);
    /* DIE Y1: announced, nothing read: at most B slots are in quarantine until the row is GONE. */
    /* ORD Y1 full -> G2, G9: either the publisher sees this mark and keeps the slots below it, or
     * this look sees the horizon that it stored before; without it, it rewrites what we read. */
    lsi_fence_full();
    /* RLX: after Y1. */
    return lsi_load_relaxed(&ring->horizon);
}

int lsi_window_announce(struct lsi_window *w, const struct lshm_ring *ring, uint64_t floor,
                        uint64_t end, uint64_t count, uint64_t now_ns, uint64_t *ret_lost)
{
    *ret_lost = 0;
    for (int i = 0; i < ANNOUNCE_TRIES; i++) {
        uint64_t horizon = mark_and_look(w, ring, count), lost;

        if (horizon < floor)
            horizon = floor;
        if (horizon > end)
            horizon = end;
        if (horizon <= w->position) {
            w->sure = w->mark;
            return LSI_ANNOUNCED;
        }
        lost = horizon - w->position;
        if (!lsi_window_skip_to(w, horizon, now_ns))
            return LSI_ANNOUNCE_HELD; /* the mark stands, but came too late for the position */
        *ret_lost += lost;
    }
    return LSI_ANNOUNCE_AGAIN;
}

void lsi_window_drop(struct lsi_window *w, struct lsi_sample *sample)
{
    lsi_cell_drop(w->cell, sample->hold);
    w->free_holds[w->free_hold_count++] = sample->hold;
}

/* Makes holds of all samples older than the youngest released one, if there are holds for them. */
static void keep_older(struct lsi_window *w, uint64_t now_ns)
{
    uint64_t youngest = w->position - 1;
    uint32_t needed = 0;

    while (w->at[youngest & w->mask] != LSI_WINDOW_RELEASED)
        youngest--;
    for (uint64_t seq = w->cursor; seq < youngest; seq++) {
        uint32_t index = w->at[seq & w->mask];

        if (index != LSI_WINDOW_RELEASED && !w->samples[index].copied)
            needed++;
    }
    if (needed > w->free_hold_count)
        return;
    while (w->cursor <= youngest) {
        if (w->at[w->cursor & w->mask] == LSI_WINDOW_RELEASED)
            w->released_ahead--;
        else
            keep(w, w->cursor, now_ns);
        w->cursor++;
    }
}

bool lsi_window_settle(struct lsi_window *w, uint64_t now_ns)
{
    uint64_t before = w->cursor;

    pass_released(w);
    if (w->released_ahead > 0)
        keep_older(w, now_ns);
    LSI_INVARIANT(5, w->cursor >= before && w->cursor <= w->position &&
                         w->position - w->cursor <= w->window);
    if (w->cursor == before)
        return false;
    lsi_cell_set_cursor(w->cell, w->cursor);
    return true;
}
