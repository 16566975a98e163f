/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/codec.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <lshm/error.h>

#include "base/compiler.h"
#include "ctl/geometry.h"
#include "os/socket.h"

#define READER_FLAGS (LSHM_READER_LOSSY | LSHM_READER_MAY_BLOCK | LSHM_READER_NO_LOCAL)
#define HELLO_FIXED_BYTES (sizeof(struct lsi_ctl_header) + 16)
#define HELLO_ANSWER_FIXED_BYTES (sizeof(struct lsi_ctl_header) + 8)

/* What one type of packet looks like. tail: a list may follow the fixed part. */
struct format {
    uint32_t type;
    uint32_t bytes;
    uint32_t fds_min;
    uint32_t fds_max;
    int tail;
    int (*check)(const struct lsi_ctl_packet *packet);
    const char *name;
};

static int is_text(const char *field, size_t bytes)
{
    return memchr(field, '\0', bytes) != NULL;
}

static int check_hello(const struct lsi_ctl_packet *packet)
{
    return is_text(packet->hello.name, sizeof(packet->hello.name)) &&
           (packet->hello.flags &
            ~(uint64_t)(LSI_CTL_HELLO_INSPECTOR | LSI_CTL_HELLO_BARRIER)) == 0;
}

static int check_mapped(const struct lsi_ctl_packet *packet)
{
    return packet->mapped.count <= LSI_CTL_MAPPED_MAX &&
           packet->mapped.pages <= LSI_CTL_PAGES_HUGETLB &&
           packet->header.status <= 0;
}

static int check_publisher_open(const struct lsi_ctl_packet *packet)
{
    return is_text(packet->publisher_open.topic, LSHM_TOPIC_BYTES) &&
           packet->publisher_open.is_huge <= 1 && packet->publisher_open.reserved == 0;
}

static int check_subscriber_open(const struct lsi_ctl_packet *packet)
{
    return is_text(packet->subscriber_open.topic, LSHM_TOPIC_BYTES) &&
           (packet->subscriber_open.flags & ~READER_FLAGS) == 0;
}

static int check_topic_clear(const struct lsi_ctl_packet *packet)
{
    return is_text(packet->topic_clear.topic, LSHM_TOPIC_BYTES);
}

static int check_list(const struct lsi_ctl_packet *packet)
{
    return packet->list.what >= LSI_CTL_LIST_CLIENTS &&
           packet->list.what <= LSI_CTL_LIST_SUBSCRIBERS && packet->list.reserved == 0;
}

static int check_watch(const struct lsi_ctl_packet *packet)
{
    return is_text(packet->watch.topic, LSHM_TOPIC_BYTES);
}

static int check_hello_reply(const struct lsi_ctl_packet *packet)
{
    return packet->hello_reply.public_bytes >= sizeof(struct lshm_public) &&
           packet->hello_reply.board_bytes >= sizeof(struct lshm_board) &&
           (packet->hello_reply.control_bytes != 0) == (packet->header.fds == 3);
}

static int check_memory(const struct lsi_ctl_packet *packet)
{
    return lsi_geometry_check(&packet->publisher_memory.geometry) &&
           packet->header.fds == 1 + packet->publisher_memory.geometry.segment_count;
}

static int check_part(const struct lsi_ctl_packet *packet)
{
    return packet->push_part.reserved == 0 &&
           packet->push_part.bytes >= sizeof(struct lshm_region_header);
}

static int check_ring(const struct lsi_ctl_packet *packet)
{
    return packet->push_ring.retained <= packet->push_ring.geometry.entry_count &&
           (packet->push_ring.flags & ~(LSI_CTL_RING_NEW | LSI_CTL_RING_AGAIN)) == 0 &&
           (packet->push_ring.retained == 0 || packet->push_ring.flags == 0) &&
           lsi_geometry_check(&packet->push_ring.geometry) &&
           packet->header.fds == 1 + packet->push_ring.geometry.segment_count;
}

static int check_segment(uint32_t number, uint32_t reserved, const struct lsi_ctl_segment *layout)
{
    return number < LSI_CTL_SEGMENTS && reserved == 0 &&
           lsi_geometry_check_segment(layout, LSHM_SLOTS_MAX);
}

static int check_segment_add(const struct lsi_ctl_packet *packet)
{
    return packet->segment_add.reserved == 0;
}

static int check_segment_end(const struct lsi_ctl_packet *packet)
{
    return packet->segment_end.number < LSI_CTL_SEGMENTS && packet->segment_end.reserved == 0;
}

static int check_segment_reply(const struct lsi_ctl_packet *packet)
{
    return check_segment(packet->segment_reply.number, packet->segment_reply.reserved,
                         &packet->segment_reply.layout);
}

static int check_push_segment(const struct lsi_ctl_packet *packet)
{
    return check_segment(packet->push_segment.number, packet->push_segment.reserved,
                         &packet->push_segment.layout);
}

