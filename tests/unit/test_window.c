/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window: what is protected by the cursor, what becomes a hold, and what is refused at the
 * quotas. test_window_lossy.c has what a reader announces.
 * covers: R1 R2 R3
 */
#include "window_rig.h"

static void test_window__any_size__slots_are_the_next_power_of_two(void **state)
{
    (void)state;
    assert_int_equal(lsi_window_slots(1), 1);
    assert_int_equal(lsi_window_slots(2), 2);
    assert_int_equal(lsi_window_slots(3), 4);
    assert_int_equal(lsi_window_slots(LSHM_WINDOW_MAX - 1), LSHM_WINDOW_MAX);
    assert_int_equal(lsi_window_slots(LSHM_WINDOW_MAX), LSHM_WINDOW_MAX);
}

static void test_window__released_in_order__cursor_follows_without_holds(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 3, 2, 100);
    for (uint64_t seq = 100; seq < 200; seq++) {
        uint32_t sample = take(&rig);

        assert_int_equal(rig.w->samples[sample].seq, seq);
        release(&rig, sample);
        assert_int_equal(rig.cell->cursor, seq + 2);
    }
    assert_int_equal(rig.cell->hold_version, 0);
    rig_free(&rig);
}

static void test_window__quotas_used_up__refuses_one_more(void **state)
{
    struct rig rig;
    uint32_t samples[5];

    (void)state;
    rig_init(&rig, 3, 2, 0);
    for (int i = 0; i < 5; i++)
        samples[i] = take(&rig);
    assert_false(lsi_window_make_room(rig.w, 0));
    check(&rig);
    assert_true(is_held(&rig, 0) && is_held(&rig, 1));
    assert_int_equal(rig.cell->cursor, 2 + 1);
    release(&rig, samples[0]);
    assert_false(is_held(&rig, 0));
    samples[0] = take(&rig);
    assert_true(is_held(&rig, 2));
    assert_false(lsi_window_make_room(rig.w, 0));
    for (int i = 0; i < 5; i++)
        release(&rig, samples[i]);
    assert_int_equal(lsi_window_out(rig.w), 0);
    assert_int_equal(rig.cell->cursor, 6 + 1);
    rig_free(&rig);
}

static void test_window__younger_released__older_become_holds(void **state)
{
    struct rig rig;
    uint32_t samples[4];

    (void)state;
    rig_init(&rig, 4, 2, 0);
    for (int i = 0; i < 4; i++)
        samples[i] = take(&rig);
    release(&rig, samples[2]);
    assert_true(is_held(&rig, 0) && is_held(&rig, 1));
    assert_int_equal(rig.cell->cursor, 3 + 1);
    release(&rig, samples[0]);
    release(&rig, samples[1]);
    assert_int_equal(rig.cell->cursor, 3 + 1);
    release(&rig, samples[3]);
    assert_int_equal(rig.cell->cursor, 4 + 1);
    rig_free(&rig);
}

static void test_window__holds_do_not_suffice__cursor_waits_for_the_oldest(void **state)
{
    struct rig rig;
    uint32_t samples[4];

    (void)state;
    rig_init(&rig, 4, 2, 0);
    for (int i = 0; i < 4; i++)
        samples[i] = take(&rig);
    release(&rig, samples[3]); /* three older ones, two holds */
    assert_int_equal(rig.cell->cursor, 0 + 1);
    release(&rig, samples[1]); /* two older ones than 3 are left */
    assert_true(is_held(&rig, 0) && is_held(&rig, 2));
    assert_int_equal(rig.cell->cursor, 4 + 1);
    release(&rig, samples[0]);
    release(&rig, samples[2]);
    assert_int_equal(lsi_window_out(rig.w), 0);
    rig_free(&rig);
}

static void test_window__without_holds__window_is_all(void **state)
{
    struct rig rig;
    uint32_t samples[2];

    (void)state;
    rig_init(&rig, 2, 0, 0);
    samples[0] = take(&rig);
    samples[1] = take(&rig);
    assert_false(lsi_window_make_room(rig.w, 0));
    release(&rig, samples[1]);
    assert_int_equal(rig.cell->cursor, 0 + 1);
    assert_false(lsi_window_make_room(rig.w, 0)); /* the window is full with one out */
    release(&rig, samples[0]);
    assert_int_equal(rig.cell->cursor, 2 + 1);
    rig_free(&rig);
}

