/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers that do not gate, and a publisher that does not wait for them, under random schedules and
 * store buffers (sim.h). Whatever a reader accepts is what was published under that number, stays
 * so while it uses it, in the window and as a hold, and its slot is not free meanwhile; taken, lost
 * and ahead add up to what was published; with one slot more than readers can keep, and history,
 * the publisher always finds one. Lossy readers, alone, joining, beside a lossless one; a lossless
 * one that is evicted, with a barrier of the system and without.
 *
 * LSHM_TEST_SEED sets the seed, LSHM_TEST_RUNS the schedules per test.
 * covers: P0 P1 C1 C2 C3 J1 R1 R2 R3 Y1 G1 G2 G3 G4 G5 G6 G8 G9
 */
#include "core_sim.h"

#include "api/account.c"

#define ENTRIES 4u
#define ENTRY_BYTES 64u
#define WINDOW 3u
#define HOLDS 2u
#define CELLS 3u
#define FEWEST(readers) (1 + (readers) * (WINDOW + HOLDS)) /* with which there is always a slot */
#define SLOTS_MAX (FEWEST(2) + 2 * ENTRIES)
#define END (LST_SEQ_FIRST + 30)
#define TRIES 400u

struct sample {
    uint32_t index, slot;
    uint64_t seq;
};

struct reader {
    struct lst_sub memory;
    struct lsi_link link;
    struct lshm_subscriber subscriber;
    uint32_t cell;
    bool evicted;
    struct sample out[WINDOW + HOLDS];
    uint32_t count;
};

static struct world {
    struct lst_pub pub;
    struct lsi_publication *p;
    struct lshm_board_reader boards[CELLS];
    uint64_t payload[SLOTS_MAX];
    uint32_t slots;
    uint32_t users[SLOTS_MAX]; /* samples that are out, of each slot */
    bool never_waits;          /* there is always a slot */
    bool barrier;              /* the broker has one */
    bool published;            /* all messages */
} w;

static uint64_t lost, held, lapped, overtaken; /* over all runs: what was reached */

static void world_init(uint32_t slots, uint32_t history)
{
    memset(&w, 0, sizeof w);
    w.slots = slots;
    lst_pub_init(&w.pub, ENTRIES, ENTRY_BYTES, slots, LST_SEQ_FIRST);
    w.p = &w.pub.publication;
    w.p->history = history;
    for (uint32_t i = 0; i < CELLS; i++)
        lst_cell_new(&w.pub, i, HOLDS);
    lst_parts(&w.pub, 1);
    sim.broken = NULL;
    sim_share_pub(&w.pub, CELLS, HOLDS);
    sim_share(w.payload, sizeof w.payload);
    sim_share(w.boards, sizeof w.boards);
}

uint64_t lsi_now_coarse_ns(void)
{
    return 0;
}

int lsi_statistics_copy(void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
    return 0;
}

/* Readers. */

/* Joins with the cell, whose row is there. */
static void reader_init(struct reader *r, uint32_t cell, bool lossy, uint64_t start)
{
    uint64_t got = lsi_cell_join(w.pub.cells[cell], w.pub.ring, start);

    memset(r, 0, sizeof *r);
    lst_sub_init(&r->memory, &w.pub, w.pub.cells[cell], WINDOW, HOLDS, got);
    r->cell = cell;
    r->subscriber.queue_limit = lossy && sim_dice(4) == 0 ? 1 + sim_dice(ENTRIES) : 0;
    r->link.subscriber = &r->subscriber;
    r->link.record = &w.boards[cell];
    r->link.reader = r->memory.ring;
    r->link.window = r->memory.window;
    r->link.lossy = lossy;
    r->link.geometry.entry_count = ENTRIES;
    r->link.start = start;
    r->link.account.lost_start = got - start;
}

/* Dies, or has given all back. */
static void reader_free(struct reader *r)
{
    lost += lsi_account_lost(&r->link.account);
    for (; r->count > 0; r->count--)
        w.users[r->out[r->count - 1].slot]--;
    lst_sub_free(&r->memory);
}

