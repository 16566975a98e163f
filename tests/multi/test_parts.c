/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that grows does so by parts: rosters, boards, control regions. And what is closed is
 * used again.
 *
 * covers: G7 B3
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "agent.h"

#define AGENTS 4
#define SPARE_CELLS 64
#define ROUNDS 4
/* The files' names. */
#define ANY "memfd:"
#define BOARD "memfd:lshm-board"
#define CONTROL "memfd:lshm-control"
#define RING "memfd:lshm-ring"

/* Lines of /proc/PID/maps that are of such files, and mapped so. */
static int count_mappings(pid_t pid, const char *mode, const char *name)
{
    char path[64], line[512];
    int count = 0;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        count += strstr(line, mode) != NULL && strstr(line, name) != NULL;
    if (file)
        (void)fclose(file);
    return count;
}

static int count_fds(pid_t pid)
{
    char path[64];
    int count = 0;
    DIR *dir;

    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    while (dir && readdir(dir))
        count++;
    if (dir)
        (void)closedir(dir);
    return count;
}

static void start_all(struct agent agents[AGENTS])
{
    for (int i = 0; i < AGENTS; i++)
        agent_start(&agents[i]);
}

static void end_all(struct agent agents[AGENTS])
{
    for (int i = 0; i < AGENTS; i++)
        agent_end(&agents[i]);
}

/* 16 + 32 + 1 rows need a third part; 60 readers get them. */
static void test_roster__of_sixty_readers__reaches_them_all(void **state)
{
    struct agent from, to[AGENTS];

    (void)state;
    agent_start(&from);
    start_all(to);
    (void)agent_do(&from, "pub test/roster payload=3000 ring=64 slots=64 wait_ms=-1");
    for (int k = 0; k < 15; k++) {
        for (int i = 0; i < AGENTS; i++)
            (void)agent_do(&to[i], "sub test/roster");
        assert_int_equal(agent_do(&from, "send 0 10 max=3000"), 10);
        assert_int_equal(agent_do(&from, "pstat 0 readers"), AGENTS * (k + 1));
        for (int i = 0; i < AGENTS; i++)
            for (int j = 0; j <= k; j++)
                assert_int_equal(agent_do(&to[i], "take %d 10 batch=10", j), 10);
    }
    agent_kill(&to[3]);
    agent_start(&to[3]);
    (void)agent_do(&to[3], "sub test/roster");
    assert_int_equal(agent_do(&from, "send 0 10 max=3000"), 10);
    assert_int_equal(agent_do(&to[3], "take 0 10 batch=10"), 10);
    end_all(to);
    assert_int_equal(agent_do(&from, "send 0 100 max=3000"), 100); /* nobody gates any more */
    assert_int_equal(agent_do(&from, "pstat 0 readers"), 0);
    agent_end(&from);
}

static void test_subscriber__of_a_hundred_publishers__gets_all_of_each(void **state)
{
    struct agent from[AGENTS], to;

    (void)state;
    agent_start(&to);
    start_all(from);
    (void)agent_do(&to, "sub test/hundred window=8 holds=2");
    for (int k = 0; k < 25; k++) {
        for (int i = 0; i < AGENTS; i++)
            (void)agent_do(&from[i], "pub test/hundred payload=1000 ring=16 slots=8 key=%d",
                           100 * i + k + 1);
        assert_int_equal(agent_do(&to, "none 0"), 0); /* maps what has grown */
    }
    for (int round = 0; round < 3; round++) {
        for (int k = 0; k < 25; k++)
            for (int i = 0; i < AGENTS; i++)
                assert_int_equal(agent_do(&from[i], "send %d 5 max=1000", k), 5);
        assert_int_equal(agent_do(&to, "take 0 500 batch=7"), 500);
    }
    assert_int_equal(agent_do(&to, "sstat 0 publishers"), 100);
    agent_kill(&from[0]);
    assert_int_equal(agent_do(&from[1], "send 0 1"), 1);
    assert_int_equal(agent_do(&to, "take 0 1"), 1);
    for (int i = 1; i < AGENTS; i++)
        agent_end(&from[i]);
    assert_int_equal(agent_do(&to, "none 0 ms=100"), 0);
    assert_int_equal(agent_do(&to, "sstat 0 publishers"), 0);
    agent_end(&to);
}

