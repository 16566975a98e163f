/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlives a publisher: its last messages, whatever ended it, to the message, for whoever
 * comes; until another one that retains has published, or the topic is removed.
 *
 * covers: D1 D2
 * kills: K1 K2 K3 G1 G2 E5
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <lshm/inspect.h>

#include "agent.h"

#define TOPIC "test/retain"
#define LATEST 4 /* LSHM_SUBSCRIBER_LATEST */
#define INFOS 64
#define ROUNDS 10
#define MANY 120
#define WORKER_ROUNDS 4 /* the keeper takes its time between workers */

static struct lshm_inspector *look(void)
{
    struct lshm_context_options options = { .size = sizeof options,
                                            .socket = agent_rig.broker.socket_path };
    struct lshm_inspector *inspector;

    assert_int_equal(lshm_inspector_open(&options, NULL, &inspector), 0);
    return inspector;
}

/* Of the topic; nothing when it is gone. */
static struct lshm_topic_info topic_info(void)
{
    struct lshm_inspector *inspector = look();
    struct lshm_topic_info info = { 0 };
    int r = lshm_inspector_find_topic(inspector, TOPIC, NULL, &info);

    assert_true(r == 0 || r == -LSHM_ENOTOPIC);
    lshm_inspector_close(inspector);
    return info;
}

static bool retains(void *count)
{
    const uint64_t *wanted = count;
    struct lshm_topic_info info = topic_info();

    return info.retained == *wanted && info.publishers == 0;
}

/* The broker knows of the end, and this many publishers of the topic have left something. */
static void await_retained(uint64_t count)
{
    lst_must(lst_wait_until(retains, &count, LST_DEADLINE_MS));
}

/* The publishers there are, from the broker: how many. */
static int list(struct lshm_publisher_info *infos)
{
    struct lshm_inspector *inspector = look();
    int count = lshm_inspector_list_publishers(inspector, infos, INFOS);

    lshm_inspector_close(inspector);
    return count;
}

/* A publisher that has sent `count` messages. */
static void start_publisher(struct agent *from, const char *options, int count)
{
    agent_start(from);
    (void)agent_do(from, "pub " TOPIC " payload=3000 ring=64 %s", options);
    assert_int_equal(agent_do(from, "send 0 %d max=3000", count), count);
}

/* Somebody who comes gets `count` messages, and no other; it leaves what it has drained. */
static void join_gets_of(const char *options, int count, int publishers_left)
{
    struct agent to;

    agent_start(&to);
    (void)agent_do(&to, "sub " TOPIC " %s", options);
    assert_int_equal(agent_do(&to, "take 0 1000 ms=0"), count);
    assert_int_equal(agent_do(&to, "none 0"), 0);
    assert_int_equal(agent_do(&to, "sstat 0 taken"), count);
    assert_int_equal(agent_do(&to, "sstat 0 lost") + agent_do(&to, "sstat 0 ahead"), 0);
    assert_int_equal(agent_do(&to, "sstat 0 publishers"), publishers_left);
    agent_end(&to);
}

static void join_gets(const char *options, int count)
{
    join_gets_of(options, count, 0);
}

static void test_retain__publisher_closed__leaves_its_last_messages(void **state)
{
    struct agent from;

    (void)state;
    start_publisher(&from, "slots=32 retain=5", 1000);
    assert_int_equal(agent_do(&from, "close_pub 0"), 0);
    await_retained(1);
    join_gets("history=10", 5);
    join_gets("history=3", 3);
    join_gets("history=10 window=2", 5);
    join_gets("history=10 flags=4", 5);
    join_gets("", 0);
    agent_end(&from); /* what it has closed is not what its process is */
    join_gets("history=10", 5);
}

static void test_retain__publisher_killed__leaves_its_last_messages(void **state)
{
    struct agent from;

    (void)state;
    start_publisher(&from, "slots=32 retain=5", 1000);
    agent_kill(&from);
    await_retained(1);
    join_gets("history=10", 5);
    join_gets("history=1 flags=4", 1);
}

static void test_retain__fewer_than_asked_for__are_all_there(void **state)
{
    struct agent from;

    (void)state;
    start_publisher(&from, "slots=32 retain=5", 3);
    agent_end(&from);
    await_retained(1);
    join_gets("history=10", 3);
}

static void test_retain__nothing_published__leaves_nothing(void **state)
{
    struct agent from;

    (void)state;
    start_publisher(&from, "slots=32 retain=5", 0);
    agent_end(&from);
    await_retained(0);
    assert_int_equal(topic_info().topic, 0);
}

