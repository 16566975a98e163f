/* SPDX-License-Identifier: Apache-2.0 */
/* Sums and windows of `lshm hz`, `bw` and `delay`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "meter.h"

#define MS 1000000u

static void add(struct meter *meter, uint64_t value, uint64_t elapsed_ns, uint64_t weight)
{
    struct meter_sample sample = { value, elapsed_ns, weight, meter->all.samples == 0 };

    assert_int_equal(meter_add(meter, &sample), 0);
}

static void assert_near(double figure, double wanted)
{
    if (fabs(figure - wanted) > 1e-9 * fabs(wanted))
        fail_msg("%.17g is not %.17g", figure, wanted);
}

static void test_meter__samples__have_mean_and_deviation(void **state)
{
    static const uint64_t values[] = { 2, 4, 4, 4, 5, 5, 7, 9 };
    struct meter meter;
    struct meter_sum sum;

    (void)state;
    meter_init(&meter, 100);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        add(&meter, values[i] + 1000000, 0, 1);
    meter_sum_window(&meter, &sum);
    assert_near(sum.mean, 1000005);
    assert_near(meter_deviation(&sum), 2);
    assert_int_equal(sum.min, 1000002);
    assert_int_equal(sum.max, 1000009);
    meter_free(&meter);
}

static void test_meter__skipped_messages__count_in_rates(void **state)
{
    struct meter meter;

    (void)state;
    meter_init(&meter, 100);
    add(&meter, 10, 0, 1); /* before it there is no time: not in the rates */
    add(&meter, 10, 100 * MS, 1);
    add(&meter, 40, 400 * MS, 4);
    assert_near(meter_messages_per_second(&meter.all), 10);
    assert_near(meter_values_per_second(&meter.all), 340);
    assert_near(meter.all.mean, 30);
    meter_free(&meter);
}

static void test_meter__window__keeps_the_last(void **state)
{
    struct meter meter;
    struct meter_sum sum;

    (void)state;
    for (size_t window = 1; window < 300; window += 37) {
        meter_init(&meter, window);
        for (uint64_t i = 1; i <= 1000; i++)
            add(&meter, i, MS, 1);
        meter_sum_window(&meter, &sum);
        assert_int_equal(sum.samples, window);
        assert_int_equal(sum.min, 1001 - window);
        assert_int_equal(sum.max, 1000);
        assert_int_equal(meter.all.samples, 1000);
        assert_int_equal(meter.all.min, 1);
        meter_free(&meter);
    }
}

static void test_meter__nothing__has_no_rate(void **state)
{
    struct meter meter;

    (void)state;
    meter_init(&meter, 1);
    assert_near(meter_messages_per_second(&meter.all), 0);
    assert_near(meter_deviation(&meter.all), 0);
    add(&meter, 5, 0, 1);
    assert_near(meter_messages_per_second(&meter.all), 0);
    meter_free(&meter);
}

static void test_histogram__percentiles__are_within_12_percent(void **state)
{
    static struct lshm_histogram histogram;

    (void)state;
    assert_int_equal(lshm_histogram_quantile(&histogram, 0.5), 0);
    for (uint64_t i = 1; i <= 100000; i++)
        lshm_histogram_add(&histogram, i * 17);
    for (double part = 0.01; part < 1; part += 0.07) {
        double figure = (double)lshm_histogram_quantile(&histogram, part), wanted = part * 1700000;

        assert_true(figure >= wanted * 0.99 && figure <= wanted * 1.126);
    }
    assert_int_equal(lshm_histogram_quantile(&histogram, 1), 1700000);
    lshm_histogram_add(&histogram, UINT64_MAX);
    assert_true(lshm_histogram_quantile(&histogram, 1) == UINT64_MAX);
}

static void test_histogram__sums__keep_counts_and_maximum(void **state)
{
    struct lshm_histogram early = { 0 }, late = { 0 }, sum;

    (void)state;
    for (uint64_t value = 1; value <= 100; value++)
        lshm_histogram_add(value <= 50 ? &early : &late, value);
    sum = early;
    lshm_histogram_merge(&sum, &late);
    assert_int_equal(lshm_histogram_count(&sum), 100);
    assert_int_equal(sum.max, 100);
    assert_in_range(lshm_histogram_quantile(&sum, 0.5), 51, 57);
    assert_in_range(lshm_histogram_quantile(&sum, 0.99), 100, 100);
    assert_int_equal(lshm_histogram_quantile(&sum, 0), 1);
    lshm_histogram_subtract(&sum, &early);
    assert_int_equal(lshm_histogram_count(&sum), 50);
    assert_int_equal(sum.max, 100);
    sum = late;
    lshm_histogram_subtract(&sum, &late);
    assert_int_equal(lshm_histogram_count(&sum), 0);
    assert_int_equal(sum.max, 0);
    assert_int_equal(lshm_histogram_quantile(&sum, 0.5), 0);
    sum = early; /* the largest came before: no more is known than its bucket */
    lshm_histogram_add(&sum, 20);
    lshm_histogram_subtract(&sum, &early);
    assert_int_equal(sum.max, 21);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meter__samples__have_mean_and_deviation),
        cmocka_unit_test(test_meter__skipped_messages__count_in_rates),
        cmocka_unit_test(test_meter__window__keeps_the_last),
        cmocka_unit_test(test_meter__nothing__has_no_rate),
        cmocka_unit_test(test_histogram__percentiles__are_within_12_percent),
        cmocka_unit_test(test_histogram__sums__keep_counts_and_maximum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
