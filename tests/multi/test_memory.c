/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishers that get more slots while they are in use: with slow readers, in all sizes up to
 * 1 GiB, up to their limits, and while those involved are killed.
 *
 * covers: M1 M2
 * kills: M1 M2
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lshm/inspect.h>

#include "agent.h"

#define LATEST 4 /* LSHM_SUBSCRIBER_LATEST */
#define MIB (1u << 20)
#define GIB (UINT64_C(1) << 30)
#define READERS 8
#define RINGS 20 /* more descriptors than can be on their way */
#define KILLS 12

static uint64_t region_bytes(void)
{
    const struct lshm_context_options options = { .size = sizeof options,
                                                  .socket = agent_rig.broker.socket_path };
    struct lshm_broker_status status = { .size = sizeof status };
    struct lshm_inspector *inspector;

    assert_int_equal(lshm_inspector_open(&options, NULL, &inspector), 0);
    assert_int_equal(lshm_inspector_get_status(inspector, &status), 0);
    lshm_inspector_close(inspector);
    return status.region_bytes;
}

static bool has_bytes(void *arg)
{
    const uint64_t *bytes = arg;

    return region_bytes() == *bytes;
}

static struct agent to_two[2];

/* The same, with two readers that look again and again what the broker asks of them. */
static bool has_bytes_once_read(void *bytes)
{
    return agent_do(&to_two[0], "none 0") + agent_do(&to_two[1], "none 0") == 0 && has_bytes(bytes);
}

static void pause_ms(int ms)
{
    (void)usleep((useconds_t)ms * 1000);
}

static void end_reader(struct agent *agent, long long published)
{
    assert_int_equal(agent_do(agent, "none 0"), 0);
    assert_int_equal(agent_do(agent, "sstat 0 corrupt"), 0);
    assert_int_equal(agent_do(agent, "sstat 0 taken") + agent_do(agent, "sstat 0 lost"), published);
    agent_end(agent);
}

/* Lossless readers of which one keeps what it can, and one that came when memory had grown. */
static void test_memory__messages_of_all_sizes__grow_under_load(void **state)
{
    struct agent from, to[3];

    (void)state;
    agent_start(&from);
    for (int i = 0; i < 3; i++)
        agent_start(&to[i]);
    (void)agent_do(&from, "pub test/grow payload=%u memory=%u ring=64 wait_ms=-1", MIB, 64 * MIB);
    assert_int_equal(agent_do(&from, "pstat 0 slots"), 0);
    for (int i = 0; i < 2; i++)
        (void)agent_do(&to[i], "sub test/grow window=%d holds=8", 4 + 28 * i);
    agent_tell(&to[0], "take 0 600 shuffle=1 batch=4");
    agent_tell(&to[1], "take 0 600 shuffle=1 batch=16");
    assert_int_equal(agent_do(&from, "send 0 300 max=%u", MIB / 4), 300);
    (void)agent_do(&to[2], "sub test/grow");
    agent_tell(&to[2], "take 0 300 batch=8");
    assert_int_equal(agent_do(&from, "send 0 300 max=%u batch=3", MIB / 4), 300);
    for (int i = 0; i < 2; i++)
        assert_int_equal(agent_hear(&to[i]), 600);
    assert_int_equal(agent_hear(&to[2]), 300);
    for (int i = 0; i < 3; i++)
        end_reader(&to[i], i < 2 ? 600 : 300);
    agent_end(&from);
}

/* Each keeps another message: nine slots are needed, and no more than 16 are there. */
static void test_memory__held_by_eight_readers__not_twice_what_is_needed(void **state)
{
    struct agent from, to[READERS];

    (void)state;
    agent_start(&from);
    (void)agent_do(&from, "pub test/grow payload=%u memory=%u", MIB, 256 * MIB);
    for (int i = 0; i < READERS; i++) {
        agent_start(&to[i]);
        (void)agent_do(&to[i], "sub test/grow");
    }
    for (int n = 0; n < READERS; n++) {
        assert_int_equal(agent_do(&from, "send 0 1 min=%u max=%u", MIB, MIB), 1);
        for (int i = 0; i < READERS; i++)
            assert_int_equal(agent_do(&to[i], i == n ? "grab 0 1" : "take 0 1"), 1);
    }
    assert_int_equal(agent_do(&from, "send 0 1 min=%u max=%u", MIB, MIB), 1);
    assert_in_range(agent_do(&from, "pstat 0 slots"), READERS + 1, 16);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(agent_do(&to[i], "take 0 1"), 1);
        assert_int_equal(agent_do(&to[i], "intact 0"), 1);
        agent_end(&to[i]);
    }
    agent_end(&from);
}

