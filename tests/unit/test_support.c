/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test support, with cases that must be detected: a test that leaks runs as a role, because
 * its teardown fails. Started as brokerd, this program plays one, good or bad.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SHORT_MS 50

static int role_exit(int argc, char **argv)
{
    return argc == 1 ? (int)strtol(argv[0], NULL, 10) : 99;
}

static int role_hang(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    while (pause() != 0) {
    }
    return 0;
}

static int role_echo(int argc, char **argv)
{
    char line[LST_LINE_MAX];
    (void)argc;
    (void)argv;
    while (lst_hear(line, LST_DEADLINE_MS) == 0) {
        if (lst_say(line) < 0) {
            return 1;
        }
    }
    return 0;
}

/* What a leaking test does; the exit code is 0 only if teardown finds it. */
static int role_leak(int argc, char **argv)
{
    char path[LST_PATH_MAX + 16];
    void *state = NULL;
    struct lst_child child;

    if (argc != 1 || lst_setup(&state) != 0) {
        return 2;
    }
    const struct lst_fixture *fixture = state;
    if (strcmp(argv[0], "descriptors") == 0) {
        (void)open("/dev/null", O_RDONLY | O_CLOEXEC);
    } else if (strcmp(argv[0], "file") == 0) {
        (void)snprintf(path, sizeof path, "%s/left", fixture->dir);
        (void)close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    } else if (strcmp(argv[0], "children") == 0) {
        (void)lst_child_start(&child, "hang", NULL);
    } else if (strcmp(argv[0], "processes") == 0) {
        /* The orphan survives its parent: it has no death signal. */
        if (fork() == 0) {
            if (fork() == 0) {
                (void)execlp("sleep", "sleep", "30", (char *)NULL);
            }
            _exit(0);
        }
    }
    int rc = lst_teardown(&state);
    if (strcmp(argv[0], "nothing") == 0) {
        return rc == 0 ? 0 : 1;
    }
    return rc != 0 && strstr(lst_complaint(), argv[0]) ? 0 : 1;
}

static int leak(const char *what)
{
    struct lst_child child;
    const char *const args[] = {what, NULL};
    lst_must(lst_child_start(&child, "leak", args));
    return lst_child_wait(&child, LST_DEADLINE_MS);
}

static void test_child__exits__code_is_returned(void **state)
{
    struct lst_child child;
    const char *const args[] = {"7", NULL};
    (void)state;
    lst_must(lst_child_start(&child, "exit", args));
    assert_int_equal(lst_child_wait(&child, LST_DEADLINE_MS), 7);
    assert_int_equal(lst_child_wait(&child, SHORT_MS), -ECHILD);
}

static void test_child__role_is_unknown__exits_126(void **state)
{
    struct lst_child child;
    (void)state;
    lst_must(lst_child_start(&child, "no such role", NULL));
    assert_int_equal(lst_child_wait(&child, LST_DEADLINE_MS), 126);
}

static void test_child__hangs__wait_times_out_and_kill_ends_it(void **state)
{
    struct lst_child child;
    (void)state;
    lst_must(lst_child_start(&child, "hang", NULL));
    assert_int_equal(lst_child_wait(&child, SHORT_MS), -ETIME);
    assert_int_equal(lst_child_kill(&child), 128 + SIGKILL);
}

static void test_child__is_past_its_deadline__dies_of_alarm(void **state)
{
    struct lst_child child;
    (void)state;
    lst_must(lst_child_start_within(&child, 1, "hang", NULL));
    assert_int_equal(lst_child_wait(&child, LST_DEADLINE_MS), 128 + SIGALRM);
}

static void test_child__hears_lines__answers(void **state)
{
    struct lst_child child;
    char line[LST_LINE_MAX];
    (void)state;
    lst_must(lst_child_start(&child, "echo", NULL));
    lst_must(lst_child_say(&child, "one"));
    lst_must(lst_child_say(&child, ""));
    lst_must(lst_child_expect(&child, "one"));
    lst_must(lst_child_hear(&child, line, LST_DEADLINE_MS));
    assert_string_equal(line, "");
    lst_must(lst_child_say(&child, "two"));
    assert_int_equal(lst_child_expect(&child, "three"), -EBADMSG);
    assert_int_equal(lst_child_hear(&child, line, SHORT_MS), -ETIME);
    assert_int_equal(lst_child_kill(&child), 128 + SIGKILL);
}

static void test_child__dies__its_line_ends(void **state)
{
    struct lst_child child;
    char line[LST_LINE_MAX];
    const char *const args[] = {"0", NULL};
    (void)state;
    lst_must(lst_child_start(&child, "exit", args));
    assert_int_equal(lst_child_hear(&child, line, LST_DEADLINE_MS), -EPIPE);
    assert_int_equal(lst_child_wait(&child, LST_DEADLINE_MS), 0);
}

static void test_child__is_stopped__answers_only_when_continued(void **state)
{
    struct lst_child child;
    char line[LST_LINE_MAX];
    (void)state;
    lst_must(lst_child_start(&child, "echo", NULL));
    lst_must(lst_child_stop(&child));
    lst_must(lst_child_say(&child, "one"));
    assert_int_equal(lst_child_hear(&child, line, SHORT_MS), -ETIME);
    lst_must(lst_child_continue(&child));
    lst_must(lst_child_expect(&child, "one"));
    lst_must(lst_child_kill(&child));
}

