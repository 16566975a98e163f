/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a publisher left that breaks the rules of its ring: it ends, goes on writing there, and lies
 * about how far it came. Who joins is told of what makes no sense, to the message, and gets the
 * rest; the broker and all others notice nothing.
 */
#include <string.h>
#include <unistd.h>

#include <lshm/inspect.h>
#include <lshm/lshm.h>

#include "base/atomic.h"
#include "core/handle.h"
#include "raw.h"

#define ENTRIES 16u
#define KEPT 8u
#define TOPIC "test/left"
#define WAIT_NS INT64_C(10000000000)

static struct lst_broker broker;
static struct raw_client hostile;
static struct lsi_ctl_geometry geometry;
static uint64_t port;
static struct lshm_context *context;

#define SLOT(slot) ((uint64_t)1 << LSHM_HANDLE_SEGMENT_SHIFT | (slot))

static int setup(void **state)
{
    struct lst_fixture *fixture;
    struct lshm_context_options options = { .size = sizeof options };
    struct lsi_ctl_publisher_open wish = raw_publisher_wish(TOPIC);

    if (lst_setup(state) < 0)
        return -1;
    fixture = *state;
    lst_must(lst_broker_start(&broker, fixture->dir));
    options.socket = broker.socket_path;
    wish.retain = KEPT;
    assert_int_equal(raw_attach(&hostile, broker.socket_path, 0), 0);
    assert_true(raw_publisher_begin(&hostile, wish) > 0);
    geometry = hostile.packet.publisher_memory.geometry;
    port = hostile.packet.publisher_memory.publisher;
    assert_int_equal(geometry.retain, KEPT);
    assert_int_equal(geometry.history, KEPT);
    assert_int_equal(raw_say_mapped(&hostile, hostile.next_id), 0);
    assert_int_equal(raw_answer(&hostile, hostile.next_id, RAW_TIMEOUT_MS), 0);
    return lshm_context_open(&options, NULL, &context);
}

static int teardown(void **state)
{
    lshm_context_close(context);
    raw_close(&hostile);
    lst_must(lst_broker_stop(&broker));
    return lst_teardown(state);
}

static struct lshm_entry *entry_of(uint64_t seq)
{
    unsigned char *entries = (unsigned char *)hostile.memory[0].base + geometry.entries_offset;

    return (struct lshm_entry *)(entries + (seq & (ENTRIES - 1)) * geometry.entry_bytes);
}

static void set_tail(uint64_t tail)
{
    struct lshm_ring *ring = hostile.memory[0].base;

    lsi_store_release(&ring->tail, tail);
}

/* `count` messages that are as they should be, then the end of the port; the mapping stays. */
static void publish_and_close(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct lshm_entry *entry = entry_of(LST_SEQ_FIRST + i);

        entry->handle = SLOT(i % ENTRIES);
        entry->length = 8;
        lsi_store_release(&entry->commit, LST_SEQ_FIRST + i + 1);
    }
    set_tail(LST_SEQ_FIRST + count);
    assert_int_equal(raw_port_close(&hostile, LSI_CTL_PUBLISHER_CLOSE, port), 0);
}

static struct lshm_subscriber *join(const char *topic, uint32_t flags)
{
    struct lshm_subscriber_options options = {
        .size = sizeof options, .history = ENTRIES, .flags = flags };
    struct lshm_subscriber *subscriber = NULL;

    assert_int_equal(lshm_subscriber_open(context, topic, &options, NULL, &subscriber), 0);
    return subscriber;
}

/* Takes until nothing is left, told so by a take that gives nothing. */
static void drain(struct lshm_subscriber *subscriber, unsigned *ret_taken, unsigned *ret_corrupt)
{
    struct lshm_message m;
    int r;

    *ret_taken = *ret_corrupt = 0;
    while ((r = lshm_subscriber_take(subscriber, &m)) != 0) {
        assert_true(r == 1 || r == -LSHM_ECORRUPT);
        *ret_taken += r == 1;
        *ret_corrupt += r < 0;
        if (r == 1)
            assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
    }
}

