/* SPDX-License-Identifier: Apache-2.0 */
/* Packets: each type whole, cut, too long, with wrong counts; and each field that is checked. */
#include "support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lshm/error.h>

#include "ctl/codec.h"
#include "ctl/geometry.h"
#include "os/socket.h"

static struct lsi_ctl_packet packet;

struct sample {
    uint32_t type;
    size_t bytes;
    uint32_t fds;
};

static const struct sample requests[] = {
    {LSI_CTL_HELLO, sizeof(struct lsi_ctl_hello), 0},
    {LSI_CTL_BYE, sizeof(struct lsi_ctl_header), 0},
    {LSI_CTL_MAPPED, sizeof(struct lsi_ctl_mapped), 0},
    {LSI_CTL_PUBLISHER_OPEN, sizeof(struct lsi_ctl_publisher_open), 0},
    {LSI_CTL_PUBLISHER_CLOSE, sizeof(struct lsi_ctl_port_close), 0},
    {LSI_CTL_SUBSCRIBER_OPEN, sizeof(struct lsi_ctl_subscriber_open), 0},
    {LSI_CTL_SUBSCRIBER_CLOSE, sizeof(struct lsi_ctl_port_close), 0},
    {LSI_CTL_LINK_LEAVE, sizeof(struct lsi_ctl_link), 0},
    {LSI_CTL_LINK_RESET, sizeof(struct lsi_ctl_link), 0},
    {LSI_CTL_RECEIVED, sizeof(struct lsi_ctl_received), 0},
    {LSI_CTL_CHANNEL, sizeof(struct lsi_ctl_channel), 0},
    {LSI_CTL_STATUS, sizeof(struct lsi_ctl_header), 0},
    {LSI_CTL_LIST, sizeof(struct lsi_ctl_list), 0},
    {LSI_CTL_REGION, sizeof(struct lsi_ctl_region), 0},
    {LSI_CTL_EVICT, sizeof(struct lsi_ctl_evict), 0},
    {LSI_CTL_REJOIN, sizeof(struct lsi_ctl_link), 0},
    {LSI_CTL_SEGMENT_ADD, sizeof(struct lsi_ctl_segment_add), 0},
    {LSI_CTL_SEGMENT_REMOVE, sizeof(struct lsi_ctl_segment_end), 0},
    {LSI_CTL_SEGMENT_LEFT, sizeof(struct lsi_ctl_segment_end), 0},
    {LSI_CTL_WATCH, sizeof(struct lsi_ctl_watch), 0},
    {LSI_CTL_TOPIC_CLEAR, sizeof(struct lsi_ctl_topic_clear), 0},
    {LSI_CTL_SEGMENT_IMPORT, sizeof(struct lsi_ctl_segment_import), 0},
};