/* It costs what it holds: the publisher goes on in the memory that it had. */
static void test_memory__latest_reader_stopped_for_ever__stays_constant(void **state)
{
    struct agent from, to;
    uint64_t bytes;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&from, "pub test/grow payload=65536 memory=%u ring=64", 16 * MIB);
    (void)agent_do(&to, "sub test/grow flags=%d window=8 holds=4", LATEST);
    assert_int_equal(agent_do(&from, "send 0 20 min=60000 max=65536"), 20);
    assert_int_equal(agent_do(&to, "grab 0 4"), 4);
    assert_int_equal(kill(to.process.pid, SIGSTOP), 0);
    assert_int_equal(agent_do(&from, "send 0 200 min=60000 max=65536"), 200);
    bytes = region_bytes();
    assert_int_equal(agent_do(&from, "send 0 5000 min=60000 max=65536"), 5000);
    assert_int_equal(agent_do(&from, "pstat 0 refused"), 0);
    assert_int_equal(region_bytes(), bytes);
    assert_int_equal(kill(to.process.pid, SIGCONT), 0);
    assert_int_equal(agent_do(&to, "intact 0"), 4);
    assert_int_equal(agent_do(&to, "drop 0 4"), 4);
    (void)agent_do(&to, "take 0 100 ms=0");
    end_reader(&to, 5220);
    agent_end(&from);
}

/* Its push is behind others that are not acknowledged yet: the reader waits for it. */
static void test_memory__segment_behind_other_pushes__nothing_is_lost(void **state)
{
    struct agent from, others, to;

    (void)state;
    agent_start(&from);
    agent_start(&others);
    agent_start(&to);
    (void)agent_do(&from, "pub test/grow payload=%u memory=%u ring=16", MIB, 32 * MIB);
    (void)agent_do(&to, "sub test/grow");
    (void)agent_do(&to, "sub test/others");
    for (int i = 0; i < RINGS; i++)
        (void)agent_do(&others, "pub test/others ring=4 slots=2");
    assert_int_equal(agent_do(&from, "send 0 8 min=2000 max=%u", MIB), 8);
    assert_int_equal(agent_do(&to, "take 0 8"), 8);
    assert_int_equal(agent_do(&from, "send 0 8 min=2000 max=%u", MIB), 8);
    assert_int_equal(agent_do(&to, "take 0 8"), 8);
    end_reader(&to, 16);
    agent_end(&others);
    agent_end(&from);
}

/* memory_max; the client's quota; and nothing is refused that fits. */
static void test_memory__at_its_limit__refused_with_the_cause(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&to, "sub test/grow window=16");
    (void)agent_do(&from, "pub test/grow payload=%u memory=%u", MIB, 3 * MIB);
    assert_int_equal(agent_do(&from, "send 0 3 min=%u max=%u", MIB, MIB), 3);
    agent_tell(&from, "send 0 1 min=%u max=%u", MIB, MIB);
    agent_hear_no(&from, "LSHM_EAGAIN");
    assert_int_equal(agent_do(&to, "take 0 3"), 3);
    assert_int_equal(agent_do(&from, "send 0 3 min=%u max=%u", MIB, MIB), 3);
    assert_int_equal(agent_do(&from, "pstat 0 slots"), 3);
    assert_int_equal(agent_do(&to, "take 0 3"), 3);
    (void)agent_do(&from, "pub test/none payload=%u memory=%u", 2 * MIB, MIB);
    agent_tell(&from, "send 1 1 min=%u max=%u", 2 * MIB, 2 * MIB);
    agent_hear_no(&from, "LSHM_EQUOTA");
    agent_tell(&from, "pub test/none payload=%u slots=3 memory=%u", MIB, 3 * MIB - 1);
    agent_hear_no(&from, "EINVAL");
    assert_non_null(strstr(from.line, "memory_max"));
    agent_end(&to);
    agent_end(&from);
}

