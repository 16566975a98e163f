/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A forked child has nothing of its parent's context but the refusal to use it, and may open one
 * of its own. Shared memory is not in it, nor in a core dump.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lshm/inspect.h>

#include "agent.h"

static struct lshm_context *context;
static struct lshm_publisher *publisher;
static struct lshm_subscriber *subscriber;
static struct lshm_message loan, sample;

static int setup(void **state)
{
    struct lshm_context_options options = { .size = sizeof options };

    if (agent_setup(state) < 0)
        return -1;
    options.socket = agent_rig.broker.socket_path;
    if (lshm_context_open(&options, NULL, &context) < 0 ||
        lshm_subscriber_open(context, "test/fork", NULL, NULL, &subscriber) < 0 ||
        lshm_publisher_open(context, "test/fork", NULL, NULL, &publisher) < 0 ||
        lshm_publisher_send(publisher, "before", 6) < 0 ||
        lshm_subscriber_take(subscriber, &sample) != 1)
        return -1;
    return lshm_publisher_loan(publisher, 1000, &loan);
}

static int teardown(void **state)
{
    lshm_context_close(context);
    return agent_teardown(state);
}

/* How a child that runs this ends: its exit code, or 128 + signal. */
static int in_child(int (*run)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(run());
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Which call did not refuse, from 1; 0: all did. */
static int call_all(void)
{
    struct lshm_publisher_statistics publishing = { .size = sizeof publishing };
    struct lshm_subscriber_statistics subscribing = { .size = sizeof subscribing };
    struct lshm_publisher *other_publisher;
    struct lshm_subscriber *other_subscriber;
    struct lshm_message m;
    struct lshm_error error = { 0 };
    const int results[] = {
        lshm_context_get_fd(context),
        lshm_context_is_draining(context),
        lshm_publisher_open(context, "test/fork", NULL, &error, &other_publisher),
        lshm_subscriber_open(context, "test/fork", NULL, NULL, &other_subscriber),
        lshm_publisher_loan(publisher, 8, &m),
        lshm_publisher_loan_batch(publisher, 8, &m, 1),
        lshm_publisher_publish(publisher, &loan),
        lshm_publisher_publish_batch(publisher, &loan, 1),
        lshm_publisher_abort(publisher, &loan),
        lshm_publisher_abort_batch(publisher, &loan, 1),
        lshm_publisher_send(publisher, "x", 1),
        lshm_publisher_wait(publisher, 0),
        (int)lshm_publisher_trim(publisher),
        lshm_publisher_get_statistics(publisher, &publishing),
        lshm_subscriber_take(subscriber, &m),
        lshm_subscriber_take_batch(subscriber, &m, 1),
        lshm_subscriber_release(subscriber, &sample),
        lshm_subscriber_release_batch(subscriber, &sample, 1),
        lshm_subscriber_wait(subscriber, 0),
        lshm_subscriber_wait_any(&subscriber, 1, 0),
        lshm_subscriber_get_statistics(subscriber, &subscribing),
    };

    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
        if (results[i] != -ECHILD)
            return (int)i + 1;
    lshm_publisher_close(publisher);
    lshm_subscriber_close(subscriber);
    lshm_context_close(context);
    return strstr(error.text, "after fork()") ? 0 : 100;
}

/* After the child: the loan, the sample and the ports are what they were. */
static void parent_goes_on(void)
{
    struct lshm_message m;

    memset(loan.data, 7, 1000);
    assert_int_equal(lshm_publisher_publish(publisher, &loan), 0);
    assert_memory_equal(sample.data, "before", 6);
    assert_int_equal(lshm_subscriber_release(subscriber, &sample), 0);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    assert_int_equal(((unsigned char *)m.data)[999], 7);
    assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
}

static void test_child__using_its_parents_context__is_refused_each_call(void **state)
{
    (void)state;
    assert_int_equal(in_child(call_all), 0);
    parent_goes_on();
}

static int open_own(void)
{
    struct lshm_context_options options = {
        .size = sizeof options,
        .socket = agent_rig.broker.socket_path,
    };
    struct lshm_context *own;
    struct lshm_publisher *own_publisher;

    if (lshm_context_open(&options, NULL, &own) < 0)
        return 1;
    if (lshm_publisher_open(own, "test/fork", NULL, NULL, &own_publisher) < 0)
        return 2;
    if (lshm_publisher_send(own_publisher, "child", 5) < 0)
        return 3;
    lshm_context_close(own);
    return 0;
}

static void test_child__with_a_context_of_its_own__publishes(void **state)
{
    struct lshm_message m;

    (void)state;
    assert_int_equal(in_child(open_own), 0);
    assert_int_equal(lshm_subscriber_wait(subscriber, 5000000000), 1);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    assert_memory_equal(m.data, "child", 5);
    assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
    parent_goes_on();
}

/* Payload that the child is going to touch: what is small is a private copy, and stays readable. */
static unsigned char *touched;

static int touch(void)
{
    const struct rlimit no_core = { 0, 0 };

    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would end it otherwise */
    return touched[0];
}

static void test_child__touching_shared_payload__ends_by_a_fault(void **state)
{
    struct lshm_message m;

    (void)state;
    memset(loan.data, 7, 1000);
    touched = loan.data;
    assert_int_equal(in_child(touch), 128 + SIGSEGV);
    assert_int_equal(lshm_publisher_publish(publisher, &loan), 0);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    touched = m.data;
    assert_int_equal(in_child(touch), 128 + SIGSEGV);
    assert_int_equal(touched[999], 7);
    assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
    touched = sample.data;
    assert_int_equal(in_child(touch), 'b');
}

/* Mappings of shared memory here, and how many of them have this flag (proc(5), VmFlags). */
static int count_mappings(const char *flag, int *ret_flagged)
{
    char line[512], wanted[8];
    bool is_shared = false;
    int count = 0;
    FILE *file = fopen("/proc/self/smaps", "re");

    assert_non_null(file);
    *ret_flagged = 0;
    (void)snprintf(wanted, sizeof wanted, " %s ", flag);
    while (fgets(line, sizeof line, file)) {
        unsigned long begin, end;

        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2) {
            is_shared = strstr(line, "memfd:") != NULL;
            count += is_shared;
        } else if (is_shared && strncmp(line, "VmFlags:", 8) == 0) {
            *ret_flagged += strstr(line, wanted) != NULL;
        }
    }
    (void)fclose(file);
    return count;
}

