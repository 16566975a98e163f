/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A publisher, its readers, others that come and go, and a broker, as threads on one mapping.
 *
 * Payloads are plain bytes: written whole before each publish, compared whole at take and again at
 * release. So a slot that is handed out too early is a wrong byte, and a data race that the thread
 * sanitizer reports. Readers release in order, in reverse, or keep some; one joiner after another
 * gets a row from the broker, joins at the tail or in the history, and leaves orderly or dies with
 * samples out. The second test has small rings and everyone sleeps: a wake-up that is lost is a
 * semaphore that times out.
 * covers: P1 C1 J1 R1 R2 R3 W1 W2 W3 G1 G2 G3 G4 G5 G6 G7 G8
 */
#include "core_rig.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>

#define READERS 3u
#define JOINERS 2u
#define PAYLOAD 64u
#define SLOTS 40u
#define WINDOW 8u
#define HOLDS 8u
#define HISTORY 4u
#define LOST_AFTER_S 10 /* a wake-up that takes so long was lost */

enum order { IN_ORDER, REVERSED, KEEPS_SOME };

struct sample {
    uint32_t index, slot;
    uint64_t seq;
};

struct test;

struct client {
    pthread_t thread;
    struct test *test;
    uint32_t cell, row;
    enum order order;
    uint32_t random;
    bool sleeps;
    sem_t wake;
    struct lst_sub sub;
    struct sample out[WINDOW + HOLDS];
    uint32_t out_count;
};

enum request { IDLE, ADMIT, REMOVE, STOP };

struct test {
    struct lst_pub pub;
    unsigned char payload[SLOTS][PAYLOAD];
    uint64_t end; /* messages are numbered below it */
    bool sleeps;
    struct client clients[READERS + JOINERS];
    uint64_t signalled[READERS + JOINERS]; /* by client: the publisher's thread */
    sem_t publisher_wake;
    uint32_t finished, joins, taken_by_joiners, sleeps_done;
    uint32_t broken;                       /* what must not be: counted, told on stderr */
    pthread_mutex_t broker_lock;
    pthread_cond_t broker_change;
    enum request request;                  /* by broker_lock, as all below */
    uint32_t request_row, request_cell, request_flags;
};

static void broken(struct test *test, const char *what)
{
    fprintf(stderr, "%s\n", what);
    lsi_add_relaxed(&test->broken, 1);
}

static unsigned char byte_of(uint64_t seq, uint32_t i)
{
    return (unsigned char)(seq * 31 + (seq >> 8) + i);
}

/* The broker: one thread, the only one that writes rows. */

static void *broker(void *arg)
{
    struct test *test = arg;

    pthread_mutex_lock(&test->broker_lock);
    while (test->request != STOP) {
        if (test->request == ADMIT) {
            lst_row_live(&test->pub, test->request_row, test->request_cell, test->request_flags,
                         WINDOW, HOLDS);
            /* A row in a part that is new. */
            if (test->request_row >= LSHM_ROSTER_ROWS)
                lst_parts(&test->pub, 2);
        } else if (test->request == REMOVE) {
            lst_row_state(&test->pub, test->request_row, LSHM_ROW_GONE);
        }
        test->request = IDLE;
        pthread_cond_broadcast(&test->broker_change);
        while (test->request == IDLE)
            pthread_cond_wait(&test->broker_change, &test->broker_lock);
    }
    pthread_mutex_unlock(&test->broker_lock);
    return NULL;
}

static void ask_broker(struct test *test, enum request request, const struct client *client)
{
    pthread_mutex_lock(&test->broker_lock);
    while (test->request != IDLE)
        pthread_cond_wait(&test->broker_change, &test->broker_lock);
    test->request = request;
    if (client != NULL) {
        test->request_row = client->row;
        test->request_cell = client->cell;
        test->request_flags = client->sleeps ? LSHM_READER_MAY_BLOCK : 0;
    }
    pthread_cond_broadcast(&test->broker_change);
    while (request != STOP && test->request != IDLE)
        pthread_cond_wait(&test->broker_change, &test->broker_lock);
    pthread_mutex_unlock(&test->broker_lock);
}

