/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process, one broker: what a message carries, and what each call says to right and wrong use.
 *
 * covers: S3 W3
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include <lshm/lshm.h>

#include "support.h"

#define SECOND INT64_C(1000000000)

struct rig {
    struct lst_broker broker;
    struct lshm_context *context;
};

static struct rig rig;

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

static struct lshm_publisher *publisher_with(uint64_t payload, uint32_t ring, uint32_t slots)
{
    struct lshm_publisher_options options = {
        .size = sizeof options,
        .payload_bytes = payload,
        .ring_entries = ring,
        .slot_count = slots,
    };
    struct lshm_error error = { 0 };
    struct lshm_publisher *publisher = NULL;

    if (lshm_publisher_open(rig.context, "test/topic", &options, &error, &publisher) != 0)
        fail_msg("%s", error.text);
    return publisher;
}

static struct lshm_subscriber *subscriber_with(uint32_t window, uint32_t holds)
{
    struct lshm_subscriber_options options = {
        .size = sizeof options,
        .window = window,
        .holds = holds,
    };
    struct lshm_error error = { 0 };
    struct lshm_subscriber *subscriber = NULL;

    if (lshm_subscriber_open(rig.context, "test/topic", &options, &error, &subscriber) != 0)
        fail_msg("%s", error.text);
    return subscriber;
}

static void send_number(struct lshm_publisher *publisher, uint64_t number, size_t bytes)
{
    struct lshm_message m;

    assert_int_equal(lshm_publisher_loan(publisher, bytes, &m), 0);
    memset(m.data, (int)(number & 0xff), bytes);
    m.user[0] = number;
    assert_int_equal(lshm_publisher_publish(publisher, &m), 0);
}

static void test_message__of_any_length__arrives_whole(void **state)
{
    static const size_t lengths[] = { 0, 1, 7, 8, 63, 64, 65, 4095, 4096 };
    struct lshm_publisher *publisher = publisher_with(4096, 0, 0);
    struct lshm_subscriber *subscriber = subscriber_with(0, 0);
    unsigned char expected[4096];

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct lshm_message m, got;

        memset(expected, (int)(i + 1), sizeof expected);
        assert_int_equal(lshm_publisher_loan(publisher, lengths[i], &m), 0);
        memcpy(m.data, expected, lengths[i]);
        m.user[0] = i;
        m.user[1] = ~(uint64_t)i;
        m.flags = 0xabcd0000u;
        m.schema = 7;
        assert_int_equal(lshm_publisher_publish(publisher, &m), 0);
        assert_int_equal(lshm_subscriber_wait(subscriber, SECOND), 1);
        assert_int_equal(lshm_subscriber_take(subscriber, &got), 1);
        assert_int_equal(got.length, lengths[i]);
        assert_int_equal(got.seq, LST_SEQ_FIRST + i);
        assert_int_equal(got.publisher, m.publisher);
        assert_int_equal(got.user[0], i);
        assert_int_equal(got.user[1], ~(uint64_t)i);
        assert_int_equal(got.flags, 0xabcd0000u);
        assert_int_equal(got.schema, 7);
        assert_memory_equal(got.data, expected, lengths[i]);
        assert_int_equal(lshm_subscriber_release(subscriber, &got), 0);
    }
    assert_int_equal(lshm_subscriber_take(subscriber, &(struct lshm_message){ 0 }), 0);
}

static void test_loan__larger_than_payload__is_too_big(void **state)
{
    struct lshm_publisher *publisher = publisher_with(100, 0, 0);
    struct lshm_message m;

    (void)state;
    assert_int_equal(lshm_publisher_loan(publisher, 101, &m), -LSHM_ETOOBIG);
    assert_int_equal(lshm_publisher_loan(publisher, 100, &m), 0);
    m.length = 101;
    assert_int_equal(lshm_publisher_publish(publisher, &m), -LSHM_ETOOBIG);
    m.length = 3;
    assert_int_equal(lshm_publisher_publish(publisher, &m), 0);
}

