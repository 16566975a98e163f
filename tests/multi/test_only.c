/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscription with one ring takes a shorter way through the library: whatever else happens is
 * still seen.
 */
#include <poll.h>

#include "support.h"

#include <lshm/lshm.h>

static struct {
    struct lst_broker broker;
    struct lshm_context *context;
    struct lshm_subscriber *subscriber;
} rig;

static int setup(void **state)
{
    struct lshm_context_options options = { .size = sizeof options };
    struct lst_fixture *fixture;
    int r;

    if (lst_setup(state) < 0)
        return -1;
    fixture = *state;
    lst_must(lst_broker_start(&rig.broker, fixture->dir));
    options.socket = rig.broker.socket_path;
    r = lshm_context_open(&options, NULL, &rig.context);
    return r < 0 ? r : lshm_subscriber_open(rig.context, "test/only", NULL, NULL, &rig.subscriber);
}

static int teardown(void **state)
{
    lshm_context_close(rig.context);
    lst_must(lst_broker_stop(&rig.broker));
    return lst_teardown(state);
}

static struct lshm_publisher *open_publisher(void)
{
    struct lshm_publisher *publisher = NULL;

    assert_int_equal(lshm_publisher_open(rig.context, "test/only", NULL, NULL, &publisher), 0);
    return publisher;
}

/* A message crosses: sent, waited for, taken, released. */
static void cross(struct lshm_publisher *publisher, uint64_t number)
{
    struct lshm_message m;

    assert_int_equal(lshm_publisher_send(publisher, &number, sizeof number), 0);
    assert_int_equal(lshm_subscriber_wait(rig.subscriber, LST_DEADLINE_MS * INT64_C(1000000)), 1);
    assert_int_equal(lshm_subscriber_take(rig.subscriber, &m), 1);
    assert_int_equal(*(const uint64_t *)m.data, number);
    assert_int_equal(lshm_subscriber_release(rig.subscriber, &m), 0);
}

static uint64_t publishers(void)
{
    struct lshm_subscriber_statistics s = { .size = sizeof s };

    assert_int_equal(lshm_subscriber_get_statistics(rig.subscriber, &s), 0);
    return s.publishers;
}

static bool sees_no_publisher(void *arg)
{
    struct lshm_message m;

    (void)arg;
    assert_int_equal(lshm_subscriber_take(rig.subscriber, &m), 0);
    return publishers() == 0;
}

static void test_only__a_second_publisher_comes__is_heard_too(void **state)
{
    struct lshm_publisher *first = open_publisher(), *second;

    (void)state;
    for (uint64_t i = 0; i < 3; i++)
        cross(first, i);
    second = open_publisher();
    for (uint64_t i = 0; i < 100; i++)
        cross(i % 2 ? first : second, i);
    assert_int_equal(publishers(), 2);
}

static void test_only__its_publisher_ends__makes_room_for_another(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20; i++) {
        struct lshm_publisher *publisher = open_publisher();

        cross(publisher, i);
        cross(publisher, i + 1);
        lshm_publisher_close(publisher);
        lst_must(lst_wait_until(sees_no_publisher, NULL, LST_DEADLINE_MS));
    }
}

static void test_only__released_after_the_end__is_left(void **state)
{
    struct lshm_publisher *publisher = open_publisher();
    struct lshm_message m;
    uint64_t number = 7;

    (void)state;
    cross(publisher, 0);
    assert_int_equal(lshm_publisher_send(publisher, &number, sizeof number), 0);
    assert_int_equal(lshm_subscriber_take(rig.subscriber, &m), 1);
    lshm_publisher_close(publisher);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(lshm_subscriber_take(rig.subscriber, &(struct lshm_message){ 0 }), 0);
    assert_int_equal(lshm_subscriber_release(rig.subscriber, &m), 0);
    lst_must(lst_wait_until(sees_no_publisher, NULL, LST_DEADLINE_MS));
}

static void test_only__polled__descriptor_is_quiet_when_all_is_taken(void **state)
{
    struct lshm_publisher *publisher = open_publisher();
    struct pollfd fd = { .fd = lshm_context_get_fd(rig.context), .events = POLLIN };
    struct lshm_message m;

    (void)state;
    assert_true(fd.fd >= 0);
    cross(publisher, 0);
    for (uint64_t i = 1; i < 20; i++) {
        while (lshm_subscriber_take(rig.subscriber, &m) == 0 && poll(&fd, 1, 0) == 1)
            continue;
        assert_int_equal(poll(&fd, 1, 0), 0);
        assert_int_equal(lshm_publisher_send(publisher, &i, sizeof i), 0);
        assert_int_equal(poll(&fd, 1, LST_DEADLINE_MS), 1);
        assert_int_equal(lshm_subscriber_take(rig.subscriber, &m), 1);
        assert_int_equal(lshm_subscriber_release(rig.subscriber, &m), 0);
    }
}

static void test_only__released_in_another_order__all_comes_back(void **state)
{
    struct lshm_publisher *publisher = open_publisher();
    struct lshm_subscriber_statistics s = { .size = sizeof s };
    struct lshm_message m[4];

    (void)state;
    cross(publisher, 0);
    for (int round = 0; round < 100; round++) {
        for (uint64_t i = 0; i < 4; i++) {
            assert_int_equal(lshm_publisher_send(publisher, &i, sizeof i), 0);
            assert_int_equal(lshm_subscriber_take(rig.subscriber, &m[i]), 1);
        }
        for (int i = 0; i < 4; i++) {
            int which = (i * (round % 2 ? 3 : 1) + round) % 4;

            assert_int_equal(lshm_subscriber_release(rig.subscriber, &m[which]), 0);
            assert_int_equal(lshm_subscriber_release(rig.subscriber, &m[which]), -LSHM_ESTALE);
        }
        assert_int_equal(lshm_subscriber_get_statistics(rig.subscriber, &s), 0);
        assert_int_equal(s.out, 0);
    }
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only__a_second_publisher_comes__is_heard_too, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_only__its_publisher_ends__makes_room_for_another,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_only__released_after_the_end__is_left, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_only__polled__descriptor_is_quiet_when_all_is_taken,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_only__released_in_another_order__all_comes_back,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
