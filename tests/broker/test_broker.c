/* SPDX-License-Identifier: Apache-2.0 */
/*
 * brokerd by its bare protocol: attach, ports, links, boards.
 *
 * covers: B0 B3 (rosters are read while they change, and grow)
 */
#include "raw.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomic.h"
#include "os/memory.h"
#include "os/socket.h"

static struct raw_broker broker;

static int setup(void **state)
{
    const struct lst_fixture *fixture;

    if (lst_setup(state) != 0)
        return -1;
    fixture = *state;
    raw_broker_start(&broker, fixture->dir, NULL);
    return 0;
}

static int teardown(void **state)
{
    int code = raw_broker_stop(&broker);

    return lst_teardown(state) != 0 || code != 0 ? -1 : 0;
}

static uint64_t row_state(const struct lshm_roster_row *row)
{
    return lsi_load_acquire(&row->state) & LSHM_ROW_STATE_MASK;
}

static void test_broker__attach__gives_regions_with_headers(void **state)
{
    struct raw_client client;
    const struct lshm_public *public;
    const struct lshm_board *board;

    (void)state;
    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
    public = client.public.base;
    board = client.board[0].base;
    assert_int_equal(public->header.magic, LSHM_REGION_MAGIC);
    assert_int_equal(public->header.kind, LSHM_REGION_PUBLIC);
    assert_int_equal(public->worker_generation, LST_COUNTER_START + 1);
    assert_int_equal(board->header.kind, LSHM_REGION_BOARD);
    assert_int_equal(board->header.client, client.number);
    assert_int_equal(client.keeper_pid, broker.pid);
    raw_close(&client);
}

static void test_broker__other_abi__refused_with_both_versions(void **state)
{
    struct raw_client client;
    struct lsi_ctl_hello hello = {.header.type = LSI_CTL_HELLO, .abi_major = LSHM_ABI_MAJOR + 1};

    (void)state;
    assert_int_equal(raw_connect(&client, broker.socket_path), 0);
    assert_int_equal(raw_call(&client, &hello, sizeof(hello)), -LSHM_EVERSION);
    assert_non_null(strstr(client.packet.refusal.text, "ABI 1.0"));
    assert_int_equal(raw_turn(&client, RAW_TIMEOUT_MS), -LSHM_EGONE);
    raw_close(&client);
}

static void test_broker__subscriber_first__ring_is_new_and_row_is_live(void **state)
{
    struct raw_client reader, writer;
    struct lshm_ref record;
    uint64_t subscriber, publisher;
    const struct lshm_roster_row *row;

    (void)state;
    assert_int_equal(raw_attach(&reader, broker.socket_path, 0), 0);
    assert_int_equal(raw_attach(&writer, broker.socket_path, 0), 0);
    assert_int_equal(raw_subscriber_open(&reader, "a/b", 0, &subscriber), 0);
    assert_int_equal(reader.packet.subscriber_open_reply.rings, 0);
    assert_int_equal(raw_publisher_open(&writer, raw_publisher_wish("a/b"), &publisher, &record),
                     0);
    assert_int_equal(writer.peer_count, 1);
    row = raw_row(&writer, record, 0);
    assert_int_equal(row_state(row), LSHM_ROW_LIVE);
    assert_int_equal(row->client, reader.number);
    assert_int_equal(row->window, 8);
    assert_int_equal(raw_wait(&reader, &reader.ring_count, 1), 0);
    assert_int_equal(reader.rings[0].push.flags, LSI_CTL_RING_NEW);
    assert_int_equal(reader.rings[0].push.publisher, publisher);
    assert_int_equal(reader.rings[0].push.link, row->link);
    assert_memory_equal(&reader.rings[0].push.cell, &row->cell, sizeof(row->cell));
    raw_close(&reader);
    raw_close(&writer);
}

static void test_broker__publisher_first__ring_comes_before_the_reply(void **state)
{
    struct raw_client reader, writer;
    const struct lshm_board_reader *record;
    uint64_t subscriber, publisher;

    (void)state;
    assert_int_equal(raw_attach(&writer, broker.socket_path, 0), 0);
    assert_int_equal(raw_publisher_open(&writer, raw_publisher_wish("t"), &publisher, NULL), 0);
    assert_int_equal(raw_attach(&reader, broker.socket_path, 0), 0);
    assert_int_equal(raw_subscriber_open(&reader, "t", 0, &subscriber), 0);
    assert_int_equal(reader.packet.subscriber_open_reply.rings, 1);
    assert_int_equal(reader.ring_count, 1);
    assert_int_equal(reader.rings[0].push.flags, 0);
    record = raw_line(reader.board, reader.rings[0].push.record);
    assert_int_equal(record->state, LSHM_LINK_LIVE);
    assert_int_equal(record->link, reader.rings[0].push.link);
    raw_close(&reader);
    raw_close(&writer);
}

