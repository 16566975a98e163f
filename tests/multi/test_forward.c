/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that are forwarded: parts of them, chains, and the death of any stage. Whatever
 * happens, nobody reads bytes that were rewritten, and the origin gets every slot back.
 *
 * covers: R2 R3 G3 G4 G5
 */
#include <signal.h>
#include <string.h>

#include "agent.h"

#define SLOTS 16

/* Stage 0 publishes "chain/0"; stage i forwards "chain/i-1" to "chain/i". */
static void start_origin(struct agent *from)
{
    agent_start(from);
    (void)agent_do(from, "pub chain/0 payload=3000 ring=64 slots=%d wait_ms=-1", SLOTS);
}

static void start_stage(struct agent *stage, int number)
{
    agent_start(stage);
    (void)agent_do(stage, "pub chain/%d payload=3000 ring=64 wait_ms=-1", number);
    (void)agent_do(stage, "sub chain/%d window=4 holds=6", number - 1);
}

static void start_end(struct agent *to, int number)
{
    agent_start(to);
    (void)agent_do(to, "sub chain/%d window=4 holds=4", number);
}

/* A publisher's look. */
static bool has_all_back(void *from)
{
    return agent_do(from, "send 0 %d min=1000 max=3000", SLOTS) == SLOTS &&
           agent_do(from, "pstat 0 limbo") == 0;
}

static void test_chain__of_three__brings_all_without_a_copy(void **state)
{
    struct agent from, stage[2], to;

    (void)state;
    start_origin(&from);
    start_stage(&stage[0], 1);
    start_stage(&stage[1], 2);
    start_end(&to, 2);
    for (int i = 0; i < 2; i++)
        agent_tell(&stage[i], "pass 0 0 2000");
    agent_tell(&to, "take 0 2000 batch=2");
    assert_int_equal(agent_do(&from, "send 0 2000 min=1000 max=3000"), 2000);
    for (int i = 0; i < 2; i++)
        assert_int_equal(agent_hear(&stage[i]), 2000);
    assert_int_equal(agent_hear(&to), 2000);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(agent_do(&stage[i], "pstat 0 forwarded"), 2000);
        assert_true(agent_do(&stage[i], "pstat 0 copies") < 2000);
        assert_int_equal(agent_do(&stage[1 - i], "pstat 0 views"), 0);
    }
    for (int i = 1; i >= 0; i--)
        assert_int_equal(agent_do(&stage[i], "pstat 0 views"), 0);
    for (int i = 0; i < 2; i++)
        agent_tell(&stage[i], "pass 0 0 %d", SLOTS);
    agent_tell(&to, "take 0 %d", SLOTS);
    assert_int_equal(agent_do(&from, "send 0 %d min=1000 max=3000", SLOTS), SLOTS);
    agent_end(&from);
    for (int i = 0; i < 2; i++)
        assert_int_equal(agent_hear(&stage[i]), SLOTS);
    assert_int_equal(agent_hear(&to), SLOTS);
    assert_int_equal(agent_do(&to, "sstat 0 lost"), 0);
    /* Woken by what came back, not by the look that a sleeper takes once a second. */
    assert_true(agent_do(&to, "slow") <= 2);
    for (int i = 0; i < 2; i++)
        agent_end(&stage[i]);
    agent_end(&to);
}

static void test_forwarder__killed__is_an_orphan_until_its_ring_is_drained(void **state)
{
    struct agent from, stage, to;

    (void)state;
    start_origin(&from);
    start_stage(&stage, 1);
    start_end(&to, 1);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(agent_do(&from, "send 0 6 min=1000 max=3000"), 6);
        assert_int_equal(agent_do(&stage, "pass 0 0 6"), 6);
        assert_int_equal(agent_do(&stage, "pstat 0 copies"), 0);
        assert_int_equal(agent_do(&to, "grab 0 2"), 2);
        agent_kill(&stage);
        if (i % 2)
            agent_rig_kill_worker();
        assert_int_equal(agent_do(&from, "send 0 100 min=1000 max=3000"), 100);
        assert_int_equal(agent_do(&from, "pstat 0 limbo"), 6);
        assert_int_equal(agent_do(&to, "intact 0"), 2);
        assert_int_equal(agent_do(&to, "take 0 4"), 4);
        assert_int_equal(agent_do(&from, "send 0 100 min=1000 max=3000"), 100);
        assert_int_equal(agent_do(&to, "intact 0"), 2);
        assert_int_equal(agent_do(&to, "drop 0 2"), 2);
        assert_int_equal(agent_do(&to, "none 0 ms=0"), 0); /* leaves */
        lst_must(lst_wait_until(has_all_back, &from, LST_DEADLINE_MS));
        assert_int_equal(agent_do(&from, "pstat 0 readers"), 0);
        agent_end(&from);
        start_origin(&from);
        start_stage(&stage, 1);
    }
    agent_end(&stage);
    agent_end(&to);
    agent_end(&from);
}