/* What it grew by goes when it is idle, and all of it; a reader that is stopped holds that up. */
static void test_memory__given_back__bytes_come_back_exactly(void **state)
{
    struct agent from, *to = to_two;
    uint64_t before, grown;

    (void)state;
    agent_start(&from);
    for (int i = 0; i < 2; i++) {
        agent_start(&to[i]);
        (void)agent_do(&to[i], "sub test/grow");
    }
    (void)agent_do(&from, "pub test/grow payload=%u slots=2 memory=%u ring=64", MIB, 64 * MIB);
    before = region_bytes();
    for (int round = 0; round < 3; round++) {
        assert_int_equal(agent_do(&from, "send 0 20 min=2000 max=%u", MIB), 20);
        grown = region_bytes() - before;
        assert_true(grown > 0);
        assert_int_equal(agent_do(&from, "trim 0"), 0);
        for (int i = 0; i < 2; i++)
            assert_int_equal(agent_do(&to[i], "take 0 20"), 20);
        if (round == 1)
            assert_int_equal(kill(to[1].process.pid, SIGSTOP), 0);
        assert_int_equal(agent_do(&from, "trim 0"), grown);
        assert_int_equal(agent_do(&from, "pstat 0 slots"), 2);
        assert_int_equal(agent_do(&to[0], "none 0"), 0);
        if (round == 1) {
            assert_int_equal(region_bytes(), before + grown);
            assert_int_equal(kill(to[1].process.pid, SIGCONT), 0);
        }
        assert_int_equal(lst_wait_until(has_bytes_once_read, &before, LST_DEADLINE_MS), 0);
    }
    assert_int_equal(agent_do(&from, "send 0 20 min=2000 max=%u", MIB), 20);
    agent_kill(&to[1]);
    assert_int_equal(agent_do(&to[0], "take 0 20"), 20);
    assert_int_equal(agent_do(&from, "send 0 1 max=50"), 1); /* nobody's trim: idle for a while */
    for (int i = 0; i < 8 && agent_do(&from, "pstat 0 slots") > 2; i++) {
        pause_ms(500);
        assert_int_equal(agent_do(&from, "send 0 1 max=50"), 1);
        assert_int_equal(agent_do(&to[0], "take 0 1"), 1);
    }
    assert_int_equal(agent_do(&from, "pstat 0 slots"), 2);
    (void)agent_do(&to[0], "take 0 100 ms=0");
    end_reader(&to[0], agent_do(&from, "pstat 0 published"));
    agent_end(&from);
}

/* Idle slots of one size make room for another. */
static void test_memory__limit_used_by_another_size__that_is_given_back(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&from, "pub test/grow payload=%u memory=%u ring=64", MIB, 2 * MIB);
    (void)agent_do(&to, "sub test/grow");
    for (int round = 0; round < 4; round++) {
        unsigned bytes = round % 2 == 0 ? 4096 : MIB;
        long long sent = 0;

        for (int i = 0; i < 100 && sent == 0; i++) {
            agent_tell(&from, "send 0 1 min=%u max=%u", bytes, bytes);
            lst_must(lst_child_hear(&from.process, from.line, AGENT_ANSWER_MS));
            sent = strncmp(from.line, "ok", 2) == 0;
            (void)agent_do(&to, "take 0 %lld ms=100", sent);
        }
        assert_int_equal(sent, 1);
    }
    end_reader(&to, 4);
    agent_end(&from);
}

/* All publishers of a topic together, what they open with and what they grow by. */
static void test_memory__quota_of_a_topic__names_use_and_fix(void **state)
{
    char setting[] = "--topic-bytes=6M";
    struct agent from[2], to;

    (void)state;
    lst_must(lst_broker_stop(&agent_rig.broker));
    lst_must(lst_broker_start_with(&agent_rig.broker, agent_rig.fixture->dir, setting));
    agent_start(&to);
    (void)agent_do(&to, "sub test/grow window=16");
    for (int i = 0; i < 2; i++) {
        agent_start(&from[i]);
        (void)agent_do(&from[i], "pub test/grow payload=%u memory=%u ring=16", MIB, 64 * MIB);
    }
    assert_int_equal(agent_do(&from[0], "send 0 4 min=%u max=%u", MIB, MIB), 4);
    assert_int_equal(agent_do(&from[1], "send 0 1 min=%u max=%u", MIB, MIB), 1);
    agent_tell(&from[1], "send 0 1 min=%u max=%u", MIB, MIB);
    agent_hear_no(&from[1], "LSHM_EAGAIN");
    agent_tell(&from[1], "pub test/grow payload=%u slots=2", MIB);
    agent_hear_no(&from[1], "LSHM_EQUOTA");
    assert_non_null(strstr(from[1].line, "quota topic-bytes: 3 MiB asked for, 6 MiB owned"));
    assert_non_null(strstr(from[1].line, "--topic-bytes"));
    (void)agent_do(&from[1], "pub test/other payload=%u slots=2", MIB);
    assert_int_equal(agent_do(&to, "take 0 5"), 5);
    assert_int_equal(agent_do(&from[0], "trim 0"), 4 * MIB);
    /* Memory comes back when the reader has looked, and the publisher asks again. */
    for (int sent = 0; sent < 4; sent += strcmp(from[1].line, "ok 1") == 0) {
        (void)agent_do(&to, "any 1");
        agent_tell(&from[1], "send 0 1 min=%u max=%u", MIB, MIB);
        lst_must(lst_child_hear(&from[1].process, from[1].line, LST_DEADLINE_MS));
    }
    assert_int_equal(agent_do(&to, "take 0 4"), 4);
    for (int i = 0; i < 2; i++)
        agent_end(&from[i]);
    agent_end(&to);
}

