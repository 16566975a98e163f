/* SPDX-License-Identifier: Apache-2.0 */
/* Segments go when their own publisher says so and their readers have let go, and not before. */
#include "raw.h"

#include <errno.h>
#include <string.h>

#include "os/memory.h"

struct rig {
    struct raw_broker broker;
    struct raw_client writer, reader, stranger, inspector;
    uint64_t publisher;
    uint64_t other;  /* the stranger's publisher */
    uint64_t made;   /* region that was made with the ring */
    uint64_t grown;  /* region that came later */
};

static struct rig rig;

/* As the library does: asks, maps, says so. */
static uint64_t add_segment(struct raw_client *client, uint64_t publisher)
{
    struct lsi_ctl_segment_add add = {.header.type = LSI_CTL_SEGMENT_ADD,
                                      .publisher = publisher,
                                      .slot_bytes = 4096,
                                      .slot_count = 16};
    struct lsi_ctl_mapped mapped = {.header.type = LSI_CTL_MAPPED, .count = 1};
    const struct lsi_ctl_segment_reply *reply = &client->packet.segment_reply;

    assert_int_equal(raw_call(client, &add, sizeof(add)), 0);
    assert_int_equal(client->packet.header.type, LSI_CTL_SEGMENT_MEMORY);
    mapped.regions[0] = reply->layout.region;
    assert_int_equal(lsi_memory_fill(client->packet.fds[0], reply->layout.bytes), 0);
    lsi_ctl_close_fds(&client->packet, 0);
    mapped.header.id = client->next_id;
    assert_int_equal(lsi_ctl_send(client->fd, &mapped, sizeof(mapped), NULL, 0), 0);
    assert_int_equal(raw_answer(client, mapped.header.id, RAW_TIMEOUT_MS), 0);
    return mapped.regions[0];
}

static int setup(void **state)
{
    struct lsi_ctl_publisher_open wish = raw_publisher_wish("t");
    const struct lst_fixture *fixture;
    uint64_t subscriber;

    memset(&rig, 0, sizeof(rig));
    if (lst_setup(state) != 0)
        return -1;
    fixture = *state;
    raw_broker_start(&rig.broker, fixture->dir, NULL);
    wish.memory_max = 1 << 20;
    assert_int_equal(raw_attach(&rig.writer, rig.broker.socket_path, 0), 0);
    assert_int_equal(raw_attach(&rig.reader, rig.broker.socket_path, 0), 0);
    assert_int_equal(raw_attach(&rig.stranger, rig.broker.socket_path, 0), 0);
    assert_int_equal(
        raw_attach(&rig.inspector, rig.broker.socket_path, LSI_CTL_HELLO_INSPECTOR), 0);
    assert_int_equal(raw_publisher_open(&rig.writer, wish, &rig.publisher, NULL), 0);
    assert_int_equal(
        raw_publisher_open(&rig.stranger, raw_publisher_wish("u"), &rig.other, NULL), 0);
    assert_int_equal(raw_subscriber_open(&rig.reader, "t", 0, &subscriber), 0);
    rig.made = rig.writer.memory[1].region;
    rig.grown = add_segment(&rig.writer, rig.publisher);
    assert_int_equal(raw_wait(&rig.reader, &rig.reader.segment_count, 1), 0);
    return 0;
}

static int teardown(void **state)
{
    raw_close(&rig.writer);
    raw_close(&rig.reader);
    raw_close(&rig.stranger);
    raw_close(&rig.inspector);
    return raw_broker_stop(&rig.broker) != 0 || lst_teardown(state) != 0 ? -1 : 0;
}

/* Neither request has an answer: that of the one behind it says that the broker has seen it. */
static void say(struct raw_client *client, uint32_t type, uint64_t port, uint64_t region)
{
    struct lsi_ctl_segment_end end = {
        .header.type = type, .port = port, .region = region, .number = region == rig.grown};

    assert_int_equal(raw_send(client, &end, sizeof(end)), 0);
    assert_true(raw_worker_pid(client) > 0);
}

static int is_there(uint64_t region)
{
    struct lsi_ctl_region request = {.header.type = LSI_CTL_REGION, .region = region};
    int status = raw_call(&rig.inspector, &request, sizeof(request));

    if (status == 0)
        lsi_ctl_close_fds(&rig.inspector.packet, 0);
    assert_true(status == 0 || status == -ENOENT);
    return status == 0;
}

static void expect_nothing_gone(void)
{
    assert_true(is_there(rig.writer.memory[0].region));
    assert_true(is_there(rig.made));
    assert_true(is_there(rig.grown));
    assert_true(raw_worker_pid(&rig.reader) > 0); /* what was pushed before has come, too */
    assert_int_equal(rig.reader.segment_gone_count, 0);
}

