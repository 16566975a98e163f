/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reclaim beside readers that do not gate: what the windows of lossy and of evicted readers keep in
 * quarantine and for how long, how far the horizon goes past them, and what hostile cells can do
 * (nothing to others). test_reclaim_model.c has the random orders, tests/sim the races.
 * covers: G1 G2 G3 G4 G9
 */
#include "core_rig.h"

#define N 8u
#define STEP (N / 4)
#define SLOTS 16u
#define WINDOW 4u
#define HOLDS 4u
#define LOSSY LSHM_READER_LOSSY
#define FIRST LST_SEQ_FIRST

struct rig {
    struct lst_pub pub;
    struct lsi_publication *p;
    struct lshm_cell **cells;
    uint64_t first; /* message: cursors and horizons below count from there */
};

/* Row and cell i are a reader's with flags[i], joined at `first`. */
static void rig_init(struct rig *rig, uint64_t first, uint32_t readers, const uint32_t *flags)
{
    lst_pub_init(&rig->pub, N, 64, SLOTS, first);
    rig->p = &rig->pub.publication;
    rig->cells = rig->pub.cells;
    rig->first = first;
    lst_parts(&rig->pub, LST_PARTS_MAX);
    for (uint32_t i = 0; i < readers; i++) {
        lst_cell_new(&rig->pub, i, HOLDS);
        lst_row_live(&rig->pub, i, i, flags[i], WINDOW, HOLDS);
        assert_int_equal(lsi_cell_join(rig->cells[i], rig->pub.ring, first), first);
    }
}

static void rig_init_one(struct rig *rig, uint32_t flags)
{
    rig_init(rig, FIRST, 1, &flags);
}

static void publish(struct rig *rig, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_true(lsi_publication_has_entry(rig->p, 0));
        assert_int_not_equal(lst_pub_publish(&rig->pub), LSI_SLOT_NONE);
    }
}

static void mark(struct rig *rig, uint32_t cell, uint64_t cursor, uint64_t end)
{
    lsi_cell_set_cursor(rig->cells[cell], rig->first + cursor);
    rig->cells[cell]->borrow = rig->first + end;
}

/* The horizon, and the slots in limbo and in quarantine; the window has the others. */
static void check(const struct rig *rig, uint64_t horizon, uint32_t limbo, uint32_t quarantine)
{
    const uint64_t *sums = &rig->pub.ring->slots_free;
    uint64_t counted[5] = { 0 };

    for (uint32_t i = 0; i < SLOTS; i++)
        counted[rig->pub.states[i]]++;
    assert_memory_equal(counted, sums, sizeof counted);
    assert_int_equal(rig->p->committed, rig->first + horizon);
    assert_int_equal(rig->pub.ring->horizon, rig->first + horizon);
    assert_int_equal(sums[LSHM_SLOT_WINDOW], rig->p->writer.tail - rig->first - horizon);
    assert_int_equal(sums[LSHM_SLOT_LIMBO], limbo);
    assert_int_equal(sums[LSHM_SLOT_QUARANTINE], quarantine);
    assert_int_equal(rig->p->limbo_count, limbo + quarantine);
    assert_int_equal(rig->p->slots.free_count, sums[LSHM_SLOT_FREE]);
}

static void test_lossy__has_announced_nothing__keeps_nothing(void **state)
{
    struct rig rig;

    (void)state;
    rig_init_one(&rig, LOSSY);
    publish(&rig, N);
    assert_int_equal(lsi_reclaim(rig.p, 1), STEP);
    check(&rig, STEP, 0, 0);
    assert_int_equal(lsi_reclaim(rig.p, N - STEP), N - STEP);
    check(&rig, N, 0, 0);
    lst_pub_free(&rig.pub);
}

