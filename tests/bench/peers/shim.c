/* SPDX-License-Identifier: Apache-2.0 */
/* The adaptor of systems whose API is not C: shim.h, implemented in their language. */
#include "shim.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inline.h"
#include "peer.h"

struct end {
    void *sender, *receiver;
};

struct reading {
    const struct bench_cell *cell;
    uint64_t sum;
};

static struct end this_end;
static const char *directory = "";

static struct shim_options options_of(const struct bench_cell *cell, const char *name)
{
    return (struct shim_options){
        .name = name,
        .directory = directory,
        .size = cell->size,
        .slots = bench_slot_count(cell),
        .publishers = bench_publishers(cell),
        .subscribers = bench_subscribers(cell),
        .block = cell->mode == BENCH_BLOCK,
        .lossy = cell->lossy,
    };
}

static bool is_fan(const struct bench_cell *cell)
{
    return cell->kind == BENCH_FANOUT || cell->kind == BENCH_FANIN;
}

void peer_prepare(struct peer_control *control)
{
    const struct bench_cell *cell = &control->cell;
    const struct shim_options options = options_of(cell, "");
    const char *why = shim_refuses(&options, is_fan(cell) || cell->kind == BENCH_ATTACH,
                                   cell->kind == BENCH_ONEWAY ? cell->batch : 1);
    if (why) {
        peer_skip(control, "%s", why);
    }
    if (!shim_has_daemon()) {
        return;
    }
    directory = control->directory;
    snprintf(control->directory, sizeof(control->directory), "/dev/shm/lshm-bench-XXXXXX");
    if (!mkdtemp(control->directory)) {
        bench_die("cannot make %s: %m", directory);
    }
    pid_t pid = bench_fork();
    if (pid == 0) {
        shim_daemon(directory);
        _exit(1);
    }
    peer_helper(control, pid);
}

static void end_open(struct bench_worker *worker)
{
    const struct bench_cell *cell = worker->cell;
    bool producer = worker->side == BENCH_PRODUCER;
    char name[PEER_NAME_BYTES];
    struct shim_options options = options_of(cell, peer_name(worker, "", "there", name));
    options.number = worker->index + (producer ? 0 : options.publishers);
    shim_start(&options);
    if (producer) {
        this_end.sender = shim_sender_open(&options);
        return;
    }
    this_end.receiver = shim_receiver_open(&options);
    if (cell->kind == BENCH_ROUNDTRIP) {
        peer_name(worker, "", "back", name);
        this_end.sender = shim_sender_open(&options);
    }
}

static void end_ready(struct bench_worker *worker)
{
    char name[PEER_NAME_BYTES];
    struct shim_options options = options_of(worker->cell, peer_name(worker, "", "back", name));
    shim_sender_ready(this_end.sender);
    if (worker->cell->kind == BENCH_ROUNDTRIP) {
        this_end.receiver = shim_receiver_open(&options);
    }
}

static void close_shim(struct bench_worker *worker)
{
    (void)worker;
    if (this_end.sender) {
        shim_sender_close(this_end.sender);
    }
    if (this_end.receiver) {
        shim_receiver_close(this_end.receiver);
    }
}

static inline struct end *end_of(struct bench_worker *worker)
{
    (void)worker;
    return &this_end;
}

static inline void send_some(struct end *end, const struct bench_cell *cell, uint64_t first,
                             uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bench_fill(shim_loan(end->sender), cell, first + i);
        shim_publish(end->sender);
    }
}

static void read_message(void *context, const void *data)
{
    struct reading *reading = context;
    reading->sum += bench_sum(data, reading->cell);
}

static inline uint32_t receive_some(struct end *end, const struct bench_cell *cell, uint32_t most,
                                    bool wait, uint64_t *sum)
{
    struct reading reading = {.cell = cell};
    uint32_t count = shim_receive(end->receiver, most, wait, read_message, &reading);
    *sum += reading.sum;
    return count;
}

static inline void give_back(struct end *end)
{
    shim_give_back(end->receiver);
}

#include "loops.h"

static const struct bench_system shim = {
    .name = "shim",
    .open = end_open,
    .ready = end_ready,
    .close = close_shim,
    .roundtrip = loop_roundtrip,
    .oneway = loop_oneway,
    .wake = loop_wake,
    .fan = loop_fan,
    .attach = loop_attach,
};
const struct bench_system *const peer_system = &shim;