static void test_broker__no_local__skips_own_publishers(void **state)
{
    struct raw_client client;
    uint64_t publisher, subscriber;

    (void)state;
    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
    assert_int_equal(raw_publisher_open(&client, raw_publisher_wish("t"), &publisher, NULL), 0);
    assert_int_equal(raw_subscriber_open(&client, "t", LSHM_READER_NO_LOCAL, &subscriber), 0);
    assert_int_equal(client.ring_count, 0);
    assert_int_equal(raw_subscriber_open(&client, "t", 0, &subscriber), 0);
    assert_int_equal(client.ring_count, 1);
    raw_close(&client);
}

static void test_broker__publisher_closes__reader_record_is_dead_with_final_tail(void **state)
{
    struct raw_client reader, writer;
    const struct lshm_board_reader *record;
    uint64_t subscriber, publisher, seq;
    struct lsi_ctl_geometry geometry;
    struct lshm_ring *ring;
    uint32_t looks;

    (void)state;
    assert_int_equal(raw_attach(&reader, broker.socket_path, 0), 0);
    assert_int_equal(raw_attach(&writer, broker.socket_path, 0), 0);
    assert_int_equal(raw_publisher_open(&writer, raw_publisher_wish("t"), &publisher, NULL), 0);
    assert_int_equal(raw_subscriber_open(&reader, "t", 0, &subscriber), 0);
    geometry = reader.rings[0].push.geometry;
    ring = writer.memory[0].base;
    for (seq = 0; seq < 5; seq++) { /* the hint lags behind by two */
        struct lshm_entry *entry =
            (void *)((unsigned char *)ring + geometry.entries_offset + seq * geometry.entry_bytes);

        entry->commit = seq + 1;
    }
    ring->tail = 3;
    looks = reader.look_count;
    assert_int_equal(raw_port_close(&writer, LSI_CTL_PUBLISHER_CLOSE, publisher), 0);
    assert_int_equal(raw_wait(&reader, &reader.look_count, looks + 1), 0);
    record = raw_line(reader.board, reader.rings[0].push.record);
    assert_int_equal(lsi_load_acquire(&record->state), LSHM_LINK_DEAD);
    assert_int_equal(record->final_tail, 5);
    assert_int_equal(raw_port_close(&writer, LSI_CTL_PUBLISHER_CLOSE, publisher), -LSHM_EFOREIGN);
    raw_close(&reader);
    raw_close(&writer);
}

static void test_broker__link_leaves__row_gone_and_cell_used_again_after_reset(void **state)
{
    struct raw_client reader, writer;
    uint64_t subscriber, publisher;
    const struct lshm_roster_row *row;
    const struct lshm_board_publisher *board;
    struct lshm_ref record, cell;
    uint64_t version, generation;
    uint32_t looks;

    (void)state;
    assert_int_equal(raw_attach(&reader, broker.socket_path, 0), 0);
    assert_int_equal(raw_attach(&writer, broker.socket_path, 0), 0);
    assert_int_equal(raw_publisher_open(&writer, raw_publisher_wish("t"), &publisher, &record), 0);
    assert_int_equal(raw_subscriber_open(&reader, "t", 0, &subscriber), 0);
    cell = reader.rings[0].push.cell;
    row = raw_row(&writer, record, 0);
    board = raw_line(writer.board, record);
    generation = row->state >> LSHM_ROW_GENERATION_SHIFT;
    version = lsi_load_acquire(&board->roster_version);
    looks = writer.look_count;
    assert_int_equal(raw_port_close(&reader, LSI_CTL_SUBSCRIBER_CLOSE, subscriber), 0);
    assert_int_equal(row_state(row), LSHM_ROW_GONE);
    assert_true(lsi_load_acquire(&board->roster_version) > version);
    assert_int_equal(raw_wait(&writer, &writer.look_count, looks + 1), 0);

    assert_int_equal(raw_subscriber_open(&reader, "t", 0, &subscriber), 0);
    assert_int_equal(reader.ring_count, 2);
    assert_memory_not_equal(&reader.rings[1].push.cell, &cell, sizeof(cell)); /* not reset yet */
    assert_true(row->state >> LSHM_ROW_GENERATION_SHIFT > generation);
    assert_int_equal(row_state(row), LSHM_ROW_LIVE);
    raw_close(&reader);
    raw_close(&writer);
}