static void test_lossy__window_is_passed__waits_in_quarantine_until_it_moves(void **state)
{
    struct rig rig;

    (void)state;
    rig_init_one(&rig, LOSSY);
    publish(&rig, N);
    mark(&rig, 0, 0, 3);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    check(&rig, STEP, 0, 2);
    assert_int_equal(lsi_reclaim(rig.p, N - STEP), N - 3);
    check(&rig, N, 0, 3);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    assert_false(lsi_publication_may_free(rig.p));
    lsi_cell_set_cursor(rig.cells[0], FIRST + 1);
    assert_true(lsi_publication_may_free(rig.p));
    assert_int_equal(lsi_reclaim(rig.p, 1), 1);
    check(&rig, N, 0, 2);
    lsi_cell_set_cursor(rig.cells[0], FIRST + 3);
    assert_int_equal(lsi_reclaim(rig.p, 1), 2);
    check(&rig, N, 0, 0);
    lst_pub_free(&rig.pub);
}

static void test_lossy__closed_or_gone__its_quarantine_ends(void **state)
{
    struct rig rig;

    (void)state;
    for (int gone = 0; gone < 2; gone++) {
        rig_init_one(&rig, LOSSY);
        publish(&rig, N);
        mark(&rig, 0, 1, 5);
        assert_int_equal(lsi_reclaim(rig.p, N), N - 4);
        check(&rig, N, 0, 4);
        if (gone)
            lst_row_state(&rig.pub, 0, LSHM_ROW_GONE);
        else
            lsi_cell_close(rig.cells[0]);
        assert_int_equal(lsi_reclaim(rig.p, 1), 4);
        check(&rig, N, 0, 0);
        lst_pub_free(&rig.pub);
    }
}

static void test_lossy__has_not_joined__keeps_nothing(void **state)
{
    struct rig rig;

    (void)state;
    rig_init_one(&rig, LOSSY);
    rig.cells[0]->cursor = LSHM_CURSOR_UNSET;
    rig.cells[0]->borrow = UINT64_MAX;
    publish(&rig, N);
    assert_int_equal(lsi_reclaim(rig.p, 1), N); /* nor does it slow the horizon down */
    check(&rig, N, 0, 0);
    lst_pub_free(&rig.pub);
}

