/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wake-ups are coalesced: a client that sleeps is sent one for each time that it went to sleep,
 * however many messages, of however many publishers of one process, come meanwhile. One that is
 * awake is sent none.
 */
#include <sys/socket.h>

#include <lshm/lshm.h>

#include "base/atomic.h"
#include "raw.h"

#define MESSAGES 100
#define PUBLISHERS 2

static struct lst_broker broker;
static struct lshm_context *context;
static struct lshm_publisher *publishers[PUBLISHERS];
static struct raw_client reader;

static int setup(void **state)
{
    struct lshm_context_options options = { .size = sizeof options };
    struct lshm_publisher_options wish = { .size = sizeof wish, .ring_entries = 16384 };
    struct lst_fixture *fixture;
    uint64_t subscriber;

    if (lst_setup(state) < 0)
        return -1;
    fixture = *state;
    lst_must(lst_broker_start(&broker, fixture->dir));
    options.socket = broker.socket_path;
    reader = (struct raw_client){ 0 };
    assert_int_equal(raw_attach(&reader, broker.socket_path, 0), 0);
    assert_int_equal(
        raw_subscriber_open(&reader, "test/wakes", LSHM_READER_MAY_BLOCK, &subscriber), 0);
    assert_int_equal(lshm_context_open(&options, NULL, &context), 0);
    for (int i = 0; i < PUBLISHERS; i++)
        assert_int_equal(lshm_publisher_open(context, "test/wakes", &wish, NULL, &publishers[i]),
                         0);
    return 0;
}

static int teardown(void **state)
{
    lshm_context_close(context);
    raw_close(&reader);
    lst_must(lst_broker_stop(&broker));
    return lst_teardown(state);
}

static void sleep_word(uint64_t generation)
{
    struct lshm_control *control = reader.control[0].base;

    lsi_store_relaxed(&control->sleep, generation);
    lsi_fence_full();
}

static ssize_t wakes(void)
{
    char bytes[4 * MESSAGES];

    return recv(reader.channel, bytes, sizeof bytes, MSG_DONTWAIT);
}

/* It is made when it is first needed, and there when a byte comes through it. */
static bool has_channel(void *arg)
{
    (void)arg;
    assert_int_equal(lshm_publisher_send(publishers[0], "x", 1), 0);
    while (raw_turn(&reader, 0) == 1)
        continue;
    return reader.channel > 0 && wakes() > 0;
}

static void send_all(void)
{
    for (int i = 0; i < MESSAGES; i++)
        for (int k = 0; k < PUBLISHERS; k++)
            assert_int_equal(lshm_publisher_send(publishers[k], "x", 1), 0);
}

static void test_wake__of_a_sleeper__is_sent_once_for_each_sleep(void **state)
{
    (void)state;
    sleep_word(1);
    lst_must(lst_wait_until(has_channel, NULL, LST_DEADLINE_MS));
    send_all();
    assert_int_equal(wakes(), -1);
    for (uint64_t generation = 3; generation < 9; generation += 2) {
        sleep_word(generation - 1);
        send_all();
        assert_int_equal(wakes(), -1);
        sleep_word(generation);
        send_all();
        assert_int_equal(wakes(), 1);
    }
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_wake__of_a_sleeper__is_sent_once_for_each_sleep,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