static void verify(const struct sample *s, const char *what)
{
    if (lsi_load_relaxed(&w.payload[s->slot]) != s->seq + 1)
        sim_broken(what);
    /* The publisher's own account, as of now. */
    if (w.pub.states[s->slot] == LSHM_SLOT_FREE || w.pub.states[s->slot] == LSHM_SLOT_LOANED)
        sim_broken("a slot in use was freed");
}

/* LSI_RING_… */
static int take_one(struct reader *r)
{
    struct lsi_window *window = &r->link.window;
    struct sample *s = &r->out[r->count];
    struct lsi_descriptor d;
    int taken = lsi_ring_take(&r->link.reader, window->position, &d, NULL);

    if (taken != LSI_RING_TAKEN)
        return taken;
    *s = (struct sample){ .seq = window->position, .slot = (uint32_t)d.handle - 1 };
    if (s->slot >= w.slots || d.time_ns != s->seq || d.user[0] != s->slot + s->seq) {
        sim_broken("a mixture was taken");
        return LSI_RING_CORRUPT;
    }
    verify(s, "wrong payload at take");
    s->index = lsi_window_add(window, false);
    w.users[s->slot]++;
    r->link.account.taken++;
    r->count++;
    return LSI_RING_TAKEN;
}

static void pass_lapped(struct reader *r)
{
    if (!r->link.lossy) {
        if (lsi_load_acquire(&r->link.record->state) != LSHM_LINK_EVICTED)
            sim_broken("a lossless reader was lapped");
        return;
    }
    lapped++;
    if (lsi_link_pass_lapped(&r->link) == 0)
        sim_broken("lapped by a publisher that has not given it up");
}

/* As take does for one link: room, announce, look at the board, entries. */
static void take_some(struct reader *r, uint32_t count)
{
    struct lsi_window *window = &r->link.window;
    int64_t room;
    int taken = LSI_RING_TAKEN;

    if ((window->position - window->cursor >= WINDOW || window->free_count == 0) &&
        (!lsi_ring_has(&r->link.reader, window->position) || !lsi_window_make_room(window, 0)))
        return;
    room = WINDOW - (int64_t)(window->position - window->cursor);
    if (room > window->free_count)
        room = window->free_count;
    if (room > count)
        room = count;
    if (r->link.lossy)
        room = lsi_link_announce(&r->link, (uint32_t)room);
    if (room <= 0)
        return;
    if (lsi_load_acquire(&r->link.record->state) == LSHM_LINK_EVICTED) {
        r->evicted = true;
        return;
    }
    while (room-- > 0 && taken == LSI_RING_TAKEN)
        taken = take_one(r);
    if (taken == LSI_RING_LAPPED)
        pass_lapped(r);
}

static void release_one(struct reader *r)
{
    uint32_t at = sim_dice(r->count);
    struct sample s = r->out[at];

    verify(&s, "wrong payload at release");
    held += r->link.window.samples[s.index].state == LSI_SAMPLE_HELD;
    w.users[s.slot]--;
    r->out[at] = r->out[--r->count];
    lsi_window_release(&r->link.window, s.index);
    if (sim_dice(3) > 0 || r->count == 0)
        lsi_window_settle(&r->link.window, 0);
}

static void check_account(const struct reader *r)
{
    const struct lsi_window *window = &r->link.window;
    const struct lsi_account *account = &r->link.account;

    if (window->position != r->link.start + account->taken + lsi_account_lost(account))
        sim_broken("messages are neither taken nor lost");
    if (window->position > w.p->writer.tail)
        sim_broken("messages were lost before they were published");
    if (w.published && w.boards[r->cell].state != LSHM_LINK_EVICTED) {
        lsi_fence_full(); /* the tail is a hint */
        if (window->position + lsi_link_ahead(&r->link) != w.p->writer.tail)
            sim_broken("messages are missing");
    }
    if (window->mark > window->cursor + WINDOW)
        sim_broken("the mark is beyond the window");
}

/* Until it has read everything, `steps` times at most. */
static void read_messages(struct reader *r, uint32_t steps)
{
    while (steps-- > 0 && !sim.broken && !r->evicted) {
        if (w.published && r->link.window.position == w.p->writer.tail && r->count == 0)
            break;
        if (sim_dice(3) > 0)
            take_some(r, 1 + sim_dice(WINDOW));
        else if (r->count > 0)
            release_one(r);
        else
            sim_pause();
        if (r->count > 0 && sim_dice(4) == 0)
            verify(&r->out[sim_dice(r->count)], "wrong payload in between");
        check_account(r);
    }
}

