/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reclaim, step by step: what gates, what a hold keeps, what hostile cells can do (nothing to
 * others), and that nothing is freed while a reader may be unseen. test_reclaim_model.c has the
 * random orders, test_interleave.c the races.
 * covers: G1 G2 G3 G4 W1
 */
#include "core_rig.h"

#define N 8u
#define SLOTS 12u
#define HOLDS 4u
#define FIRST LST_SEQ_FIRST

struct rig {
    struct lst_pub pub;
    struct lsi_publication *p;
};

static void rig_init(struct rig *rig, uint32_t readers, uint64_t first)
{
    lst_pub_init(&rig->pub, N, 64, SLOTS, first);
    rig->p = &rig->pub.publication;
    lst_parts(&rig->pub, LST_PARTS_MAX);
    for (uint32_t i = 0; i < readers; i++) {
        lst_cell_new(&rig->pub, i, HOLDS);
        lst_row_live(&rig->pub, i, i, 0, N, HOLDS);
        assert_int_equal(lsi_cell_join(rig->pub.cells[i], rig->pub.ring, first), first);
    }
}

static void publish(struct rig *rig, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_true(lsi_publication_has_entry(rig->p, 0));
        assert_int_not_equal(lst_pub_publish(&rig->pub), LSI_SLOT_NONE);
    }
}

/* Free, window and limbo. */
static void check(const struct rig *rig, uint32_t in_window, uint32_t in_limbo)
{
    const uint64_t *sums = &rig->pub.ring->slots_free;

    assert_int_equal(sums[LSHM_SLOT_FREE], SLOTS - in_window - in_limbo);
    assert_int_equal(sums[LSHM_SLOT_LOANED], 0);
    assert_int_equal(sums[LSHM_SLOT_WINDOW], in_window);
    assert_int_equal(sums[LSHM_SLOT_LIMBO], in_limbo);
    assert_int_equal(rig->p->slots.free_count, SLOTS - in_window - in_limbo);
    assert_int_equal(rig->p->limbo_count, in_limbo);
    assert_true(rig->pub.ring->horizon >= rig->p->committed);
    assert_true(rig->p->committed <= rig->p->writer.tail);
    assert_true(rig->p->writer.tail - rig->p->committed <= N);
}

static void test_reclaim__no_readers__frees_all(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 0, FIRST);
    publish(&rig, N);
    assert_false(lsi_publication_has_entry(rig.p, 0));
    assert_int_equal(lsi_reclaim(rig.p, 1), N);
    check(&rig, 0, 0);
    assert_int_equal(rig.pub.ring->horizon, FIRST + N);
    lst_pub_free(&rig.pub);
}

static void test_reclaim__entries_are_used_up__loans_count_too(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 0, FIRST);
    publish(&rig, N - 2);
    assert_true(lsi_publication_has_entry(rig.p, 1));
    assert_false(lsi_publication_has_entry(rig.p, 2));
    lst_pub_free(&rig.pub);
}

static void test_reclaim__slowest_reader__gates(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 2, FIRST);
    publish(&rig, N);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    lsi_cell_set_cursor(rig.pub.cells[0], FIRST + 6);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    lsi_cell_set_cursor(rig.pub.cells[1], FIRST + 3);
    assert_int_equal(lsi_publication_gate(rig.p), FIRST + 3);
    assert_int_equal(lsi_reclaim(rig.p, 4), 0); /* not worth it */
    assert_int_equal(lsi_reclaim(rig.p, 3), 3);
    check(&rig, N - 3, 0);
    assert_int_equal(rig.p->committed, FIRST + 3);
    lsi_cell_close(rig.pub.cells[1]);
    assert_int_equal(lsi_reclaim(rig.p, 1), 3);
    lsi_cell_close(rig.pub.cells[0]);
    assert_int_equal(lsi_reclaim(rig.p, 1), 2);
    check(&rig, 0, 0);
    lst_pub_free(&rig.pub);
}

static void test_reclaim__unset_cursor__gates_where_the_publisher_is(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 0, FIRST);
    publish(&rig, 5);
    assert_int_equal(lsi_reclaim(rig.p, 1), 5);
    lst_cell_new(&rig.pub, 0, HOLDS);
    lst_row_live(&rig.pub, 0, 0, 0, N, HOLDS);
    publish(&rig, 2);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    check(&rig, 2, 0);
    lst_row_state(&rig.pub, 0, LSHM_ROW_GONE);
    assert_int_equal(lsi_reclaim(rig.p, 1), 2);
    lst_pub_free(&rig.pub);
}