/* One that lives has sent as many as that. */
static bool one_has_published(void *count)
{
    static struct lshm_publisher_info infos[INFOS];
    const uint64_t *wanted = count;
    int n = list(infos);

    for (int i = 0; i < n && i < INFOS; i++)
        if (!infos[i].dead && infos[i].published >= *wanted)
            return true;
    return false;
}

/* At every point of the stream the last ones are whole: the agent that takes checks each byte. */
static void test_retain__publisher_killed_in_a_stream__leaves_whole_messages(void **state)
{
    struct agent from, reader;

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t count = (uint64_t)i + 1;

        agent_start(&from);
        agent_start(&reader);
        (void)agent_do(&from, "pub " TOPIC " payload=3000 ring=%d slots=%d retain=%d wait_ms=-1",
                       i % 2 ? 16 : 64, 12 + i, i + 1);
        (void)agent_do(&reader, "sub " TOPIC " window=4 flags=%d", i % 3 ? LATEST : 0);
        agent_tell(&reader, "take 0 100000000");
        agent_tell(&from, "send 0 100000000 max=3000 batch=%d", 1 + i % 4);
        lst_must(lst_wait_until(one_has_published, &count, LST_DEADLINE_MS));
        agent_is_busy(&from, 5 + 3 * i);
        agent_kill(&from);
        agent_kill(&reader);
        await_retained(1);
        join_gets("history=64", i + 1);
        join_gets("history=64 flags=4", i + 1);
    }
}

/* Nothing that it may still write on is a slot of one of them. */
static void test_retain__publisher_killed_with_all_loans_out__leaves_whole_messages(void **state)
{
    struct agent from;

    (void)state;
    start_publisher(&from, "slots=5 retain=3", 0);
    assert_int_equal(agent_do(&from, "send 0 100 min=1000 max=3000"), 100);
    assert_int_equal(agent_do(&from, "spoil 0 5"), 2);
    agent_kill(&from);
    await_retained(1);
    join_gets("history=8", 3);
}

/* Two at a time, one of them slow: neither is in the other's way, and what they hold stays. */
static void test_retain__two_joiners__each_get_all(void **state)
{
    struct agent from, one, other;

    (void)state;
    start_publisher(&from, "slots=32 retain=8", 100);
    agent_kill(&from);
    await_retained(1);
    agent_start(&one);
    agent_start(&other);
    (void)agent_do(&one, "sub " TOPIC " history=8 window=4 holds=8");
    (void)agent_do(&other, "sub " TOPIC " history=8");
    assert_int_equal(agent_do(&one, "grab 0 6"), 6);
    assert_int_equal(agent_do(&other, "take 0 100 ms=0"), 8);
    agent_end(&other);
    assert_int_equal(agent_do(&one, "grab 0 2"), 2);
    assert_int_equal(agent_do(&one, "intact 0"), 8);
    assert_int_equal(agent_do(&one, "drop 0 8"), 8);
    assert_int_equal(agent_do(&one, "none 0"), 0);
    agent_end(&one);
}

/* Who was there drains all that was published; who comes gets the last ones. */
static void test_retain__a_reader_still_drains__others_join(void **state)
{
    struct agent from, reader;

    (void)state;
    agent_start(&reader);
    (void)agent_do(&reader, "sub " TOPIC);
    start_publisher(&from, "memory=4194304 retain=2", 20);
    agent_kill(&from);
    await_retained(1);
    join_gets("history=8", 2);
    assert_int_equal(agent_do(&reader, "take 0 100 ms=0"), 20);
    assert_int_equal(agent_do(&reader, "none 0"), 0);
    join_gets("history=8", 2);
    agent_end(&reader);
    join_gets("history=8", 2);
}

/* The latest value: one message, small enough for its entry or not. */
static void test_retain__of_one__is_the_latest_value(void **state)
{
    struct agent from;

    (void)state;
    start_publisher(&from, "slots=8 retain=1", 10);
    agent_kill(&from);
    await_retained(1);
    join_gets("history=1 flags=4", 1);
    agent_start(&from);
    (void)agent_do(&from, "pub " TOPIC " payload=56 retain=1 ring=4");
    assert_int_equal(agent_do(&from, "send 0 7 max=56"), 7);
    agent_kill(&from);
    await_retained(1);
    join_gets("history=1 flags=4", 1);
}

