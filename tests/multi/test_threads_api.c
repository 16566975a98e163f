/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of one process: ports of one context used at once, releases by another thread than the
 * one that takes, ports that come and go meanwhile.
 *
 * covers: T1 T2 L1 L2 L3 L4 L5 S1 W1
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "agent.h"

#define MESSAGES 20000
#define RING 16
#define SECOND INT64_C(1000000000)
#define SLOW_NS (SECOND / 2)
#define SLOW_MAX 3

static struct lshm_context *context;

static int setup(void **state)
{
    struct lshm_context_options options = { .size = sizeof options };

    if (agent_setup(state) < 0)
        return -1;
    options.socket = agent_rig.broker.socket_path;
    return lshm_context_open(&options, NULL, &context);
}

static int teardown(void **state)
{
    lshm_context_close(context);
    return agent_teardown(state);
}

static struct lshm_publisher *open_publisher(const char *topic, int64_t wait_ns)
{
    struct lshm_publisher_options options = {
        .size = sizeof options,
        .payload_bytes = 1000,
        .ring_entries = RING,
        .slot_count = RING / 2,
        .wait_ns = wait_ns,
    };
    struct lshm_publisher *publisher = NULL;

    assert_int_equal(lshm_publisher_open(context, topic, &options, NULL, &publisher), 0);
    return publisher;
}

static struct lshm_subscriber *open_subscriber(const char *topic)
{
    struct lshm_subscriber_options options = { .size = sizeof options, .window = 4, .holds = 4 };
    struct lshm_subscriber *subscriber = NULL;

    assert_int_equal(lshm_subscriber_open(context, topic, &options, NULL, &subscriber), 0);
    return subscriber;
}

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

/* A thread with a port of its own; what it found is looked at when it has ended. */
struct worker {
    pthread_t thread;
    struct lshm_publisher *publisher;
    struct lshm_subscriber *subscriber;
    uint64_t count; /* messages to move */
    uint64_t moved;
    unsigned slow;
    int error;
};

static void start(struct worker *worker, void *(*run)(void *))
{
    assert_int_equal(pthread_create(&worker->thread, NULL, run, worker), 0);
}

static void join(const struct worker *worker)
{
    assert_int_equal(pthread_join(worker->thread, NULL), 0);
    assert_int_equal(worker->error, 0);
}

/* Publishes numbers, half of them inline. */
static void *run_publisher(void *arg)
{
    struct worker *self = arg;

    for (; self->moved < self->count && self->error == 0; self->moved++) {
        struct lshm_message m;
        int64_t before = now_ns();

        self->error = lshm_publisher_loan(self->publisher, self->moved % 2 ? 8 : 1000, &m);
        self->slow += now_ns() - before > SLOW_NS;
        if (self->error < 0)
            break;
        memset(m.data, (int)(self->moved & 0xff), m.length);
        m.user[0] = self->moved;
        self->error = lshm_publisher_publish(self->publisher, &m);
    }
    return NULL;
}

/* 0, or what is wrong. */
static int check(const struct lshm_message *m, uint64_t number)
{
    const unsigned char *data = m->data;

    if (m->user[0] != number || m->seq != LST_SEQ_FIRST + number)
        return -EBADMSG;
    return data[0] == (number & 0xff) && data[m->length - 1] == (number & 0xff) ? 0 : -EILSEQ;
}

/* The next message: 1, or an error. */
static int take(struct worker *self, struct lshm_message *m)
{
    int r;

    while ((r = lshm_subscriber_take(self->subscriber, m)) == 0) {
        int64_t before = now_ns();

        r = lshm_subscriber_wait(self->subscriber, 20 * SECOND);
        self->slow += now_ns() - before > SLOW_NS;
        if (r <= 0)
            return r < 0 ? r : -ETIMEDOUT;
    }
    return r;
}

static void *run_subscriber(void *arg)
{
    struct worker *self = arg;

    for (; self->moved < self->count && self->error == 0; self->moved++) {
        struct lshm_message m;
        int r = take(self, &m);

        self->error = r < 0 ? r : check(&m, self->moved);
        if (r > 0 && self->error == 0)
            self->error = lshm_subscriber_release(self->subscriber, &m);
    }
    return NULL;
}

