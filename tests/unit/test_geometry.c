/* SPDX-License-Identifier: Apache-2.0 */
/* Ring and segment layouts: planned within limits, and refused when anything sticks out. */
#include "support.h"

#include <errno.h>
#include <string.h>

#include <lshm/error.h>

#include "ctl/geometry.h"
#include "ctl/topic.h"

#define PAGE 4096u

static const struct lsi_ctl_publisher_open plain = {
    .slot_bytes = 1000, .slot_count = 10, .entry_count = 16, .entry_bytes = 128};

static struct lsi_ctl_geometry planned(struct lsi_ctl_publisher_open request)
{
    struct lsi_ctl_geometry geometry;
    struct lsi_bad_option bad;

    assert_int_equal(lsi_geometry_plan(&request, PAGE, &geometry, &bad), 0);
    assert_true(lsi_geometry_check(&geometry));
    return geometry;
}

static void test_geometry__plan__rounds_and_fits(void **state)
{
    struct lsi_ctl_publisher_open request = plain;
    struct lsi_ctl_geometry geometry = planned(plain);

    (void)state;
    assert_int_equal(geometry.slot_bytes, 1024);
    assert_int_equal(geometry.segments[0].bytes, 3 * PAGE);
    assert_int_equal(geometry.entries_offset, PAGE);
    assert_int_equal(geometry.ring_bytes, 2 * PAGE);
    request.slot_bytes = 5000;
    assert_int_equal(planned(request).slot_bytes, 8192);
    request.slot_bytes = 0;
    request.slot_count = 0;
    assert_int_equal(planned(request).segment_count, 0);
}