static void test_retain__superseded__once_another_has_published(void **state)
{
    struct agent first, second, both;

    (void)state;
    start_publisher(&first, "slots=16 retain=3", 9);
    agent_end(&first);
    await_retained(1);
    start_publisher(&second, "slots=16 retain=3", 0);
    join_gets_of("history=8", 3, 1); /* the first one's: it has not yet */
    agent_start(&both);
    (void)agent_do(&both, "sub " TOPIC " history=8");
    assert_int_equal(agent_do(&second, "send 0 1 max=3000"), 1);
    assert_int_equal(agent_do(&both, "take 0 3"), 3);
    assert_int_equal(agent_do(&both, "take 0 100 ms=0"), 1);
    agent_start(&first);
    (void)agent_do(&first, "sub " TOPIC " history=8");
    assert_int_equal(agent_do(&first, "take 0 100 ms=0"), 1);
    assert_int_equal(agent_do(&first, "sstat 0 publishers"), 1);
    assert_int_equal(topic_info().retained, 0);
    agent_end(&first);
    agent_end(&both);
    agent_end(&second);
    await_retained(1);
    join_gets("history=8", 1);
}

/* One that came and went without a word leaves what was there; so does one that retains nothing. */
static void test_retain__another_that_leaves_nothing__supersedes_nothing(void **state)
{
    struct agent from, other;

    (void)state;
    start_publisher(&from, "slots=16 retain=3", 9);
    agent_end(&from);
    await_retained(1);
    start_publisher(&other, "slots=16 retain=3", 0);
    agent_kill(&other);
    await_retained(1);
    join_gets("history=8", 3);
    start_publisher(&other, "slots=16", 5);
    agent_end(&other);
    await_retained(1);
    join_gets("history=8", 3);
}

/* Publishers that were there together are no successors of one another. */
static void test_retain__of_several_publishers__is_each_ones(void **state)
{
    struct agent from[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        start_publisher(&from[i], "slots=16 retain=2", 5 + i);
    for (int i = 0; i < 3; i++)
        agent_end(&from[i]);
    await_retained(3);
    join_gets("history=8", 6);
    start_publisher(&from[0], "slots=16 retain=2", 1);
    agent_kill(&from[0]);
    await_retained(1);
    join_gets("history=8", 1);
}

/* More rings than a newcomer has cells for, or may get descriptors of at a time. */
static void test_retain__of_many_publishers__reaches_a_newcomer(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    for (int i = 0; i < MANY; i++) {
        (void)agent_do(&from, "pub " TOPIC " payload=3000 ring=4 slots=4 retain=1");
        assert_int_equal(agent_do(&from, "send %d 2 max=3000", i), 2);
    }
    agent_kill(&from);
    await_retained(MANY);
    agent_start(&to);
    agent_tell(&to, "sub " TOPIC " history=1");
    agent_rig_kill_worker();
    assert_int_equal(agent_hear(&to), 0);
    assert_int_equal(agent_do(&to, "take 0 %d", MANY), MANY);
    assert_int_equal(agent_do(&to, "none 0"), 0);
    assert_int_equal(agent_do(&to, "sstat 0 lost"), 0);
    agent_end(&to);
    join_gets("history=9", MANY);
}

/* What the last messages do not lie in goes back once nobody reads it, and is not charged. */
static void test_retain__segments_without_a_last_message__go_back(void **state)
{
    struct lshm_publisher_info before[INFOS], after[INFOS];
    struct agent from, holder;
    pid_t pid;

    (void)state;
    agent_start(&from);
    agent_start(&holder);
    pid = from.process.pid;
    (void)agent_do(&from, "pub " TOPIC " payload=1000000 memory=67108864 ring=64 retain=2");
    (void)agent_do(&holder, "sub " TOPIC " window=32");
    assert_int_equal(agent_do(&from, "send 0 8 min=900000 max=1000000"), 8);
    assert_int_equal(agent_do(&from, "send 0 4 min=1000 max=4000"), 4);
    assert_int_equal(agent_do(&holder, "grab 0 12"), 12);
    assert_int_equal(list(before), 1);
    agent_kill(&from);
    await_retained(1);
    assert_int_equal(list(after), 1);
    assert_int_equal(after[0].memory_bytes, before[0].memory_bytes);
    assert_int_equal(agent_do(&holder, "intact 0"), 12);
    agent_end(&holder);
    join_gets("history=8", 2);
    assert_int_equal(list(after), 1);
    assert_true(after[0].memory_bytes < before[0].memory_bytes - 8 * 900000);
    assert_int_equal(after[0].retained, 2);
    assert_true(after[0].ended_ns > 0);
    assert_true(after[0].pid == (uint64_t)pid);
    assert_int_equal(topic_info().retained_bytes, after[0].memory_bytes);
    join_gets("history=8", 2);
}

/* Newcomers before, during and after: each gets all, and what is superseded stays so. */
static void test_retain__worker_killed__keeps_what_is_retained(void **state)
{
    struct agent from, to;

    (void)state;
    for (int i = 0; i < WORKER_ROUNDS; i++) {
        start_publisher(&from, "memory=4194304 retain=4", 6 + i);
        if (i % 2)
            agent_kill(&from);
        else
            agent_tell(&from, "close_pub 0");
        agent_rig_kill_worker();
        if (i % 2 == 0) {
            assert_int_equal(agent_hear(&from), 0);
            agent_end(&from);
        }
        await_retained(1);
        agent_start(&to);
        agent_tell(&to, "sub " TOPIC " history=9");
        agent_rig_kill_worker();
        assert_int_equal(agent_hear(&to), 0);
        assert_int_equal(agent_do(&to, "grab 0 4"), 4);
        agent_rig_kill_worker();
        join_gets("history=9", 4);
        assert_int_equal(agent_do(&to, "intact 0"), 4);
        assert_int_equal(agent_do(&to, "drop 0 4"), 4);
        agent_end(&to);
    }
}

static void test_clear__of_a_topic__drops_what_is_retained(void **state)
{
    struct agent from, to, live;

    (void)state;
    agent_start(&to);
    start_publisher(&from, "slots=16 retain=3", 5);
    agent_tell(&to, "clear " TOPIC); /* what a publisher has that is there is not retained */
    agent_hear_no(&to, "LSHM_ENOTOPIC");
    agent_end(&from);
    await_retained(1);
    start_publisher(&live, "slots=16", 2);
    (void)agent_do(&to, "sub " TOPIC " history=8");
    assert_int_equal(agent_do(&to, "grab 0 2"), 2);
    assert_int_equal(agent_do(&live, "clear " TOPIC), 1);
    assert_int_equal(topic_info().retained, 0);
    join_gets_of("history=8", 0, 1);
    assert_int_equal(agent_do(&to, "grab 0 1"), 1); /* it ends as a ring does whose writer left */
    assert_int_equal(agent_do(&to, "intact 0"), 3);
    assert_int_equal(agent_do(&to, "drop 0 3"), 3);
    assert_int_equal(agent_do(&to, "none 0"), 0);
    assert_int_equal(agent_do(&to, "sstat 0 publishers"), 1);
    agent_tell(&live, "clear " TOPIC);
    agent_hear_no(&live, "LSHM_ENOTOPIC");
    agent_tell(&live, "clear no//topic");
    agent_hear_no(&live, "LSHM_ENAME");
    agent_end(&live);
    agent_end(&to);
    await_retained(0);
    assert_int_equal(topic_info().topic, 0);
}

static void test_clear__worker_killed__drops_all_of_it(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&to);
    for (int i = 0; i < WORKER_ROUNDS; i++) {
        start_publisher(&from, "slots=16 retain=3", 5);
        agent_kill(&from);
        await_retained(1);
        agent_tell(&to, "clear " TOPIC);
        agent_rig_kill_worker();
        assert_int_equal(agent_hear(&to), 1);
        join_gets("history=8", 0);
    }
    agent_end(&to);
}

