/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The roster: rows in all parts, rows used again, rows whose cells or parts are not mapped yet.
 * covers: G5 G6 G7 G8
 */
#include "core_rig.h"

#define FIRST_OF_PART1 LSHM_ROSTER_ROWS
#define FIRST_OF_PART2 (3 * LSHM_ROSTER_ROWS)

static struct lsi_roster *rig_init(struct lst_pub *pub, uint32_t cells)
{
    lst_pub_init(pub, 4, 64, 4, 0);
    for (uint32_t i = 0; i < cells; i++)
        lst_cell_new(pub, i, 8);
    return &pub->publication.roster;
}

static bool is_active(const struct lsi_roster *roster, uint32_t row)
{
    for (uint32_t i = 0; i < roster->active_count; i++) {
        if (roster->active[i] == row)
            return true;
    }
    return false;
}

static void test_roster__has_no_parts__has_no_readers(void **state)
{
    struct lst_pub pub;
    struct lsi_roster *roster = rig_init(&pub, 0);

    (void)state;
    assert_false(lsi_roster_changed(roster));
    assert_int_equal(lsi_roster_sync(roster), 0);
    assert_int_equal(roster->active_count, 0);
    lst_pub_free(&pub);
}

static void test_roster__row_goes_live__is_attached_once_with_its_record(void **state)
{
    struct lst_pub pub;
    struct lsi_roster *roster = rig_init(&pub, 1);
    const struct lsi_reader *reader;

    (void)state;
    lst_parts(&pub, 1);
    lst_row_live(&pub, 3, 0, LSHM_READER_MAY_BLOCK, 7, 8);
    assert_true(lsi_roster_changed(roster));
    assert_int_equal(lsi_roster_sync(roster), 0);
    assert_false(lsi_roster_changed(roster));
    assert_int_equal(roster->active_count, 1);
    assert_int_equal(roster->active[0], 3);
    assert_int_equal(roster->blockers, 1);
    assert_int_equal(roster->kept_max, 8);
    reader = &roster->readers[3];
    assert_ptr_equal(reader->cell, pub.cells[0]);
    assert_int_equal(reader->state,
                     (LSI_COUNTER_START(56) + 1) << LSHM_ROW_GENERATION_SHIFT | LSHM_ROW_LIVE);
    assert_int_equal(reader->client, 0);
    assert_int_equal(reader->link, 1000);
    assert_int_equal(reader->window, 7);
    lst_bump(&pub);
    assert_int_equal(lsi_roster_sync(roster), 0);
    assert_int_equal(pub.attached, 1);
    assert_int_equal(roster->active_count, 1);
    assert_int_equal(roster->kept_max, 8);
    lst_pub_free(&pub);
}

static void test_roster__generation_is_zero__row_counts(void **state)
{
    struct lst_pub pub;
    struct lsi_roster *roster = rig_init(&pub, 1);

    (void)state;
    lst_parts(&pub, 1);
    lst_row_live(&pub, 0, 0, 0, 4, 8);
    lst_row(&pub, 0)->state = LSHM_ROW_LIVE;
    assert_int_equal(lsi_roster_sync(roster), 0);
    assert_int_equal(roster->active_count, 1);
    assert_int_equal(pub.attached, 1);
    lst_pub_free(&pub);
}

static void test_roster__each_row_state__counts_or_not(void **state)
{
    static const uint64_t counting[] = { LSHM_ROW_LIVE, LSHM_ROW_EVICTED, LSHM_ROW_ORPHAN };
    static const uint64_t others[] = { LSHM_ROW_GONE, LSHM_ROW_FREE, 5, 255 };
    struct lst_pub pub;
    struct lsi_roster *roster = rig_init(&pub, 1);

    (void)state;
    lst_parts(&pub, 1);
    lst_row_live(&pub, 0, 0, 0, 4, 8);
    for (size_t i = 0; i < sizeof counting / sizeof counting[0]; i++) {
        lst_row_state(&pub, 0, counting[i]);
        assert_int_equal(lsi_roster_sync(roster), 0);
        assert_int_equal(roster->active_count, 1);
        assert_int_equal(pub.attached, 1);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        lst_row_live(&pub, 0, 0, 0, 4, 8);
        assert_int_equal(lsi_roster_sync(roster), 0);
        assert_int_equal(pub.attached, 1);
        lst_row_state(&pub, 0, others[i]);
        assert_int_equal(lsi_roster_sync(roster), 0);
        assert_int_equal(roster->active_count, 0);
        assert_int_equal(roster->kept_max, 0);
        assert_int_equal(pub.attached, 0);
    }
    lst_pub_free(&pub);
}

