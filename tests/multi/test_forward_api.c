/* SPDX-License-Identifier: Apache-2.0 */
/* Forwarding at the API, in one process: slices, quotas, cycles, ports that close. */
#include <errno.h>
#include <string.h>

#include "agent.h"

#define BYTES 3000u
#define HOLDS 3u

static struct lshm_context *contexts[3];
static struct lshm_publisher *origin, *publisher;
static struct lshm_subscriber *subscriber, *reader;

static struct lshm_context *attach(void)
{
    struct lshm_context_options options = { .size = sizeof options,
                                            .socket = agent_rig.broker.socket_path };
    struct lshm_context *context = NULL;

    assert_int_equal(lshm_context_open(&options, NULL, &context), 0);
    return context;
}

static struct lshm_publisher *publish_on(struct lshm_context *context, const char *topic,
                                         uint64_t payload_bytes, uint32_t history)
{
    struct lshm_publisher_options options = { .size = sizeof options,
                                              .payload_bytes = payload_bytes,
                                              .ring_entries = 64,
                                              .slot_count = 16,
                                              .history = history };
    struct lshm_publisher *port = NULL;

    assert_int_equal(lshm_publisher_open(context, topic, &options, NULL, &port), 0);
    return port;
}

static struct lshm_subscriber *subscribe_to(struct lshm_context *context, const char *topic,
                                            uint32_t flags)
{
    struct lshm_subscriber_options options = { .size = sizeof options, .window = 4,
                                               .holds = HOLDS, .flags = flags, .history = 8 };
    struct lshm_subscriber *port = NULL;

    assert_int_equal(lshm_subscriber_open(context, topic, &options, NULL, &port), 0);
    return port;
}

static int setup(void **state)
{
    if (agent_setup(state) < 0)
        return -1;
    for (int i = 0; i < 3; i++)
        contexts[i] = attach();
    origin = publish_on(contexts[0], "test/whole", BYTES, 0);
    subscriber = subscribe_to(contexts[1], "test/whole", 0);
    publisher = publish_on(contexts[1], "test/part", BYTES, 0);
    reader = subscribe_to(contexts[2], "test/part", 0);
    return 0;
}

static int teardown(void **state)
{
    for (int i = 0; i < 3; i++)
        lshm_context_close(contexts[i]);
    return agent_teardown(state);
}

static void send_one(unsigned char value)
{
    struct lshm_message m;

    assert_int_equal(lshm_publisher_loan(origin, BYTES, &m), 0);
    for (uint32_t i = 0; i < BYTES; i++)
        ((unsigned char *)m.data)[i] = (unsigned char)(value + i);
    assert_int_equal(lshm_publisher_publish(origin, &m), 0);
}

static void assert_part(const struct lshm_message *m, unsigned char value, uint64_t offset,
                        uint64_t length)
{
    assert_int_equal(m->length, length);
    for (uint64_t i = 0; i < length; i++)
        assert_int_equal(((const unsigned char *)m->data)[i], (unsigned char)(value + offset + i));
}

static int forward(const struct lshm_message *m)
{
    struct lshm_slice slice = { .length = m->length };

    return lshm_publisher_forward(publisher, subscriber, m, &slice, 1);
}

/* A message of the origin, forwarded and released. */
static void pass_one(unsigned char value)
{
    struct lshm_message m;

    send_one(value);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    assert_int_equal(forward(&m), 1);
    assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
}

static struct lshm_publisher_statistics statistics_of(struct lshm_publisher *port)
{
    struct lshm_publisher_statistics s = { .size = sizeof s };

    assert_int_equal(lshm_publisher_get_statistics(port, &s), 0);
    return s;
}

/* Every slot can be loaned at once. */
static void assert_all_slots_back(void)
{
    struct lshm_message m[16];

    assert_int_equal(lshm_publisher_loan_batch(origin, BYTES, m, 16), 16);
    assert_int_equal(lshm_publisher_abort_batch(origin, m, 16), 16);
}

static void test_forward__of_several_slices__makes_each_a_message(void **state)
{
    struct lshm_slice slices[3] = {
        { .offset = 0, .length = BYTES, .user = { 1, 2 }, .flags = 1u << 16, .schema = 7 },
        { .offset = 1000, .length = 1, .user = { 3, 4 } },
        { .offset = BYTES, .length = 0 },
    };
    struct lshm_message m, parts[3];

    (void)state;
    send_one(9);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    assert_int_equal(lshm_publisher_forward(publisher, subscriber, &m, slices, 3), 3);
    assert_int_equal(slices[2].seq, LST_SEQ_FIRST + 2);
    assert_int_equal(lshm_subscriber_take_batch(reader, parts, 3), 3);
    for (int i = 0; i < 3; i++) {
        assert_part(&parts[i], 9, slices[i].offset, slices[i].length);
        assert_memory_equal(parts[i].user, slices[i].user, sizeof parts[i].user);
        assert_int_equal(parts[i].flags >> 16, slices[i].flags >> 16);
        assert_int_equal(parts[i].schema, slices[i].schema);
    }
    assert_int_equal(statistics_of(publisher).forward_copies, 0);
    assert_int_equal(statistics_of(publisher).views, 3);
    assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
    assert_int_equal(lshm_subscriber_release(subscriber, &m), -LSHM_ESTALE);
    assert_int_equal(forward(&m), -LSHM_ESTALE);
    for (unsigned char i = 0; i < 30; i++) { /* the slot is not used again meanwhile */
        send_one(i);
        assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
        assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
        assert_part(&parts[0], 9, 0, BYTES);
    }
    assert_int_equal(lshm_subscriber_release_batch(reader, parts, 3), 3);
    assert_int_equal(statistics_of(publisher).views, 0);
    assert_all_slots_back();
}