static void test_window__copies__pass_without_holds(void **state)
{
    struct rig rig;
    uint32_t samples[6];

    (void)state;
    rig_init(&rig, 4, 2, 0);
    for (int i = 0; i < 6; i++) {
        assert_true(lsi_window_make_room(rig.w, 0));
        samples[i] = lsi_window_add(rig.w, true);
        check(&rig);
    }
    assert_false(lsi_window_make_room(rig.w, 0)); /* B + H samples are out */
    assert_int_equal(rig.cell->cursor, 2 + 1);
    release(&rig, samples[5]);
    assert_int_equal(rig.cell->cursor, 6 + 1);
    for (int i = 0; i < 5; i++)
        release(&rig, samples[i]);
    assert_int_equal(rig.cell->hold_version, 0);
    rig_free(&rig);
}

static void test_window__invalid_messages_skipped__are_passed(void **state)
{
    struct rig rig;
    uint32_t sample;

    (void)state;
    rig_init(&rig, 4, 1, 0);
    lsi_window_skip(rig.w);
    lsi_window_settle(rig.w, 0);
    check(&rig);
    assert_int_equal(rig.cell->cursor, 1 + 1);
    sample = take(&rig);
    lsi_window_skip(rig.w);
    lsi_window_settle(rig.w, 0);
    check(&rig);
    assert_true(is_held(&rig, 1));
    assert_int_equal(rig.cell->cursor, 3 + 1);
    release(&rig, sample);
    rig_free(&rig);
}

static void test_window__full_of_skipped__has_room_without_settling(void **state)
{
    struct rig rig;
    uint32_t sample;

    (void)state;
    rig_init(&rig, 4, 1, 0);
    for (int i = 0; i < 20; i++) {
        assert_true(lsi_window_make_room(rig.w, 0));
        lsi_window_skip(rig.w);
    }
    check(&rig);
    sample = take(&rig);
    for (int i = 0; i < 3; i++)
        lsi_window_skip(rig.w);
    check(&rig);
    assert_true(lsi_window_make_room(rig.w, 0));
    assert_true(is_held(&rig, 20));
    release(&rig, sample);
    rig_free(&rig);
}

static void test_window__full_of_released__has_room_without_settling(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 4, 0, 0);
    for (int i = 0; i < 4; i++)
        take(&rig);
    for (uint32_t i = 0; i < 4; i++)
        lsi_window_release(rig.w, i);
    assert_true(lsi_window_make_room(rig.w, 0));
    check(&rig);
    assert_int_equal(rig.cell->cursor, 4 + 1);
    rig_free(&rig);
}

static void test_window__oldest_released__cursor_goes_on(void **state)
{
    uint32_t samples[3];
    struct rig rig;

    (void)state;
    rig_init(&rig, 4, 1, 0);
    for (int i = 0; i < 3; i++)
        samples[i] = take(&rig);
    assert_false(lsi_window_release_oldest(rig.w, samples[1]));
    assert_true(lsi_window_release_oldest(rig.w, samples[0]));
    assert_int_equal(rig.w->cursor, 1);
    assert_int_equal(rig.w->samples[samples[0]].state, LSI_SAMPLE_FREE);
    lsi_window_release(rig.w, samples[2]);
    assert_false(lsi_window_release_oldest(rig.w, samples[1])); /* 2 would stay behind */
    lsi_window_release(rig.w, samples[1]);
    assert_true(lsi_window_settle(rig.w, 0));
    check(&rig);
    assert_int_equal(rig.cell->cursor, 3 + 1);
    rig_free(&rig);
}

static void test_window__held__is_not_the_oldest(void **state)
{
    uint32_t samples[3];
    struct rig rig;

    (void)state;
    rig_init(&rig, 2, 1, 0);
    for (int i = 0; i < 3; i++) {
        assert_true(lsi_window_make_room(rig.w, 0));
        samples[i] = take(&rig);
    }
    assert_true(is_held(&rig, 0));
    assert_false(lsi_window_release_oldest(rig.w, samples[0]));
    release(&rig, samples[0]);
    rig_free(&rig);
}

