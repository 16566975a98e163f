/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeping and waking across processes. A wake-up that gets lost costs its sleeper the time until
 * it looks for itself, a second; so the agents count the waits of more than half a second.
 *
 * covers: S1 W1 W2 S3 W3 L3
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent.h"

#define ROUNDS 5000
#define SLOW_MAX (ROUNDS / 1000) /* a busy machine may stop anybody for a while */
#define IDLE_CPU_US 100000       /* for a wait of a second and more */

static void test_exchange__sleeping_at_each_message__loses_no_wake_up(void **state)
{
    struct agent a[6];

    (void)state;
    for (int i = 0; i < 6; i++) {
        agent_start(&a[i]);
        (void)agent_do(&a[i], "sub test/%s%d", i % 2 ? "to" : "fro", i / 2);
    }
    for (int i = 0; i < 6; i++)
        (void)agent_do(&a[i], "pub test/%s%d", i % 2 ? "fro" : "to", i / 2);
    for (int i = 0; i < 6; i++)
        agent_tell(&a[i], "%s 0 0 %d", i % 2 ? "pong" : "ping", ROUNDS);
    for (int i = 0; i < 6; i++)
        assert_int_equal(agent_hear(&a[i]), ROUNDS);
    for (int i = 0; i < 6; i++) {
        assert_true(agent_do(&a[i], "slow") <= SLOW_MAX);
        agent_end(&a[i]);
    }
}

static void test_exchange__polling_the_descriptor__loses_no_wake_up(void **state)
{
    struct agent a, b;

    (void)state;
    agent_start(&a);
    agent_start(&b);
    (void)agent_do(&a, "sub test/fro");
    (void)agent_do(&b, "sub test/to");
    (void)agent_do(&a, "pub test/to");
    (void)agent_do(&b, "pub test/fro");
    (void)agent_do(&a, "poll");
    (void)agent_do(&b, "poll");
    agent_tell(&b, "pong 0 0 %d", ROUNDS);
    assert_int_equal(agent_do(&a, "ping 0 0 %d", ROUNDS), ROUNDS);
    assert_int_equal(agent_hear(&b), ROUNDS);
    assert_true(agent_do(&a, "slow") <= SLOW_MAX);
    assert_true(agent_do(&b, "slow") <= SLOW_MAX);
    agent_end(&a);
    agent_end(&b);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* A publisher that runs out of `what` and a reader that gives it back one by one. */
static void starve(const char *what, const char *send, int count, int is_polling)
{
    struct agent from, to;

    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&to, "sub test/starve window=2 holds=1");
    (void)agent_do(&from, "pub test/starve payload=3000 %s wait_ms=%d", what, is_polling ? 0 : -1);
    if (is_polling)
        (void)agent_do(&from, "poll");
    agent_tell(&to, "take 0 %d shuffle=1", count);
    assert_int_equal(agent_do(&from, "send 0 %d %s", count, send), count);
    assert_int_equal(agent_hear(&to), count);
    assert_true(agent_do(&from, "slow") <= SLOW_MAX);
    assert_true(agent_do(&to, "slow") <= SLOW_MAX);
    agent_end(&to);
    agent_end(&from);
}

static void test_publisher__without_an_entry__is_woken_by_a_release(void **state)
{
    (void)state;
    starve("ring=4 slots=4", "max=8", 20000, 0);
}

static void test_publisher__without_a_slot__is_woken_by_a_release(void **state)
{
    (void)state;
    starve("ring=64 slots=2", "min=1000 max=3000", 20000, 0);
}

static void test_publisher__polling_for_room__is_woken_by_a_release(void **state)
{
    (void)state;
    starve("ring=4 slots=4", "max=8", 20000, 1);
    starve("ring=64 slots=2", "min=1000 max=3000", 20000, 1);
}