static void test_reclaim__history__is_kept(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 0, FIRST);
    rig.p->history = 3;
    publish(&rig, 3);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    publish(&rig, 1);
    assert_int_equal(lsi_reclaim(rig.p, 1), 1);
    rig.p->history = 6; /* more than what is left */
    publish(&rig, 1);
    assert_int_equal(lsi_reclaim(rig.p, 0), 0);
    check(&rig, 4, 0);
    lst_pub_free(&rig.pub);
}

static void test_reclaim__held__waits_in_limbo_until_dropped(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 1, FIRST);
    publish(&rig, 4);
    lsi_cell_hold(rig.pub.cells[0], 0, FIRST + 1, 0);
    lsi_cell_hold(rig.pub.cells[0], HOLDS - 1, FIRST + 3, 0);
    lsi_cell_set_cursor(rig.pub.cells[0], FIRST + 4);
    assert_int_equal(lsi_reclaim(rig.p, 1), 2);
    check(&rig, 0, 2);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0); /* an unchanged table still holds */
    check(&rig, 0, 2);
    lsi_cell_drop(rig.pub.cells[0], HOLDS - 1);
    assert_int_equal(lsi_reclaim(rig.p, 1), 1);
    lsi_cell_drop(rig.pub.cells[0], 0);
    assert_int_equal(lsi_reclaim(rig.p, 1), 1);
    check(&rig, 0, 0);
    lst_pub_free(&rig.pub);
}

static void test_reclaim__held_by_two__waits_for_both(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 2, FIRST);
    publish(&rig, 1);
    for (uint32_t i = 0; i < 2; i++) {
        lsi_cell_hold(rig.pub.cells[i], i, FIRST + 0, 0);
        lsi_cell_set_cursor(rig.pub.cells[i], FIRST + 1);
    }
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    check(&rig, 0, 1);
    lsi_cell_drop(rig.pub.cells[0], 0);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    lsi_cell_drop(rig.pub.cells[1], 1);
    assert_int_equal(lsi_reclaim(rig.p, 1), 1);
    check(&rig, 0, 0);
    lst_pub_free(&rig.pub);
}

static void test_reclaim__holder_is_gone__its_holds_are_too(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 1, FIRST);
    publish(&rig, 2);
    lsi_cell_hold(rig.pub.cells[0], 0, FIRST + 0, 0);
    lsi_cell_set_cursor(rig.pub.cells[0], FIRST + 1);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    check(&rig, 1, 1);
    lst_row_state(&rig.pub, 0, LSHM_ROW_GONE);
    assert_int_equal(lsi_reclaim(rig.p, 1), 2);
    check(&rig, 0, 0);
    lst_pub_free(&rig.pub);
}

static void test_reclaim__all_holds_of_all_readers__are_honoured(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 2, FIRST);
    publish(&rig, N);
    for (uint32_t i = 0; i < HOLDS; i++) {
        lsi_cell_hold(rig.pub.cells[0], i, FIRST + i, 0);
        lsi_cell_hold(rig.pub.cells[1], i, FIRST + HOLDS + i, 0);
    }
    lsi_cell_set_cursor(rig.pub.cells[0], FIRST + N);
    lsi_cell_set_cursor(rig.pub.cells[1], FIRST + N);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    check(&rig, 0, N);
    lst_pub_free(&rig.pub);
}

static void test_reclaim__garbage_in_the_table__pins_at_most_its_quota(void **state)
{
    static const uint64_t garbage[HOLDS] = { UINT64_MAX, 1ull << 63, FIRST + N + 1, FIRST + 2 };
    struct rig rig;

    (void)state;
    rig_init(&rig, 2, FIRST);
    publish(&rig, N);
    for (uint32_t i = 0; i < HOLDS; i++)
        lsi_cell_holds(rig.pub.cells[1])[i].seq_plus_1 = garbage[i];
    rig.pub.cells[1]->hold_version = UINT64_MAX;
    lsi_cell_close(rig.pub.cells[0]);
    lsi_cell_close(rig.pub.cells[1]);
    assert_int_equal(lsi_reclaim(rig.p, 1), N - 1);
    check(&rig, 0, 1); /* message 1 is named; number N is not published yet */
    publish(&rig, 2);
    assert_int_equal(lsi_reclaim(rig.p, 1), 1);
    check(&rig, 0, 2);
    rig.pub.cells[1]->hold_version = 0; /* goes back */
    for (uint32_t i = 0; i < HOLDS; i++)
        lsi_cell_holds(rig.pub.cells[1])[i].seq_plus_1 = 0;
    assert_int_equal(lsi_reclaim(rig.p, 1), 2);
    check(&rig, 0, 0);
    lst_pub_free(&rig.pub);
}