static void test_geometry__limits__and_one_past_them(void **state)
{
    static const struct {
        struct lsi_ctl_publisher_open request;
        int status;
        const char *field;
    } cases[] = {
        {{.entry_count = 4, .entry_bytes = 64}, 0, NULL},
        {{.entry_count = 65536, .entry_bytes = 1024}, 0, NULL},
        {{.entry_count = 2, .entry_bytes = 64}, -EINVAL, "ring_entries"},
        {{.entry_count = 131072, .entry_bytes = 64}, -EINVAL, "ring_entries"},
        {{.entry_count = 12, .entry_bytes = 64}, -EINVAL, "ring_entries"},
        {{.entry_count = 4, .entry_bytes = 0}, -EINVAL, "entry_bytes"},
        {{.entry_count = 4, .entry_bytes = 96}, -EINVAL, "entry_bytes"},
        {{.entry_count = 4, .entry_bytes = 1088}, -EINVAL, "entry_bytes"},
        {{.entry_count = 4, .entry_bytes = 64, .slot_count = 1}, -EINVAL, "slot_count"},
        {{.entry_count = 4, .entry_bytes = 64, .slot_bytes = 1}, -EINVAL, "slot_count"},
        {{.entry_count = 4, .entry_bytes = 64, .slot_count = 16777217, .slot_bytes = 1},
         -EINVAL, "slot_count"},
        {{.entry_count = 4, .entry_bytes = 64, .slot_count = 1, .slot_bytes = 0xfffff001u},
         -EINVAL, "payload_bytes"},
        {{.entry_count = 4, .entry_bytes = 64, .slot_count = 1, .slot_bytes = UINT64_MAX},
         -EINVAL, "payload_bytes"},
        {{.entry_count = 4, .entry_bytes = 64, .slot_count = 1, .slot_bytes = 0xfffff000u}, 0,
         NULL},
        {{.entry_count = 4, .entry_bytes = 64, .slot_count = 16777216, .slot_bytes = 0xfffff000u},
         -EOVERFLOW, "payload_bytes * slot_count"},
        {{.entry_count = 4, .entry_bytes = 64, .slot_bytes = 1, .memory_max = 1}, 0, NULL},
        {{.entry_count = 4, .entry_bytes = 64, .memory_max = 1}, -EINVAL, "memory_max"},
        {{.entry_count = 4, .entry_bytes = 64, .slot_bytes = 1,
          .memory_max = (UINT64_C(1) << 46) + 1}, -EINVAL, "memory_max"},
        {{.entry_count = 4, .entry_bytes = 64, .slot_bytes = 4096, .slot_count = 2,
          .memory_max = 8192}, 0, NULL},
        {{.entry_count = 4, .entry_bytes = 64, .slot_bytes = 4096, .slot_count = 2,
          .memory_max = 8191}, -EINVAL, "memory_max"},
        {{.entry_count = 4, .entry_bytes = 64, .history = 3}, 0, NULL},
        {{.entry_count = 4, .entry_bytes = 64, .history = 4}, -EINVAL, "history"},
        {{.entry_count = 4, .entry_bytes = 64, .retain = 3}, 0, NULL},
        {{.entry_count = 4, .entry_bytes = 64, .retain = 4}, -EINVAL, "retain"},
        {{.entry_count = 4, .entry_bytes = 64, .flags = LSHM_RING_LOSSY_READERS}, -EINVAL,
         "flags"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lsi_ctl_geometry geometry;
        struct lsi_bad_option bad;

        assert_int_equal(lsi_geometry_plan(&cases[i].request, PAGE, &geometry, &bad),
                         cases[i].status);
        if (!cases[i].field)
            continue;
        assert_string_equal(bad.name, cases[i].field);
        if (bad.kind[0] == '\0')
            assert_true(bad.value < bad.min || bad.value > bad.max);
    }
}

/* What a hostile broker might say; each one alone must be refused. */
static void test_geometry__check__refuses_what_sticks_out(void **state)
{
    const struct lsi_ctl_geometry good = planned(plain);
    struct lsi_ctl_geometry bad;

    (void)state;
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        bad = good;                                                                                \
        change;                                                                                    \
        assert_false(lsi_geometry_check(&bad));                                                    \
    } while (0)
    REFUSED(bad.ring_bytes = bad.entries_offset + 16 * 128 - 1);
    REFUSED(bad.ring_bytes = 0);
    REFUSED(bad.states_offset = 0);
    REFUSED(bad.states_offset = UINT64_MAX);
    REFUSED(bad.states_offset = bad.entries_offset - 9);
    REFUSED(bad.entries_offset = UINT64_MAX - 63);
    REFUSED(bad.entries_offset++);
    REFUSED(bad.entry_count = 0);
    REFUSED(bad.entry_count = 17);
    REFUSED(bad.entry_count *= 4);
    REFUSED(bad.entry_bytes = 65);
    REFUSED(bad.slot_room = 9);
    REFUSED(bad.slot_room = UINT32_MAX);
    REFUSED(bad.segment_count = 2);
    REFUSED(bad.segment_count = LSI_CTL_SEGMENTS + 1);
    REFUSED(bad.segments[0].slot_bytes = 0);
    REFUSED(bad.segments[0].slot_bytes += 32);
    REFUSED(bad.segments[0].slot_bytes *= 2);
    REFUSED(bad.segments[0].slot_bytes = UINT64_MAX & ~(uint64_t)63);
    REFUSED(bad.segments[0].slot_bytes = UINT64_C(1) << 63); /* times 10 is 0 */
    REFUSED(bad.segments[0].pages = LSI_CTL_PAGES_HUGETLB + 1);
    REFUSED(bad.segments[0].is_foreign = 2);
    REFUSED(bad.segments[0].slot_count += 3);
    REFUSED(bad.segments[0].slot_count = UINT32_MAX);
    REFUSED(bad.segments[0].slot_count = 0);
    REFUSED(bad.segments[0].first_slot = 1);
    REFUSED(bad.segments[0].first_slot = UINT32_MAX);
    REFUSED(bad.segments[0].bytes = 0);
    REFUSED(bad.segments[0].bytes = UINT64_MAX);
    REFUSED(bad.segments[1] = bad.segments[0]);
    REFUSED(bad.segments[LSI_CTL_SEGMENTS - 1].bytes = PAGE);
    REFUSED(bad.history = 13);
    bad = good;
    bad.segments[0].slot_bytes = 64;
    bad.segments[0].slot_count = LSHM_SLOTS_MAX;
    bad.segments[0].bytes = UINT64_C(64) * (LSHM_SLOTS_MAX + 1);
    assert_true(lsi_geometry_check_segment(&bad.segments[0], UINT32_MAX));
    bad.segments[0].slot_count++;
    assert_false(lsi_geometry_check_segment(&bad.segments[0], UINT32_MAX));
}

/* Others may come after those that were made with the ring, of other sizes, with gaps. */
static void test_geometry__check__takes_segments_of_any_size(void **state)
{
    struct lsi_ctl_publisher_open request = plain;
    struct lsi_ctl_geometry geometry;

    (void)state;
    request.slot_count = 100;
    geometry = planned(request);
    geometry.segments[0].slot_count = 10;
    geometry.segments[3] = (struct lsi_ctl_segment){
        .bytes = 2 * 8192, .slot_bytes = 8192, .slot_count = 2, .first_slot = 98};
    geometry.segments[LSI_CTL_SEGMENTS - 1] = (struct lsi_ctl_segment){
        .bytes = PAGE, .slot_bytes = 64, .slot_count = 64, .first_slot = 10};
    assert_true(lsi_geometry_check(&geometry));
    assert_int_equal(lsi_geometry_slots(&geometry), 76);
    assert_int_equal(lsi_geometry_bytes(&geometry),
                     geometry.ring_bytes + geometry.segments[0].bytes + 5 * PAGE);
    geometry.segments[3].first_slot = 73;
    assert_false(lsi_geometry_check(&geometry));
    geometry.segments[3].first_slot = 74;
    assert_true(lsi_geometry_check(&geometry));
}