/* All slots are held; each drop of a hold lets one message out. */
static void test_publisher__without_a_slot__is_woken_by_a_dropped_hold(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&to, "sub test/hold window=1 holds=4");
    (void)agent_do(&from, "pub test/hold payload=3000 ring=64 slots=5 wait_ms=-1");
    assert_int_equal(agent_do(&from, "send 0 5 min=1000 max=3000"), 5);
    assert_int_equal(agent_do(&to, "grab 0 5"), 5);
    for (int i = 0; i < 200; i++) {
        agent_tell(&from, "send 0 1 min=1000 max=3000");
        assert_int_equal(agent_do(&to, "drop 0 1"), 1);
        assert_int_equal(agent_hear(&from), 1);
        assert_int_equal(agent_do(&to, "grab 0 1"), 1);
    }
    assert_int_equal(agent_do(&to, "intact 0"), 5);
    assert_true(agent_do(&from, "slow") <= 2);
    agent_end(&to);
    agent_end(&from);
}

static void test_subscriber__with_nothing_to_take__sleeps(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&to, "sub test/idle");
    (void)agent_do(&from, "pub test/idle");
    assert_int_equal(agent_do(&from, "send 0 3"), 3);
    assert_int_equal(agent_do(&to, "take 0 3"), 3);
    agent_tell(&to, "sleep 0 ms=1500");
    agent_kill(&from); /* its death is no message, and no reason to spin */
    assert_true(agent_hear(&to) < IDLE_CPU_US);
    assert_true(agent_do(&to, "sleep 0 ms=500") < IDLE_CPU_US);
    agent_end(&to);
}

static void test_wait_any__of_three__finds_each_in_its_turn(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    for (int i = 0; i < 3; i++) {
        (void)agent_do(&to, "sub test/any%d", i);
        (void)agent_do(&from, "pub test/any%d", i);
    }
    assert_int_equal(agent_do(&to, "any 3 ms=50"), 0);
    agent_tell(&to, "any 3 ms=5000");
    assert_int_equal(agent_do(&from, "send 1 2"), 2);
    assert_int_equal(agent_hear(&to), 2);
    assert_int_equal(agent_do(&to, "any 3"), 2); /* nobody took it */
    for (int i = 0; i < 3; i += 2)
        assert_int_equal(agent_do(&from, "send %d 2", i), 2);
    assert_int_equal(agent_do(&to, "any 3"), 3);
    assert_int_equal(agent_do(&to, "any 3"), 1);
    assert_int_equal(agent_do(&to, "any 3"), 2);
    assert_int_equal(agent_do(&to, "take 1 2"), 2);
    assert_int_equal(agent_do(&to, "any 3"), 3);
    assert_int_equal(agent_do(&to, "take 2 2"), 2);
    assert_int_equal(agent_do(&to, "any 3"), 1);
    assert_int_equal(agent_do(&to, "take 0 2"), 2);
    assert_int_equal(agent_do(&to, "any 3 ms=50"), 0);
    agent_end(&from);
    agent_end(&to);
}

/* Times that this process gave up its CPU to wait. */
static long long switches_of(const struct agent *agent)
{
    char path[64], line[128];
    long long count = -1;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)agent->process.pid);
    file = fopen(path, "re");
    assert_non_null(file);
    while (count < 0 && fgets(line, sizeof line, file))
        if (sscanf(line, "voluntary_ctxt_switches: %lld", &count) != 1)
            count = -1;
    (void)fclose(file);
    return count;
}

/* Behind the second after its join it looks for itself once a second, and nobody else wakes it. */
static void test_subscriber__left_alone__wakes_once_a_second(void **state)
{
    struct agent from, to;
    long long before;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&from, "pub test/alone");
    (void)agent_do(&to, "sub test/alone");
    agent_tell(&to, "sleep 0 ms=5500");
    agent_is_busy(&to, 1500);
    before = switches_of(&to);
    assert_true(agent_hear(&to) < IDLE_CPU_US);
    assert_in_range(switches_of(&to) - before, 2, 6); /* 4 s, and the answer */
    agent_end(&from);
    agent_end(&to);
}

