/* SPDX-License-Identifier: Apache-2.0 */
/* Summaries of a cell's samples, as a table or as one JSON object a line. */
#include "bench.h"

static const char *const system_names[BENCH_SYSTEMS] = {"limit", "lshm"};

/* The median of one field over the samples of a regime. */
static double median_of(const struct bench_shared *shared, enum bench_system_number system,
                        enum bench_regime regime, size_t field)
{
    double values[BENCH_SAMPLES_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < shared->sample_count; i++) {
        const struct bench_sample *sample = &shared->samples[system][i];
        if (sample->regime == regime) {
            values[count++] = *(const double *)(const void *)((const char *)sample + field);
        }
    }
    return bench_median(values, count);
}

static double median_ratio(const struct bench_shared *shared, enum bench_system_number system,
                           enum bench_regime regime, uint32_t *ret_pairs)
{
    double values[BENCH_SAMPLES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < shared->sample_count; i++) {
        const struct bench_sample *sample = &shared->samples[system][i];
        const struct bench_sample *limit = &shared->samples[BENCH_LIMIT][i];
        if (sample->regime == regime && limit->regime == regime) {
            values[count++] = sample->p50_ns / limit->p50_ns;
        }
    }
    *ret_pairs = count;
    return bench_median(values, count);
}

void bench_summarize(const struct bench_cell *cell, const struct bench_shared *shared,
                     enum bench_system_number system, enum bench_regime regime,
                     struct bench_summary *ret_summary)
{
    struct bench_summary summary = {0};
    for (uint32_t i = 0; i < shared->sample_count; i++) {
        summary.samples += shared->samples[system][i].regime == regime;
    }
#define MEDIAN(field)                                                                              \
    summary.field = median_of(shared, system, regime, offsetof(struct bench_sample, field))
    MEDIAN(p50_ns);
    MEDIAN(p99_ns);
    MEDIAN(p999_ns);
    MEDIAN(max_ns);
    MEDIAN(messages_per_s);
    MEDIAN(cpu_ns_per_message);
#undef MEDIAN
    summary.gb_per_s = summary.messages_per_s * cell->size / 1e9;
    summary.ratio = median_ratio(shared, system, regime, &summary.pairs);
    *ret_summary = summary;
}

static void print_json(const struct bench_cell *cell, const struct bench_shared *shared,
                       enum bench_system_number system, enum bench_regime regime)
{
    struct bench_summary summary;
    char ratio[32] = "null";
    bench_summarize(cell, shared, system, regime, &summary);
    if (summary.samples == 0) {
        return;
    }
    if (summary.pairs) {
        snprintf(ratio, sizeof(ratio), "%.3f", summary.ratio);
    }
    printf("{\"bench\": \"%s\", \"system\": \"%s\", \"size\": %u, \"batch\": %u, "
           "\"mode\": \"%s\", \"touch\": \"%s\", \"subscribers\": 1, \"publishers\": 1, "
           "\"regime\": \"%s\", \"samples\": %u, \"p50_ns\": %.2f, \"p99_ns\": %.2f, "
           "\"p999_ns\": %.2f, \"max_ns\": %.2f, \"msgs_per_s\": %.0f, \"gb_per_s\": %.3f, "
           "\"cpu_ns_per_msg\": %.2f, \"ratio_to_limit\": %s, \"pairs\": %u}\n",
           bench_kind_name(cell->kind), system_names[system], cell->size, cell->batch,
           bench_mode_name(cell->mode), bench_touch_name(cell->touch), bench_regime_name(regime),
           summary.samples, summary.p50_ns, summary.p99_ns, summary.p999_ns, summary.max_ns,
           summary.messages_per_s, summary.gb_per_s, summary.cpu_ns_per_message, ratio,
           summary.pairs);
}

/* Four digits and a unit. */
static const char *scaled(double value, const char *const *units, double step, char *text,
                          size_t bytes)
{
    while (value >= step && units[1]) {
        value /= step;
        units++;
    }
    snprintf(text, bytes, "%.*f %s", value < 10 ? 2 : value < 100 ? 1 : 0, value, *units);
    return text;
}

static const char *time_text(double ns, char *text, size_t bytes)
{
    static const char *const units[] = {"ns", "us", "ms", "s", NULL};
    return scaled(ns, units, 1000, text, bytes);
}

static void print_row(const struct bench_cell *cell, const struct bench_shared *shared,
                      enum bench_regime regime)
{
    static const char *const byte_units[] = {"B", "KiB", "MiB", NULL};
    static const char *const rate_units[] = {"", "k", "M", "G", NULL};
    struct bench_summary limit, lshm;
    char size[16], base[16], times[4][16], rate[16], cpu[16], ratio[16] = "-";

    bench_summarize(cell, shared, BENCH_LIMIT, regime, &limit);
    bench_summarize(cell, shared, BENCH_LSHM, regime, &lshm);
    if (lshm.samples == 0) {
        return;
    }
    if (lshm.pairs) {
        snprintf(ratio, sizeof(ratio), "%.2f", lshm.ratio);
    }
    snprintf(size, sizeof(size), "%u %s",
             cell->size >> (cell->size >= 1u << 20 ? 20 : cell->size >= 1u << 10 ? 10 : 0),
             byte_units[cell->size >= 1u << 20 ? 2 : cell->size >= 1u << 10 ? 1 : 0]);
    printf("%6s  %-9s %7s %5u  %-5s %-5s %-5s %5u  %9s  %9s %9s %9s %9s  %8s/s %7.2f %9s\n",
           ratio, bench_kind_name(cell->kind), size, cell->batch, bench_mode_name(cell->mode),
           bench_touch_name(cell->touch), bench_regime_name(regime), lshm.samples,
           time_text(limit.p50_ns, base, sizeof(base)),
           time_text(lshm.p50_ns, times[0], sizeof(times[0])),
           time_text(lshm.p99_ns, times[1], sizeof(times[1])),
           time_text(lshm.p999_ns, times[2], sizeof(times[2])),
           time_text(lshm.max_ns, times[3], sizeof(times[3])),
           scaled(lshm.messages_per_s, rate_units, 1000, rate, sizeof(rate)), lshm.gb_per_s,
           time_text(lshm.cpu_ns_per_message, cpu, sizeof(cpu)));
}

void bench_report_head(const struct bench_options *options)
{
    if (options->json || options->targets) {
        return;
    }
    printf("regimes: %s; ratio: lshm / limit, medians over the samples of a regime\n",
           bench_regime_rule());
    printf(" ratio  bench        size batch  mode  touch regime    n  limit p50        p50"
           "       p99     p99.9       max     messages    GB/s   CPU/msg\n");
}

void bench_report_cell(const struct bench_cell *cell, const struct bench_shared *shared,
                       const struct bench_options *options)
{
    for (int regime = 0; regime < BENCH_REGIMES; regime++) {
        if (!options->json) {
            print_row(cell, shared, (enum bench_regime)regime);
            continue;
        }
        for (int system = 0; system < BENCH_SYSTEMS; system++) {
            print_json(cell, shared, (enum bench_system_number)system,
                       (enum bench_regime)regime);
        }
    }
    fflush(stdout);
}
