/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers: a thousand publishers or subscribers on one topic, thousands of topics, a thousand
 * attached processes. Everything arrives, and the next one beyond a limit is told which.
 *
 * Ten thousand topics and a thousand processes in the long run of the tests, else two thousand and
 * a hundred.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lshm/inspect.h>

#include "agent.h"

#define MANY 1000
#define TOPICS 2000
#define TOPICS_LONG 10000
#define SECOND INT64_C(1000000000)

static bool is_long(void)
{
    const char *mode = getenv("LSHM_CHECK_MODE");

    return mode != NULL && strcmp(mode, "long") == 0;
}

static struct lshm_context *attach(void)
{
    struct lshm_context_options options = {
        .size = sizeof options,
        .socket = agent_rig.broker.socket_path,
    };
    struct lshm_context *context = NULL;

    assert_int_equal(lshm_context_open(&options, NULL, &context), 0);
    return context;
}

static struct lshm_publisher *publisher_of(struct lshm_context *context, const char *topic)
{
    struct lshm_publisher_options options = {
        .size = sizeof options,
        .payload_bytes = 64,
        .ring_entries = 16,
    };
    struct lshm_publisher *publisher = NULL;
    struct lshm_error error = { 0 };

    if (lshm_publisher_open(context, topic, &options, &error, &publisher) != 0)
        fail_msg("%s", error.text);
    return publisher;
}

static struct lshm_subscriber *subscriber_of(struct lshm_context *context, const char *topic)
{
    struct lshm_subscriber_options options = { .size = sizeof options, .window = 8, .holds = 1 };
    struct lshm_subscriber *subscriber = NULL;
    struct lshm_error error = { 0 };

    if (lshm_subscriber_open(context, topic, &options, &error, &subscriber) != 0)
        fail_msg("%s", error.text);
    return subscriber;
}

static void take_number(struct lshm_subscriber *subscriber, uint64_t expected)
{
    struct lshm_message m;

    assert_int_equal(lshm_subscriber_wait(subscriber, 10 * SECOND), 1);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    assert_int_equal(*(const uint64_t *)m.data, expected);
    assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
}

static void test_topic__with_a_thousand_publishers__brings_all_messages(void **state)
{
    static struct lshm_publisher *publishers[MANY];
    struct lshm_context *from = attach(), *to = attach();
    struct lshm_subscriber *subscriber = subscriber_of(to, "test/many");
    struct lshm_message m[16];
    uint64_t sum = 0, count = 0;
    int got;

    (void)state;
    for (uint64_t i = 0; i < MANY; i++) {
        publishers[i] = publisher_of(from, "test/many");
        if (i % 32 == 0) /* cells for the next ones */
            assert_int_equal(lshm_subscriber_take(subscriber, m), 0);
    }
    for (uint64_t i = 0; i < MANY; i++)
        assert_int_equal(lshm_publisher_send(publishers[i], &i, sizeof i), 0);
    while (count < MANY && lshm_subscriber_wait(subscriber, 10 * SECOND) == 1) {
        got = lshm_subscriber_take_batch(subscriber, m, 16);
        assert_true(got >= 0);
        for (int k = 0; k < got; k++)
            sum += *(const uint64_t *)m[k].data;
        assert_int_equal(lshm_subscriber_release_batch(subscriber, m, (size_t)got), got);
        count += (uint64_t)got;
    }
    assert_int_equal(count, MANY);
    assert_int_equal(sum, (uint64_t)MANY * (MANY - 1) / 2);
    lshm_context_close(from);
    lshm_context_close(to);
}

static void test_topic__with_a_thousand_subscribers__reaches_all(void **state)
{
    static struct lshm_subscriber *subscribers[MANY];
    struct lshm_context *from = attach(), *to = attach();
    struct lshm_publisher *publisher;

    (void)state;
    for (int i = 0; i < MANY; i++)
        subscribers[i] = subscriber_of(to, "test/many");
    publisher = publisher_of(from, "test/many");
    for (uint64_t number = 7; number < 10; number++)
        assert_int_equal(lshm_publisher_send(publisher, &number, sizeof number), 0);
    for (uint64_t number = 7; number < 10; number++)
        for (int i = 0; i < MANY; i++)
            take_number(subscribers[i], number);
    lshm_context_close(from);
    lshm_context_close(to);
}

