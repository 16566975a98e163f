/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <bsd/libutil.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <ini.h>

#include "ctl/error.h"
#include "log.h"

#define NS_PER_S UINT64_C(1000000000)
#define DRAIN_S_DEFAULT 2
#define DRAIN_S_MAX 86400

enum setting {
    SETTING_SOCKET,
    SETTING_DRAIN,
    SETTING_CLIENT_BYTES,
    SETTING_TOPIC_BYTES,
    SETTING_RETAIN_BYTES,
    SETTING_CLIENTS_MAX,
    SETTING_COUNT
};
static const char *const names[] = {
    [SETTING_SOCKET] = "socket",
    [SETTING_DRAIN] = "drain",
    [SETTING_CLIENT_BYTES] = "client-bytes",
    [SETTING_TOPIC_BYTES] = "topic-bytes",
    [SETTING_RETAIN_BYTES] = "retain-bytes",
    [SETTING_CLIENTS_MAX] = "clients-max",
};

/* Where a value was given: how errors begin, and the exit code. */
struct origin {
    char text[PATH_MAX + 32];
    int exit_code;
};

void settings_init(struct options *ret_options)
{
    *ret_options = (struct options){.drain_ns = DRAIN_S_DEFAULT * NS_PER_S,
                                    .clients_max = REGISTRY_CLIENTS_MAX};
}

/* SETTING_COUNT: there is none. */
static enum setting find(const char *name)
{
    int setting = 0;

    while (setting < SETTING_COUNT && strcmp(names[setting], name) != 0)
        setting++;
    return (enum setting)setting;
}

static uint64_t parse_number(const struct origin *origin, const char *name, const char *text,
                             long long min, long long max)
{
    const char *error;
    long long value = strtonum(text, min, max, &error);

    if (error)
        log_die(origin->exit_code, "%s%s %s is %s; give a number from %lld to %lld", origin->text,
                name, text, error, min, max);
    return (uint64_t)value;
}

static uint64_t parse_size(const struct origin *origin, const char *name, const char *text)
{
    uint64_t bytes;

    if (expand_number(text, &bytes) < 0 || bytes == 0)
        log_die(origin->exit_code, "%s%s %s is not a size; give one like 512M or 4G", origin->text,
                name, text);
    return bytes;
}

static void parse_path(const struct origin *origin, const char *name, const char *text,
                       char *ret_path, size_t bytes)
{
    if (!text[0])
        log_die(origin->exit_code, "%s%s is empty; give a path", origin->text, name);
    if (strlcpy(ret_path, text, bytes) >= bytes)
        log_die(origin->exit_code, "%s%s is longer than %zu bytes; choose a shorter path",
                origin->text, name, bytes - 1);
}

static void set(struct options *options, const struct origin *origin, enum setting setting,
                const char *value)
{
    const char *name = names[setting];

    switch (setting) {
    case SETTING_SOCKET:
        parse_path(origin, name, value, options->socket, sizeof(options->socket));
        break;
    case SETTING_DRAIN:
        options->drain_ns = parse_number(origin, name, value, 0, DRAIN_S_MAX) * NS_PER_S;
        break;
    case SETTING_CLIENT_BYTES:
        options->client_bytes_max = parse_size(origin, name, value);
        break;
    case SETTING_TOPIC_BYTES:
        options->topic_bytes_max = parse_size(origin, name, value);
        break;
    case SETTING_RETAIN_BYTES:
        options->retain_bytes_max = parse_size(origin, name, value);
        break;
    default:
        options->clients_max = parse_number(origin, name, value, 1, REGISTRY_CLIENTS_MAX);
        break;
    }
}

void settings_set(struct options *options, const char *name, const char *value)
{
    const struct origin origin = {.text = "--", .exit_code = EX_USAGE};

    set(options, &origin, find(name), value);
}

struct reading {
    struct options *options;
    const char *path;
    FILE *file;
    int line;
    int was_given[SETTING_COUNT];
};

static void begin_with_line(const struct reading *reading, struct origin *ret_origin)
{
    ret_origin->exit_code = EX_CONFIG;
    snprintf(ret_origin->text, sizeof(ret_origin->text), "%s:%d: ", reading->path, reading->line);
}

/* fgets() for the parser, which does not tell its handler the line. */
static char *read_line(char *text, int text_bytes, void *data)
{
    struct reading *reading = data;

    if (!fgets(text, text_bytes, reading->file))
        return NULL;
    reading->line++;
    if (!strchr(text, '\n') && !feof(reading->file))
        log_die(EX_CONFIG, "%s:%d: the line is longer than %d bytes; shorten it", reading->path,
                reading->line, text_bytes - 2);
    return text;
}

static int on_setting(void *data, const char *section, const char *name, const char *value)
{
    struct reading *reading = data;
    enum setting setting = find(name);
    struct origin origin;

    begin_with_line(reading, &origin);
    if (section[0])
        log_die(EX_CONFIG, "%sthere are no sections such as [%s]; remove it", origin.text, section);
    if (setting == SETTING_COUNT)
        log_die(EX_CONFIG, "%sthere is no setting '%s'; there are socket, drain, client-bytes, "
                "topic-bytes, retain-bytes and clients-max (brokerd.conf(5))", origin.text, name);
    if (reading->was_given[setting]++)
        log_die(EX_CONFIG, "%s%s is given twice; remove one", origin.text, name);
    set(reading->options, &origin, setting, value);
    return 1;
}

void settings_read(struct options *options, const char *path)
{
    struct reading reading = {.options = options, .path = path ? path : SETTINGS_FILE};
    int line;

    reading.file = fopen(reading.path, "re");
    if (!reading.file && !path && errno == ENOENT)
        return;
    if (!reading.file)
        log_die(EX_NOINPUT, "can't read %s: %s; name another with --config", reading.path,
                lsi_error_text(errno));
    line = ini_parse_stream(read_line, &reading, on_setting, &reading);
    if (ferror(reading.file))
        log_die(EX_NOINPUT, "can't read %s: %s; name another with --config", reading.path,
                lsi_error_text(errno));
    if (line != 0)
        log_die(EX_CONFIG, "%s:%d: not 'name = value'; write it so, or begin the line with '#'",
                reading.path, line);
    fclose(reading.file);
    if (secure_getenv("LSHM_SOCKET"))
        options->socket[0] = '\0';
}

void settings_print(const struct options *options)
{
    if (options->socket[0])
        printf("%s = %s\n", names[SETTING_SOCKET], options->socket);
    printf("%s = %llu\n", names[SETTING_DRAIN], (unsigned long long)(options->drain_ns / NS_PER_S));
    if (options->client_bytes_max)
        printf("%s = %llu\n", names[SETTING_CLIENT_BYTES],
               (unsigned long long)options->client_bytes_max);
    if (options->topic_bytes_max)
        printf("%s = %llu\n", names[SETTING_TOPIC_BYTES],
               (unsigned long long)options->topic_bytes_max);
    if (options->retain_bytes_max)
        printf("%s = %llu\n", names[SETTING_RETAIN_BYTES],
               (unsigned long long)options->retain_bytes_max);
    printf("%s = %llu\n", names[SETTING_CLIENTS_MAX], (unsigned long long)options->clients_max);
}