static void test_broker__remove_of_anothers_segment__nothing_happens(void **state)
{
    (void)state;
    say(&rig.stranger, LSI_CTL_SEGMENT_REMOVE, rig.publisher, rig.grown);
    say(&rig.stranger, LSI_CTL_SEGMENT_REMOVE, rig.other, rig.grown);
    say(&rig.reader, LSI_CTL_SEGMENT_REMOVE, rig.publisher, rig.grown);
    say(&rig.writer, LSI_CTL_SEGMENT_REMOVE, rig.other, rig.stranger.memory[1].region);
    expect_nothing_gone();
    assert_true(is_there(rig.stranger.memory[1].region));
}

static void test_broker__remove_of_what_is_no_grown_segment__nothing_happens(void **state)
{
    const uint64_t regions[] = {0, UINT64_MAX, rig.made, rig.writer.memory[0].region,
                                rig.writer.control[0].region};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(regions) / sizeof(regions[0]); i++)
        say(&rig.writer, LSI_CTL_SEGMENT_REMOVE, rig.publisher, regions[i]);
    say(&rig.writer, LSI_CTL_SEGMENT_REMOVE, 0, rig.grown);
    say(&rig.writer, LSI_CTL_SEGMENT_REMOVE, UINT64_MAX, rig.grown);
    expect_nothing_gone();
}

static void test_broker__left_of_a_segment_that_stays__nothing_happens(void **state)
{
    const uint64_t link = rig.reader.rings[0].push.link;

    (void)state;
    say(&rig.reader, LSI_CTL_SEGMENT_LEFT, link, rig.grown);
    say(&rig.reader, LSI_CTL_SEGMENT_LEFT, link, rig.made);
    say(&rig.stranger, LSI_CTL_SEGMENT_LEFT, link, rig.grown);
    expect_nothing_gone();
    say(&rig.writer, LSI_CTL_SEGMENT_REMOVE, rig.publisher, rig.grown);
    assert_true(is_there(rig.grown)); /* the reader has it still */
}

static void test_broker__removed_segment__stays_until_its_reader_leaves_it(void **state)
{
    const uint64_t link = rig.reader.rings[0].push.link;

    (void)state;
    say(&rig.writer, LSI_CTL_SEGMENT_REMOVE, rig.publisher, rig.grown);
    say(&rig.writer, LSI_CTL_SEGMENT_REMOVE, rig.publisher, rig.grown);
    assert_int_equal(raw_wait(&rig.reader, &rig.reader.segment_gone_count, 1), 0);
    say(&rig.stranger, LSI_CTL_SEGMENT_LEFT, link, rig.grown);
    say(&rig.writer, LSI_CTL_SEGMENT_LEFT, link, rig.grown);
    say(&rig.reader, LSI_CTL_SEGMENT_LEFT, link + 1, rig.grown);
    assert_true(is_there(rig.grown));
    say(&rig.reader, LSI_CTL_SEGMENT_LEFT, link, rig.grown);
    assert_false(is_there(rig.grown));
    say(&rig.reader, LSI_CTL_SEGMENT_LEFT, link, rig.grown);
    say(&rig.writer, LSI_CTL_SEGMENT_REMOVE, rig.publisher, rig.grown);
    assert_true(is_there(rig.made));
    assert_true(add_segment(&rig.writer, rig.publisher) != rig.grown);
}

static int import(struct raw_client *client, uint64_t publisher, uint64_t link, uint64_t region)
{
    struct lsi_ctl_segment_import request = {.header.type = LSI_CTL_SEGMENT_IMPORT,
                                             .publisher = publisher,
                                             .link = link,
                                             .region = region};

    return raw_call(client, &request, sizeof(request));
}

/* Only what comes through a link of its own, into a ring of its own. */
static void test_broker__import_of_what_is_not_read__is_refused(void **state)
{
    const uint64_t link = rig.reader.rings[0].push.link;
    uint64_t own;

    (void)state;
    assert_int_equal(raw_publisher_open(&rig.reader, raw_publisher_wish("v"), &own, NULL), 0);
    assert_int_equal(import(&rig.reader, rig.publisher, link, rig.grown), -LSHM_EFOREIGN);
    assert_int_equal(import(&rig.stranger, rig.other, link, rig.grown), -LSHM_EFOREIGN);
    assert_int_equal(import(&rig.reader, own, link + 1, rig.grown), -LSHM_EFOREIGN);
    assert_int_equal(import(&rig.reader, own, link, rig.stranger.memory[1].region),
                     -LSHM_ELIMIT);
    assert_int_equal(import(&rig.reader, own, link, 0), -LSHM_ELIMIT);
    assert_int_equal(import(&rig.reader, own, link, rig.grown), 0);
    assert_int_equal(import(&rig.reader, own, link, rig.grown), 0);
    assert_int_equal(import(&rig.reader, own, link, rig.made), 0);
}

static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    TEST(test_broker__import_of_what_is_not_read__is_refused),
    TEST(test_broker__remove_of_anothers_segment__nothing_happens),
    TEST(test_broker__remove_of_what_is_no_grown_segment__nothing_happens),
    TEST(test_broker__left_of_a_segment_that_stays__nothing_happens),
    TEST(test_broker__removed_segment__stays_until_its_reader_leaves_it),
};

static int run(void)
{
    return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