static void test_forward__then_no_release__keeps_the_sample(void **state)
{
    struct lshm_message m, part;

    (void)state;
    send_one(1);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    assert_int_equal(forward(&m), 1);
    assert_int_equal(lshm_subscriber_take(reader, &part), 1);
    assert_int_equal(lshm_subscriber_release(reader, &part), 0);
    assert_int_equal(statistics_of(publisher).views, 0);
    assert_part(&m, 1, 0, BYTES);
    assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
    assert_all_slots_back();
}

static void test_forward__of_what_is_not_inside__is_refused(void **state)
{
    struct lshm_slice slices[3] = {
        { .offset = 1, .length = BYTES }, { .offset = BYTES + 1 },
        { .offset = UINT64_MAX, .length = 2 },
    };
    struct lshm_message m, longer;

    (void)state;
    send_one(1);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(lshm_publisher_forward(publisher, subscriber, &m, &slices[i], 1),
                         -EINVAL);
    longer = m;
    longer.length = 4096 + 1;
    assert_int_equal(forward(&longer), -EINVAL);
    assert_int_equal(lshm_publisher_forward(origin, subscriber, &m, slices, 1), -LSHM_EFOREIGN);
    assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
    assert_int_equal(lshm_subscriber_take(reader, &m), 0);
}

static void test_forward__of_an_inline_message__copies(void **state)
{
    struct lshm_message m, part;

    (void)state;
    assert_int_equal(lshm_publisher_send(origin, "small", 6), 0);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    assert_int_equal(forward(&m), 1);
    assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
    assert_int_equal(lshm_subscriber_take(reader, &part), 1);
    assert_string_equal(part.data, "small");
    assert_int_equal(lshm_subscriber_release(reader, &part), 0);
    assert_int_equal(statistics_of(publisher).forward_copies, 1);
}

static void test_forward__beyond_the_holds__copies_or_is_refused(void **state)
{
    struct lshm_publisher *narrow = publish_on(contexts[1], "test/narrow", 100, 0);
    struct lshm_slice slice = { .length = BYTES };
    struct lshm_message m, parts[HOLDS + 1];

    (void)state;
    for (unsigned char i = 0; i < HOLDS; i++)
        pass_one(i);
    assert_int_equal(statistics_of(publisher).forward_copies, 0);
    pass_one(HOLDS);
    assert_int_equal(statistics_of(publisher).forward_copies, 1);
    send_one(0);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    assert_int_equal(lshm_publisher_forward(narrow, subscriber, &m, &slice, 1), -LSHM_EHELD);
    assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
    assert_int_equal(lshm_subscriber_take_batch(reader, parts, HOLDS + 1), HOLDS + 1);
    for (unsigned char i = 0; i <= HOLDS; i++)
        assert_part(&parts[i], i, 0, BYTES);
    assert_int_equal(lshm_subscriber_release_batch(reader, parts, HOLDS + 1), HOLDS + 1);
    pass_one(0);
    assert_int_equal(statistics_of(publisher).forward_copies, 1);
    assert_int_equal(statistics_of(publisher).views, 1);
}

static void test_forward__to_a_late_joiner__reaches_it_with_the_history(void **state)
{
    struct lshm_publisher *past = publish_on(contexts[1], "test/past", BYTES, 2);
    struct lshm_slice slice = { .length = BYTES };
    struct lshm_subscriber *late;
    struct lshm_message m, parts[2];

    (void)state;
    for (unsigned char i = 0; i < 10; i++) {
        send_one(i);
        assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
        assert_int_equal(lshm_publisher_forward(past, subscriber, &m, &slice, 1), 1);
        assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
    }
    assert_int_equal(statistics_of(past).forward_copies, 0);
    late = subscribe_to(contexts[2], "test/past", 0);
    assert_int_equal(lshm_subscriber_take_batch(late, parts, 2), 2);
    assert_part(&parts[0], 8, 0, BYTES);
    assert_part(&parts[1], 9, 0, BYTES);
    assert_int_equal(lshm_subscriber_release_batch(late, parts, 2), 2);
    assert_int_equal(statistics_of(past).views, 2);
}

