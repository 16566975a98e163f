/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lossless reader that holds up its publisher for longer than the stall limit loses its place: it
 * is told, what it keeps stays whole, and it goes on at the live end with its loss counted exactly.
 * Nobody else notices.
 *
 * covers: D2 X1 X3 X4
 * kills: X1
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <lshm/inspect.h>

#include "agent.h"

#define STALL_MS 50

static void start_pair(struct agent *from, struct agent *to, const char *publisher)
{
    agent_start(from);
    agent_start(to);
    (void)agent_do(from, "pub test/evict payload=3000 ring=64 slots=128 wait_ms=-1 stall_ms=%d %s",
                   STALL_MS, publisher);
    (void)agent_do(to, "sub test/evict window=8 holds=4");
}

static void is_evicted(struct agent *to)
{
    agent_tell(to, "take 0 1 ms=2000");
    agent_hear_no(to, "LSHM_EEVICTED");
}

/* All of `published` is accounted for. */
static void adds_up(struct agent *to, long long published)
{
    assert_int_equal(agent_do(to, "sstat 0 ahead"), 0);
    assert_int_equal(agent_do(to, "sstat 0 taken") + agent_do(to, "sstat 0 lost"), published);
    assert_int_equal(agent_do(to, "sstat 0 evicted"), agent_do(to, "sstat 0 lost"));
    assert_int_equal(agent_do(to, "gaps 0"), agent_do(to, "sstat 0 lost"));
}

static void end_pair(struct agent *from, struct agent *to)
{
    agent_end(from);
    agent_end(to);
}

static void test_evict__of_one_that_stands_still__goes_on_at_the_live_end(void **state)
{
    struct agent from, to;

    (void)state;
    start_pair(&from, &to, "");
    assert_int_equal(agent_do(&from, "send 0 5 max=3000"), 5);
    assert_int_equal(agent_do(&to, "take 0 2"), 2);
    assert_int_equal(agent_do(&from, "send 0 1000 max=3000"), 1000);
    assert_int_equal(agent_do(&from, "pstat 0 evicted"), 1);
    is_evicted(&to);
    assert_int_equal(agent_do(&to, "none 0 ms=200"), 0); /* it has its new place */
    assert_int_equal(agent_do(&from, "send 0 60 max=3000"), 60);
    assert_int_equal(agent_do(&to, "take 0 100 ms=200"), 60);
    assert_int_equal(agent_do(&to, "sstat 0 evicted"), 1003);
    assert_int_equal(agent_do(&to, "sstat 0 publishers"), 1);
    adds_up(&to, 1065);
    assert_int_equal(agent_do(&from, "pstat 0 quarantine"), 0);
    assert_int_equal(agent_do(&from, "pstat 0 readers"), 1);
    end_pair(&from, &to);
}

/* Window and holds, stopped in between: no byte of them changes, whatever the publisher does. */
static void keeps_its_samples(const char *deny)
{
    struct agent from, to;

    agent_start(&from);
    (void)agent_do(&from, "pub test/evict payload=3000 ring=64 slots=256 wait_ms=-1 stall_ms=%d",
                   STALL_MS);
    agent_start_only(&to);
    if (deny != NULL)
        (void)agent_do(&to, "%s", deny);
    (void)agent_do(&to, "attach %s", agent_rig.broker.socket_path);
    (void)agent_do(&to, "sub test/evict window=8 holds=4");
    assert_int_equal(agent_do(&from, "send 0 20 min=1000 max=3000"), 20);
    assert_int_equal(agent_do(&to, "grab 0 11"), 11); /* the first three are holds */
    assert_int_equal(kill(to.process.pid, SIGSTOP), 0);
    assert_int_equal(agent_do(&from, "send 0 4000 min=1000 max=3000 batch=8"), 4000);
    assert_int_equal(agent_do(&from, "pstat 0 evicted"), 1);
    assert_int_equal(agent_do(&from, "pstat 0 limbo"), 3);
    assert_in_range(agent_do(&from, "pstat 0 quarantine"), 8, deny == NULL ? 8 : 64 + 8);
    assert_int_equal(kill(to.process.pid, SIGCONT), 0);
    assert_int_equal(agent_do(&to, "intact 0"), 11);
    is_evicted(&to);
    assert_int_equal(agent_do(&to, "intact 0"), 11);
    assert_int_equal(agent_do(&to, "none 0 ms=200"), 0);
    assert_int_equal(agent_do(&from, "send 0 200 min=1000 max=3000"), 200);
    assert_int_equal(agent_do(&to, "intact 0"), 11);
    end_pair(&from, &to);
}