static int check_channel(const struct lsi_ctl_packet *packet)
{
    return packet->push_channel.reserved == 0 &&
           (packet->push_channel.flags & ~LSI_CTL_CHANNEL_SEND) == 0;
}

static int check_status(const struct lsi_ctl_packet *packet)
{
    return is_text(packet->status_reply.version, sizeof(packet->status_reply.version));
}

static uint32_t record_bytes(uint32_t what)
{
    switch (what) {
    case LSI_CTL_LIST_CLIENTS:
        return sizeof(struct lsi_ctl_client_record);
    case LSI_CTL_LIST_TOPICS:
        return sizeof(struct lsi_ctl_topic_record);
    case LSI_CTL_LIST_PUBLISHERS:
        return sizeof(struct lsi_ctl_publisher_record);
    case LSI_CTL_LIST_LINKS:
        return sizeof(struct lsi_ctl_link_record);
    case LSI_CTL_LIST_SUBSCRIBERS:
        return sizeof(struct lsi_ctl_subscriber_record);
    default:
        return 0;
    }
}

static int check_list_reply(const struct lsi_ctl_packet *packet)
{
    const struct lsi_ctl_list_reply *reply = &packet->list_reply;
    uint64_t tail = packet->header.bytes - sizeof(*reply);

    return reply->reserved == 0 && record_bytes(reply->what) != 0 &&
           reply->record_bytes == record_bytes(reply->what) &&
           tail == (uint64_t)reply->count * reply->record_bytes;
}

