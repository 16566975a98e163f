/* SPDX-License-Identifier: Apache-2.0 */
/* What brokerd says no to: at its start, to clients without right or room, to hostile packets. */
#include "raw.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "os/memory.h"
#include "os/socket.h"

#define TEXT_BYTES 1024
#define NOBODY 65534

static struct raw_broker broker;
static const char *directory;

static int setup_directory(void **state)
{
    const struct lst_fixture *fixture;

    if (lst_setup(state) != 0)
        return -1;
    fixture = *state;
    directory = fixture->dir;
    return 0;
}

static int setup(void **state)
{
    static const char *const options[] = {"--clients-max", "3", "--client-bytes", "1M", NULL};

    if (setup_directory(state) != 0)
        return -1;
    raw_broker_start(&broker, directory, options);
    return 0;
}

static int teardown(void **state)
{
    int code = raw_broker_stop(&broker);

    return lst_teardown(state) != 0 || code != 0 ? -1 : 0;
}

static void test_broker__second_one__refused_with_the_pid_of_the_first(void **state)
{
    const char *const options[] = {"--foreground", "--socket", broker.socket_path, NULL};
    char text[TEXT_BYTES], pid[32];

    (void)state;
    assert_int_equal(raw_broker_run(options, text, sizeof(text)), EX_UNAVAILABLE);
    snprintf(pid, sizeof(pid), "(pid %d)", (int)broker.pid);
    assert_non_null(strstr(text, pid));
    assert_non_null(strstr(text, broker.socket_path));
    assert_non_null(strstr(text, "--socket"));
}

static void test_broker__open_directory__refused(void **state)
{
    char path[LST_PATH_MAX], text[TEXT_BYTES];
    const char *const options[] = {"--foreground", "--socket", path, NULL};

    (void)state;
    snprintf(path, sizeof(path), "%s/open", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, 0755), 0);
    snprintf(path, sizeof(path), "%s/open/s", directory);
    assert_int_equal(raw_broker_run(options, text, sizeof(text)), EX_NOPERM);
    assert_non_null(strstr(text, "chmod 700"));
    path[strlen(path) - 2] = '\0';
    assert_int_equal(rmdir(path), 0);
}

static void test_broker__directory_of_another_user__refused(void **state)
{
    char path[LST_PATH_MAX], text[TEXT_BYTES];
    const char *const options[] = {"--foreground", "--socket", path, NULL};

    (void)state;
    if (geteuid() != 0)
        skip();
    snprintf(path, sizeof(path), "%s/theirs", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chown(path, NOBODY, NOBODY), 0);
    snprintf(path, sizeof(path), "%s/theirs/s", directory);
    assert_int_equal(raw_broker_run(options, text, sizeof(text)), EX_NOPERM);
    assert_non_null(strstr(text, "belongs to uid 65534, not to you (uid 0)"));
    assert_non_null(strstr(text, "--socket"));
    path[strlen(path) - 2] = '\0';
    assert_int_equal(rmdir(path), 0);
}

static void test_broker__missing_parent__refused(void **state)
{
    char path[LST_PATH_MAX], text[TEXT_BYTES];
    const char *const options[] = {"--foreground", "--socket", path, NULL};

    (void)state;
    snprintf(path, sizeof(path), "%s/no/such/s", directory);
    assert_int_equal(raw_broker_run(options, text, sizeof(text)), EX_CANTCREAT);
    assert_non_null(strstr(text, "--socket"));
}