static void test_forward__past_a_lossy_reader__keeps_no_more_than_the_holds(void **state)
{
    struct lshm_subscriber_statistics s = { .size = sizeof s };
    struct lshm_subscriber *lossy;
    struct lshm_message m[4];
    uint64_t taken;
    int got;

    (void)state;
    lshm_subscriber_close(reader);
    lossy = subscribe_to(contexts[2], "test/part", LSHM_SUBSCRIBER_LATEST);
    for (unsigned i = 0; i < 200; i++)
        pass_one((unsigned char)i);
    assert_true(statistics_of(publisher).views <= HOLDS);
    while ((got = lshm_subscriber_take_batch(lossy, m, 4)) > 0) {
        for (int i = 0; i < got; i++)
            assert_part(&m[i], (unsigned char)(m[i].seq - LST_SEQ_FIRST), 0, BYTES);
        assert_int_equal(lshm_subscriber_release_batch(lossy, m, (size_t)got), got);
    }
    assert_int_equal(got, 0);
    assert_int_equal(lshm_subscriber_get_statistics(lossy, &s), 0);
    taken = s.taken;
    assert_true(taken > 0);
    assert_int_equal(taken + s.lost, 200);
}

static void test_cycle__ends_at_the_quota(void **state)
{
    struct lshm_publisher *back = publish_on(contexts[1], "test/whole", BYTES, 0);
    struct lshm_subscriber *own = subscribe_to(contexts[1], "test/part", 0);
    struct lshm_message m;

    (void)state;
    send_one(5);
    for (int i = 0; i < 50; i++) {
        struct lshm_slice slice = { .length = BYTES };

        assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
        assert_part(&m, 5, 0, BYTES);
        assert_int_equal(forward(&m), 1);
        assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
        assert_int_equal(lshm_subscriber_take(reader, &m), 1);
        assert_int_equal(lshm_subscriber_release(reader, &m), 0);
        assert_int_equal(lshm_subscriber_take(own, &m), 1);
        assert_int_equal(lshm_publisher_forward(back, own, &m, &slice, 1), 1);
        assert_int_equal(lshm_subscriber_release(own, &m), 0);
    }
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
    assert_int_equal(lshm_subscriber_take(own, &m), 0);
    for (int i = 0; i < 4; i++) /* what came back lets go of what it came from */
        (void)(statistics_of(publisher).views + statistics_of(back).views);
    assert_int_equal(statistics_of(publisher).views, 0);
    assert_int_equal(statistics_of(back).views, 0);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 0);
    assert_all_slots_back();
}

static bool has_slots_back(void *arg)
{
    struct lshm_message m[16];
    int got = lshm_publisher_loan_batch(origin, BYTES, m, 16);

    (void)arg;
    (void)lshm_publisher_abort_batch(origin, m, (size_t)got);
    return got == 16;
}

static void ports_close(void first(void), void second(void))
{
    struct lshm_message part;

    pass_one(3);
    assert_int_equal(lshm_subscriber_take(reader, &part), 1);
    first();
    second();
    for (unsigned char i = 0; i < 30; i++)
        send_one(i);
    assert_part(&part, 3, 0, BYTES);
    assert_int_equal(lshm_subscriber_release(reader, &part), 0);
    lshm_context_close(contexts[1]);
    contexts[1] = NULL;
    assert_int_equal(lshm_subscriber_take(reader, &part), 0);
    lst_must(lst_wait_until(has_slots_back, NULL, LST_DEADLINE_MS));
}

static void close_publisher(void)
{
    lshm_publisher_close(publisher);
}

static void close_subscriber(void)
{
    lshm_subscriber_close(subscriber);
}

static void close_context(void)
{
    lshm_context_close(contexts[1]);
    contexts[1] = NULL;
}

static void test_ports__closed_with_views__keep_them(void **state)
{
    (void)state;
    ports_close(close_publisher, close_subscriber);
}

static void test_ports__closed_the_other_way_round__keep_them(void **state)
{
    (void)state;
    ports_close(close_subscriber, close_publisher);
}

static void test_context__closed_with_views__keeps_them(void **state)
{
    (void)state;
    ports_close(close_publisher, close_context);
}

static int run(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_forward__of_several_slices__makes_each_a_message),
        TEST(test_forward__then_no_release__keeps_the_sample),
        TEST(test_forward__of_what_is_not_inside__is_refused),
        TEST(test_forward__of_an_inline_message__copies),
        TEST(test_forward__beyond_the_holds__copies_or_is_refused),
        TEST(test_forward__to_a_late_joiner__reaches_it_with_the_history),
        TEST(test_forward__past_a_lossy_reader__keeps_no_more_than_the_holds),
        TEST(test_cycle__ends_at_the_quota),
        TEST(test_ports__closed_with_views__keep_them),
        TEST(test_ports__closed_the_other_way_round__keep_them),
        TEST(test_context__closed_with_views__keeps_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