static void test_evict__of_a_stopped_reader__leaves_its_samples_alone(void **state)
{
    (void)state;
    keeps_its_samples(NULL);
}

static void test_evict__of_a_reader_without_barriers__leaves_its_samples_alone(void **state)
{
    (void)state;
    keeps_its_samples("deny");
}

/* The slots come back when the last sample of the window does, or with the reader's death. */
static void test_evict__ends_its_quarantine__with_the_last_release_or_death(void **state)
{
    struct agent from, to[2];

    (void)state;
    agent_start(&from);
    (void)agent_do(&from, "pub test/evict payload=3000 ring=32 slots=64 wait_ms=-1 stall_ms=%d",
                   STALL_MS);
    for (int i = 0; i < 2; i++) {
        agent_start(&to[i]);
        (void)agent_do(&to[i], "sub test/evict window=8");
    }
    assert_int_equal(agent_do(&from, "send 0 8 min=1000 max=3000"), 8);
    for (int i = 0; i < 2; i++)
        assert_int_equal(agent_do(&to[i], "grab 0 4"), 4);
    assert_int_equal(agent_do(&from, "send 0 500 min=1000 max=3000"), 500);
    assert_int_equal(agent_do(&from, "pstat 0 evicted"), 2);
    assert_int_equal(agent_do(&from, "pstat 0 quarantine"), 8);
    is_evicted(&to[0]);
    assert_int_equal(agent_do(&to[0], "none 0 ms=200"), 0);
    assert_int_equal(agent_do(&to[0], "drop 0 4"), 4);
    agent_tell(&to[0], "take 0 100000 ms=1000");
    assert_int_equal(agent_do(&from, "send 0 500 min=1000 max=3000"), 500);
    assert_int_equal(agent_do(&from, "pstat 0 quarantine"), 8); /* the other one's */
    agent_kill(&to[1]);
    assert_int_equal(agent_do(&from, "send 0 500 min=1000 max=3000"), 500);
    assert_int_equal(agent_do(&from, "pstat 0 quarantine"), 0);
    assert_int_equal(agent_hear(&to[0]), 1000);
    end_pair(&from, &to[0]);
}

/* It keeps what it takes, each time: at the third time it gets no place before it lets go. */
static void test_evict__again_and_again__keeps_slots_of_two_places_at_most(void **state)
{
    struct agent from, to;

    (void)state;
    start_pair(&from, &to, "");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(agent_do(&from, "send 0 10 min=1000 max=3000"), 10);
        assert_int_equal(agent_do(&to, "grab 0 4 ms=200"), i < 2 ? 4 : 0);
        assert_int_equal(agent_do(&from, "send 0 300 min=1000 max=3000"), 300);
        assert_int_equal(agent_do(&from, "pstat 0 evicted"), i < 2 ? i + 1 : 2);
        if (i < 2)
            is_evicted(&to);
        assert_int_equal(agent_do(&to, "none 0 ms=100"), 0);
    }
    assert_int_equal(agent_do(&from, "pstat 0 quarantine"), 16);
    assert_int_equal(agent_do(&to, "intact 0"), 8);
    assert_int_equal(agent_do(&to, "drop 0 4"), 4);
    assert_int_equal(agent_do(&to, "none 0 ms=200"), 0);
    assert_int_equal(agent_do(&from, "send 0 10 min=1000 max=3000"), 10);
    assert_int_equal(agent_do(&to, "take 0 100 ms=200"), 10);
    assert_int_equal(agent_do(&to, "drop 0 4"), 4);
    assert_int_equal(agent_do(&to, "none 0"), 0);
    assert_int_equal(agent_do(&to, "sstat 0 taken"), 18);
    assert_int_equal(agent_do(&to, "sstat 0 evicted"), 3 * 310 + 10 - 18);
    end_pair(&from, &to);
}