static void test_broker__reset__gives_the_cell_out_again(void **state)
{
    struct raw_client client;
    uint64_t subscriber, publisher;
    struct lshm_ref cell;

    (void)state;
    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
    assert_int_equal(raw_publisher_open(&client, raw_publisher_wish("t"), &publisher, NULL), 0);
    assert_int_equal(raw_subscriber_open(&client, "t", 0, &subscriber), 0);
    cell = client.rings[0].push.cell;
    assert_int_equal(raw_link(&client, LSI_CTL_LINK_LEAVE, subscriber, client.rings[0].push.link),
                     0);
    assert_int_equal(raw_port_close(&client, LSI_CTL_SUBSCRIBER_CLOSE, subscriber), 0);
    assert_int_equal(raw_link(&client, LSI_CTL_LINK_RESET, subscriber, 0), 0);
    assert_int_equal(raw_subscriber_open(&client, "t", 0, &subscriber), 0);
    assert_memory_equal(&client.rings[1].push.cell, &cell, sizeof(cell));
    raw_close(&client);
}

/* Rows, boards and control regions all grow by parts on the way. */
static void test_broker__fifty_subscribers__roster_grows(void **state)
{
    enum { COUNT = 50 };
    struct raw_client reader, writer;
    uint64_t subscriber, publisher;
    struct lshm_ref record;
    const struct lshm_board_publisher *board;
    uint32_t i;

    (void)state;
    assert_int_equal(raw_attach(&reader, broker.socket_path, 0), 0);
    assert_int_equal(raw_attach(&writer, broker.socket_path, 0), 0);
    assert_int_equal(raw_publisher_open(&writer, raw_publisher_wish("t"), &publisher, &record), 0);
    for (i = 0; i < COUNT; i++)
        assert_int_equal(raw_subscriber_open(&reader, "t", 0, &subscriber), 0);
    assert_int_equal(reader.ring_count, COUNT);
    while (raw_turn(&writer, 100) > 0)
        continue;
    board = raw_line(writer.board, record);
    assert_int_equal(board->roster_parts, 3);
    for (i = 0; i < COUNT; i++)
        assert_int_equal(row_state(raw_row(&writer, record, i)), LSHM_ROW_LIVE);
    raw_close(&reader);
    raw_close(&writer);
}

