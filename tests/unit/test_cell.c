/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader's cell, by one thread: the words after each operation, and joins against any horizon.
 * covers: J1 R1 R2 R3 W2 W3
 */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "core/cell.h"

#define HOLDS 8u

static struct lshm_cell *cell_new(uint32_t holds, int fill)
{
    size_t bytes = (size_t)lsi_cell_lines(holds) * LSHM_LINE_BYTES;
    struct lshm_cell *cell = aligned_alloc(LSHM_LINE_BYTES, bytes);

    assert_non_null(cell);
    memset(cell, fill, bytes);
    return cell;
}

static void test_cell__any_number_of_holds__lines_have_room_for_just_them(void **state)
{
    (void)state;
    for (uint32_t holds = 0; holds <= LSHM_HOLDS_MAX; holds++) {
        uint64_t need = sizeof(struct lshm_cell) + holds * sizeof(struct lshm_hold);
        uint64_t have = (uint64_t)lsi_cell_lines(holds) * LSHM_LINE_BYTES;

        assert_true(have >= need && have - need < LSHM_LINE_BYTES);
    }
}

static void test_cell__joins_at_or_past_the_horizon__starts_there(void **state)
{
    struct lshm_cell *cell = cell_new(0, 0);
    struct lshm_ring ring = { .horizon = 10 };

    (void)state;
    assert_int_equal(lsi_cell_join(cell, &ring, 10), 10);
    assert_int_equal(cell->cursor, 11);
    assert_int_equal(lsi_cell_join(cell, &ring, 12), 12);
    assert_int_equal(cell->cursor, 13);
    free(cell);
}

static void test_cell__joins_below_the_horizon__start_is_raised(void **state)
{
    struct lshm_cell *cell = cell_new(0, 0);
    struct lshm_ring ring = { .horizon = 10 };

    (void)state;
    assert_int_equal(lsi_cell_join(cell, &ring, 9), 10);
    assert_int_equal(cell->cursor, 11);
    assert_int_equal(lsi_cell_join(cell, &ring, 0), 10);
    assert_int_equal(cell->cursor, 11);
    free(cell);
}

static void test_cell__joins_a_fresh_ring__is_not_unset(void **state)
{
    struct lshm_cell *cell = cell_new(0, 0);
    struct lshm_ring ring = { 0 };

    (void)state;
    assert_int_equal(lsi_cell_join(cell, &ring, 0), 0);
    assert_int_not_equal(cell->cursor, LSHM_CURSOR_UNSET);
    free(cell);
}

static void test_cell__numbers_of_the_ring_lie__start_is_limited(void **state)
{
    static const uint64_t lies[] = { LSI_SEQ_MAX + 1, UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX };
    struct lshm_cell *cell = cell_new(0, 0);

    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct lshm_ring ring = { .horizon = lies[i] };

        assert_int_equal(lsi_cell_join(cell, &ring, 5), LSI_SEQ_MAX);
        assert_int_equal(cell->cursor, LSI_SEQ_MAX + 1);
        ring.horizon = 0;
        assert_int_equal(lsi_cell_join(cell, &ring, lies[i]), LSI_SEQ_MAX);
        assert_int_equal(cell->cursor, LSI_SEQ_MAX + 1);
    }
    free(cell);
}

static void test_cell__held_and_dropped__entry_and_version_tell(void **state)
{
    struct lshm_cell *cell = cell_new(HOLDS, 0);
    const struct lshm_hold *table = lsi_cell_holds_const(cell);
    uint64_t version = LST_COUNTER_START;

    (void)state;
    for (uint32_t i = 0; i < HOLDS; i++) {
        lsi_cell_hold(cell, i, i * 10, 100 + i);
        assert_int_equal(cell->hold_version, ++version);
        assert_int_equal(table[i].seq_plus_1, i * 10 + 1);
        assert_int_equal(table[i].since_ns, 100 + i);
    }
    lsi_cell_drop(cell, 3);
    assert_int_equal(cell->hold_version, ++version);
    for (uint32_t i = 0; i < HOLDS; i++)
        assert_int_equal(table[i].seq_plus_1, i == 3 ? 0 : i * 10 + 1);
    assert_int_equal(cell->cursor, LSHM_CURSOR_UNSET);
    free(cell);
}

static void test_cell__reset__is_as_fresh(void **state)
{
    struct lshm_cell *cell = cell_new(HOLDS, 0xff), *fresh = cell_new(HOLDS, 0);

    (void)state;
    memset(cell->reserved_24, 0, sizeof cell->reserved_24); /* zero in any cell */
    lsi_cell_reset(cell, HOLDS);
    assert_memory_equal(cell, fresh, (size_t)lsi_cell_lines(HOLDS) * LSHM_LINE_BYTES);
    free(cell);
    free(fresh);
}

static void test_cell__closed__has_the_largest_cursor(void **state)
{
    struct lshm_cell *cell = cell_new(0, 0);

    (void)state;
    lsi_cell_set_cursor(cell, 0);
    assert_int_equal(cell->cursor, 1);
    lsi_cell_close(cell);
    assert_int_equal(cell->cursor, LSHM_CURSOR_CLOSED);
    free(cell);
}

static void test_cell__publisher_waits__signals_only_at_its_cursor(void **state)
{
    struct lshm_cell *cell = cell_new(0, 0);
    struct lshm_ring ring = { .waiting = LSHM_WAITING_NONE, .waiting_generation = 77 };

    (void)state;
    assert_int_equal(lsi_cell_waited_for(cell, &ring), 0);
    ring.waiting = 21; /* wants message 20 to be let go of up to: cursor word 21 */
    assert_int_equal(lsi_cell_waited_for(cell, &ring), 0);
    lsi_cell_set_cursor(cell, 19);
    assert_int_equal(lsi_cell_waited_for(cell, &ring), 0);
    lsi_cell_set_cursor(cell, 20);
    assert_int_equal(lsi_cell_waited_for(cell, &ring), 77);
    lsi_cell_set_cursor(cell, 21);
    assert_int_equal(lsi_cell_waited_for(cell, &ring), 77);
    lsi_cell_close(cell);
    assert_int_equal(lsi_cell_waited_for(cell, &ring), 77);
    free(cell);
}

static void test_cell__publisher_lacks_a_slot__any_release_signals(void **state)
{
    struct lshm_cell *cell = cell_new(0, 0);
    struct lshm_ring ring = { .waiting = LSHM_WAITING_ANY, .waiting_generation = 3 };

    (void)state;
    assert_int_equal(lsi_cell_waited_for(cell, &ring), 3);
    lsi_cell_set_cursor(cell, 0);
    assert_int_equal(lsi_cell_waited_for(cell, &ring), 3);
    free(cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cell__any_number_of_holds__lines_have_room_for_just_them),
        cmocka_unit_test(test_cell__joins_at_or_past_the_horizon__starts_there),
        cmocka_unit_test(test_cell__joins_below_the_horizon__start_is_raised),
        cmocka_unit_test(test_cell__joins_a_fresh_ring__is_not_unset),
        cmocka_unit_test(test_cell__numbers_of_the_ring_lie__start_is_limited),
        cmocka_unit_test(test_cell__held_and_dropped__entry_and_version_tell),
        cmocka_unit_test(test_cell__reset__is_as_fresh),
        cmocka_unit_test(test_cell__closed__has_the_largest_cursor),
        cmocka_unit_test(test_cell__publisher_waits__signals_only_at_its_cursor),
        cmocka_unit_test(test_cell__publisher_lacks_a_slot__any_release_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
