/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core's own code under random schedules and store buffers (sim.h), as x86 and as a weaker
 * machine would order stores. What only a race shows: a joiner against a reclaim, a hold against
 * the cursor behind it, an entry overwritten under its reader, a row used again under its
 * publisher, a sleeper against the one who should wake it.
 *
 * LSHM_TEST_SEED sets the seed, LSHM_TEST_RUNS the schedules per test.
 * covers: P0 P1 C1 J1 R1 R2 R3 W1 W2 W3 G1 G2 G3 G4 G5 G6 G8
 */
#include "core_sim.h"

#define ENTRIES 4u
#define ENTRY_BYTES 128u
#define SLOTS 6u
#define CELLS 3u
#define WINDOW 2u
#define HOLDS 2u
#define MESSAGES 12u
#define MESSAGES_OF_HOLDS 60u
#define TRIES 60u

struct sample {
    uint32_t index, slot;
    uint64_t seq;
};

static struct world {
    struct lst_pub pub;
    struct lsi_publication *p;
    uint64_t payload[SLOTS];
    uint64_t messages, end;
    bool sleeps;
    bool woken[CELLS];         /* the channel to each reader; private, set by a system call */
    bool publisher_woken;
    uint64_t row_reads;
} w;

static void world_init(uint64_t messages, uint32_t history)
{
    memset(&w, 0, sizeof w);
    lst_pub_init(&w.pub, ENTRIES, ENTRY_BYTES, SLOTS, LST_SEQ_FIRST);
    w.p = &w.pub.publication;
    w.p->history = history;
    w.messages = messages;
    w.end = LST_SEQ_FIRST + messages;
    for (uint32_t i = 0; i < CELLS; i++)
        lst_cell_new(&w.pub, i, HOLDS);
    lst_parts(&w.pub, 1);
    sim.broken = NULL;
    sim_share_pub(&w.pub, CELLS, HOLDS);
    sim_share(w.payload, sizeof w.payload);
}

/* Readers. */

static void verify(const struct sample *s, const char *what)
{
    if (lsi_load_relaxed(&w.payload[s->slot]) != s->seq + 1)
        sim_broken(what);
    /* The publisher's own account, as of now. */
    if (w.pub.states[s->slot] == LSHM_SLOT_FREE || w.pub.states[s->slot] == LSHM_SLOT_LOANED)
        sim_broken("a slot in use was freed");
}

static bool take(struct lst_sub *sub, struct sample *s)
{
    struct lsi_descriptor d;
    int taken;

    if (!lsi_window_make_room(&sub->window, 0))
        return false;
    taken = lsi_ring_take(&sub->ring, sub->window.position, &d, NULL);
    if (taken < 0)
        sim_broken("a lossless reader was lapped");
    if (taken <= 0)
        return false;
    *s = (struct sample){ .seq = sub->window.position, .slot = (uint32_t)d.handle - 1 };
    if (s->slot >= SLOTS || d.time_ns != s->seq) {
        sim_broken("wrong descriptor");
        return false;
    }
    verify(s, "wrong payload at take");
    s->index = lsi_window_add(&sub->window, false);
    return true;
}

static void tell_publisher(const struct lst_sub *sub)
{
    if (w.sleeps && lsi_cell_waited_for(sub->window.cell, w.pub.ring) != 0)
        w.publisher_woken = true;
}

static void pause_reader(const struct lst_sub *sub, uint32_t cell)
{
    uint64_t *word = &w.pub.sleep[cell];

    if (!w.sleeps) {
        sim_pause();
        return;
    }
    w.woken[cell] = false;
    lsi_store_release(word, lsi_load_relaxed(word) + 1);
    lsi_fence_full();
    if (!lsi_ring_has(&sub->ring, sub->window.position))
        sim_wait(&w.woken[cell]);
    lsi_store_release(word, lsi_load_relaxed(word) + 1);
}

