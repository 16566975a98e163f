/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benchmark: two pinned processes move messages, once without and once with lshm.
 *
 * A cell is one combination of bench, size, batch, mode and touch. For each cell the main process
 * forks a producer on one CPU and a consumer on another. They measure the systems in turn, again
 * and again, with a ping-pong of two cache lines between any two measurements:
 *
 *     ping-pong | limit | ping-pong | lshm | ping-pong | limit | ping-pong | ...
 *
 * The ping-pong tells how far apart the two CPUs are at that moment: the regime. A measurement
 * counts for the regime that both of its neighbours show, or for none ("mixed"). An lshm
 * measurement is divided by the limit's measurement just before it, if the regimes are equal.
 *
 * A system (struct bench_system) is what is measured; both processes call its functions.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define BENCH_LINE_BYTES 128
#define BENCH_RING_ENTRIES 1024u           /* the limit's ring, and lshm's */
#define BENCH_POOL_BYTES (8u << 20)        /* of slots, but for --pool; L2 < it < L3 */
#define BENCH_POOL_SLOTS_MIN 4u
#define BENCH_BATCH_MAX 32u
#define BENCH_SIZE_MAX (4u << 20)
#define BENCH_HEAD_BYTES 16u               /* what touch=head writes and reads */
#define BENCH_TIMES_MAX 262144u            /* times of one measurement */
#define BENCH_SAMPLES_MAX 512u             /* measurements of one system in one cell */
#define BENCH_CHUNK_MESSAGES 1024u         /* one way, one time is taken for so many messages */
#define BENCH_PATH_MAX 100

#define BENCH_FAN_MAX 64u
#define BENCH_HELPERS_MAX 8u
#define BENCH_WAKES_MAX 4096u              /* of one measurement */

enum bench_kind {
    BENCH_ROUNDTRIP, BENCH_ONEWAY, BENCH_WAKE, BENCH_ATTACH, BENCH_FANOUT, BENCH_FANIN
};
enum bench_mode { BENCH_SPIN, BENCH_BLOCK };
enum bench_touch { BENCH_TOUCH_ALL, BENCH_TOUCH_HEAD };
enum bench_regime { BENCH_SMT, BENCH_NEAR, BENCH_FAR, BENCH_MIXED, BENCH_REGIMES };
enum bench_side { BENCH_PRODUCER, BENCH_CONSUMER };
enum bench_system_number { BENCH_LIMIT, BENCH_LSHM, BENCH_SYSTEMS };

struct bench_cell {
    enum bench_kind kind;
    uint32_t size;
    uint32_t batch;
    enum bench_mode mode;
    enum bench_touch touch;
    bool quick;        /* part of --quick */
    char target;       /* letter of the target it decides, or 0 */
    double ratio_max;  /* of that target */
    double p99_ratio_max; /* likewise, of the 99th percentiles; 0: none */
    uint32_t fan;      /* fanout: subscribers, fanin: publishers; else 0 */
    uint32_t pool_bytes; /* of slots, 0: BENCH_POOL_BYTES */
    bool lossy;        /* fanout: a slow subscriber loses messages, else it holds the publisher */
};

struct bench_sample {
    double before_ns, after_ns;              /* the ping-pongs around it */
    double p50_ns, p99_ns, p999_ns, max_ns;  /* per round trip, or per message of a chunk */
    double messages_per_s, mean_ns;          /* of the whole measurement, pauses included */
    double cpu_ns_per_message;               /* of both processes and the system's helpers */
    double send_ns;                          /* wake: median of what sending costs the producer */
    double producer_ns, consumer_ns;         /* fan: CPU per message of one end's own loop */
    double lost;                             /* fan: share of the messages that did not arrive */
    enum bench_regime regime;
};

