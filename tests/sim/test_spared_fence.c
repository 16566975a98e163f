/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flush's fence is spared while the publisher knows no reader that may sleep. Then its last
 * store may be late for one that has just joined, and nobody signals that one: it must look again
 * by itself, as it does for a second after a join (JOINED_LOOK_NS in api/wait.c), by when every
 * store has arrived. One that joined long before must not depend on that.
 *
 * LSHM_TEST_SEED sets the seed, LSHM_TEST_RUNS the schedules per test.
 * covers: W1 S1
 */
#include "explore.h"

#include "core/cell.c"
#include "core/reclaim.c"
#include "core/ring.c"
#include "core/roster.c"
#include "core/seqset.c"
#include "core/slots.c"
#include "core/window.c"

#include "core_rig.h"

#ifdef __SANITIZE_ADDRESS__
#define RUNS 200 /* each switch of stacks costs it much */
#else
#define RUNS 4000
#endif
#define ENTRIES 4u
#define ENTRY_BYTES 64u
#define HOLDS 1u
#define MESSAGES_MAX 3u
#define LOOKS 4u

static struct {
    struct lst_pub pub;
    uint64_t messages;
    bool published; /* all of it, and flushed */
    bool woken;     /* by a signal, or because its time-out is over */
    bool timed_out; /* and the stores of before have all arrived */
    bool is_member; /* joined before the publisher began */
} w;
static uint32_t rescued; /* schedules in which only the look after the time-out found a message */

static void signal_reader(void *context, uint64_t client, uint64_t generation)
{
    (void)context;
    (void)client;
    (void)generation;
    w.woken = true;
}

static void run_publisher(void *arg)
{
    struct lsi_publication *p = &w.pub.publication;

    (void)arg;
    for (uint32_t i = sim_dice(8); i > 0; i--)
        sim_pause();
    while (p->writer.tail < w.messages) {
        struct lsi_descriptor d = { .handle = 1 };

        lsi_publication_publish(p, &d, NULL, LSI_SLOT_NONE);
        lsi_publication_flush(p);
    }
    w.published = true;
}

static uint64_t join(void)
{
    lsi_fence_full(); /* a system call: asks the broker */
    lst_row_live(&w.pub, 0, 0, LSHM_READER_MAY_BLOCK, 2, HOLDS);
    lsi_fence_full(); /* … and its answer */
    return lsi_cell_join(w.pub.cells[0], w.pub.ring, lsi_load_relaxed(&w.pub.ring->tail));
}

/* As a wait does it: says that it sleeps, looks again, sleeps. */
static void wait_for(const struct lsi_ring_reader *ring, uint64_t seq)
{
    uint64_t *word = &w.pub.sleep[0];

    w.woken = w.timed_out;
    lsi_store_relaxed(word, lsi_load_relaxed(word) + 1);
    lsi_fence_full();
    if (!lsi_ring_has(ring, seq)) {
        sim_wait(&w.woken);
        if (w.timed_out && lsi_ring_has(ring, seq))
            rescued++;
        else if (w.timed_out)
            sim_broken("the look after the time-out finds nothing");
    }
    lsi_store_relaxed(word, lsi_load_relaxed(word) + 1);
}

static void run_reader(void *arg)
{
    struct lsi_ring_reader ring;
    uint64_t seq = w.is_member ? 0 : join();

    (void)arg;
    lsi_ring_reader_init(&ring, w.pub.ring, w.pub.entries, ENTRIES, ENTRY_BYTES);
    while (seq < w.messages && sim.broken == NULL) {
        struct lsi_descriptor d;

        if (lsi_ring_take(&ring, seq, &d, NULL) == LSI_RING_TAKEN)
            seq++;
        else
            wait_for(&ring, seq);
    }
}

/* What is a short time for a sleeper is a long one for a store: all have arrived everywhere. */
static void run_time_out(void *arg)
{
    (void)arg;
    sim_wait(&w.published);
    sim_membarrier();
    w.timed_out = w.woken = true;
}

/* Something else wakes it now and then, while the publisher is at it. */
static void run_disturber(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < LOOKS; i++) {
        for (uint32_t k = sim_dice(6); k > 0; k--)
            sim_pause();
        w.woken = true;
    }
}

static void run_world(bool is_member)
{
    memset(&w, 0, sizeof w);
    w.is_member = is_member;
    w.messages = 1 + sim_dice(MESSAGES_MAX);
    lst_pub_init(&w.pub, ENTRIES, ENTRY_BYTES, 0, 0);
    w.pub.publication.roster.operations.signal = signal_reader;
    lst_cell_new(&w.pub, 0, HOLDS);
    lst_parts(&w.pub, 1);
    lsi_roster_sync(&w.pub.publication.roster); /* nobody is there */
    if (is_member)
        (void)join();
    sim.shared_count = 0;
    sim.broken = NULL;
    sim_share(&w.pub.ring->tail, 8);
    sim_share(&w.pub.ring->horizon, 8);
    sim_share(w.pub.entries, (size_t)ENTRIES * ENTRY_BYTES);
    sim_share(w.pub.parts[0], LSHM_ROSTER_ROWS * sizeof(struct lshm_roster_row));
    sim_share(&w.pub.record, sizeof w.pub.record);
    sim_share(w.pub.sleep, sizeof w.pub.sleep);
    sim_share(w.pub.cells[0], (size_t)lsi_cell_lines(HOLDS) * LSHM_LINE_BYTES);
    sim_add(run_publisher, NULL);
    sim_add(run_reader, NULL);
    sim_add(is_member ? run_disturber : run_time_out, NULL);
    if (!sim_run())
        sim_broken("the reader sleeps for ever");
    lst_pub_free(&w.pub);
}

static void joining(void)
{
    run_world(false);
}

static void joined_before(void)
{
    run_world(true);
}

static void test_spared_fence__reader_that_has_just_joined__finds_it_at_its_next_look(void **state)
{
    (void)state;
    rescued = 0;
    sim_explore(joining, false, RUNS);
    sim_explore(joining, true, RUNS);
    assert_true(rescued > 0); /* else the look would not be needed, or is not tested here */
}

static void test_spared_fence__reader_that_joined_long_before__is_woken(void **state)
{
    (void)state;
    sim_explore(joined_before, false, RUNS);
    sim_explore(joined_before, true, RUNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_spared_fence__reader_that_has_just_joined__finds_it_at_its_next_look),
        cmocka_unit_test(test_spared_fence__reader_that_joined_long_before__is_woken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