/* Takes up to `goal` messages; releases the younger of two first, as often as not. */
static void read_messages(struct lst_sub *sub, uint32_t cell, uint64_t goal)
{
    struct sample out[WINDOW + HOLDS];
    uint32_t count = 0;

    for (uint32_t tries = 0; goal > 0 && (w.sleeps || tries < TRIES) && !sim.broken; tries++) {
        bool any = false;

        while (goal > 0 && count < 1 + sim_dice(WINDOW + HOLDS) && take(sub, &out[count])) {
            count++;
            goal--;
            any = true;
        }
        if (!any && count == 0)
            pause_reader(sub, cell);
        while (count > 0 && (!any || goal == 0 || sim_dice(3) > 0)) {
            uint32_t at = sim_dice(count);

            verify(&out[at], "wrong payload at release");
            lsi_window_release(&sub->window, out[at].index);
            out[at] = out[--count];
            if (count > 0 && sim_dice(2))
                continue;
            lsi_window_settle(&sub->window, 0);
            tell_publisher(sub);
        }
    }
    for (uint32_t i = 0; i < count; i++)
        verify(&out[i], "wrong payload at death");
}

/* Cell 0: there from the start. */
static void run_reader(void *arg)
{
    struct lst_sub *sub = arg;

    read_messages(sub, 0, w.messages);
}

/* Cells 1 and 2, one after the other in row 1 and, at last, once more cell 1. */
static void run_joiner(void *arg)
{
    uint32_t flags = w.sleeps ? LSHM_READER_MAY_BLOCK : 0;

    (void)arg;
    for (uint32_t use = 0; use < 3; use++) {
        uint32_t cell = 1 + use % 2;
        struct lst_sub sub;
        uint64_t start;

        lsi_cell_reset(w.pub.cells[cell], HOLDS);
        lsi_fence_full(); /* a system call: asks the broker */
        lst_row_live(&w.pub, 1, cell, flags, WINDOW, HOLDS);
        lsi_fence_full(); /* … and its answer */
        for (uint32_t i = sim_dice(2) * sim_dice(30); i > 0; i--)
            sim_pause();
        start = lsi_load_relaxed(&w.pub.ring->tail);
        if (sim_dice(3) > 0)
            start = start < LST_SEQ_FIRST + ENTRIES ? LST_SEQ_FIRST : start - sim_dice(ENTRIES);
        start = lsi_cell_join(w.pub.cells[cell], w.pub.ring, start);
        lst_sub_init(&sub, &w.pub, w.pub.cells[cell], WINDOW, HOLDS, start);
        tell_publisher(&sub); /* its unset cursor gated */
        if (start < w.end && use < 2)
            read_messages(&sub, cell, sim_dice((uint32_t)(w.end - start) + 1));
        lst_sub_free(&sub);
        lsi_fence_full(); /* its death, seen by the broker */
        lst_row_state(&w.pub, 1, LSHM_ROW_GONE);
        lsi_fence_full();
        w.publisher_woken = true; /* by the broker */
    }
}

/* The publisher. */

static void signal_reader(void *context, uint64_t client, uint64_t generation)
{
    (void)context;
    (void)generation;
    w.woken[client] = true;
}

/* A region that is not there yet, as often as not. */
static int attach_later(void *context, struct lsi_reader *reader)
{
    return sim_dice(2) ? -1 : lst_op_attach(context, reader);
}

static void reclaim(uint64_t gain)
{
    lsi_reclaim(w.p, gain);
    if (lsi_load_relaxed(&w.pub.ring->horizon) != w.p->committed)
        sim_broken("the horizon was not pulled back");
}

static uint32_t try_loan(void)
{
    if (!lsi_publication_has_entry(w.p, 0) || w.p->slots.free_count == 0)
        reclaim(1);
    return lsi_publication_has_entry(w.p, 0) ? lst_slots_loan(&w.p->slots) : LSI_SLOT_NONE;
}