static void test_lossy__is_not_mapped__frees_nothing(void **state)
{
    static const uint32_t flags[] = { LOSSY, LOSSY };
    struct rig rig;

    (void)state;
    rig_init(&rig, FIRST, 2, flags);
    publish(&rig, N);
    rig.pub.unmapped_cell[1] = true;
    mark(&rig, 1, 0, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(lsi_reclaim(rig.p, N), 0);
    check(&rig, 0, 0, 0);
    rig.pub.unmapped_cell[1] = false;
    assert_int_equal(lsi_reclaim(rig.p, N), N - 2);
    check(&rig, N, 0, 2);
    lst_pub_free(&rig.pub);
}

static void test_lossy__all_have_come_far__the_horizon_goes_as_far(void **state)
{
    static const uint32_t flags[] = { LOSSY, LOSSY };
    struct rig rig;

    (void)state;
    rig_init(&rig, FIRST, 2, flags);
    publish(&rig, N);
    mark(&rig, 0, 6, 6);
    mark(&rig, 1, 5, 5);
    assert_int_equal(lsi_reclaim(rig.p, 1), 5);
    check(&rig, 5, 0, 0);
    publish(&rig, 5);
    assert_int_equal(lsi_reclaim(rig.p, 1), STEP); /* both are behind */
    check(&rig, 5 + STEP, 0, 0);
    assert_int_equal(lsi_reclaim(rig.p, 3), 3);
    check(&rig, 5 + STEP + 3, 0, 0);
    assert_int_equal(lsi_reclaim(rig.p, 4), 0); /* more than there is */
    assert_int_equal(lsi_reclaim(rig.p, 2), 2);
    assert_int_equal(lsi_reclaim(rig.p, 1), 1);
    check(&rig, 5 + N, 0, 0);
    lst_pub_free(&rig.pub);
}

static void test_lossy__few_slots__the_horizon_goes_a_quarter_of_them(void **state)
{
    struct lst_pub pub;

    (void)state;
    lst_pub_init(&pub, N, 64, 4, FIRST);
    lst_parts(&pub, 1);
    lst_row_live(&pub, 0, 0, LOSSY, WINDOW, HOLDS);
    assert_int_equal(lsi_cell_join(lst_cell_new(&pub, 0, HOLDS), pub.ring, FIRST), FIRST);
    for (int i = 0; i < 4; i++)
        assert_int_not_equal(lst_pub_publish(&pub), LSI_SLOT_NONE);
    for (uint64_t gone = 1; gone <= 4; gone++) {
        assert_int_equal(lsi_reclaim(&pub.publication, 1), 1);
        assert_true(pub.ring->horizon == FIRST + gone);
    }
    lst_pub_free(&pub);
}

static void test_lossy__beside_a_lossless_one__that_one_gates(void **state)
{
    static const uint32_t flags[] = { LOSSY, 0 };
    struct rig rig;

    (void)state;
    rig_init(&rig, FIRST, 2, flags);
    publish(&rig, N);
    mark(&rig, 0, N, N);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    check(&rig, 0, 0, 0);
    assert_int_equal(lsi_publication_wanted(rig.p, 2), FIRST + 2 + 1);
    lsi_cell_set_cursor(rig.cells[1], FIRST + 3);
    assert_int_equal(lsi_reclaim(rig.p, 1), 3);
    check(&rig, 3, 0, 0);
    lsi_cell_set_cursor(rig.cells[1], FIRST + N);
    mark(&rig, 0, 3, 4);
    assert_int_equal(lsi_publication_wanted(rig.p, N - 3), 0);
    assert_int_equal(lsi_reclaim(rig.p, N - 3), N - 3 - 1);
    check(&rig, N, 0, 1);
    lst_pub_free(&rig.pub);
}

static void test_lossy__history__is_kept(void **state)
{
    struct rig rig;

    (void)state;
    rig_init_one(&rig, LOSSY);
    rig.p->history = 3;
    publish(&rig, N);
    mark(&rig, 0, N, N);
    assert_int_equal(lsi_reclaim(rig.p, 1), N - 3);
    check(&rig, N - 3, 0, 0);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    publish(&rig, 1);
    assert_int_equal(lsi_reclaim(rig.p, 1), 1);
    lst_pub_free(&rig.pub);
}

static void test_lossy__held_and_in_a_window__each_ends_by_itself(void **state)
{
    static const uint32_t flags[] = { LOSSY, LOSSY };
    struct rig rig;

    (void)state;
    rig_init(&rig, FIRST, 2, flags);
    publish(&rig, N);
    mark(&rig, 0, N, N);
    mark(&rig, 1, 0, 1);
    assert_int_equal(lsi_reclaim(rig.p, N), N - 1);
    check(&rig, N, 0, 1);
    lsi_cell_hold(rig.cells[1], 0, FIRST + 0, 0);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    check(&rig, N, 0, 1);
    lsi_cell_set_cursor(rig.cells[1], FIRST + 1);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    check(&rig, N, 1, 0);
    mark(&rig, 0, 0, 4); /* it announces before it looks at the horizon */
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    check(&rig, N, 0, 1);
    lsi_cell_drop(rig.cells[1], 0);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    check(&rig, N, 0, 1);
    lsi_cell_set_cursor(rig.cells[0], FIRST + N);
    assert_int_equal(lsi_reclaim(rig.p, 1), 1);
    check(&rig, N, 0, 0);
    lst_pub_free(&rig.pub);
}

static void test_lossy__holds_what_is_not_published__keeps_nothing(void **state)
{
    struct rig rig;

    (void)state;
    rig_init_one(&rig, LOSSY);
    publish(&rig, 4);
    lsi_cell_hold(rig.cells[0], 0, FIRST + 4, 0);
    lsi_cell_hold(rig.cells[0], 1, UINT64_MAX - 1, 0);
    lsi_cell_hold(rig.cells[0], 2, FIRST + 3, 0);
    assert_int_equal(lsi_reclaim(rig.p, 4), 3);
    check(&rig, 4, 1, 0);
    lst_pub_free(&rig.pub);
}

/* Cursor words and marks, each after all is published: what they keep of messages 40 to 47. */
static void test_lossy__hostile_cell__keeps_at_most_a_window(void **state)
{
    static const struct {
        uint64_t cursor, borrow;
        uint32_t kept;
    } cases[] = {
        { 41, UINT64_MAX, WINDOW },     { 41, 40 + WINDOW + 1, WINDOW }, { 41, 40, 0 },
        { 41, 39, 0 },                  { 41, 0, 0 },                    { 1, UINT64_MAX, 0 },
        { 38, UINT64_MAX, 1 },          { 47, UINT64_MAX, 2 },           { 49, UINT64_MAX, 0 },
        { UINT64_MAX - 1, UINT64_MAX, 0 }, { UINT64_MAX, UINT64_MAX, 0 }, { 0, UINT64_MAX, 0 },
        { 1ull << 63, 41, 0 },          { 41, 1ull << 63, WINDOW },
    };
    static const uint32_t flags[] = { LOSSY, 0 };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig rig;

        rig_init(&rig, 40, 2, flags);
        publish(&rig, N);
        lsi_cell_hold(rig.cells[1], HOLDS - 1, 46, 0); /* another reader's */
        lsi_cell_set_cursor(rig.cells[1], 48);
        rig.cells[0]->cursor = cases[i].cursor;
        rig.cells[0]->borrow = cases[i].borrow;
        lsi_reclaim(rig.p, N);
        assert_int_equal(rig.p->committed, 48);
        assert_int_equal(rig.p->slots.free_count, SLOTS - cases[i].kept - (cases[i].cursor != 47));
        rig.cells[0]->cursor = 41; /* back, or on */
        rig.cells[0]->borrow = 0;
        lsi_reclaim(rig.p, 1);
        check(&rig, 8, 1, 0);
        publish(&rig, N);
        lsi_cell_set_cursor(rig.cells[1], 48 + N);
        lsi_reclaim(rig.p, N);
        check(&rig, 8 + N, 1, 0);
        lst_pub_free(&rig.pub);
    }
}

