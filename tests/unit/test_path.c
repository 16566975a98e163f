/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where brokers put their socket and where clients look for it: the order of places, and whose
 * directories are trusted. As root, some of it as another user, and all of it with a /run of its
 * own, where no broker of the system is.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

#include "os/path.h"
#include "os/socket.h"

#define SOMEBODY 65533
#define SOMEBODY_ELSE 65534
#define RUN "/run/lshm/broker.sock"

static bool has_own_run;
static const char *directory; /* the test's */
static char runtime[LST_PATH_MAX], temporary[LST_PATH_MAX];

static int setup(void **state)
{
    const struct lst_fixture *fixture;

    if (lst_setup_in_tmp(state) < 0)
        return -1;
    fixture = *state;
    directory = fixture->dir;
    snprintf(runtime, sizeof(runtime), "%s/runtime", directory);
    snprintf(temporary, sizeof(temporary), "%s/temporary", directory);
    if (chmod(directory, 0711) < 0 || mkdir(runtime, 0755) < 0 || mkdir(temporary, 0777) < 0)
        return -1;
    unsetenv("LSHM_SOCKET");
    return setenv("XDG_RUNTIME_DIR", runtime, 1) < 0 || setenv("TMPDIR", temporary, 1) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    char command[2 * LST_PATH_MAX + 32];

    if (getuid() == SOMEBODY || getuid() == SOMEBODY_ELSE)
        (void)!setresuid(0, 0, 0); /* a test has failed meanwhile */
    snprintf(command, sizeof(command), "rm -r '%s' '%s'", runtime, temporary);
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("TMPDIR");
    return system(command) != 0 || lst_teardown(state) < 0 ? -1 : 0;
}

/* A socket at directory/broker.sock, whose directory is made for that user. */
static void make_socket(const char *where, uid_t owner)
{
    char path[LST_PATH_MAX + 16];
    int fd;

    assert_int_equal(mkdir(where, 0755), 0);
    snprintf(path, sizeof(path), "%s/broker.sock", where);
    assert_int_equal(lsi_socket_listen(path, &fd), 0);
    close(fd);
    if (owner != geteuid())
        assert_int_equal(chown(where, owner, owner), 0);
}

static void become(uid_t uid)
{
    assert_int_equal(setresuid(0, 0, 0), 0);
    assert_int_equal(setresuid(uid, uid, 0), 0);
}

static void chosen(const char *option, const char *path)
{
    char found[LSI_SOCKET_PATH_BYTES];

    assert_int_equal(lsi_path_choose(option, found, sizeof(found)), 0);
    assert_string_equal(found, path);
}

static void found(const char *option, const char *path)
{
    char found_path[LSI_SOCKET_PATH_BYTES];

    assert_int_equal(lsi_path_find(option, found_path, sizeof(found_path)), 0);
    assert_string_equal(found_path, path);
}

static char *text(char *buffer, const char *base, const char *rest)
{
    snprintf(buffer, 2 * LST_PATH_MAX, "%s%s", base, rest);
    return buffer;
}

static char *append(char *path, const char *rest)
{
    const size_t length = strlen(path);

    snprintf(path + length, 2 * LST_PATH_MAX - length, "%s", rest);
    return path;
}

static void test_path__given__wins_over_all_places(void **state)
{
    (void)state;
    assert_int_equal(setenv("LSHM_SOCKET", "/from/environment", 1), 0);
    chosen(NULL, "/from/environment");
    found("", "/from/environment");
    chosen("/from/option", "/from/option");
    found("/from/option", "/from/option");
    unsetenv("LSHM_SOCKET");
}

static void test_path__runtime_directory__is_chosen_first(void **state)
{
    char path[2 * LST_PATH_MAX];

    (void)state;
    chosen(NULL, text(path, runtime, "/lshm/broker.sock"));
    if (access(RUN, F_OK) != 0) /* a broker of the system would be found */
        found(NULL, path);      /* nothing exists: where a broker would be */
    assert_int_equal(setenv("XDG_RUNTIME_DIR", "relative", 1), 0);
    if (geteuid() == 0)
        chosen(NULL, RUN);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", "", 1), 0);
    if (geteuid() == 0)
        chosen(NULL, RUN);
}

static void test_path__run__is_for_who_may_write_it(void **state)
{
    char path[2 * LST_PATH_MAX];

    (void)state;
    if (geteuid() != 0)
        skip();
    unsetenv("XDG_RUNTIME_DIR");
    chosen(NULL, RUN);
    become(SOMEBODY);
    chosen(NULL, text(path, temporary, "/lshm-65533/broker.sock"));
    setenv("TMPDIR", "relative", 1);
    chosen(NULL, "/tmp/lshm-65533/broker.sock");
    unsetenv("TMPDIR");
    chosen(NULL, "/tmp/lshm-65533/broker.sock");
    become(0);
}

