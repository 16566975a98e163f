/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A publisher that breaks the rules of its ring. Whatever it writes there, a subscriber touches
 * nothing outside the memory that it was given: it passes what makes no sense, says so, counts it,
 * and goes on with the next message.
 */
#include <string.h>

#include <lshm/lshm.h>

#include "base/atomic.h"
#include "core/handle.h"
#include "raw.h"

#define ENTRIES 16u
#define SLOTS 16u
#define SLOT_BYTES 4096u
#define INLINE_BYTES 64u
#define ALL_ONES UINT32_MAX

static struct lst_broker broker;
static struct raw_client hostile;
static struct lsi_ctl_geometry geometry;
static uint64_t seq;
static struct lshm_context *context;
static struct lshm_subscriber *subscriber;

/* The handle of a slot of the one segment there is, and of others. */
#define SLOT(slot) ((uint64_t)1 << LSHM_HANDLE_SEGMENT_SHIFT | (slot))
#define SEGMENT(segment) ((uint64_t)(segment) << LSHM_HANDLE_SEGMENT_SHIFT)

static const struct {
    uint64_t handle;
    uint32_t length, offset, flags;
} bad[] = {
    { SEGMENT(0), 1, 0, 0 },
    { SEGMENT(2), 1, 0, 0 },
    { SEGMENT(LSI_CTL_SEGMENTS), 1, 0, 0 },
    { SEGMENT(LSI_CTL_SEGMENTS + 1), 1, 0, 0 },
    { SEGMENT(65535), 1, 0, 0 },
    { SLOT(SLOTS), 1, 0, 0 },
    { SLOT(SLOTS), 0, 0, 0 },
    { SLOT(LSHM_HANDLE_FIELD_MASK), 1, 0, 0 },
    { SLOT(0), SLOT_BYTES + 1, 0, 0 },
    { SLOT(0), SLOT_BYTES, 1, 0 },
    { SLOT(0), 1, SLOT_BYTES, 0 },
    { SLOT(0), 0, SLOT_BYTES + 1, 0 },
    { SLOT(0), ALL_ONES, 0, 0 },
    { SLOT(0), ALL_ONES, 1, 0 }, /* 32 bits of the sum are 0 */
    { SLOT(0), 1, ALL_ONES, 0 },
    { SLOT(SLOTS - 1), ALL_ONES, ALL_ONES, 0 },
    { 0, INLINE_BYTES + 1, 0, LSHM_ENTRY_INLINE },
    { 0, ALL_ONES, 0, LSHM_ENTRY_INLINE },
    { SLOT(0), SLOT_BYTES, 0, LSHM_ENTRY_INLINE },
    { 0, ALL_ONES, ALL_ONES, ALL_ONES },
};
#define BAD (sizeof bad / sizeof bad[0])

static int setup(void **state)
{
    struct lst_fixture *fixture;
    struct lshm_context_options options = { .size = sizeof options };
    if (lst_setup(state) < 0)
        return -1;
    fixture = *state;
    seq = 0;
    lst_must(lst_broker_start(&broker, fixture->dir));
    options.socket = broker.socket_path;
    assert_int_equal(raw_attach(&hostile, broker.socket_path, 0), 0);
    assert_true(raw_publisher_begin(&hostile, raw_publisher_wish("test/corrupt")) > 0);
    geometry = hostile.packet.publisher_memory.geometry;
    assert_int_equal(geometry.slot_bytes, SLOT_BYTES);
    assert_int_equal(geometry.entry_count, ENTRIES);
    assert_int_equal(raw_say_mapped(&hostile, hostile.next_id), 0);
    assert_int_equal(raw_answer(&hostile, hostile.next_id, RAW_TIMEOUT_MS), 0);
    return lshm_context_open(&options, NULL, &context);
}

static int teardown(void **state)
{
    lshm_context_close(context);
    raw_close(&hostile);
    lst_must(lst_broker_stop(&broker));
    return lst_teardown(state);
}

static void subscribe(uint32_t flags)
{
    struct lshm_subscriber_options options = {
        .size = sizeof options, .window = 4, .holds = 4, .flags = flags };

    assert_int_equal(lshm_subscriber_open(context, "test/corrupt", &options, NULL, &subscriber), 0);
}

static struct lshm_ring *ring(void)
{
    return hostile.memory[0].base;
}

static struct lshm_entry *entry_of(uint64_t number)
{
    unsigned char *entries = (unsigned char *)hostile.memory[0].base + geometry.entries_offset;

    return (struct lshm_entry *)(entries + (number & (ENTRIES - 1)) * geometry.entry_bytes);
}

