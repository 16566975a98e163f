/* SPDX-License-Identifier: Apache-2.0 */
/*
 * brokerd: owns all memory, admits processes, buries the dead; never on the path of a message.
 *
 *   main -> settings -> start (paths, lock, socket, memory) -> keeper -> worker, worker, worker ...
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "keeper.h"
#include "log.h"
#include "settings.h"
#include "start.h"

static const char help[] =
    "usage: brokerd [OPTION]...\n"
    "Own the shared memory of lshm's clients on this machine.\n"
    "\n"
    "  --socket PATH        control socket; else LSHM_SOCKET, $XDG_RUNTIME_DIR/lshm/broker.sock,\n"
    "                       /run/lshm/broker.sock, or lshm-UID/broker.sock in $TMPDIR or /tmp\n"
    "  --foreground         stay in the foreground and log to stderr\n"
    "  --drain SECONDS      how long clients get to leave after SIGTERM (2)\n"
    "  --client-bytes SIZE  memory one client may own, like 512M or 4G (half of what is free)\n"
    "  --topic-bytes SIZE   memory the publishers of one topic may own together (no limit)\n"
    "  --retain-bytes SIZE  memory for what publishers leave when they end (as for one client)\n"
    "  --clients-max COUNT  clients that may attach (1024)\n"
    "  --config FILE        settings, such as 'drain = 5'; else " SETTINGS_FILE "\n"
    "  --check-config       print the settings that would be in force, and exit\n"
    "  --help, --version\n"
    "\n"
    "  brokerd && lshm status\n"
    "  brokerd --foreground --client-bytes 2G\n"
    "  brokerd --config ./brokerd.conf --check-config\n";

enum option_code {
    OPTION_SETTING = 1, /* its name says which */
    OPTION_FOREGROUND,
    OPTION_CONFIG,
    OPTION_CHECK_CONFIG,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct option names[] = {
    {"socket", required_argument, NULL, OPTION_SETTING},
    {"foreground", no_argument, NULL, OPTION_FOREGROUND},
    {"drain", required_argument, NULL, OPTION_SETTING},
    {"client-bytes", required_argument, NULL, OPTION_SETTING},
    {"topic-bytes", required_argument, NULL, OPTION_SETTING},
    {"retain-bytes", required_argument, NULL, OPTION_SETTING},
    {"clients-max", required_argument, NULL, OPTION_SETTING},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"check-config", no_argument, NULL, OPTION_CHECK_CONFIG},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

struct command_line {
    const char *config;
    int is_foreground;
    int is_check;
};

/* All but the settings, which come after those of the file. */
static void parse(int argc, char **argv, struct command_line *ret_line)
{
    int code;

    while ((code = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (code) {
        case OPTION_SETTING:
            break;
        case OPTION_FOREGROUND:
            ret_line->is_foreground = 1;
            break;
        case OPTION_CONFIG:
            ret_line->config = optarg;
            break;
        case OPTION_CHECK_CONFIG:
            ret_line->is_check = 1;
            break;
        case OPTION_HELP:
            fputs(help, stdout);
            exit(EX_OK);
        case OPTION_VERSION:
            puts("brokerd " LSHM_VERSION);
            exit(EX_OK);
        default:
            log_die(EX_USAGE, "see brokerd --help");
        }
    }
    if (optind < argc)
        log_die(EX_USAGE, "%s is not an option; see brokerd --help", argv[optind]);
}

static void parse_settings(int argc, char **argv, struct options *options)
{
    int code, index;

    optind = 0; /* glibc: start again */
    while ((code = getopt_long(argc, argv, "", names, &index)) != -1) {
        if (code == OPTION_SETTING)
            settings_set(options, names[index].name, optarg);
    }
}

int main(int argc, char **argv)
{
    struct command_line line = {0};
    struct options options;
    struct keeper keeper = {0};

    parse(argc, argv, &line);
    settings_init(&options);
    settings_read(&options, line.config);
    parse_settings(argc, argv, &options);
    options.is_foreground = line.is_foreground;
    if (line.is_check) {
        settings_print(&options);
        return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
    }
    start_keeper(&options, &keeper);
    return keeper_run(&keeper);
}