#define REPLY_TO(type) (LSI_CTL_##type | LSI_CTL_REPLY)
static const struct sample answers[] = {
    {REPLY_TO(HELLO), sizeof(struct lsi_ctl_hello_reply), 3},
    {REPLY_TO(MAPPED), sizeof(struct lsi_ctl_header), 0},
    {REPLY_TO(PUBLISHER_OPEN), sizeof(struct lsi_ctl_publisher_open_reply), 0},
    {REPLY_TO(PUBLISHER_CLOSE), sizeof(struct lsi_ctl_header), 0},
    {REPLY_TO(SUBSCRIBER_OPEN), sizeof(struct lsi_ctl_subscriber_open_reply), 0},
    {REPLY_TO(SUBSCRIBER_CLOSE), sizeof(struct lsi_ctl_header), 0},
    {REPLY_TO(LINK_LEAVE), sizeof(struct lsi_ctl_header), 0},
    {REPLY_TO(STATUS), sizeof(struct lsi_ctl_status_reply), 0},
    {REPLY_TO(LIST), sizeof(struct lsi_ctl_list_reply), 0},
    {REPLY_TO(REGION), sizeof(struct lsi_ctl_region_reply), 1},
    {LSI_CTL_PUBLISHER_MEMORY, sizeof(struct lsi_ctl_publisher_memory), 2},
    {LSI_CTL_PUSH_BOARD_PART, sizeof(struct lsi_ctl_push_part), 1},
    {LSI_CTL_PUSH_CONTROL_PART, sizeof(struct lsi_ctl_push_part), 1},
    {LSI_CTL_PUSH_RING, sizeof(struct lsi_ctl_push_ring), 2},
    {LSI_CTL_PUSH_PEER, sizeof(struct lsi_ctl_push_part), 1},
    {LSI_CTL_PUSH_PEER_GONE, sizeof(struct lsi_ctl_push_client), 0},
    {LSI_CTL_PUSH_CHANNEL, sizeof(struct lsi_ctl_push_channel), 1},
    {LSI_CTL_PUSH_LOOK, sizeof(struct lsi_ctl_push_client), 0},
    {LSI_CTL_PUSH_WORKER, sizeof(struct lsi_ctl_push_client), 0},
    {REPLY_TO(SEGMENT_ADD), sizeof(struct lsi_ctl_segment_reply), 0},
    {LSI_CTL_SEGMENT_MEMORY, sizeof(struct lsi_ctl_segment_reply), 1},
    {LSI_CTL_PUSH_SEGMENT, sizeof(struct lsi_ctl_push_segment), 1},
    {LSI_CTL_PUSH_SEGMENT_GONE, sizeof(struct lsi_ctl_push_segment), 0},
    {REPLY_TO(WATCH), sizeof(struct lsi_ctl_header), 0},
    {REPLY_TO(TOPIC_CLEAR), sizeof(struct lsi_ctl_topic_clear_reply), 0},
    {REPLY_TO(SEGMENT_IMPORT), sizeof(struct lsi_ctl_segment_reply), 0},
};

static void plan(struct lsi_ctl_geometry *geometry)
{
    struct lsi_ctl_publisher_open open = {
        .slot_bytes = 4096, .slot_count = 8, .entry_count = 8, .entry_bytes = 128};
    struct lsi_bad_option bad;

    assert_int_equal(lsi_geometry_plan(&open, 4096, geometry, &bad), 0);
}

static const struct lsi_ctl_segment segment = {
    .region = 1, .bytes = 8192, .slot_bytes = 4096, .slot_count = 2, .first_slot = 7};

/* A packet of that type that passes. */
static void fill(const struct sample *sample)
{
    memset(&packet, 0, sizeof(packet));
    packet.header.type = sample->type;
    packet.header.bytes = (uint32_t)sample->bytes;
    packet.header.fds = packet.fd_count = sample->fds;
    switch (sample->type) {
    case LSI_CTL_HELLO:
        packet.hello.abi_major = LSHM_ABI_MAJOR;
        packet.hello.abi_minor = LSHM_ABI_MINOR;
        break;
    case LSI_CTL_LIST:
        packet.list.what = LSI_CTL_LIST_CLIENTS;
        break;
    case REPLY_TO(HELLO):
        packet.hello_reply.abi_major = LSHM_ABI_MAJOR;
        packet.hello_reply.abi_minor = LSHM_ABI_MINOR;
        packet.hello_reply.public_bytes = packet.hello_reply.board_bytes =
            packet.hello_reply.control_bytes = 4096;
        break;
    case REPLY_TO(LIST):
        packet.list_reply.what = LSI_CTL_LIST_CLIENTS;
        packet.list_reply.record_bytes = sizeof(struct lsi_ctl_client_record);
        break;
    case LSI_CTL_PUBLISHER_MEMORY:
        plan(&packet.publisher_memory.geometry);
        break;
    case LSI_CTL_PUSH_RING:
        plan(&packet.push_ring.geometry);
        break;
    case LSI_CTL_PUSH_BOARD_PART:
    case LSI_CTL_PUSH_CONTROL_PART:
    case LSI_CTL_PUSH_PEER:
        packet.push_part.bytes = 4096;
        break;
    case REPLY_TO(SEGMENT_ADD):
    case REPLY_TO(SEGMENT_IMPORT):
    case LSI_CTL_SEGMENT_MEMORY:
        packet.segment_reply.layout = segment;
        break;
    case LSI_CTL_PUSH_SEGMENT:
    case LSI_CTL_PUSH_SEGMENT_GONE:
        packet.push_segment.layout = segment;
        break;
    default:
        break;
    }
}

