/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One publication and its readers in random order, against a model.
 *
 * The model knows of each slot which message it carries, and of each reader which samples are out.
 * After each step: I1 to I4; each sample that is out still has its bytes and its slot is neither
 * free nor loaned; every message from a reader's start on is taken exactly once, in order, or, by a
 * lossy reader, counted as lost. Readers join in two steps (row, then cursor), leave, are evicted,
 * die with samples out, are not mapped at first, and one kind writes garbage into its cell. Nobody
 * keeps more slots than it may; with more than that and no lossless reader the publisher always
 * finds one. When all is released, all slots are free.
 *
 * LSHM_TEST_SEED sets the seed.
 * covers: J1 R1 R2 R3 Y1 G1 G2 G3 G4 G5 G6 G7 G9
 */
#include "core_rig.h"

#include <inttypes.h>
#include <time.h>

#define EPISODES 600
#define STEPS 3000
#define READERS 6u
#define SLOTS_MAX 96u
#define OUT_MAX 32u
#define LOANS_MAX 4u

static uint64_t seed;
static uint64_t published, lost, evicted, found; /* what was reached */

static uint32_t dice(uint32_t sides)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % sides;
}

enum phase { ABSENT, ADMITTED, JOINED, HOSTILE };

struct sample {
    uint32_t index;
    uint32_t slot;
    uint64_t seq;
};

struct reader {
    enum phase phase;
    uint32_t row;
    uint32_t window, holds;
    bool lossy, evicted;
    uint64_t start, taken, lost;
    struct lst_sub sub;
    struct sample out[OUT_MAX];
    uint32_t out_count;
};

struct model {
    struct lst_pub pub;
    struct lsi_publication *p;
    uint64_t first; /* message */
    uint32_t slot_count;
    uint64_t payload[SLOTS_MAX]; /* what the bytes of the slot say: message + 1 */
    uint32_t loaned[LOANS_MAX];
    uint32_t loans;
    struct reader readers[READERS]; /* reader i has cell i */
    uint32_t lossy_odds; /* of 5 */
};

static void episode_init(struct model *m)
{
    uint32_t entries = 4u << dice(5);

    memset(m, 0, sizeof *m);
    m->first = dice(2) ? LST_SEQ_FIRST : (1ull << 32) - 20;
    m->slot_count = 2 + dice(dice(2) ? entries + 16 : 8);
    m->lossy_odds = dice(6);
    lst_pub_init(&m->pub, entries, 128, m->slot_count, m->first);
    m->p = &m->pub.publication;
    m->p->history = dice(2) ? 0 : dice(entries - entries / 4 + 1);
    for (uint32_t i = 0; i < READERS; i++)
        lst_cell_new(&m->pub, i, LSHM_HOLDS_PER_LINE);
    lst_parts(&m->pub, LST_PARTS_MAX);
}

static void check_reader(const struct model *m, const struct reader *r)
{
    uint64_t cursor = r->sub.window.cell->cursor;

    if (!r->lossy && !r->evicted)
        assert_true(cursor - 1 >= m->p->committed && cursor - 1 <= m->p->writer.tail);
    assert_true(r->sub.window.position <= m->p->writer.tail);
    assert_int_equal(r->sub.window.position, r->start + r->taken + r->lost);
    assert_true(r->lossy || r->lost == 0);
    for (uint32_t i = 0; i < r->out_count; i++) {
        const struct sample *s = &r->out[i];

        if (s->slot == LSI_SLOT_NONE)
            continue;
        assert_int_equal(m->payload[s->slot], s->seq + 1);
        assert_true(m->pub.states[s->slot] != LSHM_SLOT_FREE &&
                    m->pub.states[s->slot] != LSHM_SLOT_LOANED);
    }
}

static void check(const struct model *m)
{
    const uint64_t *sums = &m->pub.ring->slots_free;
    uint64_t counted[5] = { 0 };

    for (uint32_t i = 0; i < m->slot_count; i++)
        counted[m->pub.states[i]]++;
    assert_memory_equal(counted, sums, sizeof counted);
    assert_int_equal(counted[LSHM_SLOT_FREE], m->p->slots.free_count);
    assert_int_equal(counted[LSHM_SLOT_LOANED], m->loans);
    assert_int_equal(counted[LSHM_SLOT_LIMBO] + counted[LSHM_SLOT_QUARANTINE], m->p->limbo_count);
    assert_true(m->p->committed <= m->pub.ring->horizon);
    assert_true(m->pub.ring->horizon <= m->p->writer.tail);
    assert_true(m->p->writer.tail + m->loans - m->p->committed <= m->p->writer.mask + 1);
    for (uint32_t i = 0; i < READERS; i++) {
        if (m->readers[i].phase == JOINED)
            check_reader(m, &m->readers[i]);
    }
}