/* Cells with many holds fill the control region; each publisher has a run of rows on the board. */
static void test_client__with_hundreds_of_ports__has_room_for_them(void **state)
{
    struct agent agent, peer;
    pid_t pid;

    (void)state;
    agent_start(&agent);
    agent_start(&peer);
    pid = agent.process.pid;
    assert_int_equal(count_mappings(pid, " rw-s ", CONTROL), 1);
    assert_int_equal(count_mappings(pid, " r--s ", BOARD), 1);
    (void)agent_do(&peer, "pub test/many ring=16");
    for (int i = 0; i < 300; i++)
        assert_int_equal(agent_do(&agent, "sub test/many window=4 holds=50"), i);
    assert_int_equal(count_mappings(pid, " r--s ", RING), 300);
    assert_true(count_mappings(pid, " rw-s ", CONTROL) > 2);
    for (int i = 0; i < 200; i++)
        assert_int_equal(agent_do(&agent, "pub test/other ring=16 payload=8"), i);
    assert_int_equal(count_mappings(pid, " rw-s ", RING), 200);
    assert_true(count_mappings(pid, " r--s ", BOARD) > 2);
    (void)agent_do(&peer, "sub test/other window=4");
    for (int i = 0; i < 200; i++)
        assert_int_equal(agent_do(&agent, "send %d 2 max=8", i), 2);
    assert_int_equal(agent_do(&peer, "take 0 400 batch=4"), 400);
    assert_int_equal(agent_do(&peer, "send 0 2"), 2);
    for (int i = 0; i < 300; i++)
        assert_int_equal(agent_do(&agent, "take %d 2", i), 2);
    agent_end(&agent);
    assert_int_equal(agent_do(&peer, "send 0 100"), 100);
    agent_end(&peer);
}

static void test_client__that_opens_and_closes_a_thousand_times__does_not_grow(void **state)
{
    struct agent agent, peer;
    int mappings, fds;

    (void)state;
    agent_start(&agent);
    agent_start(&peer);
    (void)agent_do(&peer, "pub test/churn");
    assert_int_equal(agent_do(&agent, "churn test/churn2 50"), 50);
    assert_int_equal(agent_do(&agent, "churn test/churn 50"), 50);
    mappings = count_mappings(agent.process.pid, "", ANY);
    fds = count_fds(agent_rig.broker.process.pid);
    assert_int_equal(agent_do(&agent, "churn test/churn2 500"), 500);
    assert_int_equal(agent_do(&agent, "churn test/churn 500"), 500);
    assert_int_equal(count_mappings(agent.process.pid, "", ANY), mappings);
    assert_true(count_fds(agent_rig.broker.process.pid) <= fds + 2);
    assert_int_equal(agent_do(&peer, "send 0 100"), 100);
    agent_end(&agent);
    agent_end(&peer);
}

/* It neither maps another part nor says no. What brokerd.md promises is enough for 64. */
static void test_publisher__with_readers_that_never_call__is_told_whom_it_waits_for(void **state)
{
    struct agent from, to;
    char name[32];
    int i = 0;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&to, "sub test/silent holds=64");
    lst_must(lst_child_stop(&to.process));
    do {
        agent_tell(&from, "pub test/silent ring=16 payload=8");
        lst_must(lst_child_hear(&from.process, from.line, AGENT_ANSWER_MS));
    } while (strncmp(from.line, "ok ", 3) == 0 && ++i < 100);
    assert_true(i >= SPARE_CELLS);
    assert_non_null(strstr(from.line, "no LSHM_EPEER "));
    (void)snprintf(name, sizeof name, "pid %d ", (int)to.process.pid);
    assert_non_null(strstr(from.line, name));
    lst_must(lst_child_continue(&to.process));
    assert_int_equal(agent_do(&to, "none 0 ms=100"), 0); /* reads all that was queued for it */
    (void)agent_do(&from, "pub test/silent ring=16 payload=8");
    assert_int_equal(agent_do(&from, "send %d 3 max=8", i), 3);
    assert_int_equal(agent_do(&to, "take 0 3"), 3);
    agent_end(&from);
    agent_end(&to);
}

/* One call is enough to be ready for as many publishers again, however many rings are queued. */
static void test_publisher__with_a_reader_that_seldom_calls__opens(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&to, "sub test/seldom window=4");
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < SPARE_CELLS; i++)
            (void)agent_do(&from, "pub test/seldom ring=16 payload=8");
        assert_int_equal(agent_do(&to, "take 0 1 ms=0"), 0);
    }
    for (int i = 0; i < ROUNDS * SPARE_CELLS; i++)
        assert_int_equal(agent_do(&from, "send %d 1 max=8", i), 1);
    assert_int_equal(agent_do(&to, "take 0 %d", ROUNDS * SPARE_CELLS), ROUNDS * SPARE_CELLS);
    agent_end(&from);
    agent_end(&to);
}

static int run(void)
{
    static const struct CMUnitTest tests[] = {
        AGENT_TEST(test_roster__of_sixty_readers__reaches_them_all),
        AGENT_TEST(test_subscriber__of_a_hundred_publishers__gets_all_of_each),
        AGENT_TEST(test_publisher__with_readers_that_never_call__is_told_whom_it_waits_for),
        AGENT_TEST(test_publisher__with_a_reader_that_seldom_calls__opens),
        AGENT_TEST(test_client__with_hundreds_of_ports__has_room_for_them),
        AGENT_TEST(test_client__that_opens_and_closes_a_thousand_times__does_not_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
