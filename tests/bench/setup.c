/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker at work: how long a subscribe takes while 100 clients are attached, others come and go
 * and one core spins; and what an idle broker costs.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lshm/lshm.h>

#include "bench.h"

#define CLIENTS 100u
#define ATTACHES_PER_S 100u
#define SUBSCRIBES 400u
#define SUBSCRIBES_QUICK 50u
#define SUBSCRIBE_PERIOD_NS 2000000u
#define P50_MAX_NS 1000000.0
#define IDLE_S 4u
#define IDLE_QUICK_S 1u
#define SETTLE_S 1u
#define LIMIT_S 120u
#define NS_PER_S 1000000000u

struct crowd {
    uint32_t ready;                  /* clients that are attached */
    uint32_t attaches;               /* by the one that comes and goes */
    pid_t pids[CLIENTS + 2];
    size_t count;
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

static struct lshm_subscriber *open_subscriber(struct lshm_context *context, const char *topic)
{
    struct lshm_error error = {0};
    struct lshm_subscriber *subscriber;
    must(lshm_subscriber_open(context, topic, NULL, &error, &subscriber), "lshm_subscriber_open",
         &error);
    return subscriber;
}

static void sleep_until(uint64_t ns)
{
    struct timespec until = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) {
    }
}

/* One of the 100: the first publishes what the others and the measured one subscribe to. */
static _Noreturn void be_client(struct crowd *crowd, uint32_t number)
{
    struct lshm_context *context = open_context();
    struct lshm_error error = {0};
    struct lshm_publisher *publisher;
    if (number == 0) {
        must(lshm_publisher_open(context, "bench/setup/news", NULL, &error, &publisher),
             "lshm_publisher_open", &error);
    } else {
        (void)open_subscriber(context, "bench/setup/crowd");
    }
    __atomic_fetch_add(&crowd->ready, 1, __ATOMIC_RELEASE);
    for (;;) {
        pause();
    }
}

static _Noreturn void come_and_go(struct crowd *crowd)
{
    for (uint64_t next_ns = bench_now_ns();; next_ns += NS_PER_S / ATTACHES_PER_S) {
        sleep_until(next_ns);
        lshm_context_close(open_context());
        __atomic_fetch_add(&crowd->attaches, 1, __ATOMIC_RELAXED);
    }
}

static _Noreturn void spin(void)
{
    volatile uint64_t rounds = 0;
    bench_pin(0);
    for (;;) {
        rounds = rounds + 1;
    }
}

static pid_t start_one(struct crowd *crowd)
{
    pid_t pid = bench_fork();
    if (pid > 0) {
        crowd->pids[crowd->count++] = pid;
    } else {
        alarm(LIMIT_S);
    }
    return pid;
}

static struct crowd *start_crowd(void)
{
    struct crowd *crowd = bench_shared_memory(sizeof(*crowd));
    for (uint32_t i = 0; i < CLIENTS; i++) {
        if (start_one(crowd) == 0) {
            be_client(crowd, i);
        }
    }
    uint64_t start_ns = bench_now_ns();
    while (__atomic_load_n(&crowd->ready, __ATOMIC_ACQUIRE) < CLIENTS) {
        if (bench_now_ns() - start_ns > 30ull * NS_PER_S) {
            bench_die("only %u of %u clients could attach", crowd->ready, CLIENTS);
        }
        usleep(1000);
    }
    return crowd;
}

static void end_crowd(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++) {
        kill(crowd->pids[i], SIGKILL);
        waitpid(crowd->pids[i], NULL, 0);
    }
    munmap(crowd, sizeof(*crowd));
}

bool bench_subscribe(const struct bench_options *options)
{
    static double times[SUBSCRIBES];
    size_t count = options->quick ? SUBSCRIBES_QUICK : SUBSCRIBES;
    struct crowd *crowd = start_crowd();
    if (start_one(crowd) == 0) {
        spin();
    }
    if (start_one(crowd) == 0) {
        come_and_go(crowd);
    }
    struct lshm_context *context = open_context();
    uint64_t begin_ns = bench_now_ns(), attaches = crowd->attaches;
    for (size_t i = 0; i < count; i++) {
        uint64_t start_ns = bench_now_ns();
        struct lshm_subscriber *subscriber = open_subscriber(context, "bench/setup/news");
        times[i] = (double)(bench_now_ns() - start_ns);
        lshm_subscriber_close(subscriber);
        sleep_until(start_ns + SUBSCRIBE_PERIOD_NS);
    }
    double seconds = (double)(bench_now_ns() - begin_ns) / 1e9;
    double attaches_per_s = (double)(crowd->attaches - attaches) / seconds;
    lshm_context_close(context);
    end_crowd(crowd);
    double p50_ns = bench_median(times, count); /* sorts */
    double p99_ns = times[count * 99 / 100], max_ns = times[count - 1];
    if (options->json) {
        printf("{\"bench\": \"subscribe\", \"system\": \"lshm\", \"clients\": %u, "
               "\"attaches_per_s\": %.0f, \"samples\": %zu, \"p50_ns\": %.0f, \"p99_ns\": %.0f, "
               "\"max_ns\": %.0f}\n", CLIENTS, attaches_per_s, count, p50_ns, p99_ns, max_ns);
    } else {
        printf("subscribe: p50 %.0f us, p99 %.0f us, max %.0f us (n %zu; %u clients, %.0f attaches"
               "/s, one core spins)\n", p50_ns / 1e3, p99_ns / 1e3, max_ns / 1e3, count, CLIENTS,
               attaches_per_s);
    }
    fflush(stdout);
    return p50_ns <= P50_MAX_NS;
}

bool bench_idle(const struct bench_options *options)
{
    unsigned seconds = options->quick ? IDLE_QUICK_S : IDLE_S;
    struct crowd *crowd = start_crowd();
    sleep(SETTLE_S);
    uint64_t before_ns = bench_broker_cpu_ns();
    sleep(seconds);
    uint64_t used_ns = bench_broker_cpu_ns() - before_ns;
    end_crowd(crowd);
    if (options->json) {
        printf("{\"bench\": \"idle\", \"system\": \"lshm\", \"clients\": %u, \"seconds\": %u, "
               "\"broker_cpu_ns\": %llu}\n", CLIENTS, seconds, (unsigned long long)used_ns);
    } else {
        printf("idle: the broker used %.0f ms of CPU in %u s with %u idle clients\n",
               (double)used_ns / 1e6, seconds, CLIENTS);
    }
    fflush(stdout);
    return used_ns == 0;
}