static void reclaim(struct model *m, uint64_t gain)
{
    uint32_t before = m->p->slots.free_count;
    bool unmapped = false;
    uint32_t freed;

    for (uint32_t i = 0; i < READERS; i++)
        unmapped |= m->readers[i].phase != ABSENT && m->pub.unmapped_cell[i];
    freed = lsi_reclaim(m->p, gain);
    assert_int_equal(m->p->slots.free_count, before + freed);
    assert_true(!unmapped || freed == 0);
    if (m->p->roster.unmapped == 0)
        assert_true(m->p->limbo_count <= m->p->roster.kept_max);
}

/* Nobody gates, and all that readers and history can keep leaves one more slot and entry. */
static bool must_find_slot(const struct model *m)
{
    uint64_t kept = m->p->history + m->loans + 1;

    for (uint32_t i = 0; i < READERS; i++) {
        const struct reader *r = &m->readers[i];

        if (r->phase == ABSENT)
            continue;
        if (m->pub.unmapped_cell[i] || (!r->lossy && !r->evicted))
            return false;
        kept += r->window + r->holds + (r->evicted ? m->p->writer.mask + 1 : 0);
    }
    return m->slot_count >= kept && m->loans + m->p->history <= m->p->writer.mask;
}

static uint32_t try_loan(struct model *m)
{
    uint64_t committed;

    if (!lsi_publication_has_entry(m->p, m->loans))
        reclaim(m, 1);
    if (!lsi_publication_has_entry(m->p, m->loans))
        return LSI_SLOT_NONE;
    do {
        committed = m->p->committed;
        if (m->p->slots.free_count == 0)
            reclaim(m, 1);
    } while (m->p->slots.free_count == 0 && m->p->committed > committed);
    return lst_slots_loan(&m->p->slots);
}

static void loan(struct model *m)
{
    uint32_t slot;
    bool promised;

    if (m->loans == LOANS_MAX)
        return;
    promised = must_find_slot(m);
    slot = try_loan(m);
    assert_true(slot != LSI_SLOT_NONE || !promised);
    found += promised;
    if (slot == LSI_SLOT_NONE)
        return;
    m->payload[slot] = 0; /* the application writes into it at once */
    m->loaned[m->loans++] = slot;
}

static void publish(struct model *m)
{
    struct lsi_descriptor d = { .length = 8 };
    uint64_t payload = m->p->writer.tail + 1;
    uint32_t at, slot;

    if (dice(8) == 0) {
        d.flags = LSHM_ENTRY_INLINE;
        if (lsi_publication_has_entry(m->p, m->loans))
            lsi_publication_publish(m->p, &d, &payload, LSI_SLOT_NONE);
        return;
    }
    if (m->loans == 0)
        return;
    at = dice(m->loans);
    slot = m->loaned[at];
    m->loaned[at] = m->loaned[--m->loans];
    if (dice(10) == 0) {
        lsi_slots_free(&m->p->slots, slot);
        return;
    }
    m->payload[slot] = payload;
    d.handle = slot + 1;
    lsi_publication_publish(m->p, &d, NULL, slot);
}

/* Passes what is gone; true: the message at the position may be taken. */
static bool announce(struct model *m, struct reader *r, uint64_t count)
{
    uint64_t gone, position = r->sub.window.position;
    int done = lsi_window_announce(&r->sub.window, m->pub.ring, 0, UINT64_MAX, count, 0, &gone);

    assert_int_not_equal(done, LSI_ANNOUNCE_AGAIN);
    assert_true(gone == 0 || r->sub.window.position == m->pub.ring->horizon);
    assert_true(done == LSI_ANNOUNCED ? r->sub.window.position >= m->pub.ring->horizon
                                      : position < m->pub.ring->horizon);
    r->lost += gone;
    lost += gone;
    return done == LSI_ANNOUNCED;
}