/* Asleep with the waiting word set. */
static uint32_t wait_for_slot(void)
{
    struct lshm_ring *ring = w.pub.ring;
    uint64_t wanted = LSHM_WAITING_ANY;
    uint32_t slot;

    if (!lsi_publication_has_entry(w.p, 0))
        wanted = lsi_publication_wanted(w.p, 1);
    w.publisher_woken = false;
    lsi_store_relaxed(&ring->waiting_generation, lsi_load_relaxed(&ring->waiting_generation) + 1);
    lsi_store_release(&ring->waiting, wanted);
    lsi_fence_full();
    slot = try_loan();
    if (slot == LSI_SLOT_NONE && wanted != LSHM_WAITING_NONE)
        sim_wait(&w.publisher_woken);
    lsi_store_release(&ring->waiting, LSHM_WAITING_NONE);
    return slot;
}

static void run_publisher(void *arg)
{
    uint32_t tries = 0;

    (void)arg;
    while (w.p->writer.tail < w.end && tries < TRIES && !sim.broken) {
        struct lsi_descriptor d = { .time_ns = w.p->writer.tail };
        uint32_t slot = try_loan();

        if (slot == LSI_SLOT_NONE) {
            lsi_publication_flush(w.p);
            if (w.sleeps) {
                slot = wait_for_slot();
            } else {
                tries++;
                sim_pause();
            }
        }
        if (slot == LSI_SLOT_NONE)
            continue;
        tries = 0;
        lsi_store_relaxed(&w.payload[slot], 0);
        lsi_store_relaxed(&w.payload[slot], w.p->writer.tail + 1);
        d.handle = slot + 1;
        lsi_publication_publish(w.p, &d, NULL, slot);
        if (sim_dice(2))
            lsi_publication_flush(w.p);
        if (sim_dice(4) == 0)
            reclaim(0);
    }
    lsi_publication_flush(w.p);
}

static void run_world(bool sleeps, uint32_t history)
{
    struct lst_sub sub;

    world_init(MESSAGES, history);
    w.sleeps = sleeps;
    w.pub.publication.roster.operations.signal = signal_reader;
    lst_row_live(&w.pub, 0, 0, sleeps ? LSHM_READER_MAY_BLOCK : 0, WINDOW, HOLDS);
    lsi_roster_sync(&w.p->roster);
    lst_sub_init(&sub, &w.pub, w.pub.cells[0], WINDOW, HOLDS,
                 lsi_cell_join(w.pub.cells[0], w.pub.ring, LST_SEQ_FIRST));
    if (!sleeps)
        w.pub.publication.roster.operations.attach = attach_later;
    sim_add(run_publisher, NULL);
    sim_add(run_reader, &sub);
    sim_add(run_joiner, NULL);
    if (!sim_run())
        sim_broken("somebody sleeps for ever");
    if (sim.broken == NULL) {
        w.p->history = 0;
        reclaim(0);
        if (w.p->slots.free_count + (w.p->writer.tail - w.p->committed) + w.p->limbo_count != SLOTS)
            sim_broken("a slot was lost");
    }
    lst_sub_free(&sub);
    lst_pub_free(&w.pub);
}

/* One reader that keeps older samples, and a publisher that looks at its holds all the time. */

static void run_keeper(void *arg)
{
    struct lst_sub *sub = arg;
    struct sample out[3];

    for (uint32_t tries = 0; tries < w.messages * 8 && !sim.broken; tries++) {
        uint32_t count = 0;

        while (count < 3 && take(sub, &out[count]))
            count++;
        if (count == 0)
            sim_pause();
        while (count > 0) {
            uint32_t at = count > 1 ? 1 : 0; /* so 0 becomes a hold, at the latest now */

            verify(&out[at], "wrong payload at release");
            lsi_window_release(&sub->window, out[at].index);
            lsi_window_settle(&sub->window, 0);
            out[at] = out[--count];
        }
    }
}

