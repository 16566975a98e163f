/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"
#include "table.h"
#include "text.h"
#include "tool.h"

const char usage_client[] =
    "usage: lshm client ls [--json] [--socket PATH]\n"
    "\n"
    "The processes that are attached to the broker: their ports, the memory they are charged\n"
    "for, and whether they wait right now. An 'inspector' has no ports, it only looks.\n"
    "\n"
    "  lshm client ls\n"
    "  lshm client ls --json | jq '.clients[] | select(.bytes > 1e9)'\n";

static const char *state_name(const struct lshm_client_info *client)
{
    switch (client->state) {
    case LSHM_CLIENT_ALIVE:
        if (client->asleep == LSHM_UNKNOWN_32)
            return "alive";
        return client->asleep ? "waiting" : "running";
    case LSHM_CLIENT_HUNG_UP:
        return "hung up";
    case LSHM_CLIENT_DEAD:
        return "dead";
    case LSHM_CLIENT_INSPECTOR:
        return "inspector";
    default:
        return "?";
    }
}

static void print_json(const struct lshm_client_info *clients, int count)
{
    struct json json;

    json_init(&json, stdout);
    json_object(&json, NULL);
    json_array(&json, "clients");
    for (int i = 0; i < count; i++) {
        const struct lshm_client_info *c = &clients[i];

        json_object(&json, NULL);
        json_number(&json, "client", c->client);
        json_string(&json, "name", c->name);
        json_number(&json, "pid", c->pid);
        json_number(&json, "uid", c->uid);
        json_number(&json, "since_ns", c->since_ns);
        json_string(&json, "state", state_name(c));
        json_number(&json, "publishers", c->publishers);
        json_number(&json, "subscribers", c->subscribers);
        json_number(&json, "bytes", c->bytes);
        json_end(&json);
    }
    json_end(&json);
    json_end(&json);
}

static void print_table(const struct tool *tool, const struct lshm_client_info *clients, int count)
{
    static const char *const headers[] = { ">CLIENT", ">PID",  ">UID",   "NAME",    "STATE",
                                           ">PUBS",   ">SUBS", ">MEMORY", ">ATTACHED" };
    char figure[TEXT_FIGURE_BYTES];
    struct timespec now;
    struct table table;
    uint64_t now_real;

    clock_gettime(CLOCK_REALTIME, &now);
    now_real = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    table_init(&table, headers, sizeof headers / sizeof headers[0]);
    for (int i = 0; i < count; i++) {
        const struct lshm_client_info *c = &clients[i];

        table_cell(&table, "%llu", (unsigned long long)c->client);
        table_cell(&table, "%llu", (unsigned long long)c->pid);
        table_cell(&table, "%llu", (unsigned long long)c->uid);
        table_cell(&table, "%s", c->name);
        table_cell(&table, "%s", state_name(c));
        table_cell(&table, "%s", text_count(figure, c->publishers));
        table_cell(&table, "%s", text_count(figure, c->subscribers));
        table_cell(&table, "%s", text_bytes(figure, c->bytes));
        table_cell(&table, "%s",
                   text_duration(figure, now_real > c->since_ns ? now_real - c->since_ns : 0));
    }
    table_end(&table, tool->colour);
}

int cmd_client(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = { TOOL_OPTIONS };
    struct lshm_client_info *clients;
    struct lshm_inspector *inspector;
    int n, r;

    while (tool_next_option(tool, argc, argv, options) != -1)
        continue;
    if (argc - optind != 1 || strcmp(argv[optind], "ls") != 0)
        return tool_fail(tool, EX_USAGE, "say 'lshm client ls'; see lshm client --help");
    r = tool_open_inspector(tool, &inspector);
    if (r != EX_OK)
        return r;
    n = list_clients(inspector, &clients);
    lshm_inspector_close(inspector);
    if (n < 0)
        return tool_fail_result(tool, n, NULL, "cannot list the clients");
    if (tool->json)
        print_json(clients, n);
    else
        print_table(tool, clients, n);
    free(clients);
    return tool_finish(tool);
}
