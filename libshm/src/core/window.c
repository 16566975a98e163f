/* SPDX-License-Identifier: Apache-2.0 */
#include "core/window.h"

#include "base/check.h"

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
    w->window = size;
    w->holds = holds;
    w->mask = lsi_window_slots(size) - 1;
    w->free_count = size + holds;
    w->free_hold_count = holds;
    w->released_ahead = 0;
    for (uint32_t i = 0; i < size + holds; i++) {
        w->samples[i] = (struct lsi_sample){ .generation = 1 };
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