/* Each gets a number and room for its states that no other has, until there is none left. */
static void test_geometry__segments_added__use_what_is_free(void **state)
{
    struct lsi_ctl_publisher_open request = {
        .slot_bytes = 1 << 20, .slot_count = 2, .entry_count = 16, .entry_bytes = 128,
        .memory_max = UINT64_C(1) << 30};
    struct lsi_ctl_geometry geometry = planned(request);
    uint32_t number = 77, count = 0;

    (void)state;
    assert_int_equal(geometry.slot_room, 2 + 3072 + 16 * 16);
    assert_int_equal(lsi_geometry_add(&geometry, 4096, 10, PAGE, &number), 0);
    assert_int_equal(number, 1);
    assert_int_equal(geometry.segments[1].first_slot, 2);
    assert_int_equal(lsi_geometry_add(&geometry, 8192, 20, PAGE, &number), 0);
    assert_int_equal(geometry.segments[2].first_slot, 12);
    memset(&geometry.segments[1], 0, sizeof(geometry.segments[1]));
    assert_int_equal(lsi_geometry_add(&geometry, 1 << 20, 11, PAGE, &number), 0);
    assert_int_equal(number, 1);
    assert_int_equal(geometry.segments[1].first_slot, 32);
    assert_int_equal(lsi_geometry_add(&geometry, 4096, 3288, PAGE, &number), -LSHM_ELIMIT);
    assert_int_equal(lsi_geometry_add(&geometry, 4096, 0, PAGE, &number), -EINVAL);
    assert_int_equal(lsi_geometry_add(&geometry, 0, 1, PAGE, &number), -EINVAL);
    assert_int_equal(lsi_geometry_add(&geometry, 4097, 1, PAGE, &number), -EINVAL);
    assert_int_equal(lsi_geometry_add(&geometry, 2 << 20, 1, PAGE, &number), -EINVAL);
    assert_int_equal(lsi_geometry_add(&geometry, 4096, UINT32_MAX, PAGE, &number), -EINVAL);
    while (lsi_geometry_add(&geometry, 4096, 1, PAGE, &number) == 0) {
        assert_true(lsi_geometry_check(&geometry));
        count++;
    }
    assert_int_equal(count, LSI_CTL_SEGMENTS - 3);
    geometry.segment_count = LSI_CTL_SEGMENTS;
    assert_true(lsi_geometry_check(&geometry));
    geometry.segment_count++;
    assert_false(lsi_geometry_check(&geometry));
    geometry.segment_count = 1;
    assert_int_equal(lsi_geometry_slots(&geometry), 2 + 11 + 20 + count);
    assert_int_equal(lsi_geometry_segment_bytes(&geometry),
                     (13u << 20) + 20 * 8192 + count * PAGE);
}

static void test_geometry__cell_lines__whole_lines_of_holds(void **state)
{
    (void)state;
    assert_int_equal(lsi_geometry_cell_lines(0), LSHM_CELL_LINES);
    assert_int_equal(lsi_geometry_cell_lines(1), LSHM_CELL_LINES + 1);
    assert_int_equal(lsi_geometry_cell_lines(8), LSHM_CELL_LINES + 1);
    assert_int_equal(lsi_geometry_cell_lines(9), LSHM_CELL_LINES + 2);
    assert_int_equal(lsi_geometry_cell_lines(UINT32_MAX), LSHM_CELL_LINES + (1u << 29));
}

static void test_topic__grammar__accepts_and_refuses(void **state)
{
    static const char *const good[] = {"a", "a/b", "A-Z_0.9", "...", "a/b/c/d"};
    static const char *const bad[] = {"", "/", "/a", "a/", "a//b", "a b", "a\n", "\xc3\xa9", "a*"};
    char field[LSHM_TOPIC_BYTES];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(lsi_topic_check(good[i], LSHM_TOPIC_BYTES), strlen(good[i]));
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(lsi_topic_check(bad[i], LSHM_TOPIC_BYTES), 0);
    memset(field, 'a', sizeof(field));
    assert_int_equal(lsi_topic_check(field, sizeof(field)), 0); /* no end in its field */
    field[LSHM_TOPIC_BYTES - 1] = '\0';
    assert_int_equal(lsi_topic_check(field, sizeof(field)), LSHM_TOPIC_BYTES - 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_geometry__plan__rounds_and_fits),
    cmocka_unit_test(test_geometry__limits__and_one_past_them),
    cmocka_unit_test(test_geometry__check__refuses_what_sticks_out),
    cmocka_unit_test(test_geometry__check__takes_segments_of_any_size),
    cmocka_unit_test(test_geometry__segments_added__use_what_is_free),
    cmocka_unit_test(test_geometry__cell_lines__whole_lines_of_holds),
    cmocka_unit_test(test_topic__grammar__accepts_and_refuses),
};

static int run(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
