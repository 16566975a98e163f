/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscription's samples of one ring: what was taken and is not released yet.
 *
 * MODEL  Messages from the cursor to the position are the window, at most B. A sample in it is
 *        protected by the cursor alone. When an older sample is kept while younger ones are
 *        released, or the window is full, the older one becomes a hold (an entry in the cell's
 *        table) and the cursor moves past it. A sample of an inline message is a private copy and
 *        needs neither.
 *
 *   take:  -> WINDOW -> (released) FREE
 *               |-> HELD    (hold entered, cursor passed) -> dropped, FREE
 *               '-> COPIED  (inline, cursor passed)       -> FREE
 *
 * LOSSY  A reader that does not gate announces what it is about to read: it stores the borrow mark,
 *        fences and reads the horizon. What lies below the horizon may be gone and is given up;
 *        the slots of the rest, up to the mark, stay (the entries do not: a take looks twice). The
 *        mark reaches a little ahead, so that the fence is paid once for several messages.
 *
 * INVARIANTS  I5 cursor and mark never go back; mark <= cursor + B
 *
 * One thread at a time. No allocation: the owner passes the arrays.
 */
#ifndef LSI_WINDOW_H
#define LSI_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include <lshm/abi.h>

#include "base/atomic.h"
#include "core/cell.h"

#define LSI_SAMPLE_FREE 0u
#define LSI_SAMPLE_WINDOW 1u
#define LSI_SAMPLE_HELD 2u
#define LSI_SAMPLE_COPIED 3u

struct lsi_sample {
    uint64_t seq;        /* this and the generation: any thread may look (api/release.c) */
    uint32_t generation; /* +1 at each release: a token is good once (api/release.c) */
    uint32_t hold;       /* index in the hold table while HELD */
    uint64_t pending;    /* for the owner: its list of releases by other threads */
    uint16_t pending_generation;
    uint8_t state;
    bool copied;         /* the payload is a private copy */
};

struct lsi_window {
    struct lshm_cell *cell;
    uint64_t cursor;            /* as published */
    uint64_t position;          /* next message to take */
    uint64_t mark;              /* lossy: end of what it has announced, as published */
    uint64_t sure;              /* … and of what it may take without another look, at most mark */
    uint32_t window;            /* B */
    uint32_t holds;             /* H */
    uint32_t mask;              /* of at: a power of two >= B, minus 1 */
    uint32_t free_count;        /* samples */
    uint32_t free_hold_count;
    uint32_t released_ahead;    /* in the window, behind an older sample that is out */
    uint32_t *at;               /* sample of seq & mask, or LSI_WINDOW_RELEASED */
    struct lsi_sample *samples; /* B + H */
    uint32_t *free_samples;     /* B + H */
    uint32_t *free_holds;       /* H */
};
#define LSI_WINDOW_RELEASED UINT32_MAX

/* Entries that `at` needs for a window of B. */
uint32_t lsi_window_slots(uint32_t window);
/* The four arrays have the sizes above; position and cursor are where the join said. */
void lsi_window_init(struct lsi_window *window, struct lshm_cell *cell, uint32_t size,
                     uint32_t holds, uint64_t start);

/* Whether one more sample can be out, making holds of the oldest if need be. */
bool lsi_window_make_room(struct lsi_window *window, uint64_t now_ns);
/* Message `position` is skipped (its descriptor was not valid). */
void lsi_window_skip(struct lsi_window *window);
/* Everything before `to`, which is at least the position, is given up; samples that are out become
 * holds. False, and nothing changed: there are not enough holds for them. */
bool lsi_window_skip_to(struct lsi_window *window, uint64_t to, uint64_t now_ns);
/*
 * Lossy: announces `count` messages from the position on, of which there is room for one at least,
 * and passes what may be gone, at most up to `end`. LSI_ANNOUNCE_…; *ret_lost: how many it passed.
 * What lies between the position and `sure` may be taken, then and later.
 */
#define LSI_ANNOUNCED 1
#define LSI_ANNOUNCE_AGAIN 0    /* the publisher was faster each time */
#define LSI_ANNOUNCE_HELD (-1)  /* samples are out that would have to become holds */
int lsi_window_announce(struct lsi_window *window, const struct lshm_ring *ring, uint64_t floor,
                        uint64_t end, uint64_t count, uint64_t now_ns, uint64_t *ret_lost);
/* Moves the cursor as far as it can go. Returns whether a publisher could gain by it. */
bool lsi_window_settle(struct lsi_window *window, uint64_t now_ns);

/* Messages that can be taken as things are. */
static inline uint64_t lsi_window_room(const struct lsi_window *w)
{
    uint64_t room = w->window - (w->position - w->cursor);

    return room < w->free_count ? room : w->free_count;
}

/* Message `position` was taken: its sample. Room was made. DIE none: private memory. */
static inline uint32_t lsi_window_add(struct lsi_window *w, bool copied)
{
    uint32_t index = w->free_samples[--w->free_count];
    struct lsi_sample *sample = &w->samples[index];

    /* RLX: another thread compares it with what a token says, and is told its own by the taker. */
    lsi_store_relaxed(&sample->seq, w->position);
    sample->state = LSI_SAMPLE_WINDOW;
    sample->copied = copied;
    w->at[w->position & w->mask] = index;
    w->position++;
    return index;
}

/* Makes a hold of a sample that is out, before what it is used for is published (I6). False: it is
 * a copy, or no hold is free. */
bool lsi_window_hold(struct lsi_window *window, uint32_t index, uint64_t now_ns);

/* Drops the sample's hold. */
void lsi_window_drop(struct lsi_window *window, struct lsi_sample *sample);

/* DIE none: private memory. */
static inline void lsi_window_free(struct lsi_window *w, struct lsi_sample *sample, uint32_t index)
{
    sample->state = LSI_SAMPLE_FREE;
    /* RLX: another thread compares it with its token's; before it relies on that it has taken the
     * sample's pending word, which the drain gives back after this (L4, L5). */
    lsi_store_relaxed(&sample->generation, sample->generation + 1);
    w->free_samples[w->free_count++] = index;
}

/* A sample that is out is done with. Settle once per call when all are marked. DIE none: private
 * memory; a hold is dropped as lsi_cell_drop says. */
static inline void lsi_window_release(struct lsi_window *w, uint32_t index)
{
    struct lsi_sample *sample = &w->samples[index];

    if (sample->state == LSI_SAMPLE_WINDOW) {
        w->at[sample->seq & w->mask] = LSI_WINDOW_RELEASED;
        w->released_ahead++;
    } else if (sample->state == LSI_SAMPLE_HELD) {
        lsi_window_drop(w, sample);
    }
    lsi_window_free(w, sample, index);
}

/* The same, if it is the oldest of the window and no younger one was released before: false, and
 * nothing was done. The cursor is shown by its caller, when the last is done. */
static inline bool lsi_window_release_oldest(struct lsi_window *w, uint32_t index)
{
    struct lsi_sample *sample = &w->samples[index];

    if (sample->state != LSI_SAMPLE_WINDOW || sample->seq != w->cursor || w->released_ahead > 0)
        return false;
    lsi_window_free(w, sample, index);
    w->cursor++;
    return true;
}

/* Samples out. */
static inline uint32_t lsi_window_out(const struct lsi_window *window)
{
    return window->window + window->holds - window->free_count;
}

#endif
