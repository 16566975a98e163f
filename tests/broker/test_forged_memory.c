/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library does not trust the memory files that it is sent: each must have the seals, the size
 * and the access mode that map-then-seal gives it, or it is not mapped. Nor does it look at places
 * outside what it has mapped. A relay forges them, one at a time, on the way from a real broker.
 */
#include <stddef.h>
#include <string.h>

#include <lshm/inspect.h>
#include <lshm/lshm.h>

#include "base/atomic.h"
#include "ctl/message.h"
#include "relay.h"

#define OPEN_MAX 400 /* ports; long before, they need another part */

/* What can be wrong with memory that is to be read, and to be written. */
static const enum relay_kind read_kinds[] = { RELAY_NO_SEALS, RELAY_SIZE_SEALED, RELAY_SHORT,
                                              RELAY_OTHER_MODE };
static const enum relay_kind written_kinds[] = { RELAY_NO_SEALS, RELAY_SHORT, RELAY_OTHER_MODE };
#define READ_KINDS (sizeof read_kinds / sizeof read_kinds[0])
#define WRITTEN_KINDS (sizeof written_kinds / sizeof written_kinds[0])

static struct lst_broker broker;
static struct relay relay;
/* One session through the relay, one without. */
static struct lshm_context *deceived, *direct;

static int setup(void **state)
{
    struct lst_fixture *fixture;

    if (lst_setup(state) < 0)
        return -1;
    fixture = *state;
    lst_must(lst_broker_start(&broker, fixture->dir));
    relay_start(&relay, fixture->dir, broker.socket_path);
    return 0;
}

static int teardown(void **state)
{
    relay_stop(&relay);
    lst_must(lst_broker_stop(&broker));
    return lst_teardown(state);
}

static int open_context(const char *path, struct lshm_context **ret_context)
{
    struct lshm_context_options options = { .size = sizeof options, .socket = path };

    return lshm_context_open(&options, NULL, ret_context);
}

static void open_both(void)
{
    assert_int_equal(open_context(relay.path, &deceived), 0);
    assert_int_equal(open_context(broker.socket_path, &direct), 0);
}

static void close_both(void)
{
    lshm_context_close(deceived);
    lshm_context_close(direct);
}

static int open_publisher(struct lshm_context *context, struct lshm_publisher **ret_publisher)
{
    struct lshm_publisher_options options = {
        .size = sizeof options,
        .payload_bytes = 1000,
        .ring_entries = 16,
        .slot_count = 8,
    };

    return lshm_publisher_open(context, "test/forged", &options, NULL, ret_publisher);
}

static int open_subscriber(struct lshm_context *context, uint32_t holds,
                           struct lshm_subscriber **ret_subscriber)
{
    struct lshm_subscriber_options options = {
        .size = sizeof options, .window = 4, .holds = holds };

    return lshm_subscriber_open(context, "test/forged", &options, NULL, ret_subscriber);
}

static struct lshm_publisher_statistics statistics_of(struct lshm_publisher *publisher)
{
    struct lshm_publisher_statistics s = { .size = sizeof s };

    assert_int_equal(lshm_publisher_get_statistics(publisher, &s), 0);
    return s;
}

static void cross(struct lshm_publisher *publisher, struct lshm_subscriber *subscriber)
{
    struct lshm_message m;

    assert_int_equal(lshm_publisher_send(publisher, "x", 1), 0);
    assert_int_equal(lshm_subscriber_wait(subscriber, INT64_C(5000000000)), 1);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
}

static void context_is_refused(enum relay_kind kind, uint32_t index)
{
    deceived = NULL;
    relay_forge(&relay, kind, LSI_CTL_HELLO | LSI_CTL_REPLY, index);
    assert_int_equal(open_context(relay.path, &deceived), -LSHM_ECORRUPT);
    assert_null(deceived);
    assert_int_equal(lsi_load_relaxed(&relay.forged), 1);
}

static void test_context__of_forged_memory__does_not_open(void **state)
{
    (void)state;
    for (size_t i = 0; i < READ_KINDS; i++) {
        context_is_refused(read_kinds[i], 0); /* public */
        context_is_refused(read_kinds[i], 1); /* board */
    }
    for (size_t i = 0; i < WRITTEN_KINDS; i++)
        context_is_refused(written_kinds[i], 2); /* control */
    relay_forge(&relay, RELAY_HONEST, 0, 0);
    open_both();
    close_both();
}