static int expected(const struct model *m, uint64_t seq)
{
    if (seq >= m->p->writer.tail)
        return LSI_RING_NOTHING;
    return m->p->writer.tail - seq > m->p->writer.mask + 1 ? LSI_RING_LAPPED : LSI_RING_TAKEN;
}

static void take(struct model *m, struct reader *r)
{
    struct lsi_window *w = &r->sub.window;
    struct lsi_descriptor d = { 0 };
    uint64_t block[8], seq;
    struct sample *s = &r->out[r->out_count];
    int taken;

    if (r->evicted || !lsi_window_make_room(w, 0))
        return;
    if (r->lossy && w->sure <= w->position && !announce(m, r, 1 + dice(10)))
        return;
    seq = w->position;
    taken = lsi_ring_take(&r->sub.ring, seq, &d, block);
    assert_int_equal(taken, expected(m, seq));
    if (taken == LSI_RING_LAPPED) {
        assert_true(r->lossy && seq < m->pub.ring->horizon);
        announce(m, r, 1);
    }
    if (taken != LSI_RING_TAKEN)
        return;
    r->taken++;
    s->seq = seq;
    s->slot = d.flags & LSHM_ENTRY_INLINE ? LSI_SLOT_NONE : (uint32_t)d.handle - 1;
    assert_int_equal(s->slot == LSI_SLOT_NONE ? block[0] : m->payload[s->slot], seq + 1);
    if (dice(50) == 0) {
        lsi_window_skip(w);
    } else {
        s->index = lsi_window_add(w, s->slot == LSI_SLOT_NONE);
        r->out_count++;
    }
    assert_int_equal(w->position, seq + 1);
}

static void release(struct reader *r, uint32_t at)
{
    if (at >= r->out_count)
        return;
    lsi_window_release(&r->sub.window, r->out[at].index);
    r->out[at] = r->out[--r->out_count];
}

static void admit(struct model *m, uint32_t i)
{
    struct reader *r = &m->readers[i];
    bool taken;

    do {
        r->row = dice(2) ? dice(LSHM_ROSTER_ROWS) : dice(LST_ROWS_MAX);
        taken = false;
        for (uint32_t k = 0; k < READERS; k++)
            taken |= k != i && m->readers[k].phase != ABSENT && m->readers[k].row == r->row;
    } while (taken);
    r->window = 1 + dice(8);
    r->holds = dice(LSHM_HOLDS_PER_LINE + 1);
    r->out_count = 0;
    r->lossy = dice(5) < m->lossy_odds;
    r->evicted = false;
    lsi_cell_reset(m->pub.cells[i], LSHM_HOLDS_PER_LINE);
    m->pub.unmapped_cell[i] = dice(4) == 0;
    lst_row_live(&m->pub, r->row, i,
                 r->lossy ? LSHM_READER_LOSSY : dice(2) * LSHM_READER_EVICTABLE, r->window,
                 r->holds);
    r->phase = ADMITTED;
}

static void join(struct model *m, uint32_t i)
{
    struct reader *r = &m->readers[i];
    uint64_t tail = m->pub.ring->tail, start = tail, got, kept;

    if (dice(2))
        start = tail < m->p->history ? 0 : tail - m->p->history;
    else if (dice(4) == 0)
        start = 0;
    got = lsi_cell_join(m->pub.cells[i], m->pub.ring, start);
    kept = m->p->writer.tail < m->p->history ? 0 : m->p->writer.tail - m->p->history;
    if (kept < m->first)
        kept = m->first;
    assert_true(got >= start && (got == start || got <= kept));
    lst_sub_init(&r->sub, &m->pub, m->pub.cells[i], r->window, r->holds, got);
    r->start = got;
    r->taken = r->lost = 0;
    r->phase = JOINED;
}

/* It takes nothing more; its last sample closes the cell. */
static void evict(struct model *m, struct reader *r)
{
    if (r->lossy || r->evicted)
        return;
    lst_row_state(&m->pub, r->row, LSHM_ROW_EVICTED);
    r->evicted = true;
    evicted++;
}

static void leave(struct model *m, uint32_t i)
{
    struct reader *r = &m->readers[i];

    if (r->phase == JOINED)
        lst_sub_free(&r->sub);
    lst_row_state(&m->pub, r->row, LSHM_ROW_GONE);
    m->pub.unmapped_cell[i] = false;
    r->phase = ABSENT;
    r->out_count = 0;
}

