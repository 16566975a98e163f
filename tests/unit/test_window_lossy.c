/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window of a reader that does not gate: how far it announces, what it passes, what it keeps.
 * tests/sim has the publisher that is always faster.
 * covers: Y1 R1 R2 R3
 */
#include "window_rig.h"

#define AHEAD 8u
#define NEVER UINT64_MAX

/* Announces `count`; returns how many were lost. */
static uint64_t announce(struct rig *rig, uint64_t count)
{
    uint64_t lost = NEVER, position = rig->w->position;

    assert_int_equal(lsi_window_announce(rig->w, rig->pub.ring, 0, NEVER, count, 0, &lost),
                     LSI_ANNOUNCED);
    check(rig);
    assert_int_equal(rig->w->position, position + lost);
    assert_int_equal(rig->cell->borrow, rig->w->mark);
    return lost;
}

static void test_announce__few__reaches_eight_ahead(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 32, 0, 100);
    assert_int_equal(rig.cell->borrow, 0);
    assert_int_equal(announce(&rig, 1), 0);
    assert_int_equal(rig.cell->borrow, 100 + AHEAD);
    assert_int_equal(announce(&rig, AHEAD), 0);
    assert_int_equal(rig.cell->borrow, 100 + AHEAD);
    assert_int_equal(announce(&rig, AHEAD + 1), 0);
    assert_int_equal(rig.cell->borrow, 100 + AHEAD + 1);
    assert_int_equal(rig.cell->cursor, 100 + 1);
    rig_free(&rig);
}

static void test_announce__small_window__reaches_its_end(void **state)
{
    uint32_t samples[3];
    struct rig rig;

    (void)state;
    rig_init(&rig, 4, 0, 100);
    assert_int_equal(announce(&rig, 100), 0);
    assert_int_equal(rig.cell->borrow, 100 + 4);
    for (int i = 0; i < 3; i++)
        samples[i] = take(&rig);
    assert_int_equal(announce(&rig, 1), 0);
    assert_int_equal(rig.cell->borrow, 100 + 4);
    release(&rig, samples[0]);
    release(&rig, samples[1]);
    assert_int_equal(announce(&rig, 1), 0);
    assert_int_equal(rig.cell->borrow, 102 + 4);
    release(&rig, samples[2]);
    rig_free(&rig);
}

static void test_announce__fewer_than_before__mark_stays(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 32, 0, 100);
    assert_int_equal(announce(&rig, 20), 0);
    assert_int_equal(announce(&rig, 1), 0);
    assert_int_equal(rig.cell->borrow, 120);
    rig.pub.ring->horizon = 110;
    assert_int_equal(announce(&rig, 1), 10);
    assert_int_equal(rig.cell->borrow, 120);
    assert_int_equal(rig.cell->cursor, 110 + 1);
    rig_free(&rig);
}

static void test_announce__horizon_is_past_it__announces_again_from_there(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 4, 0, 100);
    rig.pub.ring->horizon = 100;
    assert_int_equal(announce(&rig, 1), 0);
    rig.pub.ring->horizon = 150;
    assert_int_equal(announce(&rig, 1), 50);
    assert_int_equal(rig.cell->cursor, 150 + 1);
    assert_int_equal(rig.cell->borrow, 150 + 4);
    rig.pub.ring->horizon = 149; /* pulled back: what was given up stays so */
    assert_int_equal(announce(&rig, 1), 0);
    assert_int_equal(rig.cell->cursor, 150 + 1);
    rig_free(&rig);
}

static void test_announce__samples_are_out__become_holds(void **state)
{
    uint32_t samples[4];
    struct rig rig;

    (void)state;
    rig_init(&rig, 8, 2, 100);
    assert_int_equal(announce(&rig, 8), 0);
    for (int i = 0; i < 3; i++)
        samples[i] = take(&rig);
    lsi_window_skip(rig.w);
    samples[3] = lsi_window_add(rig.w, true); /* a copy */
    lsi_window_release(rig.w, samples[1]);
    rig.pub.ring->horizon = 200;
    assert_int_equal(announce(&rig, 1), 200 - 105);
    assert_true(is_held(&rig, 100) && is_held(&rig, 102));
    assert_int_equal(rig.w->samples[samples[3]].state, LSI_SAMPLE_COPIED);
    assert_int_equal(rig.cell->hold_version, LST_COUNTER_START + 2);
    assert_int_equal(lsi_window_out(rig.w), 3);
    release(&rig, samples[0]);
    release(&rig, samples[2]);
    release(&rig, samples[3]);
    assert_int_equal(rig.w->cursor, 200);
    rig_free(&rig);
}

