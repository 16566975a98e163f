/* SPDX-License-Identifier: Apache-2.0 */
/* lshm-bench: options, the order of the benches, the targets. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define EX_USAGE 64
#define NEAR_WANTED 15u
#define SECONDS_DEFAULT 4.0
#define SECONDS_QUICK 0.6
#define SECONDS_TARGET 60.0
#define SAMPLE_NS 30e6
#define SAMPLE_QUICK_NS 10e6

#ifndef BENCH_BROKERD
#define BENCH_BROKERD "brokerd"
#endif

static void usage(FILE *out)
{
    fputs("usage: tools/bench [--json] [--only BENCH[:FILTER]] [--quick] [--seconds N]\n"
          "                   [--targets | --peers [--with PEER[,PEER]...]] [--brokerd PATH]\n"
          "  --json         one JSON object a line instead of a table\n"
          "  --only BENCH   roundtrip, oneway, wake, attach, fanout, fanin, steady, subscribe,\n"
          "                 idle, crowd or stopped; FILTER is the beginning of\n"
          "                 SIZE/BATCH/MODE/TOUCH, as in oneway:64/32/spin/all\n"
          "  --quick        a few cells, few samples: under 20 s\n"
          "  --seconds N    for each cell\n"
          "  --pool BYTES   of slots in each system, a power of two; default 8 MiB\n"
          "  --targets      compare with the numbers promised: exit 1 if one is missed\n"
          "  --peers        lshm and other systems in turn\n"
          "  --with PEER    only these peers\n"
          "  --brokerd PATH the broker to start\n", out);
}

static bool is_bench(const char *only)
{
    static const char *const names[] = {"roundtrip", "oneway", "steady", "subscribe", "idle",
                                        "wake", "attach", "fanout", "fanin", "crowd",
                                        "stopped"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (bench_selects(only, names[i])) {
            return true;
        }
    }
    return false;
}

static bool is_power_of_two(uint32_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static void parse(int argc, char **argv, struct bench_options *options)
{
    static const struct option known[] = {
        {"json", no_argument, NULL, 'j'},          {"only", required_argument, NULL, 'o'},
        {"quick", no_argument, NULL, 'q'},         {"seconds", required_argument, NULL, 's'},
        {"targets", no_argument, NULL, 't'},       {"brokerd", required_argument, NULL, 'b'},
        {"pool", required_argument, NULL, 'l'},
        {"peers", no_argument, NULL, 'p'},        {"with", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    const char *brokerd = getenv("LSHM_BENCH_BROKERD");
    char *end = NULL, *pool_end = NULL;
    *options = (struct bench_options){.brokerd = brokerd ? brokerd : BENCH_BROKERD};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 'j': options->json = true; break;
        case 'o': options->only = optarg; break;
        case 'q': options->quick = true; break;
        case 't': options->targets = true; break;
        case 'b': options->brokerd = optarg; break;
        case 'l': options->pool_bytes = (uint32_t)strtoul(optarg, &pool_end, 10); break;
        case 's': options->seconds = strtod(optarg, &end); break;
        case 'p': options->peers = true; break;
        case 'w': options->with = optarg; break;
        case 'h': usage(stdout); exit(0);
        default: usage(stderr); exit(EX_USAGE);
        }
    }
    if (optind != argc || (options->only && !is_bench(options->only)) ||
        (pool_end && (*pool_end != '\0' || !is_power_of_two(options->pool_bytes))) ||
        (end && (*end != '\0' || !(options->seconds > 0)))) {
        usage(stderr);
        exit(EX_USAGE);
    }
}

static struct bench_plan plan_of(const struct bench_options *options)
{
    struct bench_plan plan = {.seconds = SECONDS_DEFAULT, .sample_ns = SAMPLE_NS};
    if (options->targets) {
        plan.seconds = SECONDS_TARGET;
        plan.near_wanted = NEAR_WANTED;
    } else if (options->quick) {
        plan.seconds = SECONDS_QUICK;
        plan.sample_ns = SAMPLE_QUICK_NS;
    }
    plan.seconds = options->seconds > 0 ? options->seconds : plan.seconds;
    return plan;
}

/* One line about a cell's target. */
static bool judge_cell(const struct bench_cell *cell, const struct bench_shared *shared)
{
    struct bench_summary summary, limit;
    char name[64];
    bench_summarize(cell, shared, BENCH_LSHM, BENCH_NEAR, &summary);
    bench_summarize(cell, shared, BENCH_LIMIT, BENCH_NEAR, &limit);
    bench_cell_name(cell, name, sizeof(name));
    bool decided = summary.pairs >= NEAR_WANTED;
    double p99_ratio = limit.p99_ns > 0 ? summary.p99_ns / limit.p99_ns : 0;
    bool met = decided && summary.ratio <= cell->ratio_max &&
               (cell->p99_ratio_max <= 0 || p99_ratio <= cell->p99_ratio_max);
    printf("%s (%c) %s: %.2f x the limit, at most %.2f", met ? "met   " : "missed", cell->target,
           name, summary.ratio, cell->ratio_max);
    if (cell->target == 'c') {
        printf(" (%.2f x its GB/s, at least %.2f)", summary.ratio > 0 ? 1 / summary.ratio : 0,
               1 / cell->ratio_max);
    }
    if (cell->p99_ratio_max > 0) {
        printf(" (p99 %.2f x, at most %.2f)", p99_ratio, cell->p99_ratio_max);
    }
    printf("; %u near pairs%s\n", summary.pairs,
           decided ? "" : ", not enough: the CPUs were not near each other for long enough");
    fflush(stdout);
    return met;
}

