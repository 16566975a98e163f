/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishers and subscribers in processes of their own: everything arrives, once, in order, whole;
 * a full publisher waits, for ever or until its deadline; a newcomer gets what comes after it.
 *
 * covers: P1 R1 R2 R3 G1 G2 G3 G4 G5 G6 G7 J1 S3 W3 B1 B2 B3
 */
#include <string.h>

#include "agent.h"

#define MESSAGES 100000
#define AGENTS 3

/* PUBLISHERS times MESSAGES, by all readers; every second reader releases out of order. */
static void stream(size_t publishers, size_t subscribers, unsigned messages, const char *take)
{
    struct agent from[AGENTS], to[AGENTS];

    for (size_t i = 0; i < subscribers; i++) {
        agent_start(&to[i]);
        (void)agent_do(&to[i], "sub test/stream window=48 holds=8");
    }
    for (size_t i = 0; i < publishers; i++) {
        agent_start(&from[i]);
        (void)agent_do(&from[i], "pub test/stream payload=3000 ring=256 slots=128 wait_ms=-1 "
                       "key=%zu", i + 1);
    }
    for (size_t i = 0; i < subscribers; i++)
        agent_tell(&to[i], "take 0 %u %s shuffle=%zu", messages * (unsigned)publishers, take,
                   i % 2);
    for (size_t i = 0; i < publishers; i++)
        agent_tell(&from[i], "send 0 %u max=3000 batch=%zu", messages, 1 + 7 * (i % 2));
    for (size_t i = 0; i < publishers; i++)
        assert_int_equal(agent_hear(&from[i]), messages);
    for (size_t i = 0; i < subscribers; i++) {
        assert_int_equal(agent_hear(&to[i]), messages * publishers);
        assert_int_equal(agent_do(&to[i], "none 0"), 0);
        assert_int_equal(agent_do(&to[i], "sstat 0 lost"), 0);
        assert_int_equal(agent_do(&to[i], "sstat 0 out"), 0);
        agent_end(&to[i]);
    }
    for (size_t i = 0; i < publishers; i++)
        agent_end(&from[i]);
}

static void test_stream__from_one_to_one__arrives_whole(void **state)
{
    (void)state;
    stream(1, 1, MESSAGES, "batch=16");
}

static void test_stream__from_one_to_three__arrives_whole_at_each(void **state)
{
    (void)state;
    stream(1, 3, MESSAGES, "batch=16");
}

static void test_stream__from_two_to_three__arrives_whole_at_each(void **state)
{
    (void)state;
    stream(2, 3, MESSAGES / 2, "batch=16");
}

static void test_stream__taken_one_by_one__arrives_whole(void **state)
{
    (void)state;
    stream(2, 2, MESSAGES / 4, "batch=1");
}

/* A publisher with 16 entries and 8 slots, and a reader of it. */
static void make_pair(struct agent *from, struct agent *to, const char *wait)
{
    agent_start(from);
    agent_start(to);
    (void)agent_do(to, "sub test/pair window=16 holds=4");
    (void)agent_do(from, "pub test/pair payload=3000 ring=16 slots=8 %s", wait);
}

static void end_pair(struct agent *from, struct agent *to)
{
    agent_end(to);
    agent_end(from);
}

static void test_publisher__with_a_slow_reader__waits_for_it(void **state)
{
    struct agent from, to;

    (void)state;
    make_pair(&from, &to, "wait_ms=-1");
    agent_tell(&from, "send 0 1000 min=1000 max=3000");
    agent_is_busy(&from, 50);
    assert_int_equal(agent_do(&to, "take 0 100"), 100);
    agent_is_busy(&from, 50);
    assert_int_equal(agent_do(&to, "take 0 900"), 900);
    assert_int_equal(agent_hear(&from), 1000);
    /* The same with small messages: the entries run out, not the slots. */
    agent_tell(&from, "send 0 1000 max=8");
    agent_is_busy(&from, 50);
    assert_int_equal(agent_do(&to, "take 0 1000"), 1000);
    assert_int_equal(agent_hear(&from), 1000);
    assert_int_equal(agent_do(&from, "pstat 0 refused"), 0);
    end_pair(&from, &to);
}

static void test_publisher__with_a_deadline__is_refused_after_it(void **state)
{
    struct agent from, to;

    (void)state;
    make_pair(&from, &to, "wait_ms=20");
    agent_tell(&from, "send 0 100 min=1000 max=3000");
    agent_hear_no(&from, "LSHM_EAGAIN");
    assert_non_null(strstr(from.line, "no LSHM_EAGAIN 8: "));
    agent_tell(&from, "send 0 100 max=8");
    agent_hear_no(&from, "LSHM_EAGAIN");
    assert_non_null(strstr(from.line, "no LSHM_EAGAIN 8: ")); /* of 16 entries */
    assert_int_equal(agent_do(&from, "pstat 0 refused"), 2);
    assert_int_equal(agent_do(&to, "take 0 16"), 16);
    assert_int_equal(agent_do(&from, "send 0 8 min=1000 max=3000"), 8);
    assert_int_equal(agent_do(&to, "take 0 8"), 8);
    end_pair(&from, &to);
}

