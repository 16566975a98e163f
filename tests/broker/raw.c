/* SPDX-License-Identifier: Apache-2.0 */
#include "raw.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/memory.h"
#include "os/seal.h"
#include "os/socket.h"

#define ARGUMENTS_MAX 16
#define RUN_S 10

void (*raw_before_exec)(void);

static pid_t spawn(const char *const options[], int output_fd)
{
    const char *program = getenv("LSHM_TEST_BROKERD");
    char *argv[ARGUMENTS_MAX] = {(char *)(uintptr_t)"brokerd"};
    size_t i;
    pid_t pid;

    for (i = 0; options[i] && i + 2 < ARGUMENTS_MAX; i++)
        argv[i + 1] = (char *)(uintptr_t)options[i];
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (output_fd >= 0) {
            dup2(output_fd, STDERR_FILENO);
            alarm(RUN_S); /* one that starts, though it should not */
        }
        if (raw_before_exec)
            raw_before_exec();
        execv(program ? program : RAW_BROKERD, argv);
        _exit(127);
    }
    return pid;
}

int raw_broker_run(const char *const options[], char *text, size_t text_bytes)
{
    int pair[2], status = 0;
    size_t used = 0;
    ssize_t count;
    pid_t pid;

    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    pid = spawn(options, pair[1]);
    assert_true(pid > 0);
    close(pair[1]);
    while (used < text_bytes - 1 && (count = read(pair[0], text + used, text_bytes - 1 - used)) > 0)
        used += (size_t)count;
    text[used] = '\0';
    close(pair[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool listens(void *path)
{
    int fd;

    if (lsi_socket_connect(path, &fd) < 0)
        return false;
    close(fd);
    return true;
}

void raw_broker_start(struct raw_broker *broker, const char *dir, const char *const options[])
{
    const char *arguments[ARGUMENTS_MAX] = {"--foreground", "--socket", broker->socket_path};
    size_t i;

    snprintf(broker->socket_path, sizeof(broker->socket_path), "%s/broker.sock", dir);
    for (i = 0; options && options[i] && i + 4 < ARGUMENTS_MAX; i++)
        arguments[i + 3] = options[i];
    broker->pid = spawn(arguments, -1);
    assert_true(broker->pid > 0);
    assert_int_equal(lst_wait_until(listens, broker->socket_path, RAW_TIMEOUT_MS), 0);
}

int raw_broker_stop(struct raw_broker *broker)
{
    int status = 0;

    kill(broker->pid, SIGTERM);
    assert_int_equal(waitpid(broker->pid, &status, 0), broker->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

pid_t raw_worker_pid(struct raw_client *inspector)
{
    struct lsi_ctl_header request = {.type = LSI_CTL_STATUS};

    assert_int_equal(raw_call(inspector, &request, sizeof(request)), 0);
    return (pid_t)inspector->packet.status_reply.worker_pid;
}

static void unmap(struct raw_map *map)
{
    lsi_memory_unmap(map->base, map->bytes);
    memset(map, 0, sizeof(*map));
}

static int take_map(struct raw_map *map, int fd, uint64_t bytes, uint64_t region, int is_writer)
{
    int status = is_writer ? lsi_seal_check_writer(fd, bytes) : lsi_seal_check_reader(fd, bytes);

    unmap(map);
    if (status == 0 && is_writer)
        status = lsi_memory_fill(fd, bytes);
    if (status == 0)
        status = lsi_memory_map(fd, bytes, is_writer ? LSI_MAP_WRITE : 0, &map->base);
    if (status == 0) {
        map->bytes = bytes;
        map->region = region;
    }
    return status;
}

static int send_raw(struct raw_client *client, void *message, size_t bytes)
{
    return lsi_ctl_send(client->fd, message, bytes, NULL, 0);
}

static int acknowledge(struct raw_client *client)
{
    struct lsi_ctl_received received = {.header = {.type = LSI_CTL_RECEIVED},
                                        .up_to = client->push_number};

    return client->is_silent ? 0 : send_raw(client, &received, sizeof(received));
}

static int take_control_part(struct raw_client *client)
{
    const struct lsi_ctl_push_part *push = &client->packet.push_part;
    struct lsi_ctl_mapped mapped = {
        .header = {.type = LSI_CTL_MAPPED, .id = push->header.id}, .count = 1};
    int status;

    if (client->is_lazy) {
        client->control_parts_waiting++;
        return 0;
    }
    assert_true(push->part < RAW_PARTS);
    mapped.regions[0] = push->region;
    status = take_map(&client->control[push->part], client->packet.fds[0], push->bytes,
                      push->region, 1);
    return status < 0 ? status : send_raw(client, &mapped, sizeof(mapped));
}

static int take_ring(struct raw_client *client)
{
    const struct lsi_ctl_push_ring *push = &client->packet.push_ring;
    uint32_t i;

    for (i = 0; i < client->ring_count; i++) {
        if (client->rings[i].push.link == push->link)
            return 0; /* once more, from a new worker */
    }
    assert_true(client->ring_count < RAW_RINGS);
    client->rings[i].push = *push;
    client->ring_count++;
    return take_map(&client->rings[i].map, client->packet.fds[0], push->geometry.ring_bytes,
                    push->geometry.ring_region, 0);
}

static int take_push(struct raw_client *client)
{
    const struct lsi_ctl_push_part *part = &client->packet.push_part;
    int status = 0;

    if (client->packet.header.id > client->push_number)
        client->push_number = client->packet.header.id;
    switch (client->packet.header.type) {
    case LSI_CTL_PUSH_BOARD_PART:
        assert_true(part->part < RAW_PARTS);
        status = take_map(&client->board[part->part], client->packet.fds[0], part->bytes,
                          part->region, 0);
        break;
    case LSI_CTL_PUSH_CONTROL_PART:
        status = take_control_part(client);
        break;
    case LSI_CTL_PUSH_RING:
        status = take_ring(client);
        break;
    case LSI_CTL_PUSH_PEER:
        client->peer_count++;
        status = lsi_seal_check_reader(client->packet.fds[0], part->bytes);
        break;
    case LSI_CTL_PUSH_PEER_GONE:
        client->gone_count++;
        break;
    case LSI_CTL_PUSH_CHANNEL:
        client->channel_count++;
        if (client->channel == 0)
            client->channel = fcntl(client->packet.fds[0], F_DUPFD_CLOEXEC, 0);
        break;
    case LSI_CTL_PUSH_SEGMENT:
        client->segment_count++;
        break;
    case LSI_CTL_PUSH_SEGMENT_GONE:
        client->segment_gone_count++;
        break;
    case LSI_CTL_PUSH_LOOK:
        client->look_count++;
        break;
    case LSI_CTL_PUSH_WORKER:
        client->worker_count++;
        break;
    default:
        status = -LSHM_EPROTO;
        break;
    }
    lsi_ctl_close_fds(&client->packet, 0);
    return status < 0 ? status : acknowledge(client);
}

int raw_turn(struct raw_client *client, int timeout_ms)
{
    struct pollfd wait = {.fd = client->fd, .events = POLLIN};
    int status = poll(&wait, 1, timeout_ms);

    if (status <= 0)
        return status < 0 ? -errno : 0;
    status = lsi_ctl_receive(client->fd, &client->packet);
    if (status <= 0)
        return status;
    if (!(client->packet.header.type & LSI_CTL_PUSH))
        return 2;
    status = take_push(client);
    return status < 0 ? status : 1;
}

int raw_answer(struct raw_client *client, uint64_t id, int timeout_ms)
{
    for (;;) {
        int turn = raw_turn(client, timeout_ms);

        if (turn < 0)
            return turn;
        if (turn == 0)
            return -ETIME;
        if (turn == 2 && (client->packet.header.id == id || client->packet.header.id == 0))
            return client->packet.header.status;
        if (turn == 2)
            lsi_ctl_close_fds(&client->packet, 0); /* a repeated answer */
    }
}

int raw_wait(struct raw_client *client, const uint32_t *count, uint32_t value)
{
    while (*count < value) {
        int turn = raw_turn(client, RAW_TIMEOUT_MS);

        if (turn <= 0)
            return turn < 0 ? turn : -ETIME;
    }
    return 0;
}

int raw_send(struct raw_client *client, void *message, size_t bytes)
{
    struct lsi_ctl_header *header = message;

    header->id = ++client->next_id;
    return send_raw(client, message, bytes);
}

int raw_call(struct raw_client *client, void *message, size_t bytes)
{
    int status = raw_send(client, message, bytes);

    return status < 0 ? status : raw_answer(client, client->next_id, RAW_TIMEOUT_MS);
}

int raw_connect(struct raw_client *client, const char *path)
{
    memset(client, 0, sizeof(*client));
    return lsi_socket_connect(path, &client->fd);
}

static int take_hello(struct raw_client *client)
{
    struct lsi_ctl_packet *packet = &client->packet;
    const struct lsi_ctl_hello_reply *reply = &packet->hello_reply;
    int status = take_map(&client->public, packet->fds[0], reply->public_bytes, 0, 0);

    client->number = reply->client;
    client->keeper_pid = reply->keeper_pid;
    if (status == 0)
        status = take_map(&client->board[0], packet->fds[1], reply->board_bytes, 0, 0);
    if (status == 0 && packet->fd_count == 3)
        status = take_map(&client->control[0], packet->fds[2], reply->control_bytes,
                          reply->control_region, 1);
    lsi_ctl_close_fds(packet, 0);
    return status;
}

int raw_attach(struct raw_client *client, const char *path, uint64_t flags)
{
    struct lsi_ctl_hello hello = {.header.type = LSI_CTL_HELLO,
                                  .abi_major = LSHM_ABI_MAJOR,
                                  .abi_minor = LSHM_ABI_MINOR,
                                  .flags = flags,
                                  .name = "raw"};
    struct lsi_ctl_mapped mapped = {.header.type = LSI_CTL_MAPPED, .count = 1};
    int status = raw_connect(client, path);

    if (status == 0)
        status = raw_call(client, &hello, sizeof(hello));
    if (status == 0)
        status = take_hello(client);
    if (status < 0 || (flags & LSI_CTL_HELLO_INSPECTOR))
        return status;
    mapped.header.id = client->next_id;
    mapped.regions[0] = client->control[0].region;
    status = send_raw(client, &mapped, sizeof(mapped));
    return status < 0 ? status : raw_answer(client, client->next_id, RAW_TIMEOUT_MS);
}

void raw_close(struct raw_client *client)
{
    uint32_t i;

    if (client->fd > 0)
        close(client->fd);
    if (client->channel > 0)
        close(client->channel);
    unmap(&client->public);
    for (i = 0; i < RAW_PARTS; i++) {
        unmap(&client->board[i]);
        unmap(&client->control[i]);
    }
    for (i = 0; i < RAW_RINGS; i++)
        unmap(&client->rings[i].map);
    for (i = 0; i < 1 + LSI_CTL_SEGMENTS; i++)
        unmap(&client->memory[i]);
    client->fd = -1;
}

struct lsi_ctl_publisher_open raw_publisher_wish(const char *topic)
{
    struct lsi_ctl_publisher_open wish = {.header.type = LSI_CTL_PUBLISHER_OPEN,
                                          .slot_bytes = 4096,
                                          .slot_count = 16,
                                          .entry_count = 16,
                                          .entry_bytes = 128,
                                          .flags = LSHM_RING_MAY_BLOCK};

    lsi_ctl_set_text(wish.topic, sizeof(wish.topic), topic);
    return wish;
}

static int map_memory(struct raw_client *client)
{
    const struct lsi_ctl_geometry *geometry = &client->packet.publisher_memory.geometry;
    int status = take_map(&client->memory[0], client->packet.fds[0], geometry->ring_bytes,
                          geometry->ring_region, 1);
    uint32_t i;

    for (i = 0; status == 0 && i < geometry->segment_count; i++)
        status = take_map(&client->memory[1 + i], client->packet.fds[1 + i],
                          geometry->segments[i].bytes, geometry->segments[i].region, 1);
    lsi_ctl_close_fds(&client->packet, 0);
    return status;
}

int64_t raw_publisher_begin(struct raw_client *client, struct lsi_ctl_publisher_open wish)
{
    int status = raw_call(client, &wish, sizeof(wish));

    if (status == 0 && client->packet.header.type != LSI_CTL_PUBLISHER_MEMORY)
        status = -LSHM_EPROTO;
    if (status == 0)
        status = map_memory(client);
    return status < 0 ? status : (int64_t)client->next_id;
}

int raw_say_mapped(struct raw_client *client, uint64_t id)
{
    struct lsi_ctl_mapped mapped = {.header = {.type = LSI_CTL_MAPPED, .id = id}};

    while (mapped.count < 1 + LSI_CTL_SEGMENTS && client->memory[mapped.count].base) {
        mapped.regions[mapped.count] = client->memory[mapped.count].region;
        mapped.count++;
    }
    return send_raw(client, &mapped, sizeof(mapped));
}

int raw_publisher_open(struct raw_client *client, struct lsi_ctl_publisher_open wish,
                       uint64_t *ret_number, struct lshm_ref *ret_record)
{
    int64_t id = raw_publisher_begin(client, wish);
    int status = id < 0 ? (int)id : raw_say_mapped(client, (uint64_t)id);

    if (status == 0)
        status = raw_answer(client, (uint64_t)id, RAW_TIMEOUT_MS + 2000);
    if (status < 0)
        return status;
    *ret_number = client->packet.publisher_open_reply.publisher;
    if (ret_record)
        *ret_record = client->packet.publisher_open_reply.record;
    return 0;
}

int raw_subscriber_open(struct raw_client *client, const char *topic, uint32_t flags,
                        uint64_t *ret_number)
{
    struct lsi_ctl_subscriber_open wish = {
        .header.type = LSI_CTL_SUBSCRIBER_OPEN, .window = 8, .holds = 8, .flags = flags};
    int status;

    lsi_ctl_set_text(wish.topic, sizeof(wish.topic), topic);
    status = raw_call(client, &wish, sizeof(wish));
    if (status == 0)
        *ret_number = client->packet.subscriber_open_reply.subscriber;
    return status;
}

int raw_port_close(struct raw_client *client, uint32_t type, uint64_t number)
{
    struct lsi_ctl_port_close request = {.header.type = type, .port = number};

    return raw_call(client, &request, sizeof(request));
}

int raw_link(struct raw_client *client, uint32_t type, uint64_t subscriber, uint64_t link)
{
    struct lsi_ctl_link request = {.header.type = type, .subscriber = subscriber, .link = link};

    if (type == LSI_CTL_LINK_RESET)
        return raw_send(client, &request, sizeof(request));
    return raw_call(client, &request, sizeof(request));
}

void *raw_line(const struct raw_map *parts, struct lshm_ref ref)
{
    assert_true(ref.part < RAW_PARTS && parts[ref.part].base);
    assert_true((ref.line + 1) * (uint64_t)LSHM_LINE_BYTES <= parts[ref.part].bytes);
    return (unsigned char *)parts[ref.part].base + (size_t)ref.line * LSHM_LINE_BYTES;
}

const struct lshm_roster_row *raw_row(const struct raw_client *client, struct lshm_ref record,
                                      uint32_t row)
{
    const struct lshm_board_publisher *board = raw_line(client->board, record);
    uint32_t part = 0, first = 0;
    const struct lshm_roster_row *rows;

    while (row >= first + (LSHM_ROSTER_ROWS << part)) {
        first += LSHM_ROSTER_ROWS << part;
        part++;
    }
    assert_true(part < board->roster_parts);
    rows = raw_line(client->board, board->roster[part]);
    return &rows[row - first];
}
