/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gets what when a reader is slow, late or idle: subscribers that lose their oldest messages,
 * queue limits, history, publishers that drop their newest. What a subscriber took, lost and has
 * ahead is what was published, to the message.
 *
 * covers: P0 Y1 G9 C2
 */
#include <signal.h>

#include "agent.h"

#define LATEST 4      /* LSHM_SUBSCRIBER_LATEST */
#define DROP_NEWEST 4 /* LSHM_PUBLISHER_DROP_NEWEST */

static long long sum_of(struct agent *agent)
{
    return agent_do(agent, "sstat 0 taken") + agent_do(agent, "sstat 0 lost") +
           agent_do(agent, "sstat 0 ahead");
}

/* Everything that was published has come, or is counted as lost by being lapped or by the limit. */
static void end_reader(struct agent *agent, long long published)
{
    assert_int_equal(agent_do(agent, "none 0"), 0);
    assert_int_equal(agent_do(agent, "sstat 0 ahead"), 0);
    assert_int_equal(sum_of(agent), published);
    assert_int_equal(agent_do(agent, "sstat 0 corrupt"), 0);
    assert_int_equal(agent_do(agent, "sstat 0 lapped") + agent_do(agent, "sstat 0 limit") +
                         agent_do(agent, "sstat 0 lost_start"),
                     agent_do(agent, "sstat 0 lost"));
    agent_end(agent);
}

/* The readers are slower than the publisher: out of order, one by one. Nobody waits for them. */
static void stream(unsigned messages, unsigned max, const char *publisher, const char *subscriber)
{
    struct agent from, to[2];

    agent_start(&from);
    for (int i = 0; i < 2; i++) {
        agent_start(&to[i]);
        (void)agent_do(&to[i], "sub test/latest flags=%d %s", LATEST, subscriber);
    }
    (void)agent_do(&from, "pub test/latest %s", publisher);
    for (int i = 0; i < 2; i++)
        agent_tell(&to[i], "take 0 %u batch=%d shuffle=%d last=%u", messages, 1 + 15 * i, i,
                   messages - 1);
    assert_int_equal(agent_do(&from, "send 0 %u max=%u batch=4", messages, max), messages);
    assert_int_equal(agent_do(&from, "pstat 0 refused"), 0);
    for (int i = 0; i < 2; i++) {
        long long taken = agent_hear(&to[i]);

        assert_int_equal(agent_do(&to[i], "sstat 0 taken"), taken);
        end_reader(&to[i], messages);
    }
    agent_end(&from);
}

static void test_latest__slower_than_its_publisher__loses_and_counts(void **state)
{
    (void)state;
    stream(60000, 3000, "payload=3000 ring=64 slots=256", "window=16 holds=4");
}

static void test_latest__of_a_small_ring__loses_and_counts(void **state)
{
    (void)state;
    stream(60000, 3000, "payload=3000 ring=4 slots=8", "window=4 holds=2");
}

static void test_latest__of_small_messages__loses_and_counts(void **state)
{
    (void)state;
    stream(60000, 56, "payload=56 ring=16 entry=128", "window=8");
}

/* What it keeps stays whole, however far the publisher goes on. */
static void test_latest__stopped_with_samples__finds_them_unchanged(void **state)
{
    struct agent from, to;
    long long left;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&from, "pub test/latest payload=3000 ring=16 slots=32");
    (void)agent_do(&to, "sub test/latest flags=%d window=4 holds=2", LATEST);
    (void)agent_do(&from, "send 0 10 min=2000 max=3000");
    assert_int_equal(agent_do(&to, "grab 0 4"), 4);
    assert_int_equal(kill(to.process.pid, SIGSTOP), 0);
    assert_int_equal(agent_do(&from, "send 0 5000 min=2000 max=3000 batch=3"), 5000);
    assert_int_equal(agent_do(&from, "pstat 0 refused"), 0);
    assert_int_equal(agent_do(&from, "pstat 0 quarantine"), 4);
    assert_int_equal(kill(to.process.pid, SIGCONT), 0);
    assert_int_equal(agent_do(&to, "intact 0"), 4);
    assert_int_equal(agent_do(&to, "drop 0 2"), 2);
    left = agent_do(&to, "take 0 100 ms=0");
    assert_in_range(left, 16 - 16 / 4, 16); /* what the ring has, given up by the quarter */
    assert_int_equal(agent_do(&to, "intact 0"), 2);
    assert_int_equal(agent_do(&to, "drop 0 2"), 2);
    end_reader(&to, 5010);
    agent_end(&from);
}

