/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's worker is killed again and again: no message is lost and no call fails. The broker
 * is killed: who runs goes on, who comes is told.
 *
 * covers: E1 E2 E3 E4
 * kills: B1 B2 B3 D1 E1 E3 U1 V1
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <lshm/inspect.h>

#include "agent.h"

/* Faster than this the keeper takes its time. */
#define PACE_MS 260
#define IDLE_CPU_US 100000
/* More rings of two descriptors than can be on their way: what comes after them is held back. */
#define RINGS 20

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool is_past(void *arg)
{
    const int64_t *when = arg;

    return now_ms() >= *when;
}

/* Before the load that a kill is to hit. */
static void pace(void)
{
    static int64_t next_ms;

    lst_must(lst_wait_until(is_past, &next_ms, 2 * PACE_MS));
    next_ms = now_ms() + PACE_MS;
}

/* A little later each time. */
static void kill_worker(int round)
{
    const struct timespec later = { .tv_nsec = round * 200000 };

    (void)nanosleep(&later, NULL);
    agent_rig_kill_worker();
}

static void start_pair(struct agent *from, struct agent *to)
{
    agent_start(from);
    agent_start(to);
    (void)agent_do(to, "sub test/restart window=16 holds=4");
    (void)agent_do(from, "pub test/restart payload=3000 ring=64 slots=32 wait_ms=-1");
}

static void exchange(struct agent *from, struct agent *to, int count)
{
    agent_tell(to, "take 0 %d batch=4 shuffle=1", count);
    assert_int_equal(agent_do(from, "send 0 %d max=3000", count), count);
    assert_int_equal(agent_hear(to), count);
}

static void test_worker__killed_under_load__loses_no_message_and_fails_no_call(void **state)
{
    struct agent from, to, others[3];

    (void)state;
    start_pair(&from, &to);
    for (int i = 0; i < 3; i++)
        agent_start(&others[i]);
    for (int round = 0; round < 30; round++) {
        pace();
        agent_tell(&others[0], "churn test/own 30");
        agent_tell(&others[1], "churn test/restart2 30");
        agent_tell(&others[2], "reattach %s 30", agent_rig.broker.socket_path);
        agent_tell(&to, "take 0 5000 batch=4 shuffle=1");
        agent_tell(&from, "send 0 5000 max=3000");
        kill_worker(round);
        assert_int_equal(agent_hear(&from), 5000);
        assert_int_equal(agent_hear(&to), 5000);
        for (int i = 0; i < 3; i++)
            assert_int_equal(agent_hear(&others[i]), 30);
    }
    assert_int_equal(agent_do(&to, "sstat 0 lost"), 0);
    for (int i = 0; i < 3; i++)
        agent_end(&others[i]);
    agent_end(&from);
    agent_end(&to);
}

static void test_worker__killed_while_ports_meet__connects_them_all(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    for (int i = 0; i < 20; i++) {
        pace();
        agent_tell(&from, "pub test/meet%d payload=3000 ring=64 slots=32 wait_ms=-1 key=%d", i, i);
        agent_tell(&to, "sub test/meet%d", i);
        kill_worker(i);
        assert_int_equal(agent_hear(&from), i);
        assert_int_equal(agent_hear(&to), i);
        agent_tell(&to, "take %d 500", i);
        assert_int_equal(agent_do(&from, "send %d 500 max=3000", i), 500);
        assert_int_equal(agent_hear(&to), 500);
    }
    agent_end(&from);
    agent_end(&to);
}

/* Deaths and opens that no worker is there for wait for the next one. */
static void test_worker__away__finds_what_happened_meanwhile(void **state)
{
    struct agent from, to, opener;
    pid_t pid;

    (void)state;
    start_pair(&from, &to);
    agent_start(&opener);
    agent_tell(&from, "send 0 100 min=1000 max=3000");
    assert_int_equal(agent_do(&to, "grab 0 16"), 16);
    pid = agent_rig_worker();
    lst_must(lst_child_stop(&agent_rig.broker.process));
    assert_int_equal(kill(pid, SIGKILL), 0);
    agent_tell(&opener, "sub test/restart");
    agent_kill(&to);
    agent_is_busy(&from, 50);
    agent_is_busy(&opener, 10);
    lst_must(lst_child_continue(&agent_rig.broker.process));
    assert_int_equal(agent_hear(&opener), 0);
    agent_tell(&opener, "take 0 200 last=119"); /* from wherever it joined */
    assert_int_equal(agent_hear(&from), 100);
    assert_int_equal(agent_do(&from, "send 0 20 max=3000"), 20);
    assert_true(agent_hear(&opener) >= 20);
    agent_end(&from);
    agent_end(&opener);
}