/* Dies with what it has. */
static void last_look(const struct reader *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        verify(&r->out[i], "wrong payload at death");
}

static void run_reader(void *arg)
{
    struct reader *r = arg;

    read_messages(r, TRIES);
    last_look(r);
}

/* Cells 1 and 2, one after the other in row 1. */
static void run_joiner(void *arg)
{
    (void)arg;
    for (uint32_t use = 0; use < 3 && !sim.broken; use++) {
        uint32_t cell = 1 + use % 2;
        struct reader r;
        uint64_t start;

        lsi_cell_reset(w.pub.cells[cell], HOLDS);
        lsi_fence_full(); /* a system call: asks the broker */
        lst_row_live(&w.pub, 1, cell, LSHM_READER_LOSSY, WINDOW, HOLDS);
        lsi_fence_full(); /* … and its answer */
        for (uint32_t i = sim_dice(2) * sim_dice(30); i > 0; i--)
            sim_pause();
        start = lsi_load_relaxed(&w.pub.ring->tail);
        if (sim_dice(3) > 0)
            start = start < ENTRIES ? 0 : start - sim_dice(ENTRIES);
        reader_init(&r, cell, true, start);
        read_messages(&r, sim_dice(60));
        last_look(&r);
        reader_free(&r);
        lsi_fence_full(); /* its death, seen by the broker */
        lst_row_state(&w.pub, 1, LSHM_ROW_GONE);
        lsi_fence_full();
    }
}

/* The publisher. */

static void reclaim(uint64_t gain)
{
    lsi_reclaim(w.p, gain);
    if (lsi_load_relaxed(&w.pub.ring->horizon) != w.p->committed)
        sim_broken("the horizon was not pulled back");
    if (w.p->committed > LST_SEQ_FIRST + ENTRIES && w.p->roster.pinning > 0 &&
        !w.p->writer.marks_rewrites)
        sim_broken("entries are rewritten unmarked");
    for (uint32_t i = 0; i < w.slots; i++) {
        if (w.users[i] > 0 && w.pub.states[i] == LSHM_SLOT_FREE)
            sim_broken("a slot in use was freed");
    }
}

/* As loan.c makes room. */
static uint32_t try_loan(void)
{
    uint64_t committed;

    if (!lsi_publication_has_entry(w.p, 0))
        reclaim(ENTRIES / 4);
    if (!lsi_publication_has_entry(w.p, 0))
        return LSI_SLOT_NONE;
    do {
        committed = w.p->committed;
        if (w.p->slots.free_count == 0)
            reclaim(1);
    } while (w.p->slots.free_count == 0 && w.p->committed > committed);
    return lst_slots_loan(&w.p->slots);
}

static void publish(uint32_t slot)
{
    uint64_t seq = w.p->writer.tail;
    struct lsi_descriptor d = {
        .handle = slot + 1, .time_ns = seq, .user = { slot + seq, 0 },
    };

    lsi_store_relaxed(&w.payload[slot], 0);
    if (sim_dice(4) == 0)
        reclaim(1);
    lsi_store_relaxed(&w.payload[slot], seq + 1);
    lsi_publication_publish(w.p, &d, NULL, slot);
    if (sim_dice(2))
        lsi_publication_flush(w.p);
}

static void run_publisher(void *arg)
{
    uint32_t tries = 0;

    (void)arg;
    while (w.p->writer.tail < END && tries < TRIES && !sim.broken) {
        uint32_t slot = try_loan();

        if (slot != LSI_SLOT_NONE) {
            publish(slot);
            tries = 0;
            continue;
        }
        if (w.never_waits)
            sim_broken("the publisher found no slot");
        lsi_publication_flush(w.p);
        tries++;
        sim_pause();
    }
    lsi_publication_flush(w.p);
    lsi_fence_full();
    w.published = true;
}

