/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thousand lossy readers that do nothing cost a publisher: its CPU time per flush (a batch
 * of 32) on three topics in turn, whose readers are in a stopped process and awake: one reader, a
 * thousand that may sleep, a thousand that never do.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lshm/lshm.h>

#include "inline.h"

#define READERS 1000u
#define PROCESSES 8u /* of each crowd, for their limits of descriptors */
#define ROUNDS 60u
#define ROUNDS_QUICK 12u
#define FLUSHES 400u /* in one round of one topic */
#define BATCH 32u
#define PAYLOAD_BYTES 64u
#define NS_PER_READER_MAX 2.0    /* of one that may sleep */
#define NS_PER_SPINNER_MAX 0.1   /* of one that never does: nothing but noise */

struct crowd_topic {
    const char *name;
    uint32_t readers, flags;
    struct lshm_publisher *publisher;
    double ns[ROUNDS]; /* per flush */
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

/* Opens so many readers and stops; the parent sees that and knows that all are there. */
static _Noreturn void be_readers(const struct crowd_topic *topic, uint32_t count)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct lshm_context *context = open_context();
    for (uint32_t i = 0; i < count; i++) {
        struct lshm_subscriber_options options = {
            .size = sizeof(options),
            .window = 1,
            .holds = 1,
            .flags = LSHM_SUBSCRIBER_LATEST | topic->flags,
        };
        struct lshm_error error = {0};
        struct lshm_subscriber *subscriber;
        must(lshm_subscriber_open(context, topic->name, &options, &error, &subscriber),
             "lshm_subscriber_open", &error);
    }
    raise(SIGSTOP);
    _exit(0);
}

static void start_readers(const struct crowd_topic *topic, pid_t *pids)
{
    uint32_t processes = topic->readers < PROCESSES ? topic->readers : PROCESSES;
    for (uint32_t i = 0; i < PROCESSES; i++) {
        pids[i] = i < processes ? bench_fork() : 0;
        if (i < processes && pids[i] == 0) {
            be_readers(topic, topic->readers / processes);
        }
    }
    for (uint32_t i = 0; i < processes; i++) {
        int status;
        if (waitpid(pids[i], &status, WUNTRACED) != pids[i] || !WIFSTOPPED(status)) {
            bench_die("the readers of %s failed", topic->name);
        }
    }
}

static void await_joined(const struct crowd_topic *topic)
{
    struct lshm_publisher_statistics now = {.size = sizeof(now)};
    struct lshm_error error = {0};
    while (now.joined < topic->readers) {
        must(lshm_publisher_get_statistics(topic->publisher, &now),
             "lshm_publisher_get_statistics", &error);
        usleep(1000);
    }
}

static double flush_ns(const struct crowd_topic *topic)
{
    struct lshm_message batch[BATCH];
    struct lshm_error error = {0};
    uint64_t start_ns = bench_thread_cpu_ns();
    for (uint32_t i = 0; i < FLUSHES; i++) {
        int count = lshm_publisher_loan_batch(topic->publisher, PAYLOAD_BYTES, batch, BATCH);
        must(count, "lshm_publisher_loan_batch", &error);
        for (int j = 0; j < count; j++) {
            memset(batch[j].data, (int)i, PAYLOAD_BYTES);
        }
        must(lshm_publisher_publish_batch(topic->publisher, batch, (size_t)count),
             "lshm_publisher_publish_batch", &error);
    }
    return (double)(bench_thread_cpu_ns() - start_ns) / FLUSHES;
}

static bool report(const struct bench_options *options, double one_ns, double sleeper_ns,
                   double spinner_ns)
{
    double each_ns = (sleeper_ns - one_ns) / (READERS - 1);
    double each_spinner_ns = (spinner_ns - one_ns) / (READERS - 1);
    if (options->json) {
        printf("{\"bench\": \"crowd\", \"system\": \"lshm\", \"readers\": %u, "
               "\"flush_ns_one\": %.1f, \"flush_ns_may_sleep\": %.1f, "
               "\"flush_ns_never_waits\": %.1f, \"ns_per_reader_may_sleep\": %.3f, "
               "\"ns_per_reader_never_waits\": %.3f}\n", READERS, one_ns, sleeper_ns, spinner_ns,
               each_ns, each_spinner_ns);
    } else {
        printf("crowd: a flush of %u messages costs %.0f ns with 1 lossy reader; each of %u more "
               "adds %.2f ns, if it never sleeps %.2f ns\n", BATCH, one_ns, READERS - 1, each_ns,
               each_spinner_ns);
    }
    fflush(stdout);
    return each_ns <= NS_PER_READER_MAX && each_spinner_ns <= NS_PER_SPINNER_MAX;
}

bool bench_crowd(const struct bench_options *options)
{
    static struct crowd_topic topics[] = {
        {"bench/crowd/one", 1, 0, NULL, {0}},
        {"bench/crowd/sleepers", READERS, 0, NULL, {0}},
        {"bench/crowd/spinners", READERS, LSHM_SUBSCRIBER_NEVER_WAITS, NULL, {0}},
    };
    enum { TOPICS = sizeof(topics) / sizeof(topics[0]) };
    pid_t pids[TOPICS][PROCESSES];
    uint32_t rounds = options->quick ? ROUNDS_QUICK : ROUNDS;
    struct lshm_context *context = open_context();
    const struct lshm_publisher_options wide = {
        .size = sizeof(wide), .payload_bytes = PAYLOAD_BYTES, .slot_count = 4 * READERS};

    bench_pin(0);
    for (size_t i = 0; i < TOPICS; i++) {
        struct lshm_error error = {0};
        must(lshm_publisher_open(context, topics[i].name, &wide, &error, &topics[i].publisher),
             "lshm_publisher_open", &error);
        start_readers(&topics[i], pids[i]);
        await_joined(&topics[i]);
        flush_ns(&topics[i]);
    }
    for (uint32_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < TOPICS; i++) {
            topics[i].ns[round] = flush_ns(&topics[i]);
        }
    }
    lshm_context_close(context);
    for (size_t i = 0; i < TOPICS * PROCESSES; i++) {
        pid_t pid = pids[i / PROCESSES][i % PROCESSES];
        if (pid > 0) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
    }
    return report(options, bench_median(topics[0].ns, rounds), bench_median(topics[1].ns, rounds),
                  bench_median(topics[2].ns, rounds));
}