/* Nobody reads, and nobody waits: an idle reader keeps what it announced, and no more. */
static void test_latest__idle_at_few_slots__never_stops_the_publisher(void **state)
{
    struct agent from, to[3];

    (void)state;
    agent_start(&from);
    (void)agent_do(&from, "pub test/latest payload=3000 ring=64 slots=8");
    for (int i = 0; i < 3; i++) {
        agent_start(&to[i]);
        (void)agent_do(&to[i], "sub test/latest flags=%d", LATEST);
    }
    assert_int_equal(agent_do(&from, "send 0 3 min=2000 max=3000"), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(agent_do(&to[i], "grab 0 1"), 1);
    assert_int_equal(agent_do(&from, "send 0 2000 min=2000 max=3000"), 2000);
    assert_int_equal(agent_do(&from, "pstat 0 refused"), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(agent_do(&to[i], "intact 0"), 1);
        assert_int_equal(agent_do(&to[i], "drop 0 1"), 1);
        (void)agent_do(&to[i], "take 0 100 ms=0");
        end_reader(&to[i], 2003);
    }
    agent_end(&from);
}

/* What it was refused because of what it holds stays refused: its slot is another message's now. */
static void test_latest__holds_too_much_to_pass_what_is_gone__takes_nothing(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&from, "pub test/latest payload=3000 ring=64 slots=24");
    (void)agent_do(&to, "sub test/latest flags=%d window=4 holds=1", LATEST);
    assert_int_equal(agent_do(&from, "send 0 4 min=2000 max=3000"), 4);
    assert_int_equal(agent_do(&to, "grab 0 4"), 4);
    assert_int_equal(agent_do(&to, "drop 0 1"), 1);
    assert_int_equal(agent_do(&from, "send 0 40 min=2000 max=3000"), 40);
    for (int i = 0; i < 3; i++) {
        agent_tell(&to, "grab 0 1");
        agent_hear_no(&to, "LSHM_EHELD");
    }
    assert_int_equal(agent_do(&to, "intact 0"), 3);
    assert_int_equal(agent_do(&to, "drop 0 3"), 3);
    (void)agent_do(&to, "take 0 100 ms=0");
    end_reader(&to, 44);
    agent_end(&from);
}

static void test_latest__more_than_the_slots_allow__is_refused(void **state)
{
    struct agent from, to[4];

    (void)state;
    agent_start(&from);
    (void)agent_do(&from, "pub test/latest payload=3000 slots=5 history=1");
    for (int i = 0; i < 3; i++)
        agent_start(&to[i]);
    (void)agent_do(&to[0], "sub test/latest flags=%d", LATEST);
    agent_tell(&to[1], "sub test/latest flags=%d", LATEST);
    agent_hear_no(&to[1], "LSHM_EQUOTA");
    (void)agent_do(&to[2], "sub test/latest"); /* may make it wait */
    for (int i = 0; i < 3; i++)
        agent_end(&to[i]);
    agent_end(&from);
}

static void test_latest__with_a_queue_limit__passes_what_is_older(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&from, "pub test/latest payload=3000 ring=1024 slots=1024");
    (void)agent_do(&to, "sub test/latest flags=%d limit=10", LATEST);
    assert_int_equal(agent_do(&from, "send 0 100"), 100);
    assert_int_equal(agent_do(&to, "grab 0 2"), 2);
    assert_int_equal(agent_do(&to, "sstat 0 limit"), 90);
    assert_int_equal(agent_do(&from, "send 0 100"), 100);
    assert_int_equal(agent_do(&to, "take 0 100 ms=0"), 10);
    assert_int_equal(agent_do(&to, "gaps 0"), 98);
    assert_int_equal(agent_do(&to, "intact 0"), 2);
    assert_int_equal(agent_do(&to, "drop 0 2"), 2);
    end_reader(&to, 200);
    agent_end(&from);
}

/* The lossless one gets all, in the middle of those that lose. */
static void test_latest__beside_a_lossless_one__costs_it_nothing(void **state)
{
    struct agent from, slow, all;

    (void)state;
    agent_start(&from);
    agent_start(&slow);
    agent_start(&all);
    (void)agent_do(&from, "pub test/latest payload=3000 ring=32 slots=64 wait_ms=-1");
    (void)agent_do(&slow, "sub test/latest flags=%d window=4 holds=2", LATEST);
    (void)agent_do(&all, "sub test/latest window=8");
    agent_tell(&all, "take 0 20000 batch=8");
    agent_tell(&slow, "take 0 20000 last=19999 shuffle=1");
    assert_int_equal(agent_do(&from, "send 0 20000 max=3000 batch=4"), 20000);
    assert_int_equal(agent_hear(&all), 20000);
    (void)agent_hear(&slow);
    end_reader(&all, 20000);
    end_reader(&slow, 20000);
    agent_end(&from);
}