/* An inspector sees which segments there are; a client that only attaches has hardly any memory. */
static void test_memory__who_uses_what__is_seen(void **state)
{
    const struct lshm_context_options at = { .size = sizeof at,
                                             .socket = agent_rig.broker.socket_path };
    struct lshm_inspector *inspector;
    struct lshm_publisher_info publisher;
    struct lshm_segment_info segments[8];
    struct agent from, idle;
    uint64_t before;

    (void)state;
    before = region_bytes();
    agent_start(&idle);
    assert_in_range(region_bytes() - before, 1, 64 * 1024);
    agent_start(&from);
    (void)agent_do(&from, "pub test/grow payload=%u slots=3 memory=%u", MIB, 64 * MIB);
    for (int i = 0; i < 4; i++)
        assert_int_equal(agent_do(&from, "send 0 1 min=%d max=%d", 3000, 3000), 1);
    (void)agent_do(&idle, "sub test/grow window=16");
    assert_int_equal(agent_do(&from, "send 0 5 min=%u max=%u", MIB, MIB), 5);
    assert_int_equal(lshm_inspector_open(&at, NULL, &inspector), 0);
    assert_int_equal(lshm_inspector_list_publishers(inspector, &publisher, 1), 1);
    assert_int_equal(lshm_inspector_list_segments(inspector, segments, 8), 2);
    lshm_inspector_close(inspector);
    assert_int_equal(publisher.memory_max, 64 * MIB);
    assert_int_equal(publisher.slots, 6);
    assert_int_equal(publisher.slots_window, 5);
    assert_int_equal(publisher.grown_bytes, 3 * MIB);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(segments[i].publisher, publisher.publisher);
        assert_int_equal(segments[i].number, i + 1);
        assert_int_equal(segments[i].grown, i);
        assert_int_equal(segments[i].slots, 3);
        assert_int_equal(segments[i].slot_bytes, MIB);
        assert_int_equal(segments[i].bytes, 3 * MIB);
    }
    assert_int_equal(agent_do(&idle, "take 0 5"), 5);
    agent_end(&idle);
    agent_end(&from);
}

static uint64_t available_bytes(void)
{
    unsigned long long kib = 0;
    char line[128];
    FILE *file = fopen("/proc/meminfo", "re");

    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
            break;
    if (file)
        (void)fclose(file);
    return kib * 1024;
}

