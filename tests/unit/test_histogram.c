/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histograms: every value has one bucket, and a copy is believed only as far as it makes sense.
 *
 * covers: H1 H2 H3 H4
 */
#include "support.h"

#include <string.h>

#include "core/histogram.h"

#define LINK 77u

static struct lshm_histogram shared, copy;

static int setup(void **state)
{
    (void)state;
    memset(&shared, 0x5a, sizeof shared);
    lsi_histogram_begin(&shared, LINK);
    return 0;
}

static uint64_t total(const struct lshm_histogram *histogram)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < LSHM_HISTOGRAM_BUCKETS; i++)
        sum += histogram->buckets[i];
    return sum;
}

static void test_histogram__buckets__cover_all_values_without_a_gap(void **state)
{
    uint64_t first = 0;

    (void)state;
    for (uint32_t i = 0; i < LSHM_HISTOGRAM_BUCKETS; i++) {
        uint64_t end = lsi_histogram_end(i);

        assert_true(end >= first);
        assert_int_equal(lsi_histogram_bucket(first), i);
        assert_int_equal(lsi_histogram_bucket(end), i);
        assert_true(end - first <= first / 8);
        first = end + 1;
    }
    assert_int_equal(first, 0); /* behind the last value there is */
    assert_int_equal(lsi_histogram_bucket(UINT64_MAX), LSHM_HISTOGRAM_BUCKETS - 1);
}

static void test_histogram__small_values__have_a_bucket_each(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < 16; value++) {
        assert_int_equal(lsi_histogram_bucket(value), value);
        assert_int_equal(lsi_histogram_end((uint32_t)value), value);
    }
    assert_int_equal(lsi_histogram_bucket(16), 16);
    assert_int_equal(lsi_histogram_bucket(17), 16);
    assert_int_equal(lsi_histogram_bucket(18), 17);
}

static void test_histogram__lines_used_before__begin_empty(void **state)
{
    (void)state;
    assert_true(lsi_histogram_copy(&shared, LINK, &copy));
    assert_int_equal(total(&copy), 0);
    assert_int_equal(copy.max, 0);
    assert_int_equal(copy.untimed, 0);
}

static void test_histogram__counted_values__are_in_the_copy(void **state)
{
    static const uint64_t values[] = { 0, 7, 8, 1000, 1000, UINT64_MAX };

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        lsi_histogram_count(&shared, values[i]);
    lsi_histogram_count_untimed(&shared);
    assert_true(lsi_histogram_copy(&shared, LINK, &copy));
    assert_int_equal(total(&copy), 6);
    assert_int_equal(copy.buckets[lsi_histogram_bucket(1000)], 2);
    assert_int_equal(copy.max, UINT64_MAX);
    assert_int_equal(copy.untimed, 1);
}

static void test_histogram__another_link_or_none__is_not_believed(void **state)
{
    (void)state;
    lsi_histogram_count(&shared, 5);
    assert_false(lsi_histogram_copy(&shared, LINK + 1, &copy));
    assert_int_equal(total(&copy), 0);
    assert_int_equal(copy.max, 0);
    lsi_histogram_end_use(&shared);
    assert_false(lsi_histogram_copy(&shared, LINK, &copy));
    assert_false(lsi_histogram_copy(&shared, 0, &copy));
    assert_int_equal(total(&copy), 0);
}

static void test_histogram__maximum_outside_its_last_bucket__is_bounded_by_it(void **state)
{
    (void)state;
    lsi_histogram_count(&shared, 1000);
    shared.max = 5;
    assert_true(lsi_histogram_copy(&shared, LINK, &copy));
    assert_int_equal(copy.max, lsi_histogram_end(lsi_histogram_bucket(1000)));
    shared.max = UINT64_MAX; /* as when its bucket's word was read before it was counted */
    assert_true(lsi_histogram_copy(&shared, LINK, &copy));
    assert_int_equal(copy.max, lsi_histogram_end(lsi_histogram_bucket(1000)));
    shared.max = 1001;
    assert_true(lsi_histogram_copy(&shared, LINK, &copy));
    assert_int_equal(copy.max, 1001);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_histogram__buckets__cover_all_values_without_a_gap),
        TEST(test_histogram__small_values__have_a_bucket_each),
        TEST(test_histogram__lines_used_before__begin_empty),
        TEST(test_histogram__counted_values__are_in_the_copy),
        TEST(test_histogram__another_link_or_none__is_not_believed),
        TEST(test_histogram__maximum_outside_its_last_bucket__is_bounded_by_it),
    };

    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