static void await(struct test *test, sem_t *wake)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LOST_AFTER_S;
    lsi_add_relaxed(&test->sleeps_done, 1);
    while (sem_timedwait(wake, &until) != 0) {
        if (errno == EINTR)
            continue;
        broken(test, "lost wake-up");
        return;
    }
}

/* Readers. */

static uint32_t dice(struct client *client, uint32_t sides)
{
    client->random = client->random * 1664525u + 1013904223u;
    return (client->random >> 16) % sides;
}

static void verify(struct client *client, const struct sample *sample, const char *when)
{
    const unsigned char *bytes = client->test->payload[sample->slot];

    for (uint32_t i = 0; i < PAYLOAD; i++) {
        if (bytes[i] != byte_of(sample->seq, i)) {
            broken(client->test, when);
            return;
        }
    }
}

static int take(struct client *client)
{
    struct lsi_window *w = &client->sub.window;
    struct sample *sample = &client->out[client->out_count];
    struct lsi_descriptor d;
    int taken;

    if (!lsi_window_make_room(w, 0))
        return 0;
    taken = lsi_ring_take(&client->sub.ring, w->position, &d, NULL);
    if (taken < 0)
        broken(client->test, "a lossless reader was lapped");
    if (taken <= 0)
        return 0;
    if (d.length != PAYLOAD || d.time_ns != w->position || d.handle - 1 >= SLOTS) {
        broken(client->test, "wrong descriptor");
        return 0;
    }
    sample->seq = w->position;
    sample->slot = (uint32_t)d.handle - 1;
    sample->index = lsi_window_add(w, false);
    verify(client, sample, "wrong bytes at take");
    client->out_count++;
    return 1;
}

static void release(struct client *client, uint32_t at)
{
    verify(client, &client->out[at], "wrong bytes at release");
    lsi_window_release(&client->sub.window, client->out[at].index);
    client->out_count--;
    memmove(&client->out[at], &client->out[at + 1],
            (client->out_count - at) * sizeof client->out[0]);
}

/* End of a call that moved the cursor or dropped a hold: a publisher that waits is told. */
static void tell_publisher(struct client *client)
{
    struct test *test = client->test;

    if (test->sleeps && lsi_cell_waited_for(test->pub.cells[client->cell], test->pub.ring) != 0)
        sem_post(&test->publisher_wake);
}

static void release_some(struct client *client)
{
    uint32_t keep = 0;

    if (client->order == KEEPS_SOME)
        keep = client->out_count / 2;
    while (client->out_count > keep) {
        uint32_t at = 0;

        if (client->order == REVERSED)
            at = client->out_count - 1;
        else if (client->order == KEEPS_SOME)
            at = dice(client, client->out_count);
        release(client, at);
    }
    lsi_window_settle(&client->sub.window, 0);
    tell_publisher(client);
}

/* Nothing is there and nothing is out. */
static void pause_reader(struct client *client)
{
    struct test *test = client->test;
    uint64_t *word = &test->pub.sleep[client->cell];

    if (!client->sleeps) {
        sched_yield();
        return;
    }
    lsi_store_release(word, lsi_load_relaxed(word) + 1);
    lsi_fence_full(); /* the partner of the flush's fence */
    if (!lsi_ring_has(&client->sub.ring, client->sub.window.position))
        await(test, &client->wake);
    lsi_store_release(word, lsi_load_relaxed(word) + 1);
}

static void *run_reader(void *arg)
{
    struct client *client = arg;
    struct test *test = client->test;
    struct lsi_window *w = &client->sub.window;

    while (w->position < test->end || client->out_count > 0) {
        uint32_t batch = 1 + dice(client, WINDOW);
        bool any = false;

        while (batch-- > 0 && take(client))
            any = true;
        if (client->out_count > 0)
            release_some(client);
        else if (!any && w->position < test->end)
            pause_reader(client);
    }
    lsi_add_relaxed(&test->finished, 1);
    return NULL;
}