static void *run_one(void *arg)
{
    struct worker *self = arg;
    struct lshm_message m;
    int r = take(self, &m);

    self->error = r < 0 ? r : lshm_subscriber_release(self->subscriber, &m);
    return NULL;
}

static void test_ports__in_a_thread_each__wait_and_are_woken_independently(void **state)
{
    static const char *const topics[] = { "t/0", "t/1", "t/2" };
    struct worker from[3] = { 0 }, to[3] = { 0 };

    (void)state;
    for (int i = 0; i < 3; i++) {
        to[i].subscriber = open_subscriber(topics[i]);
        from[i].publisher = open_publisher(topics[i], 20 * SECOND);
        to[i].count = from[i].count = MESSAGES;
    }
    for (int i = 0; i < 3; i++) {
        start(&to[i], run_subscriber);
        start(&from[i], run_publisher);
    }
    for (int i = 0; i < 3; i++) {
        join(&from[i]);
        join(&to[i]);
        assert_true(from[i].slow <= SLOW_MAX);
        assert_true(to[i].slow <= SLOW_MAX);
    }
}

/* Two sleepers, and another process that publishes now to one, now to the other. */
static void test_subscribers__of_two_sleeping_threads__are_woken_by_another_process(void **state)
{
    struct worker to[2] = { 0 };
    struct agent from;

    (void)state;
    agent_start(&from);
    for (int i = 0; i < 2; i++) {
        to[i].subscriber = open_subscriber(i ? "t/1" : "t/0");
        (void)agent_do(&from, "pub t/%d", i);
    }
    for (int round = 0; round < 300; round++) {
        int first = round % 2;

        start(&to[first], run_one);
        start(&to[1 - first], run_one);
        assert_int_equal(agent_do(&from, "send %d 1 min=8 max=8", first), 1);
        assert_int_equal(pthread_join(to[first].thread, NULL), 0);
        assert_int_equal(agent_do(&from, "send %d 1 min=8 max=8", 1 - first), 1);
        assert_int_equal(pthread_join(to[1 - first].thread, NULL), 0);
    }
    assert_int_equal(to[0].error, 0);
    assert_int_equal(to[1].error, 0);
    assert_true(to[0].slow + to[1].slow <= SLOW_MAX);
    agent_end(&from);
}

/* Samples on their way from the thread that takes to the one that releases. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct lshm_message samples[4];
    unsigned count;
    int ended;
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void *run_taker(void *arg)
{
    struct worker *self = arg;

    for (; self->moved < self->count && self->error == 0; self->moved++) {
        struct lshm_message m;
        int r = take(self, &m);

        self->error = r < 0 ? r : 0;
        pthread_mutex_lock(&queue.lock);
        while (queue.count == 4 && !queue.ended)
            pthread_cond_wait(&queue.changed, &queue.lock);
        if (r > 0 && queue.count < 4)
            queue.samples[queue.count++] = m;
        pthread_cond_broadcast(&queue.changed);
        pthread_mutex_unlock(&queue.lock);
    }
    pthread_mutex_lock(&queue.lock);
    queue.ended = 1;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
    return NULL;
}

/* Releases the youngest first, and each of them a second time, in vain. */
static void *run_releaser(void *arg)
{
    struct worker *self = arg;

    pthread_mutex_lock(&queue.lock);
    while (self->error == 0) {
        struct lshm_message m;

        while (queue.count == 0 && !queue.ended)
            pthread_cond_wait(&queue.changed, &queue.lock);
        if (queue.count == 0)
            break;
        m = queue.samples[--queue.count];
        pthread_cond_broadcast(&queue.changed);
        pthread_mutex_unlock(&queue.lock);
        self->error = check(&m, m.seq - LST_SEQ_FIRST);
        if (self->error == 0)
            self->error = lshm_subscriber_release(self->subscriber, &m);
        if (self->error == 0 && lshm_subscriber_release(self->subscriber, &m) != -LSHM_ESTALE)
            self->error = -ENOTRECOVERABLE;
        self->moved++;
        pthread_mutex_lock(&queue.lock);
    }
    queue.ended = 1;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
    return NULL;
}