#define BARE sizeof(struct lsi_ctl_header)
#define RING_FDS (1 + LSI_CTL_SEGMENTS)
#define FORMAT(type, bytes, fds_min, fds_max, tail, check)                                         \
    {LSI_CTL_##type, (uint32_t)(bytes), fds_min, fds_max, tail, check, #type}
#define REPLY(type, bytes, fds_min, fds_max, tail, check)                                          \
    {LSI_CTL_##type + LSI_CTL_REPLY, (uint32_t)(bytes), fds_min, fds_max, tail, check, #type}

static const struct format requests[] = {
    FORMAT(HELLO, sizeof(struct lsi_ctl_hello), 0, 0, 0, check_hello),
    FORMAT(BYE, BARE, 0, 0, 0, NULL),
    FORMAT(MAPPED, sizeof(struct lsi_ctl_mapped), 0, 0, 0, check_mapped),
    FORMAT(PUBLISHER_OPEN, sizeof(struct lsi_ctl_publisher_open), 0, 0, 0, check_publisher_open),
    FORMAT(PUBLISHER_CLOSE, sizeof(struct lsi_ctl_port_close), 0, 0, 0, NULL),
    FORMAT(SUBSCRIBER_OPEN, sizeof(struct lsi_ctl_subscriber_open), 0, 0, 0,
           check_subscriber_open),
    FORMAT(SUBSCRIBER_CLOSE, sizeof(struct lsi_ctl_port_close), 0, 0, 0, NULL),
    FORMAT(LINK_LEAVE, sizeof(struct lsi_ctl_link), 0, 0, 0, NULL),
    FORMAT(LINK_RESET, sizeof(struct lsi_ctl_link), 0, 0, 0, NULL),
    FORMAT(RECEIVED, sizeof(struct lsi_ctl_received), 0, 0, 0, NULL),
    FORMAT(CHANNEL, sizeof(struct lsi_ctl_channel), 0, 0, 0, NULL),
    FORMAT(STATUS, BARE, 0, 0, 0, NULL),
    FORMAT(LIST, sizeof(struct lsi_ctl_list), 0, 0, 0, check_list),
    FORMAT(REGION, sizeof(struct lsi_ctl_region), 0, 0, 0, NULL),
    FORMAT(EVICT, sizeof(struct lsi_ctl_evict), 0, 0, 0, NULL),
    FORMAT(REJOIN, sizeof(struct lsi_ctl_link), 0, 0, 0, NULL),
    FORMAT(SEGMENT_ADD, sizeof(struct lsi_ctl_segment_add), 0, 0, 0, check_segment_add),
    FORMAT(SEGMENT_REMOVE, sizeof(struct lsi_ctl_segment_end), 0, 0, 0,
           check_segment_end),
    FORMAT(SEGMENT_LEFT, sizeof(struct lsi_ctl_segment_end), 0, 0, 0,
           check_segment_end),
    FORMAT(WATCH, sizeof(struct lsi_ctl_watch), 0, 0, 0, check_watch),
    FORMAT(TOPIC_CLEAR, sizeof(struct lsi_ctl_topic_clear), 0, 0, 0, check_topic_clear),
    FORMAT(SEGMENT_IMPORT, sizeof(struct lsi_ctl_segment_import), 0, 0, 0, NULL),
};
_Static_assert(LSI_COUNT_OF(requests) == LSI_CTL_TYPE_END - 1, "one format for each request");

static const struct format answers[] = {
    REPLY(HELLO, sizeof(struct lsi_ctl_hello_reply), 2, 3, 0, check_hello_reply),
    REPLY(MAPPED, BARE, 0, 0, 0, NULL),
    REPLY(PUBLISHER_OPEN, sizeof(struct lsi_ctl_publisher_open_reply), 0, 0, 0, NULL),
    REPLY(PUBLISHER_CLOSE, BARE, 0, 0, 0, NULL),
    REPLY(SUBSCRIBER_OPEN, sizeof(struct lsi_ctl_subscriber_open_reply), 0, 0, 0, NULL),
    REPLY(SUBSCRIBER_CLOSE, BARE, 0, 0, 0, NULL),
    REPLY(LINK_LEAVE, BARE, 0, 0, 0, NULL),
    REPLY(STATUS, sizeof(struct lsi_ctl_status_reply), 0, 0, 0, check_status),
    REPLY(LIST, sizeof(struct lsi_ctl_list_reply), 0, 0, 1, check_list_reply),
    REPLY(WATCH, BARE, 0, 0, 0, NULL),
    REPLY(REGION, sizeof(struct lsi_ctl_region_reply), 1, 1, 0, NULL),
    REPLY(SEGMENT_ADD, sizeof(struct lsi_ctl_segment_reply), 0, 0, 0, check_segment_reply),
    REPLY(SEGMENT_IMPORT, sizeof(struct lsi_ctl_segment_reply), 0, 0, 0, check_segment_reply),
    REPLY(TOPIC_CLEAR, sizeof(struct lsi_ctl_topic_clear_reply), 0, 0, 0, NULL),
    FORMAT(SEGMENT_MEMORY, sizeof(struct lsi_ctl_segment_reply), 1, 1, 0, check_segment_reply),
    FORMAT(PUSH_SEGMENT, sizeof(struct lsi_ctl_push_segment), 1, 1, 0, check_push_segment),
    FORMAT(PUSH_SEGMENT_GONE, sizeof(struct lsi_ctl_push_segment), 0, 0, 0, check_push_segment),
    FORMAT(PUBLISHER_MEMORY, sizeof(struct lsi_ctl_publisher_memory), 1, RING_FDS, 0,
           check_memory),
    FORMAT(PUSH_BOARD_PART, sizeof(struct lsi_ctl_push_part), 1, 1, 0, check_part),
    FORMAT(PUSH_CONTROL_PART, sizeof(struct lsi_ctl_push_part), 1, 1, 0, check_part),
    FORMAT(PUSH_RING, sizeof(struct lsi_ctl_push_ring), 1, RING_FDS, 0, check_ring),
    FORMAT(PUSH_PEER, sizeof(struct lsi_ctl_push_part), 1, 1, 0, check_part),
    FORMAT(PUSH_PEER_GONE, sizeof(struct lsi_ctl_push_client), 0, 0, 0, NULL),
    FORMAT(PUSH_CHANNEL, sizeof(struct lsi_ctl_push_channel), 1, 1, 0, check_channel),
    FORMAT(PUSH_LOOK, sizeof(struct lsi_ctl_push_client), 0, 0, 0, NULL),
    FORMAT(PUSH_WORKER, sizeof(struct lsi_ctl_push_client), 0, 0, 0, NULL),
};

static const struct format *find(const struct format *formats, size_t count, uint32_t type)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (formats[i].type == type)
            return &formats[i];
    }
    return NULL;
}

/* Size of the packet, the header's copies of it, and the number of descriptors. */
static int check_counts(const struct lsi_ctl_packet *packet, size_t bytes,
                        const struct format *format)
{
    if (bytes > LSI_CTL_BYTES_MAX || packet->header.bytes != bytes ||
        packet->header.fds != packet->fd_count)
        return 0;
    if (packet->fd_count < format->fds_min || packet->fd_count > format->fds_max)
        return 0;
    return format->tail ? bytes >= format->bytes : bytes == format->bytes;
}

/* Before 1.0 a minor may change anything. */
int lsi_ctl_is_same_abi(uint32_t abi_major, uint32_t abi_minor)
{
    return abi_major == LSHM_ABI_MAJOR && (LSHM_ABI_MAJOR != 0 || abi_minor == LSHM_ABI_MINOR);
}

/* A HELLO of another ABI may be longer or shorter, but not in what the answer needs. */
static int is_foreign_hello(const struct lsi_ctl_packet *packet, size_t bytes)
{
    return packet->header.type == LSI_CTL_HELLO && bytes >= HELLO_FIXED_BYTES &&
           packet->header.bytes == bytes && packet->fd_count == 0 &&
           !lsi_ctl_is_same_abi(packet->hello.abi_major, packet->hello.abi_minor);
}

