/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library against a broker of another version: a thread that answers one HELLO and hangs up.
 * Each answer is an error of its own that says what, why and how to fix it; nothing is left open.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lshm/inspect.h>
#include <lshm/lshm.h>

#include "support.h"

#include "ctl/codec.h"
#include "os/memory.h"
#include "os/seal.h"
#include "os/socket.h"

#define REGIONS 3
#define REGION_BYTES 32768u
/* What a broker of yesterday or tomorrow speaks. */
#define OTHER_MAJOR (LSHM_ABI_MAJOR + 1)
#define OTHER_MINOR (LSHM_ABI_MINOR + 1)
#define SOMEBODY 65533
#define SOMEBODY_ELSE 65534

struct other_broker {
    char path[LST_PATH_MAX];
    int listener;
    pthread_t thread;
    void (*answer)(struct other_broker *broker, int fd);
    struct lsi_ctl_packet request; /* the HELLO that it got */
};

static struct other_broker broker;
static const char *directory;
static uid_t server_uid, client_uid; /* 0: as they are; others, by root only */

static int wait_for(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    return poll(&wait, 1, LST_DEADLINE_MS);
}

static void *serve(void *arg)
{
    struct other_broker *self = arg;
    int fd;

    if (wait_for(self->listener) != 1 || lsi_socket_accept(self->listener, &fd) < 0)
        return NULL;
    if (wait_for(fd) == 1 && lsi_ctl_peek(fd, &self->request) == 1) {
        lsi_socket_drop(fd);
        self->answer(self, fd);
    }
    close(fd);
    return NULL;
}

/* As a broker makes them: the last one is for the client to write. */
static int make_region(uint32_t abi_minor, int is_writable)
{
    struct lshm_region_header header = {.magic = LSHM_REGION_MAGIC,
                                        .abi_major = LSHM_ABI_MAJOR,
                                        .abi_minor = (uint16_t)abi_minor,
                                        .bytes = REGION_BYTES};
    void *base;
    int fd, reader;

    if (lsi_memory_create("other", REGION_BYTES, &fd) < 0 || lsi_memory_fill(fd, REGION_BYTES) < 0)
        return -1;
    if (is_writable)
        return fd;
    if (lsi_memory_map(fd, REGION_BYTES, LSI_MAP_WRITE, &base) < 0)
        return -1;
    memcpy(base, &header, sizeof(header));
    if (lsi_seal_writes(fd) < 0 || lsi_seal_reopen(fd, &reader) < 0)
        reader = -1;
    lsi_memory_unmap(base, REGION_BYTES);
    close(fd);
    return reader;
}

/* A whole answer in today's layout, with regions whose headers are of that version. */
static void answer_whole(struct other_broker *self, int fd, uint32_t minor, uint32_t region_minor)
{
    struct lsi_ctl_hello_reply reply = {
        .header = {.type = LSI_CTL_HELLO | LSI_CTL_REPLY, .id = self->request.header.id},
        .abi_major = LSHM_ABI_MAJOR,
        .abi_minor = minor,
        .client = 1,
        .public_bytes = REGION_BYTES,
        .board_bytes = REGION_BYTES,
        .control_bytes = REGION_BYTES,
    };
    int fds[REGIONS], i;

    for (i = 0; i < REGIONS; i++)
        fds[i] = make_region(region_minor, i == REGIONS - 1);
    (void)lsi_ctl_send(fd, &reply, sizeof(reply), fds, REGIONS);
    for (i = 0; i < REGIONS; i++)
        close(fds[i]);
}

static void answer_other_minor(struct other_broker *self, int fd)
{
    answer_whole(self, fd, OTHER_MINOR, OTHER_MINOR);
}

static void answer_other_regions(struct other_broker *self, int fd)
{
    answer_whole(self, fd, LSHM_ABI_MINOR, OTHER_MINOR);
}

/* Another layout behind the two versions, and no descriptors at all. */
static void answer_other_layout(struct other_broker *self, int fd)
{
    union {
        struct lsi_ctl_hello_reply reply;
        unsigned char bytes[600];
    } longer = {{.abi_major = OTHER_MAJOR, .abi_minor = 7}};

    longer.reply.header.type = LSI_CTL_HELLO | LSI_CTL_REPLY;
    longer.reply.header.id = self->request.header.id;
    (void)lsi_ctl_send(fd, &longer, sizeof(longer), NULL, 0);
}

static void answer_refusal(struct other_broker *self, int fd)
{
    struct lsi_ctl_refusal refusal = {
        .header = {.type = LSI_CTL_HELLO | LSI_CTL_REPLY, .status = -LSHM_EVERSION}};

    snprintf(refusal.text, sizeof(refusal.text),
             "ABI %u.%u is not the broker's 7.3 (brokerd 7.0.0); use its liblshm",
             self->request.hello.abi_major, self->request.hello.abi_minor);
    (void)lsi_ctl_send(fd, &refusal, sizeof(refusal), NULL, 0);
}

static void answer_nonsense(struct other_broker *self, int fd)
{
    (void)self;
    (void)lsi_socket_send(fd, "HTTP/1.1 400 Bad Request", 24, NULL, 0);
}