static void test_reclaim__cursor_is_beyond_the_tail__counts_as_the_tail(void **state)
{
    static const uint64_t cursors[] = { FIRST + N + 2, 1ull << 63, UINT64_MAX };
    struct rig rig;

    (void)state;
    for (size_t i = 0; i < sizeof cursors / sizeof cursors[0]; i++) {
        rig_init(&rig, 1, FIRST);
        publish(&rig, N);
        rig.pub.cells[0]->cursor = cursors[i];
        assert_int_equal(lsi_publication_gate(rig.p), FIRST + N);
        assert_int_equal(lsi_reclaim(rig.p, N + 1), 0); /* only so that the row is read */
        assert_int_equal(lsi_publication_gate_of(rig.p, &rig.p->roster.readers[0]), FIRST + N);
        assert_int_equal(lsi_reclaim(rig.p, 1), N);
        assert_int_equal(rig.p->committed, FIRST + N);
        assert_int_equal(rig.pub.ring->horizon, FIRST + N);
        publish(&rig, 1);
        check(&rig, 1, 0);
        lst_pub_free(&rig.pub);
    }
}

static void test_reclaim__cursor_goes_back__committed_does_not(void **state)
{
    static const uint64_t cursors[] = { FIRST + 4, FIRST + 1, LSHM_CURSOR_UNSET };
    struct rig rig;

    (void)state;
    rig_init(&rig, 1, FIRST);
    publish(&rig, N);
    lsi_cell_set_cursor(rig.pub.cells[0], FIRST + 6);
    assert_int_equal(lsi_reclaim(rig.p, 1), 6);
    for (size_t i = 0; i < sizeof cursors / sizeof cursors[0]; i++) {
        rig.pub.cells[0]->cursor = cursors[i];
        assert_int_equal(lsi_publication_gate(rig.p), FIRST + 6);
        assert_int_equal(lsi_reclaim(rig.p, 0), 0);
        assert_int_equal(lsi_reclaim(rig.p, 1), 0);
        assert_int_equal(rig.p->committed, FIRST + 6);
        assert_int_equal(rig.pub.ring->horizon, FIRST + 6);
        check(&rig, 2, 0);
    }
    lst_pub_free(&rig.pub);
}

static void test_reclaim__a_row_is_not_mapped__frees_nothing(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 1, FIRST);
    publish(&rig, 4);
    lsi_cell_hold(rig.pub.cells[0], 0, FIRST + 0, 0);
    lsi_cell_set_cursor(rig.pub.cells[0], FIRST + 2);
    assert_int_equal(lsi_reclaim(rig.p, 1), 1);
    check(&rig, 2, 1);
    rig.pub.unmapped_cell[1] = true;
    lst_cell_new(&rig.pub, 1, HOLDS);
    lst_row_live(&rig.pub, LSHM_ROSTER_ROWS, 1, 0, N, HOLDS);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    assert_false(lsi_publication_may_free(rig.p)); /* nobody has released anything */
    lsi_cell_drop(rig.pub.cells[0], 0);
    lsi_cell_set_cursor(rig.pub.cells[0], FIRST + 4);
    for (int i = 0; i < 3; i++)
        assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    check(&rig, 2, 1);
    rig.pub.unmapped_cell[1] = false;
    lsi_cell_join(rig.pub.cells[1], rig.pub.ring, FIRST + 3);
    assert_int_equal(lsi_reclaim(rig.p, 1), 2); /* the limbo and message 2 */
    check(&rig, 1, 0);
    lst_pub_free(&rig.pub);
}

static void test_reclaim__a_part_is_not_mapped__frees_nothing(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 1, FIRST);
    publish(&rig, 4);
    lsi_cell_set_cursor(rig.pub.cells[0], FIRST + 4);
    rig.pub.mapped_parts = 2;
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    check(&rig, 4, 0);
    rig.pub.mapped_parts = 3;
    rig.pub.no_memory = true;
    lst_bump(&rig.pub);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    rig.pub.no_memory = false;
    assert_int_equal(lsi_reclaim(rig.p, 1), 4);
    lst_pub_free(&rig.pub);
}

static void test_reclaim__inline_messages__need_no_slot(void **state)
{
    struct lsi_descriptor d = { .flags = LSHM_ENTRY_INLINE };
    struct rig rig;

    (void)state;
    rig_init(&rig, 1, FIRST);
    for (uint32_t i = 0; i < N; i++)
        lsi_publication_publish(rig.p, &d, "", LSI_SLOT_NONE);
    assert_false(lsi_publication_has_entry(rig.p, 0));
    lsi_cell_set_cursor(rig.pub.cells[0], FIRST + N);
    assert_int_equal(lsi_reclaim(rig.p, 1), 0);
    assert_int_equal(rig.p->committed, FIRST + N);
    assert_true(lsi_publication_has_entry(rig.p, N - 1));
    check(&rig, 0, 0);
    lst_pub_free(&rig.pub);
}