static void test_roster__readers_that_do_not_gate__their_windows_are_added(void **state)
{
    /* flags, state: what it adds to kept_max (B 4, H 8, N 4), whether its window pins */
    static const struct {
        uint32_t flags;
        uint64_t state;
        uint32_t kept, pins;
    } rows[] = {
        { 0, LSHM_ROW_LIVE, 8, 0 },
        { LSHM_READER_EVICTABLE, LSHM_ROW_LIVE, 8, 0 },
        { LSHM_READER_LOSSY, LSHM_ROW_ORPHAN, 8, 0 },
        { LSHM_READER_LOSSY, LSHM_ROW_GONE, 0, 0 },
        { LSHM_READER_LOSSY, LSHM_ROW_LIVE, 8 + 4, 1 },
        { 0, LSHM_ROW_EVICTED, 8 + 4, 1 },
        { LSHM_READER_EVICTABLE, LSHM_ROW_EVICTED, 8 + 4 + 4, 1 },
    };
    struct lst_pub pub;
    struct lsi_roster *roster = rig_init(&pub, 7);
    uint32_t kept = 0, pins = 0;

    (void)state;
    lst_parts(&pub, 1);
    for (uint32_t i = 0; i < 7; i++) {
        lst_row_live(&pub, i, i, rows[i].flags, 4, 8);
        lst_row_state(&pub, i, rows[i].state);
        assert_int_equal(lsi_roster_sync(roster), 0);
        kept += rows[i].kept;
        pins += rows[i].pins;
        assert_int_equal(roster->kept_max, kept);
        assert_int_equal(roster->pinning, pins);
        assert_int_equal(roster->has_lapped, pins > 0);
        assert_true(pub.publication.kept.mask + 1 >= 2 * kept);
    }
    for (uint32_t i = 0; i < 7; i++)
        lst_row_state(&pub, i, LSHM_ROW_GONE);
    assert_int_equal(lsi_roster_sync(roster), 0);
    assert_int_equal(roster->kept_max, 0);
    assert_int_equal(roster->pinning, 0);
    assert_true(roster->has_lapped); /* for ever */
    lst_pub_free(&pub);
}

static void test_roster__same_row_new_generation__private_state_is_dropped(void **state)
{
    struct lst_pub pub;
    struct lsi_roster *roster = rig_init(&pub, 2);

    (void)state;
    lst_parts(&pub, 1);
    lst_row_live(&pub, 0, 0, LSHM_READER_MAY_BLOCK, 4, 8);
    lsi_roster_sync(roster);
    roster->readers[0].hold_version = 99;
    roster->readers[0].held_count = 1;
    lst_row_state(&pub, 0, LSHM_ROW_GONE);
    lst_row_live(&pub, 0, 1, 0, 2, 1); /* both changes between two looks */
    assert_int_equal(lsi_roster_sync(roster), 0);
    assert_ptr_equal(roster->readers[0].cell, pub.cells[1]);
    assert_int_equal(roster->readers[0].hold_version, 0);
    assert_int_equal(roster->readers[0].held_count, 0);
    assert_int_equal(roster->blockers, 0);
    assert_int_equal(roster->kept_max, 1);
    assert_int_equal(pub.attached, 1);
    lst_pub_free(&pub);
}