static void evict(struct rig *rig, uint32_t row)
{
    lst_row_state(&rig->pub, row, LSHM_ROW_EVICTED);
}

static void test_evicted__cursor_moves_on__window_ends_where_it_ended_first(void **state)
{
    struct rig rig;

    (void)state;
    rig_init_one(&rig, 0);
    publish(&rig, N);
    lsi_cell_set_cursor(rig.cells[0], FIRST + 1);
    assert_int_equal(lsi_reclaim(rig.p, 2), 0);
    evict(&rig, 0);
    assert_int_equal(lsi_reclaim(rig.p, N), N - WINDOW);
    check(&rig, N, 0, WINDOW); /* 1 to 4 */
    lsi_cell_set_cursor(rig.cells[0], FIRST + 3);
    publish(&rig, 4);
    assert_int_equal(lsi_reclaim(rig.p, 4), 2 + 4);
    check(&rig, N + 4, 0, WINDOW - 2);
    lsi_cell_set_cursor(rig.cells[0], FIRST + 1 + WINDOW);
    assert_int_equal(lsi_reclaim(rig.p, 1), WINDOW - 2);
    lsi_cell_set_cursor(rig.cells[0], FIRST + N + 2);
    publish(&rig, 4);
    assert_int_equal(lsi_reclaim(rig.p, 4), 4);
    check(&rig, N + 8, 0, 0);
    lst_pub_free(&rig.pub);
}

static void test_evicted__without_a_barrier__keeps_the_ring_and_a_window(void **state)
{
    struct rig rig;

    (void)state;
    rig_init_one(&rig, LSHM_READER_EVICTABLE);
    publish(&rig, N - 2);
    lsi_cell_set_cursor(rig.cells[0], FIRST + 1);
    assert_int_equal(lsi_reclaim(rig.p, 1), 1);
    evict(&rig, 0);
    assert_int_equal(lsi_reclaim(rig.p, N - 3), 0);
    check(&rig, N - 2, 0, N - 3);
    publish(&rig, WINDOW + 1);
    assert_int_equal(lsi_reclaim(rig.p, WINDOW + 1), 1); /* the one behind tail + B */
    check(&rig, N - 2 + WINDOW + 1, 0, N - 3 + WINDOW);
    lsi_cell_set_cursor(rig.cells[0], FIRST + 3);
    assert_int_equal(lsi_reclaim(rig.p, 1), 2);
    lsi_cell_close(rig.cells[0]);
    assert_int_equal(lsi_reclaim(rig.p, 1), N - 3 + WINDOW - 2);
    check(&rig, N - 2 + WINDOW + 1, 0, 0);
    lst_pub_free(&rig.pub);
}