static void test_reclaim__wanted__is_the_cursor_word_that_lets_gain_go(void **state)
{
    struct rig rig;
    uint64_t wanted;

    (void)state;
    rig_init(&rig, 1, FIRST);
    publish(&rig, N);
    assert_int_equal(lsi_reclaim(rig.p, 2), 0);
    wanted = lsi_publication_wanted(rig.p, 2);
    assert_int_equal(wanted, FIRST + 3);
    lsi_cell_set_cursor(rig.pub.cells[0], FIRST + 1);
    assert_true(rig.pub.cells[0]->cursor < wanted);
    assert_int_equal(lsi_reclaim(rig.p, 2), 0);
    lsi_cell_set_cursor(rig.pub.cells[0], FIRST + 2);
    assert_int_equal(rig.pub.cells[0]->cursor, wanted);
    assert_int_equal(lsi_publication_wanted(rig.p, 2), 0);
    assert_int_equal(lsi_reclaim(rig.p, 2), 2);
    lst_pub_free(&rig.pub);
}

static void test_reclaim__numbers_past_32_bits__go_on(void **state)
{
    struct rig rig;
    uint64_t first = (1ull << 32) - 5;

    (void)state;
    rig_init(&rig, 1, first);
    for (uint64_t seq = first; seq < first + 3 * N; seq++) {
        publish(&rig, 1);
        lsi_cell_hold(rig.pub.cells[0], 0, seq, 0);
        lsi_cell_set_cursor(rig.pub.cells[0], seq + 1);
        lsi_reclaim(rig.p, 1);
        check(&rig, 0, 1);
    }
    lst_pub_free(&rig.pub);
}

static void test_flush__sleepers__are_signalled_with_their_generation(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 2, FIRST);
    publish(&rig, 2);
    lsi_publication_flush(rig.p);
    assert_int_equal(rig.pub.signals, 0); /* neither may block */
    assert_int_equal(rig.pub.ring->tail, FIRST + 2);
    lst_cell_new(&rig.pub, 2, HOLDS);
    lst_row_live(&rig.pub, 2, 2, LSHM_READER_MAY_BLOCK, N, HOLDS);
    rig.pub.sleep[0] = 5;
    rig.pub.sleep[2] = 6;
    lsi_publication_flush(rig.p);
    assert_int_equal(rig.pub.signals, 0); /* 6 is awake, 5 is not waited for */
    rig.pub.sleep[2] = 7;
    lsi_publication_flush(rig.p);
    assert_int_equal(rig.pub.signals, 1);
    assert_int_equal(rig.pub.signal_client, 2);
    assert_int_equal(rig.pub.signal_generation, 7);
    rig.pub.unmapped_cell[0] = true;
    lst_row_live(&rig.pub, 2, 0, LSHM_READER_MAY_BLOCK, N, HOLDS);
    lsi_publication_flush(rig.p); /* a new use of the row, its sleep word not mapped */
    assert_int_equal(rig.pub.signals, 1);
    lst_pub_free(&rig.pub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reclaim__no_readers__frees_all),
        cmocka_unit_test(test_reclaim__entries_are_used_up__loans_count_too),
        cmocka_unit_test(test_reclaim__slowest_reader__gates),
        cmocka_unit_test(test_reclaim__unset_cursor__gates_where_the_publisher_is),
        cmocka_unit_test(test_reclaim__history__is_kept),
        cmocka_unit_test(test_reclaim__held__waits_in_limbo_until_dropped),
        cmocka_unit_test(test_reclaim__held_by_two__waits_for_both),
        cmocka_unit_test(test_reclaim__holder_is_gone__its_holds_are_too),
        cmocka_unit_test(test_reclaim__all_holds_of_all_readers__are_honoured),
        cmocka_unit_test(test_reclaim__garbage_in_the_table__pins_at_most_its_quota),
        cmocka_unit_test(test_reclaim__cursor_is_beyond_the_tail__counts_as_the_tail),
        cmocka_unit_test(test_reclaim__cursor_goes_back__committed_does_not),
        cmocka_unit_test(test_reclaim__a_row_is_not_mapped__frees_nothing),
        cmocka_unit_test(test_reclaim__a_part_is_not_mapped__frees_nothing),
        cmocka_unit_test(test_reclaim__inline_messages__need_no_slot),
        cmocka_unit_test(test_reclaim__wanted__is_the_cursor_word_that_lets_gain_go),
        cmocka_unit_test(test_reclaim__numbers_past_32_bits__go_on),
        cmocka_unit_test(test_flush__sleepers__are_signalled_with_their_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
