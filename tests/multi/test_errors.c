/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes wrong has a number of its own and a text that says what, why and what to do; and two
 * bystanders never notice.
 *
 * covers: S1 W1
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"

#define NOBODY 65534
#define EXCHANGES 50

static struct agent bystanders[2];

static int start_bystanders(void)
{
    for (int i = 0; i < 2; i++) {
        agent_start(&bystanders[i]);
        (void)agent_do(&bystanders[i], "sub test/by%d", i);
    }
    for (int i = 0; i < 2; i++)
        (void)agent_do(&bystanders[i], "pub test/by%d payload=3000", 1 - i);
    return 0;
}

static int setup(void **state)
{
    return agent_setup(state) < 0 ? -1 : start_bystanders();
}

static int setup_in_tmp(void **state)
{
    return agent_setup_in_tmp(state) < 0 ? -1 : start_bystanders();
}

static void bystanders_go_on(void)
{
    agent_tell(&bystanders[1], "pong 0 0 %d", EXCHANGES);
    assert_int_equal(agent_do(&bystanders[0], "ping 0 0 %d", EXCHANGES), EXCHANGES);
    assert_int_equal(agent_hear(&bystanders[1]), EXCHANGES);
}

static int teardown(void **state)
{
    agent_end(&bystanders[0]);
    agent_end(&bystanders[1]);
    return agent_teardown(state);
}

/* This error, with both words in its text, and nobody else is concerned. */
static void refused(struct agent *agent, const char *error, const char *why, const char *advice)
{
    assert_true(why[0] != '\0' && advice[0] != '\0');
    agent_hear_no(agent, error);
    if (!strstr(agent->line, why) || !strstr(agent->line, advice))
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", agent->line, why, advice);
    bystanders_go_on();
}

static void test_name__not_a_topic__is_refused(void **state)
{
    struct agent agent;

    (void)state;
    agent_start(&agent);
    agent_tell(&agent, "pub a//b");
    refused(&agent, "LSHM_ENAME", "\"a//b\" is not a topic name", "use segments of");
    agent_tell(&agent, "sub /a");
    refused(&agent, "LSHM_ENAME", "\"/a\" is not a topic name", "use segments of");
    agent_end(&agent);
}

static void test_payload__larger_than_a_slot__is_refused(void **state)
{
    struct agent agent;

    (void)state;
    agent_start(&agent);
    (void)agent_do(&agent, "pub test/big payload=1000");
    agent_tell(&agent, "send 0 1 min=1001 max=1001");
    refused(&agent, "LSHM_ETOOBIG", "0: larger than what was opened for", "raise payload_bytes");
    assert_int_equal(agent_do(&agent, "send 0 5 max=1000"), 5);
    agent_tell(&agent, "pub test/big payload=0x7fffffffffffffff");
    refused(&agent, "LSHM_ETOOBIG", "payload_bytes is", "publish it in pieces");
    agent_end(&agent);
}

static void test_options__out_of_range__are_refused(void **state)
{
    struct agent agent;

    (void)state;
    agent_start(&agent);
    agent_tell(&agent, "pub test/odd ring=1000");
    refused(&agent, "EINVAL", "ring_entries is 1000", "a power of two from 4 to 65536");
    agent_tell(&agent, "pub test/odd payload=3000 slots=16777217");
    refused(&agent, "EINVAL", "slot_count is 16777217", "from 1 to 16777216");
    agent_tell(&agent, "pub test/odd payload=4294963200 slots=16777216");
    refused(&agent, "EOVERFLOW", "payload_bytes * slot_count is", "to 70368744177664");
    agent_tell(&agent, "pub test/odd entry=100");
    refused(&agent, "EINVAL", "entry_bytes is 100", "64, 128, 256, 512 or 1024");
    agent_tell(&agent, "pub test/odd loans=65537");
    refused(&agent, "EINVAL", "loans_max is 65537", "from 1 to 65536");
    agent_tell(&agent, "pub test/odd flags=0x800");
    refused(&agent, "EINVAL", "flags has bits", "0x800: clear them");
    agent_tell(&agent, "sub test/odd window=100000");
    refused(&agent, "LSHM_ELIMIT", "window is 100000", "from 1 to 4096");
    agent_tell(&agent, "sub test/odd holds=1025");
    refused(&agent, "LSHM_ELIMIT", "holds is 1025", "from 1 to 1024");
    agent_tell(&agent, "sub test/odd flags=0x800");
    refused(&agent, "EINVAL", "flags has bits", "0x800: clear them");
    agent_end(&agent);
}

static void test_quota__used_up__is_named(void **state)
{
    struct agent agent;

    (void)state;
    agent_start(&agent);
    agent_tell(&agent, "pub test/huge payload=100000000 slots=4000");
    refused(&agent, "LSHM_EQUOTA", "quota client-bytes", "fewer or smaller slots");
    (void)agent_do(&agent, "pub test/huge");
    agent_end(&agent);
}

static void test_broker__absent__is_named_with_its_socket(void **state)
{
    struct agent agent;

    (void)state;
    agent_start_only(&agent);
    agent_tell(&agent, "attach /nowhere/broker.sock");
    refused(&agent, "LSHM_ENOBROKER", "/nowhere/broker.sock", "start brokerd");
    agent_tell(&agent, "attach /%0107d", 0);
    refused(&agent, "ENAMETOOLONG", "longer than 107 bytes", "LSHM_SOCKET");
    agent_end(&agent);
}