static void test_evicted__had_not_joined__window_begins_at_the_horizon(void **state)
{
    struct rig rig;

    (void)state;
    rig_init_one(&rig, 0);
    publish(&rig, N);
    lsi_cell_set_cursor(rig.cells[0], FIRST + 2);
    assert_int_equal(lsi_reclaim(rig.p, 2), 2);
    rig.cells[0]->cursor = LSHM_CURSOR_UNSET;
    evict(&rig, 0);
    assert_int_equal(lsi_reclaim(rig.p, N - 2), N - 2 - WINDOW);
    check(&rig, N, 0, WINDOW); /* 2 to 5 */
    assert_int_equal(lsi_reclaim(rig.p, 1), WINDOW); /* a joiner finds the horizon behind them */
    check(&rig, N, 0, 0);
    lst_pub_free(&rig.pub);
}

static void test_evicted__has_holds__they_stay_when_it_is_closed(void **state)
{
    struct rig rig;

    (void)state;
    rig_init_one(&rig, 0);
    publish(&rig, N);
    evict(&rig, 0);
    lsi_cell_hold(rig.cells[0], 1, FIRST + 2, 0);
    lsi_cell_set_cursor(rig.cells[0], FIRST + 3);
    assert_int_equal(lsi_reclaim(rig.p, N), N - 1 - WINDOW);
    check(&rig, N, 1, WINDOW); /* 2; 3 to 6 */
    lsi_cell_close(rig.cells[0]);
    assert_int_equal(lsi_reclaim(rig.p, 1), WINDOW);
    check(&rig, N, 1, 0);
    lsi_cell_drop(rig.cells[0], 1);
    assert_int_equal(lsi_reclaim(rig.p, 1), 1);
    check(&rig, N, 0, 0);
    lst_pub_free(&rig.pub);
}

static void test_evicted__row_used_again__the_next_one_has_a_window_of_its_own(void **state)
{
    struct rig rig;

    (void)state;
    rig_init_one(&rig, 0);
    publish(&rig, N);
    evict(&rig, 0);
    assert_int_equal(lsi_reclaim(rig.p, N), N - WINDOW);
    lst_row_state(&rig.pub, 0, LSHM_ROW_GONE);
    lsi_cell_reset(rig.cells[0], HOLDS);
    lst_row_live(&rig.pub, 0, 0, 0, WINDOW, HOLDS);
    assert_int_equal(lsi_cell_join(rig.cells[0], rig.pub.ring, FIRST + N), FIRST + N);
    publish(&rig, N);
    assert_int_equal(lsi_reclaim(rig.p, 1), WINDOW);
    check(&rig, N, 0, 0);
    evict(&rig, 0);
    assert_int_equal(lsi_reclaim(rig.p, N), N - WINDOW);
    check(&rig, 2 * N, 0, WINDOW);
    lst_pub_free(&rig.pub);
}

/* Hostile from its eviction on, or not before the publisher has looked once. */
static void scribble_evicted(uint64_t cursor, bool evictable, bool late)
{
    static const uint64_t first = 1ull << 40;
    uint32_t flags[] = { evictable ? LSHM_READER_EVICTABLE : 0, 0 };
    uint32_t most = WINDOW + (evictable ? N : 0);
    struct rig rig;

    rig_init(&rig, first, 2, flags);
    publish(&rig, N);
    lsi_cell_hold(rig.cells[1], 0, first + N - 1, 0);
    lsi_cell_set_cursor(rig.cells[1], first + N);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    evict(&rig, 0);
    if (late)
        lsi_reclaim(rig.p, N);
    rig.cells[0]->cursor = cursor;
    lsi_reclaim(rig.p, late ? 1 : N);
    assert_true(rig.p->committed == first + N);
    assert_in_range(rig.p->limbo_count, 1, most + 1);
    assert_in_range(rig.p->kept.count, 1, most + 1);
    assert_int_not_equal(lsi_seqset_find(&rig.p->kept, first + N - 1), LSI_SEQSET_ABSENT);
    lsi_cell_close(rig.cells[0]);
    lsi_reclaim(rig.p, 1);
    check(&rig, N, 1, 0);
    lst_pub_free(&rig.pub);
}