static void test_forwarder__killed_in_a_stream__leaves_a_whole_one_and_all_slots(void **state)
{
    struct agent from, stage, to;

    (void)state;
    for (int i = 0; i < 10; i++) {
        start_origin(&from);
        start_end(&to, 1);
        start_stage(&stage, 1);
        agent_tell(&from, "send 0 %d min=1000 max=3000", 100000000);
        agent_tell(&stage, "pass 0 0 100000000");
        assert_int_equal(agent_do(&to, "take 0 %d batch=2", 300 * i + 1), 300 * i + 1);
        agent_kill(&stage);
        assert_true(agent_do(&to, "take 0 1000 ms=0 batch=2") <= 64);
        assert_int_equal(agent_do(&to, "none 0 ms=0"), 0);
        agent_is_busy(&from, 20); /* nobody is in its way: it goes on */
        agent_kill(&from);
        agent_end(&to);
    }
}

static void test_origin__killed__leaves_what_is_downstream(void **state)
{
    struct agent from, stage, to, late;

    (void)state;
    start_origin(&from);
    start_stage(&stage, 1);
    start_end(&to, 1);
    assert_int_equal(agent_do(&from, "send 0 6 min=1000 max=3000"), 6);
    assert_int_equal(agent_do(&stage, "pass 0 0 5"), 5);
    assert_int_equal(agent_do(&to, "grab 0 3"), 3);
    agent_kill(&from);
    agent_rig_kill_worker();
    assert_int_equal(agent_do(&to, "intact 0"), 3);
    assert_int_equal(agent_do(&to, "take 0 2"), 2);
    start_end(&late, 1); /* comes after the origin */
    assert_int_equal(agent_do(&stage, "pass 0 0 1"), 1);
    assert_int_equal(agent_do(&to, "take 0 1"), 1);
    assert_int_equal(agent_do(&late, "sstat 0 ahead"), 1);
    agent_end(&late);
    assert_int_equal(agent_do(&to, "drop 0 3"), 3);
    assert_int_equal(agent_do(&stage, "pass 0 0 1 ms=0"), 0);
    assert_int_equal(agent_do(&stage, "pstat 0 views"), 0);
    assert_int_equal(agent_do(&stage, "pass 0 0 1 ms=0"), 0);
    assert_int_equal(agent_do(&stage, "sstat 0 publishers"), 0);
    agent_end(&stage);
    agent_end(&to);
}

static void test_reader__evicted_from_a_forwarder__keeps_its_views(void **state)
{
    struct agent from, stage, to;

    (void)state;
    start_origin(&from);
    agent_start(&stage);
    (void)agent_do(&stage, "pub chain/1 payload=3000 ring=8 slots=4 wait_ms=-1 stall_ms=50");
    (void)agent_do(&stage, "sub chain/0 window=4 holds=6");
    start_end(&to, 1);
    agent_tell(&stage, "pass 0 0 100");
    assert_int_equal(agent_do(&to, "grab 0 3 ms=0"), 0);
    agent_tell(&from, "send 0 100 min=1000 max=3000");
    assert_int_equal(agent_do(&to, "grab 0 3"), 3);
    assert_int_equal(agent_hear(&stage), 100);
    assert_int_equal(agent_hear(&from), 100);
    assert_int_equal(agent_do(&stage, "pstat 0 evicted"), 1);
    assert_int_equal(agent_do(&to, "intact 0"), 3);
    agent_tell(&to, "take 0 1 ms=0");
    agent_hear_no(&to, "LSHM_EEVICTED");
    assert_int_equal(agent_do(&to, "intact 0"), 3);
    assert_true(agent_do(&stage, "pstat 0 views") >= 3);
    assert_int_equal(agent_do(&to, "drop 0 3"), 3);
    assert_int_equal(agent_do(&to, "none 0 ms=100"), 0);
    assert_int_equal(agent_do(&stage, "pstat 0 views"), 0);
    assert_int_equal(agent_do(&to, "sstat 0 lost") + agent_do(&to, "sstat 0 taken"), 100);
    agent_end(&stage);
    lst_must(lst_wait_until(has_all_back, &from, LST_DEADLINE_MS));
    agent_end(&from);
    agent_end(&to);
}

static int run(void)
{
    static const struct CMUnitTest tests[] = {
        AGENT_TEST(test_chain__of_three__brings_all_without_a_copy),
        AGENT_TEST(test_forwarder__killed__is_an_orphan_until_its_ring_is_drained),
        AGENT_TEST(test_forwarder__killed_in_a_stream__leaves_a_whole_one_and_all_slots),
        AGENT_TEST(test_origin__killed__leaves_what_is_downstream),
        AGENT_TEST(test_reader__evicted_from_a_forwarder__keeps_its_views),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
