/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker that lacks something ends with a line that says how much of it is needed and how to get
 * it; one that was started in the background has ended before, or serves.
 */
#include "raw.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "os/memory.h"

#define TEXT_BYTES 1024
#define KIB 1024u
#define FDS_NEEDED 64
#define FDS_INHERITED 50
#define FILE_BYTES 1024 /* enough for the lock, and less than a memory file has */
#define EXIT_NO_LIMIT 125

static struct raw_broker broker;
static char socket_path[LST_PATH_MAX], meminfo[LST_PATH_MAX];
static rlim_t limit; /* for the hook of the test */

static int setup(void **state)
{
    const struct lst_fixture *fixture;

    if (lst_setup(state) != 0)
        return -1;
    fixture = *state;
    snprintf(socket_path, sizeof(socket_path), "%s/broker.sock", fixture->dir);
    snprintf(meminfo, sizeof(meminfo), "%s/meminfo", fixture->dir);
    return 0;
}

static int teardown(void **state)
{
    raw_before_exec = NULL;
    return lst_teardown(state);
}

static void set_limit(int resource)
{
    const struct rlimit both = {limit, limit};

    if (setrlimit((__rlimit_resource_t)resource, &both) < 0)
        _exit(EXIT_NO_LIMIT);
}

static void limit_space(void)
{
    set_limit(RLIMIT_AS);
}

static void limit_fds(void)
{
    closefrom(STDERR_FILENO + 1);
    set_limit(RLIMIT_NOFILE);
}

static void limit_files(void)
{
    set_limit(RLIMIT_FSIZE);
    signal(SIGXFSZ, SIG_IGN);
}

static void limit_files_by_signal(void)
{
    set_limit(RLIMIT_FSIZE);
    signal(SIGXFSZ, SIG_DFL);
}

static void inherit_fds(void)
{
    int i;

    set_limit(RLIMIT_NOFILE);
    for (i = 0; i < FDS_INHERITED; i++)
        (void)!open("/dev/null", O_RDONLY);
}

/* /proc/meminfo is another file. */
static void replace_meminfo(void)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(meminfo, "/proc/meminfo", NULL, MS_BIND, NULL) < 0)
        _exit(EXIT_NO_LIMIT);
}

/* Both ways of starting end so; the code when it is EXIT_NO_LIMIT. */
static int refused(void (*before)(void), char *text, const char *what, const char *advice)
{
    const char *const options[] = {"--socket", socket_path, "--foreground", NULL};
    const char *const background[] = {"--socket", socket_path, NULL};
    int code, i;

    raw_before_exec = before;
    for (i = 0; i < 2; i++) {
        code = raw_broker_run(i ? background : options, text, TEXT_BYTES);
        if (code == EXIT_NO_LIMIT)
            return code;
        assert_int_equal(code, EX_OSERR);
        if (!strstr(text, what) || !strstr(text, advice) || strstr(text, "serves"))
            fail_msg("\"%s\" does not say \"%s\" and \"%s\"", text, what, advice);
    }
    return 0;
}

static void serves(void (*before)(void), const char *directory)
{
    struct raw_client client;

    raw_before_exec = before;
    raw_broker_start(&broker, directory, NULL);
    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
    raw_close(&client);
}

static void test_start__little_address_space__says_how_much(void **state)
{
    const struct lst_fixture *fixture = *state;
    char text[TEXT_BYTES];
    const char *advice;

    if (LST_ADDRESS_SANITIZER)
        skip();
    for (limit = 100000 * KIB; limit <= 400000 * KIB; limit += 150000 * KIB)
        assert_int_equal(refused(limit_space, text, "MiB needed", "(ulimit -v "), 0);
    assert_null(strchr(strchr(text, '\n') + 1, '\n'));
    advice = strstr(text, "ulimit -v ");
    limit = strtoull(advice + strlen("ulimit -v "), NULL, 10) * KIB;
    serves(limit_space, fixture->dir);
    assert_int_equal(raw_broker_stop(&broker), 0);
}

static void test_start__few_descriptors__says_how_many(void **state)
{
    static const rlim_t limits[] = {4, 12, FDS_NEEDED - 1};
    const struct lst_fixture *fixture = *state;
    char text[TEXT_BYTES];
    size_t i;

    for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        limit = limits[i];
        assert_int_equal(refused(limit_fds, text, "descriptors for a broker: 64 needed",
                                 "(ulimit -n)"), 0);
    }
    limit = FDS_NEEDED;
    serves(limit_fds, fixture->dir);
    assert_int_equal(raw_broker_stop(&broker), 0);
}

/* They would count as the keeper's, and there is room for few of those. */
static void test_start__many_descriptors_inherited__are_closed(void **state)
{
    const struct lst_fixture *fixture = *state;
    char path[LST_PATH_MAX];
    int count = 0;
    DIR *directory;

    limit = FDS_NEEDED;
    serves(inherit_fds, fixture->dir);
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)broker.pid);
    directory = opendir(path);
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    assert_true(count < FDS_INHERITED);
    assert_int_equal(raw_broker_stop(&broker), 0);
}

static void test_start__little_memory__says_how_much(void **state)
{
    FILE *file = fopen(meminfo, "w");
    char text[TEXT_BYTES];
    int status;

    (void)state;
    assert_non_null(file);
    fputs("MemTotal: 16384 kB\nMemAvailable: 5120 kB\n", file);
    fclose(file);
    status = refused(replace_meminfo, text, "8 MiB needed, 5 MiB are", "end other programs");
    unlink(meminfo);
    if (status == EXIT_NO_LIMIT)
        skip();
}

static void test_start__worker_cannot__ends_with_its_code_and_reason(void **state)
{
    char text[TEXT_BYTES];

    (void)state;
    limit = FILE_BYTES;
    assert_int_equal(refused(limit_files, text, "worker can't start: File too large", "needs"), 0);
}

static void test_start__workers_are_killed__ends(void **state)
{
    char text[TEXT_BYTES];

    (void)state;
    limit = FILE_BYTES;
    assert_int_equal(refused(limit_files_by_signal, text, "by signal 25", "kernel's log"), 0);
}

static bool is_gone(void *path)
{
    return access(path, F_OK) < 0;
}

static void test_start__background__serves_when_it_returns(void **state)
{
    const char *const options[] = {"--socket", socket_path, NULL};
    struct raw_client client;
    char text[TEXT_BYTES];

    (void)state;
    assert_int_equal(raw_broker_run(options, text, sizeof(text)), 0);
    assert_string_equal(text, "");
    assert_int_equal(raw_attach(&client, socket_path, 0), 0);
    raw_close(&client);
    assert_int_equal(kill((pid_t)client.keeper_pid, SIGTERM), 0);
    assert_int_equal(lst_wait_until(is_gone, socket_path, RAW_TIMEOUT_MS), 0);
}

static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    TEST(test_start__little_address_space__says_how_much),
    TEST(test_start__few_descriptors__says_how_many),
    TEST(test_start__many_descriptors_inherited__are_closed),
    TEST(test_start__little_memory__says_how_much),
    TEST(test_start__worker_cannot__ends_with_its_code_and_reason),
    TEST(test_start__workers_are_killed__ends),
    TEST(test_start__background__serves_when_it_returns),
};

static int run(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