/* It keeps no more than it may, reclaim ends, and what others hold stays. */
static void test_evicted__hostile_cell__keeps_at_most_a_window(void **state)
{
    static const uint64_t cursors[] = { 1, 2, LSHM_CURSOR_UNSET, UINT64_MAX - 1, UINT64_MAX - 3,
                                        1ull << 40, 1ull << 63 };

    (void)state;
    for (size_t i = 0; i < 4 * sizeof cursors / sizeof cursors[0]; i++)
        scribble_evicted(cursors[i / 4], i & 1, i & 2);
}

static void test_rewrites__lossy_reader_appears__are_marked_before_a_commit(void **state)
{
    static const uint64_t states[] = { LSHM_ROW_LIVE, LSHM_ROW_EVICTED };
    struct rig rig;

    (void)state;
    for (int i = 0; i < 2; i++) {
        rig_init(&rig, FIRST, 0, NULL);
        publish(&rig, N);
        assert_int_equal(lsi_reclaim(rig.p, 1), N);
        assert_false(rig.p->writer.marks_rewrites);
        assert_int_equal(rig.pub.ring->flags, 0);
        publish(&rig, N);
        lst_cell_new(&rig.pub, 0, HOLDS);
        lst_row_live(&rig.pub, 0, 0, i ? 0 : LOSSY, WINDOW, HOLDS);
        lst_row_state(&rig.pub, 0, states[i]);
        lsi_publication_flush(rig.p); /* this is where the roster is read first */
        assert_int_equal(lsi_reclaim(rig.p, N + 1), 0);
        check(&rig, N, 0, 0);
        assert_true(rig.p->writer.marks_rewrites);
        assert_int_equal(rig.pub.ring->flags, LSHM_RING_LOSSY_READERS);
        lst_row_state(&rig.pub, 0, LSHM_ROW_GONE); /* others may still have its rings mapped */
        lsi_reclaim(rig.p, 1);
        assert_true(rig.p->writer.marks_rewrites);
        lst_pub_free(&rig.pub);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lossy__has_announced_nothing__keeps_nothing),
        cmocka_unit_test(test_lossy__window_is_passed__waits_in_quarantine_until_it_moves),
        cmocka_unit_test(test_lossy__closed_or_gone__its_quarantine_ends),
        cmocka_unit_test(test_lossy__has_not_joined__keeps_nothing),
        cmocka_unit_test(test_lossy__is_not_mapped__frees_nothing),
        cmocka_unit_test(test_lossy__all_have_come_far__the_horizon_goes_as_far),
        cmocka_unit_test(test_lossy__few_slots__the_horizon_goes_a_quarter_of_them),
        cmocka_unit_test(test_lossy__beside_a_lossless_one__that_one_gates),
        cmocka_unit_test(test_lossy__history__is_kept),
        cmocka_unit_test(test_lossy__held_and_in_a_window__each_ends_by_itself),
        cmocka_unit_test(test_lossy__holds_what_is_not_published__keeps_nothing),
        cmocka_unit_test(test_lossy__hostile_cell__keeps_at_most_a_window),
        cmocka_unit_test(test_evicted__cursor_moves_on__window_ends_where_it_ended_first),
        cmocka_unit_test(test_evicted__without_a_barrier__keeps_the_ring_and_a_window),
        cmocka_unit_test(test_evicted__had_not_joined__window_begins_at_the_horizon),
        cmocka_unit_test(test_evicted__has_holds__they_stay_when_it_is_closed),
        cmocka_unit_test(test_evicted__row_used_again__the_next_one_has_a_window_of_its_own),
        cmocka_unit_test(test_evicted__hostile_cell__keeps_at_most_a_window),
        cmocka_unit_test(test_rewrites__lossy_reader_appears__are_marked_before_a_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