static void run_scanner(void *arg)
{
    (void)arg;
    for (uint32_t tries = 0; tries < w.messages * 8 && !sim.broken; tries++) {
        struct lsi_descriptor d = { .time_ns = w.p->writer.tail };
        uint32_t slot = LSI_SLOT_NONE;

        if (w.p->writer.tail < w.end && lsi_publication_has_entry(w.p, 0))
            slot = lst_slots_loan(&w.p->slots);
        if (slot != LSI_SLOT_NONE) {
            lsi_store_relaxed(&w.payload[slot], w.p->writer.tail + 1);
            d.handle = slot + 1;
            lsi_publication_publish(w.p, &d, NULL, slot);
        }
        reclaim(0);
    }
}

static void run_holds(void)
{
    struct lst_sub sub;

    world_init(MESSAGES_OF_HOLDS, 0);
    lst_row_live(&w.pub, 0, 0, 0, WINDOW, HOLDS);
    lst_sub_init(&sub, &w.pub, w.pub.cells[0], WINDOW, HOLDS,
                 lsi_cell_join(w.pub.cells[0], w.pub.ring, LST_SEQ_FIRST));
    sim_add(run_scanner, NULL);
    sim_add(run_keeper, &sub);
    sim_run();
    lst_sub_free(&sub);
    lst_pub_free(&w.pub);
}

/* An entry overwritten under its reader. */

/* Inline with two words, or, every other lap, claiming a length that no entry has room for. */
static struct lsi_descriptor descriptor(uint64_t seq)
{
    bool is_inline = seq / ENTRIES % 2 == 0;

    return (struct lsi_descriptor){
        .handle = seq + 1, .length = is_inline ? 16 : ENTRY_BYTES + (uint32_t)seq,
        .offset = (uint32_t)seq + 3, .flags = is_inline ? LSHM_ENTRY_INLINE : 0,
        .schema = (uint32_t)seq + 4, .time_ns = seq + 5, .user = { seq + 6, seq + 7 },
    };
}

static void run_overwriter(void *arg)
{
    (void)arg;
    while (w.p->writer.tail < LST_SEQ_FIRST + 3 * ENTRIES) {
        struct lsi_descriptor d = descriptor(w.p->writer.tail);
        uint64_t payload[2] = { w.p->writer.tail + 8, w.p->writer.tail + 9 };

        lsi_ring_publish(&w.p->writer, &d, payload);
        lsi_store_relaxed(&w.pub.ring->tail, w.p->writer.tail);
    }
}

static bool is_message(const struct lsi_descriptor *got, const uint64_t *payload, uint64_t seq)
{
    struct lsi_descriptor want = descriptor(seq);

    if (got->flags & LSHM_ENTRY_INLINE && (payload[0] != seq + 8 || payload[1] != seq + 9))
        return false;
    return got->handle == want.handle && got->length == want.length &&
           got->offset == want.offset && got->flags == want.flags && got->schema == want.schema &&
           got->time_ns == want.time_ns && got->user[0] == want.user[0] &&
           got->user[1] == want.user[1];
}

static void run_lossy_reader(void *arg)
{
    struct lsi_ring_reader reader;
    uint64_t seq = LST_SEQ_FIRST, payload[(ENTRY_BYTES - 64) / 8];

    (void)arg;
    lsi_ring_reader_init(&reader, w.pub.ring, w.pub.entries, ENTRIES, ENTRY_BYTES);
    for (uint32_t tries = 0; tries < TRIES; tries++) {
        struct lsi_descriptor got;
        int taken = lsi_ring_take(&reader, seq, &got, payload);

        if (taken == LSI_RING_TAKEN && !is_message(&got, payload, seq))
            sim_broken("a mixture was taken");
        if (taken == LSI_RING_CORRUPT)
            sim_broken("a mixture was called corrupt");
        if (taken == LSI_RING_TAKEN || taken == LSI_RING_LAPPED)
            seq++;
        else
            sim_pause();
    }
}

static void run_overwritten(void)
{
    world_init(MESSAGES, 0);
    w.p->writer.marks_rewrites = true;
    sim_add(run_overwriter, NULL);
    sim_add(run_lossy_reader, NULL);
    sim_add(run_lossy_reader, NULL);
    sim_run();
    lst_pub_free(&w.pub);
}

