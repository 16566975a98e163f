/* SPDX-License-Identifier: Apache-2.0 */
/* A publisher's slots: each in one state (I3), first in, first out, every loan a new generation. */
#include "core_rig.h"

#include <stdlib.h>

#define STATES 5u
#define SLOTS_MAX 64u

struct pool {
    struct lsi_slots slots;
    uint32_t free_fifo[SLOTS_MAX], generations[SLOTS_MAX];
    uint8_t states[SLOTS_MAX];
    uint64_t in_state[STATES];
};

static void pool_init(struct pool *pool, uint32_t count)
{
    *pool = (struct pool){ 0 };
    lsi_slots_init(&pool->slots, SLOTS_MAX, pool->free_fifo, pool->generations, pool->states,
                   pool->in_state);
    lsi_slots_add(&pool->slots, 0, 4096, 0, 0, count);
}

static void check_sums(const struct pool *pool)
{
    uint64_t counted[STATES] = { 0 };

    for (uint32_t i = 0; i < pool->slots.order_count; i++) {
        const struct lsi_slots_segment *segment = &pool->slots.segments[pool->slots.order[i]];

        for (uint32_t k = 0; k < segment->count; k++)
            counted[pool->states[segment->first + k]]++;
    }
    assert_memory_equal(counted, pool->in_state, sizeof counted);
    assert_int_equal(counted[LSHM_SLOT_FREE], pool->slots.free_count);
}

static void test_slots__fresh__are_free_and_in_order(void **state)
{
    struct pool pool;

    (void)state;
    pool_init(&pool, 3);
    check_sums(&pool);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(lst_slots_loan(&pool.slots), i);
    check_sums(&pool);
}

static void test_slots__all_loaned__none_until_one_is_free(void **state)
{
    struct pool pool;

    (void)state;
    pool_init(&pool, 2);
    assert_int_equal(lst_slots_loan(&pool.slots), 0);
    assert_int_equal(lst_slots_loan(&pool.slots), 1);
    assert_int_equal(lst_slots_loan(&pool.slots), LSI_SLOT_NONE);
    lsi_slots_free(&pool.slots, 1);
    assert_int_equal(lst_slots_loan(&pool.slots), 1);
    assert_int_equal(lst_slots_loan(&pool.slots), LSI_SLOT_NONE);
    check_sums(&pool);
}

static void test_slots__one__is_reused_with_new_generations(void **state)
{
    struct pool pool;

    (void)state;
    pool_init(&pool, 1);
    for (uint32_t i = 1; i < 100; i++) {
        assert_int_equal(lst_slots_loan(&pool.slots), 0);
        assert_int_equal(pool.generations[0], LSI_COUNTER_START(24) + i);
        lsi_slots_move(&pool.slots, 0, LSHM_SLOT_WINDOW);
        lsi_slots_move(&pool.slots, 0, LSHM_SLOT_LIMBO);
        check_sums(&pool);
        lsi_slots_free(&pool.slots, 0);
        check_sums(&pool);
    }
}

static void test_slots__freed_out_of_order__are_used_in_order_of_freeing(void **state)
{
    static const uint32_t order[] = { 3, 0, 4, 1, 2 };
    struct pool pool;

    (void)state;
    pool_init(&pool, 5);
    for (int lap = 0; lap < 4; lap++) {
        for (uint32_t i = 0; i < 5; i++)
            assert_true(lst_slots_loan(&pool.slots) < 5);
        for (uint32_t i = 0; i < 5; i++)
            lsi_slots_free(&pool.slots, order[i]);
        check_sums(&pool);
        for (uint32_t i = 0; i < 5; i++)
            assert_int_equal(lst_slots_loan(&pool.slots), order[i]);
        for (uint32_t i = 0; i < 5; i++)
            lsi_slots_free(&pool.slots, i);
    }
}

static void test_slots__random_moves__match_a_queue(void **state)
{
    uint32_t queue[SLOTS_MAX], first = 0, queued = SLOTS_MAX, out[SLOTS_MAX], outs = 0;
    struct pool pool;

    (void)state;
    srandom(7);
    pool_init(&pool, SLOTS_MAX);
    for (uint32_t i = 0; i < SLOTS_MAX; i++)
        queue[i] = i;
    for (int step = 0; step < 20000; step++) {
        if (random() % 2 == 0) {
            uint32_t slot = lst_slots_loan(&pool.slots);

            assert_int_equal(slot, queued == 0 ? LSI_SLOT_NONE : queue[first % SLOTS_MAX]);
            if (slot != LSI_SLOT_NONE) {
                out[outs++] = slot;
                first++;
                queued--;
            }
        } else if (outs > 0) {
            uint32_t at = (uint32_t)random() % outs, slot = out[at];

            out[at] = out[--outs];
            lsi_slots_free(&pool.slots, slot);
            queue[(first + queued++) % SLOTS_MAX] = slot;
        }
        check_sums(&pool);
    }
}