static void test_release__by_another_thread__gives_everything_back(void **state)
{
    struct worker from = { .count = MESSAGES }, to = { .count = MESSAGES }, giver = { 0 };
    struct lshm_subscriber_statistics statistics = { .size = sizeof statistics };
    struct lshm_message m;

    (void)state;
    queue.ended = 0;
    to.subscriber = giver.subscriber = open_subscriber("t/release");
    from.publisher = open_publisher("t/release", 20 * SECOND);
    start(&giver, run_releaser);
    start(&to, run_taker);
    start(&from, run_publisher);
    join(&from);
    join(&to);
    join(&giver);
    assert_int_equal(giver.moved, MESSAGES);
    assert_true(from.slow <= SLOW_MAX);
    assert_int_equal(lshm_subscriber_take(to.subscriber, &m), 0);
    assert_int_equal(lshm_subscriber_get_statistics(to.subscriber, &statistics), 0);
    assert_int_equal(statistics.out, 0);
    assert_int_equal(statistics.holds, 0);
}

/* Opens and closes ports on two topics that others use. */
static void *run_churn(void *arg)
{
    struct worker *self = arg;

    for (; self->moved < self->count && self->error == 0; self->moved++) {
        const char *topic = self->moved % 2 ? "t/churn" : "t/stream2";
        struct lshm_publisher *publisher = NULL;
        struct lshm_subscriber *subscriber = NULL;

        self->error = lshm_subscriber_open(context, topic, NULL, NULL, &subscriber);
        if (self->error == 0)
            self->error = lshm_publisher_open(context, topic, NULL, NULL, &publisher);
        if (self->error == 0)
            self->error = lshm_publisher_send(publisher, "churn", 5);
        if (self->error == 0 && lshm_subscriber_wait(subscriber, 20 * SECOND) != 1)
            self->error = -ETIMEDOUT;
        lshm_publisher_close(publisher);
        lshm_subscriber_close(subscriber);
    }
    return NULL;
}

static void test_ports__opened_and_closed_by_many_threads__do_not_disturb(void **state)
{
    struct worker from = { .count = MESSAGES }, to = { .count = MESSAGES }, churn[4] = { 0 };

    (void)state;
    to.subscriber = open_subscriber("t/stream");
    from.publisher = open_publisher("t/stream", 20 * SECOND);
    start(&to, run_subscriber);
    start(&from, run_publisher);
    for (int i = 0; i < 4; i++) {
        churn[i].count = 100;
        start(&churn[i], run_churn);
    }
    for (int i = 0; i < 4; i++)
        join(&churn[i]);
    join(&from);
    join(&to);
}

#ifndef NDEBUG
/* Waits for room in its port, which the other thread may be using just then. */
static void *run_waiting_loan(void *arg)
{
    struct worker *self = arg;
    struct lshm_message m;

    do
        self->error = lshm_publisher_loan(self->publisher, 8, &m);
    while (self->error == -LSHM_EBUSY);
    return NULL;
}

/* Debug builds notice a port that two threads use at once. */
static void test_port__used_by_two_threads_at_once__is_busy(void **state)
{
    struct lshm_subscriber *subscriber = open_subscriber("t/busy");
    struct worker from = { .count = RING };
    struct lshm_message none = { 0 }, got;
    int r;

    (void)state;
    from.publisher = open_publisher("t/busy", 20 * SECOND);
    for (int i = 0; i < RING; i++)
        assert_int_equal(lshm_publisher_send(from.publisher, "12345678", 8), 0);
    start(&from, run_waiting_loan);
    while ((r = lshm_publisher_publish(from.publisher, &none)) == -LSHM_EFOREIGN)
        (void)sched_yield();
    assert_int_equal(r, -LSHM_EBUSY);
    for (int i = 0; i < RING; i++) {
        assert_int_equal(lshm_subscriber_take(subscriber, &got), 1);
        assert_int_equal(lshm_subscriber_release(subscriber, &got), 0);
    }
    join(&from);
}
#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_ports__in_a_thread_each__wait_and_are_woken_independently),
        TEST(test_subscribers__of_two_sleeping_threads__are_woken_by_another_process),
        TEST(test_release__by_another_thread__gives_everything_back),
        TEST(test_ports__opened_and_closed_by_many_threads__do_not_disturb),
#ifndef NDEBUG
        TEST(test_port__used_by_two_threads_at_once__is_busy),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