static void restart_broker(char *setting)
{
    lst_must(lst_broker_stop(&agent_rig.broker));
    lst_must(lst_broker_start_with(&agent_rig.broker, agent_rig.fixture->dir, setting));
}

static void is_refused(struct agent *agent, const char *quota, const char *wish)
{
    agent_tell(agent, "pub " TOPIC " payload=1048576 %s", wish);
    agent_hear_no(agent, "LSHM_EQUOTA");
    assert_non_null(strstr(agent->line, quota));
}

/* It counts for its topic; but who takes its place finds room. */
static void test_retain__quota_of_the_topic__counts_it_until_it_is_superseded(void **state)
{
    char setting[] = "--topic-bytes=6M";
    struct agent from, other;

    (void)state;
    restart_broker(setting);
    start_publisher(&from, "slots=1350 retain=3", 0);
    assert_int_equal(agent_do(&from, "send 0 9 min=1000 max=3000"), 9);
    agent_end(&from);
    await_retained(1);
    agent_start(&other);
    is_refused(&other, "quota topic-bytes: 4 MiB asked for, 4 MiB owned", "slots=3");
    is_refused(&other, "quota topic-bytes: 7 MiB asked for", "slots=6 retain=1");
    join_gets("history=8", 3);
    (void)agent_do(&other, "pub " TOPIC " payload=1048576 slots=3 retain=1");
    assert_int_equal(topic_info().retained, 0);
    join_gets_of("history=8", 0, 1);
    assert_int_equal(agent_do(&other, "send 0 1 max=3000"), 1);
    join_gets_of("history=8", 1, 1);
    agent_end(&other);
}