/* What was sent to the stopped worker before is handled, too, once it has served another. */
static void continue_worker(pid_t pid, struct agent *other)
{
    assert_int_equal(kill(pid, SIGCONT), 0);
    (void)agent_do(other, "pub test/another");
}

static void open_rings(struct agent *from)
{
    for (int i = 0; i < RINGS; i++)
        (void)agent_do(from, "pub test/rings payload=3000 ring=16 slots=2");
}

/* The answer was behind rings that had to wait: it is lost, and the successor knows of none. */
static void test_worker__killed_with_an_answer__is_asked_again(void **state)
{
    struct agent from, to;
    pid_t pid;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    open_rings(&from);
    pid = agent_rig_worker();
    assert_int_equal(kill(pid, SIGSTOP), 0);
    agent_tell(&to, "sub test/rings");
    agent_is_busy(&to, 100);
    lst_must(lst_child_stop(&to.process));
    continue_worker(pid, &from);
    agent_rig_kill_worker();
    lst_must(lst_child_continue(&to.process));
    assert_int_equal(agent_hear(&to), 0);
    for (int i = 0; i < RINGS; i++)
        assert_int_equal(agent_do(&from, "send %d 2 max=3000", i), 2);
    assert_int_equal(agent_do(&to, "take 0 %d", 2 * RINGS), 2 * RINGS);
    agent_end(&from);
    agent_end(&to);
}

/* The rings of one that was given up come with the answer to the next. */
static void test_subscriber__opened_after_one_that_was_given_up__reads_only_its_own(void **state)
{
    struct agent from, to;
    pid_t pid;

    (void)state;
    agent_start(&from);
    agent_start_only(&to);
    (void)agent_do(&to, "attach %s timeout_ms=1000", agent_rig.broker.socket_path);
    (void)agent_do(&from, "pub test/first");
    (void)agent_do(&from, "pub test/second");
    pid = agent_rig_worker();
    assert_int_equal(kill(pid, SIGSTOP), 0);
    agent_tell(&to, "sub test/first");
    agent_hear_no(&to, "ETIMEDOUT");
    agent_tell(&to, "sub test/second");
    agent_is_busy(&to, 100);
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(agent_hear(&to), 0);
    assert_int_equal(agent_do(&to, "sstat 0 publishers"), 1);
    assert_int_equal(agent_do(&from, "send 0 5"), 5);
    assert_int_equal(agent_do(&to, "none 0 ms=100"), 0);
    assert_int_equal(agent_do(&from, "send 1 5"), 5);
    assert_int_equal(agent_do(&to, "take 0 5"), 5);
    assert_int_equal(agent_do(&from, "pstat 0 readers"), 0);
    agent_end(&from);
    agent_end(&to);
}

struct watch {
    struct agent *to;
    struct lshm_inspector *inspector;
};

/* A dead publisher is forgotten when its last reader's cell was reset. */
static bool has_no_dead(void *arg)
{
    struct lshm_publisher_info infos[2 * RINGS];
    const struct watch *watch = arg;
    int count, dead = 0;

    assert_int_equal(agent_do(watch->to, "take 0 1 ms=0"), 0);
    count = lshm_inspector_list_publishers(watch->inspector, infos, 2 * RINGS);
    assert_in_range(count, RINGS, 2 * RINGS);
    for (int i = 0; i < count; i++)
        dead += infos[i].dead == 1;
    return dead == 0;
}