static void test_token__used_twice__is_stale(void **state)
{
    struct lshm_publisher *publisher = publisher_with(64, 0, 0);
    struct lshm_subscriber *subscriber = subscriber_with(0, 0);
    struct lshm_message m, got;

    (void)state;
    assert_int_equal(lshm_publisher_loan(publisher, 8, &m), 0);
    assert_int_equal(lshm_publisher_publish(publisher, &m), 0);
    assert_int_equal(lshm_publisher_publish(publisher, &m), -LSHM_ESTALE);
    assert_int_equal(lshm_publisher_abort(publisher, &m), -LSHM_ESTALE);
    assert_int_equal(lshm_subscriber_take(subscriber, &got), 1);
    assert_int_equal(lshm_subscriber_release(subscriber, &got), 0);
    assert_int_equal(lshm_subscriber_release(subscriber, &got), -LSHM_ESTALE);
}

static void test_token__of_another_port__is_foreign(void **state)
{
    struct lshm_publisher *a = publisher_with(64, 0, 0), *b = publisher_with(64, 0, 0);
    struct lshm_subscriber *subscriber = subscriber_with(0, 0), *other = subscriber_with(0, 0);
    struct lshm_message m, got, twin;

    (void)state;
    assert_int_equal(lshm_publisher_loan(a, 8, &m), 0);
    assert_int_equal(lshm_publisher_publish(b, &m), -LSHM_EFOREIGN);
    assert_int_equal(lshm_publisher_publish(a, &m), 0);
    assert_int_equal(lshm_subscriber_take(subscriber, &got), 1);
    assert_int_equal(lshm_subscriber_take(other, &twin), 1);
    assert_int_equal(lshm_subscriber_release(other, &got), -LSHM_EFOREIGN);
    assert_int_equal(lshm_subscriber_release(subscriber, &got), 0);
    assert_int_equal(lshm_subscriber_release(other, &twin), 0);
    assert_int_equal(lshm_publisher_publish(a, &(struct lshm_message){ 0 }), -LSHM_EFOREIGN);
}

static void test_batch__with_a_bad_token__ends_before_it(void **state)
{
    struct lshm_publisher *publisher = publisher_with(64, 0, 0);
    struct lshm_subscriber *subscriber = subscriber_with(0, 0);
    struct lshm_subscriber_statistics statistics = { .size = sizeof statistics };
    struct lshm_message m[4], got[4];

    (void)state;
    assert_int_equal(lshm_publisher_loan_batch(publisher, 8, m, 3), 3);
    m[3] = m[2];
    m[2] = m[1]; /* the same twice */
    assert_int_equal(lshm_publisher_publish_batch(publisher, m, 4), 2);
    assert_int_equal(lshm_publisher_publish_batch(publisher, m + 2, 2), -LSHM_ESTALE);
    assert_int_equal(lshm_publisher_abort_batch(publisher, m + 3, 1), 1);
    assert_int_equal(lshm_subscriber_take_batch(subscriber, got, 4), 2);
    got[3] = got[1];
    got[1] = got[2] = got[0];
    assert_int_equal(lshm_subscriber_release_batch(subscriber, got, 4), 1);
    assert_int_equal(lshm_subscriber_get_statistics(subscriber, &statistics), 0);
    assert_int_equal(statistics.out, 1);
    assert_int_equal(lshm_subscriber_release_batch(subscriber, got + 1, 3), -LSHM_ESTALE);
    assert_int_equal(lshm_subscriber_release_batch(subscriber, got + 3, 1), 1);
}

