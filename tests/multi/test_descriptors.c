/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process without descriptors for what the broker sends is told so, keeps what it has, loses
 * nothing, does not spin, and goes on where it was once there are some again.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "agent.h"

#define FDS_MAX 1024
#define IDLE_CPU_US 100000
#define SOON_MS 5000

/* The agent's own limit, from outside: it may be in the middle of a call. */
static void set_limit(struct agent *agent, rlim_t limit)
{
    struct rlimit both;

    assert_int_equal(prlimit(agent->process.pid, RLIMIT_NOFILE, NULL, &both), 0);
    both.rlim_cur = limit == RLIM_INFINITY ? both.rlim_max : limit;
    assert_int_equal(prlimit(agent->process.pid, RLIMIT_NOFILE, &both, NULL), 0);
}

/* Which of its descriptors are open; how many. */
static int look_at_fds(pid_t pid, bool used[FDS_MAX])
{
    const struct dirent *item;
    char path[64];
    int count = 0;
    DIR *dir;

    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    assert_non_null(dir);
    while ((item = readdir(dir)) != NULL) {
        if (item->d_name[0] == '.')
            continue;
        used[strtoul(item->d_name, NULL, 10) % FDS_MAX] = true;
        count++;
    }
    (void)closedir(dir);
    return count;
}

/* As many descriptors as it has, and this many more. */
static void leave_room_for(struct agent *agent, int more)
{
    bool used[FDS_MAX] = { false };
    int limit = 0;

    (void)look_at_fds(agent->process.pid, used);
    for (; more >= 0; limit++)
        more -= !used[limit];
    set_limit(agent, (rlim_t)limit - 1);
}

static void hear_starved(struct agent *agent, const char *text)
{
    agent_hear_no(agent, "EMFILE");
    if (!strstr(agent->line, text))
        fail_msg("\"%s\" does not say \"%s\"", agent->line, text);
}

/* `to` reads publisher 0 of `from`, publisher 1 came when it had one descriptor and needed two. */
static void start_starved(struct agent *from, struct agent *to)
{
    agent_start(from);
    agent_start(to);
    (void)agent_do(to, "sub test/starved");
    (void)agent_do(from, "pub test/starved payload=3000");
    assert_int_equal(agent_do(from, "send 0 10 max=3000"), 10);
    assert_int_equal(agent_do(to, "take 0 10"), 10);
    leave_room_for(to, 1);
    (void)agent_do(from, "pub test/starved payload=3000");
    assert_int_equal(agent_do(from, "send 1 100 max=3000"), 100);
}

static void test_ring__no_descriptors_for_it__waits_and_loses_nothing(void **state)
{
    struct agent from, to;

    (void)state;
    start_starved(&from, &to);
    agent_tell(&to, "take 0 1 ms=5000");
    hear_starved(&to, "take");
    assert_int_equal(agent_do(&to, "none 0 ms=300"), 0); /* told once */
    assert_int_equal(agent_do(&from, "send 0 50 max=3000"), 50);
    assert_int_equal(agent_do(&to, "take 0 50"), 50);
    assert_true(agent_do(&to, "sleep 0 ms=1000") < IDLE_CPU_US);
    set_limit(&to, RLIM_INFINITY);
    assert_int_equal(agent_do(&to, "take 0 100 ms=5000"), 100);
    assert_int_equal(agent_do(&from, "send 1 20 max=3000"), 20);
    assert_int_equal(agent_do(&from, "send 0 20 max=3000"), 20);
    assert_int_equal(agent_do(&to, "take 0 40"), 40);
    assert_int_equal(agent_do(&to, "sstat 0 lost"), 0);
    assert_int_equal(agent_do(&to, "sstat 0 publishers"), 2);
    (void)agent_do(&to, "sleep 0 ms=1100"); /* a second after a join it looks often */
    (void)agent_do(&to, "slow");
    agent_tell(&to, "take 0 1");
    agent_is_busy(&to, 50);
    (void)agent_do(&from, "pub test/starved payload=3000");
    assert_int_equal(agent_do(&from, "send 2 1 max=3000"), 1);
    assert_int_equal(agent_hear(&to), 1);
    assert_int_equal(agent_do(&to, "slow"), 0); /* pushes wake it again */
    agent_end(&from);
    agent_end(&to);
}

static void test_open__behind_a_push_without_descriptors__can_be_repeated(void **state)
{
    struct agent from, to;

    (void)state;
    start_starved(&from, &to);
    for (int i = 0; i < 40; i++) {
        agent_tell(&to, i % 2 ? "sub test/other" : "pub test/other");
        hear_starved(&to, "ulimit -n");
    }
    set_limit(&to, RLIM_INFINITY);
    assert_int_equal(agent_do(&to, "sub test/other"), 1);
    assert_int_equal(agent_do(&to, "pub test/other payload=3000"), 0);
    assert_int_equal(agent_do(&to, "send 0 10 max=3000"), 10);
    assert_int_equal(agent_do(&to, "pstat 0 readers"), 1); /* those that came to nothing are gone */
    assert_int_equal(agent_do(&to, "take 1 10"), 10);
    agent_tell(&to, "take 0 100");
    lst_must(lst_child_hear(&to.process, to.line, AGENT_ANSWER_MS));
    if (strncmp(to.line, "no EMFILE", 9) == 0) /* said by the first call on this port */
        assert_int_equal(agent_do(&to, "take 0 100"), 100);
    else
        assert_string_equal(to.line, "ok 100");
    agent_end(&from);
    agent_end(&to);
}