/* All readers are gone: what they kept comes home. */
static void end_world(void)
{
    for (uint32_t i = 0; i < 2; i++)
        lst_row_state(&w.pub, i, LSHM_ROW_GONE);
    w.p->history = 0;
    if (sim.broken == NULL) {
        reclaim(0);
        if (w.p->slots.free_count != w.slots)
            sim_broken("a slot was lost");
    }
    lst_pub_free(&w.pub);
}

static int attach_later(void *context, struct lsi_reader *reader)
{
    return sim_dice(2) ? -1 : lst_op_attach(context, reader);
}

/* One that is there from the start, and the publisher. */
static void run_one(void)
{
    struct reader r;

    world_init(FEWEST(1) + sim_dice(2) * sim_dice(ENTRIES), 0);
    w.never_waits = true;
    lst_row_live(&w.pub, 0, 0, LSHM_READER_LOSSY, WINDOW, HOLDS);
    reader_init(&r, 0, true, LST_SEQ_FIRST);
    sim_add(run_publisher, NULL);
    sim_add(run_reader, &r);
    sim_run();
    reader_free(&r);
    end_world();
}

/* One, and others that come and go. */
static void run_joins(void)
{
    bool maps_late = sim_dice(2);
    uint32_t history = sim_dice(3);
    struct reader r;

    world_init(FEWEST(2) + history, history);
    w.never_waits = !maps_late;
    lst_row_live(&w.pub, 0, 0, LSHM_READER_LOSSY, WINDOW, HOLDS);
    if (maps_late)
        w.pub.publication.roster.operations.attach = attach_later;
    reader_init(&r, 0, true, LST_SEQ_FIRST);
    sim_add(run_publisher, NULL);
    sim_add(run_reader, &r);
    sim_add(run_joiner, NULL);
    sim_run();
    reader_free(&r);
    end_world();
}

/* A lossy and a lossless one; that one is slow. */
static void run_mixed(void)
{
    struct reader lossy, lossless;

    world_init(FEWEST(1) + sim_dice(WINDOW + HOLDS), 0);
    lst_row_live(&w.pub, 0, 0, LSHM_READER_LOSSY, WINDOW, HOLDS);
    lst_row_live(&w.pub, 1, 1, 0, WINDOW, HOLDS);
    reader_init(&lossy, 0, true, LST_SEQ_FIRST);
    reader_init(&lossless, 1, false, LST_SEQ_FIRST);
    sim_add(run_publisher, NULL);
    sim_add(run_reader, &lossy);
    sim_add(run_reader, &lossless);
    sim_run();
    if (lsi_account_lost(&lossless.link.account) > 0)
        sim_broken("a lossless reader lost something");
    reader_free(&lossy);
    reader_free(&lossless);
    end_world();
}

/* The broker evicts the reader of row 1. */
static void run_broker(void *arg)
{
    (void)arg;
    for (uint32_t i = sim_dice(60); i > 0; i--)
        sim_pause();
    lsi_store_release(&w.boards[1].state, LSHM_LINK_EVICTED);
    lsi_fence_full();
    if (w.barrier)
        sim_membarrier();
    lst_row_state(&w.pub, 1, LSHM_ROW_EVICTED);
    lsi_fence_full();
}

/* Reads slowly until it is evicted, and closes when it has given all back. */
static void run_evicted(void *arg)
{
    struct reader *r = arg;

    for (uint32_t i = 0; i < TRIES && !r->evicted && !sim.broken; i++) {
        for (uint32_t k = sim_dice(4); k > 0; k--)
            sim_pause();
        read_messages(r, 1);
    }
    while (r->count > 0 && !sim.broken) {
        verify(&r->out[sim_dice(r->count)], "wrong payload after the eviction");
        if (sim_dice(4) == 0)
            release_one(r);
        else
            sim_pause();
    }
    if (r->evicted)
        lsi_cell_close(r->link.window.cell);
}