typedef int check(const struct lsi_ctl_packet *packet, size_t bytes);

static void check_sizes(const struct sample *sample, check *passes)
{
    size_t bytes;

    fill(sample);
    assert_int_equal(passes(&packet, sample->bytes), 0);
    for (bytes = 0; bytes < sample->bytes; bytes++) {
        packet.header.bytes = (uint32_t)bytes;
        assert_int_equal(passes(&packet, bytes), -LSHM_EPROTO);
    }
    packet.header.bytes = (uint32_t)sample->bytes + 1;
    assert_int_equal(passes(&packet, sample->bytes + 1), -LSHM_EPROTO);
    packet.header.bytes = (uint32_t)sample->bytes;
    assert_int_equal(passes(&packet, sample->bytes + 1), -LSHM_EPROTO);
    packet.header.fds++;
    assert_int_equal(passes(&packet, sample->bytes), -LSHM_EPROTO);
    packet.fd_count = LSI_CTL_FDS_MAX;
    packet.header.fds = LSI_CTL_FDS_MAX;
    assert_int_equal(passes(&packet, sample->bytes), -LSHM_EPROTO);
    if (sample->fds > 0) {
        packet.fd_count = packet.header.fds = sample->fds - 1;
        assert_int_equal(passes(&packet, sample->bytes), -LSHM_EPROTO);
    }
}

static void test_codec__each_request__passes_only_whole(void **state)
{
    size_t i;

    (void)state;
    assert_int_equal(sizeof(requests) / sizeof(requests[0]), LSI_CTL_TYPE_END - 1);
    for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        check_sizes(&requests[i], lsi_ctl_check_request);
}

static void test_codec__each_answer__passes_only_whole(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        check_sizes(&answers[i], lsi_ctl_check_answer);
    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        fill(&answers[i]);
        packet.header.status = 1;
        assert_int_equal(lsi_ctl_check_answer(&packet, answers[i].bytes), -LSHM_EPROTO);
    }
}

static void test_codec__wrong_direction_or_type__refused(void **state)
{
    static const uint32_t types[] = {0, LSI_CTL_TYPE_END, LSI_CTL_PUSH, LSI_CTL_PUSH_END,
                                     UINT32_MAX};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        fill(&requests[i]);
        assert_int_equal(lsi_ctl_check_answer(&packet, requests[i].bytes), -LSHM_EPROTO);
    }
    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        fill(&answers[i]);
        assert_int_equal(lsi_ctl_check_request(&packet, answers[i].bytes), -LSHM_EPROTO);
    }
    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        fill(&requests[1]);
        packet.header.type = types[i];
        assert_int_equal(lsi_ctl_check_request(&packet, sizeof(packet.header)), -LSHM_EPROTO);
        assert_int_equal(lsi_ctl_check_answer(&packet, sizeof(packet.header)), -LSHM_EPROTO);
    }
}

/* One byte of a valid packet set to something that must not pass. */
struct flaw {
    const struct sample *sample;
    size_t offset;
    size_t bytes;
    unsigned char value;
};
#define FLAW(sample, type, field, value)                                                           \
    {sample, offsetof(struct type, field), sizeof(((struct type *)0)->field), value}