/* Its rings were left in the socket, and are read when the next one is being opened. */
static void test_open__after_one_whose_rings_did_not_fit__reads_only_its_own(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&from, "pub test/first payload=3000");
    (void)agent_do(&from, "pub test/second payload=3000");
    leave_room_for(&to, 1);
    agent_tell(&to, "sub test/first");
    hear_starved(&to, "ulimit -n");
    set_limit(&to, RLIM_INFINITY);
    assert_int_equal(agent_do(&to, "sub test/second"), 0);
    assert_int_equal(agent_do(&to, "sstat 0 publishers"), 1);
    assert_int_equal(agent_do(&from, "send 0 5 max=3000"), 5);
    assert_int_equal(agent_do(&to, "none 0 ms=100"), 0);
    assert_int_equal(agent_do(&from, "send 1 5 max=3000"), 5);
    assert_int_equal(agent_do(&to, "take 0 5"), 5);
    assert_int_equal(agent_do(&from, "pstat 0 readers"), 0);
    agent_end(&from);
    agent_end(&to);
}

/* The answer itself brings descriptors. What the broker had made for the failed ones is gone. */
static void test_open__no_descriptors_for_its_memory__can_be_repeated(void **state)
{
    bool used[FDS_MAX];
    struct agent from, to;
    int before;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&to, "sub test/own");
    before = look_at_fds(agent_rig.broker.process.pid, used);
    leave_room_for(&from, 1);
    for (int i = 0; i < 40; i++) {
        agent_tell(&from, "pub test/own payload=1000000 slots=2");
        hear_starved(&from, "ulimit -n");
    }
    set_limit(&from, RLIM_INFINITY);
    assert_int_equal(agent_do(&from, "pub test/own payload=3000"), 0);
    assert_true(look_at_fds(agent_rig.broker.process.pid, used) < before + 10);
    assert_int_equal(agent_do(&from, "send 0 10 max=3000"), 10);
    assert_int_equal(agent_do(&to, "take 0 10"), 10);
    assert_int_equal(agent_do(&from, "sub test/own"), 0);
    assert_int_equal(agent_do(&from, "sstat 0 publishers"), 1);
    agent_end(&from);
    agent_end(&to);
}

/* A wait that is on when descriptors come free finds them by itself. */
static void test_wait__descriptors_come_free_meanwhile__goes_on(void **state)
{
    struct agent from, to;

    (void)state;
    for (int poll = 0; poll < 2; poll++) {
        start_starved(&from, &to);
        if (poll) {
            set_limit(&to, RLIM_INFINITY);
            (void)agent_do(&to, "poll");
            assert_int_equal(agent_do(&to, "take 0 100 ms=5000"), 100);
            leave_room_for(&to, 1);
            (void)agent_do(&from, "pub test/starved payload=3000");
            assert_int_equal(agent_do(&from, "send 2 100 max=3000"), 100);
        }
        agent_tell(&to, "take 0 1 ms=5000");
        hear_starved(&to, "take");
        agent_tell(&to, "take 0 100 ms=20000");
        agent_is_busy(&to, 300);
        set_limit(&to, RLIM_INFINITY);
        lst_must(lst_child_hear(&to.process, to.line, SOON_MS));
        assert_string_equal(to.line, "ok 100");
        agent_end(&from);
        agent_end(&to);
    }
}

/* The reader's cells come by descriptor, too: without them a lossless publisher has to wait. */
static void test_publisher__no_descriptors_for_a_readers_cells__waits_for_them(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&from, "pub test/cells payload=3000 ring=16 slots=16 wait_ms=-1");
    assert_int_equal(agent_do(&from, "send 0 10 max=3000"), 10);
    leave_room_for(&from, 0);
    (void)agent_do(&to, "sub test/cells");
    agent_tell(&from, "send 0 100 max=3000");
    agent_is_busy(&from, 200);
    set_limit(&from, RLIM_INFINITY);
    assert_int_equal(agent_do(&to, "take 0 100 ms=5000"), 100);
    assert_int_equal(agent_hear(&from), 100);
    agent_end(&from);
    agent_end(&to);
}

static void test_broker__killed_while_a_push_waits_for_descriptors__ends_waits(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start_only(&to);
    (void)agent_do(&to, "attach %s timeout_ms=500", agent_rig.broker.socket_path);
    (void)agent_do(&to, "sub test/starved");
    leave_room_for(&to, 1);
    (void)agent_do(&from, "pub test/starved payload=3000");
    agent_tell(&to, "take 0 1 ms=5000");
    hear_starved(&to, "take");
    agent_tell(&to, "sleep 0 ms=20000");
    agent_is_busy(&to, 100);
    assert_int_equal(lst_child_kill(&agent_rig.broker.process), 128 + SIGKILL);
    agent_hear_no(&to, "LSHM_EGONE");
    agent_end(&from);
    agent_end(&to);
}

static int run(void)
{
    static const struct CMUnitTest tests[] = {
        AGENT_TEST(test_ring__no_descriptors_for_it__waits_and_loses_nothing),
        AGENT_TEST(test_open__behind_a_push_without_descriptors__can_be_repeated),
        AGENT_TEST(test_open__after_one_whose_rings_did_not_fit__reads_only_its_own),
        AGENT_TEST(test_open__no_descriptors_for_its_memory__can_be_repeated),
        AGENT_TEST(test_wait__descriptors_come_free_meanwhile__goes_on),
        AGENT_TEST(test_publisher__no_descriptors_for_a_readers_cells__waits_for_them),
        AGENT_TEST(test_broker__killed_while_a_push_waits_for_descriptors__ends_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