static void test_release__in_any_order__gives_every_slot_back(void **state)
{
    struct lshm_publisher *publisher = publisher_with(1000, 16, 12);
    struct lshm_subscriber *subscriber = subscriber_with(8, 4);
    struct lshm_publisher_statistics statistics = { .size = sizeof statistics };
    struct lshm_message m[4];

    (void)state;
    for (uint64_t round = 0; round < 1000; round++) {
        for (uint64_t i = 0; i < 4; i++)
            send_number(publisher, 4 * round + i, 1000);
        assert_int_equal(lshm_subscriber_take_batch(subscriber, m, 4), 4);
        for (size_t i = 0; i < 4; i++) {
            struct lshm_message *one = &m[(i * 3 + round) % 4];

            assert_int_equal(((unsigned char *)one->data)[999],
                             (one->seq - LST_SEQ_FIRST) & 0xff);
            assert_int_equal(lshm_subscriber_release(subscriber, one), 0);
        }
    }
    for (uint64_t i = 0; i < 12; i++) /* makes the publisher look */
        send_number(publisher, i, 1000);
    assert_int_equal(lshm_publisher_get_statistics(publisher, &statistics), 0);
    assert_int_equal(statistics.slots, 12);
    assert_int_equal(statistics.slots_limbo, 0);
    assert_int_equal(statistics.slots_free + statistics.slots_window, 12);
}

static void test_take__with_window_and_holds_full__is_held(void **state)
{
    struct lshm_publisher *publisher = publisher_with(1000, 64, 32);
    struct lshm_subscriber *subscriber = subscriber_with(4, 2);
    struct lshm_subscriber_statistics statistics = { .size = sizeof statistics };
    struct lshm_message m[8], extra;

    (void)state;
    for (uint64_t i = 0; i < 8; i++)
        send_number(publisher, i, 1000);
    assert_int_equal(lshm_subscriber_take_batch(subscriber, m, 8), 4); /* a window at a time */
    assert_int_equal(lshm_subscriber_take(subscriber, &m[4]), 1);
    assert_int_equal(lshm_subscriber_take(subscriber, &m[5]), 1);
    assert_int_equal(lshm_subscriber_take(subscriber, &extra), -LSHM_EHELD);
    assert_int_equal(lshm_subscriber_get_statistics(subscriber, &statistics), 0);
    assert_int_equal(statistics.out, 6);
    assert_int_equal(statistics.holds, 2);
    assert_int_equal(statistics.oldest_seq, LST_SEQ_FIRST);
    assert_int_equal(statistics.ahead, 2);
    assert_int_equal(lshm_subscriber_release_batch(subscriber, m, 6), 6);
    assert_int_equal(lshm_subscriber_take_batch(subscriber, m, 8), 2);
    assert_int_equal(m[1].seq, LST_SEQ_FIRST + 7);
}

static void test_loan__with_a_slow_reader__would_block(void **state)
{
    struct lshm_publisher *publisher = publisher_with(1000, 16, 4);
    struct lshm_subscriber *subscriber = subscriber_with(16, 4);
    struct lshm_message m, got[4];

    (void)state;
    for (uint64_t i = 0; i < 4; i++)
        send_number(publisher, i, 1000);
    assert_int_equal(lshm_publisher_loan(publisher, 1000, &m), -LSHM_EAGAIN);
    assert_int_equal(lshm_subscriber_take_batch(subscriber, got, 4), 4);
    assert_int_equal(lshm_publisher_loan(publisher, 1000, &m), -LSHM_EAGAIN);
    assert_int_equal(lshm_subscriber_release(subscriber, &got[2]), 0);
    assert_int_equal(lshm_publisher_loan(publisher, 1000, &m), 0);
    memset(m.data, 0xee, 1000);
    assert_int_equal(((unsigned char *)got[0].data)[0], 0);
    assert_int_equal(((unsigned char *)got[1].data)[0], 1);
    assert_int_equal(((unsigned char *)got[3].data)[0], 3);
    assert_int_equal(lshm_publisher_abort(publisher, &m), 0);
}

static void test_loan__with_all_loans_out__has_no_slot(void **state)
{
    struct lshm_publisher *publisher = publisher_with(1000, 16, 4);
    struct lshm_message m[5];

    (void)state;
    assert_int_equal(lshm_publisher_loan_batch(publisher, 1000, m, 5), 4);
    assert_int_equal(lshm_publisher_loan(publisher, 1000, &m[4]), -LSHM_ENOSLOT);
    assert_int_equal(lshm_publisher_abort_batch(publisher, m, 4), 4);
    assert_int_equal(lshm_publisher_loan(publisher, 1000, &m[4]), 0);
}

