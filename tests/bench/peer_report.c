/* SPDX-License-Identifier: Apache-2.0 */
/* A system's row in a cell of --peers, as text or as one JSON object a line. */
#include "peers.h"

#include <string.h>

struct row {
    uint32_t samples, pairs;
    struct bench_sample median;
    double times_lshm; /* median over the pairs of what compared_field() says */
};

#define FIELD(name) offsetof(struct bench_sample, name)

static double field_of(const struct bench_sample *sample, size_t field)
{
    return *(const double *)(const void *)((const char *)sample + field);
}

static double median_of(const struct peer *peer, enum bench_regime regime, size_t field)
{
    double values[PEER_SAMPLES_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < peer->count; i++) {
        if (peer->samples[i].regime == regime) {
            values[count++] = field_of(&peer->samples[i], field);
        }
    }
    return bench_median(values, count);
}

/*
 * What is compared: the median time; one way the mean, since a consumer that gets its messages in
 * bursts has a good median; in a fan the CPU time of the end that there is one of.
 */
static size_t compared_field(const struct bench_cell *cell)
{
    switch (cell->kind) {
    case BENCH_ONEWAY: return FIELD(mean_ns);
    case BENCH_FANOUT: return FIELD(producer_ns);
    case BENCH_FANIN: return FIELD(consumer_ns);
    default: return FIELD(p50_ns);
    }
}

double peer_ratio(const struct bench_cell *cell, const struct peer *peer, enum bench_regime regime,
                  uint32_t *ret_pairs)
{
    double values[PEER_SAMPLES_MAX];
    size_t compared = compared_field(cell);
    uint32_t pairs = 0;
    for (uint32_t i = 0; i < peer->count; i++) {
        const struct bench_sample *mine = &peer->samples[i], *lshm = &peer->lshm[i];
        if (mine->regime == regime && lshm->regime == regime && field_of(lshm, compared) > 0) {
            values[pairs++] = field_of(mine, compared) / field_of(lshm, compared);
        }
    }
    *ret_pairs = pairs;
    return bench_median(values, pairs);
}

static void make_row(const struct bench_cell *cell, const struct peer *peer,
                     enum bench_regime regime, struct row *row)
{
    static const size_t fields[] = {
        FIELD(p50_ns), FIELD(p99_ns), FIELD(p999_ns), FIELD(max_ns), FIELD(messages_per_s),
        FIELD(cpu_ns_per_message), FIELD(send_ns), FIELD(producer_ns), FIELD(consumer_ns),
        FIELD(lost),
    };
    *row = (struct row){0};
    for (uint32_t i = 0; i < peer->count; i++) {
        row->samples += peer->samples[i].regime == regime;
    }
    row->times_lshm = peer_ratio(cell, peer, regime, &row->pairs);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        double value = median_of(peer, regime, fields[i]);
        memcpy((char *)&row->median + fields[i], &value, sizeof(value));
    }
}

static void print_cell(const struct bench_cell *cell, const struct peer *peer)
{
    printf("{\"bench\": \"%s\", \"system\": \"%s\", \"size\": %u, \"batch\": %u, "
           "\"mode\": \"%s\", \"touch\": \"%s\", \"subscribers\": %u, \"publishers\": %u, "
           "\"lossy\": %s", bench_kind_name(cell->kind), peer->known->name, cell->size,
           cell->batch, bench_mode_name(cell->mode), bench_touch_name(cell->touch),
           bench_subscribers(cell), bench_publishers(cell), cell->lossy ? "true" : "false");
}

static void print_json(const struct bench_cell *cell, const struct peer *peer,
                       enum bench_regime regime, const struct row *row)
{
    const struct bench_sample *median = &row->median;
    char times[32] = "null";
    if (row->pairs) {
        snprintf(times, sizeof(times), "%.3f", row->times_lshm);
    }
    print_cell(cell, peer);
    printf(", \"regime\": \"%s\", \"samples\": %u, \"p50_ns\": %.2f, \"p99_ns\": %.2f, "
           "\"p999_ns\": %.2f, \"max_ns\": %.2f, \"msgs_per_s\": %.0f, \"gb_per_s\": %.3f, "
           "\"cpu_ns_per_msg\": %.2f, \"send_ns\": %.1f, \"publisher_cpu_ns\": %.2f, "
           "\"subscriber_cpu_ns\": %.2f, \"lost\": %.4f, \"memory_bytes\": %llu, "
           "\"times_lshm\": %s, \"pairs\": %u}\n",
           bench_regime_name(regime), row->samples, median->p50_ns, median->p99_ns,
           median->p999_ns, median->max_ns, median->messages_per_s,
           median->messages_per_s * cell->size / 1e9, median->cpu_ns_per_message,
           median->send_ns, median->producer_ns, median->consumer_ns, median->lost,
           (unsigned long long)peer->memory_bytes, times, row->pairs);
}

static void print_text(const char *name, const struct peer *peer, enum bench_regime regime,
                       const struct row *row)
{
    const struct bench_sample *median = &row->median;
    char times[16] = "-";
    if (row->pairs) {
        snprintf(times, sizeof(times), "%.2f", row->times_lshm);
    }
    printf("%8s  %-28s %-15s %-5s %4u %12.1f %12.1f %12.0f %10.0f %8.1f", times, name,
           peer->known->name, bench_regime_name(regime), row->samples, median->p50_ns,
           median->p99_ns, median->messages_per_s, median->cpu_ns_per_message,
           (double)peer->memory_bytes / 1048576);
    if (median->send_ns > 0) {
        printf("  send %.0f ns", median->send_ns);
    }
    if (median->producer_ns > 0) {
        printf("  CPU/msg publisher %.1f ns, subscriber %.1f ns; lost %.1f %%",
               median->producer_ns, median->consumer_ns, median->lost * 100);
    }
    printf("\n");
}

void peer_report_head(const struct bench_options *options)
{
    if (!options->json) {
        printf("regimes: %s; x lshm: the peer's p50 (one way: mean; fans: CPU time of the"
               " single end) / lshm's\n", bench_regime_rule());
        printf("%8s  %-28s %-15s %-5s %4s %12s %12s %12s %10s %8s\n", "x lshm", "cell", "system",
               "", "n", "p50 ns", "p99 ns", "messages/s", "CPU ns", "MiB");
    }
}

void peer_report(const struct bench_cell *cell, const struct peer *peer,
                 const struct bench_options *options)
{
    char name[64];
    struct row row;
    bench_cell_name(cell, name, sizeof(name));
    if (peer->why[0] != '\0') {
        if (options->json) {
            print_cell(cell, peer);
            printf(", \"%s\": \"%s\"}\n", peer->failed ? "failed" : "skipped", peer->why);
        } else {
            printf("%8s  %-28s %-15s %s: %s\n", "-", name, peer->known->name,
                   peer->failed ? "failed" : "skipped", peer->why);
        }
    }
    for (int regime = 0; regime < BENCH_REGIMES && peer->count > 0; regime++) {
        make_row(cell, peer, (enum bench_regime)regime, &row);
        if (row.samples == 0) {
            continue;
        }
        if (options->json) {
            print_json(cell, peer, (enum bench_regime)regime, &row);
        } else {
            print_text(name, peer, (enum bench_regime)regime, &row);
        }
    }
    fflush(stdout);
}