/* The same of one that polls the descriptor: its timer is the only one there is. */
static void test_subscriber__left_alone_polling__wakes_once_a_second(void **state)
{
    struct agent from, to;
    long long before;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&from, "pub test/alone");
    (void)agent_do(&to, "poll");
    (void)agent_do(&to, "sub test/alone");
    agent_tell(&to, "take 0 1 ms=4500");
    agent_is_busy(&to, 1500);
    before = switches_of(&to);
    assert_int_equal(agent_hear(&to), 0);
    assert_in_range(switches_of(&to) - before, 2, 5); /* 3 s, and the answer */
    agent_end(&from);
    agent_end(&to);
}

/* How often it looks in half a second in which nothing comes. */
static long long looks(struct agent *agent)
{
    long long before = agent_do(agent, "blocked");

    (void)agent_do(agent, "sleep 0 ms=500");
    return agent_do(agent, "blocked") - before;
}

/* A publisher without readers spares a fence, so that one who has just joined may have to find its
 * message without being woken (tests/sim/test_spared_fence.c). */
static void test_subscriber__that_has_just_joined__looks_often_for_a_while(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&to, "sub test/join");
    assert_true(looks(&to) <= 5); /* joined nothing */
    (void)agent_do(&from, "pub test/join");
    (void)agent_do(&to, "none 0");
    assert_true(looks(&to) >= 10); /* 50, when nothing else runs */
    (void)agent_do(&to, "sleep 0 ms=600");
    assert_true(looks(&to) <= 5);
    agent_end(&from);
    agent_end(&to);
}

/* The least and the greatest time that may be asked for; a newcomer that slept would look often. */
static void test_wait__spinning__takes_no_more_cpu_than_its_knob(void **state)
{
    struct agent from, to, full;
    long long before;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    agent_start(&full);
    (void)agent_do(&from, "pub test/spin");
    (void)agent_do(&to, "sub test/spin spin_ms=10");
    assert_true(agent_do(&to, "sleep 0 ms=500") < IDLE_CPU_US);
    (void)agent_do(&to, "close_sub 0");
    (void)agent_do(&to, "sub test/full spin_ms=-1");
    (void)agent_do(&full, "pub test/full ring=4 wait_ms=500 spin_ms=10");
    (void)agent_do(&to, "none 1");
    before = agent_do(&to, "blocked");
    (void)agent_do(&to, "sleep 1 ms=300");
    assert_in_range(agent_do(&to, "blocked") - before, 0, 5); /* 30, if it slept */
    assert_int_equal(agent_do(&full, "send 0 4 max=8"), 4);
    before = agent_do(&full, "cpu");
    agent_tell(&full, "send 0 1 max=8");
    agent_hear_no(&full, "LSHM_EAGAIN");
    assert_true(agent_do(&full, "cpu") - before < IDLE_CPU_US);
    agent_end(&from);
    agent_end(&full);
    agent_end(&to);
}

/* One reader is stopped; what another one does to its holds must not keep the publisher awake. */
static void test_publisher__waiting_for_a_stopped_reader__sleeps(void **state)
{
    struct agent from, to, stopped;
    long long before;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    agent_start(&stopped);
    (void)agent_do(&to, "sub test/stop window=2 holds=4");
    (void)agent_do(&stopped, "sub test/stop window=2 holds=4");
    (void)agent_do(&from, "pub test/stop payload=3000 ring=64 slots=6 wait_ms=-1");
    before = agent_do(&from, "cpu");
    agent_tell(&from, "send 0 12 min=1000 max=3000");
    assert_int_equal(agent_do(&to, "grab 0 6"), 6); /* 4 of them are holds */
    assert_int_equal(agent_do(&to, "drop 0 3"), 3);
    agent_is_busy(&from, 1000);
    assert_int_equal(agent_do(&stopped, "take 0 3"), 3);
    agent_is_busy(&from, 20);
    assert_int_equal(agent_do(&to, "drop 0 3"), 3);
    agent_tell(&stopped, "take 0 9");
    assert_int_equal(agent_do(&to, "take 0 6"), 6);
    assert_int_equal(agent_hear(&stopped), 9);
    assert_int_equal(agent_hear(&from), 12);
    assert_true(agent_do(&from, "cpu") - before < IDLE_CPU_US);
    agent_end(&from);
    agent_end(&to);
    agent_end(&stopped);
}