/* The smallest slots that fit, of the segment with the lowest number. */
static void test_slots__of_several_sizes__the_smallest_that_fits(void **state)
{
    struct pool pool;
    struct lsi_slots *slots = &pool.slots;

    (void)state;
    pool_init(&pool, 2);
    lsi_slots_add(slots, 5, 65536, 8200, 10, 1);
    lsi_slots_add(slots, 3, 4096, 0, 2, 3);
    lsi_slots_add(slots, 1, 8192, 0, 20, 2);
    check_sums(&pool);
    assert_int_equal(lsi_slots_find(slots, 0, true), 0);
    assert_int_equal(lsi_slots_find(slots, 4096, false), 0);
    assert_int_equal(lsi_slots_find(slots, 4097, true), 1);
    assert_int_equal(lsi_slots_find(slots, 8193, true), 5);
    assert_int_equal(lsi_slots_find(slots, 8200, false), 5);
    assert_int_equal(lsi_slots_find(slots, 65537, true), LSI_SLOT_NONE);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(lst_slots_loan(slots), lsi_slot_id(0, i));
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(lst_slots_loan(slots), lsi_slot_id(3, i));
    assert_int_equal(lst_slots_loan(slots), lsi_slot_id(1, 0));
    assert_int_equal(lsi_slots_find(slots, 8193, false), LSI_SLOT_NONE);
    lsi_slots_free(slots, lsi_slot_id(3, 2));
    lsi_slots_free(slots, lsi_slot_id(0, 1));
    assert_int_equal(lst_slots_loan(slots), lsi_slot_id(0, 1));
    assert_int_equal(lst_slots_loan(slots), lsi_slot_id(3, 2));
    check_sums(&pool);
}

/* A segment that goes leaves no slot behind, and its number and its run may be used again. */
static void test_slots__segment_removed__sums_and_order_follow(void **state)
{
    struct pool pool;
    struct lsi_slots *slots = &pool.slots;

    (void)state;
    pool_init(&pool, 2);
    lsi_slots_add(slots, 2, 8192, 0, 4, 3);
    lsi_slots_add(slots, 1, 8192, 0, 7, 2);
    assert_false(slots->segments[1].was_loaned);
    assert_int_equal(lsi_slots_loan(slots, 1), lsi_slot_id(1, 0));
    assert_true(slots->segments[1].was_loaned);
    lsi_slots_remove(slots, 2);
    check_sums(&pool);
    assert_int_equal(slots->count, 4);
    assert_int_equal(lsi_slots_sum(slots), 4);
    assert_int_equal(slots->segments[2].count, 0);
    lsi_slots_free(slots, lsi_slot_id(1, 0));
    lsi_slots_remove(slots, 1);
    assert_int_equal(lsi_slots_find(slots, 4097, true), LSI_SLOT_NONE);
    lsi_slots_add(slots, 2, 16384, 0, 5, 1);
    assert_int_equal(lsi_slots_find(slots, 4097, true), 2);
    assert_int_equal(slots->generations[5], LSI_COUNTER_START(24) + 2);
    check_sums(&pool);
    lsi_slots_remove(slots, 2);
    lsi_slots_remove(slots, 0);
    assert_int_equal(lsi_slots_sum(slots), 0);
    assert_int_equal(slots->order_count, 0);
    check_sums(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots__fresh__are_free_and_in_order),
        cmocka_unit_test(test_slots__all_loaned__none_until_one_is_free),
        cmocka_unit_test(test_slots__one__is_reused_with_new_generations),
        cmocka_unit_test(test_slots__freed_out_of_order__are_used_in_order_of_freeing),
        cmocka_unit_test(test_slots__random_moves__match_a_queue),
        cmocka_unit_test(test_slots__of_several_sizes__the_smallest_that_fits),
        cmocka_unit_test(test_slots__segment_removed__sums_and_order_follow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
