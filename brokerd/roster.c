/* SPDX-License-Identifier: Apache-2.0 */
#include "roster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lshm/error.h>

#include "client.h"
#include "lines.h"
#include "outbox.h"

#define ROW_BYTES sizeof(struct lshm_roster_row)

uint32_t roster_rows_before(uint32_t part)
{
    return LSHM_ROSTER_ROWS * ((1u << part) - 1);
}

uint32_t roster_part_lines(uint32_t part)
{
    return (LSHM_ROSTER_ROWS << part) * (uint32_t)ROW_BYTES / LSHM_LINE_BYTES;
}

/* The publisher's board is there to be written: its client lives and the port has not ended. */
static struct lshm_board_publisher *board_record(const struct publisher *publisher)
{
    const struct publisher_record *record = publisher->record;

    if (!publisher->client || !client_board(publisher->client) ||
        record->board_record.part == REGISTRY_NO_PART ||
        record_state(&record->record) == PUBLISHER_ENDED)
        return NULL;
    return lines_at(&publisher->client->board, record->board_record);
}

static struct lshm_roster_row *row_at(const struct publisher *publisher, uint32_t row)
{
    const struct publisher_record *record = publisher->record;
    uint32_t part = 0;
    struct lshm_roster_row *rows;

    while (part + 1 < LSHM_ROSTER_PARTS && row >= roster_rows_before(part + 1))
        part++;
    if (part >= record->roster_parts)
        return NULL;
    rows = lines_at(&publisher->client->board, record->roster[part]);
    return &rows[row - roster_rows_before(part)];
}

static void bump_version(struct lshm_board_publisher *board)
{
    /* RLX: the broker's own last value; nobody else writes it. */
    uint64_t version = lsi_load_relaxed(&board->roster_version);

    /* ORD B2 release -> G6: a publisher that sees the version sees the rows behind it.
     * DIE B2: rows changed and no version: the successor changes them again and then the
     * version. */
    lsi_store_release(&board->roster_version, lsi_counter_next(version));
}

static uint32_t wanted_flags(const struct publisher *publisher)
{
    return publisher->topic && publisher->topic->watcher_count > 0 ? LSHM_BOARD_WATCHED : 0;
}

void roster_write_record(struct broker *broker, struct publisher *publisher)
{
    struct lshm_board_publisher *board = board_record(publisher);
    const struct publisher_record *record = publisher->record;

    if (!board)
        return;
    /* The client hears of this line only from the reply that comes later: no order is needed. The
     * version goes on from what an earlier publisher left in the line. */
    board->publisher = publisher_number(broker, publisher);
    board->topic = record->topic;
    memcpy(board->roster, record->roster, sizeof(board->roster));
    board->roster_parts = record->roster_parts;
    board->flags = wanted_flags(publisher);
    bump_version(board);
}

void roster_write_watched(struct publisher *publisher)
{
    struct lshm_board_publisher *board = board_record(publisher);

    /* RLX: the broker's own last value. */
    if (!board || lsi_load_relaxed(&board->flags) == wanted_flags(publisher))
        return;
    /* RLX: the release of the version covers it. DIE L1: the publisher learns of it with the next
     * version; the successor compares and finds nothing to do. */
    lsi_store_relaxed(&board->flags, wanted_flags(publisher));
    bump_version(board);
}

/* One part more: a run of zeroed rows, then the directory. */
static int grow(struct broker *broker, struct publisher *publisher)
{
    struct publisher_record *record = publisher->record;
    struct lshm_board_publisher *board = board_record(publisher);
    const uint32_t part = record->roster_parts;
    struct lshm_ref ref;
    int status;

    if (part >= LSHM_ROSTER_PARTS || !board)
        return -LSHM_ELIMIT;
    status = client_board_take(broker, publisher->client, roster_part_lines(part), &ref);
    if (status < 0)
        return status;
    memset(lines_at(&publisher->client->board, ref), 0, roster_part_lines(part) * LSHM_LINE_BYTES);
    record->roster[part] = ref;
    record->roster_parts = part + 1;
    /* RLX: the directory grows only; the release of roster_parts covers this entry. */
    lsi_store_relaxed(&board->roster[part].part, ref.part);
    lsi_store_relaxed(&board->roster[part].line, ref.line); /* RLX: as above */
    /* ORD B3 release -> G7: who sees the part sees where it is, and its zeroed rows.
     * DIE B3: the registry names the part; the successor writes the record again. */
    lsi_store_release(&board->roster_parts, part + 1);
    bump_version(board);
    return 0;
}

