/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static void bad_option(const struct tool *tool, int option, char **argv)
{
    const char *name = tool->command->name;

    if (option == ':')
        tool_fail(tool, EX_USAGE, "%s needs a value; see lshm %s --help", argv[optind - 1], name);
    else if (optopt >= ' ' && optopt < 0x80) /* long ones have smaller numbers, or none */
        tool_fail(tool, EX_USAGE, "there is no option -%c; see lshm %s --help", optopt, name);
    else
        tool_fail(tool, EX_USAGE, "%s is not an option, or takes no value; see lshm %s --help",
                  argv[optind - 1], name);
    exit(EX_USAGE);
}

int tool_next_option(struct tool *tool, int argc, char **argv, const struct option *options)
{
    for (;;) {
        int option;

        opterr = 0;
        option = getopt_long(argc, argv, ":h", options, NULL);
        switch (option) {
        case TOOL_OPTION_JSON:
            tool->json = true;
            break;
        case TOOL_OPTION_SOCKET:
            tool->socket = optarg;
            break;
        case TOOL_OPTION_HELP:
        case 'h':
            fputs(tool->command->usage, stdout);
            exit(tool_finish(tool));
        case ':':
        case '?':
            bad_option(tool, option, argv);
            break;
        default:
            return option;
        }
    }
}

void tool_no_arguments(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = { TOOL_OPTIONS };

    while (tool_next_option(tool, argc, argv, options) != -1)
        continue;
    if (optind < argc) {
        tool_fail(tool, EX_USAGE, "'%s' is one argument too many; see lshm %s --help",
                  argv[optind], tool->command->name);
        exit(EX_USAGE);
    }
}

static uint64_t limited(const struct tool *tool, const char *name, const char *value,
                        uint64_t number, uint64_t min, uint64_t max)
{
    if (number < min || number > max) {
        tool_fail(tool, EX_USAGE, "%s %s is out of range: %llu to %llu", name, value,
                  (unsigned long long)min, (unsigned long long)max);
        exit(EX_USAGE);
    }
    return number;
}

/* Digits, and what follows them. */
static uint64_t digits(const struct tool *tool, const char *name, const char *value,
                       const char *example, char **ret_end)
{
    unsigned long long number;

    errno = 0;
    number = strtoull(value, ret_end, 10);
    if (value[0] < '0' || value[0] > '9' || errno != 0) {
        tool_fail(tool, EX_USAGE, "%s '%s' is not a number such as %s", name, value, example);
        exit(EX_USAGE);
    }
    return number;
}

static void bad_unit(const struct tool *tool, const char *name, const char *value,
                     const char *examples)
{
    tool_fail(tool, EX_USAGE, "%s '%s' is not understood: write it like %s", name, value,
              examples);
    exit(EX_USAGE);
}

uint64_t tool_number(const struct tool *tool, const char *name, const char *value, uint64_t min,
                     uint64_t max)
{
    char *end;
    uint64_t number = digits(tool, name, value, "100", &end);

    if (*end != '\0')
        bad_unit(tool, name, value, "100");
    return limited(tool, name, value, number, min, max);
}

uint64_t tool_size(const struct tool *tool, const char *name, const char *value, uint64_t min,
                   uint64_t max)
{
    static const char units[] = "KMGT";
    char *end;
    uint64_t number = digits(tool, name, value, "64K", &end);
    const char *unit = *end != '\0' ? strchr(units, *end) : NULL;

    if (unit != NULL) {
        if (number != 0 && number > UINT64_MAX >> (10 * (unit - units + 1)))
            number = UINT64_MAX;
        else
            number <<= 10 * (unit - units + 1);
        end++;
    }
    if (*end != '\0')
        bad_unit(tool, name, value, "4096, 64K, 8M or 1G");
    return limited(tool, name, value, number, min, max);
}

int64_t tool_duration(const struct tool *tool, const char *name, const char *value)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = { { "", 1000000 }, { "ms", 1000000 }, { "s", 1000000000 }, { "m", 60000000000 } };
    char *end;
    uint64_t number;

    if (strcmp(value, "forever") == 0)
        return -1;
    number = digits(tool, name, value, "500 or 2s", &end);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(end, units[i].name) == 0)
            return (int64_t)(limited(tool, name, value, number, 0, INT64_MAX / units[i].ns) *
                             units[i].ns);
    bad_unit(tool, name, value, "500 (ms), 250ms, 2s, 5m or forever");
    return 0;
}