static void test_user__other_than_the_brokers__is_refused(void **state)
{
    const char *path = agent_rig.broker.socket_path;
    struct agent agent;

    (void)state;
    if (geteuid() != 0)
        skip();
    agent_start_only(&agent);
    (void)agent_do(&agent, "uid %d", NOBODY);
    agent_tell(&agent, "attach %s", path);
    refused(&agent, "EACCES", path, "a brokerd of your own");
    assert_int_equal(chmod(agent_rig.fixture->dir, 0711), 0);
    assert_int_equal(chmod(path, 0666), 0);
    agent_tell(&agent, "attach %s", path);
    refused(&agent, "LSHM_EDENIED", "you are uid 65534", "broker of your own");
    agent_end(&agent);
}

static void test_descriptors__none_left__is_said_and_costs_nothing(void **state)
{
    struct agent agent;
    int more = 1;

    (void)state;
    agent_start_only(&agent);
    (void)agent_do(&agent, "limit fds 1");
    agent_tell(&agent, "attach %s", agent_rig.broker.socket_path);
    refused(&agent, "EMFILE", "descriptors", "ulimit -n");
    for (; more < 20; more++) { /* wherever it fails, it says so */
        (void)agent_do(&agent, "limit fds %d", more);
        agent_tell(&agent, "attach %s", agent_rig.broker.socket_path);
        lst_must(lst_child_hear(&agent.process, agent.line, AGENT_ANSWER_MS));
        if (strncmp(agent.line, "ok ", 3) == 0)
            break;
        assert_non_null(strstr(agent.line, "no EMFILE "));
        assert_non_null(strstr(agent.line, "ulimit -n"));
    }
    assert_true(more < 20);
    bystanders_go_on();
    agent_end(&agent);
}

static void test_descriptors__none_left_for_a_port__leave_the_others_alone(void **state)
{
    struct agent agent;

    (void)state;
    agent_start(&agent);
    (void)agent_do(&agent, "sub test/to");
    (void)agent_do(&agent, "pub test/to payload=3000");
    (void)agent_do(&agent, "limit fds 1"); /* it takes two, one for the ring, one for the slots */
    agent_tell(&agent, "pub test/second payload=3000");
    refused(&agent, "EMFILE", "no descriptors", "ulimit -n");
    assert_int_equal(agent_do(&agent, "send 0 100 max=3000"), 100);
    assert_int_equal(agent_do(&agent, "take 0 100"), 100);
    agent_end(&agent);
}

static void test_memory__none_left_for_a_port__fails_it_alone(void **state)
{
    struct agent agent, from;

    (void)state;
    if (LST_ADDRESS_SANITIZER)
        skip();
    agent_start(&agent);
    agent_start(&from);
    (void)agent_do(&agent, "sub test/small");
    (void)agent_do(&agent, "pub test/small");
    (void)agent_do(&from, "pub test/large payload=1000000 slots=64 wait_ms=-1");
    (void)agent_do(&agent, "limit bytes 8000000");
    agent_tell(&agent, "pub test/mine payload=1000000 slots=64");
    refused(&agent, "ENOMEM", "64", "fewer slots");
    agent_tell(&agent, "sub test/large");
    refused(&agent, "ENOMEM", "cannot map", "ulimit -v");
    assert_int_equal(agent_do(&from, "send 0 200 min=1000 max=1000"), 200); /* nobody gates */
    assert_int_equal(agent_do(&agent, "send 0 10"), 10);
    assert_int_equal(agent_do(&agent, "take 0 10"), 10);
    (void)agent_do(&agent, "limit bytes 0");
    assert_int_equal(agent_do(&agent, "sub test/large"), 1);
    assert_int_equal(agent_do(&from, "send 0 20 min=1000 max=1000"), 20);
    assert_int_equal(agent_do(&agent, "take 1 20"), 20);
    assert_int_equal(agent_do(&agent, "pub test/mine payload=1000000 slots=64"), 1);
    agent_end(&agent);
    agent_end(&from);
}

static void test_memory__none_left_for_a_new_publisher__is_told_by_take(void **state)
{
    struct agent agent, from;

    (void)state;
    if (LST_ADDRESS_SANITIZER)
        skip();
    agent_start(&agent);
    agent_start(&from);
    (void)agent_do(&agent, "sub test/large");
    (void)agent_do(&agent, "limit bytes 8000000");
    (void)agent_do(&from, "pub test/large payload=1000000 slots=64 wait_ms=-1");
    agent_tell(&agent, "take 0 1 ms=5000");
    refused(&agent, "ENOMEM", "take", "Cannot allocate memory");
    assert_int_equal(agent_do(&from, "send 0 200 min=1000 max=1000"), 200);
    assert_int_equal(agent_do(&agent, "none 0"), 0); /* told once */
    (void)agent_do(&from, "pub test/large payload=1000");
    assert_int_equal(agent_do(&from, "send 1 5 max=1000"), 5);
    assert_int_equal(agent_do(&agent, "take 0 5"), 5);
    agent_end(&agent);
    agent_end(&from);
}

static int run(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_name__not_a_topic__is_refused),
        TEST(test_payload__larger_than_a_slot__is_refused),
        TEST(test_options__out_of_range__are_refused),
        TEST(test_quota__used_up__is_named),
        TEST(test_broker__absent__is_named_with_its_socket),
        cmocka_unit_test_setup_teardown(test_user__other_than_the_brokers__is_refused,
                                        setup_in_tmp, teardown),
        TEST(test_descriptors__none_left__is_said_and_costs_nothing),
        TEST(test_descriptors__none_left_for_a_port__leave_the_others_alone),
        TEST(test_memory__none_left_for_a_port__fails_it_alone),
        TEST(test_memory__none_left_for_a_new_publisher__is_told_by_take),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
