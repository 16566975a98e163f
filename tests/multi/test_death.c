/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that are killed, stopped, forked or replaced by another program, at the API: what they
 * held comes back, who waited for them goes on, what they had committed arrives, and nobody else
 * notices.
 *
 * covers: D1 D2 G5 G6 B0 B1 B2
 * kills: J1 R1 R4 R5 K3 S1 W1
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <lshm/inspect.h>

#include "agent.h"

#define STREAM 100000
#define ROUNDS 10

/* A publisher with 64 entries and 16 slots that waits for ever. */
static void start_publisher(struct agent *from)
{
    agent_start(from);
    (void)agent_do(from, "pub test/death payload=3000 ring=64 slots=16 wait_ms=-1");
}

static void start_subscriber(struct agent *to)
{
    agent_start(to);
    (void)agent_do(to, "sub test/death window=8 holds=4");
}

static void test_subscriber__killed_with_window_and_holds_full__gives_all_slots_back(void **state)
{
    struct agent from, to;

    (void)state;
    start_publisher(&from);
    for (int i = 0; i < ROUNDS; i++) {
        start_subscriber(&to);
        agent_tell(&from, "send 0 100 min=1000 max=3000");
        assert_int_equal(agent_do(&to, "grab 0 12"), 12);
        agent_is_busy(&from, 20);
        agent_kill(&to);
        assert_int_equal(agent_hear(&from), 100);
        assert_int_equal(agent_do(&from, "pstat 0 readers"), 0);
        assert_int_equal(agent_do(&from, "send 0 16 min=1000 max=3000"), 16);
        assert_int_equal(agent_do(&from, "pstat 0 limbo"), 0);
    }
    /* Woken by the death, not by the look that a sleeper takes once a second. */
    assert_true(agent_do(&from, "slow") <= 2);
    agent_end(&from);
}

static void test_subscriber__killed__leaves_the_others_their_messages(void **state)
{
    struct agent from, to, other;

    (void)state;
    start_publisher(&from);
    start_subscriber(&other);
    for (int i = 0; i < ROUNDS; i++) {
        start_subscriber(&to);
        agent_tell(&other, "take 0 5000 batch=4 shuffle=1");
        agent_tell(&from, "send 0 5000 max=3000");
        if (i % 2)
            assert_int_equal(agent_do(&to, "grab 0 12"), 12);
        else
            agent_tell(&to, "take 0 100000");
        agent_kill(&to);
        assert_int_equal(agent_hear(&from), 5000);
        assert_int_equal(agent_hear(&other), 5000);
    }
    assert_int_equal(agent_do(&other, "sstat 0 lost"), 0);
    agent_end(&from);
    agent_end(&other);
}

static void test_subscriber__killed_while_it_opens__is_no_reader(void **state)
{
    struct agent from, to;

    (void)state;
    start_publisher(&from);
    for (int i = 0; i < ROUNDS; i++) {
        agent_start(&to);
        if (i % 2)
            agent_tell(&to, "sub test/death");
        agent_kill(&to);
        assert_int_equal(agent_do(&from, "send 0 200 max=3000"), 200);
    }
    assert_true(agent_do(&from, "slow") <= 2);
    agent_end(&from);
}

static bool has_64_ahead(void *subscriber)
{
    return agent_do(subscriber, "sstat 0 ahead") == 64;
}

static void test_publisher__killed_when_full__leaves_what_it_committed(void **state)
{
    struct agent from, to;

    (void)state;
    start_subscriber(&to);
    for (int i = 0; i < ROUNDS; i++) {
        start_publisher(&from);
        agent_tell(&from, "send 0 1000 max=8");
        (void)agent_do(&to, "any 1 ms=10000"); /* it knows the ring then */
        lst_must(lst_wait_until(has_64_ahead, &to, LST_DEADLINE_MS));
        agent_kill(&from);
        assert_int_equal(agent_do(&to, "take 0 64"), 64);
        assert_int_equal(agent_do(&to, "none 0"), 0);
    }
    assert_int_equal(agent_do(&to, "sstat 0 lost"), 0);
    assert_int_equal(agent_do(&to, "none 0 ms=50"), 0);
    assert_int_equal(agent_do(&to, "sstat 0 publishers"), 0);
    agent_end(&to);
}