static void test_codec__bad_fields__refused(void **state)
{
    static const struct flaw flaws[] = {
        FLAW(&requests[0], lsi_ctl_hello, name, 'x'),
        FLAW(&requests[0], lsi_ctl_hello, flags, 0x80),
        FLAW(&requests[2], lsi_ctl_mapped, count, LSI_CTL_MAPPED_MAX + 1),
        FLAW(&requests[2], lsi_ctl_mapped, pages, 3),
        FLAW(&requests[2], lsi_ctl_mapped, header.status, 1),
        FLAW(&requests[3], lsi_ctl_publisher_open, topic, 'x'),
        FLAW(&requests[3], lsi_ctl_publisher_open, is_huge, 2),
        FLAW(&requests[3], lsi_ctl_publisher_open, reserved, 1),
        FLAW(&requests[5], lsi_ctl_subscriber_open, topic, 'x'),
        FLAW(&requests[5], lsi_ctl_subscriber_open, flags, 0x80),
        FLAW(&requests[12], lsi_ctl_list, what, 0),
        FLAW(&requests[12], lsi_ctl_list, what, 6),
        FLAW(&requests[12], lsi_ctl_list, reserved, 1),
        FLAW(&requests[19], lsi_ctl_watch, topic, 'x'),
        FLAW(&answers[0], lsi_ctl_hello_reply, public_bytes, 0),
        FLAW(&answers[0], lsi_ctl_hello_reply, board_bytes, 0),
        FLAW(&answers[0], lsi_ctl_hello_reply, control_bytes, 0),
        FLAW(&answers[7], lsi_ctl_status_reply, version, 'x'),
        FLAW(&answers[8], lsi_ctl_list_reply, count, 1),
        FLAW(&answers[8], lsi_ctl_list_reply, record_bytes, 1),
        FLAW(&answers[8], lsi_ctl_list_reply, reserved, 1),
        FLAW(&answers[10], lsi_ctl_publisher_memory, geometry.entries_offset, 0xff),
        FLAW(&answers[10], lsi_ctl_publisher_memory, geometry.segment_count, 0),
        FLAW(&answers[11], lsi_ctl_push_part, bytes, 0),
        FLAW(&answers[11], lsi_ctl_push_part, reserved, 1),
        FLAW(&answers[13], lsi_ctl_push_ring, flags, 4),
        FLAW(&answers[13], lsi_ctl_push_ring, geometry.segments[0].slot_bytes, 0xff),
        FLAW(&answers[13], lsi_ctl_push_ring, retained, 0xff),
        FLAW(&answers[16], lsi_ctl_push_channel, flags, 2),
        FLAW(&answers[16], lsi_ctl_push_channel, reserved, 1),
        FLAW(&requests[16], lsi_ctl_segment_add, reserved, 1),
        FLAW(&requests[18], lsi_ctl_segment_end, number, LSI_CTL_SEGMENTS),
        FLAW(&requests[18], lsi_ctl_segment_end, reserved, 1),
        FLAW(&requests[20], lsi_ctl_topic_clear, topic, 'x'),
        FLAW(&answers[19], lsi_ctl_segment_reply, number, LSI_CTL_SEGMENTS),
        FLAW(&answers[20], lsi_ctl_segment_reply, reserved, 1),
        FLAW(&answers[20], lsi_ctl_segment_reply, layout.slot_count, 0),
        FLAW(&answers[20], lsi_ctl_segment_reply, layout.slot_count, 3),
        FLAW(&answers[21], lsi_ctl_push_segment, number, LSI_CTL_SEGMENTS),
        FLAW(&answers[21], lsi_ctl_push_segment, layout.slot_bytes, 0),
        FLAW(&answers[21], lsi_ctl_push_segment, layout.bytes, 0),
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(flaws) / sizeof(flaws[0]); i++) {
        const struct flaw *flaw = &flaws[i];
        int is_request = flaw->sample->type < LSI_CTL_TYPE_END;

        fill(flaw->sample);
        memset(packet.bytes + flaw->offset, flaw->value, flaw->value == 'x' ? flaw->bytes : 1);
        if (flaw->value == 0 || flaw->value == 0xff)
            memset(packet.bytes + flaw->offset, flaw->value, flaw->bytes);
        assert_int_equal(is_request ? lsi_ctl_check_request(&packet, flaw->sample->bytes)
                                    : lsi_ctl_check_answer(&packet, flaw->sample->bytes),
                         -LSHM_EPROTO);
    }
}