/* One that reads on beside it gets everything. */
static void test_evict__of_one_of_two__costs_the_other_nothing(void **state)
{
    struct agent from, slow, all;

    (void)state;
    start_pair(&from, &slow, "");
    agent_start(&all);
    (void)agent_do(&all, "sub test/evict");
    agent_tell(&all, "take 0 5000 batch=8");
    assert_int_equal(agent_do(&from, "send 0 5000 max=3000"), 5000);
    assert_int_equal(agent_hear(&all), 5000);
    assert_int_equal(agent_do(&all, "sstat 0 lost"), 0);
    is_evicted(&slow);
    assert_int_equal(agent_do(&slow, "none 0 ms=100"), 0);
    assert_int_equal(agent_do(&slow, "sstat 0 lost"), 5000);
    agent_end(&all);
    end_pair(&from, &slow);
}

/* The publisher leaves before the reader comes for its new place: its loss is known as well. */
static void test_evict__whose_publisher_ends__counts_up_to_its_end(void **state)
{
    struct agent from, to;

    (void)state;
    start_pair(&from, &to, "");
    assert_int_equal(agent_do(&from, "send 0 300 max=3000"), 300);
    agent_end(&from);
    is_evicted(&to);
    assert_int_equal(agent_do(&to, "none 0 ms=200"), 0);
    assert_int_equal(agent_do(&to, "sstat 0 evicted"), 300);
    assert_int_equal(agent_do(&to, "sstat 0 publishers"), 0);
    agent_end(&to);
}

/* A publisher that does not wait asks at each refusal; one that polls, when its timer looks. */
static void test_evict__by_a_publisher_that_does_not_wait__happens_too(void **state)
{
    struct agent from, to;

    (void)state;
    start_pair(&from, &to, "");
    agent_tell(&from, "close_pub 0");
    (void)agent_hear(&from);
    (void)agent_do(&from, "pub test/evict ring=16 slots=16 payload=3000 stall_ms=%d", STALL_MS);
    (void)agent_do(&from, "poll");
    assert_int_equal(agent_do(&from, "send 1 300 max=3000"), 300);
    assert_int_equal(agent_do(&from, "pstat 1 evicted"), 1);
    is_evicted(&to);
    end_pair(&from, &to);
}

/* It reads on, slowly: each step starts the clock anew, of which 40 take longer than the limit. */
static void test_evict__of_one_that_is_slow__does_not_happen(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&from, "pub test/evict payload=3000 ring=8 slots=16 wait_ms=-1 stall_ms=1500");
    (void)agent_do(&to, "sub test/evict window=2");
    agent_tell(&from, "send 0 40 max=3000");
    for (int i = 0; i < 40; i++) {
        assert_int_equal(agent_do(&to, "take 0 1"), 1);
        agent_is_busy(&to, 45);
    }
    assert_int_equal(agent_hear(&from), 40);
    assert_int_equal(agent_do(&from, "pstat 0 evicted"), 0);
    assert_int_equal(agent_do(&to, "sstat 0 lost"), 0);
    end_pair(&from, &to);
}

static void test_evict__without_a_stall_limit__waits_for_ever(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&from, "pub test/evict payload=3000 ring=8 slots=16 wait_ms=-1");
    (void)agent_do(&to, "sub test/evict window=2");
    agent_tell(&from, "send 0 40 max=3000");
    agent_is_busy(&from, 300);
    assert_int_equal(agent_do(&to, "take 0 40"), 40);
    assert_int_equal(agent_hear(&from), 40);
    end_pair(&from, &to);
}