/* One that grows asks for its first memory when it has published nothing yet. */
static void test_retain__quota_of_the_topic__gives_way_to_a_successor_that_grows(void **state)
{
    char setting[] = "--topic-bytes=4400K";
    struct agent from, other;

    (void)state;
    restart_broker(setting);
    start_publisher(&from, "slots=1350 retain=3", 0);
    assert_int_equal(agent_do(&from, "send 0 9 min=1000 max=3000"), 9);
    agent_end(&from);
    await_retained(1);
    agent_start(&other);
    (void)agent_do(&other, "pub " TOPIC " payload=1048576 memory=4194304 ring=16 retain=1");
    join_gets_of("history=8", 3, 1);
    assert_int_equal(agent_do(&other, "send 0 1 min=1048576 max=1048576"), 1);
    join_gets_of("history=8", 1, 1);
    agent_end(&other);
}

/* Over all topics; what was left by a client that is gone counts on. */
static void test_retain__quota_of_all__names_use_and_fix(void **state)
{
    char setting[] = "--retain-bytes=6M";
    struct agent from, other;

    (void)state;
    restart_broker(setting);
    start_publisher(&from, "slots=1350 retain=3", 0);
    assert_int_equal(agent_do(&from, "send 0 9 min=1000 max=3000"), 9);
    agent_kill(&from);
    await_retained(1);
    agent_start(&other);
    agent_tell(&other, "pub test/other payload=1048576 slots=3 retain=1");
    agent_hear_no(&other, "LSHM_EQUOTA");
    assert_non_null(strstr(other.line, "quota retain-bytes: 4 MiB asked for, 4 MiB owned"));
    (void)agent_do(&other, "pub test/other payload=1048576 slots=3");
    (void)agent_do(&other, "pub " TOPIC " payload=1048576 slots=3 retain=1");
    agent_tell(&other, "pub test/third payload=1048576 slots=3 retain=1");
    agent_hear_no(&other, "LSHM_EQUOTA");
    agent_end(&other);
    agent_start(&other);
    (void)agent_do(&other, "pub test/third payload=1048576 slots=3 retain=1");
    agent_end(&other);
}

static void test_retain__more_than_the_ring_keeps__is_refused(void **state)
{
    struct agent from;

    (void)state;
    agent_start(&from);
    agent_tell(&from, "pub " TOPIC " ring=64 retain=49");
    agent_hear_no(&from, "EINVAL");
    assert_non_null(strstr(from.line, "retain is 49"));
    agent_tell(&from, "pub " TOPIC " ring=64 slots=8 retain=8");
    agent_hear_no(&from, "EINVAL");
    assert_non_null(strstr(from.line, "retain 8 keeps all"));
    (void)agent_do(&from, "pub " TOPIC " ring=64 retain=48");
    agent_end(&from);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        AGENT_TEST(test_retain__publisher_closed__leaves_its_last_messages),
        AGENT_TEST(test_retain__publisher_killed__leaves_its_last_messages),
        AGENT_TEST(test_retain__fewer_than_asked_for__are_all_there),
        AGENT_TEST(test_retain__nothing_published__leaves_nothing),
        AGENT_TEST(test_retain__publisher_killed_in_a_stream__leaves_whole_messages),
        AGENT_TEST(test_retain__publisher_killed_with_all_loans_out__leaves_whole_messages),
        AGENT_TEST(test_retain__two_joiners__each_get_all),
        AGENT_TEST(test_retain__a_reader_still_drains__others_join),
        AGENT_TEST(test_retain__of_one__is_the_latest_value),
        AGENT_TEST(test_retain__superseded__once_another_has_published),
        AGENT_TEST(test_retain__another_that_leaves_nothing__supersedes_nothing),
        AGENT_TEST(test_retain__of_several_publishers__is_each_ones),
        AGENT_TEST(test_retain__of_many_publishers__reaches_a_newcomer),
        AGENT_TEST(test_retain__segments_without_a_last_message__go_back),
        AGENT_TEST(test_retain__worker_killed__keeps_what_is_retained),
        AGENT_TEST(test_clear__of_a_topic__drops_what_is_retained),
        AGENT_TEST(test_clear__worker_killed__drops_all_of_it),
        AGENT_TEST(test_retain__quota_of_the_topic__counts_it_until_it_is_superseded),
        AGENT_TEST(test_retain__quota_of_the_topic__gives_way_to_a_successor_that_grows),
        AGENT_TEST(test_retain__quota_of_all__names_use_and_fix),
        AGENT_TEST(test_retain__more_than_the_ring_keeps__is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}


int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