/* A ring that was left behind is no new one, and none that is joined again. */
static void test_codec__retained_ring_with_flags__refused(void **state)
{
    (void)state;
    fill(&answers[13]);
    packet.push_ring.retained = packet.push_ring.geometry.entry_count;
    assert_int_equal(lsi_ctl_check_answer(&packet, answers[13].bytes), 0);
    packet.push_ring.flags = LSI_CTL_RING_NEW;
    assert_int_equal(lsi_ctl_check_answer(&packet, answers[13].bytes), -LSHM_EPROTO);
    packet.push_ring.flags = LSI_CTL_RING_AGAIN;
    assert_int_equal(lsi_ctl_check_answer(&packet, answers[13].bytes), -LSHM_EPROTO);
    packet.push_ring.flags = 0;
    packet.push_ring.retained++;
    assert_int_equal(lsi_ctl_check_answer(&packet, answers[13].bytes), -LSHM_EPROTO);
}

static void test_codec__foreign_hello__passes_at_any_length(void **state)
{
    (void)state;
    fill(&requests[0]);
    packet.hello.abi_major = LSHM_ABI_MAJOR + 1;
    packet.header.bytes = 40;
    assert_int_equal(lsi_ctl_check_request(&packet, 40), 0);
    packet.header.bytes = 39;
    assert_int_equal(lsi_ctl_check_request(&packet, 39), -LSHM_EPROTO);
    packet.header.bytes = 1000;
    assert_int_equal(lsi_ctl_check_request(&packet, 1000), 0);
    assert_int_equal(lsi_ctl_check_request(&packet, 999), -LSHM_EPROTO);
    packet.fd_count = packet.header.fds = 1;
    assert_int_equal(lsi_ctl_check_request(&packet, 1000), -LSHM_EPROTO);
}

static void test_codec__foreign_answer_to_hello__passes_at_any_length(void **state)
{
    static const struct sample answer = {REPLY_TO(HELLO), sizeof(struct lsi_ctl_hello_reply), 3};

    (void)state;
    fill(&answer);
    packet.header.bytes = 1000;
    assert_int_equal(lsi_ctl_check_answer(&packet, 1000), -LSHM_EPROTO);
    packet.hello_reply.abi_minor = LSHM_ABI_MINOR + 1; /* before 1.0 that is enough */
    assert_int_equal(lsi_ctl_check_answer(&packet, 1000), 0);
    packet.header.bytes = 32;
    assert_int_equal(lsi_ctl_check_answer(&packet, 32), 0);
    assert_int_equal(lsi_ctl_check_answer(&packet, 33), -LSHM_EPROTO);
    packet.header.bytes = 31;
    assert_int_equal(lsi_ctl_check_answer(&packet, 31), -LSHM_EPROTO);
    packet.header.bytes = 32;
    packet.header.fds = 2;
    assert_int_equal(lsi_ctl_check_answer(&packet, 32), -LSHM_EPROTO);
}