static int reserve_rows(struct publisher *publisher, uint32_t count)
{
    uint32_t capacity = publisher->row_capacity ? publisher->row_capacity : LSHM_ROSTER_ROWS;
    struct link **rows;

    if (count <= publisher->row_capacity)
        return 0;
    while (capacity < count)
        capacity *= 2;
    rows = realloc(publisher->rows, capacity * sizeof(rows[0]));
    if (!rows)
        return -ENOMEM;
    memset(&rows[publisher->row_capacity], 0,
           (capacity - publisher->row_capacity) * sizeof(rows[0]));
    publisher->rows = rows;
    publisher->row_capacity = capacity;
    return 0;
}

int roster_mark_row(struct publisher *publisher, struct link *link)
{
    const uint32_t row = link->record->row;
    int status;

    if (row == ROSTER_NO_ROW)
        return 0;
    status = reserve_rows(publisher, row + 1);
    if (status < 0)
        return status;
    publisher->rows[row] = link;
    if (row >= publisher->row_count)
        publisher->row_count = row + 1;
    return 0;
}

int roster_take_row(struct broker *broker, struct link *link)
{
    struct publisher *publisher = link->publisher;
    uint32_t row = publisher->row_hint;
    int status = 0;

    if (link->record->row != ROSTER_NO_ROW)
        return 0;
    while (row < publisher->row_count && publisher->rows[row])
        row++;
    if (row >= roster_rows_before(publisher->record->roster_parts))
        status = grow(broker, publisher);
    if (status < 0)
        return status;
    publisher->row_hint = row + 1;
    link->record->row = row;
    return roster_mark_row(publisher, link);
}

static void set_row_state(struct lshm_roster_row *row, uint64_t generation, uint64_t state)
{
    /* ORD B1 release -> G5: who sees the state sees the fields it speaks of.
     * DIE B1: the row is GONE, or whole; the successor finds it unlike its registry and goes on. */
    lsi_store_release(&row->state, generation << LSHM_ROW_GENERATION_SHIFT | state);
}

/* A lossless reader that no barrier reaches is given a longer quarantine, should it be evicted. */
static uint32_t row_flags(const struct link *link)
{
    const struct subscriber *subscriber = link->subscriber;
    uint32_t flags = subscriber->record->flags;

    if (!(flags & LSHM_READER_LOSSY) && !subscriber->client->record->has_barrier)
        flags |= LSHM_READER_EVICTABLE;
    return flags;
}

static void write_fields(struct broker *broker, struct lshm_roster_row *row,
                         const struct link *link)
{
    const struct subscriber_record *subscriber = link->subscriber->record;
    const struct link_record *record = link->record;

    /* RLX: all of these lie between the fence of the GONE before and the release of the state. */
    lsi_store_relaxed(&row->client, subscriber->client);
    lsi_store_relaxed(&row->cell.part, record->cell.part);        /* RLX: as above */
    lsi_store_relaxed(&row->cell.line, record->cell.line);        /* RLX: as above */
    lsi_store_relaxed(&row->link, link_number(broker, link));     /* RLX: as above */
    lsi_store_relaxed(&row->flags, row_flags(link));              /* RLX: as above */
    lsi_store_relaxed(&row->window, record->window);          /* RLX: as above */
    lsi_store_relaxed(&row->holds, record->holds);            /* RLX: as above */
    lsi_store_relaxed(&row->orphan_mask, (uint64_t)0);            /* RLX: as above */
    /* DIE none: the row is GONE while its fields change. */
}

/*
 * A predecessor may have got this far and further: a row that is LIVE for this very link stays as
 * it is, because its publisher may have dropped what it keeps for a row that was GONE in between.
 */