static void answer_nothing(struct other_broker *self, int fd)
{
    (void)self;
    (void)fd;
}

static void become(uid_t uid)
{
    if (server_uid != 0 || client_uid != 0)
        assert_int_equal(seteuid(0) == 0 && seteuid(uid) == 0, 1);
}

/* Opens an object of the library at the broker that answers so, which must fail with `error`. */
static void refused(void (*answer)(struct other_broker *broker, int fd), int is_inspector,
                    int error, const char *what, const char *advice)
{
    struct lshm_context_options options = {.size = sizeof(options), .socket = broker.path};
    struct lshm_error why = {0};
    struct lshm_inspector *inspector = NULL;
    struct lshm_context *context = NULL;
    int status;

    broker.answer = answer;
    become(server_uid); /* a socket is its listener's */
    assert_int_equal(lsi_socket_listen(broker.path, &broker.listener), 0);
    assert_int_equal(chmod(broker.path, 0666), 0);
    become(client_uid);
    assert_int_equal(pthread_create(&broker.thread, NULL, serve, &broker), 0);
    status = is_inspector ? lshm_inspector_open(&options, &why, &inspector)
                          : lshm_context_open(&options, &why, &context);
    assert_int_equal(pthread_join(broker.thread, NULL), 0);
    become(0);
    close(broker.listener);
    unlink(broker.path);
    assert_int_equal(status, error);
    assert_null(context);
    assert_null(inspector);
    if (!strstr(why.text, what) || !strstr(why.text, advice))
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", why.text, what, advice);
}

static int setup(void **state)
{
    struct lst_fixture *fixture;

    if (lst_setup_in_tmp(state) < 0)
        return -1;
    fixture = *state;
    directory = fixture->dir;
    snprintf(broker.path, sizeof(broker.path), "%s/broker.sock", directory);
    return 0;
}

static void test_context__broker_of_another_abi__is_told_both_versions(void **state)
{
    char theirs[64], ours[64];

    (void)state;
    snprintf(theirs, sizeof(theirs), "the broker speaks ABI %u.%u", LSHM_ABI_MAJOR, OTHER_MINOR);
    snprintf(ours, sizeof(ours), "speaks %u.%u: start the brokerd of this version", LSHM_ABI_MAJOR,
             LSHM_ABI_MINOR);
    refused(answer_other_minor, 0, -LSHM_EVERSION, theirs, ours);
    refused(answer_other_regions, 0, -LSHM_EVERSION, theirs, ours);
    snprintf(theirs, sizeof(theirs), "the broker speaks ABI %u.7", OTHER_MAJOR);
    refused(answer_other_layout, 0, -LSHM_EVERSION, theirs, ours);
}

static void test_inspector__broker_of_another_abi__is_told_both_versions(void **state)
{
    (void)state;
    refused(answer_other_minor, 1, -LSHM_EVERSION, "the broker speaks ABI",
            "start the brokerd of this version");
    refused(answer_other_layout, 1, -LSHM_EVERSION, "the broker speaks ABI",
            "start the brokerd of this version");
}

static void test_context__broker_that_refuses_our_abi__is_quoted(void **state)
{
    (void)state;
    refused(answer_refusal, 0, -LSHM_EVERSION, "is not the broker's 7.3", "use its liblshm");
    refused(answer_refusal, 1, -LSHM_EVERSION, "is not the broker's 7.3", "use its liblshm");
}

static void test_context__something_else_at_the_socket__is_an_error(void **state)
{
    (void)state;
    refused(answer_nonsense, 0, -LSHM_EPROTO, "lost the broker", "start brokerd");
    refused(answer_nothing, 0, -LSHM_EGONE, "lost the broker", "start brokerd");
}

/* A broker of user `server` is asked by a process of user `client`. */
static void refused_between(uid_t server, uid_t client, int error, const char *what,
                            const char *advice)
{
    assert_int_equal(chmod(directory, 0777), 0);
    server_uid = server;
    client_uid = client;
    refused(answer_refusal, 0, error, what, advice);
    refused(answer_refusal, 1, error, what, advice);
    server_uid = client_uid = 0;
}

/* It could hand out memory that it writes, and read all that is published. */
static void test_context__broker_of_another_user__is_not_used(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    refused_between(SOMEBODY_ELSE, SOMEBODY, -LSHM_EDENIED, "runs as uid 65534, neither root nor",
                    "LSHM_SOCKET");
    refused_between(SOMEBODY, SOMEBODY, -LSHM_EVERSION, "is not the broker's 7.3", "use its");
    refused_between(0, SOMEBODY, -LSHM_EVERSION, "is not the broker's 7.3", "use its");
    refused_between(SOMEBODY, 0, -LSHM_EVERSION, "is not the broker's 7.3", "use its");
}

static int run(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, lst_teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_context__broker_of_another_abi__is_told_both_versions),
        TEST(test_inspector__broker_of_another_abi__is_told_both_versions),
        TEST(test_context__broker_that_refuses_our_abi__is_quoted),
        TEST(test_context__broker_of_another_user__is_not_used),
        TEST(test_context__something_else_at_the_socket__is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