/* From a publisher that is stopped: nobody needs its consent. */
static void test_history__of_a_stopped_publisher__comes_first(void **state)
{
    struct agent from, all, latest, none;

    (void)state;
    agent_start(&from);
    agent_start(&all);
    agent_start(&latest);
    agent_start(&none);
    (void)agent_do(&from, "pub test/latest payload=3000 ring=64 slots=64 history=10");
    assert_int_equal(agent_do(&from, "send 0 1000 max=3000"), 1000);
    assert_int_equal(kill(from.process.pid, SIGSTOP), 0);
    (void)agent_do(&all, "sub test/latest history=100");
    (void)agent_do(&latest, "sub test/latest history=4 flags=%d", LATEST);
    (void)agent_do(&none, "sub test/latest");
    assert_int_equal(agent_do(&all, "take 0 100 ms=0"), 10);
    assert_int_equal(agent_do(&latest, "take 0 100 ms=0"), 4);
    assert_int_equal(agent_do(&none, "none 0"), 0);
    assert_int_equal(kill(from.process.pid, SIGCONT), 0);
    assert_int_equal(agent_do(&from, "send 0 5 max=3000"), 5);
    assert_int_equal(agent_do(&all, "take 0 100 ms=0"), 5);
    end_reader(&all, 15);
    assert_int_equal(agent_do(&latest, "take 0 100 ms=0"), 5);
    end_reader(&latest, 9);
    assert_int_equal(agent_do(&none, "take 0 100 ms=0"), 5);
    end_reader(&none, 5);
    agent_end(&from);
}

static void test_history__longer_than_what_was_published__is_all_of_it(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&from, "pub test/latest payload=3000 ring=64 history=48");
    assert_int_equal(agent_do(&from, "send 0 7 max=3000"), 7);
    (void)agent_do(&to, "sub test/latest history=48");
    assert_int_equal(agent_do(&to, "take 0 100 ms=0"), 7);
    end_reader(&to, 7);
    agent_tell(&from, "pub test/latest ring=64 history=49");
    agent_hear_no(&from, "EINVAL");
    agent_tell(&from, "pub test/latest payload=3000 ring=64 slots=8 history=8");
    agent_hear_no(&from, "EINVAL");
    agent_end(&from);
}

static void test_drop_newest__without_room__drops_and_counts(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&to, "sub test/latest");
    (void)agent_do(&from, "pub test/latest payload=3000 ring=16 slots=16 flags=%d", DROP_NEWEST);
    assert_int_equal(agent_do(&from, "send 0 100 min=2000 max=3000 batch=5"), 100);
    assert_int_equal(agent_do(&from, "pstat 0 published"), 16);
    assert_int_equal(agent_do(&from, "pstat 0 dropped"), 84);
    assert_int_equal(agent_do(&from, "pstat 0 refused"), 0);
    assert_int_equal(agent_do(&to, "take 0 100 ms=0"), 16);
    assert_int_equal(agent_do(&from, "send 0 10 min=2000 max=3000"), 10);
    assert_int_equal(agent_do(&from, "pstat 0 dropped"), 84);
    assert_int_equal(agent_do(&to, "take 0 100 ms=0"), 10);
    end_reader(&to, 26);
    agent_end(&from);
}

static void test_queue_limit__of_a_lossless_subscriber__is_invalid(void **state)
{
    struct agent to;

    (void)state;
    agent_start(&to);
    agent_tell(&to, "sub test/latest limit=3");
    agent_hear_no(&to, "EINVAL");
    agent_end(&to);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        AGENT_TEST(test_latest__slower_than_its_publisher__loses_and_counts),
        AGENT_TEST(test_latest__of_a_small_ring__loses_and_counts),
        AGENT_TEST(test_latest__of_small_messages__loses_and_counts),
        AGENT_TEST(test_latest__stopped_with_samples__finds_them_unchanged),
        AGENT_TEST(test_latest__idle_at_few_slots__never_stops_the_publisher),
        AGENT_TEST(test_latest__holds_too_much_to_pass_what_is_gone__takes_nothing),
        AGENT_TEST(test_latest__more_than_the_slots_allow__is_refused),
        AGENT_TEST(test_latest__with_a_queue_limit__passes_what_is_older),
        AGENT_TEST(test_latest__beside_a_lossless_one__costs_it_nothing),
        AGENT_TEST(test_history__of_a_stopped_publisher__comes_first),
        AGENT_TEST(test_history__longer_than_what_was_published__is_all_of_it),
        AGENT_TEST(test_drop_newest__without_room__drops_and_counts),
        AGENT_TEST(test_queue_limit__of_a_lossless_subscriber__is_invalid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
