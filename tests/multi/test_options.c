/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structs that begin with their size: older and newer callers are served, and what the library does
 * not know is refused with a text, not ignored.
 */
#include <errno.h>
#include <string.h>

#include "agent.h"

#define TAIL_BYTES 64

static struct lshm_context *context;
static struct lshm_error error;

static int setup(void **state)
{
    struct lshm_context_options options = { .size = sizeof options };

    if (agent_setup(state) < 0)
        return -1;
    options.socket = agent_rig.broker.socket_path;
    return lshm_context_open(&options, NULL, &context);
}

static int teardown(void **state)
{
    lshm_context_close(context);
    return agent_teardown(state);
}

static int open_context(const void *options)
{
    struct lshm_context *opened = NULL;
    int r = lshm_context_open(options, &error, &opened);

    assert_int_equal(r == 0, opened != NULL);
    lshm_context_close(opened);
    return r;
}

static int open_publisher(const void *options)
{
    struct lshm_publisher *opened = NULL;
    int r = lshm_publisher_open(context, "test/options", options, &error, &opened);

    assert_int_equal(r == 0, opened != NULL);
    lshm_publisher_close(opened);
    return r;
}

static int open_subscriber(const void *options)
{
    struct lshm_subscriber *opened = NULL;
    int r = lshm_subscriber_open(context, "test/options", options, &error, &opened);

    assert_int_equal(r == 0, opened != NULL);
    lshm_subscriber_close(opened);
    return r;
}

/* Each as it was when it had only its first fields, and as one that has more of them will be. */
static union {
    struct lshm_context_options context;
    struct lshm_publisher_options publisher;
    struct lshm_subscriber_options subscriber;
    uint64_t size;
    unsigned char bytes[256 + TAIL_BYTES];
} given;

static const struct {
    int (*open)(const void *options);
    size_t bytes, reserved; /* 0: no field is */
} kinds[] = {
    { open_context, sizeof(struct lshm_context_options),
      offsetof(struct lshm_context_options, reserved) },
    { open_publisher, sizeof(struct lshm_publisher_options), 0 },
    { open_subscriber, sizeof(struct lshm_subscriber_options),
      offsetof(struct lshm_subscriber_options, reserved) },
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static void prepare(uint64_t size)
{
    memset(&given, 0, sizeof given);
    memset(&error, 0, sizeof error);
    given.size = size;
}

static void is_refused(size_t kind)
{
    assert_int_equal(kinds[kind].open(&given), -EINVAL);
    assert_int_equal(error.number, EINVAL);
    assert_non_null(strstr(error.text, "zero"));
}

static void test_options__without_their_size__are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        for (uint64_t size = 0; size < sizeof size; size++) {
            prepare(size);
            is_refused(i);
        }
    }
}

static void test_options__of_a_newer_caller__are_taken_as_far_as_zero(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        prepare(kinds[i].bytes + TAIL_BYTES);
        given.context.socket = i == 0 ? agent_rig.broker.socket_path : given.context.socket;
        assert_int_equal(kinds[i].open(&given), 0);
        for (size_t at = kinds[i].bytes; at < kinds[i].bytes + TAIL_BYTES; at++) {
            prepare(kinds[i].bytes + TAIL_BYTES);
            given.bytes[at] = 1;
            is_refused(i);
        }
    }
}

static void test_options__with_reserved_fields_set__are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        if (kinds[i].reserved == 0)
            continue;
        prepare(kinds[i].bytes);
        given.bytes[kinds[i].reserved] = 1;
        is_refused(i);
    }
    prepare(sizeof given.context);
    given.context.flags = ~LSHM_CONTEXT_DUMP;
    is_refused(0);
}

/* What lies behind the size is not looked at. */
static void test_options__of_an_older_caller__have_defaults_for_the_rest(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        prepare(sizeof given.size);
        memset(given.bytes + sizeof given.size, 0xff, sizeof given - sizeof given.size);
        if (i == 0) {
            given.size = offsetof(struct lshm_context_options, name);
            given.context.socket = agent_rig.broker.socket_path;
        }
        assert_int_equal(kinds[i].open(&given), 0);
    }
}

static void test_statistics__of_another_size__are_filled_as_far_as_both_go(void **state)
{
    struct lshm_publisher_statistics publishing;
    struct lshm_subscriber_statistics subscribing;
    struct lshm_publisher *publisher;
    struct lshm_subscriber *subscriber;

    (void)state;
    assert_int_equal(lshm_publisher_open(context, "test/options", NULL, NULL, &publisher), 0);
    assert_int_equal(lshm_subscriber_open(context, "test/options", NULL, NULL, &subscriber), 0);
    for (uint64_t size = 0; size < sizeof size; size++) {
        publishing.size = subscribing.size = size;
        assert_int_equal(lshm_publisher_get_statistics(publisher, &publishing), -EINVAL);
        assert_int_equal(lshm_subscriber_get_statistics(subscriber, &subscribing), -EINVAL);
    }
    memset(&publishing, 0xff, sizeof publishing);
    memset(&subscribing, 0xff, sizeof subscribing);
    publishing.size = offsetof(struct lshm_publisher_statistics, refused);
    subscribing.size = offsetof(struct lshm_subscriber_statistics, lost);
    assert_int_equal(lshm_publisher_get_statistics(publisher, &publishing), 0);
    assert_int_equal(lshm_subscriber_get_statistics(subscriber, &subscribing), 0);
    assert_int_equal(publishing.bytes, 0);
    assert_true(publishing.refused == UINT64_MAX);
    assert_int_equal(subscribing.taken, 0);
    assert_true(subscribing.lost == UINT64_MAX);
}

static int run(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_options__without_their_size__are_refused),
        TEST(test_options__of_a_newer_caller__are_taken_as_far_as_zero),
        TEST(test_options__with_reserved_fields_set__are_refused),
        TEST(test_options__of_an_older_caller__have_defaults_for_the_rest),
        TEST(test_statistics__of_another_size__are_filled_as_far_as_both_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, agent_roles, agent_role_count, run);
}