static void statistics_are(struct lshm_subscriber *subscriber, uint64_t taken, uint64_t corrupt)
{
    struct lshm_subscriber_statistics s = { .size = sizeof s };

    assert_int_equal(lshm_subscriber_get_statistics(subscriber, &s), 0);
    assert_int_equal(s.taken, taken);
    assert_int_equal(s.corrupt, corrupt);
    assert_int_equal(s.lost, corrupt);
    assert_int_equal(s.ahead, 0);
    assert_int_equal(s.publishers, 0);
}

static uint64_t retained(void)
{
    struct lshm_context_options options = { .size = sizeof options, .socket = broker.socket_path };
    struct lshm_inspector *inspector;
    struct lshm_broker_status status = { .size = sizeof status };

    assert_int_equal(lshm_inspector_open(&options, NULL, &inspector), 0);
    assert_int_equal(lshm_inspector_get_status(inspector, &status), 0);
    lshm_inspector_close(inspector);
    return status.retained;
}

static void each_bad_one_is_told(uint32_t flags)
{
    struct lshm_subscriber *subscriber;
    unsigned taken, corrupt;

    publish_and_close(20);
    entry_of(LST_SEQ_FIRST + 13)->handle = SLOT(geometry.segments[0].slot_count);
    entry_of(LST_SEQ_FIRST + 16)->length = UINT32_MAX;
    subscriber = join(TOPIC, flags);
    drain(subscriber, &taken, &corrupt);
    assert_int_equal(taken, KEPT - 2);
    assert_int_equal(corrupt, 2);
    statistics_are(subscriber, KEPT - 2, 2);
    lshm_subscriber_close(subscriber);
}

static void test_retained__with_forged_descriptors__each_is_told(void **state)
{
    (void)state;
    each_bad_one_is_told(0);
}

static void test_retained__with_forged_descriptors_lossy__each_is_told(void **state)
{
    (void)state;
    each_bad_one_is_told(LSHM_SUBSCRIBER_LATEST);
}

/* Messages that the broker has seen are not there any more: told once, and the ring is left. */
static void the_rest_is_given_up(uint32_t flags)
{
    struct lshm_subscriber *subscriber;
    unsigned taken, corrupt;

    publish_and_close(20);
    for (uint64_t i = 15; i < 20; i++)
        lsi_store_release(&entry_of(LST_SEQ_FIRST + i)->commit, (uint64_t)0);
    subscriber = join(TOPIC, flags);
    drain(subscriber, &taken, &corrupt);
    assert_int_equal(taken, 3);
    assert_int_equal(corrupt, 1);
    statistics_are(subscriber, 3, 5);
    lshm_subscriber_close(subscriber);
}

static void test_retained__whose_messages_vanish__is_left(void **state)
{
    (void)state;
    the_rest_is_given_up(0);
}

static void test_retained__whose_messages_vanish_lossy__is_left(void **state)
{
    (void)state;
    the_rest_is_given_up(LSHM_SUBSCRIBER_LATEST);
}

/* A waiter is woken to hear of it, and does not sleep on. */
static void test_retained__whose_messages_vanish__ends_a_wait(void **state)
{
    struct lshm_subscriber *subscriber;
    struct lshm_message m;

    (void)state;
    publish_and_close(20);
    subscriber = join(TOPIC, 0);
    for (uint64_t i = 12; i < 20; i++)
        lsi_store_release(&entry_of(LST_SEQ_FIRST + i)->commit, (uint64_t)0);
    assert_int_equal(lshm_subscriber_wait(subscriber, WAIT_NS), 1);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), -LSHM_ECORRUPT);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 0);
    statistics_are(subscriber, 0, KEPT);
    lshm_subscriber_close(subscriber);
}

