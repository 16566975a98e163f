/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a lossy subscriber that is stopped costs: the rate of a publisher that wants to publish a
 * million messages a second, with the subscriber running and with it stopped; the publisher's
 * memory at the beginning and at the end; and whether the subscriber, when it goes on, can account
 * for every message.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lshm/lshm.h>

#include "inline.h"

#define TOPIC "bench/stopped"
#define PAYLOAD_BYTES 1024u
#define RATE_PER_S 1000000.0
#define SECONDS_USUAL 5.0
#define SECONDS_QUICK 0.5
#define WARM_SECONDS 0.2
#define RATE_RATIO_MIN 0.95
#define GROWTH_MAX (256 * 1024) /* statm may be wrong by 64 pages: proc(5), SPLIT_RSS_COUNTING */
#define BATCH 64u

struct stopped {
    uint32_t ready;     /* the subscriber has joined */
    uint64_t published; /* stored by the publisher at the end, plus 1 */
    uint32_t is_exact;  /* the subscriber's verdict */
    uint64_t lost;
};

struct stopped_result {
    double rate[2]; /* per second: running, stopped */
    uint64_t rss[2]; /* bytes: before the stop, after it */
};

static void must(int result, const char *what, const struct lshm_error *error)
{
    if (result < 0) {
        bench_die("%s: %s: %s", what, lshm_error_name(result),
                  error->text[0] ? error->text : lshm_strerror(result));
    }
}

static struct lshm_context *open_context(void)
{
    struct lshm_error error = {0};
    struct lshm_context *context;
    must(lshm_context_open(NULL, &error, &context), "lshm_context_open", &error);
    return context;
}

/* Takes until all that was published is taken or lost; in order, each sequence number once. */
static _Noreturn void be_subscriber(struct stopped *shared)
{
    struct lshm_subscriber_options options = {
        .size = sizeof(options), .flags = LSHM_SUBSCRIBER_LATEST};
    struct lshm_error error = {0};
    struct lshm_context *context = open_context();
    struct lshm_subscriber *subscriber;
    struct lshm_subscriber_statistics now = {.size = sizeof(now)};
    struct lshm_message batch[BATCH];
    uint64_t first = LSHM_SEQ_NONE, next = 0, gaps = 0, end;

    bench_pin(1);
    must(lshm_subscriber_open(context, TOPIC, &options, &error, &subscriber),
         "lshm_subscriber_open", &error);
    __atomic_store_n(&shared->ready, 1, __ATOMIC_RELEASE);
    for (;;) {
        int count = lshm_subscriber_take_batch(subscriber, batch, BATCH);
        must(count, "lshm_subscriber_take_batch", &error);
        for (int i = 0; i < count; i++) {
            first = first == LSHM_SEQ_NONE ? batch[i].seq : first;
            gaps += next > 0 ? batch[i].seq - next : 0;
            next = batch[i].seq + 1;
        }
        if (count > 0) {
            must(lshm_subscriber_release_batch(subscriber, batch, (size_t)count),
                 "lshm_subscriber_release_batch", &error);
            continue;
        }
        end = __atomic_load_n(&shared->published, __ATOMIC_ACQUIRE);
        must(lshm_subscriber_get_statistics(subscriber, &now), "lshm_subscriber_get_statistics",
             &error);
        if (end != 0 && now.ahead == 0) {
            break;
        }
    }
    shared->lost = now.lost;
    shared->is_exact = now.lost >= gaps && now.taken + now.lost == end - 1;
    _exit(0);
}