static void test_subscriber__joining_a_running_stream__gets_all_that_follows(void **state)
{
    struct agent from, to, late;

    (void)state;
    make_pair(&from, &to, "wait_ms=-1");
    agent_tell(&from, "send 0 50000 max=3000");
    agent_tell(&to, "take 0 50100 batch=8");
    agent_start(&late);
    (void)agent_do(&late, "sub test/pair"); /* somewhere in the middle, without a gap from there */
    agent_tell(&late, "take 0 50100 last=50099");
    assert_int_equal(agent_hear(&from), 50000);
    assert_int_equal(agent_do(&from, "send 0 100 max=3000"), 100);
    assert_int_equal(agent_hear(&to), 50100);
    agent_end(&from);
    assert_true(agent_hear(&late) >= 100);
    assert_int_equal(agent_do(&late, "sstat 0 lost"), 0);
    agent_end(&late);
    agent_end(&to);
}

static void test_subscriber__opened_between_two_messages__gets_only_the_second(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&from, "pub test/late payload=3000");
    for (int i = 0; i < 20; i++) {
        assert_int_equal(agent_do(&from, "send 0 3 max=3000"), 3);
        (void)agent_do(&to, "sub test/late");
        assert_int_equal(agent_do(&to, "none %d", i), 0);
        assert_int_equal(agent_do(&from, "send 0 1 max=3000"), 1);
        assert_int_equal(agent_do(&to, "take %d 2 ms=0", i), 1);
        (void)agent_do(&to, "close_sub %d", i);
    }
    end_pair(&from, &to);
}

static void test_publisher__opened_after_its_reader__is_read_from_its_first_message(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&to, "sub test/early");
    for (int i = 0; i < 20; i++) {
        (void)agent_do(&from, "pub test/early payload=3000 key=%d", i + 1);
        assert_int_equal(agent_do(&from, "send %d 3 max=3000", i), 3);
        (void)agent_do(&from, "close_pub %d", i);
        assert_int_equal(agent_do(&to, "take 0 3"), 3);
    }
    assert_int_equal(agent_do(&to, "none 0"), 0);
    assert_int_equal(agent_do(&to, "sstat 0 publishers"), 0);
    end_pair(&from, &to);
}

static void test_holds__through_a_long_stream__keep_their_bytes(void **state)
{
    struct agent from, to;

    (void)state;
    make_pair(&from, &to, "wait_ms=-1");
    assert_int_equal(agent_do(&from, "send 0 4 min=1000 max=3000"), 4);
    assert_int_equal(agent_do(&to, "grab 0 4"), 4);
    agent_tell(&from, "send 0 10000 min=1000 max=3000");
    assert_int_equal(agent_do(&to, "take 0 10000 batch=2"), 10000);
    assert_int_equal(agent_hear(&from), 10000);
    assert_int_equal(agent_do(&to, "sstat 0 holds"), 4);
    assert_int_equal(agent_do(&to, "intact 0"), 4);
    assert_int_equal(agent_do(&from, "pstat 0 limbo"), 4);
    assert_int_equal(agent_do(&to, "drop 0 4"), 4);
    assert_int_equal(agent_do(&from, "send 0 8 min=1000 max=3000"), 8); /* all 8 slots */
    assert_int_equal(agent_do(&from, "pstat 0 limbo"), 0);
    assert_int_equal(agent_do(&to, "take 0 8 batch=8"), 8);
    end_pair(&from, &to);
}

static void test_take__with_window_and_holds_full__is_held_until_one_is_released(void **state)
{
    struct agent from, to;

    (void)state;
    agent_start(&from);
    agent_start(&to);
    (void)agent_do(&to, "sub test/pair window=4 holds=2");
    (void)agent_do(&from, "pub test/pair payload=3000 ring=16 slots=16");
    assert_int_equal(agent_do(&from, "send 0 10 min=1000 max=3000"), 10);
    assert_int_equal(agent_do(&to, "grab 0 6"), 6);
    agent_tell(&to, "grab 0 1");
    agent_hear_no(&to, "LSHM_EHELD");
    assert_int_equal(agent_do(&to, "drop 0 1"), 1);
    assert_int_equal(agent_do(&to, "grab 0 1"), 1);
    assert_int_equal(agent_do(&to, "intact 0"), 6);
    end_pair(&from, &to);
}

static int run(void)
{
    static const struct CMUnitTest tests[] = {
        AGENT_TEST(test_stream__from_one_to_one__arrives_whole),
        AGENT_TEST(test_stream__from_one_to_three__arrives_whole_at_each),
        AGENT_TEST(test_stream__from_two_to_three__arrives_whole_at_each),
        AGENT_TEST(test_stream__taken_one_by_one__arrives_whole),
        AGENT_TEST(test_publisher__with_a_slow_reader__waits_for_it),
        AGENT_TEST(test_publisher__with_a_deadline__is_refused_after_it),
        AGENT_TEST(test_subscriber__joining_a_running_stream__gets_all_that_follows),
        AGENT_TEST(test_subscriber__opened_between_two_messages__gets_only_the_second),
        AGENT_TEST(test_publisher__opened_after_its_reader__is_read_from_its_first_message),
        AGENT_TEST(test_holds__through_a_long_stream__keep_their_bytes),
        AGENT_TEST(test_take__with_window_and_holds_full__is_held_until_one_is_released),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