/* From nothing to the largest: ends and middle of each are what was written. */
static void test_memory__zero_bytes_to_one_gib__arrive(void **state)
{
    static const uint64_t lengths[] = { 0, 1, 57, 4096, 4097, 100000, 3u << 20, 100u << 20,
                                        GIB - 1, GIB };
    const struct lshm_context_options at = { .size = sizeof at,
                                             .socket = agent_rig.broker.socket_path };
    const struct lshm_publisher_options options = { .size = sizeof options, .payload_bytes = GIB,
                                                    .memory_max = GIB + GIB / 2 };
    struct lshm_subscriber *subscriber;
    struct lshm_publisher *publisher;
    struct lshm_context *context;
    struct lshm_message m;

    (void)state;
    if (available_bytes() < 4 * GIB) {
        print_message("skipped: less than 4 GiB of memory are available\n");
        skip();
    }
    assert_int_equal(lshm_context_open(&at, NULL, &context), 0);
    assert_int_equal(lshm_subscriber_open(context, "test/all", NULL, NULL, &subscriber), 0);
    assert_int_equal(lshm_publisher_open(context, "test/all", &options, NULL, &publisher), 0);
    for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint64_t n = lengths[i];
        unsigned char *bytes;

        assert_int_equal(lshm_publisher_loan(publisher, n, &m), 0);
        bytes = m.data;
        for (unsigned k = 0; n > 0 && k < 3; k++)
            bytes[(n - 1) * k / 2] = (unsigned char)(i + k + 1);
        assert_int_equal(lshm_publisher_publish(publisher, &m), 0);
        assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
        assert_int_equal(m.length, n);
        bytes = m.data;
        assert_true(n == 0 || bytes[n - 1] == i + 3);
        assert_true(n < 3 || (bytes[0] == i + 1 && bytes[(n - 1) / 2] == i + 2));
        assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
    }
    assert_int_equal(lshm_publisher_loan(publisher, GIB + 1, &m), -LSHM_ETOOBIG);
    lshm_context_close(context);
}

/* The keeper's only child; 0 while there is none. */
static pid_t worker(void)
{
    char path[64];
    int pid = 0;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children",
                   (int)agent_rig.broker.process.pid, (int)agent_rig.broker.process.pid);
    file = fopen(path, "re");
    if (!file || fscanf(file, "%d", &pid) != 1)
        pid = 0;
    if (file)
        (void)fclose(file);
    return pid;
}

/* The worker is killed while publishers grow: every message comes, and the memory is theirs. */
static void test_memory__worker_killed_while_it_grows__nothing_is_lost(void **state)
{
    struct agent from, to[2];
    uint64_t before, after;

    (void)state;
    agent_start(&from);
    for (int i = 0; i < 2; i++) {
        agent_start(&to[i]);
        (void)agent_do(&to[i], "sub test/grow");
    }
    before = region_bytes();
    for (int round = 0; round < KILLS; round++) {
        pid_t pid;

        (void)agent_do(&from, "pub test/grow payload=%u memory=%u ring=16 key=%d wait_ms=-1", MIB,
                       64 * MIB, round + 1);
        for (int i = 0; i < 2; i++)
            agent_tell(&to[i], "take 0 12");
        agent_tell(&from, "send %d 12 min=2000 max=%u", round, MIB);
        pid = worker();
        (void)usleep((useconds_t)(200 * round));
        if (pid > 0)
            (void)kill(pid, SIGKILL);
        assert_int_equal(agent_hear(&from), 12);
        for (int i = 0; i < 2; i++)
            assert_int_equal(agent_hear(&to[i]), 12);
        agent_tell(&from, "trim %d", round);
        pid = worker();
        (void)usleep((useconds_t)(50 * round));
        if (pid > 0 && round % 2)
            (void)kill(pid, SIGKILL);
        assert_true(agent_hear(&from) > 0);
        (void)agent_do(&from, "send %d 2 min=2000 max=5000", round);
        for (int i = 0; i < 2; i++)
            assert_int_equal(agent_do(&to[i], "take 0 2"), 2);
        if (round % 3)
            (void)agent_do(&from, "close_pub %d", round);
        pause_ms(260); /* or the keeper takes its time */
    }
    for (int i = 0; i < 2; i++)
        end_reader(&to[i], 14 * KILLS);
    agent_end(&from);
    agent_start(&from);
    for (int i = 0; i < 2; i++) {
        agent_start(&to[i]);
        (void)agent_do(&to[i], "sub test/grow");
    }
    after = before;
    assert_true(lst_wait_until(has_bytes, &after, 5000) == 0);
    for (int i = 0; i < 2; i++)
        agent_end(&to[i]);
    agent_end(&from);
}

/* What this process is charged for. */
static uint64_t charged_bytes(pid_t pid)
{
    const struct lshm_context_options options = { .size = sizeof options,
                                                  .socket = agent_rig.broker.socket_path };
    struct lshm_client_info infos[16];
    struct lshm_inspector *inspector;
    uint64_t bytes = 0;
    int count;

    assert_int_equal(lshm_inspector_open(&options, NULL, &inspector), 0);
    count = lshm_inspector_list_clients(inspector, infos, 16);
    assert_in_range(count, 1, 16);
    lshm_inspector_close(inspector);
    for (int i = 0; i < count; i++)
        if (infos[i].pid == (uint64_t)pid)
            bytes = infos[i].bytes;
    return bytes;
}

