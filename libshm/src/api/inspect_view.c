/* SPDX-License-Identifier: Apache-2.0 */
/* Views of regions, and copies of what rings and cells say. Everything read here is hostile. */
#include <stdlib.h>
#include <string.h>

#include "api/inspector.h"
#include "core/cell.h"
#include "core/histogram.h"
#include "ctl/geometry.h"
#include "os/memory.h"
#include "os/seal.h"

#define PASSES_KEPT 8u /* list calls that a view outlives without a use */

static struct lsi_view_list *bucket(struct lshm_inspector *inspector, uint64_t region)
{
    return &inspector->views[region % LSI_VIEW_BUCKETS];
}

static void drop(struct lsi_view *view)
{
    LIST_REMOVE(view, entry);
    lsi_memory_unmap(view->base, view->bytes);
    free(view);
}

static struct lsi_view *fetch(struct lshm_inspector *inspector, uint64_t region, uint64_t bytes)
{
    struct lsi_ctl_region request = { .header = { .type = LSI_CTL_REGION }, .region = region };
    struct lsi_view *view;
    struct lsi_ctl_packet reply;
    void *base = NULL;
    int r = lsi_inspector_request(inspector, &request.header, sizeof request, &reply, NULL);

    if (r == 0 && (reply.region_reply.region != region || reply.region_reply.bytes != bytes))
        r = -LSHM_EPROTO;
    if (r == 0)
        r = lsi_seal_check_reader(reply.fds[0], bytes);
    if (r == 0)
        r = lsi_memory_map(reply.fds[0], bytes, LSI_MAP_NO_FORK | LSI_MAP_NO_DUMP, &base);
    lsi_ctl_close_fds(&reply, 0);
    if (r < 0)
        return NULL;
    view = calloc(1, sizeof *view);
    if (view == NULL) {
        lsi_memory_unmap(base, bytes);
        return NULL;
    }
    view->region = region;
    view->bytes = bytes;
    view->base = base;
    LIST_INSERT_HEAD(bucket(inspector, region), view, entry);
    return view;
}

const void *lsi_inspector_view(struct lshm_inspector *inspector, uint64_t region, uint64_t bytes)
{
    struct lsi_view *view;

    if (region == 0 || inspector->broken)
        return NULL;
    LIST_FOREACH(view, bucket(inspector, region), entry)
        if (view->region == region)
            break;
    if (view == NULL)
        view = fetch(inspector, region, bytes);
    if (view == NULL || view->bytes != bytes)
        return NULL;
    view->pass = inspector->pass;
    return view->base;
}

void lsi_inspector_trim(struct lshm_inspector *inspector)
{
    for (uint32_t i = 0; i < LSI_VIEW_BUCKETS; i++) {
        struct lsi_view *view = LIST_FIRST(&inspector->views[i]);

        while (view != NULL) {
            struct lsi_view *next = LIST_NEXT(view, entry);

            if (inspector->pass - view->pass >= PASSES_KEPT)
                drop(view);
            view = next;
        }
    }
}

void lsi_inspector_drop_views(struct lshm_inspector *inspector)
{
    for (uint32_t i = 0; i < LSI_VIEW_BUCKETS; i++)
        while (!LIST_EMPTY(&inspector->views[i]))
            drop(LIST_FIRST(&inspector->views[i]));
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}

static void count_states(const uint8_t *states, const struct lsi_ctl_geometry *geometry,
                         uint64_t *in_state)
{
    memset(in_state, 0, (LSHM_SLOT_QUARANTINE + 1) * sizeof *in_state);
    for (uint32_t s = 0; s < LSI_CTL_SEGMENTS; s++) {
        const struct lsi_ctl_segment *segment = &geometry->segments[s];

        for (uint32_t i = 0; i < segment->slot_count; i++) {
            /* RLX: as of some instant. */
            uint8_t state = lsi_load_relaxed(&states[segment->first_slot + i]);

            if (state <= LSHM_SLOT_QUARANTINE)
                in_state[state]++;
        }
    }
}

void lsi_inspector_look_ring(struct lshm_inspector *inspector,
                             const struct lsi_ctl_geometry *geometry, bool states,
                             struct lsi_ring_look *ret_look)
{
    const struct lshm_ring *ring = NULL;