static void write_file(const char *path, const char *word)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(word, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* brokerd refuses to serve `path` because of this file, which keeps its word. */
static void is_left_alone(const char *path, const char *file_path, const char *why)
{
    const char *const options[] = {"--foreground", "--socket", path, NULL};
    char text[TEXT_BYTES], word[32] = "";
    FILE *file;

    write_file(file_path, "1234 is mine");
    assert_int_equal(raw_broker_run(options, text, sizeof(text)), EX_CANTCREAT);
    assert_non_null(strstr(text, file_path));
    assert_non_null(strstr(text, why));
    assert_non_null(strstr(text, "choose another --socket"));
    file = fopen(file_path, "r");
    assert_non_null(file);
    assert_non_null(fgets(word, sizeof(word), file));
    assert_int_equal(fclose(file), 0);
    assert_string_equal(word, "1234 is mine");
    assert_int_equal(unlink(file_path), 0);
}

/* Somebody's file is no socket, and no lock, that was left behind. */
static void test_broker__another_file_in_its_place__is_left_alone(void **state)
{
    char path[LST_PATH_MAX], lock_path[LST_PATH_MAX + 8], text[TEXT_BYTES];
    const char *const options[] = {"--foreground", "--socket", path, NULL};

    (void)state;
    snprintf(path, sizeof(path), "%s/file", directory);
    snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    is_left_alone(path, path, "not a socket");
    is_left_alone(path, lock_path, "not a broker's lock file");
    assert_int_equal(symlink("nowhere", path), 0);
    assert_int_equal(raw_broker_run(options, text, sizeof(text)), EX_CANTCREAT);
    assert_int_equal(unlink(path), 0);
}

static void test_broker__bad_options__usage(void **state)
{
    static const char *const wrong[][3] = {{"--clients-max", "2000", NULL},
                                           {"--client-bytes", "much", NULL},
                                           {"--drain", "-1", NULL},
                                           {"--nonsense", NULL, NULL},
                                           {"word", NULL, NULL}};
    char text[TEXT_BYTES];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(raw_broker_run(wrong[i], text, sizeof(text)), EX_USAGE);
        assert_non_null(strstr(text, "brokerd"));
    }
}

static void test_broker__stale_socket__is_replaced(void **state)
{
    char path[LST_PATH_MAX];
    int fd;

    (void)state;
    snprintf(path, sizeof(path), "%s/broker.sock", directory);
    assert_int_equal(lsi_socket_listen(path, &fd), 0);
    close(fd); /* the file stays, nobody listens */
    raw_broker_start(&broker, directory, NULL);
    assert_int_equal(raw_broker_stop(&broker), 0);
}

static void test_broker__one_client_too_many__told_the_option(void **state)
{
    struct raw_client clients[4];
    int i;

    (void)state;
    for (i = 0; i < 3; i++)
        assert_int_equal(raw_attach(&clients[i], broker.socket_path, 0), 0);
    assert_int_equal(raw_attach(&clients[3], broker.socket_path, 0), -LSHM_ELIMIT);
    assert_non_null(strstr(clients[3].packet.refusal.text, "--clients-max"));
    for (i = 0; i < 4; i++)
        raw_close(&clients[i]);
}

static void test_broker__quota__named_with_its_option(void **state)
{
    struct raw_client client;
    struct lsi_ctl_publisher_open wish = raw_publisher_wish("t");
    uint64_t number;

    (void)state;
    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
    wish.slot_count = 1024;
    assert_int_equal(raw_publisher_open(&client, wish, &number, NULL), -LSHM_EQUOTA);
    assert_non_null(strstr(client.packet.refusal.text, "--client-bytes"));
    wish.slot_count = 100;
    assert_int_equal(raw_publisher_open(&client, wish, &number, NULL), 0);
    assert_int_equal(raw_port_close(&client, LSI_CTL_PUBLISHER_CLOSE, number), 0);
    wish.slot_count = 200; /* fits only because the first is not charged any more */
    assert_int_equal(raw_publisher_open(&client, wish, &number, NULL), 0);
    raw_close(&client);
}

static void test_broker__bad_wishes__refused_and_the_session_goes_on(void **state)
{
    static const struct {
        const char *topic;
        uint32_t window, holds;
        int status;
        const char *text;
    } subscriptions[] = {
        {"t", 0, 8, -EINVAL, "window 0 is not in 1"},
        {"t", LSHM_WINDOW_MAX + 1, 8, -EINVAL, "lshm_subscriber_options.window"},
        {"t", 8, LSHM_HOLDS_MAX + 1, -EINVAL, "holds 1025 is more than 1024"},
        {"t/", 8, 8, -LSHM_ENAME, "not a topic name"},
    };
    struct raw_client client;
    struct lsi_ctl_publisher_open wish;
    uint64_t number;

    (void)state;
    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
    wish = raw_publisher_wish("a//b");
    assert_int_equal(raw_publisher_open(&client, wish, &number, NULL), -LSHM_ENAME);
    wish = raw_publisher_wish("t");
    wish.entry_count = 17;
    assert_int_equal(raw_publisher_open(&client, wish, &number, NULL), -EINVAL);
    assert_non_null(strstr(client.packet.refusal.text, "ring_entries is 17; it must be a power of "
                                                       "two from 4 to 65536"));
    wish = raw_publisher_wish("t");
    wish.slot_bytes = UINT64_MAX;
    assert_int_equal(raw_publisher_open(&client, wish, &number, NULL), -EINVAL);
    wish = raw_publisher_wish("t");
    wish.slot_bytes = 0xfffff000u;
    wish.slot_count = LSHM_SLOTS_MAX;
    assert_int_equal(raw_publisher_open(&client, wish, &number, NULL), -EOVERFLOW);
    assert_int_equal(raw_port_close(&client, LSI_CTL_SUBSCRIBER_CLOSE, 77), -LSHM_EFOREIGN);
    assert_int_equal(raw_link(&client, LSI_CTL_LINK_LEAVE, 77, 1), -LSHM_EFOREIGN);
    for (size_t i = 0; i < sizeof(subscriptions) / sizeof(subscriptions[0]); i++) {
        struct lsi_ctl_subscriber_open open = {
            .header.type = LSI_CTL_SUBSCRIBER_OPEN,
            .window = subscriptions[i].window, .holds = subscriptions[i].holds};

        memcpy(open.topic, subscriptions[i].topic, strlen(subscriptions[i].topic));
        assert_int_equal(raw_call(&client, &open, sizeof(open)), subscriptions[i].status);
        assert_non_null(strstr(client.packet.refusal.text, subscriptions[i].text));
    }
    assert_int_equal(raw_subscriber_open(&client, "t", 0, &number), 0);
    raw_close(&client);
}