static void test_announce__holds_do_not_suffice__nothing_changes(void **state)
{
    uint64_t lost = NEVER;
    uint32_t samples[3];
    struct rig rig;

    (void)state;
    rig_init(&rig, 8, 2, 100);
    assert_int_equal(announce(&rig, 3), 0);
    for (int i = 0; i < 3; i++)
        samples[i] = take(&rig);
    rig.pub.ring->horizon = 102; /* within what was announced */
    assert_int_equal(announce(&rig, 1), 0);
    rig.pub.ring->horizon = 104;
    assert_int_equal(lsi_window_announce(rig.w, rig.pub.ring, 0, NEVER, 1, 0, &lost),
                     LSI_ANNOUNCE_HELD);
    assert_int_equal(lost, 0);
    check(&rig);
    assert_int_equal(rig.cell->cursor, 100 + 1);
    assert_int_equal(rig.w->position, 103);
    assert_int_equal(rig.cell->hold_version, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rig.w->samples[samples[i]].state, LSI_SAMPLE_WINDOW);
    release(&rig, samples[1]); /* 100 becomes a hold */
    assert_int_equal(announce(&rig, 1), 1);
    assert_true(is_held(&rig, 100) && is_held(&rig, 102));
    release(&rig, samples[0]);
    release(&rig, samples[2]);
    rig_free(&rig);
}

static void test_announce__mark_came_too_late__nothing_behind_it_is_sure(void **state)
{
    uint64_t lost = NEVER;
    uint32_t samples[4];
    struct rig rig;

    (void)state;
    rig_init(&rig, 4, 0, 100);
    assert_int_equal(rig.w->sure, 100);
    assert_int_equal(announce(&rig, 1), 0);
    assert_int_equal(rig.w->sure, 104);
    for (int i = 0; i < 4; i++)
        samples[i] = take(&rig);
    release(&rig, samples[0]);
    release(&rig, samples[1]);
    rig.pub.ring->horizon = 105;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(lsi_window_announce(rig.w, rig.pub.ring, 0, NEVER, 1, 0, &lost),
                         LSI_ANNOUNCE_HELD);
        check(&rig);
        assert_int_equal(rig.cell->borrow, 106);
        assert_int_equal(rig.w->sure, 104); /* 104 may be gone; 102 and 103 are not */
    }
    release(&rig, samples[2]);
    release(&rig, samples[3]);
    assert_int_equal(announce(&rig, 1), 1);
    assert_int_equal(rig.w->sure, 105 + 4);
    rig_free(&rig);
}

static void test_announce__floor_and_end__limit_what_is_passed(void **state)
{
    /* floor, end, horizon: where to */
    static const uint64_t cases[][4] = {
        { 0, 150, 140, 140 },       { 120, 150, 110, 120 }, { 120, 150, 130, 130 },
        { 0, 150, 151, 150 },       { 0, 150, NEVER, 150 }, { NEVER, 150, 0, 150 },
        { 0, 100, NEVER, 100 },     { 0, 50, NEVER, 100 },  { 99, 150, 99, 100 },
        { NEVER, LSI_SEQ_MAX, NEVER, LSI_SEQ_MAX },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t lost = NEVER;
        struct rig rig;

        rig_init(&rig, 4, 1, 100);
        rig.pub.ring->horizon = cases[i][2];
        assert_int_equal(lsi_window_announce(rig.w, rig.pub.ring, cases[i][0], cases[i][1], 4, 0,
                                             &lost),
                         LSI_ANNOUNCED);
        check(&rig);
        assert_int_equal(rig.w->position, cases[i][3]);
        assert_int_equal(lost, cases[i][3] - 100);
        assert_int_equal(rig.cell->cursor, cases[i][3] + 1);
        assert_int_equal(rig.cell->borrow, cases[i][3] + 4);
        rig_free(&rig);
    }
}

static void test_skip_to__samples_are_out__become_holds(void **state)
{
    uint32_t samples[2];
    struct rig rig;

    (void)state;
    rig_init(&rig, 4, 2, 100);
    assert_true(lsi_window_skip_to(rig.w, 100, 0));
    assert_int_equal(rig.cell->cursor, 100 + 1);
    samples[0] = take(&rig);
    samples[1] = take(&rig);
    assert_true(lsi_window_skip_to(rig.w, 102, 0)); /* nothing is given up */
    check(&rig);
    assert_true(is_held(&rig, 100) && is_held(&rig, 101));
    assert_int_equal(rig.cell->cursor, 102 + 1);
    take(&rig);
    assert_false(lsi_window_skip_to(rig.w, 1000, 0));
    check(&rig);
    assert_int_equal(rig.w->position, 103);
    assert_int_equal(rig.cell->cursor, 102 + 1);
    release(&rig, samples[1]);
    assert_true(lsi_window_skip_to(rig.w, 1000, 0));
    check(&rig);
    assert_true(is_held(&rig, 100) && is_held(&rig, 102));
    assert_int_equal(rig.cell->cursor, 1000 + 1);
    rig_free(&rig);
}