static void join_and_leave(struct client *client)
{
    struct test *test = client->test;
    struct lshm_cell *cell = test->pub.cells[client->cell];
    uint64_t start;
    uint32_t goal = dice(client, 60), got = 0;

    lsi_cell_reset(cell, HOLDS);
    ask_broker(test, ADMIT, client);
    /* RLX: a hint. */
    start = lsi_load_relaxed(&test->pub.ring->tail);
    if (dice(client, 2))
        start = start < LST_SEQ_FIRST + HISTORY ? LST_SEQ_FIRST : start - HISTORY;
    start = lsi_cell_join(cell, test->pub.ring, start);
    tell_publisher(client); /* an unset cursor gated */
    lst_sub_init(&client->sub, &test->pub, cell, WINDOW, HOLDS, start);
    for (uint32_t tries = 0; got < goal && tries < 200; tries++) {
        if (take(client)) {
            got++;
        } else {
            release_some(client);
            sched_yield();
        }
    }
    lsi_add_relaxed(&test->taken_by_joiners, got);
    if (dice(client, 2)) {
        while (client->out_count > 0)
            release(client, dice(client, client->out_count));
        lsi_window_settle(&client->sub.window, 0);
        lsi_cell_close(cell);
        tell_publisher(client);
    }
    for (uint32_t i = 0; i < client->out_count; i++)
        verify(client, &client->out[i], "wrong bytes at death");
    client->out_count = 0;
    lst_sub_free(&client->sub);
    ask_broker(test, REMOVE, client);
    sem_post(&test->publisher_wake);
    lsi_add_relaxed(&test->joins, 1);
}

static void *run_joiner(void *arg)
{
    struct client *client = arg;

    while (lsi_load_relaxed(&client->test->finished) < READERS)
        join_and_leave(client);
    return NULL;
}

/* The publisher. */

static void signal_client(void *context, uint64_t client, uint64_t generation)
{
    struct test *test = context; /* pub is its first member */

    if (test->signalled[client] == generation)
        return;
    test->signalled[client] = generation;
    sem_post(&test->clients[client].wake);
}

static uint32_t try_loan(struct test *test)
{
    struct lsi_publication *p = &test->pub.publication;

    if (!lsi_publication_has_entry(p, 0) || p->slots.free_count == 0)
        lsi_reclaim(p, 1);
    return lsi_publication_has_entry(p, 0) ? lst_slots_loan(&p->slots) : LSI_SLOT_NONE;
}

static uint32_t loan(struct test *test)
{
    struct lsi_publication *p = &test->pub.publication;
    struct lshm_ring *ring = test->pub.ring;
    uint32_t slot;

    while ((slot = try_loan(test)) == LSI_SLOT_NONE) {
        uint64_t wanted = LSHM_WAITING_ANY;

        lsi_publication_flush(p);
        if (!test->sleeps) {
            sched_yield();
            continue;
        }
        if (!lsi_publication_has_entry(p, 0))
            wanted = lsi_publication_wanted(p, 1);
        lsi_store_relaxed(&ring->waiting_generation, ring->waiting_generation + 1);
        lsi_store_release(&ring->waiting, wanted);
        lsi_fence_full(); /* the partner of the release's fence */
        slot = try_loan(test);
        if (slot == LSI_SLOT_NONE && wanted != LSHM_WAITING_NONE)
            await(test, &test->publisher_wake);
        lsi_store_release(&ring->waiting, LSHM_WAITING_NONE);
        if (slot != LSI_SLOT_NONE)
            break;
    }
    return slot;
}