void roster_write_row(struct broker *broker, struct link *link)
{
    struct lshm_board_publisher *board = board_record(link->publisher);
    struct lshm_roster_row *row = board ? row_at(link->publisher, link->record->row) : NULL;
    uint64_t state, generation;

    if (!row)
        return;
    /* RLX: the broker's own last value; nobody else writes rows. */
    state = lsi_load_relaxed(&row->state);
    generation = state >> LSHM_ROW_GENERATION_SHIFT;
    if ((state & LSHM_ROW_STATE_MASK) != LSHM_ROW_LIVE || row->link != link_number(broker, link)) {
        generation = lsi_counter_next(generation);
        set_row_state(row, generation, LSHM_ROW_GONE);
        /* ORD B0 release -> G8: a reader that got one of the fields below with the state of before
         * finds another state when it looks again. DIE B0: the row is GONE, of a new generation. */
        lsi_fence_release();
        write_fields(broker, row, link);
        set_row_state(row, generation, LSHM_ROW_LIVE);
    }
    bump_version(board);
}

void roster_end_row(struct broker *broker, struct link *link)
{
    struct publisher *publisher = link->publisher;
    const uint32_t number = link->record->row;
    struct lshm_board_publisher *board = board_record(publisher);
    struct lshm_roster_row *row;

    if (number == ROSTER_NO_ROW)
        return;
    row = board ? row_at(publisher, number) : NULL;
    if (row && row->link == link_number(broker, link)) {
        /* RLX: the broker's own last value. */
        uint64_t state = lsi_load_relaxed(&row->state);

        set_row_state(row, state >> LSHM_ROW_GENERATION_SHIFT, LSHM_ROW_GONE);
        bump_version(board);
        outbox_look(broker, publisher->client);
    }
    if (publisher->rows && number < publisher->row_count && publisher->rows[number] == link) {
        publisher->rows[number] = NULL;
        if (number < publisher->row_hint)
            publisher->row_hint = number;
    }
    link->record->row = ROSTER_NO_ROW;
}

void roster_close(struct broker *broker, struct publisher *publisher)
{
    struct publisher_record *record = publisher->record;
    const struct lshm_ref none = {REGISTRY_NO_PART, 0};
    uint32_t part;

    (void)broker;
    if (publisher->client) {
        for (part = 0; part < record->roster_parts; part++)
            lines_give(&publisher->client->board, record->roster[part], roster_part_lines(part));
        if (record->board_record.part != REGISTRY_NO_PART)
            lines_give(&publisher->client->board, record->board_record, 1);
    }
    record->roster_parts = 0;
    record->board_record = none;
    free(publisher->rows);
    publisher->rows = NULL;
    publisher->row_count = publisher->row_capacity = publisher->row_hint = 0;
}

static struct lshm_board_reader *reader_record(const struct link *link)
{
    const struct client *client = link->subscriber->client;

    if (link->record->board_record.part == REGISTRY_NO_PART || !client_board(client))
        return NULL;
    return lines_at(&client->board, link->record->board_record);
}

void roster_write_reader(struct broker *broker, struct link *link)
{
    struct lshm_board_reader *reader = reader_record(link);

    /* RLX: the broker's own last value. */
    if (!reader || (reader->link == link_number(broker, link) &&
                    lsi_load_relaxed(&reader->state) != LSHM_LINK_FREE))
        return;
    reader->link = link_number(broker, link);
    reader->publisher = publisher_number(broker, link->publisher);
    /* RLX: the client hears of this line only by the RING push that comes later. */
    lsi_store_relaxed(&reader->final_tail, (uint64_t)0);
    lsi_store_relaxed(&reader->closing_floor, (uint64_t)0); /* RLX: as above */
    lsi_store_relaxed(&reader->segments, (uint64_t)0); /* RLX: as above */
    lsi_store_relaxed(&reader->histogram, (uint64_t)0); /* RLX: as above */
    /* RLX: as above. DIE D3: it is FREE and is written again. */
    lsi_store_relaxed(&reader->state, (uint64_t)LSHM_LINK_LIVE);
}