/* MAPPED without fallocate would let a reader run into memory that is not there. */
static void test_broker__mapped_but_not_filled__cut_off(void **state)
{
    struct raw_client client;
    struct lsi_ctl_publisher_open wish = raw_publisher_wish("t");
    struct lsi_ctl_mapped mapped = {.header.type = LSI_CTL_MAPPED, .count = 2};

    (void)state;
    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
    assert_int_equal(raw_call(&client, &wish, sizeof(wish)), 0);
    mapped.header.id = client.next_id;
    mapped.regions[0] = client.packet.publisher_memory.geometry.ring_region;
    mapped.regions[1] = client.packet.publisher_memory.geometry.segments[0].region;
    lsi_ctl_close_fds(&client.packet, 0);
    assert_int_equal(lsi_ctl_send(client.fd, &mapped, sizeof(mapped), NULL, 0), 0);
    assert_int_equal(raw_answer(&client, client.next_id, RAW_TIMEOUT_MS), -LSHM_EPROTO);
    assert_non_null(strstr(client.packet.refusal.text, "allocate"));
    raw_close(&client);
}

static void test_broker__mapping_fails__told_what_its_number_means(void **state)
{
    static const struct {
        int status;
        const char *text;
    } cases[] = {
        {-ENOMEM, "(Cannot allocate memory)"},
        {-LSHM_ECORRUPT, "(a peer wrote something that cannot be)"},
        {-LSHM_ERROR_END, "(unknown error)"},
        {INT32_MIN, "(unknown error)"},
    };
    struct raw_client client;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lsi_ctl_mapped mapped = {
            .header = {.type = LSI_CTL_MAPPED, .status = cases[i].status}};

        assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
        assert_int_equal(lsi_ctl_send(client.fd, &mapped, sizeof(mapped), NULL, 0), 0);
        assert_int_equal(raw_answer(&client, 0, RAW_TIMEOUT_MS), cases[i].status);
        assert_non_null(strstr(client.packet.refusal.text, cases[i].text));
        raw_close(&client);
    }
}

/* Numbers of regions are easily guessed. */
static void test_broker__mapped_of_another_client__means_nothing(void **state)
{
    struct raw_client client, other;
    struct lsi_ctl_publisher_open wish = raw_publisher_wish("t");
    struct lsi_ctl_mapped mapped = {.header.type = LSI_CTL_MAPPED, .count = 2};
    uint64_t number;

    (void)state;
    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
    assert_int_equal(raw_attach(&other, broker.socket_path, 0), 0);
    assert_int_equal(raw_call(&client, &wish, sizeof(wish)), 0);
    mapped.regions[0] = client.packet.publisher_memory.geometry.ring_region;
    mapped.regions[1] = client.packet.publisher_memory.geometry.segments[0].region;
    lsi_ctl_close_fds(&client.packet, 0);
    assert_int_equal(raw_send(&other, &mapped, sizeof(mapped)), 0);
    assert_int_equal(raw_subscriber_open(&other, "t", 0, &number), 0); /* it is not cut off */
    raw_close(&client);
    raw_close(&other);
}