static void test_roster__rows_at_part_boundaries__are_all_found(void **state)
{
    static const uint32_t rows[] = { 0, FIRST_OF_PART1 - 1, FIRST_OF_PART1, FIRST_OF_PART2 - 1,
                                     FIRST_OF_PART2, LST_ROWS_MAX - 1 };
    struct lst_pub pub;
    struct lsi_roster *roster = rig_init(&pub, 6);
    static const uint32_t found[] = { 0, 2, 4, 6 };

    (void)state;
    for (uint32_t i = 0; i < 6; i++)
        lst_row_live(&pub, rows[i], i, 0, 4, 8);
    for (uint32_t parts = 0; parts <= 3; parts++) {
        lst_parts(&pub, parts);
        assert_int_equal(lsi_roster_sync(roster), 0);
        assert_int_equal(roster->active_count, found[parts]);
        for (uint32_t i = 0; i < found[parts]; i++) {
            assert_true(is_active(roster, rows[i]));
            assert_ptr_equal(roster->readers[rows[i]].cell, pub.cells[i]);
        }
    }
    lst_row_state(&pub, LST_ROWS_MAX - 1, LSHM_ROW_GONE);
    lst_row_live(&pub, LST_ROWS_MAX - 1, 0, 0, 4, 8);
    assert_int_equal(lsi_roster_sync(roster), 0);
    assert_int_equal(roster->active_count, 6);
    assert_ptr_equal(roster->readers[LST_ROWS_MAX - 1].cell, pub.cells[0]);
    lst_pub_free(&pub);
}

static void test_roster__all_rows_of_three_parts__are_counted(void **state)
{
    struct lst_pub pub;
    struct lsi_roster *roster = rig_init(&pub, LST_ROWS_MAX);

    (void)state;
    lst_parts(&pub, 3);
    for (uint32_t i = 0; i < LST_ROWS_MAX; i++)
        lst_row_live(&pub, i, i, 0, 4, 8);
    assert_int_equal(lsi_roster_sync(roster), 0);
    assert_int_equal(roster->active_count, LST_ROWS_MAX);
    assert_int_equal(roster->kept_max, 8 * LST_ROWS_MAX);
    for (uint32_t i = 0; i < LST_ROWS_MAX; i += 2)
        lst_row_state(&pub, i, LSHM_ROW_GONE);
    assert_int_equal(lsi_roster_sync(roster), 0);
    assert_int_equal(roster->active_count, LST_ROWS_MAX / 2);
    assert_int_equal(pub.attached, LST_ROWS_MAX / 2);
    lst_pub_free(&pub);
}

static void test_roster__cell_is_not_mapped__is_retried_without_a_new_version(void **state)
{
    struct lst_pub pub;
    struct lsi_roster *roster = rig_init(&pub, 2);

    (void)state;
    lst_parts(&pub, 1);
    lst_row_live(&pub, 0, 0, 0, 4, 8);
    lst_row_live(&pub, 1, 1, 0, 4, 8);
    pub.unmapped_cell[1] = true;
    for (int i = 0; i < 3; i++) {
        assert_true(lsi_roster_changed(roster));
        assert_int_equal(lsi_roster_sync(roster), 1);
    }
    assert_int_equal(pub.attached, 1);
    pub.unmapped_cell[1] = false;
    assert_true(lsi_roster_changed(roster));
    assert_int_equal(lsi_roster_sync(roster), 0);
    assert_false(lsi_roster_changed(roster));
    assert_int_equal(roster->active_count, 2);
    lst_pub_free(&pub);
}

static void test_roster__row_goes_before_it_was_mapped__is_forgotten(void **state)
{
    struct lst_pub pub;
    struct lsi_roster *roster = rig_init(&pub, 1);

    (void)state;
    lst_parts(&pub, 1);
    pub.unmapped_cell[0] = true;
    lst_row_live(&pub, 0, 0, 0, 4, 8);
    assert_int_equal(lsi_roster_sync(roster), 1);
    lst_row_state(&pub, 0, LSHM_ROW_GONE);
    assert_int_equal(lsi_roster_sync(roster), 0);
    assert_int_equal(roster->active_count, 0);
    assert_int_equal(pub.attached, 0);
    lst_pub_free(&pub);
}