/* As systemd's RuntimeDirectory= gives it, and as a container that has no other user. */
static void test_path__run_of_an_ordinary_user__is_chosen_and_found(void **state)
{
    char path[2 * LST_PATH_MAX];

    (void)state;
    if (!has_own_run)
        skip();
    unsetenv("XDG_RUNTIME_DIR");
    assert_int_equal(mkdir("/run/lshm", 0755), 0);
    become(SOMEBODY);
    chosen(NULL, text(path, temporary, "/lshm-65533/broker.sock"));
    become(0);
    assert_int_equal(chown("/run/lshm", SOMEBODY, SOMEBODY), 0);
    become(SOMEBODY);
    chosen(NULL, RUN);
    become(0);
    assert_int_equal(rmdir("/run/lshm"), 0);
    assert_int_equal(chmod("/run", 0777), 0);
    become(SOMEBODY);
    chosen(NULL, RUN);
    make_socket("/run/lshm", SOMEBODY);
    found(NULL, RUN);
    become(0);
    make_socket(text(path, temporary, "/lshm-65534"), SOMEBODY_ELSE);
    become(SOMEBODY_ELSE);
    found(NULL, append(path, "/broker.sock"));
    become(0);
    assert_int_equal(unlink(RUN), 0);
    assert_int_equal(rmdir("/run/lshm"), 0);
    assert_int_equal(chmod("/run", 0755), 0);
}

static void test_path__too_long__is_refused(void **state)
{
    char path[2 * LSI_SOCKET_PATH_BYTES], small[8], full[2 * LSI_SOCKET_PATH_BYTES];

    (void)state;
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[LSI_SOCKET_PATH_BYTES - 1] = '\0';
    assert_int_equal(lsi_path_choose(path, full, sizeof(full)), 0);
    path[LSI_SOCKET_PATH_BYTES - 1] = 'x';
    path[LSI_SOCKET_PATH_BYTES] = '\0';
    assert_int_equal(lsi_path_choose(path, full, sizeof(full)), -ENAMETOOLONG);
    assert_int_equal(lsi_path_find(path, full, sizeof(full)), -ENAMETOOLONG);
    assert_int_equal(lsi_path_choose("/longer/than", small, sizeof(small)), -ENAMETOOLONG);
}

static void test_directory__of_a_path__is_what_its_last_slash_ends(void **state)
{
    static const char *const paths[][2] = {
        { "s", "." }, { "/s", "/" }, { "/d/s", "/d" }, { "d/e/s", "d/e" } };
    char found_directory[8];

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_int_equal(lsi_path_directory(paths[i][0], found_directory, sizeof(found_directory)),
                         0);
        assert_string_equal(found_directory, paths[i][1]);
    }
}

static void test_path__sockets_there__the_first_place_is_found(void **state)
{
    char own[64], path[2 * LST_PATH_MAX];

    (void)state;
    if (access(RUN, F_OK) == 0)
        skip();
    snprintf(own, sizeof(own), "/lshm-%u", (unsigned)geteuid());
    make_socket(text(path, temporary, own), geteuid());
    found(NULL, append(path, "/broker.sock"));
    make_socket(text(path, runtime, "/lshm"), geteuid());
    found(NULL, append(path, "/broker.sock"));
}

static void test_path__not_a_socket_in_a_directory__is_passed_over(void **state)
{
    char own[64], path[2 * LST_PATH_MAX], link[2 * LST_PATH_MAX];
    FILE *file;

    (void)state;
    if (access(RUN, F_OK) == 0)
        skip();
    snprintf(own, sizeof(own), "/lshm-%u", (unsigned)geteuid());
    make_socket(text(path, temporary, own), geteuid());
    assert_int_equal(symlink(path, text(link, runtime, "/lshm")), 0);
    append(path, "/broker.sock");
    found(NULL, path);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(mkdir(link, 0700), 0);
    file = fopen(append(link, "/broker.sock"), "w");
    assert_non_null(file);
    fclose(file);
    found(NULL, path);
}

/* Who owns a directory can put any socket there. */
static void test_path__directory_of_another_user__is_not_trusted(void **state)
{
    char path[2 * LST_PATH_MAX], theirs[2 * LST_PATH_MAX];

    (void)state;
    if (geteuid() != 0 || access(RUN, F_OK) == 0)
        skip();
    make_socket(text(theirs, runtime, "/lshm"), SOMEBODY_ELSE);
    make_socket(text(path, temporary, "/lshm-0"), 0);
    found(NULL, append(path, "/broker.sock")); /* root does not trust it */
    make_socket(text(path, temporary, "/lshm-65533"), SOMEBODY);
    become(SOMEBODY);
    found(NULL, append(path, "/broker.sock")); /* nor does another user */
    become(SOMEBODY_ELSE);
    found(NULL, append(theirs, "/broker.sock"));
    become(0);
    assert_int_equal(chown(text(theirs, runtime, "/lshm"), 0, 0), 0);
    become(SOMEBODY);
    found(NULL, append(theirs, "/broker.sock")); /* root's is everybody's */
    become(0);
}

static int run(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_path__given__wins_over_all_places),
        TEST(test_path__runtime_directory__is_chosen_first),
        TEST(test_path__run__is_for_who_may_write_it),
        TEST(test_path__run_of_an_ordinary_user__is_chosen_and_found),
        TEST(test_path__too_long__is_refused),
        TEST(test_directory__of_a_path__is_what_its_last_slash_ends),
        TEST(test_path__sockets_there__the_first_place_is_found),
        TEST(test_path__not_a_socket_in_a_directory__is_passed_over),
        TEST(test_path__directory_of_another_user__is_not_trusted),
    };

    has_own_run = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
                  mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                  mount("tmpfs", "/run", "tmpfs", 0, "mode=755") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