static void publish(uint64_t handle, uint32_t length, uint32_t offset, uint32_t flags)
{
    struct lshm_entry *entry = entry_of(seq);

    entry->handle = handle;
    entry->length = length;
    entry->offset = offset;
    entry->flags = flags;
    lsi_store_release(&entry->commit, ++seq);
    lsi_store_release(&ring()->tail, seq);
}

static void take_corrupt(void)
{
    struct lshm_message m = { .length = 77 };

    assert_int_equal(lshm_subscriber_take(subscriber, &m), -LSHM_ECORRUPT);
    assert_int_equal(m.length, 77);
}

/* The last byte that may be read, of a slot and of an entry. */
static void take_good(void)
{
    unsigned char *segment = hostile.memory[1].base;
    struct lshm_message m;

    segment[SLOTS * SLOT_BYTES - 1] = (unsigned char)seq;
    publish(SLOT(SLOTS - 1), SLOT_BYTES, 0, 0);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    assert_int_equal(m.length, SLOT_BYTES);
    assert_int_equal(((unsigned char *)m.data)[SLOT_BYTES - 1], (unsigned char)(seq - 1));
    assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);

    memset(entry_of(seq) + 1, (int)seq & 0x7f, INLINE_BYTES);
    publish(0, INLINE_BYTES, 0, LSHM_ENTRY_INLINE);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    assert_int_equal(m.length, INLINE_BYTES);
    assert_int_equal(((unsigned char *)m.data)[INLINE_BYTES - 1], (seq - 1) & 0x7f);
    assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
}

static void counts(uint64_t taken, uint64_t corrupt)
{
    struct lshm_subscriber_statistics s = { .size = sizeof s };

    assert_int_equal(lshm_subscriber_get_statistics(subscriber, &s), 0);
    assert_int_equal(s.taken, taken);
    assert_int_equal(s.corrupt, corrupt);
    assert_int_equal(s.lost, corrupt);
    assert_true(s.ahead <= ENTRIES);
}

static void each_is_passed(uint32_t flags)
{
    subscribe(flags);
    for (size_t i = 0; i < BAD; i++) {
        publish(bad[i].handle, bad[i].length, bad[i].offset, bad[i].flags);
        take_corrupt();
        take_good();
        counts(2 * (i + 1), i + 1);
    }
    lshm_subscriber_close(subscriber);
}

static void test_take__of_a_descriptor_that_names_foreign_memory__refuses_it(void **state)
{
    (void)state;
    each_is_passed(0);
}

static void test_lossy_take__of_a_descriptor_that_names_foreign_memory__refuses_it(void **state)
{
    (void)state;
    each_is_passed(LSHM_SUBSCRIBER_LATEST);
}

static void test_batch__with_bad_descriptors_in_it__gives_the_good_ones(void **state)
{
    struct lshm_message m[ENTRIES];
    int taken = 0, errors = 0;

    (void)state;
    subscribe(0);
    for (uint32_t i = 0; i < 9; i++) /* every third one is bad */
        publish(SLOT(i % 3 == 1 ? SLOTS : i), 1, 0, 0);
    for (int call = 0; call < 9; call++) {
        int r = lshm_subscriber_take_batch(subscriber, m, ENTRIES);

        if (r > 0)
            assert_int_equal(lshm_subscriber_release_batch(subscriber, m, (size_t)r), r);
        taken += r > 0 ? r : 0;
        errors += r == -LSHM_ECORRUPT;
    }
    assert_int_equal(taken, 6);
    assert_true(errors <= 3); /* what came behind good ones was counted only */
    counts(6, 3);
}

/* It had no right to write there before the reader was past it. */
static void test_lossless_take__of_an_entry_that_was_written_over__refuses_it(void **state)
{
    (void)state;
    subscribe(0);
    publish(SLOT(0), 1, 0, 0);
    lsi_store_release(&entry_of(0)->commit, (uint64_t)ENTRIES + 1);
    take_corrupt();
    take_good();
    counts(2, 1);
}

static void test_statistics__of_a_tail_out_of_all_bounds__stay_within_the_ring(void **state)
{
    struct lshm_message m;

    (void)state;
    subscribe(0);
    take_good();
    lsi_store_release(&ring()->tail, UINT64_MAX);
    counts(2, 0);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 0);
    take_good();
    counts(4, 0);
}

static int run(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_take__of_a_descriptor_that_names_foreign_memory__refuses_it),
        TEST(test_lossy_take__of_a_descriptor_that_names_foreign_memory__refuses_it),
        TEST(test_batch__with_bad_descriptors_in_it__gives_the_good_ones),
        TEST(test_lossless_take__of_an_entry_that_was_written_over__refuses_it),
        TEST(test_statistics__of_a_tail_out_of_all_bounds__stay_within_the_ring),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