    memset(ret_look, 0xff, sizeof *ret_look);
    if (lsi_geometry_check(geometry))
        ring = lsi_inspector_view(inspector, geometry->ring_region, geometry->ring_bytes);
    ret_look->seen = ring != NULL;
    if (ring == NULL)
        return;
    /* RLX: figures, each of some instant; nothing is followed. */
    ret_look->horizon = at_most(lsi_load_relaxed(&ring->horizon), LSI_SEQ_MAX);
    ret_look->tail = at_most(lsi_load_relaxed(&ring->tail), LSI_SEQ_MAX);
    ret_look->published = ret_look->tail - LSI_SEQ_FIRST;
    ret_look->bytes = lsi_load_relaxed(&ring->bytes_published);
    ret_look->refused = lsi_load_relaxed(&ring->refused);
    ret_look->aborts = lsi_load_relaxed(&ring->aborts);
    ret_look->unmapped = lsi_load_relaxed(&ring->unmapped_rows);
    ret_look->waiting = lsi_load_relaxed(&ring->waiting) != LSHM_WAITING_NONE;
    if (states)
        count_states((const uint8_t *)ring + geometry->states_offset, geometry,
                     ret_look->in_state);
}

static const struct lshm_cell *find_cell(struct lshm_inspector *inspector,
                                         const struct lsi_ctl_link_record *record)
{
    uint64_t offset = (uint64_t)record->cell_line * LSHM_LINE_BYTES;
    uint64_t bytes = (uint64_t)lsi_geometry_cell_lines(record->holds) * LSHM_LINE_BYTES;
    const unsigned char *base;

    if (record->holds > LSHM_HOLDS_MAX || bytes > record->control_bytes ||
        offset > record->control_bytes - bytes)
        return NULL;
    base = lsi_inspector_view(inspector, record->control_region, record->control_bytes);
    return base != NULL ? (const struct lshm_cell *)(base + offset) : NULL;
}

bool lsi_inspector_look_histogram(struct lshm_inspector *inspector,
                                  const struct lsi_ctl_link_record *record,
                                  struct lshm_histogram *ret_copy)
{
    uint64_t offset = (uint64_t)record->histogram_line * LSHM_LINE_BYTES;
    const unsigned char *base = NULL;

    *ret_copy = (struct lshm_histogram){ 0 };
    if (sizeof *ret_copy <= record->histogram_bytes &&
        offset <= record->histogram_bytes - sizeof *ret_copy)
        base = lsi_inspector_view(inspector, record->histogram_region, record->histogram_bytes);
    return base != NULL && lsi_histogram_copy((const struct lshm_histogram *)(base + offset),
                                              record->link, ret_copy);
}

static uint64_t copy_holds(const struct lshm_cell *cell, uint32_t holds, struct lshm_hold *copies)
{
    const struct lshm_hold *table = lsi_cell_holds_const(cell);
    uint64_t count = 0;

    for (uint32_t i = 0; i < holds; i++) {
        /* ORD G4 acquire <- R2: since_ns is this hold's. */
        uint64_t seq_plus_1 = lsi_load_acquire(&table[i].seq_plus_1);

        if (seq_plus_1 == 0)
            continue;
        if (copies != NULL) {
            copies[count].seq_plus_1 = seq_plus_1;
            copies[count].since_ns = lsi_load_relaxed(&table[i].since_ns); /* RLX: after G4 */
        }
        count++;
    }
    return count;
}

void lsi_inspector_look_cell(struct lshm_inspector *inspector,
                             const struct lsi_ctl_link_record *record, struct lshm_hold *holds,
                             struct lsi_cell_look *ret_look)
{
    const struct lshm_cell *cell = find_cell(inspector, record);
    struct lsi_cell_look *look = ret_look;
    uint64_t cursor;

    memset(look, 0xff, sizeof *look);
    look->seen = cell != NULL;
    look->joined = look->closed = false;
    if (cell == NULL)
        return;
    /* ORD G1 acquire <- R1: a sample kept behind the cursor is found in the holds. */
    cursor = lsi_load_acquire(&cell->cursor);
    look->hold_count = copy_holds(cell, record->holds, holds);
    /* RLX: a cell that serves another link by now says nothing about this one. */
    look->joined = cursor != LSHM_CURSOR_UNSET && lsi_load_relaxed(&cell->link) == record->link;
    if (!look->joined) {
        look->hold_count = 0;
        return;
    }
    look->closed = cursor == LSHM_CURSOR_CLOSED;
    if (!look->closed)
        look->cursor = at_most(cursor - 1, LSI_SEQ_MAX);
    /* RLX: figures, each of some instant. */
    look->position = at_most(lsi_load_relaxed(&cell->position), LSI_SEQ_MAX);
    look->taken = lsi_load_relaxed(&cell->taken);
    look->lost_start = lsi_load_relaxed(&cell->lost_start);
    look->lost_lapped = lsi_load_relaxed(&cell->lost_lapped);
    look->lost_limit = lsi_load_relaxed(&cell->lost_limit);
    look->lost_evicted = lsi_load_relaxed(&cell->lost_evicted);
    look->lost_corrupt = lsi_load_relaxed(&cell->lost_corrupt);
}