static void kill_broker(void)
{
    assert_int_equal(lst_child_kill(&agent_rig.broker.process), 128 + SIGKILL);
}

/* Does the command again and again, each time hearing `meanwhile`, until it is `error`. */
static void repeat_until(struct agent *agent, const char *command, const char *meanwhile,
                         const char *error)
{
    uint64_t end = now_ms() + LST_DEADLINE_MS;
    size_t length = strlen(error);

    do {
        agent_tell(agent, "%s", command);
        lst_must(lst_child_hear(&agent->process, agent->line, AGENT_ANSWER_MS));
        if (strncmp(agent->line, error, length) == 0)
            return;
        if (strncmp(agent->line, meanwhile, strlen(meanwhile)) != 0)
            fail_msg("agent: %s; expected: %s", agent->line, meanwhile);
    } while (now_ms() < end);
    fail_msg("agent: %s; expected in the end: %s", agent->line, error);
}

/* Nobody says that the publisher has died. Callers that look for signals wait in slices. */
static void test_subscriber__waiting_in_slices_without_a_broker__is_told_in_time(void **state)
{
    struct agent from, to;
    uint64_t begin;

    (void)state;
    agent_start(&from);
    agent_start_only(&to);
    (void)agent_do(&to, "attach %s timeout_ms=300", agent_rig.broker.socket_path);
    (void)agent_do(&to, "sub test/slices");
    (void)agent_do(&from, "pub test/slices");
    assert_int_equal(agent_do(&from, "send 0 3"), 3);
    assert_int_equal(agent_do(&to, "take 0 3"), 3);
    begin = now_ms();
    kill_broker();
    agent_kill(&from);
    repeat_until(&to, "sleep 0 ms=20", "ok ", "no LSHM_EGONE ");
    assert_true(now_ms() - begin >= 300);
    repeat_until(&to, "sleep 0 ms=0", "no LSHM_EGONE ", "no LSHM_EGONE ");
    agent_end(&to);
}

/* Who only polls the descriptor and takes makes no call that waits. */
static void test_subscriber__polling_without_a_broker__is_told_in_time(void **state)
{
    struct agent from, to;
    uint64_t begin;

    (void)state;
    agent_start(&from);
    agent_start_only(&to);
    (void)agent_do(&to, "attach %s timeout_ms=300", agent_rig.broker.socket_path);
    (void)agent_do(&to, "poll");
    (void)agent_do(&to, "sub test/polled");
    (void)agent_do(&from, "pub test/polled");
    assert_int_equal(agent_do(&from, "send 0 3"), 3);
    assert_int_equal(agent_do(&to, "take 0 3"), 3);
    begin = now_ms();
    kill_broker();
    agent_kill(&from);
    agent_tell(&to, "take 0 1 ms=60000");
    agent_hear_no(&to, "LSHM_EGONE");
    assert_true(now_ms() - begin >= 300);
    agent_end(&to);
}

static void test_subscriber__polling_without_broker_and_rings__is_told_at_once(void **state)
{
    struct agent to;

    (void)state;
    agent_start(&to);
    (void)agent_do(&to, "poll");
    (void)agent_do(&to, "sub test/polled");
    agent_tell(&to, "take 0 1 ms=60000");
    kill_broker();
    agent_hear_no(&to, "LSHM_EGONE");
    agent_end(&to);
}

/* Waits for one and waits for several share what each subscriber knows. */
static void test_subscribers__waiting_by_turns_without_a_broker__are_told_in_time(void **state)
{
    uint64_t end = now_ms() + LST_DEADLINE_MS;
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start_only(&to);
    (void)agent_do(&to, "attach %s timeout_ms=300", agent_rig.broker.socket_path);
    for (int i = 0; i < 2; i++) {
        (void)agent_do(&to, "sub test/turns%d", i);
        (void)agent_do(&from, "pub test/turns%d", i);
        assert_int_equal(agent_do(&from, "send %d 3", i), 3);
        assert_int_equal(agent_do(&to, "take %d 3", i), 3);
    }
    kill_broker();
    agent_kill(&from);
    for (int turn = 0; now_ms() < end; turn++) {
        agent_tell(&to, turn % 2 ? "any 2 ms=20" : "sleep %d ms=20", turn / 2 % 2);
        lst_must(lst_child_hear(&to.process, to.line, AGENT_ANSWER_MS));
        if (strncmp(to.line, "no LSHM_EGONE ", 14) == 0)
            break;
    }
    repeat_until(&to, "any 2 ms=20", "no LSHM_EGONE ", "no LSHM_EGONE ");
    agent_end(&to);
}