static void test_loan__beyond_loans_max__has_no_slot(void **state)
{
    struct lshm_publisher_options options = {
        .size = sizeof options, .payload_bytes = 1000, .slot_count = 8, .loans_max = 3 };
    struct lshm_publisher *publisher;
    struct lshm_message m[4];

    (void)state;
    assert_int_equal(lshm_publisher_open(rig.context, "test/topic", &options, NULL, &publisher),
                     0);
    for (size_t length = 8; length <= 1000; length += 992) { /* in an entry, and in a slot */
        assert_int_equal(lshm_publisher_loan_batch(publisher, length, m, 4), 3);
        assert_int_equal(lshm_publisher_loan(publisher, length, &m[3]), -LSHM_ENOSLOT);
        assert_int_equal(lshm_publisher_publish(publisher, &m[0]), 0);
        assert_int_equal(lshm_publisher_loan(publisher, length, &m[3]), 0);
        assert_int_equal(lshm_publisher_loan(publisher, length, &m[0]), -LSHM_ENOSLOT);
        assert_int_equal(lshm_publisher_abort_batch(publisher, m + 1, 3), 3);
    }
}

static void test_subscriber__of_no_local__hears_others_only(void **state)
{
    struct lshm_context_options options = {
        .size = sizeof options, .socket = rig.broker.socket_path };
    struct lshm_subscriber_options no_local = {
        .size = sizeof no_local, .flags = LSHM_SUBSCRIBER_NO_LOCAL };
    struct lshm_publisher *own = publisher_with(64, 0, 0), *others;
    struct lshm_subscriber *subscriber, *all = subscriber_with(0, 0);
    struct lshm_context *other;
    struct lshm_message m;

    (void)state;
    assert_int_equal(lshm_context_open(&options, NULL, &other), 0);
    assert_int_equal(lshm_publisher_open(other, "test/topic", NULL, NULL, &others), 0);
    assert_int_equal(lshm_subscriber_open(rig.context, "test/topic", &no_local, NULL, &subscriber),
                     0);
    send_number(own, 1, 8);
    send_number(others, 2, 8);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    assert_int_equal(m.user[0], 2);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 0);
    assert_int_equal(lshm_subscriber_take(all, &m), 1);
    assert_int_equal(lshm_subscriber_take(all, &m), 1);
    assert_int_equal(lshm_subscriber_take(all, &m), 0);
    lshm_context_close(other);
}

static void test_loan__waiting_for_its_own_thread__is_a_deadlock(void **state)
{
    struct lshm_publisher_options options = {
        .size = sizeof options,
        .ring_entries = 4,
        .payload_bytes = 8,
        .wait_ns = -1,
    };
    struct lshm_publisher *publisher;
    struct lshm_subscriber *subscriber = subscriber_with(0, 0);
    struct lshm_message m;

    (void)state;
    (void)subscriber;
    assert_int_equal(lshm_publisher_open(rig.context, "test/topic", &options, NULL, &publisher), 0);
    for (uint64_t i = 0; i < 4; i++)
        send_number(publisher, i, 8);
    assert_int_equal(lshm_publisher_loan(publisher, 8, &m), -EDEADLK);
}

static void test_descriptor__after_an_empty_take__becomes_readable(void **state)
{
    struct lshm_publisher *publisher = publisher_with(64, 0, 0);
    struct lshm_subscriber *subscriber = subscriber_with(0, 0);
    struct pollfd poll_fd = { .fd = lshm_context_get_fd(rig.context), .events = POLLIN };
    struct lshm_message m;

    (void)state;
    assert_true(poll_fd.fd >= 0);
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(lshm_subscriber_take(subscriber, &m), 0);
        assert_int_equal(poll(&poll_fd, 1, 0), 0);
        send_number(publisher, i, 8);
        assert_int_equal(poll(&poll_fd, 1, 5000), 1);
        assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
        assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
    }
}