/* What both processes of a cell and the main process share. */
struct bench_shared {
    _Alignas(BENCH_LINE_BYTES) uint64_t ping;
    _Alignas(BENCH_LINE_BYTES) uint64_t pong;
    _Alignas(BENCH_LINE_BYTES) uint64_t arrived[2][BENCH_LINE_BYTES / 8];
    _Alignas(BENCH_LINE_BYTES) uint64_t sent_at; /* wake: tick of the send */
    _Alignas(BENCH_LINE_BYTES) uint64_t seen;    /* wake: messages that woke the consumer */
    _Alignas(BENCH_LINE_BYTES) uint64_t stop;
    uint64_t run;                            /* number of this run of a cell */
    uint64_t messages[BENCH_SYSTEMS];        /* of the next measurement */
    uint64_t cpu_ns[2];
    uint64_t own_ns[2];                      /* fan: CPU time of the ends' loops */
    uint64_t send_ns;                        /* fan: how long the first producer took */
    uint64_t received, finished;             /* fan: by all consumers; producers that have sent */
    uint32_t gathered;                       /* futex: ends that came to bench_gather() */
    uint64_t attach_ns;                      /* of the consumer: open until the first message */
    int32_t helpers[BENCH_HELPERS_MAX];      /* processes that work for the system measured */
    uint32_t helper_count;
    uint32_t wake_send_ticks[BENCH_WAKES_MAX];
    uint64_t time_count;
    uint64_t times_per_tick;                 /* unit of times: ticks, or hundredths of them */
    uint32_t times[BENCH_TIMES_MAX];
    uint32_t sample_count;
    struct bench_sample samples[BENCH_SYSTEMS][BENCH_SAMPLES_MAX];
};

/* One process of a cell. */
struct bench_worker {
    const struct bench_cell *cell;
    struct bench_shared *shared;
    enum bench_side side;
    uint32_t index;           /* of the producers, or of the consumers */
    uint32_t gathers;         /* calls of bench_gather() */
    void *limit;              /* private state of each system */
    void *lshm;
};

/*
 * The producer opens, then the consumer, then the producer gets `ready`. The others are called by
 * both sides at the same time; `messages` is a multiple of the batch. NULL: it can't do that.
 */
struct bench_system {
    const char *name;
    void (*open)(struct bench_worker *worker);
    void (*ready)(struct bench_worker *worker);
    void (*close)(struct bench_worker *worker);
    /* Ends with all messages received; fills shared->times on the side that measures. */
    void (*roundtrip)(struct bench_worker *worker, uint64_t messages);
    void (*oneway)(struct bench_worker *worker, uint64_t messages);
    void (*wake)(struct bench_worker *worker, uint64_t messages);
    void (*fan)(struct bench_worker *worker, uint64_t messages);
    void (*attach)(struct bench_worker *worker); /* the producer is open, the consumer is not */
};

struct bench_options {
    bool json, quick, targets, peers;
    const char *with;         /* --with NAME[,NAME...]: these peers only, or NULL */
    const char *only;         /* BENCH[:filter] or NULL */
    uint32_t pool_bytes;      /* --pool, or 0 */
    double seconds;           /* per cell, 0: the default of the mode */
    const char *brokerd;
};

/* limit.c, lshm.c */
extern const struct bench_system bench_limit;
extern const struct bench_system bench_lshm;
size_t bench_limit_bytes(const struct bench_cell *cell);

/* pair.c: the producer and the consumer. */
struct bench_plan {
    double seconds;
    uint32_t near_wanted;     /* stop after so many near pairs, 0: at the end of the time */
    double sample_ns;         /* length of one measurement */
};
/* Runs one cell; its samples are in *shared afterwards. False if a process failed. */
bool bench_run_cell(const struct bench_cell *cell, const struct bench_plan *plan,
                    struct bench_shared *shared);