static uint64_t garbage(const struct model *m)
{
    switch (dice(4)) {
    case 0:
        return m->p->writer.tail + dice(8) - 4;
    case 1:
        return m->p->committed + dice(8) - 4;
    case 2:
        return dice(2) ? UINT64_MAX - dice(2) : dice(2);
    default:
        return seed;
    }
}

static void scribble(struct model *m, uint32_t i)
{
    struct lshm_cell *cell = m->pub.cells[i];

    cell->cursor = garbage(m);
    cell->borrow = garbage(m);
    cell->hold_version = dice(3) ? cell->hold_version + 1 : garbage(m);
    lsi_cell_holds(cell)[dice(LSHM_HOLDS_PER_LINE)].seq_plus_1 = garbage(m);
}

static void step_reader(struct model *m, uint32_t i)
{
    struct reader *r = &m->readers[i];
    uint32_t what = dice(100);

    if (dice(8) == 0)
        m->pub.unmapped_cell[i] = false;
    if (r->phase == ABSENT) {
        if (what < 10)
            admit(m, i);
    } else if (r->phase == HOSTILE) {
        scribble(m, i);
        if (what < 2)
            leave(m, i);
        else if (what < 4)
            evict(m, r);
    } else if (r->phase == ADMITTED) {
        if (what < 30)
            join(m, i);
        else if (what < 33)
            r->phase = HOSTILE;
        else if (what < 36)
            leave(m, i);
        else if (what < 37)
            evict(m, r);
    } else if (what < 45) {
        take(m, r);
    } else if (what < 90) {
        release(r, dice(4) ? 0 : dice(OUT_MAX));
    } else if (what < 99) {
        lsi_window_settle(&r->sub.window, 0);
    } else if (dice(4) == 0) {
        leave(m, i);
    } else if (dice(4) == 0) {
        evict(m, r);
    }
    if (r->phase == JOINED && r->evicted && r->out_count == 0 && dice(2))
        lsi_cell_close(r->sub.window.cell);
}

static void step(struct model *m)
{
    switch (dice(10)) {
    case 0:
    case 1:
        loan(m);
        break;
    case 2:
    case 3:
        publish(m);
        break;
    case 4:
        if (dice(2))
            reclaim(m, dice(m->p->writer.mask + 2));
        else
            lsi_publication_flush(m->p);
        break;
    default:
        step_reader(m, dice(READERS));
    }
    check(m);
}

/* Everything is taken and released: every slot comes home. */
static void finish(struct model *m)
{
    for (uint32_t i = 0; i < READERS; i++) {
        struct reader *r = &m->readers[i];

        m->pub.unmapped_cell[i] = false;
        if (r->phase != ABSENT && (r->phase != JOINED || r->evicted))
            leave(m, i);
        while (r->phase == JOINED) {
            take(m, r);
            while (r->out_count > 0)
                release(r, 0);
            lsi_window_settle(&r->sub.window, 0);
            check(m);
            if (r->sub.window.cursor == m->p->writer.tail)
                break;
        }
    }
    while (m->loans > 0)
        lsi_slots_free(&m->p->slots, m->loaned[--m->loans]);
    m->p->history = 0;
    lsi_reclaim(m->p, 0);
    check(m);
    assert_int_equal(m->p->slots.free_count, m->slot_count);
    assert_int_equal(m->p->committed, m->p->writer.tail);
}

static void test_reclaim__any_order__matches_the_model(void **state)
{
    const char *setting = getenv("LSHM_TEST_SEED");
    struct timespec now;
    uint64_t start;

    (void)state;
    clock_gettime(CLOCK_REALTIME, &now);
    start = setting ? strtoull(setting, NULL, 0) : (uint64_t)now.tv_nsec * 2 + 1;
    print_message("LSHM_TEST_SEED=%" PRIu64 "\n", start);
    seed = start * 0x9e3779b97f4a7c15u + 1;
    for (int episode = 0; episode < EPISODES; episode++) {
        struct model m;

        episode_init(&m);
        for (int i = 0; i < STEPS; i++)
            step(&m);
        finish(&m);
        published += m.p->writer.tail & 0xffffff;
        for (uint32_t i = 0; i < READERS; i++) {
            if (m.readers[i].phase == JOINED)
                lst_sub_free(&m.readers[i].sub);
        }
        lst_pub_free(&m.pub);
    }
    assert_true(published > EPISODES * 20 && lost > EPISODES && evicted > 0 && found > EPISODES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reclaim__any_order__matches_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