static void run_eviction(bool barrier)
{
    struct reader lossy, gating;

    world_init(FEWEST(2) + (barrier ? 0 : ENTRIES) + sim_dice(2) * ENTRIES, 0);
    w.barrier = barrier;
    lst_row_live(&w.pub, 0, 0, LSHM_READER_LOSSY, WINDOW, HOLDS);
    lst_row_live(&w.pub, 1, 1, barrier ? 0 : LSHM_READER_EVICTABLE, WINDOW, HOLDS);
    reader_init(&lossy, 0, true, LST_SEQ_FIRST);
    reader_init(&gating, 1, false, LST_SEQ_FIRST);
    sim_add(run_publisher, NULL);
    sim_add(run_reader, &lossy);
    sim_add(run_evicted, &gating);
    sim_add(run_broker, NULL);
    sim_run();
    if (w.p->writer.tail < END)
        sim_broken("the publisher waits for an evicted reader");
    reader_free(&lossy);
    reader_free(&gating);
    end_world();
}

static void run_barrier(void)
{
    run_eviction(true);
}

static void run_no_barrier(void)
{
    run_eviction(false);
}

/* A publisher that gives up messages faster than its reader can announce them. */

static void run_ahead(void *arg)
{
    for (uint64_t horizon = 1; !*(bool *)arg; horizon++)
        lsi_store_release(&w.pub.ring->horizon, horizon);
}

static void run_announcer(void *arg)
{
    struct lst_sub sub;
    uint64_t gone, passed = 0;

    lst_sub_init(&sub, &w.pub, w.pub.cells[0], WINDOW, HOLDS, 0);
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t sample = 0;
        bool out = lsi_window_make_room(&sub.window, 0) && sim_dice(2);
        int r;

        if (out)
            sample = lsi_window_add(&sub.window, false);
        passed += out;
        r = lsi_window_announce(&sub.window, w.pub.ring, 0, UINT64_MAX, 1, 0, &gone);
        passed += gone;
        overtaken += r == LSI_ANNOUNCE_AGAIN;
        if (r == LSI_ANNOUNCE_HELD || sub.window.position != passed ||
            sub.window.mark > sub.window.cursor + WINDOW)
            sim_broken("the account of what was passed is wrong");
        if (out)
            lsi_window_release(&sub.window, sample);
    }
    lst_sub_free(&sub);
    *(bool *)arg = true;
}

static void run_overtaken(void)
{
    bool done = false;

    world_init(1, 0);
    sim_add(run_ahead, &done);
    sim_add(run_announcer, &done);
    sim_run();
    lst_pub_free(&w.pub);
}

static void test_lossy__one__takes_whole_messages_and_stops_nobody(void **state)
{
    (void)state;
    lost = held = lapped = 0;
    sim_explore(run_one, false, RUNS);
    sim_explore(run_one, true, RUNS);
    assert_true(lost > 0 && held > 0 && lapped > 0);
}

static void test_lossy__others_come_and_go__the_same(void **state)
{
    (void)state;
    sim_explore(run_joins, false, RUNS);
    sim_explore(run_joins, true, RUNS);
}

static void test_lossy__beside_a_lossless_one__that_one_loses_nothing(void **state)
{
    (void)state;
    sim_explore(run_mixed, false, RUNS);
    sim_explore(run_mixed, true, RUNS);
}

static void test_lossy__overtaken_each_time__gives_up_and_counts(void **state)
{
    (void)state;
    overtaken = 0;
    sim_explore(run_overtaken, false, RUNS);
    sim_explore(run_overtaken, true, RUNS);
    assert_true(overtaken > 0);
}

static void test_evicted__with_a_barrier__keeps_its_samples(void **state)
{
    (void)state;
    sim_explore(run_barrier, false, RUNS);
    sim_explore(run_barrier, true, RUNS);
}

static void test_evicted__without_a_barrier__keeps_its_samples(void **state)
{
    (void)state;
    sim_explore(run_no_barrier, false, RUNS);
    sim_explore(run_no_barrier, true, RUNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lossy__one__takes_whole_messages_and_stops_nobody),
        cmocka_unit_test(test_lossy__others_come_and_go__the_same),
        cmocka_unit_test(test_lossy__beside_a_lossless_one__that_one_loses_nothing),
        cmocka_unit_test(test_lossy__overtaken_each_time__gives_up_and_counts),
        cmocka_unit_test(test_evicted__with_a_barrier__keeps_its_samples),
        cmocka_unit_test(test_evicted__without_a_barrier__keeps_its_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