static void test_context__of_regions_that_are_too_small__does_not_open(void **state)
{
    static const size_t offsets[] = {
        offsetof(struct lsi_ctl_hello_reply, public_bytes),
        offsetof(struct lsi_ctl_hello_reply, board_bytes),
        offsetof(struct lsi_ctl_hello_reply, control_bytes),
    };

    (void)state;
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        relay_forge_word(&relay, LSI_CTL_HELLO | LSI_CTL_REPLY, offsets[i], 64);
        assert_int_equal(open_context(relay.path, &deceived), -LSHM_EPROTO);
        assert_int_equal(lsi_load_relaxed(&relay.forged), 1);
    }
}

/* Nothing of it stays behind: the next one opens, and works. */
static void test_publisher__of_forged_memory__does_not_open(void **state)
{
    struct lshm_publisher *publisher = NULL;
    struct lshm_subscriber *subscriber;

    (void)state;
    open_both();
    for (uint32_t index = 0; index < 2; index++) {
        for (size_t i = 0; i < WRITTEN_KINDS; i++) {
            relay_forge(&relay, written_kinds[i], LSI_CTL_PUBLISHER_MEMORY, index);
            assert_int_equal(open_publisher(deceived, &publisher), -LSHM_ECORRUPT);
            assert_null(publisher);
            assert_int_equal(lsi_load_relaxed(&relay.forged), 1);
        }
    }
    relay_forge(&relay, RELAY_HONEST, 0, 0);
    assert_int_equal(open_publisher(deceived, &publisher), 0);
    assert_int_equal(open_subscriber(direct, 1, &subscriber), 0);
    cross(publisher, subscriber);
    close_both();
}

static bool has_no_readers(void *publisher)
{
    return statistics_of(publisher).readers == 0;
}

/* Nobody waits for the reader that could not map it. */
static void is_free(struct lshm_publisher *publisher)
{
    lst_must(lst_wait_until(has_no_readers, publisher, LST_DEADLINE_MS));
    for (int i = 0; i < 50; i++)
        assert_int_equal(lshm_publisher_send(publisher, "x", 1), 0);
}

static void test_subscriber__to_a_forged_ring__does_not_open(void **state)
{
    struct lshm_publisher *publisher;
    struct lshm_subscriber *subscriber = NULL;

    (void)state;
    open_both();
    assert_int_equal(open_publisher(direct, &publisher), 0);
    for (uint32_t index = 0; index < 2; index++) {
        for (size_t i = 0; i < READ_KINDS; i++) {
            relay_forge(&relay, read_kinds[i], LSI_CTL_PUSH_RING, index);
            assert_int_equal(open_subscriber(deceived, 1, &subscriber), -LSHM_ECORRUPT);
            assert_null(subscriber);
            assert_int_equal(lsi_load_relaxed(&relay.forged), 1);
            is_free(publisher);
        }
    }
    relay_forge(&relay, RELAY_HONEST, 0, 0);
    assert_int_equal(open_subscriber(deceived, 1, &subscriber), 0);
    cross(publisher, subscriber);
    close_both();
}

/* One that was there before the ring. */
static void test_subscriber__that_gets_a_forged_ring__is_told_and_leaves_it(void **state)
{
    struct lshm_subscriber_statistics s = { .size = sizeof s };
    struct lshm_publisher *publisher;
    struct lshm_subscriber *subscriber;
    struct lshm_message m;

    (void)state;
    open_both();
    assert_int_equal(open_subscriber(deceived, 1, &subscriber), 0);
    for (uint32_t index = 0; index < 2; index++) {
        for (size_t i = 0; i < READ_KINDS; i++) {
            relay_forge(&relay, read_kinds[i], LSI_CTL_PUSH_RING, index);
            assert_int_equal(open_publisher(direct, &publisher), 0);
            assert_int_equal(lshm_subscriber_wait(subscriber, INT64_C(5000000000)), 1);
            assert_int_equal(lsi_load_relaxed(&relay.forged), 1);
            assert_int_equal(lshm_subscriber_take(subscriber, &m), -LSHM_ECORRUPT);
            assert_int_equal(lshm_subscriber_take(subscriber, &m), 0);
            assert_int_equal(lshm_subscriber_get_statistics(subscriber, &s), 0);
            assert_int_equal(s.publishers, 0);
            is_free(publisher);
            lshm_publisher_close(publisher);
        }
    }
    relay_forge(&relay, RELAY_HONEST, 0, 0);
    assert_int_equal(open_publisher(direct, &publisher), 0);
    cross(publisher, subscriber);
    close_both();
}

