/* SPDX-License-Identifier: Apache-2.0 */
#include "core/roster.h"

#include "base/atomic.h"

/* A row that changes under our eyes is read again this often, then left to the next sync. */
#define ROW_TRIES 4

void lsi_roster_init(struct lsi_roster *roster, const struct lshm_board_publisher *record,
                     uint32_t entry_count, const struct lsi_roster_operations *operations)
{
    *roster = (struct lsi_roster){
        .record = record,
        .operations = *operations,
        .entry_count = entry_count,
    };
}

static void detach(struct lsi_roster *roster, struct lsi_reader *reader)
{
    if (reader->state != 0)
        roster->operations.detach(roster->operations.context, reader);
    *reader = (struct lsi_reader){ 0 };
}

void lsi_roster_clear(struct lsi_roster *roster)
{
    for (uint32_t i = 0; i < roster->capacity; i++)
        detach(roster, &roster->readers[i]);
    roster->active_count = 0;
    roster->blockers = 0;
    roster->sleeper_count = 0;
    roster->pinning = 0;
    roster->kept_max = 0;
}

bool lsi_roster_changed(const struct lsi_roster *roster)
{
    /* RLX: a changed version only leads to a sync, which reads it again. */
    return roster->unmapped > 0 ||
           lsi_load_relaxed(&roster->record->roster_version) != roster->version;
}

/* Copies a row; false if it kept changing. */
static bool read_row(const struct lshm_roster_row *row, struct lshm_roster_row *copy)
{
    for (int i = 0; i < ROW_TRIES; i++) {
        /* ORD G5 acquire <- B1: the fields below are those of this state. */
        copy->state = lsi_load_acquire(&row->state);
        /* RLX: between G5 and G8. */
        copy->client = lsi_load_relaxed(&row->client);
        copy->cell.part = lsi_load_relaxed(&row->cell.part);
        copy->cell.line = lsi_load_relaxed(&row->cell.line);
        copy->link = lsi_load_relaxed(&row->link);
        copy->flags = lsi_load_relaxed(&row->flags);
        copy->window = lsi_load_relaxed(&row->window);
        copy->holds = lsi_load_relaxed(&row->holds);
        /* ORD G8 acquire <- B0: a field of the next use of this row shows as a changed state. */
        lsi_fence_acquire();
        /* RLX: after G8. */
        if (lsi_load_relaxed(&row->state) == copy->state)
            return true;
    }
    return false;
}

static bool counts(uint64_t row_state)
{
    uint64_t state = row_state & LSHM_ROW_STATE_MASK;

    return state == LSHM_ROW_LIVE || state == LSHM_ROW_EVICTED || state == LSHM_ROW_ORPHAN;
}

/* One look for neighbours of one client. */
static void add_sleeper(struct lsi_roster *roster, const struct lsi_reader *reader)
{
    uint32_t count = roster->sleeper_count;

    roster->blockers++;
    if (reader->sleep == NULL || (count > 0 && roster->sleepers[count - 1].word == reader->sleep))
        return;
    roster->sleepers[roster->sleeper_count++] = (struct lsi_sleeper){
        .word = reader->sleep,
        .client = reader->client,
    };
}

/* What an active reader adds to the sums. */
static void add_up(struct lsi_roster *roster, const struct lsi_reader *reader)
{
    roster->kept_max += reader->holds;
    if (reader->flags & LSHM_READER_MAY_BLOCK)
        add_sleeper(roster, reader);
    if (!lsi_reader_pins(reader))
        return;
    roster->pinning++;
    roster->has_lapped = true;
    roster->kept_max += reader->window;
    if (reader->flags & LSHM_READER_EVICTABLE)
        roster->kept_max += roster->entry_count;
}

static void sync_row(struct lsi_roster *roster, uint32_t index, const struct lshm_roster_row *row)
{
    struct lsi_reader *reader = &roster->readers[index];
    struct lshm_roster_row copy;

    if (!read_row(row, &copy)) {
        roster->unmapped++;
        return;
    }
    if (!counts(copy.state)) {
        detach(roster, reader);
        return;
    }
    if (reader->state >> LSHM_ROW_GENERATION_SHIFT != copy.state >> LSHM_ROW_GENERATION_SHIFT)
        detach(roster, reader);
    if (reader->state != copy.state && (copy.state & LSHM_ROW_STATE_MASK) == LSHM_ROW_EVICTED)
        roster->evictions++;
    reader->state = copy.state;
    reader->client = copy.client;
    reader->link = copy.link;
    reader->cell_ref = copy.cell;
    reader->flags = copy.flags;
    reader->window = copy.window;
    reader->holds = copy.holds;
    if (reader->cell == NULL && roster->operations.attach(roster->operations.context, reader) != 0)
        roster->unmapped++;
    roster->active[roster->active_count++] = index;
    add_up(roster, reader);
}

uint32_t lsi_roster_sync(struct lsi_roster *roster)
{
    const struct lsi_roster_operations *ops = &roster->operations;
    uint64_t version;
    uint32_t parts, first = 0;

    /* ORD G6 acquire <- B2: all changes up to this version are in the rows read below; the version
     * is read first, so a change meanwhile means another sync. */
    version = lsi_load_acquire(&roster->record->roster_version);
    /* ORD G7 acquire <- B3: the directory is filled up to this part. */
    parts = lsi_load_acquire(&roster->record->roster_parts);
    if (parts > LSHM_ROSTER_PARTS)
        parts = LSHM_ROSTER_PARTS;
    /* RLX: after G6. */
    roster->stamps = roster->stamps_always ||
                     lsi_load_relaxed(&roster->record->flags) & LSHM_BOARD_WATCHED;
    roster->unmapped = 0;
    roster->active_count = 0;
    roster->blockers = 0;
    roster->sleeper_count = 0;
    roster->pinning = 0;
    roster->kept_max = 0;
    for (uint32_t k = 0; k < parts; k++) {
        const struct lshm_ref *at = &roster->record->roster[k];
        struct lshm_ref ref;
        uint32_t rows = LSHM_ROSTER_ROWS << k;
        const struct lshm_roster_row *row;

        /* RLX: after G7. */
        ref.part = lsi_load_relaxed(&at->part);
        ref.line = lsi_load_relaxed(&at->line);
        row = ops->map_rows(ops->context, ref, rows);
        if (row == NULL || (first + rows > roster->capacity &&
                            ops->reserve(ops->context, roster, first + rows) != 0)) {
            roster->unmapped++;
            break;
        }
        for (uint32_t i = 0; i < rows; i++)
            sync_row(roster, first + i, &row[i]);
        first += rows;
    }
    if (ops->reserve_kept(ops->context, roster->kept_max) != 0)
        roster->unmapped++;
    roster->version = version;
    return roster->unmapped;
}
