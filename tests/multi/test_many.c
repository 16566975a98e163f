/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several publishers and one subscriber: each gets its turn, each one's messages stay in order, and
 * on request all of them come in the order of their times.
 */
#include "support.h"

#include <lshm/lshm.h>

#define PUBLISHERS 8
#define EACH 40

static struct {
    struct lst_broker broker;
    struct lshm_context *context;
    struct lshm_publisher *from[PUBLISHERS];
} rig;

static int setup(void **state)
{
    struct lshm_context_options options = { .size = sizeof options };
    struct lst_fixture *fixture;

    if (lst_setup(state) < 0)
        return -1;
    fixture = *state;
    lst_must(lst_broker_start(&rig.broker, fixture->dir));
    options.socket = rig.broker.socket_path;
    return lshm_context_open(&options, NULL, &rig.context);
}

static int teardown(void **state)
{
    lshm_context_close(rig.context);
    lst_must(lst_broker_stop(&rig.broker));
    return lst_teardown(state);
}

static struct lshm_subscriber *open_ports(uint32_t subscriber_flags, uint32_t publisher_flags)
{
    struct lshm_subscriber_options options = { .size = sizeof options, .flags = subscriber_flags };
    struct lshm_publisher_options from = { .size = sizeof from, .flags = publisher_flags };
    struct lshm_subscriber *subscriber = NULL;

    assert_int_equal(lshm_subscriber_open(rig.context, "test/many", &options, NULL, &subscriber),
                     0);
    for (int i = 0; i < PUBLISHERS; i++)
        assert_int_equal(lshm_publisher_open(rig.context, "test/many", &from, NULL, &rig.from[i]),
                         0);
    return subscriber;
}

static void send_number(int publisher, uint64_t number)
{
    assert_int_equal(lshm_publisher_send(rig.from[publisher], &number, sizeof number), 0);
}

static int index_of(uint64_t publisher)
{
    struct lshm_publisher_statistics s = { .size = sizeof s };

    for (int i = 0; i < PUBLISHERS; i++) {
        assert_int_equal(lshm_publisher_get_statistics(rig.from[i], &s), 0);
        if (s.publisher == publisher)
            return i;
    }
    fail();
    return -1;
}

/* All have a backlog: after as many calls as there are publishers each has had its share. */
static void share(size_t batch)
{
    struct lshm_subscriber *subscriber = open_ports(0, 0);
    struct lshm_message m[EACH];
    uint64_t next[PUBLISHERS] = { 0 };

    for (uint64_t k = 0; k < EACH; k++)
        for (int i = 0; i < PUBLISHERS; i++)
            send_number(i, k);
    for (uint64_t round = 1; round * batch <= EACH; round++) {
        for (int call = 0; call < PUBLISHERS; call++) {
            assert_int_equal(lshm_subscriber_take_batch(subscriber, m, batch), batch);
            for (size_t k = 0; k < batch; k++)
                assert_int_equal(m[k].seq, LST_SEQ_FIRST + next[index_of(m[k].publisher)]++);
            assert_int_equal(lshm_subscriber_release_batch(subscriber, m, batch), batch);
        }
        for (int i = 0; i < PUBLISHERS; i++)
            assert_int_equal(next[i], round * batch);
    }
}

static void test_take__of_many_with_a_backlog__gives_each_its_turn(void **state)
{
    (void)state;
    share(1);
}

static void test_take_batch__of_many_with_a_backlog__gives_each_its_turn(void **state)
{
    (void)state;
    share(8);
}

/* One publishes without end; another one's only message comes with the next call but one. */
static void test_take__beside_one_that_never_ends__reaches_the_others(void **state)
{
    struct lshm_subscriber *subscriber = open_ports(0, 0);
    struct lshm_message m;

    (void)state;
    for (uint64_t round = 0; round < 200; round++) {
        int other = 1 + (int)(round % (PUBLISHERS - 1));
        int found = 0;

        send_number(0, round);
        send_number(0, round);
        send_number(other, round);
        for (int call = 0; call < 2; call++) {
            assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
            found |= index_of(m.publisher) == other;
            assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
        }
        assert_true(found);
        assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
        assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
    }
}

static void test_by_time__of_many__comes_in_the_order_of_times(void **state)
{
    struct lshm_subscriber *subscriber =
        open_ports(LSHM_SUBSCRIBER_BY_TIME, LSHM_PUBLISHER_TIMESTAMPS);
    uint64_t next[PUBLISHERS] = { 0 }, last = 0, number = 0;
    struct lshm_message m[7];
    int got, all = 0;

    (void)state;
    for (int i = 0; i < PUBLISHERS * EACH; i++)
        send_number((i * 5 + i / 3) % PUBLISHERS, number++);
    while ((got = lshm_subscriber_take_batch(subscriber, m, 7)) > 0) {
        for (int k = 0; k < got; k++) {
            assert_int_equal(*(const uint64_t *)m[k].data, all++);
            assert_true(m[k].time_ns >= last);
            last = m[k].time_ns;
            assert_int_equal(m[k].seq, LST_SEQ_FIRST + next[index_of(m[k].publisher)]++);
        }
        assert_int_equal(lshm_subscriber_release_batch(subscriber, m, (size_t)got), got);
    }
    assert_int_equal(got, 0);
    assert_int_equal(all, PUBLISHERS * EACH);
}

static void test_by_time__of_publishers_without_times__takes_all(void **state)
{
    struct lshm_subscriber *subscriber = open_ports(LSHM_SUBSCRIBER_BY_TIME, 0);
    struct lshm_message m;
    int all = 0;

    (void)state;
    for (int i = 0; i < PUBLISHERS * 3; i++)
        send_number(i % PUBLISHERS, 0);
    while (lshm_subscriber_take(subscriber, &m) == 1) {
        all++;
        assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
    }
    assert_int_equal(all, PUBLISHERS * 3);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_take__of_many_with_a_backlog__gives_each_its_turn,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_take_batch__of_many_with_a_backlog__gives_each_its_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_take__beside_one_that_never_ends__reaches_the_others,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_by_time__of_many__comes_in_the_order_of_times, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_by_time__of_publishers_without_times__takes_all,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