static void test_subscriber__to_a_ring_of_which_it_is_told_nonsense__does_not_open(void **state)
{
    struct lshm_publisher *publisher;
    struct lshm_subscriber *subscriber = NULL;

    (void)state;
    open_both();
    assert_int_equal(open_publisher(direct, &publisher), 0);

    const struct {
        size_t offset;
        uint32_t value;
    } words[] = {
        { offsetof(struct lsi_ctl_push_ring, cell.part), UINT32_MAX },
        { offsetof(struct lsi_ctl_push_ring, cell.line), UINT32_MAX },
        { offsetof(struct lsi_ctl_push_ring, cell.line), lsi_load_relaxed(&relay.control_lines) },
        { offsetof(struct lsi_ctl_push_ring, record.part), UINT32_MAX },
        { offsetof(struct lsi_ctl_push_ring, record.line), UINT32_MAX },
        { offsetof(struct lsi_ctl_push_ring, record.line), lsi_load_relaxed(&relay.board_lines) },
        { offsetof(struct lsi_ctl_push_ring, window), 0 },
        { offsetof(struct lsi_ctl_push_ring, window), 5 }, /* it asks for 4 */
        { offsetof(struct lsi_ctl_push_ring, holds), 2 },  /* and for 1 */
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        relay_forge_word(&relay, LSI_CTL_PUSH_RING, words[i].offset, words[i].value);
        assert_true(open_subscriber(deceived, 1, &subscriber) < 0);
        assert_null(subscriber);
        assert_int_equal(lsi_load_relaxed(&relay.forged), 1);
        is_free(publisher);
    }
    relay_forge(&relay, RELAY_HONEST, 0, 0);
    assert_int_equal(open_subscriber(deceived, 1, &subscriber), 0);
    cross(publisher, subscriber);
    close_both();
}

static void test_publisher__that_is_told_of_a_record_nowhere__does_not_open(void **state)
{
    const size_t offset = offsetof(struct lsi_ctl_publisher_open_reply, record);
    struct lshm_publisher *publisher = NULL;

    (void)state;
    open_both();
    for (uint32_t i = 0; i < 2; i++) {
        relay_forge_word(&relay, LSI_CTL_PUBLISHER_OPEN | LSI_CTL_REPLY,
                         offset + i * sizeof(uint32_t), UINT32_MAX); /* part, line */
        assert_int_equal(open_publisher(deceived, &publisher), -LSHM_EPROTO);
        assert_null(publisher);
        assert_int_equal(lsi_load_relaxed(&relay.forged), 1);
    }
    relay_forge(&relay, RELAY_HONEST, 0, 0);
    assert_int_equal(open_publisher(deceived, &publisher), 0);
    close_both();
}

/* It cannot see how far its reader is: it frees nothing, and says why. */
static void test_publisher__to_a_reader_in_forged_memory__counts_it_as_unmapped(void **state)
{
    struct lshm_publisher *publisher;
    struct lshm_subscriber *subscriber;

    (void)state;
    for (size_t i = 0; i < READ_KINDS; i++) {
        open_both();
        relay_forge(&relay, read_kinds[i], LSI_CTL_PUSH_PEER, 0);
        assert_int_equal(open_subscriber(direct, 1, &subscriber), 0);
        assert_int_equal(open_publisher(deceived, &publisher), 0);
        assert_int_equal(lshm_publisher_send(publisher, "x", 1), 0);
        assert_int_equal(lsi_load_relaxed(&relay.forged), 1);
        assert_int_equal(statistics_of(publisher).unmapped, 1);
        close_both();
    }
}

