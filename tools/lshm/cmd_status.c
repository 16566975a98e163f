/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "json.h"
#include "text.h"
#include "tool.h"

const char usage_status[] =
    "usage: lshm status [--json] [--socket PATH]\n"
    "\n"
    "Figures of the broker, its limits in force, and the limits of the options of ports.\n"
    "\n"
    "  lshm status\n"
    "  lshm status --json | jq .clients\n";

const char usage_version[] =
    "usage: lshm version [--json]\n"
    "\n"
    "Versions of this tool, the library it runs with, and the ABI of both.\n"
    "\n"
    "  lshm version\n"
    "  lshm version --json | jq -r .library\n";

/* Options of ports, as the API calls them, and where their limits are. */
static const struct {
    const char *name;
    size_t offset;
} options[] = {
    { "payload_bytes", offsetof(struct lshm_broker_status, payload_bytes) },
    { "slot_count", offsetof(struct lshm_broker_status, slot_count) },
    { "ring_entries", offsetof(struct lshm_broker_status, ring_entries) },
    { "entry_bytes", offsetof(struct lshm_broker_status, entry_bytes) },
    { "loans_max", offsetof(struct lshm_broker_status, loans) },
    { "history", offsetof(struct lshm_broker_status, history) },
    { "retain", offsetof(struct lshm_broker_status, retain) },
    { "window", offsetof(struct lshm_broker_status, window) },
    { "holds", offsetof(struct lshm_broker_status, holds) },
};

static const struct lshm_limit *limit_of(const struct lshm_broker_status *status, size_t option)
{
    return (const void *)((const char *)status + options[option].offset);
}

static void json_limit(struct json *json, const char *name, const struct lshm_limit *limit)
{
    json_object(json, name);
    json_number(json, "min", limit->min);
    if (limit->usual != 0)
        json_number(json, "default", limit->usual);
    else
        json_null(json, "default");
    json_number(json, "max", limit->max);
    json_end(json);
}

static void print_json(const struct lshm_broker_status *s)
{
    struct json json;

    json_init(&json, stdout);
    json_object(&json, NULL);
    json_string(&json, "socket", s->socket);
    json_string(&json, "version", s->version);
    json_number(&json, "abi_major", s->abi_major);
    json_number(&json, "abi_minor", s->abi_minor);
    json_number(&json, "keeper_pid", s->keeper_pid);
    json_number(&json, "worker_pid", s->worker_pid);
    json_number(&json, "worker_generation", s->worker_generation);
    json_number(&json, "start_ns", s->start_ns);
    json_number(&json, "clients", s->clients);
    json_number(&json, "topics", s->topics);
    json_number(&json, "publishers", s->publishers);
    json_number(&json, "subscribers", s->subscribers);
    json_number(&json, "regions", s->regions);
    json_number(&json, "region_bytes", s->region_bytes);
    json_number(&json, "retained_count", s->retained);
    json_number(&json, "retained_bytes", s->retained_bytes);
    json_object(&json, "limits");
    json_number(&json, "clients_max", s->clients_max);
    json_number(&json, "topics_max", s->topics_max);
    json_number(&json, "publishers_max", s->publishers_max);
    json_number(&json, "subscribers_max", s->subscribers_max);
    json_number(&json, "client_bytes_max", s->client_bytes_max);
    json_figure(&json, "topic_bytes_max", s->topic_bytes_max ? s->topic_bytes_max : LSHM_UNKNOWN);
    json_number(&json, "retain_bytes_max", s->retain_bytes_max);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        json_limit(&json, options[i].name, limit_of(s, i));
    json_end(&json);
    json_end(&json);
}

static void print_text(const struct lshm_broker_status *s)
{
    char path[TEXT_SAFE_BYTES(sizeof s->socket)], version[TEXT_SAFE_BYTES(sizeof s->version)];
    char a[TEXT_FIGURE_BYTES], b[TEXT_FIGURE_BYTES];
    const uint64_t now_real = wall_ns();

    printf("broker       %s, version %s, ABI %u.%u\n", text_safe(path, sizeof path, s->socket),
           text_safe(version, sizeof version, s->version), s->abi_major, s->abi_minor);
    printf("running      for %s, keeper %llu, worker %llu (number %llu)\n",
           text_duration(a, now_real > s->start_ns ? now_real - s->start_ns : 0),
           (unsigned long long)s->keeper_pid, (unsigned long long)s->worker_pid,
           (unsigned long long)s->worker_generation);
    printf("clients      %s of %s\n", text_count(a, s->clients), text_count(b, s->clients_max));
    printf("topics       %s of %s\n", text_count(a, s->topics), text_count(b, s->topics_max));
    printf("publishers   %s of %s\n", text_count(a, s->publishers),
           text_count(b, s->publishers_max));
    printf("subscribers  %s of %s\n", text_count(a, s->subscribers),
           text_count(b, s->subscribers_max));
    printf("memory       %s in %s regions; at most %s for one client (brokerd --client-bytes)\n",
           text_bytes(a, s->region_bytes), text_count(b, s->regions),
           text_bytes((char[TEXT_FIGURE_BYTES]){ 0 }, s->client_bytes_max));
    if (s->topic_bytes_max != 0)
        printf("             at most %s for one topic (brokerd --topic-bytes)\n",
               text_bytes(a, s->topic_bytes_max));
    if (s->retained > 0)
        printf("retained     %s in what %s publishers left that ended (lshm topic ls); at most %s "
               "(brokerd --retain-bytes)\n",
               text_bytes(a, s->retained_bytes), text_count(b, s->retained),
               text_bytes((char[TEXT_FIGURE_BYTES]){ 0 }, s->retain_bytes_max));
    puts("\noption of a port, least, most, default");
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        const struct lshm_limit *limit = limit_of(s, i);

        printf("  %-14s %4llu %12llu  ", options[i].name, (unsigned long long)limit->min,
               (unsigned long long)limit->max);
        if (limit->usual != 0)
            printf("%llu\n", (unsigned long long)limit->usual);
        else
            puts("-");
    }
}

int cmd_status(struct tool *tool, int argc, char **argv)
{
    struct lshm_broker_status status = { .size = sizeof status };
    struct lshm_inspector *inspector;
    int r;

    tool_no_arguments(tool, argc, argv);
    r = tool_open_inspector(tool, &inspector);
    if (r != EX_OK)
        return r;
    r = lshm_inspector_get_status(inspector, &status);
    lshm_inspector_close(inspector);
    if (r < 0)
        return tool_fail_result(tool, r, NULL, "cannot ask the broker for its status");
    if (tool->json)
        print_json(&status);
    else
        print_text(&status);
    return tool_finish(tool);
}

int cmd_version(struct tool *tool, int argc, char **argv)
{
    struct json json;

    tool_no_arguments(tool, argc, argv);
    if (!tool->json) {
        printf("lshm %s, liblshm %s, ABI %d.%d\n", LSHM_VERSION, lshm_version(), LSHM_ABI_MAJOR,
               LSHM_ABI_MINOR);
        return tool_finish(tool);
    }
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_string(&json, "tool", LSHM_VERSION);
    json_string(&json, "library", lshm_version());
    json_number(&json, "abi_major", LSHM_ABI_MAJOR);
    json_number(&json, "abi_minor", LSHM_ABI_MINOR);
    json_end(&json);
    return tool_finish(tool);
}