static void expect_cut(const void *bytes, size_t count, const int *fds, unsigned fd_count)
{
    struct raw_client client;

    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
    assert_int_equal(lsi_socket_send(client.fd, bytes, count, fds, fd_count), 0);
    assert_int_equal(raw_answer(&client, 0, RAW_TIMEOUT_MS), -LSHM_EPROTO);
    assert_int_equal(raw_turn(&client, RAW_TIMEOUT_MS), -LSHM_EGONE);
    raw_close(&client);
}

static void test_broker__hostile_packets__cut_off_with_a_reason(void **state)
{
    static unsigned char huge[LSI_CTL_BYTES_MAX + 1];
    struct lsi_ctl_header header = {.type = LSI_CTL_STATUS, .bytes = sizeof(header)};
    struct lsi_ctl_header wrong = header;
    struct raw_client client;
    int fd = 0;

    (void)state;
    expect_cut("x", 1, NULL, 0);
    expect_cut(huge, sizeof(huge), NULL, 0);
    wrong.type = 99;
    expect_cut(&wrong, sizeof(wrong), NULL, 0);
    wrong = header;
    wrong.bytes++;
    expect_cut(&wrong, sizeof(wrong), NULL, 0);
    wrong = header;
    wrong.fds = 1;
    expect_cut(&wrong, sizeof(wrong), NULL, 0);
    expect_cut(&wrong, sizeof(wrong), &fd, 1);   /* the broker takes no descriptors, */
    expect_cut(&header, sizeof(header), &fd, 1); /* announced or not */
    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0); /* it is still there */
    raw_close(&client);
}

/* An open that needs a cell which a stopped subscriber does not map fails, and names it. */
static void test_broker__subscriber_maps_nothing__open_fails_naming_it(void **state)
{
    struct raw_client reader, writer;
    struct lsi_ctl_subscriber_open big = {
        .header.type = LSI_CTL_SUBSCRIBER_OPEN, .topic = "t", .window = 8, .holds = 1000};
    uint64_t publisher;
    int status = 0, i;

    (void)state;
    assert_int_equal(raw_attach(&reader, broker.socket_path, 0), 0);
    assert_int_equal(raw_attach(&writer, broker.socket_path, 0), 0);
    reader.is_lazy = 1;
    assert_int_equal(raw_call(&reader, &big, sizeof(big)), 0);
    for (i = 0; i < 3 && status == 0; i++)
        status = raw_publisher_open(&writer, raw_publisher_wish("t"), &publisher, NULL);
    assert_int_equal(status, -LSHM_EPEER);
    assert_non_null(strstr(writer.packet.refusal.text, "(raw)"));
    raw_close(&reader);
    raw_close(&writer);
}

static void test_broker__client_that_inspects__refused(void **state)
{
    struct raw_client client;
    struct lsi_ctl_watch watch = {.header.type = LSI_CTL_WATCH, .topic = "t"};
    struct lsi_ctl_region region = {.header.type = LSI_CTL_REGION, .region = 1};

    (void)state;
    assert_int_equal(raw_attach(&client, broker.socket_path, 0), 0);
    assert_int_equal(raw_call(&client, &watch, sizeof(watch)), -LSHM_EDENIED);
    assert_non_null(strstr(client.packet.refusal.text, "only inspectors"));
    assert_int_equal(raw_call(&client, &region, sizeof(region)), -LSHM_EDENIED);
    assert_true(raw_worker_pid(&client) > 0); /* the session goes on */
    raw_close(&client);
}

static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define START_TEST(name) cmocka_unit_test_setup_teardown(name, setup_directory, lst_teardown)
    TEST(test_broker__second_one__refused_with_the_pid_of_the_first),
    START_TEST(test_broker__open_directory__refused),
    START_TEST(test_broker__directory_of_another_user__refused),
    START_TEST(test_broker__missing_parent__refused),
    START_TEST(test_broker__another_file_in_its_place__is_left_alone),
    START_TEST(test_broker__bad_options__usage),
    START_TEST(test_broker__stale_socket__is_replaced),
    TEST(test_broker__one_client_too_many__told_the_option),
    TEST(test_broker__quota__named_with_its_option),
    TEST(test_broker__bad_wishes__refused_and_the_session_goes_on),
    TEST(test_broker__mapped_but_not_filled__cut_off),
    TEST(test_broker__mapping_fails__told_what_its_number_means),
    TEST(test_broker__client_that_inspects__refused),
    TEST(test_broker__mapped_of_another_client__means_nothing),
    TEST(test_broker__hostile_packets__cut_off_with_a_reason),
    TEST(test_broker__subscriber_maps_nothing__open_fails_naming_it),
};

static int run(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