/* The same with longer waits than the time, and with a publisher that sends now and then. */
static void test_subscriber__of_a_slow_publisher_without_a_broker__is_not_given_up(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start_only(&to);
    (void)agent_do(&to, "attach %s timeout_ms=1500", agent_rig.broker.socket_path);
    (void)agent_do(&to, "sub test/slow");
    (void)agent_do(&from, "pub test/slow");
    kill_broker();
    for (int i = 0; i < 5; i++) { /* 2 s */
        for (int slice = 0; slice < 4; slice++)
            (void)agent_do(&to, "sleep 0 ms=100");
        assert_int_equal(agent_do(&from, "send 0 1"), 1);
        assert_int_equal(agent_do(&to, "take 0 1"), 1);
    }
    agent_kill(&from);
    agent_tell(&to, "sleep 0 ms=60000");
    agent_hear_no(&to, "LSHM_EGONE");
    agent_end(&to);
}

static void test_publisher__waiting_in_slices_without_a_broker__is_told_in_time(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&to);
    agent_start_only(&from);
    (void)agent_do(&from, "attach %s timeout_ms=300", agent_rig.broker.socket_path);
    (void)agent_do(&to, "sub test/slices");
    (void)agent_do(&from, "pub test/slices payload=3000 ring=64 slots=4 wait_ms=20");
    assert_int_equal(agent_do(&from, "send 0 4 min=1000 max=3000"), 4);
    kill_broker();
    agent_kill(&to);
    repeat_until(&from, "send 0 1 min=1000 max=3000", "no LSHM_EAGAIN ", "no LSHM_EGONE ");
    agent_end(&from);
}

static int run(void)
{
    static const struct CMUnitTest tests[] = {
        AGENT_TEST(test_exchange__sleeping_at_each_message__loses_no_wake_up),
        AGENT_TEST(test_exchange__polling_the_descriptor__loses_no_wake_up),
        AGENT_TEST(test_publisher__without_an_entry__is_woken_by_a_release),
        AGENT_TEST(test_publisher__without_a_slot__is_woken_by_a_release),
        AGENT_TEST(test_publisher__polling_for_room__is_woken_by_a_release),
        AGENT_TEST(test_publisher__without_a_slot__is_woken_by_a_dropped_hold),
        AGENT_TEST(test_subscriber__with_nothing_to_take__sleeps),
        AGENT_TEST(test_wait_any__of_three__finds_each_in_its_turn),
        AGENT_TEST(test_subscriber__left_alone__wakes_once_a_second),
        AGENT_TEST(test_subscriber__left_alone_polling__wakes_once_a_second),
        AGENT_TEST(test_subscriber__that_has_just_joined__looks_often_for_a_while),
        AGENT_TEST(test_wait__spinning__takes_no_more_cpu_than_its_knob),
        AGENT_TEST(test_publisher__waiting_for_a_stopped_reader__sleeps),
        AGENT_TEST(test_subscriber__waiting_in_slices_without_a_broker__is_told_in_time),
        AGENT_TEST(test_subscriber__polling_without_a_broker__is_told_in_time),
        AGENT_TEST(test_subscriber__polling_without_broker_and_rings__is_told_at_once),
        AGENT_TEST(test_subscribers__waiting_by_turns_without_a_broker__are_told_in_time),
        AGENT_TEST(test_subscriber__of_a_slow_publisher_without_a_broker__is_not_given_up),
        AGENT_TEST(test_publisher__waiting_in_slices_without_a_broker__is_told_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