static void test_roster__part_is_not_mapped__its_rows_are_missing_and_known(void **state)
{
    struct lst_pub pub;
    struct lsi_roster *roster = rig_init(&pub, 3);

    (void)state;
    lst_row_live(&pub, 0, 0, 0, 4, 8);
    lst_row_live(&pub, FIRST_OF_PART1, 1, 0, 4, 8);
    lst_row_live(&pub, FIRST_OF_PART2, 2, 0, 4, 8);
    lst_parts(&pub, 3);
    pub.mapped_parts = 1;
    assert_true(lsi_roster_sync(roster) > 0);
    assert_true(lsi_roster_changed(roster));
    assert_int_equal(roster->active_count, 1);
    pub.mapped_parts = 3;
    assert_int_equal(lsi_roster_sync(roster), 0);
    assert_int_equal(roster->active_count, 3);
    pub.mapped_parts = 2;
    lst_bump(&pub);
    assert_true(lsi_roster_sync(roster) > 0);
    lst_pub_free(&pub);
}

static void test_roster__no_memory__is_not_complete(void **state)
{
    struct lst_pub pub;
    struct lsi_roster *roster = rig_init(&pub, 1);

    (void)state;
    pub.no_memory = true;
    lst_parts(&pub, 1);
    lst_row_live(&pub, 0, 0, 0, 4, 8);
    assert_true(lsi_roster_sync(roster) > 0);
    assert_true(lsi_roster_changed(roster));
    pub.no_memory = false;
    pub.no_kept_memory = true; /* nor any hold that could be missed */
    assert_true(lsi_roster_sync(roster) > 0);
    assert_true(lsi_roster_changed(roster));
    pub.no_kept_memory = false;
    assert_int_equal(lsi_roster_sync(roster), 0);
    assert_int_equal(roster->active_count, 1);
    lst_pub_free(&pub);
}

static void test_roster__too_many_parts__counts_those_that_can_be(void **state)
{
    struct lst_pub pub;
    struct lsi_roster *roster = rig_init(&pub, 0);

    (void)state;
    lst_parts(&pub, UINT32_MAX);
    for (uint32_t k = LST_PARTS_MAX; k < LSHM_ROSTER_PARTS; k++)
        pub.record.roster[k].part = k;
    assert_true(lsi_roster_sync(roster) > 0); /* part 3 is not mapped; nothing beyond is read */
    lst_pub_free(&pub);
}

static void test_roster__cleared__detaches_everything(void **state)
{
    struct lst_pub pub;
    struct lsi_roster *roster = rig_init(&pub, 2);

    (void)state;
    lst_parts(&pub, 2);
    lst_row_live(&pub, 0, 0, 0, 4, 8);
    lst_row_live(&pub, FIRST_OF_PART1, 1, 0, 4, 8);
    lsi_roster_sync(roster);
    assert_int_equal(pub.attached, 2);
    lsi_roster_clear(roster);
    assert_int_equal(pub.attached, 0);
    assert_int_equal(roster->active_count, 0);
    lst_pub_free(&pub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roster__has_no_parts__has_no_readers),
        cmocka_unit_test(test_roster__row_goes_live__is_attached_once_with_its_record),
        cmocka_unit_test(test_roster__generation_is_zero__row_counts),
        cmocka_unit_test(test_roster__each_row_state__counts_or_not),
        cmocka_unit_test(test_roster__readers_that_do_not_gate__their_windows_are_added),
        cmocka_unit_test(test_roster__same_row_new_generation__private_state_is_dropped),
        cmocka_unit_test(test_roster__rows_at_part_boundaries__are_all_found),
        cmocka_unit_test(test_roster__all_rows_of_three_parts__are_counted),
        cmocka_unit_test(test_roster__cell_is_not_mapped__is_retried_without_a_new_version),
        cmocka_unit_test(test_roster__row_goes_before_it_was_mapped__is_forgotten),
        cmocka_unit_test(test_roster__part_is_not_mapped__its_rows_are_missing_and_known),
        cmocka_unit_test(test_roster__no_memory__is_not_complete),
        cmocka_unit_test(test_roster__too_many_parts__counts_those_that_can_be),
        cmocka_unit_test(test_roster__cleared__detaches_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