static bool run_cells(const struct bench_options *options)
{
    struct bench_shared *shared = bench_shared_memory(sizeof(*shared));
    struct bench_plan plan = plan_of(options);
    bool good = true;

    bench_report_head(options);
    for (size_t i = 0; i < bench_cell_count; i++) {
        struct bench_cell one = bench_cells[i], *cell = &one;
        cell->pool_bytes = options->pool_bytes;
        if (!bench_cell_selected(cell, options)) {
            continue;
        }
        if (!bench_run_cell(cell, &plan, shared)) {
            char name[64];
            bench_cell_name(cell, name, sizeof(name));
            fprintf(stderr, "bench: %s failed\n", name);
            good = false;
        } else if (options->targets) {
            good = judge_cell(cell, shared) && good;
        } else {
            bench_report_cell(cell, shared, options);
        }
    }
    return good;
}

static bool run_other(const struct bench_options *options, const char *name, char target,
                      bool (*run)(const struct bench_options *options))
{
    if (!bench_selects(options->only, name)) {
        return true;
    }
    bool met = run(options);
    if (options->targets) {
        printf("%s (%c) %s\n", met ? "met   " : "missed", target, name);
        fflush(stdout);
    }
    return met || !options->targets;
}

int main(int argc, char **argv)
{
    struct bench_options options;
    parse(argc, argv, &options);
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
        bench_die("two CPUs are needed");
    }
    bench_broker_start(options.brokerd);
    if (options.peers) {
        bool measured = bench_peers(&options);
        bench_broker_stop();
        return measured ? 0 : 1;
    }
    bool good = run_cells(&options);
    good = (options.targets ? bench_fan_targets(&options) : bench_fans(&options)) && good;
    good = run_other(&options, "steady", 'd', bench_steady) && good;
    good = run_other(&options, "subscribe", 'e', bench_subscribe) && good;
    good = run_other(&options, "idle", 'e', bench_idle) && good;
    good = run_other(&options, "crowd", 'f', bench_crowd) && good;
    good = run_other(&options, "stopped", 'g', bench_stopped) && good;
    bench_broker_stop();
    return good ? 0 : 1;
}