static void test_publisher__killed_in_a_stream__ends_at_a_whole_message(void **state)
{
    struct agent from, to;

    (void)state;
    start_subscriber(&to);
    for (int i = 0; i < ROUNDS; i++) {
        start_publisher(&from);
        agent_tell(&from, "send 0 100000000 max=3000 batch=%d", 1 + i % 3);
        assert_int_equal(agent_do(&to, "take 0 %d batch=4", 500 * i + 1), 500 * i + 1);
        agent_kill(&from);
        assert_true(agent_do(&to, "take 0 1000 ms=0 batch=4") <= 64);
        assert_int_equal(agent_do(&to, "none 0"), 0);
    }
    agent_end(&to);
}

static void test_publisher__killed__leaves_its_samples_readable(void **state)
{
    struct agent from, to;

    (void)state;
    start_publisher(&from);
    start_subscriber(&to);
    assert_int_equal(agent_do(&from, "send 0 14 min=1000 max=3000"), 14);
    assert_int_equal(agent_do(&to, "grab 0 12"), 12);
    agent_kill(&from);
    start_publisher(&from);
    assert_int_equal(agent_do(&from, "send 0 16 min=1000 max=3000"), 16);
    assert_int_equal(agent_do(&to, "intact 0"), 12);
    assert_int_equal(agent_do(&to, "take 0 16 batch=4"), 16); /* the new one's */
    assert_int_equal(agent_do(&to, "sstat 0 publishers"), 2);
    assert_int_equal(agent_do(&to, "drop 0 12"), 12);
    assert_int_equal(agent_do(&to, "take 0 2"), 2);           /* the dead one's last */
    assert_int_equal(agent_do(&to, "none 0"), 0);
    assert_int_equal(agent_do(&to, "sstat 0 publishers"), 1);
    agent_end(&to);
    agent_end(&from);
}

/* The publisher has got as far as it can, or to the end. */
static bool waits_or_has_sent_all(void *inspector)
{
    struct lshm_publisher_info info;

    assert_int_equal(lshm_inspector_list_publishers(inspector, &info, 1), 1);
    return info.waiting == 1 || info.published == STREAM;
}

static void test_subscriber__stopped__is_waited_for_and_misses_nothing(void **state)
{
    struct lshm_context_options options = { .size = sizeof options,
                                            .socket = agent_rig.broker.socket_path };
    struct lshm_inspector *inspector;
    struct agent from, to;

    (void)state;
    start_publisher(&from);
    start_subscriber(&to);
    assert_int_equal(lshm_inspector_open(&options, NULL, &inspector), 0);
    agent_tell(&to, "take 0 %d batch=4", STREAM);
    agent_tell(&from, "send 0 %d max=3000", STREAM);
    for (int i = 0; i < 5; i++) {
        lst_must(lst_child_stop(&to.process));
        lst_must(lst_wait_until(waits_or_has_sent_all, inspector, LST_DEADLINE_MS));
        lst_must(lst_child_continue(&to.process));
    }
    lshm_inspector_close(inspector);
    assert_int_equal(agent_hear(&from), STREAM);
    assert_int_equal(agent_hear(&to), STREAM);
    assert_int_equal(agent_do(&to, "sstat 0 lost"), 0);
    agent_end(&from);
    agent_end(&to);
}

static void test_subscriber__killed_with_a_child_alive__is_dead(void **state)
{
    struct agent from, to;
    long long child;

    (void)state;
    start_publisher(&from);
    start_subscriber(&to);
    agent_tell(&from, "send 0 100 min=1000 max=3000");
    assert_int_equal(agent_do(&to, "grab 0 12"), 12);
    child = agent_do(&to, "fork"); /* has its socket too */
    agent_is_busy(&from, 20);
    agent_kill(&to);
    assert_int_equal(agent_hear(&from), 100);
    assert_int_equal(kill((pid_t)child, SIGKILL), 0);
    agent_end(&from);
}