/* Public region, board, control region; ring and data, to write and to read. */
#define MAPPINGS 7

static void test_shared_memory__of_all_kinds__is_in_no_child_and_no_core_dump(void **state)
{
    struct lshm_context_options options = { .size = sizeof options };
    struct lshm_inspector *inspector;
    struct lshm_context *dumped;
    int count, before, flagged;

    (void)state;
    options.socket = agent_rig.broker.socket_path;
    assert_int_equal(lshm_inspector_open(&options, NULL, &inspector), 0);
    before = count_mappings("dc", &flagged); /* don't copy */
    assert_true(before > MAPPINGS);
    assert_int_equal(flagged, before);
    assert_int_equal(count_mappings("dd", &flagged), before); /* don't dump */
    assert_int_equal(flagged, before);

    options.flags = LSHM_CONTEXT_DUMP;
    assert_int_equal(lshm_context_open(&options, NULL, &dumped), 0);
    count = count_mappings("dc", &flagged);
    assert_int_equal(count, before + 3);
    assert_int_equal(flagged, count);
    assert_int_equal(count_mappings("dd", &flagged), count);
    assert_int_equal(flagged, before);
    lshm_context_close(dumped);
    lshm_inspector_close(inspector);
}

static int run(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_child__using_its_parents_context__is_refused_each_call, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_child__with_a_context_of_its_own__publishes, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_child__touching_shared_payload__ends_by_a_fault, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_shared_memory__of_all_kinds__is_in_no_child_and_no_core_dump, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