/* Nor is its answer, in the two versions that it begins with. */
static int is_foreign_answer(const struct lsi_ctl_packet *packet, size_t bytes)
{
    return packet->header.type == (LSI_CTL_HELLO | LSI_CTL_REPLY) && packet->header.status == 0 &&
           bytes >= HELLO_ANSWER_FIXED_BYTES && packet->header.bytes == bytes &&
           packet->header.fds == packet->fd_count &&
           !lsi_ctl_is_same_abi(packet->hello_reply.abi_major, packet->hello_reply.abi_minor);
}

int lsi_ctl_check_request(const struct lsi_ctl_packet *packet, size_t bytes)
{
    const struct format *format;

    if (bytes < sizeof(packet->header))
        return -LSHM_EPROTO;
    if (is_foreign_hello(packet, bytes))
        return 0;
    format = find(requests, LSI_COUNT_OF(requests), packet->header.type);
    if (!format || !check_counts(packet, bytes, format))
        return -LSHM_EPROTO;
    return !format->check || format->check(packet) ? 0 : -LSHM_EPROTO;
}

int lsi_ctl_check_answer(const struct lsi_ctl_packet *packet, size_t bytes)
{
    const struct format *format;

    if (bytes < sizeof(packet->header))
        return -LSHM_EPROTO;
    if (is_foreign_answer(packet, bytes))
        return 0;
    format = find(answers, LSI_COUNT_OF(answers), packet->header.type);
    if (!format || packet->header.status > 0)
        return -LSHM_EPROTO;
    if (packet->header.status < 0) {
        if ((packet->header.type & LSI_CTL_PUSH) || packet->header.bytes != bytes ||
            bytes != sizeof(struct lsi_ctl_refusal) || packet->fd_count != 0 ||
            packet->header.fds != 0)
            return -LSHM_EPROTO;
        return is_text(packet->refusal.text, LSI_CTL_TEXT_BYTES) ? 0 : -LSHM_EPROTO;
    }
    if (!check_counts(packet, bytes, format))
        return -LSHM_EPROTO;
    return !format->check || format->check(packet) ? 0 : -LSHM_EPROTO;
}

static int status_of(ssize_t received)
{
    switch (received) {
    case -EAGAIN:
        return 0;
    case -EPIPE:
        return -LSHM_EGONE;
    case -EMSGSIZE:
    case -EBADMSG:
        return -LSHM_EPROTO;
    default:
        return (int)received;
    }
}

int lsi_ctl_receive(int fd, struct lsi_ctl_packet *ret_packet)
{
    ssize_t bytes = lsi_socket_receive(fd, ret_packet->bytes, sizeof(ret_packet->bytes),
                                       ret_packet->fds, LSI_CTL_FDS_MAX, &ret_packet->fd_count);
    int status;

    if (bytes < 0)
        return status_of(bytes);
    status = lsi_ctl_check_answer(ret_packet, (size_t)bytes);
    if (status < 0) {
        lsi_ctl_close_fds(ret_packet, 0);
        return status;
    }
    return 1;
}

int lsi_ctl_peek(int fd, struct lsi_ctl_packet *ret_packet)
{
    ssize_t bytes = lsi_socket_peek(fd, ret_packet->bytes, sizeof(ret_packet->bytes));
    int status;

    ret_packet->fd_count = 0;
    if (bytes < 0)
        return status_of(bytes);
    status = lsi_ctl_check_request(ret_packet, (size_t)bytes);
    return status < 0 ? status : 1;
}

int lsi_ctl_send(int fd, void *message, size_t bytes, const int *fds, uint32_t fd_count)
{
    struct lsi_ctl_header *header = message;
    int status;

    header->bytes = (uint32_t)bytes;
    header->fds = fd_count;
    status = lsi_socket_send(fd, message, bytes, fds, fd_count);
    return status == -EPIPE || status == -ECONNRESET ? -LSHM_EGONE : status;
}

void lsi_ctl_close_fds(struct lsi_ctl_packet *packet, uint32_t first)
{
    uint32_t i;

    for (i = first; i < packet->fd_count; i++) {
        if (packet->fds[i] >= 0) /* else somebody keeps it */
            close(packet->fds[i]);
    }
    if (packet->fd_count > first)
        packet->fd_count = first;
}

const char *lsi_ctl_type_name(uint32_t type)
{
    const struct format *format = find(requests, LSI_COUNT_OF(requests), type);

    if (!format)
        format = find(answers, LSI_COUNT_OF(answers), type);
    return format ? format->name : "?";
}

void lsi_ctl_set_text(char *field, size_t field_bytes, const char *text)
{
    size_t length = strnlen(text, field_bytes - 1);

    memset(field, 0, field_bytes);
    memcpy(field, text, length);
}