/* As above, with the answer to a reader that leaves a dead ring: else its cell is lost to it. */
static void test_worker__killed_with_the_answer_to_a_leave__is_told_again(void **state)
{
    struct lshm_context_options options = {
        .size = sizeof options,
        .socket = agent_rig.broker.socket_path,
    };
    struct watch watch;
    struct agent from, to;
    pid_t pid;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&to, "sub test/rings");
    (void)agent_do(&from, "pub test/rings payload=3000");
    assert_int_equal(agent_do(&from, "send 0 2 max=3000"), 2);
    assert_int_equal(agent_do(&to, "take 0 2"), 2);
    (void)agent_do(&from, "close_pub 0");
    open_rings(&from);
    pid = agent_rig_worker();
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_int_equal(agent_do(&to, "take 0 1 ms=0"), 0); /* leaves */
    continue_worker(pid, &from);
    agent_rig_kill_worker();
    watch.to = &to;
    assert_int_equal(lshm_inspector_open(&options, NULL, &watch.inspector), 0);
    lst_must(lst_wait_until(has_no_dead, &watch, LST_DEADLINE_MS));
    lshm_inspector_close(watch.inspector);
    agent_end(&from);
    agent_end(&to);
}

static bool is_gone(void *arg)
{
    return access(arg, F_OK) != 0;
}

static void test_broker__killed__leaves_its_clients_to_go_on(void **state)
{
    struct agent from, to, idle, late;

    (void)state;
    start_pair(&from, &to);
    agent_start(&idle);
    (void)agent_do(&idle, "sub test/nobody");
    exchange(&from, &to, 1000);
    agent_tell(&idle, "sleep 0 ms=5000");
    assert_int_equal(lst_child_kill(&agent_rig.broker.process), 128 + SIGKILL);
    lst_must(lst_wait_until(is_gone, agent_rig.broker.socket_path, LST_DEADLINE_MS));
    exchange(&from, &to, 20000);
    agent_hear_no(&idle, "LSHM_EGONE"); /* nobody can ever come to it */
    agent_tell(&from, "pub test/restart");
    agent_hear_no(&from, "LSHM_EGONE");
    assert_non_null(strstr(from.line, "open a new context"));
    agent_tell(&to, "sub test/restart");
    agent_hear_no(&to, "LSHM_EGONE");
    agent_start_only(&late);
    agent_tell(&late, "attach %s", agent_rig.broker.socket_path);
    agent_hear_no(&late, "LSHM_ENOBROKER");
    assert_non_null(strstr(late.line, agent_rig.broker.socket_path));
    assert_non_null(strstr(late.line, "start brokerd"));
    exchange(&from, &to, 1000);
    assert_true(agent_do(&to, "sleep 0 ms=1100") < IDLE_CPU_US);
    agent_end(&late);
    agent_end(&idle);
    agent_end(&from);
    agent_end(&to);
}

static void test_broker__started_again__serves_new_contexts_beside_old_ones(void **state)
{
    struct agent from, to, new_from, new_to;

    (void)state;
    start_pair(&from, &to);
    assert_int_equal(lst_child_kill(&agent_rig.broker.process), 128 + SIGKILL);
    lst_must(lst_wait_until(is_gone, agent_rig.broker.socket_path, LST_DEADLINE_MS));
    lst_must(lst_broker_start(&agent_rig.broker, agent_rig.fixture->dir));
    start_pair(&new_from, &new_to);
    exchange(&from, &to, 1000);
    exchange(&new_from, &new_to, 1000);
    agent_end(&from);
    agent_end(&to);
    agent_end(&new_from);
    agent_end(&new_to);
}

static int run(void)
{
    static const struct CMUnitTest tests[] = {
        AGENT_TEST(test_worker__killed_under_load__loses_no_message_and_fails_no_call),
        AGENT_TEST(test_worker__killed_while_ports_meet__connects_them_all),
        AGENT_TEST(test_worker__away__finds_what_happened_meanwhile),
        AGENT_TEST(test_worker__killed_with_an_answer__is_asked_again),
        AGENT_TEST(test_worker__killed_with_the_answer_to_a_leave__is_told_again),
        AGENT_TEST(test_subscriber__opened_after_one_that_was_given_up__reads_only_its_own),
        AGENT_TEST(test_broker__killed__leaves_its_clients_to_go_on),
        AGENT_TEST(test_broker__started_again__serves_new_contexts_beside_old_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