static void publish_all(struct test *test)
{
    struct lsi_publication *p = &test->pub.publication;
    uint32_t batch = 0;

    while (p->writer.tail < test->end) {
        uint32_t slot = loan(test);
        struct lsi_descriptor d = {
            .handle = slot + 1ull, .length = PAYLOAD, .time_ns = p->writer.tail,
        };

        for (uint32_t i = 0; i < PAYLOAD; i++)
            test->payload[slot][i] = byte_of(p->writer.tail, i);
        lsi_publication_publish(p, &d, NULL, slot);
        if (batch++ % 4 == 3)
            lsi_publication_flush(p);
    }
    lsi_publication_flush(p);
}

static void test_init(struct test *test, uint64_t messages, uint32_t entries, bool sleeps)
{
    test->end = LST_SEQ_FIRST + messages;
    test->sleeps = sleeps;
    lst_pub_init(&test->pub, entries, 64, SLOTS, LST_SEQ_FIRST);
    test->pub.publication.history = HISTORY;
    test->pub.publication.roster.operations.signal = signal_client;
    assert_int_equal(sem_init(&test->publisher_wake, 0, 0), 0);
    assert_int_equal(pthread_mutex_init(&test->broker_lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&test->broker_change, NULL), 0);
    lst_parts(&test->pub, 1);
    for (uint32_t i = 0; i < READERS + JOINERS; i++) {
        struct client *client = &test->clients[i];

        *client = (struct client){ .test = test, .cell = i, .row = i, .random = i };
        client->order = (enum order)(i % 3);
        client->sleeps = sleeps && i < READERS;
        if (i == READERS)
            client->row = LSHM_ROSTER_ROWS + 4;
        lst_cell_new(&test->pub, i, HOLDS);
        assert_int_equal(sem_init(&client->wake, 0, 0), 0);
        if (i >= READERS)
            continue;
        lst_row_live(&test->pub, i, i, sleeps ? LSHM_READER_MAY_BLOCK : 0, WINDOW, HOLDS);
        lst_sub_init(&client->sub, &test->pub, test->pub.cells[i], WINDOW, HOLDS,
                     lsi_cell_join(test->pub.cells[i], test->pub.ring, LST_SEQ_FIRST));
    }
}

static void run(uint64_t messages, uint32_t entries, bool sleeps)
{
    struct test *test = lst_zeroed(1, sizeof *test);
    struct lsi_publication *p = &test->pub.publication;
    pthread_t broker_thread;

    test_init(test, messages, entries, sleeps);
    assert_int_equal(pthread_create(&broker_thread, NULL, broker, test), 0);
    for (uint32_t i = 0; i < READERS + JOINERS; i++) {
        struct client *client = &test->clients[i];

        assert_int_equal(pthread_create(&client->thread, NULL,
                                        i < READERS ? run_reader : run_joiner, client), 0);
    }
    publish_all(test);
    for (uint32_t i = 0; i < READERS + JOINERS; i++)
        pthread_join(test->clients[i].thread, NULL);
    ask_broker(test, STOP, NULL);
    pthread_join(broker_thread, NULL);
    print_message("%u joins, %u taken by joiners, %u sleeps, %lu holds\n", test->joins,
                  test->taken_by_joiners, test->sleeps_done,
                  (unsigned long)test->pub.cells[2]->hold_version);
    assert_int_equal(test->broken, 0);
    assert_true(test->joins > 0);
    p->history = 0;
    lsi_reclaim(p, 0);
    assert_int_equal(p->slots.free_count, SLOTS);
    for (uint32_t i = 0; i < READERS; i++)
        lst_sub_free(&test->clients[i].sub);
    lst_pub_free(&test->pub);
    free(test);
}

static void test_publication__readers_in_any_order__every_byte_is_right(void **state)
{
    (void)state;
    run(100000, 32, false);
}

static void test_publication__everyone_sleeps__no_wake_up_is_lost(void **state)
{
    (void)state;
    run(20000, 8, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publication__readers_in_any_order__every_byte_is_right),
        cmocka_unit_test(test_publication__everyone_sleeps__no_wake_up_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