void roster_evict_reader(struct broker *broker, struct link *link)
{
    struct lshm_board_reader *reader = reader_record(link);

    if (!reader || reader->link != link_number(broker, link))
        return;
    /* ORD X1 release -> D2: the reader takes nothing more; the barrier behind this store, or a
     * quarantine as long as the ring, covers a reader that looked before it.
     * DIE X1: told, and its row still gates: the registry says so, the successor does it again. */
    lsi_store_release(&reader->state, (uint64_t)LSHM_LINK_EVICTED);
    outbox_look(broker, link->subscriber->client);
}

static void change_row(struct broker *broker, struct link *link, uint64_t from, uint64_t to)
{
    struct publisher *publisher = link->publisher;
    struct lshm_board_publisher *board = board_record(publisher);
    struct lshm_roster_row *row;
    uint64_t state;

    if (!board || link->record->row == ROSTER_NO_ROW)
        return;
    row = row_at(publisher, link->record->row);
    if (!row || row->link != link_number(broker, link))
        return;
    /* RLX: the broker's own last value. */
    state = lsi_load_relaxed(&row->state);
    if (!(UINT64_C(1) << (state & LSHM_ROW_STATE_MASK) & from))
        return;
    set_row_state(row, state >> LSHM_ROW_GENERATION_SHIFT, to);
    bump_version(board);
    outbox_look(broker, publisher->client);
}

void roster_evict_row(struct broker *broker, struct link *link)
{
    change_row(broker, link, UINT64_C(1) << LSHM_ROW_LIVE, LSHM_ROW_EVICTED);
}

void roster_orphan_row(struct broker *broker, struct link *link)
{
    change_row(broker, link, UINT64_C(1) << LSHM_ROW_LIVE | UINT64_C(1) << LSHM_ROW_EVICTED,
               LSHM_ROW_ORPHAN);
}

void roster_end_reader(struct broker *broker, struct link *link)
{
    struct lshm_board_reader *reader = reader_record(link);

    if (!reader || reader->link != link_number(broker, link))
        return;
    /* ORD X3 release -> X4: an evicted reader learns from it alone how much it has lost; for others
     * the release of the state covers it. */
    lsi_store_release(&reader->final_tail, link->publisher->record->final_tail);
    if (link->record->is_evicted) {
        outbox_look(broker, link->subscriber->client);
        return;
    }
    /* ORD D1 release -> D2: who sees DEAD sees the final tail.
     * DIE D1: the publisher is ENDED in the registry; the successor says DEAD again. */
    lsi_store_release(&reader->state, (uint64_t)LSHM_LINK_DEAD);
    outbox_look(broker, link->subscriber->client);
}

void roster_write_segments(struct broker *broker, struct link *link)
{
    struct lshm_board_reader *reader = reader_record(link);
    const struct publisher_record *publisher = link->publisher->record;
    const uint64_t made = (UINT64_C(1) << publisher->geometry.segment_count) - 1;

    if (!reader || reader->link != link_number(broker, link))
        return;
    /* ORD M1 release -> M2: before the publisher can name it; who gets a descriptor that does finds
     * the bit. DIE M1: the bit is set and its push was not sent: the registry says so too, and the
     * successor sends it. */
    lsi_store_release(&reader->segments, made | link->record->segments_sent);
}

void roster_write_histogram(struct link *link)
{
    struct lshm_board_reader *reader = reader_record(link);
    const struct topic *topic = link->subscriber->topic;
    const struct lshm_ref place = link->record->histogram;
    uint64_t wanted = 0;

    if (topic && topic->watcher_count > 0 && record_has_ref(&place))
        wanted = ((uint64_t)place.part + 1) << 32 | place.line;
    if (reader) {
        /* RLX: the lines are the client's own, which it has mapped. DIE L2: it counts, or not, what
         * the registry says otherwise; the successor writes it again. */
        lsi_store_relaxed(&reader->histogram, wanted);
    }
}

void roster_free_reader(struct link *link)
{
    struct lshm_board_reader *reader = reader_record(link);

    if (reader) {
        /* RLX: the client has left this ring and looks here no more.
         * DIE none: a line that is not FREE is written anew when it is given out. */
        lsi_store_relaxed(&reader->state, (uint64_t)LSHM_LINK_FREE);
    }
}