static void test_window__nothing_released__settle_tells_nothing(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 4, 1, 0);
    assert_false(lsi_window_settle(rig.w, 0));
    take(&rig);
    assert_false(lsi_window_settle(rig.w, 0));
    check(&rig);
    rig_free(&rig);
}

static void test_window__released__token_is_good_once(void **state)
{
    struct rig rig;
    uint32_t sample, generation;

    (void)state;
    rig_init(&rig, 1, 0, 0);
    sample = take(&rig);
    generation = rig.w->samples[sample].generation;
    release(&rig, sample);
    assert_int_equal(take(&rig), sample);
    assert_int_not_equal(rig.w->samples[sample].generation, generation);
    rig_free(&rig);
}

static void test_window__at_the_last_number__goes_on(void **state)
{
    struct rig rig;
    uint32_t samples[6];

    (void)state;
    rig_init(&rig, 4, 2, LSI_SEQ_MAX);
    for (int i = 0; i < 6; i++)
        samples[i] = take(&rig);
    for (int i = 5; i >= 0; i--)
        release(&rig, samples[i]);
    assert_int_equal(rig.cell->cursor, LSI_SEQ_MAX + 7);
    rig_free(&rig);
}

/* Any order of take, skip and release, at many quotas: check() after each. */
static void test_window__random_order__is_always_protected(void **state)
{
    (void)state;
    srandom(11);
    for (uint32_t size = 1; size <= 9; size++) {
        for (uint32_t holds = 0; holds <= 5; holds++) {
            uint32_t out[16], outs = 0;
            struct rig rig;

            rig_init(&rig, size, holds, 0);
            for (int step = 0; step < 2000; step++) {
                long dice = random() % 100;

                if (dice < 45 && lsi_window_make_room(rig.w, 0)) {
                    out[outs++] = lsi_window_add(rig.w, dice % 4 == 0);
                } else if (dice < 50 && lsi_window_make_room(rig.w, 0)) {
                    lsi_window_skip(rig.w);
                } else if (outs > 0) {
                    uint32_t at = (uint32_t)random() % outs;

                    if (!lsi_window_release_oldest(rig.w, out[at]))
                        lsi_window_release(rig.w, out[at]);
                    else
                        lsi_cell_set_cursor(rig.cell, rig.w->cursor);
                    out[at] = out[--outs];
                }
                if (dice % 3 == 0)
                    lsi_window_settle(rig.w, 0);
                check(&rig);
            }
            while (outs > 0)
                release(&rig, out[--outs]);
            lsi_window_settle(rig.w, 0);
            check(&rig);
            assert_int_equal(rig.w->cursor, rig.w->position);
            rig_free(&rig);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window__any_size__slots_are_the_next_power_of_two),
        cmocka_unit_test(test_window__released_in_order__cursor_follows_without_holds),
        cmocka_unit_test(test_window__quotas_used_up__refuses_one_more),
        cmocka_unit_test(test_window__younger_released__older_become_holds),
        cmocka_unit_test(test_window__holds_do_not_suffice__cursor_waits_for_the_oldest),
        cmocka_unit_test(test_window__without_holds__window_is_all),
        cmocka_unit_test(test_window__copies__pass_without_holds),
        cmocka_unit_test(test_window__invalid_messages_skipped__are_passed),
        cmocka_unit_test(test_window__full_of_skipped__has_room_without_settling),
        cmocka_unit_test(test_window__full_of_released__has_room_without_settling),
        cmocka_unit_test(test_window__oldest_released__cursor_goes_on),
        cmocka_unit_test(test_window__held__is_not_the_oldest),
        cmocka_unit_test(test_window__nothing_released__settle_tells_nothing),
        cmocka_unit_test(test_window__released__token_is_good_once),
        cmocka_unit_test(test_window__at_the_last_number__goes_on),
        cmocka_unit_test(test_window__random_order__is_always_protected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
