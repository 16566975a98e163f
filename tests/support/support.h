/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Support for tests with several processes.
 *
 * A test program hands its roles to lst_main(). A child is the same program started again with
 * `--role NAME args...`; it ends by its role's return value, by its deadline (SIGALRM), or with its
 * parent. Parent and child synchronise by lines over a socket pair, never by sleeping. Only the
 * parent may use cmocka's assertions.
 *
 * With lst_setup and lst_teardown as a test's fixture, *state is its struct lst_fixture. Teardown
 * fails the test, and cleans up, if it left a descriptor, a process or a file behind.
 *
 * Functions return 0 or a count, or a negative errno with a text in lst_complaint(); lst_must()
 * turns that into a test failure.
 */
#ifndef LST_SUPPORT_H
#define LST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
/* cmocka.h needs some of the headers above. */
#include <cmocka.h>

#define LST_PATH_MAX 108 /* a socket address holds no more */
#define LST_LINE_MAX 256
#define LST_DEADLINE_MS 10000
#define LST_ROLE_DEADLINE_S 30
/* For limits of address space: the sanitizer's own memory meets them first. */
#ifdef __SANITIZE_ADDRESS__
#define LST_ADDRESS_SANITIZER 1
#else
#define LST_ADDRESS_SANITIZER 0
#endif

/* Where counters start in this build (libshm/src/base/counter.h), and what a ring's first message
 * is numbered. */
#ifdef LSHM_WRAP
#define LST_COUNTER_START ((UINT64_C(1) << 32) - 2)
#else
#define LST_COUNTER_START UINT64_C(0)
#endif
#define LST_SEQ_FIRST LST_COUNTER_START

struct lst_role {
    const char *name;
    int (*run)(int argc, char **argv); /* returns the exit code, 0 to 125 */
};

struct lst_child {
    pid_t pid; /* 0: not running */
    int pidfd;
    int line_fd;
};

struct lst_broker {
    struct lst_child process;
    char socket_path[LST_PATH_MAX];
};

struct lst_fixture {
    char dir[LST_PATH_MAX - 16]; /* empty, private, removed by teardown */
    int fd_count;
};

/* The program. */

/* Run the role that the command line names, else run(). */
int lst_main(int argc, char **argv, const struct lst_role *roles, size_t role_count,
             int (*run)(void));

int lst_setup(void **state);
/* In /tmp, whatever TMPDIR says: other users can be let into its directory. */
int lst_setup_in_tmp(void **state);
int lst_teardown(void **state);

/* The text of the last failure in this process. */
const char *lst_complaint(void);

#define lst_must(expression)                                                                       \
    do {                                                                                           \
        if ((expression) < 0) {                                                                    \
            fail_msg("%s: %s", #expression, lst_complaint());                                      \
        }                                                                                          \
    } while (0)

/* Look at condition(arg) until it is true: 0, or -ETIME after timeout_ms. */
int lst_wait_until(bool (*condition)(void *arg), void *arg, int timeout_ms);

/* Children, seen by the parent. */

/* args ends with NULL and may be NULL. */
int lst_child_start(struct lst_child *child, const char *role, const char *const args[]);
int lst_child_start_within(struct lst_child *child, unsigned deadline_s, const char *role,
                           const char *const args[]);

/* Wait for its end: its exit code, or 128 + signal; -ETIME if it is still running. */
int lst_child_wait(struct lst_child *child, int timeout_ms);

/* SIGKILL, then wait; returns when the kernel has taken the process down. */
int lst_child_kill(struct lst_child *child);

/* Each returns when the child has stopped, or runs again. */
int lst_child_stop(struct lst_child *child);
int lst_child_continue(struct lst_child *child);

/* A line without its newline. Hearing the end of the stream is -EPIPE. */
int lst_child_say(struct lst_child *child, const char *line);
int lst_child_hear(struct lst_child *child, char line[LST_LINE_MAX], int timeout_ms);
/* Hear a line and compare it: -EBADMSG if it is another one. */
int lst_child_expect(struct lst_child *child, const char *line);

/* The same, in a role. */

int lst_say(const char *line);
int lst_hear(char line[LST_LINE_MAX], int timeout_ms);
int lst_expect(const char *line);

/* A private broker. */

/*
 * Start brokerd on a socket in dir and return when it accepts connections. The program is
 * $LSHM_TEST_BROKERD, else the one of this build.
 */
int lst_broker_start(struct lst_broker *broker, const char *dir);
/* With one more option, as --name=value. */
int lst_broker_start_with(struct lst_broker *broker, const char *dir, char *setting);
int lst_broker_start_within(struct lst_broker *broker, const char *dir, int timeout_ms);

/* SIGTERM; -EPROTO if it does not exit with 0. Teardown sees what files it leaves. */
int lst_broker_stop(struct lst_broker *broker);
/* SIGKILL to the process started; the socket is removed for it. */
int lst_broker_kill(struct lst_broker *broker);

#endif