/* measure.c */
/* Waits until the other process of a pair calls it too; spins. */
void bench_meet(struct bench_worker *worker);
/* Waits until all ends call it; sleeps. */
void bench_gather(struct bench_worker *worker);
uint32_t bench_publishers(const struct bench_cell *cell);
uint32_t bench_subscribers(const struct bench_cell *cell);
void bench_open(struct bench_worker *worker, const struct bench_system *system);
/* How many messages the first measurement of a cell gets; it is not used. */
uint64_t bench_first_messages(const struct bench_cell *cell);
/* On both sides; the producer's fills *ret_sample and sets *messages for the next measurement. */
void bench_measure(struct bench_worker *worker, const struct bench_system *system,
                   double sample_ns, uint64_t *messages, struct bench_sample *ret_sample);

/* cells.c */
extern const struct bench_cell bench_cells[];
extern const size_t bench_cell_count;
/* How many slots the pool of each system has; a power of two. */
uint32_t bench_slot_count(const struct bench_cell *cell);
const char *bench_kind_name(enum bench_kind kind);
const char *bench_mode_name(enum bench_mode mode);
const char *bench_touch_name(enum bench_touch touch);
void bench_cell_name(const struct bench_cell *cell, char *name, size_t bytes);
/* Whether --only asks for this bench. */
bool bench_selects(const char *only, const char *bench);
bool bench_cell_selected(const struct bench_cell *cell, const struct bench_options *options);

/* regime.c */
enum bench_regime bench_regime_of(double before_ns, double after_ns);
const char *bench_regime_name(enum bench_regime regime);
const char *bench_regime_rule(void);
/* The time of a two-line ping-pong, median; on the producer's side only. */
double bench_pingpong(struct bench_worker *worker, uint64_t trips);

/* report.c */
struct bench_summary {
    uint32_t samples;
    double p50_ns, p99_ns, p999_ns, max_ns, messages_per_s, gb_per_s, cpu_ns_per_message;
    double ratio;             /* to the limit; 0: no pair */
    uint32_t pairs;
};
void bench_summarize(const struct bench_cell *cell, const struct bench_shared *shared,
                     enum bench_system_number system, enum bench_regime regime,
                     struct bench_summary *ret_summary);
void bench_report_head(const struct bench_options *options);
void bench_report_cell(const struct bench_cell *cell, const struct bench_shared *shared,
                       const struct bench_options *options);

/* broker.c: a private broker in a directory of its own. */
void bench_broker_start(const char *brokerd);
void bench_broker_stop(void);
/* Its processes: their number. */
uint32_t bench_broker_processes(int32_t *pids, uint32_t most);
/* Their CPU time so far. */
uint64_t bench_broker_cpu_ns(void);

/* steady.c, setup.c, crowd.c, stopped.c: what is not a cell. Each returns whether its target is
 * met. */
bool bench_steady(const struct bench_options *options);
bool bench_subscribe(const struct bench_options *options);
bool bench_idle(const struct bench_options *options);
bool bench_crowd(const struct bench_options *options);
bool bench_stopped(const struct bench_options *options);

/* peers.c: the cells of --peers. False if one failed. */
bool bench_peers(const struct bench_options *options);
/* Those of wake, attach, fanout and fanin, for lshm alone. */
bool bench_fans(const struct bench_options *options);
/* What 64 ends cost relative to one; false if that misses its target. */
bool bench_fan_targets(const struct bench_options *options);

/* counters.c: allocations and system calls of this process. */
void bench_count_begin(uint64_t *allocations, uint64_t *system_calls);
void bench_count_end(void);

/* util.c */
double bench_tick_ns(void);
uint64_t bench_now_ns(void);
uint64_t bench_cpu_now_ns(void);
uint64_t bench_thread_cpu_ns(void);
/* CPU time of another process, 0 if there is none. */
uint64_t bench_cpu_of_ns(pid_t pid);
void bench_pin(unsigned cpu);
void *bench_shared_memory(size_t bytes);
/* Fork a child that dies with its parent. */
pid_t bench_fork(void);
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
double bench_median(double *values, size_t count);
int bench_compare_u32(const void *a, const void *b);

#endif
