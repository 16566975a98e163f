/* SPDX-License-Identifier: Apache-2.0 */
/*
 * brokerd: owns all memory, admits processes, buries the dead; never on the path of a message.
 *
 *   main -> start (paths, lock, socket, memory) -> keeper -> worker, worker, worker ...
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include <bsd/libutil.h>
#include <bsd/stdlib.h>
#include <bsd/unistd.h>

#include "keeper.h"
#include "log.h"
#include "start.h"

#define NS_PER_S UINT64_C(1000000000)
#define DRAIN_S_DEFAULT 2
#define DRAIN_S_MAX 86400

static const char help[] =
    "usage: brokerd [OPTION]...\n"
    "Own the shared memory of lshm's clients on this machine.\n"
    "\n"
    "  --socket PATH        control socket; else LSHM_SOCKET, $XDG_RUNTIME_DIR/lshm/broker.sock,\n"
    "                       /run/lshm/broker.sock, or lshm-UID/broker.sock in $TMPDIR or /tmp\n"
    "  --foreground         stay in the foreground and log to stderr\n"
    "  --drain SECONDS      how long clients get to leave after SIGTERM (2)\n"
    "  --client-bytes SIZE  memory one client may own, like 512M or 4G (half of what is free)\n"
    "  --clients-max COUNT  clients that may attach (1024)\n"
    "  --help, --version\n";

enum option_code {
    OPTION_SOCKET = 1,
    OPTION_FOREGROUND,
    OPTION_DRAIN,
    OPTION_CLIENT_BYTES,
    OPTION_CLIENTS_MAX,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct option names[] = {
    {"socket", required_argument, NULL, OPTION_SOCKET},
    {"foreground", no_argument, NULL, OPTION_FOREGROUND},
    {"drain", required_argument, NULL, OPTION_DRAIN},
    {"client-bytes", required_argument, NULL, OPTION_CLIENT_BYTES},
    {"clients-max", required_argument, NULL, OPTION_CLIENTS_MAX},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static uint64_t parse_number(const char *name, const char *text, long long max)
{
    const char *error;
    long long value = strtonum(text, 0, max, &error);

    if (error)
        log_die(EX_USAGE, "--%s %s is %s; give a number from 0 to %lld", name, text, error, max);
    return (uint64_t)value;
}

static uint64_t parse_count(const char *name, const char *text, long long max)
{
    uint64_t value = parse_number(name, text, max);

    if (value == 0)
        log_die(EX_USAGE, "--%s 0 would admit nobody; give a number from 1 to %lld", name, max);
    return value;
}

static uint64_t parse_size(const char *text)
{
    uint64_t bytes;

    if (expand_number(text, &bytes) < 0 || bytes == 0)
        log_die(EX_USAGE, "--client-bytes %s is not a size; give one like 512M or 4G", text);
    return bytes;
}

static void parse(int argc, char **argv, struct options *options)
{
    int code;

    while ((code = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (code) {
        case OPTION_SOCKET:
            options->socket = optarg;
            break;
        case OPTION_FOREGROUND:
            options->is_foreground = 1;
            break;
        case OPTION_DRAIN:
            options->drain_ns = parse_number("drain", optarg, DRAIN_S_MAX) * NS_PER_S;
            break;
        case OPTION_CLIENT_BYTES:
            options->client_bytes_max = parse_size(optarg);
            break;
        case OPTION_CLIENTS_MAX:
            options->clients_max = parse_count("clients-max", optarg, REGISTRY_CLIENTS_MAX);
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

int main(int argc, char **argv)
{
    struct options options = {.drain_ns = DRAIN_S_DEFAULT * NS_PER_S,
                              .clients_max = REGISTRY_CLIENTS_MAX};
    struct keeper keeper = {0};

    parse(argc, argv, &options);
    start_keeper(&options, &keeper);
    return keeper_run(&keeper);
}
