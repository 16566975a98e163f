/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may die: a client, the worker, the keeper.
 *
 * kills: B1 B2 D1 E1 V1 (a worker killed at any moment of a client's requests)
 * covers: E1 E2 E3 E4 (its successor goes on from the registry)
 */
#include "raw.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "os/process.h"

static struct raw_broker broker;
static const char *directory;

static int setup(void **state)
{
    const struct lst_fixture *fixture;

    if (lst_setup(state) != 0)
        return -1;
    fixture = *state;
    directory = fixture->dir;
    raw_broker_start(&broker, fixture->dir, NULL);
    return 0;
}

static int teardown(void **state)
{
    int code = broker.pid > 0 ? raw_broker_stop(&broker) : 0;

    return lst_teardown(state) != 0 || code != 0 ? -1 : 0;
}

/* ROLE: port publisher|subscriber PATH: opens it on topic t, says its client's number, waits. */
static int role_port(int argc, char **argv)
{
    static struct raw_client client;
    char line[LST_LINE_MAX];
    uint64_t number;
    int status;

    if (argc != 2 || raw_attach(&client, argv[1], 0) < 0)
        return 1;
    if (strcmp(argv[0], "publisher") == 0)
        status = raw_publisher_open(&client, raw_publisher_wish("t"), &number, NULL);
    else
        status = raw_subscriber_open(&client, "t", 0, &number);
    if (status < 0)
        return 2;
    snprintf(line, sizeof(line), "%llu", (unsigned long long)client.number);
    if (lst_say(line) < 0)
        return 3;
    return lst_hear(line, LST_DEADLINE_MS) < 0 ? 4 : 0;
}

static uint64_t start_port(struct lst_child *child, const char *kind)
{
    const char *const args[] = {kind, broker.socket_path, NULL};
    char line[LST_LINE_MAX];

    lst_must(lst_child_start(child, "port", args));
    lst_must(lst_child_hear(child, line, LST_DEADLINE_MS));
    return strtoull(line, NULL, 10);
}

static uint64_t row_state(const struct lshm_roster_row *row)
{
    return lsi_load_acquire(&row->state) & LSHM_ROW_STATE_MASK;
}

static void test_broker__reader_killed__row_gone_and_publisher_told(void **state)
{
    struct raw_client writer;
    struct lst_child child;
    struct lshm_ref record;
    uint64_t publisher, number;
    uint32_t looks;

    (void)state;
    assert_int_equal(raw_attach(&writer, broker.socket_path, 0), 0);
    assert_int_equal(raw_publisher_open(&writer, raw_publisher_wish("t"), &publisher, &record), 0);
    number = start_port(&child, "subscriber");
    assert_int_equal(raw_wait(&writer, &writer.peer_count, 1), 0);
    assert_int_equal(row_state(raw_row(&writer, record, 0)), LSHM_ROW_LIVE);
    assert_int_equal(raw_row(&writer, record, 0)->client, number);
    looks = writer.look_count;
    lst_must(lst_child_kill(&child));
    assert_int_equal(raw_wait(&writer, &writer.look_count, looks + 1), 0);
    assert_int_equal(row_state(raw_row(&writer, record, 0)), LSHM_ROW_GONE);
    assert_int_equal(raw_wait(&writer, &writer.gone_count, 1), 0);
    raw_close(&writer);
}

static void test_broker__publisher_killed__readers_see_dead(void **state)
{
    struct raw_client reader;
    struct lst_child child;
    const struct lshm_board_reader *record;
    uint64_t subscriber;

    (void)state;
    start_port(&child, "publisher");
    assert_int_equal(raw_attach(&reader, broker.socket_path, 0), 0);
    assert_int_equal(raw_subscriber_open(&reader, "t", 0, &subscriber), 0);
    assert_int_equal(reader.ring_count, 1);
    lst_must(lst_child_kill(&child));
    assert_int_equal(raw_wait(&reader, &reader.look_count, 1), 0);
    record = raw_line(reader.board, reader.rings[0].push.record);
    assert_int_equal(lsi_load_acquire(&record->state), LSHM_LINK_DEAD);
    raw_close(&reader);
}

/* A hang-up is no death: the row stays until the pidfd says so. */
static void test_broker__hang_up__row_stays_live(void **state)
{
    struct raw_client writer, reader;
    struct lsi_ctl_header request = {.type = LSI_CTL_STATUS};
    struct lshm_ref record;
    uint64_t publisher, subscriber;

    (void)state;
    assert_int_equal(raw_attach(&writer, broker.socket_path, 0), 0);
    assert_int_equal(raw_attach(&reader, broker.socket_path, 0), 0);
    assert_int_equal(raw_publisher_open(&writer, raw_publisher_wish("t"), &publisher, &record), 0);
    assert_int_equal(raw_subscriber_open(&reader, "t", 0, &subscriber), 0);
    raw_close(&reader);
    assert_int_equal(raw_call(&writer, &request, sizeof(request)), 0);
    assert_int_equal(raw_call(&writer, &request, sizeof(request)), 0);
    assert_int_equal(row_state(raw_row(&writer, record, 0)), LSHM_ROW_LIVE);
    raw_close(&writer);
}

static void test_broker__bye__row_gone(void **state)
{
    struct raw_client writer, reader;
    struct lsi_ctl_header bye = {.type = LSI_CTL_BYE};
    struct lshm_ref record;
    uint64_t publisher, subscriber;

    (void)state;
    assert_int_equal(raw_attach(&writer, broker.socket_path, 0), 0);
    assert_int_equal(raw_attach(&reader, broker.socket_path, 0), 0);
    assert_int_equal(raw_publisher_open(&writer, raw_publisher_wish("t"), &publisher, &record), 0);
    assert_int_equal(raw_subscriber_open(&reader, "t", 0, &subscriber), 0);
    assert_int_equal(raw_send(&reader, &bye, sizeof(bye)), 0);
    assert_int_equal(raw_wait(&writer, &writer.gone_count, 1), 0);
    assert_int_equal(row_state(raw_row(&writer, record, 0)), LSHM_ROW_GONE);
    raw_close(&reader);
    raw_close(&writer);
}

static void kill_worker(struct raw_client *inspector)
{
    pid_t worker = raw_worker_pid(inspector);
    uint32_t workers = inspector->worker_count;

    assert_int_equal(kill(worker, SIGKILL), 0);
    assert_int_equal(raw_wait(inspector, &inspector->worker_count, workers + 1), 0);
    assert_int_not_equal(raw_worker_pid(inspector), worker);
}

static void test_broker__worker_killed__sessions_boards_and_rows_go_on(void **state)
{
    struct raw_client writer, reader;
    const struct lshm_roster_row *row;
    struct lshm_ref record;
    uint64_t publisher, subscriber, second;
    uint64_t before;

    (void)state;
    assert_int_equal(raw_attach(&writer, broker.socket_path, 0), 0);
    assert_int_equal(raw_attach(&reader, broker.socket_path, 0), 0);
    assert_int_equal(raw_publisher_open(&writer, raw_publisher_wish("t"), &publisher, &record), 0);
    assert_int_equal(raw_subscriber_open(&reader, "t", 0, &subscriber), 0);
    row = raw_row(&writer, record, 0);
    before = row->state;
    kill_worker(&writer);
    assert_int_equal(((const struct lshm_public *)writer.public.base)->worker_generation,
                     LST_COUNTER_START + 2);
    assert_int_equal(row->state, before); /* nothing the publisher keeps for it is dropped */
    assert_int_equal(raw_wait(&reader, &reader.worker_count, 1), 0);
    assert_int_equal(raw_subscriber_open(&reader, "t", 0, &second), 0);
    assert_int_equal(reader.ring_count, 2);
    assert_int_equal(row_state(raw_row(&writer, record, 1)), LSHM_ROW_LIVE);
    assert_int_equal(raw_port_close(&reader, LSI_CTL_SUBSCRIBER_CLOSE, subscriber), 0);
    assert_int_equal(row_state(row), LSHM_ROW_GONE);
    raw_close(&reader);
    raw_close(&writer);
}

/* Between PUBLISHER_MEMORY and MAPPED; and the same request once more finds the same port. */
static void test_broker__worker_killed_in_an_open__it_goes_on(void **state)
{
    struct raw_client writer;
    struct lsi_ctl_publisher_open wish = raw_publisher_wish("t");
    uint64_t publisher;
    int64_t id;

    (void)state;
    assert_int_equal(raw_attach(&writer, broker.socket_path, 0), 0);
    id = raw_publisher_begin(&writer, wish);
    assert_true(id > 0);
    publisher = writer.packet.publisher_memory.publisher;
    kill_worker(&writer);
    wish.header.id = (uint64_t)id;
    assert_int_equal(lsi_ctl_send(writer.fd, &wish, sizeof(wish), NULL, 0), 0);
    assert_int_equal(raw_answer(&writer, (uint64_t)id, RAW_TIMEOUT_MS), 0);
    assert_int_equal(writer.packet.header.type, LSI_CTL_PUBLISHER_MEMORY);
    assert_int_equal(writer.packet.publisher_memory.publisher, publisher);
    lsi_ctl_close_fds(&writer.packet, 0);
    assert_int_equal(raw_say_mapped(&writer, (uint64_t)id), 0);
    assert_int_equal(raw_answer(&writer, (uint64_t)id, RAW_TIMEOUT_MS), 0);
    assert_int_equal(writer.packet.publisher_open_reply.publisher, publisher);
    raw_close(&writer);
}

/* What was pushed and not acknowledged comes again. */
static void test_broker__worker_killed__unacknowledged_rings_come_again(void **state)
{
    struct raw_client writer, reader;
    uint64_t publisher, subscriber;

    (void)state;
    assert_int_equal(raw_attach(&writer, broker.socket_path, 0), 0);
    assert_int_equal(raw_attach(&reader, broker.socket_path, 0), 0);
    assert_int_equal(raw_publisher_open(&writer, raw_publisher_wish("t"), &publisher, NULL), 0);
    reader.is_silent = 1;
    assert_int_equal(raw_subscriber_open(&reader, "t", 0, &subscriber), 0);
    assert_int_equal(reader.ring_count, 1);
    reader.ring_count = 0;
    kill_worker(&writer);
    assert_int_equal(raw_wait(&reader, &reader.ring_count, 1), 0);
    raw_close(&reader);
    raw_close(&writer);
}

/* Kills at moments that nobody chose, while requests are under way. */
static void test_broker__worker_killed_under_load__every_request_is_answered(void **state)
{
    enum { ROUNDS = 10, SPIN_MAX = 4000 };
    struct raw_client client, inspector;
    unsigned seed = 7;
    int round;

    (void)state;
    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
    assert_int_equal(raw_attach(&inspector, broker.socket_path, LSI_CTL_HELLO_INSPECTOR), 0);
    for (round = 0; round < ROUNDS; round++) {
        struct lsi_ctl_subscriber_open wish = {.header.type = LSI_CTL_SUBSCRIBER_OPEN,
                                               .window = 8};
        pid_t worker = raw_worker_pid(&inspector);
        uint32_t workers = client.worker_count;
        int status, i;

        snprintf(wish.topic, sizeof(wish.topic), "t/%d", round);
        assert_int_equal(raw_send(&client, &wish, sizeof(wish)), 0);
        seed = seed * 1103515245u + 12345u;
        for (i = 0; i < (int)(seed / 65536u % SPIN_MAX); i++)
            lsi_cpu_relax();
        assert_int_equal(kill(worker, SIGKILL), 0);
        assert_int_equal(raw_wait(&inspector, &inspector.worker_count, (uint32_t)round + 1), 0);
        do { /* as a client does when it hears of a new worker */
            status = raw_answer(&client, wish.header.id, 50);
            if (status == -ETIME)
                assert_int_equal(lsi_ctl_send(client.fd, &wish, sizeof(wish), NULL, 0), 0);
        } while (status == -ETIME && client.worker_count <= workers + 100);
        assert_int_equal(status, 0);
    }
    {
        struct lsi_ctl_header request = {.type = LSI_CTL_STATUS};

        assert_int_equal(raw_call(&inspector, &request, sizeof(request)), 0);
        assert_int_equal(inspector.packet.status_reply.subscribers, ROUNDS);
        assert_int_equal(inspector.packet.status_reply.topics, ROUNDS);
    }
    raw_close(&client);
    raw_close(&inspector);
}

static int count_files(void)
{
    DIR *dir = opendir(directory);
    const struct dirent *entry;
    int count = 0;

    while (dir && (entry = readdir(dir)))
        count += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return count;
}

static bool has_no_files(void *arg)
{
    (void)arg;
    return count_files() == 0;
}

static void test_broker__keeper_killed__nothing_is_left(void **state)
{
    struct raw_client client;
    pid_t worker;
    int pidfd;

    (void)state;
    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
    assert_int_equal(count_files(), 2);
    worker = raw_worker_pid(&client);
    assert_int_equal(lsi_process_open(worker, &pidfd), 0);
    kill(broker.pid, SIGKILL);
    assert_int_equal(waitpid(broker.pid, NULL, 0), broker.pid);
    broker.pid = 0;
    assert_int_equal(raw_turn(&client, RAW_TIMEOUT_MS), -LSHM_EGONE);
    assert_int_equal(lst_wait_until(has_no_files, NULL, RAW_TIMEOUT_MS), 0);
    while (lsi_process_is_alive(pidfd))
        assert_int_equal(usleep(1000), 0);
    close(pidfd);
    raw_close(&client);
}

static void test_broker__sigterm__clients_are_told_and_may_leave(void **state)
{
    struct raw_client client;
    struct lsi_ctl_header bye = {.type = LSI_CTL_BYE};
    int status = 0;

    (void)state;
    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
    kill(broker.pid, SIGTERM);
    assert_int_equal(raw_wait(&client, &client.look_count, 1), 0);
    assert_int_equal(((const struct lshm_public *)client.public.base)->draining, 1);
    assert_int_equal(raw_send(&client, &bye, sizeof(bye)), 0);
    assert_int_equal(waitpid(broker.pid, &status, 0), broker.pid);
    broker.pid = 0;
    assert_int_equal(status, 0);
    assert_int_equal(count_files(), 0);
    raw_close(&client);
}

/* How often a process has gone to sleep: one that is not woken does not go again. */
static unsigned long count_sleeps(pid_t pid)
{
    static const char name[] = "\nvoluntary_ctxt_switches:";
    char path[64], text[4096];
    unsigned long sleeps = 0;
    const char *line;
    ssize_t count;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    count = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[count > 0 ? count : 0] = '\0';
    line = strstr(text, name);
    assert_non_null(line);
    assert_int_equal(sscanf(line + sizeof(name) - 1, "%lu", &sleeps), 1);
    return sleeps;
}

/* Half a second without a turn, of a few: the first may still see the attach. */
static void test_broker__idle__is_never_woken(void **state)
{
    struct raw_client client;
    unsigned long before, after;
    int windows = 0;
    pid_t worker;

    (void)state;
    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
    worker = raw_worker_pid(&client);
    do {
        before = count_sleeps(worker) + count_sleeps(broker.pid);
        assert_int_equal(raw_turn(&client, 500), 0);
        after = count_sleeps(worker) + count_sleeps(broker.pid);
    } while (after != before && ++windows < 6);
    assert_int_equal(after, before);
    raw_close(&client);
}

static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    TEST(test_broker__reader_killed__row_gone_and_publisher_told),
    TEST(test_broker__publisher_killed__readers_see_dead),
    TEST(test_broker__hang_up__row_stays_live),
    TEST(test_broker__bye__row_gone),
    TEST(test_broker__worker_killed__sessions_boards_and_rows_go_on),
    TEST(test_broker__worker_killed_in_an_open__it_goes_on),
    TEST(test_broker__worker_killed__unacknowledged_rings_come_again),
    TEST(test_broker__worker_killed_under_load__every_request_is_answered),
    TEST(test_broker__keeper_killed__nothing_is_left),
    TEST(test_broker__sigterm__clients_are_told_and_may_leave),
    TEST(test_broker__idle__is_never_woken),
};

static const struct lst_role roles[] = {{"port", role_port}};

static int run(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, roles, sizeof(roles) / sizeof(roles[0]), run);
}