static bool is_idle(void *arg)
{
    const struct agent *agent = arg;
    char path[64], line[256] = "";
    FILE *file;
    size_t length;

    (void)snprintf(path, sizeof path, "/proc/%d/cmdline", (int)agent->process.pid);
    file = fopen(path, "re");
    length = file ? fread(line, 1, sizeof line - 1, file) : 0;
    if (file)
        (void)fclose(file);
    return length > 4 && strcmp(line, "idle") == 0;
}

static void test_subscriber__replaced_by_a_program__counts_until_that_dies(void **state)
{
    struct agent from, to;

    (void)state;
    start_publisher(&from);
    start_subscriber(&to);
    agent_tell(&from, "send 0 100 min=1000 max=3000");
    assert_int_equal(agent_do(&to, "grab 0 12"), 12);
    agent_tell(&to, "exec");
    lst_must(lst_wait_until(is_idle, &to, LST_DEADLINE_MS));
    agent_is_busy(&from, 50);
    agent_kill(&to);
    assert_int_equal(agent_hear(&from), 100);
    agent_end(&from);
}

static void test_publisher__replaced_by_a_program__is_dead_when_that_dies(void **state)
{
    struct agent from, to;

    (void)state;
    start_publisher(&from);
    start_subscriber(&to);
    assert_int_equal(agent_do(&from, "send 0 10 max=3000"), 10);
    agent_tell(&from, "exec");
    lst_must(lst_wait_until(is_idle, &from, LST_DEADLINE_MS));
    assert_int_equal(agent_do(&to, "take 0 5"), 5);
    assert_int_equal(agent_do(&to, "sstat 0 publishers"), 1);
    agent_kill(&from);
    assert_int_equal(agent_do(&to, "take 0 5"), 5);
    assert_int_equal(agent_do(&to, "none 0 ms=50"), 0);
    assert_int_equal(agent_do(&to, "sstat 0 publishers"), 0);
    agent_end(&to);
}

static void test_client__killed_by_dozens__leaves_room_for_others(void **state)
{
    struct agent from, to, victims[4];

    (void)state;
    start_publisher(&from);
    start_subscriber(&to);
    agent_tell(&to, "take 0 50000 batch=8");
    agent_tell(&from, "send 0 50000 max=3000");
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = 0; k < 4; k++) {
            agent_start(&victims[k]);
            agent_tell(&victims[k], "churn test/death%s 1000000", k % 2 ? "" : "/other");
        }
        agent_is_busy(&victims[0], i);
        for (int k = 0; k < 4; k++)
            agent_kill(&victims[k]);
    }
    assert_int_equal(agent_hear(&from), 50000);
    assert_true(agent_hear(&to) == 50000);
    agent_end(&from);
    agent_end(&to);
}

static int run(void)
{
    static const struct CMUnitTest tests[] = {
        AGENT_TEST(test_subscriber__killed_with_window_and_holds_full__gives_all_slots_back),
        AGENT_TEST(test_subscriber__killed__leaves_the_others_their_messages),
        AGENT_TEST(test_subscriber__killed_while_it_opens__is_no_reader),
        AGENT_TEST(test_publisher__killed_when_full__leaves_what_it_committed),
        AGENT_TEST(test_publisher__killed_in_a_stream__ends_at_a_whole_message),
        AGENT_TEST(test_publisher__killed__leaves_its_samples_readable),
        AGENT_TEST(test_subscriber__stopped__is_waited_for_and_misses_nothing),
        AGENT_TEST(test_subscriber__killed_with_a_child_alive__is_dead),
        AGENT_TEST(test_subscriber__replaced_by_a_program__counts_until_that_dies),
        AGENT_TEST(test_publisher__replaced_by_a_program__is_dead_when_that_dies),
        AGENT_TEST(test_client__killed_by_dozens__leaves_room_for_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