/* Nothing that can be believed is nothing that is kept. */
static void test_retained__with_a_forged_tail__is_nothing(void **state)
{
    static const uint64_t tails[] = { 1000, UINT64_C(1) << 62, UINT64_MAX };

    (void)state;
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        struct lsi_ctl_publisher_open wish = raw_publisher_wish(TOPIC);

        wish.retain = KEPT;
        assert_int_equal(raw_publisher_open(&hostile, wish, &port, NULL), 0);
        set_tail(tails[i]);
        assert_int_equal(raw_port_close(&hostile, LSI_CTL_PUBLISHER_CLOSE, port), 0);
        assert_int_equal(retained(), 0);
    }
}

/* Others, beside it and on its topic. */
static void test_retained__forged__disturbs_nobody_else(void **state)
{
    struct lshm_publisher_options options = { .size = sizeof options, .retain = 2 };
    struct lshm_publisher *publisher;
    struct lshm_subscriber *subscriber;
    unsigned taken, corrupt;

    (void)state;
    publish_and_close(20);
    memset(hostile.memory[0].base, 0xff, geometry.ring_bytes);
    memset(hostile.memory[1].base, 0xff, geometry.segments[0].bytes);
    subscriber = join(TOPIC, 0);
    assert_int_equal(lshm_publisher_open(context, TOPIC, &options, NULL, &publisher), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(lshm_publisher_send(publisher, "12345678", 8), 0);
    drain(subscriber, &taken, &corrupt);
    assert_int_equal(taken, 5);
    assert_true(corrupt > 0);
    lshm_subscriber_close(subscriber);
    lshm_publisher_close(publisher);
    assert_int_equal(retained(), 1); /* the last one's: the forged one is superseded */
    subscriber = join(TOPIC, 0);
    drain(subscriber, &taken, &corrupt);
    assert_int_equal(taken, 2);
    assert_int_equal(corrupt, 0);
    lshm_subscriber_close(subscriber);
}

/* Who is not attached drops nothing. */
static void test_clear__before_hello__is_cut_off(void **state)
{
    struct lsi_ctl_topic_clear clear = { .header.type = LSI_CTL_TOPIC_CLEAR };
    struct raw_client stranger;

    (void)state;
    publish_and_close(20);
    lsi_ctl_set_text(clear.topic, sizeof clear.topic, TOPIC);
    assert_int_equal(raw_connect(&stranger, broker.socket_path), 0);
    assert_int_equal(raw_call(&stranger, &clear, sizeof clear), -LSHM_EPROTO);
    raw_close(&stranger);
    assert_int_equal(retained(), 1);
    assert_int_equal(raw_call(&hostile, &clear, sizeof clear), 0);
    assert_int_equal(hostile.packet.topic_clear_reply.publishers, 1);
    assert_int_equal(retained(), 0);
}

/* A client says again what was not answered when the worker was killed. */
static void test_clear__repeated__answers_as_before(void **state)
{
    struct lsi_ctl_topic_clear clear = { .header.type = LSI_CTL_TOPIC_CLEAR };

    (void)state;
    publish_and_close(20);
    lsi_ctl_set_text(clear.topic, sizeof clear.topic, TOPIC);
    assert_int_equal(raw_call(&hostile, &clear, sizeof clear), 0);
    clear.header.id = hostile.next_id;
    assert_int_equal(lsi_ctl_send(hostile.fd, &clear, sizeof clear, NULL, 0), 0);
    assert_int_equal(raw_answer(&hostile, clear.header.id, RAW_TIMEOUT_MS), 0);
    assert_int_equal(hostile.packet.topic_clear_reply.publishers, 1);
    assert_int_equal(raw_call(&hostile, &clear, sizeof clear), -LSHM_ENOTOPIC);
}

static int run(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_retained__with_forged_descriptors__each_is_told),
        TEST(test_retained__with_forged_descriptors_lossy__each_is_told),
        TEST(test_retained__whose_messages_vanish__is_left),
        TEST(test_retained__whose_messages_vanish_lossy__is_left),
        TEST(test_retained__whose_messages_vanish__ends_a_wait),
        TEST(test_retained__with_a_forged_tail__is_nothing),
        TEST(test_retained__forged__disturbs_nobody_else),
        TEST(test_clear__before_hello__is_cut_off),
        TEST(test_clear__repeated__answers_as_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