/* A row used again and again while its publisher reads it. */

static void run_broker(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < 6; i++) {
        lst_row_live(&w.pub, 0, i % CELLS, i % 2, i % CELLS, i % CELLS);
        if (sim_dice(2))
            lst_row_state(&w.pub, 0, sim_dice(2) ? LSHM_ROW_GONE : LSHM_ROW_EVICTED);
    }
}

static int attach_and_check(void *context, struct lsi_reader *reader)
{
    uint64_t cell = reader->cell_ref.line;
    uint64_t first = (LSI_COUNTER_START(56) + 1) << LSHM_ROW_GENERATION_SHIFT;
    uint64_t use = (reader->state - first) >> LSHM_ROW_GENERATION_SHIFT;

    if (cell != use % CELLS || reader->client != cell || reader->link != cell + 1000 ||
        reader->window != cell || reader->holds != cell || reader->flags != use % 2)
        sim_broken("a row of two uses was read");
    w.row_reads++;
    return lst_op_attach(context, reader);
}

static void run_syncs(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < 8; i++) {
        if (lsi_roster_changed(&w.p->roster))
            lsi_roster_sync(&w.p->roster);
        sim_pause();
    }
}

static void run_rows(void)
{
    const struct lsi_reader *reader;
    uint64_t state;

    world_init(MESSAGES, 0);
    w.p->roster.operations.attach = attach_and_check;
    sim_add(run_broker, NULL);
    sim_add(run_syncs, NULL);
    sim_run();
    if (lsi_roster_changed(&w.p->roster))
        lsi_roster_sync(&w.p->roster);
    reader = &w.p->roster.readers[0];
    state = w.pub.parts[0][0].state;
    if (w.p->roster.unmapped > 0 ||
        reader->state != ((state & LSHM_ROW_STATE_MASK) == LSHM_ROW_GONE ? 0 : state))
        sim_broken("the last state of the row was missed");
    lst_pub_free(&w.pub);
}

/* All. */

static void spinning(void)
{
    run_world(false, 0);
}

static void with_history(void)
{
    run_world(false, 2);
}

static void sleeping(void)
{
    run_world(true, 0);
}

static void test_interleave__joins_and_holds__nothing_is_freed_too_early(void **state)
{
    (void)state;
    sim_explore(spinning, false, RUNS);
    sim_explore(with_history, false, RUNS);
}

static void test_interleave__joins_and_holds_on_a_weak_machine__the_same(void **state)
{
    (void)state;
    sim_explore(spinning, true, RUNS);
    sim_explore(with_history, true, RUNS);
}

static void test_interleave__holds_come_and_go__none_is_missed(void **state)
{
    (void)state;
    sim_explore(run_holds, false, RUNS);
    sim_explore(run_holds, true, RUNS);
}

static void test_interleave__sleepers__all_are_woken(void **state)
{
    (void)state;
    sim_explore(sleeping, false, RUNS);
    sim_explore(sleeping, true, RUNS);
}

static void test_interleave__overwritten_entries__are_never_mixed(void **state)
{
    (void)state;
    sim_explore(run_overwritten, false, RUNS);
    sim_explore(run_overwritten, true, RUNS);
}

static void test_interleave__rows_used_again__are_read_whole_and_in_the_end(void **state)
{
    (void)state;
    sim_explore(run_rows, false, RUNS);
    sim_explore(run_rows, true, RUNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interleave__joins_and_holds__nothing_is_freed_too_early),
        cmocka_unit_test(test_interleave__joins_and_holds_on_a_weak_machine__the_same),
        cmocka_unit_test(test_interleave__holds_come_and_go__none_is_missed),
        cmocka_unit_test(test_interleave__sleepers__all_are_woken),
        cmocka_unit_test(test_interleave__overwritten_entries__are_never_mixed),
        cmocka_unit_test(test_interleave__rows_used_again__are_read_whole_and_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