static void test_subscriber__joining_late__starts_at_the_tail(void **state)
{
    struct lshm_publisher *publisher = publisher_with(64, 0, 0);
    struct lshm_subscriber *subscriber;
    struct lshm_message m;

    (void)state;
    for (uint64_t i = 0; i < 10; i++)
        send_number(publisher, i, 8);
    subscriber = subscriber_with(0, 0);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 0);
    send_number(publisher, 10, 8);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    assert_int_equal(m.user[0], 10);
}

static void test_subscriber__of_many_publishers__gets_all_in_order(void **state)
{
    struct lshm_subscriber *subscriber = subscriber_with(0, 0);
    struct lshm_publisher *publishers[40];
    uint64_t next[40] = { 0 };
    struct lshm_message m;
    unsigned taken = 0;

    (void)state;
    for (size_t i = 0; i < 40; i++)
        publishers[i] = publisher_with(256, 16, 0);
    for (uint64_t round = 0; round < 5; round++)
        for (size_t i = 0; i < 40; i++)
            send_number(publishers[i], i, 200);
    while (lshm_subscriber_take(subscriber, &m) == 1) {
        assert_int_equal(m.seq, LST_SEQ_FIRST + next[m.user[0]]++);
        assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
        taken++;
    }
    assert_int_equal(taken, 200);
    for (size_t i = 0; i < 40; i += 2)
        lshm_publisher_close(publishers[i]);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 0);
    send_number(publishers[1], 1, 200);
    assert_int_equal(lshm_subscriber_wait(subscriber, SECOND), 1);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
}

static bool is_draining(void *context)
{
    return lshm_context_is_draining(context) == 1;
}

static void test_context__of_a_broker_told_to_stop__says_so(void **state)
{
    (void)state;
    assert_int_equal(lshm_context_is_draining(rig.context), 0);
    assert_int_equal(kill(rig.broker.process.pid, SIGTERM), 0);
    lst_must(lst_wait_until(is_draining, rig.context, 5000));
}

static void test_topic__with_a_bad_name__is_refused(void **state)
{
    static const char *const names[] = { "", "/", "a/", "/a", "a//b", "a b", "a\n", "\xc3\xa4" };
    struct lshm_publisher *publisher;
    struct lshm_subscriber *subscriber;
    struct lshm_error error;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        error.text[0] = 0;
        assert_int_equal(lshm_publisher_open(rig.context, names[i], NULL, &error, &publisher),
                         -LSHM_ENAME);
        assert_non_null(strstr(error.text, "topic name"));
    }
    assert_int_equal(lshm_subscriber_open(rig.context, NULL, NULL, NULL, &subscriber), -LSHM_ENAME);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_message__of_any_length__arrives_whole),
        TEST(test_loan__larger_than_payload__is_too_big),
        TEST(test_token__used_twice__is_stale),
        TEST(test_token__of_another_port__is_foreign),
        TEST(test_batch__with_a_bad_token__ends_before_it),
        TEST(test_release__in_any_order__gives_every_slot_back),
        TEST(test_take__with_window_and_holds_full__is_held),
        TEST(test_loan__with_a_slow_reader__would_block),
        TEST(test_loan__with_all_loans_out__has_no_slot),
        TEST(test_loan__beyond_loans_max__has_no_slot),
        TEST(test_subscriber__of_no_local__hears_others_only),
        TEST(test_loan__waiting_for_its_own_thread__is_a_deadlock),
        TEST(test_descriptor__after_an_empty_take__becomes_readable),
        TEST(test_subscriber__joining_late__starts_at_the_tail),
        TEST(test_subscriber__of_many_publishers__gets_all_in_order),
        TEST(test_context__of_a_broker_told_to_stop__says_so),
        TEST(test_topic__with_a_bad_name__is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