static void test_broker__reader_fd__can_not_be_made_writable(void **state)
{
    struct raw_client reader, writer;
    uint64_t subscriber, publisher;
    char path[64];
    int fd;
    void *base;

    (void)state;
    assert_int_equal(raw_attach(&writer, broker.socket_path, 0), 0);
    assert_int_equal(raw_publisher_open(&writer, raw_publisher_wish("t"), &publisher, NULL), 0);
    assert_int_equal(raw_attach(&reader, broker.socket_path, LSI_CTL_HELLO_INSPECTOR), 0);
    {
        struct lsi_ctl_region request = {.header.type = LSI_CTL_REGION,
                                         .region = writer.memory[0].region};

        assert_int_equal(raw_call(&reader, &request, sizeof(request)), 0);
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", reader.packet.fds[0]);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0); /* that much the kernel allows */
    base = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_equal(base, MAP_FAILED);
    assert_int_equal(errno, EPERM);
    assert_int_equal(write(fd, "x", 1), -1);
    close(fd);
    lsi_ctl_close_fds(&reader.packet, 0);
    (void)subscriber;
    raw_close(&reader);
    raw_close(&writer);
}

static void test_broker__channel__one_end_for_each(void **state)
{
    struct raw_client reader, writer;
    uint64_t subscriber, publisher;
    struct lsi_ctl_channel request = {.header.type = LSI_CTL_CHANNEL};

    (void)state;
    assert_int_equal(raw_attach(&reader, broker.socket_path, 0), 0);
    assert_int_equal(raw_attach(&writer, broker.socket_path, 0), 0);
    request.peer = reader.number;
    assert_int_equal(raw_send(&writer, &request, sizeof(request)), 0); /* no link: nothing comes */
    assert_int_equal(raw_publisher_open(&writer, raw_publisher_wish("t"), &publisher, NULL), 0);
    assert_int_equal(raw_subscriber_open(&reader, "t", 0, &subscriber), 0);
    assert_int_equal(writer.channel_count, 0);
    assert_int_equal(raw_send(&writer, &request, sizeof(request)), 0);
    assert_int_equal(raw_wait(&writer, &writer.channel_count, 1), 0);
    assert_int_equal(raw_wait(&reader, &reader.channel_count, 1), 0);
    raw_close(&reader);
    raw_close(&writer);
}

/* But not a control part, which all publishers to come may have to wait for. */
static void test_broker__unacknowledged_fds__are_held_back(void **state)
{
    enum { COUNT = 30 }; /* rings of two descriptors each; the 21st leaves less than 64 cells */
    struct raw_client reader, writer;
    uint64_t publisher;
    uint32_t i;
    struct lsi_ctl_subscriber_open wish = {
        .header.type = LSI_CTL_SUBSCRIBER_OPEN, .window = 8, .holds = 8};
    struct lsi_ctl_received received = {.header.type = LSI_CTL_RECEIVED};

    (void)state;
    assert_int_equal(raw_attach(&reader, broker.socket_path, 0), 0);
    assert_int_equal(raw_attach(&writer, broker.socket_path, 0), 0);
    for (i = 0; i < COUNT; i++)
        assert_int_equal(raw_publisher_open(&writer, raw_publisher_wish("t"), &publisher, NULL), 0);
    reader.is_silent = 1;
    lsi_ctl_set_text(wish.topic, sizeof(wish.topic), "t");
    assert_int_equal(raw_send(&reader, &wish, sizeof(wish)), 0);
    while (raw_turn(&reader, 200) == 1)
        continue;
    assert_int_equal(reader.ring_count, (LSI_CTL_UNACKED_FDS - 1) / 2);
    assert_non_null(reader.control[1].base);
    reader.is_silent = 0;
    received.up_to = reader.push_number;
    assert_int_equal(lsi_ctl_send(reader.fd, &received, sizeof(received), NULL, 0), 0);
    assert_int_equal(raw_answer(&reader, reader.next_id, RAW_TIMEOUT_MS), 0);
    assert_int_equal(reader.ring_count, COUNT);
    raw_close(&reader);
    raw_close(&writer);
}

static void test_broker__lists__name_what_there_is(void **state)
{
    struct raw_client client, inspector;
    uint64_t subscriber, publisher;
    struct lsi_ctl_list request = {.header.type = LSI_CTL_LIST};
    uint32_t what;

    (void)state;
    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
    assert_int_equal(raw_publisher_open(&client, raw_publisher_wish("a/b"), &publisher, NULL), 0);
    assert_int_equal(raw_subscriber_open(&client, "a/b", 0, &subscriber), 0);
    assert_int_equal(raw_attach(&inspector, broker.socket_path, LSI_CTL_HELLO_INSPECTOR), 0);
    for (what = LSI_CTL_LIST_CLIENTS; what <= LSI_CTL_LIST_SUBSCRIBERS; what++) {
        request.what = what;
        assert_int_equal(raw_call(&inspector, &request, sizeof(request)), 0);
        assert_int_equal(inspector.packet.list_reply.count, what == LSI_CTL_LIST_CLIENTS ? 2 : 1);
    }
    raw_close(&client);
    raw_close(&inspector);
}

static void test_broker__signals_that_mean_nothing__change_nothing(void **state)
{
    static const int signals[] = {SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2};
    struct raw_client inspector, client;
    pid_t worker;
    uint32_t i;

    (void)state;
    assert_int_equal(raw_attach(&inspector, broker.socket_path, LSI_CTL_HELLO_INSPECTOR), 0);
    worker = raw_worker_pid(&inspector);
    for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        assert_int_equal(kill(broker.pid, signals[i]), 0);
        assert_int_equal(kill(worker, signals[i]), 0);
    }
    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
    assert_int_equal(client.keeper_pid, broker.pid);
    assert_int_equal(raw_worker_pid(&inspector), worker);
    assert_int_equal(inspector.worker_count, 0);
    raw_close(&inspector);
    raw_close(&client);
}

static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    TEST(test_broker__attach__gives_regions_with_headers),
    TEST(test_broker__other_abi__refused_with_both_versions),
    TEST(test_broker__subscriber_first__ring_is_new_and_row_is_live),
    TEST(test_broker__publisher_first__ring_comes_before_the_reply),
    TEST(test_broker__no_local__skips_own_publishers),
    TEST(test_broker__publisher_closes__reader_record_is_dead_with_final_tail),
    TEST(test_broker__link_leaves__row_gone_and_cell_used_again_after_reset),
    TEST(test_broker__reset__gives_the_cell_out_again),
    TEST(test_broker__fifty_subscribers__roster_grows),
    TEST(test_broker__reader_fd__can_not_be_made_writable),
    TEST(test_broker__channel__one_end_for_each),
    TEST(test_broker__unacknowledged_fds__are_held_back),
    TEST(test_broker__lists__name_what_there_is),
    TEST(test_broker__signals_that_mean_nothing__change_nothing),
};

static int run(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