static void test_skip_to__all_released__needs_no_hold(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, 4, 0, 0);
    for (int i = 0; i < 4; i++)
        lsi_window_release(rig.w, take(&rig)); /* not settled */
    assert_true(lsi_window_skip_to(rig.w, 9, 0));
    check(&rig);
    assert_int_equal(rig.w->released_ahead, 0);
    assert_int_equal(rig.cell->cursor, 9 + 1);
    for (uint64_t seq = 9; seq < 13; seq++)
        release(&rig, take(&rig));
    assert_int_equal(rig.cell->cursor, 13 + 1);
    rig_free(&rig);
}

struct stroll {
    struct rig rig;
    uint32_t out[64], outs;
    uint64_t taken, passed, lost, refused;
};

/* One step of a reader and its publisher, any there is. */
static void step(struct stroll *s)
{
    struct lsi_window *w = s->rig.w;
    long dice = random() % 100;
    uint64_t lost;
    int r;

    if (dice < 10)
        s->rig.pub.ring->horizon = w->position + (uint64_t)random() % 6;
    if (dice < 50 && lsi_window_make_room(w, 0)) {
        r = lsi_window_announce(w, s->rig.pub.ring, 0, NEVER, 1 + (uint64_t)random() % 12, 0,
                                &lost);
        s->lost += lost;
        s->refused += r == LSI_ANNOUNCE_HELD;
        assert_int_not_equal(r, LSI_ANNOUNCE_AGAIN); /* nobody was faster */
        for (long k = r > 0 ? dice % 4 : 0; k > 0 && w->position < w->sure && w->free_count; k--) {
            assert_true(w->position >= s->rig.pub.ring->horizon);
            if (dice % 7 == 0) {
                lsi_window_skip(w);
                s->passed++;
                continue;
            }
            s->out[s->outs++] = lsi_window_add(w, dice % 5 == 0);
            s->taken++;
        }
    } else if (s->outs > 0) {
        uint32_t at = (uint32_t)random() % s->outs;

        lsi_window_release(w, s->out[at]);
        s->out[at] = s->out[--s->outs];
    }
    if (dice % 3 == 0)
        lsi_window_settle(w, 0);
    check(&s->rig);
    assert_int_equal(s->taken + s->passed + s->lost, w->position);
}

static void test_window__random_order_of_a_lossy_reader__every_message_is_accounted(void **state)
{
    uint64_t refused = 0, lost = 0;

    (void)state;
    srandom(12);
    for (uint32_t size = 1; size <= 12; size++) {
        for (uint32_t holds = 0; holds <= 5; holds++) {
            struct stroll s = { .taken = 0 };

            rig_init(&s.rig, size, holds, 0);
            for (int i = 0; i < 2000; i++)
                step(&s);
            while (s.outs > 0)
                release(&s.rig, s.out[--s.outs]);
            lsi_window_settle(s.rig.w, 0);
            assert_int_equal(s.rig.w->cursor, s.rig.w->position);
            refused += s.refused;
            lost += s.lost;
            rig_free(&s.rig);
        }
    }
    assert_true(refused > 0 && lost > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_announce__few__reaches_eight_ahead),
        cmocka_unit_test(test_announce__small_window__reaches_its_end),
        cmocka_unit_test(test_announce__fewer_than_before__mark_stays),
        cmocka_unit_test(test_announce__horizon_is_past_it__announces_again_from_there),
        cmocka_unit_test(test_announce__samples_are_out__become_holds),
        cmocka_unit_test(test_announce__holds_do_not_suffice__nothing_changes),
        cmocka_unit_test(test_announce__mark_came_too_late__nothing_behind_it_is_sure),
        cmocka_unit_test(test_announce__floor_and_end__limit_what_is_passed),
        cmocka_unit_test(test_skip_to__samples_are_out__become_holds),
        cmocka_unit_test(test_skip_to__all_released__needs_no_hold),
        cmocka_unit_test(test_window__random_order_of_a_lossy_reader__every_message_is_accounted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