static void test_codec__refusal__passes_with_its_text(void **state)
{
    static const struct sample refusal = {REPLY_TO(HELLO), sizeof(struct lsi_ctl_refusal), 0};

    (void)state;
    fill(&refusal);
    packet.header.status = -LSHM_EDENIED;
    assert_int_equal(lsi_ctl_check_answer(&packet, refusal.bytes), 0);
    memset(packet.refusal.text, 'x', sizeof(packet.refusal.text));
    assert_int_equal(lsi_ctl_check_answer(&packet, refusal.bytes), -LSHM_EPROTO);
#define REFUSED(change, bytes)                                                                     \
    do {                                                                                           \
        fill(&refusal);                                                                            \
        packet.header.status = -LSHM_EDENIED;                                                      \
        change;                                                                                    \
        assert_int_equal(lsi_ctl_check_answer(&packet, bytes), -LSHM_EPROTO);                      \
    } while (0)
    REFUSED(packet.header.type = LSI_CTL_PUSH_LOOK, refusal.bytes);
    REFUSED(packet.header.bytes--, refusal.bytes);
    REFUSED(packet.header.bytes--, refusal.bytes - 1);
    REFUSED(packet.header.fds = 1, refusal.bytes);
    REFUSED(packet.fd_count = 1, refusal.bytes);
#undef REFUSED
}

/* The one answer that has no length of its own ends with what a packet can be. */
static void test_codec__list_longer_than_a_packet__refused(void **state)
{
    const size_t record = sizeof(struct lsi_ctl_client_record);
    const size_t most = (LSI_CTL_BYTES_MAX - sizeof(struct lsi_ctl_list_reply)) / record;

    (void)state;
    for (size_t count = most; count <= most + 1; count++) {
        struct sample list = {REPLY_TO(LIST), sizeof(struct lsi_ctl_list_reply), 0};

        list.bytes += count * record;
        fill(&list);
        packet.list_reply.count = (uint32_t)count;
        assert_int_equal(lsi_ctl_check_answer(&packet, list.bytes),
                         count == most ? 0 : -LSHM_EPROTO);
    }
}

static void test_codec__list_of_what_there_is_not__refused(void **state)
{
    static const struct sample list = {REPLY_TO(LIST), sizeof(struct lsi_ctl_list_reply), 0};

    (void)state;
    fill(&list);
    packet.list_reply.what = LSI_CTL_LIST_SUBSCRIBERS + 1;
    packet.list_reply.record_bytes = 0;
    packet.list_reply.count = 1;
    assert_int_equal(lsi_ctl_check_answer(&packet, list.bytes), -LSHM_EPROTO);
}

static void test_codec__receive__closes_the_fds_of_what_it_refuses(void **state)
{
    static struct lsi_ctl_packet received;
    struct lsi_ctl_push_client look = {.header.type = LSI_CTL_PUSH_LOOK};
    int pair[2], fd;

    (void)state;
    assert_int_equal(lsi_socket_pair(pair), 0);
    assert_int_equal(lsi_ctl_receive(pair[1], &received), 0);
    fd = dup(pair[0]);
    assert_int_equal(lsi_ctl_send(pair[0], &look, sizeof(look), &fd, 1), 0);
    close(fd);
    assert_int_equal(lsi_ctl_receive(pair[1], &received), -LSHM_EPROTO);
    assert_int_equal(received.fd_count, 0);
    assert_int_equal(lsi_ctl_send(pair[0], &look, sizeof(look), NULL, 0), 0);
    assert_int_equal(lsi_ctl_receive(pair[1], &received), 1);
    close(pair[0]);
    close(pair[1]);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_codec__each_request__passes_only_whole),
    cmocka_unit_test(test_codec__each_answer__passes_only_whole),
    cmocka_unit_test(test_codec__wrong_direction_or_type__refused),
    cmocka_unit_test(test_codec__bad_fields__refused),
    cmocka_unit_test(test_codec__retained_ring_with_flags__refused),
    cmocka_unit_test(test_codec__foreign_hello__passes_at_any_length),
    cmocka_unit_test(test_codec__foreign_answer_to_hello__passes_at_any_length),
    cmocka_unit_test(test_codec__refusal__passes_with_its_text),
    cmocka_unit_test(test_codec__list_longer_than_a_packet__refused),
    cmocka_unit_test(test_codec__list_of_what_there_is_not__refused),
    cmocka_unit_test_setup_teardown(test_codec__receive__closes_the_fds_of_what_it_refuses,
                                    lst_setup, lst_teardown),
};

static int run(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