static void test_board__of_a_forged_part__does_without_it(void **state)
{
    struct lshm_publisher *first, *publisher;
    struct lshm_subscriber *subscriber;

    (void)state;
    for (size_t i = 0; i < READ_KINDS; i++) {
        int count = 0, r;

        open_both();
        relay_forge(&relay, read_kinds[i], LSI_CTL_PUSH_BOARD_PART, 0);
        assert_int_equal(open_publisher(deceived, &first), 0);
        while ((r = open_publisher(deceived, &publisher)) == 0 && count < OPEN_MAX)
            count++;
        assert_int_equal(r, -LSHM_EPROTO); /* what it is told to read there is not there */
        assert_int_equal(lsi_load_relaxed(&relay.forged), 1);
        assert_int_equal(open_subscriber(direct, 1, &subscriber), 0);
        cross(first, subscriber);
        close_both();
    }
}

/* Of more parts than there can be: as one that cannot be mapped. */
static void test_parts__beyond_the_last__are_not_taken(void **state)
{
    const size_t part = offsetof(struct lsi_ctl_push_part, part);
    struct lshm_publisher *publisher, *first;
    struct lshm_subscriber *subscriber;
    int count = 0;

    (void)state;
    open_both();
    relay_forge_word(&relay, LSI_CTL_PUSH_PEER, part, UINT32_MAX);
    assert_int_equal(open_subscriber(direct, 1, &subscriber), 0);
    assert_int_equal(open_publisher(deceived, &first), 0);
    assert_int_equal(lshm_publisher_send(first, "x", 1), 0);
    assert_int_equal(lsi_load_relaxed(&relay.forged), 1);
    assert_int_equal(statistics_of(first).unmapped, 1);
    lshm_subscriber_close(subscriber);
    relay_forge_word(&relay, LSI_CTL_PUSH_BOARD_PART, part, UINT32_MAX);
    while (open_publisher(deceived, &publisher) == 0 && count < OPEN_MAX)
        count++;
    assert_true(count > 0 && count < OPEN_MAX);
    close_both();
    open_both();
    relay_forge_word(&relay, LSI_CTL_PUSH_CONTROL_PART, part, UINT32_MAX);
    for (count = 0; open_subscriber(deceived, 64, &subscriber) == 0 && count < OPEN_MAX;)
        count++;
    assert_true(lsi_load_relaxed(&relay.forged) > 0);
    assert_int_equal(lsi_load_relaxed(&relay.refusal), -LSHM_ELIMIT);
    close_both();
}

/* The broker, too, is told; whoever cannot map its own memory is cut off. */
static void test_control_region__of_a_forged_part__is_not_mapped(void **state)
{
    struct lshm_publisher *publisher;
    struct lshm_subscriber *subscriber;

    (void)state;
    for (size_t i = 0; i < WRITTEN_KINDS; i++) {
        int count = 0;

        open_both();
        assert_int_equal(open_publisher(direct, &publisher), 0);
        relay_forge(&relay, written_kinds[i], LSI_CTL_PUSH_CONTROL_PART, 0);
        while (open_subscriber(deceived, 64, &subscriber) == 0 && count < OPEN_MAX)
            count++;
        assert_int_equal(lsi_load_relaxed(&relay.forged), 1);
        assert_int_equal(lsi_load_relaxed(&relay.refusal), -LSHM_ECORRUPT);
        assert_int_equal(lshm_publisher_send(publisher, "x", 1), 0);
        close_both();
    }
}

static int run(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_context__of_forged_memory__does_not_open),
        TEST(test_context__of_regions_that_are_too_small__does_not_open),
        TEST(test_publisher__of_forged_memory__does_not_open),
        TEST(test_subscriber__to_a_forged_ring__does_not_open),
        TEST(test_subscriber__that_gets_a_forged_ring__is_told_and_leaves_it),
        TEST(test_subscriber__to_a_ring_of_which_it_is_told_nonsense__does_not_open),
        TEST(test_publisher__that_is_told_of_a_record_nowhere__does_not_open),
        TEST(test_publisher__to_a_reader_in_forged_memory__counts_it_as_unmapped),
        TEST(test_board__of_a_forged_part__does_without_it),
        TEST(test_parts__beyond_the_last__are_not_taken),
        TEST(test_control_region__of_a_forged_part__is_not_mapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
