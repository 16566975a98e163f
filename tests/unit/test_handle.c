/* SPDX-License-Identifier: Apache-2.0 */
/* Slot handles: the three fields keep to their bits. */
#include "support.h"

#include "core/handle.h"

static void check(uint32_t segment, uint32_t generation, uint32_t slot)
{
    uint64_t handle = lsi_handle(segment, generation, slot);

    assert_int_equal(lsi_handle_segment(handle), segment);
    assert_int_equal(lsi_handle_generation(handle), generation);
    assert_int_equal(lsi_handle_slot(handle), slot);
}

static void test_handle__fields_at_their_limits__come_back(void **state)
{
    (void)state;
    check(0, 0, 0);
    check(1, 1, 0);
    check(LSHM_SEGMENTS_MAX, 1, LSHM_SLOTS_MAX - 1);
    check(UINT16_MAX, LSHM_HANDLE_FIELD_MASK, LSHM_HANDLE_FIELD_MASK);
    check(UINT16_MAX, 0, 0);
    check(0, LSHM_HANDLE_FIELD_MASK, 0);
    check(0, 0, LSHM_HANDLE_FIELD_MASK);
}

static void test_handle__generation_past_its_bits__wraps_inside_its_field(void **state)
{
    uint64_t handle = lsi_handle(3, LSHM_HANDLE_FIELD_MASK + 1, 5);

    (void)state;
    assert_int_equal(lsi_handle_segment(handle), 3);
    assert_int_equal(lsi_handle_generation(handle), 0);
    assert_int_equal(lsi_handle_slot(handle), 5);
    assert_true(handle != 0);
}

static void test_handle__slot_past_its_bits__stays_inside_its_field(void **state)
{
    uint64_t handle = lsi_handle(3, 4, LSHM_HANDLE_FIELD_MASK + 6);

    (void)state;
    assert_int_equal(lsi_handle_segment(handle), 3);
    assert_int_equal(lsi_handle_generation(handle), 4);
    assert_int_equal(lsi_handle_slot(handle), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handle__fields_at_their_limits__come_back),
        cmocka_unit_test(test_handle__generation_past_its_bits__wraps_inside_its_field),
        cmocka_unit_test(test_handle__slot_past_its_bits__stays_inside_its_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