static void test_topics__by_the_thousand__each_bring_their_own(void **state)
{
    static struct lshm_publisher *publishers[TOPICS_LONG];
    static struct lshm_subscriber *subscribers[TOPICS_LONG];
    uint64_t topics = is_long() ? TOPICS_LONG : TOPICS;
    struct lshm_context *from = attach(), *to = attach();
    char topic[32];

    (void)state;
    for (uint64_t i = 0; i < topics; i++) {
        (void)snprintf(topic, sizeof topic, "test/%llu", (unsigned long long)i);
        subscribers[i] = subscriber_of(to, topic);
    }
    for (uint64_t i = 0; i < topics; i++) {
        struct lshm_message m;

        (void)snprintf(topic, sizeof topic, "test/%llu", (unsigned long long)i);
        publishers[i] = publisher_of(from, topic);
        if (i % 16 == 0)
            assert_int_equal(lshm_subscriber_take(subscribers[0], &m), 0);
    }
    for (uint64_t i = 0; i < topics; i++)
        assert_int_equal(lshm_publisher_send(publishers[i], &i, sizeof i), 0);
    for (uint64_t i = 0; i < topics; i++)
        take_number(subscribers[i], i);
    lshm_context_close(from);
    lshm_context_close(to);
}

/* Attaches until it is refused: how many there was room for. */
static int fill_up(struct lshm_context *contexts[], int max)
{
    struct lshm_context_options options = {
        .size = sizeof options,
        .socket = agent_rig.broker.socket_path,
    };

    for (int i = 0; i < max; i++) {
        struct lshm_error error = { 0 };
        int r = lshm_context_open(&options, &error, &contexts[i]);

        if (r == 0)
            continue;
        assert_int_equal(r, -LSHM_ELIMIT);
        assert_non_null(strstr(error.text, "--clients-max"));
        return i;
    }
    fail_msg("no limit at %d", max);
    return max;
}

/* All attached at the same time, asleep, and all of them get the messages. */
static void test_processes__by_the_hundred_or_thousand__are_all_reached(void **state)
{
    static struct agent agents[MANY];
    int count = is_long() ? MANY : MANY / 10;
    struct agent from;

    (void)state;
    agent_deadline_s = 300;
    agent_start(&from);
    for (int i = 0; i < count; i++) {
        agent_start(&agents[i]);
        (void)agent_do(&agents[i], "sub test/many window=4 holds=1");
    }
    (void)agent_do(&from, "pub test/many payload=64 ring=16 wait_ms=-1");
    for (int i = 0; i < count; i++)
        agent_tell(&agents[i], "take 0 3");
    assert_int_equal(agent_do(&from, "send 0 3 max=64"), 3);
    for (int i = 0; i < count; i++)
        assert_int_equal(agent_hear(&agents[i]), 3);
    for (int i = 0; i < count; i++)
        agent_end(&agents[i]);
    agent_end(&from);
}

/* A thousand of this process alone; the one beyond the limit is told which it is. */
static void test_sessions__beyond_the_limit__are_refused_by_its_name(void **state)
{
    static struct lshm_context *contexts[2 * MANY];
    int count = fill_up(contexts, 2 * MANY);

    (void)state;
    assert_in_range(count, MANY, 2 * MANY);
    for (int i = 0; i < count; i++)
        lshm_context_close(contexts[i]);
}

static uint64_t region_bytes(void)
{
    struct lshm_context_options options = { .size = sizeof options,
                                            .socket = agent_rig.broker.socket_path };
    struct lshm_broker_status status = { .size = sizeof status };
    struct lshm_inspector *inspector;

    assert_int_equal(lshm_inspector_open(&options, NULL, &inspector), 0);
    assert_int_equal(lshm_inspector_get_status(inspector, &status), 0);
    lshm_inspector_close(inspector);
    return status.region_bytes;
}

/* Its control region and its board, in shared memory. */
static void test_client__idle__has_64_kib_at_most(void **state)
{
    struct lshm_context *contexts[10];
    uint64_t before = region_bytes();

    (void)state;
    for (int i = 0; i < 10; i++)
        contexts[i] = attach();
    assert_in_range(region_bytes() - before, 1, UINT64_C(10) * 64 * 1024);
    for (int i = 0; i < 10; i++)
        lshm_context_close(contexts[i]);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        AGENT_TEST(test_topic__with_a_thousand_publishers__brings_all_messages),
        AGENT_TEST(test_topic__with_a_thousand_subscribers__reaches_all),
        AGENT_TEST(test_topics__by_the_thousand__each_bring_their_own),
        AGENT_TEST(test_processes__by_the_hundred_or_thousand__are_all_reached),
        AGENT_TEST(test_client__idle__has_64_kib_at_most),
        AGENT_TEST(test_sessions__beyond_the_limit__are_refused_by_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