struct charge {
    pid_t pid;
    uint64_t bytes;
};

static bool is_charged(void *arg)
{
    const struct charge *charge = arg;

    return charged_bytes(charge->pid) == charge->bytes;
}

/* The word to unmap is held back behind other pushes, and lost with the worker: said again. */
static void test_memory__worker_killed_while_memory_goes_back__it_goes(void **state)
{
    struct agent from, others, to;
    struct charge charge;

    (void)state;
    agent_start(&from);
    agent_start(&others);
    agent_start(&to);
    (void)agent_do(&from, "pub test/grow payload=%u memory=%u ring=16", MIB, 32 * MIB);
    (void)agent_do(&to, "sub test/grow");
    (void)agent_do(&to, "sub test/others");
    charge = (struct charge){ from.process.pid, charged_bytes(from.process.pid) };
    assert_int_equal(agent_do(&from, "send 0 4 min=%u max=%u", MIB, MIB), 4);
    assert_int_equal(agent_do(&to, "take 0 4"), 4);
    assert_int_equal(kill(to.process.pid, SIGSTOP), 0);
    for (int i = 0; i < RINGS; i++)
        (void)agent_do(&others, "pub test/others ring=4 slots=2");
    assert_int_equal(agent_do(&from, "trim 0"), 4 * MIB);
    assert_true(charged_bytes(from.process.pid) == charge.bytes + 4 * MIB);
    assert_int_equal(kill(worker(), SIGKILL), 0);
    assert_true(charged_bytes(from.process.pid) == charge.bytes + 4 * MIB);
    assert_int_equal(kill(to.process.pid, SIGCONT), 0);
    for (int i = 0; i < 20 && !is_charged(&charge); i++)
        assert_int_equal(agent_do(&to, "none 0"), 0);
    assert_true(is_charged(&charge));
    assert_int_equal(agent_do(&from, "send 0 4 min=%u max=%u", MIB, MIB), 4);
    assert_int_equal(agent_do(&to, "take 0 4"), 4);
    agent_end(&to);
    agent_end(&others);
    agent_end(&from);
}

/* A publisher is killed while it grows: what was its own goes, and all of it. */
static void test_memory__publisher_killed_while_it_grows__bytes_come_back(void **state)
{
    struct agent to;
    uint64_t before;

    (void)state;
    agent_start(&to);
    (void)agent_do(&to, "sub test/grow");
    before = region_bytes();
    for (int round = 0; round < KILLS; round++) {
        struct agent from;

        agent_start(&from);
        (void)agent_do(&from, "pub test/grow payload=%u memory=%u ring=64", MIB, 64 * MIB);
        agent_tell(&from, "send 0 40 min=2000 max=%u", MIB);
        (void)usleep((useconds_t)(700 * round));
        agent_kill(&from);
        (void)agent_do(&to, "take 0 40 ms=0");
        (void)agent_do(&to, "none 0 ms=100");
    }
    assert_true(lst_wait_until(has_bytes, &before, 5000) == 0);
    assert_int_equal(agent_do(&to, "sstat 0 corrupt"), 0);
    agent_end(&to);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        AGENT_TEST(test_memory__messages_of_all_sizes__grow_under_load),
        AGENT_TEST(test_memory__held_by_eight_readers__not_twice_what_is_needed),
        AGENT_TEST(test_memory__latest_reader_stopped_for_ever__stays_constant),
        AGENT_TEST(test_memory__segment_behind_other_pushes__nothing_is_lost),
        AGENT_TEST(test_memory__at_its_limit__refused_with_the_cause),
        AGENT_TEST(test_memory__given_back__bytes_come_back_exactly),
        AGENT_TEST(test_memory__limit_used_by_another_size__that_is_given_back),
        AGENT_TEST(test_memory__quota_of_a_topic__names_use_and_fix),
        AGENT_TEST(test_memory__who_uses_what__is_seen),
        AGENT_TEST(test_memory__zero_bytes_to_one_gib__arrive),
        AGENT_TEST(test_memory__worker_killed_while_it_grows__nothing_is_lost),
        AGENT_TEST(test_memory__worker_killed_while_memory_goes_back__it_goes),
        AGENT_TEST(test_memory__publisher_killed_while_it_grows__bytes_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
