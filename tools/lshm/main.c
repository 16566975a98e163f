/* SPDX-License-Identifier: Apache-2.0 */
/* lshm: look at a broker, publish and subscribe from a shell, find out what is wrong. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

static const struct command commands[] = {
    { "status", "the broker, its figures and limits", usage_status, cmd_status },
    { "topic", "topics; one topic's publishers and subscribers", usage_topic, cmd_topic },
    { "client", "attached processes", usage_client, cmd_client },
    { "holders", "who keeps which messages, since when", usage_holders, cmd_holders },
    { "pub", "publish lines or chunks of a file or stream", usage_pub, cmd_pub },
    { "sub", "print what is published", usage_sub, cmd_sub },
    { "hz", "how often messages are published", usage_hz, cmd_hz },
    { "bw", "how many bytes are published, and in what sizes", usage_bw, cmd_bw },
    { "delay", "how long messages take from publication to take", usage_delay, cmd_delay },
    { "latency", "how long they take to each subscriber, as it counts them itself", usage_latency,
      cmd_latency },
    { "doctor", "check this machine, this process's limits and the broker", usage_doctor,
      cmd_doctor },
    { "version", "versions of the tool, the library and the ABI", usage_version, cmd_version },
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_usage(FILE *file)
{
    fputs("usage: lshm [--json] [--socket PATH] COMMAND [OPTION]... [ARGUMENT]...\n\n", file);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(file, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fputs("  help      this text; help COMMAND is COMMAND --help\n\n"
          "  --json         print JSON: one document; sub, hz, bw, delay, latency: one a line\n"
          "  --socket PATH  the broker's socket; else LSHM_SOCKET and the usual places\n\n"
          "Try: lshm sub hello &  echo hello, world | lshm pub hello\n", file);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown_command(const struct tool *tool, const char *name)
{
    return tool_fail(tool, EX_USAGE, "there is no command '%s'; see lshm help", name);
}

static bool is_help(const char *name)
{
    return name == NULL || strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 ||
           strcmp(name, "-h") == 0;
}

/* What is asked for; NULL or help itself: all commands. */
static int help(const struct tool *tool, const char *name)
{
    const struct command *command = is_help(name) ? NULL : find_command(name);

    if (!is_help(name) && command == NULL)
        return unknown_command(tool, name);
    if (command == NULL)
        print_usage(stdout);
    else
        fputs(command->usage, stdout);
    return tool_finish(tool);
}

/* Options before the command; returns the index of the command. */
static int global_options(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {
        { "version", no_argument, NULL, 'V' },
        TOOL_OPTIONS,
    };
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:hV", options, NULL)) != -1) {
        switch (option) {
        case TOOL_OPTION_JSON:
            tool->json = true;
            break;
        case TOOL_OPTION_SOCKET:
            tool->socket = optarg;
            break;
        case TOOL_OPTION_HELP:
        case 'h':
            exit(help(tool, NULL));
        case 'V':
            tool->command = find_command("version");
            optind = argc; /* nothing more is looked at */
            exit(cmd_version(tool, argc, argv));
        default:
            exit(tool_fail(tool, EX_USAGE, "%s: no such option, or its value is missing; see "
                           "lshm help", argv[optind - 1]));
        }
    }
    return optind;
}

static bool wants_colour(void)
{
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) && (no_colour == NULL || no_colour[0] == '\0') &&
           (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

int main(int argc, char **argv)
{
    struct tool tool = { .colour = wants_colour() };
    int first;

    setlocale(LC_CTYPE, ""); /* which characters can be shown as they are */
    first = global_options(&tool, argc, argv);
    if (first >= argc) {
        print_usage(stderr);
        return EX_USAGE;
    }
    argc -= first;
    argv += first;
    if (strcmp(argv[0], "help") == 0)
        return help(&tool, argc > 1 ? argv[1] : NULL);
    tool.command = find_command(argv[0]);
    if (tool.command == NULL)
        return unknown_command(&tool, argv[0]);
    optind = 0; /* glibc: start again */
    return tool.command->run(&tool, argc, argv);
}