static pid_t worker(void)
{
    struct lshm_context_options options = { .size = sizeof options,
                                            .socket = agent_rig.broker.socket_path };
    struct lshm_broker_status status = { .size = sizeof status };
    struct lshm_inspector *inspector;

    assert_int_equal(lshm_inspector_open(&options, NULL, &inspector), 0);
    assert_int_equal(lshm_inspector_get_status(inspector, &status), 0);
    lshm_inspector_close(inspector);
    return (pid_t)status.worker_pid;
}

/* From a stop at a system call to the next one; whether a barrier of all processes begins there. */
static bool run_to_system_call(pid_t pid)
{
    struct __ptrace_syscall_info info = { 0 };
    int status;

    assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
    assert_int_equal(waitpid(pid, &status, __WALL), pid);
    if (!WIFSTOPPED(status))
        fail_msg("the worker has ended by itself");
    assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0);
    return info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_membarrier;
}

/* Kills the worker before the barrier of this number that it makes from now on. */
static void kill_before_barrier(pid_t pid, int number)
{
    int status;

    assert_int_equal(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
    assert_int_equal(waitpid(pid, &status, __WALL), pid);
    while (number > 0)
        number -= run_to_system_call(pid);
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status))
        continue;
}

/* The first barrier shows that there are barriers. At the second the reader's board says EVICTED,
 * and the publisher's does not yet: it goes on only if the next worker says so. */
static void evicts_although_the_worker_is_killed_before_barrier(int number)
{
    struct agent from, to;
    pid_t pid;

    start_pair(&from, &to, "");
    pid = worker();
    if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACESYSGOOD) != 0) {
        end_pair(&from, &to);
        print_message("cannot trace: %s\n", strerror(errno));
        skip();
    }
    assert_int_equal(agent_do(&from, "send 0 5 max=3000"), 5);
    assert_int_equal(agent_do(&to, "take 0 2"), 2);
    agent_tell(&from, "send 0 1000 max=3000");
    kill_before_barrier(pid, number);
    assert_int_equal(agent_hear(&from), 1000);
    assert_int_equal(agent_do(&from, "pstat 0 evicted"), 1);
    is_evicted(&to);
    assert_int_equal(agent_do(&to, "none 0 ms=200"), 0);
    assert_int_equal(agent_do(&from, "send 0 60 max=3000"), 60);
    assert_int_equal(agent_do(&to, "take 0 100 ms=200"), 60);
    adds_up(&to, 1065);
    end_pair(&from, &to);
}

static void test_evict__worker_killed_before_it_is_recorded__happens_later(void **state)
{
    (void)state;
    evicts_although_the_worker_is_killed_before_barrier(1);
}

static void test_evict__worker_killed_between_reader_and_row__is_done_by_the_next(void **state)
{
    (void)state;
    evicts_although_the_worker_is_killed_before_barrier(2);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        AGENT_TEST(test_evict__of_one_that_stands_still__goes_on_at_the_live_end),
        AGENT_TEST(test_evict__of_a_stopped_reader__leaves_its_samples_alone),
        AGENT_TEST(test_evict__of_a_reader_without_barriers__leaves_its_samples_alone),
        AGENT_TEST(test_evict__ends_its_quarantine__with_the_last_release_or_death),
        AGENT_TEST(test_evict__again_and_again__keeps_slots_of_two_places_at_most),
        AGENT_TEST(test_evict__of_one_of_two__costs_the_other_nothing),
        AGENT_TEST(test_evict__whose_publisher_ends__counts_up_to_its_end),
        AGENT_TEST(test_evict__by_a_publisher_that_does_not_wait__happens_too),
        AGENT_TEST(test_evict__of_one_that_is_slow__does_not_happen),
        AGENT_TEST(test_evict__without_a_stall_limit__waits_for_ever),
        AGENT_TEST(test_evict__worker_killed_before_it_is_recorded__happens_later),
        AGENT_TEST(test_evict__worker_killed_between_reader_and_row__is_done_by_the_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
