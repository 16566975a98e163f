/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's entry and the fixture that looks for leaks. The test program adopts orphaned
 * grandchildren, so that a process left behind by a child or a broker is found too.
 */
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_NO_ROLE 126
#define ORPHANS_GRACE_MS 2000 /* a killed broker's worker notices and leaves */

int lst_main(int argc, char **argv, const struct lst_role *roles, size_t role_count,
             int (*run)(void))
{
    if (argc < 5 || strcmp(argv[1], "--deadline") != 0 || strcmp(argv[3], "--role") != 0) {
        const char *filter = getenv("LSHM_TEST_FILTER"); /* names, with * and ? */

        if (filter)
            cmocka_set_test_filter(filter);
        return run();
    }
    (void)alarm((unsigned)strtoul(argv[2], NULL, 10));
    (void)fcntl(LST_LINE_FD, F_SETFD, FD_CLOEXEC);
    for (size_t i = 0; i < role_count; i++) {
        if (strcmp(argv[4], roles[i].name) == 0) {
            return roles[i].run(argc - 5, argv + 5);
        }
    }
    (void)fprintf(stderr, "no role '%s'\n", argv[4]);
    return EXIT_NO_ROLE;
}

static int count_fds(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir) {
        return -errno;
    }
    while (readdir(dir)) {
        count++;
    }
    (void)closedir(dir);
    return count;
}

static int set_up(const char *parent, void **state)
{
    struct lst_fixture *fixture = calloc(1, sizeof *fixture);
    if (!fixture) {
        return -1;
    }
    int length = snprintf(fixture->dir, sizeof fixture->dir, "%s/lshm-test-XXXXXX",
                          parent);
    if (length >= (int)sizeof fixture->dir || !mkdtemp(fixture->dir) ||
        lst_prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
        (void)fprintf(stderr, "setup in '%s': %s\n", fixture->dir, strerror(errno));
        free(fixture);
        return -1;
    }
    lst_child_count = 0;
    fixture->fd_count = count_fds();
    *state = fixture;
    return 0;
}

int lst_setup(void **state)
{
    const char *parent = getenv("TMPDIR");

    return set_up(parent ? parent : "/tmp", state);
}

int lst_setup_in_tmp(void **state)
{
    return set_up("/tmp", state);
}

/* Signal every child of this thread; returns how many there are. */
static int signal_children(int signal)
{
    int pid, count = 0;
    FILE *file = fopen("/proc/thread-self/children", "re");
    while (file && fscanf(file, "%d", &pid) == 1) {
        (void)kill(pid, signal);
        count++;
    }
    if (file) {
        (void)fclose(file);
    }
    return count;
}

static bool no_children(void *arg)
{
    siginfo_t info;
    (void)arg;
    do {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0) {
            return errno == ECHILD;
        }
    } while (info.si_pid != 0);
    return false;
}

static bool no_children_after_kill(void *arg)
{
    (void)signal_children(SIGKILL);
    return no_children(arg);
}

static FILE *report;

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    if (ftw->level > 0) {
        (void)fprintf(report, "left the file %s; ", path);
    }
    return remove(path);
}

/* Write what the test left behind to report, and clean it up. */
static void look_for_leaks(const struct lst_fixture *fixture)
{
    if (lst_child_count > 0) {
        (void)fprintf(report, "left %d children without waiting for them; ", lst_child_count);
    }
    if (lst_wait_until(no_children, NULL, lst_child_count > 0 ? 0 : ORPHANS_GRACE_MS) < 0) {
        (void)fprintf(report, "left %d processes; ", signal_children(0));
        (void)lst_wait_until(no_children_after_kill, NULL, LST_DEADLINE_MS);
    }
    int fd_count = count_fds();
    if (fd_count != fixture->fd_count) {
        (void)fprintf(report, "had %d open descriptors before, %d after; ", fixture->fd_count,
                      fd_count);
    }
    if (nftw(fixture->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS) != 0) {
        (void)fprintf(report, "%s: %s; ", fixture->dir, strerror(errno));
    }
}

int lst_teardown(void **state)
{
    struct lst_fixture *fixture = *state;
    char text[1024] = "";

    report = fmemopen(text, sizeof text - 1, "w");
    if (!report) {
        return -1;
    }
    look_for_leaks(fixture);
    (void)fclose(report);
    free(fixture);
    if (text[0] == '\0') {
        return 0;
    }
    (void)fprintf(stderr, "# the test %s\n", text);
    return lst_complain(-1, "%s", text);
}
