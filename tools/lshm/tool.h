/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every command of `lshm` shares.
 *
 * A command parses its options with tool_next_option(), which also takes those that every command
 * has, and returns an exit code of sysexits.h. Errors are one line on stderr: what, why, how to fix
 * it. With --json a command prints one JSON document (sub, hz, bw, delay, latency: one a line) and
 * nothing else on stdout. Text of other processes is printed through text_safe() or the JSON writer
 * only.
 */
#ifndef LSHM_TOOL_H
#define LSHM_TOOL_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <sysexits.h>

#include <lshm/inspect.h>
#include <lshm/lshm.h>

struct command;

struct tool {
    const struct command *command;
    const char *socket; /* --socket, NULL: the usual places */
    bool json;
    bool colour;        /* stdout is a terminal and NO_COLOR is not set */
};

struct command {
    const char *name;
    const char *summary;
    const char *usage; /* the text of --help */
    int (*run)(struct tool *tool, int argc, char **argv);
};

int cmd_bw(struct tool *tool, int argc, char **argv);
int cmd_client(struct tool *tool, int argc, char **argv);
int cmd_delay(struct tool *tool, int argc, char **argv);
int cmd_doctor(struct tool *tool, int argc, char **argv);
int cmd_holders(struct tool *tool, int argc, char **argv);
int cmd_hz(struct tool *tool, int argc, char **argv);
int cmd_latency(struct tool *tool, int argc, char **argv);
int cmd_pub(struct tool *tool, int argc, char **argv);
int cmd_status(struct tool *tool, int argc, char **argv);
int cmd_sub(struct tool *tool, int argc, char **argv);
int cmd_topic(struct tool *tool, int argc, char **argv);
int cmd_version(struct tool *tool, int argc, char **argv);
extern const char usage_bw[], usage_client[], usage_delay[], usage_doctor[], usage_holders[],
    usage_hz[], usage_latency[], usage_pub[], usage_status[], usage_sub[], usage_topic[],
    usage_version[];

/* error.c */
#define TOOL_PRINTF(text, first) __attribute__((format(printf, text, first)))
/* Prints "lshm COMMAND: …" and returns `code`. */
int tool_fail(const struct tool *tool, int code, const char *format, ...) TOOL_PRINTF(3, 4);
/* The same for a result of the library; its own text, if it gave one, else `what` and the error. */
int tool_fail_result(const struct tool *tool, int result, const struct lshm_error *error,
                     const char *what);
/* The exit code for a result of the library. */
int tool_exit_code(int result);
/* Flushes stdout: EX_OK, or EX_IOERR and a message. A closed pipe is no error. */
int tool_finish(const struct tool *tool);

/* options.c */
#define TOOL_OPTION_JSON 0x1001
#define TOOL_OPTION_SOCKET 0x1002
#define TOOL_OPTION_HELP 0x1003
#define TOOL_OPTIONS                                                                               \
    { "json", no_argument, NULL, TOOL_OPTION_JSON },                                               \
    { "socket", required_argument, NULL, TOOL_OPTION_SOCKET },                                     \
    { "help", no_argument, NULL, TOOL_OPTION_HELP }, { NULL, 0, NULL, 0 }
/* The next option that is the command's own, −1 at the end. Exits for --help and bad ones. */
int tool_next_option(struct tool *tool, int argc, char **argv, const struct option *options);
/* Options of a command that has none of its own; exits if arguments are left. */
void tool_no_arguments(struct tool *tool, int argc, char **argv);
/* Values of options; each exits with EX_USAGE and a message if it is not one. */
uint64_t tool_number(const struct tool *tool, const char *name, const char *value, uint64_t min,
                     uint64_t max);
/* 4096, 64K, 8M, 1G */
uint64_t tool_size(const struct tool *tool, const char *name, const char *value, uint64_t min,
                   uint64_t max);
/* 250, 250ms, 2s, 5m or forever (−1): ns */
int64_t tool_duration(const struct tool *tool, const char *name, const char *value);

/* list.c: the inspector's lists in one allocation: the number of entries or a negative error. */
int tool_open_inspector(const struct tool *tool, struct lshm_inspector **ret_inspector);
int list_clients(struct lshm_inspector *inspector, struct lshm_client_info **ret_infos);
int list_topics(struct lshm_inspector *inspector, struct lshm_topic_info **ret_infos);
int list_publishers(struct lshm_inspector *inspector, struct lshm_publisher_info **ret_infos);
int list_segments(struct lshm_inspector *inspector, struct lshm_segment_info **ret_infos);
int list_subscribers(struct lshm_inspector *inspector, struct lshm_subscriber_info **ret_infos);
int list_holders(struct lshm_inspector *inspector, struct lshm_holder_info **ret_infos);
int list_latencies(struct lshm_inspector *inspector, struct lshm_latency_info **ret_infos);
/* What is known of a broker, for commands that join lists. */
struct arena {
    struct lshm_client_info *clients;
    struct lshm_topic_info *topics;
    struct lshm_publisher_info *publishers;
    struct lshm_segment_info *segments;
    struct lshm_subscriber_info *subscribers;
    int client_count, topic_count, publisher_count, segment_count, subscriber_count;
    struct lshm_topic_info topic; /* the one asked for */
};
/*
 * Opens an inspector, finds the topic (NULL: none is asked for), loads all five, closes it: 0, or
 * an exit code after a message.
 */
int arena_load(const struct tool *tool, const char *topic, struct arena *ret_arena);
void arena_free(struct arena *arena);
const struct lshm_client_info *arena_client(const struct arena *arena, uint64_t client);
const struct lshm_topic_info *arena_topic(const struct arena *arena, uint64_t topic);

/* stop.c: SIGINT and SIGTERM ask the command to end; SIGPIPE is ignored. */
void stop_install(void);
bool stop_wanted(void);
/* Waits until fd is readable: 1, 0 when told to stop, −errno. */
int stop_poll_in(int fd);
/* Sleeps until that CLOCK_MONOTONIC time or a signal. */
void stop_sleep_until(uint64_t deadline_ns);
uint64_t now_ns(void);
/* CLOCK_REALTIME */
uint64_t wall_ns(void);

#endif