static uint64_t resident_bytes(void)
{
    unsigned long long pages, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%llu %llu", &pages, &resident) != 2) {
        bench_die("cannot read /proc/self/statm");
    }
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* As fast as asked for or as it can: messages per second. */
static double publish_for(struct lshm_publisher *publisher, double seconds, uint64_t *total)
{
    struct lshm_error error = {0};
    uint64_t begin_ns = bench_now_ns(), count = 0, elapsed_ns;
    while ((elapsed_ns = bench_now_ns() - begin_ns) < (uint64_t)(seconds * 1e9)) {
        struct lshm_message message;
        if ((double)count >= (double)elapsed_ns * RATE_PER_S / 1e9) {
            continue;
        }
        must(lshm_publisher_loan(publisher, PAYLOAD_BYTES, &message), "lshm_publisher_loan",
             &error);
        memset(message.data, (int)count, PAYLOAD_BYTES);
        must(lshm_publisher_publish(publisher, &message), "lshm_publisher_publish", &error);
        count++;
    }
    *total += count;
    return (double)count / seconds;
}

static void stop(pid_t pid)
{
    int status;
    if (kill(pid, SIGSTOP) < 0 || waitpid(pid, &status, WUNTRACED) != pid ||
        !WIFSTOPPED(status)) {
        bench_die("cannot stop the subscriber");
    }
}

static bool report(const struct bench_options *options, const struct stopped_result *result,
                   const struct stopped *shared)
{
    double ratio = result->rate[1] / result->rate[0];
    int64_t growth = (int64_t)(result->rss[1] - result->rss[0]);
    if (options->json) {
        printf("{\"bench\": \"stopped\", \"system\": \"lshm\", \"rate_running\": %.0f, "
               "\"rate_stopped\": %.0f, \"rate_ratio\": %.4f, \"memory_growth_bytes\": %lld, "
               "\"lost\": %llu, \"exact\": %s}\n", result->rate[0], result->rate[1], ratio,
               (long long)growth, (unsigned long long)shared->lost,
               shared->is_exact ? "true" : "false");
    } else {
        printf("stopped: %.0f messages/s with a lossy subscriber, %.0f (%.3f x) with it stopped; "
               "memory %+lld bytes; %llu lost, %s\n", result->rate[0], result->rate[1], ratio,
               (long long)growth, (unsigned long long)shared->lost,
               shared->is_exact ? "all accounted for" : "NOT all accounted for");
    }
    fflush(stdout);
    return ratio >= RATE_RATIO_MIN && growth <= GROWTH_MAX && shared->is_exact;
}

bool bench_stopped(const struct bench_options *options)
{
    const struct lshm_publisher_options wide = {
        .size = sizeof(wide), .payload_bytes = PAYLOAD_BYTES, .flags = LSHM_PUBLISHER_PREFAULT};
    double seconds = options->seconds > 0 ? options->seconds
                     : options->quick     ? SECONDS_QUICK
                                          : SECONDS_USUAL;
    struct stopped *shared = bench_shared_memory(sizeof(*shared));
    struct lshm_publisher_statistics now = {.size = sizeof(now)};
    struct lshm_error error = {0};
    struct lshm_context *context = open_context();
    struct lshm_publisher *publisher;
    struct stopped_result result;
    uint64_t total = 0;

    bench_pin(0);
    pid_t pid = bench_fork();
    if (pid == 0) {
        be_subscriber(shared);
    }
    while (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) == 0) {
        usleep(1000);
    }
    must(lshm_publisher_open(context, TOPIC, &wide, &error, &publisher), "lshm_publisher_open",
         &error);
    while (now.joined < 1) {
        must(lshm_publisher_get_statistics(publisher, &now), "lshm_publisher_get_statistics",
             &error);
    }
    publish_for(publisher, WARM_SECONDS, &total);
    result.rate[0] = publish_for(publisher, seconds, &total);
    result.rss[0] = resident_bytes();
    stop(pid);
    result.rate[1] = publish_for(publisher, seconds, &total);
    result.rss[1] = resident_bytes();
    kill(pid, SIGCONT);
    __atomic_store_n(&shared->published, total + 1, __ATOMIC_RELEASE);
    waitpid(pid, NULL, 0);
    lshm_context_close(context);
    bool met = report(options, &result, shared);
    munmap(shared, sizeof(*shared));
    return met;
}