static void test_child__is_dead__stop_fails(void **state)
{
    struct lst_child child;
    const char *const args[] = {"0", NULL};
    char line[LST_LINE_MAX];
    (void)state;
    lst_must(lst_child_start(&child, "exit", args));
    (void)lst_child_hear(&child, line, LST_DEADLINE_MS);
    assert_int_equal(lst_child_stop(&child), -ESRCH);
    lst_must(lst_child_wait(&child, LST_DEADLINE_MS));
}

static bool third_time(void *arg)
{
    int *count = arg;
    return ++*count == 3;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void test_wait_until__condition_holds__returns(void **state)
{
    int count = 0;
    (void)state;
    lst_must(lst_wait_until(third_time, &count, LST_DEADLINE_MS));
    assert_int_equal(count, 3);
    assert_int_equal(lst_wait_until(never, NULL, SHORT_MS), -ETIME);
}

static void test_teardown__nothing_is_left__passes(void **state)
{
    (void)state;
    assert_int_equal(leak("nothing"), 0);
}

static void test_teardown__descriptor_is_left__fails(void **state)
{
    (void)state;
    assert_int_equal(leak("descriptors"), 0);
}

static void test_teardown__file_is_left__fails(void **state)
{
    (void)state;
    assert_int_equal(leak("file"), 0);
}

static void test_teardown__child_is_left__fails(void **state)
{
    (void)state;
    assert_int_equal(leak("children"), 0);
}

static void test_teardown__grandchild_is_left__fails(void **state)
{
    (void)state;
    assert_int_equal(leak("processes"), 0);
}

static int play_broker(const char *path)
{
    const char *mode = getenv("LST_PLAY");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    sigset_t term;
    int signal;

    (void)sigemptyset(&term);
    (void)sigaddset(&term, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &term, NULL);
    if (!mode || strcmp(mode, "crash") == 0) {
        return 3;
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (strcmp(mode, "deaf") != 0 &&
        (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4) != 0)) {
        return 4;
    }
    (void)sigwait(&term, &signal);
    (void)unlink(path);
    return strcmp(mode, "sloppy") == 0 ? 5 : 0;
}

static int start_player(struct lst_broker *broker, const struct lst_fixture *fixture,
                        const char *mode, int timeout_ms)
{
    char program[LST_PATH_MAX * 4] = "";
    assert_true(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
    assert_int_equal(setenv("LST_PLAY", mode, 1), 0);
    assert_int_equal(setenv("LSHM_TEST_BROKERD", program, 1), 0);
    int rc = lst_broker_start_within(broker, fixture->dir, timeout_ms);
    assert_int_equal(unsetenv("LSHM_TEST_BROKERD"), 0);
    return rc;
}

static void test_broker__listens__starts_and_stops(void **state)
{
    struct lst_broker broker;
    lst_must(start_player(&broker, *state, "good", LST_DEADLINE_MS));
    lst_must(lst_broker_stop(&broker));
}

static void test_broker__is_killed__leaves_nothing(void **state)
{
    struct lst_broker broker;
    lst_must(start_player(&broker, *state, "good", LST_DEADLINE_MS));
    assert_int_equal(lst_broker_kill(&broker), 128 + SIGKILL);
}

static void test_broker__crashes_at_start__start_fails(void **state)
{
    struct lst_broker broker;
    assert_int_equal(start_player(&broker, *state, "crash", LST_DEADLINE_MS), -ECHILD);
}

static void test_broker__never_listens__start_times_out(void **state)
{
    struct lst_broker broker;
    assert_int_equal(start_player(&broker, *state, "deaf", SHORT_MS), -ETIME);
}

static void test_broker__exits_with_error__stop_fails(void **state)
{
    struct lst_broker broker;
    lst_must(start_player(&broker, *state, "sloppy", LST_DEADLINE_MS));
    assert_int_equal(lst_broker_stop(&broker), -EPROTO);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, lst_setup, lst_teardown)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_child__exits__code_is_returned),
        CASE(test_child__role_is_unknown__exits_126),
        CASE(test_child__hangs__wait_times_out_and_kill_ends_it),
        CASE(test_child__is_past_its_deadline__dies_of_alarm),
        CASE(test_child__hears_lines__answers),
        CASE(test_child__dies__its_line_ends),
        CASE(test_child__is_stopped__answers_only_when_continued),
        CASE(test_child__is_dead__stop_fails),
        CASE(test_wait_until__condition_holds__returns),
        CASE(test_teardown__nothing_is_left__passes),
        CASE(test_teardown__descriptor_is_left__fails),
        CASE(test_teardown__file_is_left__fails),
        CASE(test_teardown__child_is_left__fails),
        CASE(test_teardown__grandchild_is_left__fails),
        CASE(test_broker__listens__starts_and_stops),
        CASE(test_broker__is_killed__leaves_nothing),
        CASE(test_broker__crashes_at_start__start_fails),
        CASE(test_broker__never_listens__start_times_out),
        CASE(test_broker__exits_with_error__stop_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct lst_role roles[] = {
        {"exit", role_exit},
        {"hang", role_hang},
        {"echo", role_echo},
        {"leak", role_leak},
    };
    if (argc == 4 && strcmp(argv[1], "--foreground") == 0) {
        return play_broker(argv[3]);
    }
    return lst_main(argc, argv, roles, sizeof roles / sizeof roles[0], run);
}
