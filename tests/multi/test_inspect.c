/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an inspector sees of other processes: figures, lists, holders; of a broker whose worker was
 * killed; and of processes that write nonsense where they may write.
 *
 * covers: G1 G4
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lshm/inspect.h>

#include "support.h"

#define SECOND INT64_C(1000000000)
#define PAYLOAD 1000u
#define SLOTS 64u
#define WINDOW 8u
#define ENTRIES_MAX 16
#define GONE_WITHIN_MS 1000
#define WORDS_MAX 512
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

struct rig {
    struct lst_broker broker;
    struct lst_child child;
    struct lshm_context *context;
    struct lshm_publisher *publisher;
    struct lshm_inspector *inspector;
};

static struct rig rig;

static int open_context(const char *socket, struct lshm_context **ret_context)
{
    struct lshm_context_options options = { .size = sizeof options, .socket = socket };

    return lshm_context_open(&options, NULL, ret_context);
}

static int open_subscriber(struct lshm_context *context, const char *topic,
                           struct lshm_subscriber **ret_subscriber)
{
    struct lshm_subscriber_options options = {
        .size = sizeof options,
        .window = WINDOW,
        .holds = 4,
    };

    return lshm_subscriber_open(context, topic, &options, NULL, ret_subscriber);
}

static int open_publisher(struct lshm_context *context, const char *topic,
                          struct lshm_publisher **ret_publisher)
{
    struct lshm_publisher_options options = {
        .size = sizeof options,
        .payload_bytes = PAYLOAD,
        .slot_count = SLOTS,
        .ring_entries = SLOTS,
    };

    return lshm_publisher_open(context, topic, &options, NULL, ret_publisher);
}

static int setup(void **state)
{
    struct lshm_context_options options = { .size = sizeof options };
    struct lst_fixture *fixture;

    rig = (struct rig){ 0 };
    if (lst_setup(state) < 0)
        return -1;
    fixture = *state;
    lst_must(lst_broker_start(&rig.broker, fixture->dir));
    options.socket = rig.broker.socket_path;
    assert_int_equal(open_context(options.socket, &rig.context), 0);
    assert_int_equal(open_publisher(rig.context, "seen", &rig.publisher), 0);
    assert_int_equal(lshm_inspector_open(&options, NULL, &rig.inspector), 0);
    return 0;
}

static int teardown(void **state)
{
    if (rig.child.pid != 0)
        lst_must(lst_child_kill(&rig.child));
    lshm_inspector_close(rig.inspector);
    lshm_context_close(rig.context);
    lst_must(lst_broker_stop(&rig.broker));
    return lst_teardown(state);
}

static void start_child(const char *role, const char *count)
{
    const char *const args[] = { rig.broker.socket_path, count, NULL };

    lst_must(lst_child_start(&rig.child, role, args));
    lst_must(lst_child_expect(&rig.child, "ready"));
}

static void send_messages(unsigned count)
{
    unsigned char data[PAYLOAD] = { 0 };

    for (unsigned i = 0; i < count; i++)
        assert_int_equal(lshm_publisher_send(rig.publisher, data, sizeof data), 0);
}

/* Subscribes, takes `count` messages one by one, keeps the first and lets go of the others. */
static int run_holder(int argc, char **argv)
{
    int count = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
    struct lshm_subscriber *subscriber;
    struct lshm_context *context;
    struct lshm_message first, message;

    if (open_context(argv[0], &context) < 0 || open_subscriber(context, "seen", &subscriber) < 0)
        return 1;
    lst_say("ready");
    for (int i = 0; i < count; i++) {
        if (lshm_subscriber_wait(subscriber, 10 * SECOND) <= 0 ||
            lshm_subscriber_take(subscriber, i == 0 ? &first : &message) <= 0)
            return 2;
        if (i > 0 && lshm_subscriber_release(subscriber, &message) < 0)
            return 3;
    }
    lst_say("holding");
    lst_expect("release");
    if (count > 0 && lshm_subscriber_release(subscriber, &first) < 0)
        return 4;
    lst_say("released");
    lst_expect("end");
    lshm_context_close(context);
    return 0;
}

/* Fills every region that it may write, behind the header, with one byte; again with others. */
static int run_scribbler(int argc, char **argv)
{
    static const int patterns[] = { 0xff, 0x01, 0x7f, 0x80, 0x5a };
    struct lshm_subscriber *subscriber;
    struct lshm_publisher *publisher;
    struct lshm_context *context;
    char line[512];

    (void)argc;
    if (open_context(argv[0], &context) < 0 ||
        open_publisher(context, "hostile", &publisher) < 0 ||
        open_subscriber(context, "hostile", &subscriber) < 0)
        return 1;
    lst_say("ready");
    for (size_t i = 0; i < COUNT_OF(patterns); i++) {
        FILE *maps = fopen("/proc/self/maps", "re");
        int regions = 0;

        if (maps == NULL || lst_expect("go") < 0)
            return 2;
        while (fgets(line, sizeof line, maps) != NULL) {
            unsigned long from, to;

            if (sscanf(line, "%lx-%lx rw-s", &from, &to) != 2 || strstr(line, " rw-s ") == NULL ||
                strstr(line, "/memfd:") == NULL)
                continue;
            memset((char *)from + sizeof(struct lshm_region_header), patterns[i],
                   to - from - sizeof(struct lshm_region_header));
            regions++;
        }
        fclose(maps);
        if (regions < 3) /* control region, ring, segment */
            return 3;
        lst_say("done");
    }
    lst_expect("end");
    _exit(0); /* its own words make no sense any more */
}

/* The first memfd of this name that this process may write. */
static uint64_t *find_region(const char *name)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    uint64_t *found = NULL;
    char line[512];

    while (maps != NULL && found == NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long from;

        if (sscanf(line, "%lx-", &from) == 1 && strstr(line, " rw-s ") != NULL &&
            strstr(line, name) != NULL &&
            ((const struct lshm_region_header *)from)->part == 0)
            found = (uint64_t *)from;
    }
    if (maps != NULL)
        fclose(maps);
    return found;
}

/* Every word that inspectors read, but for the cell's link, without which they read no other. */
static size_t find_words(uint64_t **ret_words, size_t count)
{
    const size_t line = LSHM_LINE_BYTES / 8, link = offsetof(struct lshm_cell, link) / 8;
    uint64_t *control = find_region("/memfd:lshm-control"), *ring = find_region("/memfd:lshm-ring");
    size_t n = 0, cell = LSHM_CONTROL_FIRST_LINE_PART0 * line;

    if (control == NULL || ring == NULL || control[cell + link] == 0)
        return 0;
    for (size_t i = sizeof(struct lshm_region_header) / 8; i < cell + 3 * line && n < count; i++)
        if (i != cell + link)
            ret_words[n++] = &control[i];
    for (size_t i = sizeof(struct lshm_region_header) / 8;
         i < sizeof(struct lshm_ring) / 8 + 16 && n < count; i++) /* and the first states */
        ret_words[n++] = &ring[i];
    return n;
}

/* At each "go" another of its words has another value, and all others their own. */
static int run_forger(int argc, char **argv)
{
    static const uint64_t values[] = { 0, 1, 0x0102030405060708, UINT64_C(1) << 62,
                                       INT64_MAX, UINT64_MAX - 1, UINT64_MAX };
    static uint64_t *words[WORDS_MAX];
    struct lshm_subscriber *subscriber;
    struct lshm_publisher *publisher;
    struct lshm_context *context;
    struct lshm_message messages[2];
    size_t count;

    (void)argc;
    if (open_context(argv[0], &context) < 0 ||
        open_publisher(context, "hostile", &publisher) < 0 ||
        open_subscriber(context, "hostile", &subscriber) < 0)
        return 1;
    for (int i = 0; i < 5; i++)
        if (lshm_publisher_send(publisher, "x", 1) < 0)
            return 2;
    if (lshm_subscriber_take_batch(subscriber, messages, 2) != 2 ||
        lshm_subscriber_release(subscriber, &messages[1]) < 0)
        return 3;
    count = find_words(words, COUNT_OF(words));
    if (count == 0 || count == COUNT_OF(words))
        return 4;
    lst_say("ready");
    for (size_t i = 0; i < count * COUNT_OF(values); i++) {
        uint64_t *word = words[i / COUNT_OF(values)], own = *word;

        if (lst_expect("go") < 0)
            return 5;
        *word = values[i % COUNT_OF(values)];
        lst_say("done");
        if (lst_expect("back") < 0)
            return 6;
        *word = own;
    }
    lst_say("last");
    lst_expect("end");
    _exit(0);
}

/* Holders of one client besides the parent; total of a kind. */
static uint64_t held(uint32_t kind, struct lshm_holder_info *ret_one)
{
    struct lshm_holder_info infos[ENTRIES_MAX];
    uint64_t own = lshm_context_get_client(rig.context), sum = 0;
    int n = lshm_inspector_list_holders(rig.inspector, infos, COUNT_OF(infos));

    assert_in_range(n, 0, COUNT_OF(infos));
    for (int i = 0; i < n; i++) {
        if (infos[i].kind != kind || (infos[i].client == own) != (kind == LSHM_HOLDER_LOAN))
            continue;
        sum += infos[i].count;
        if (ret_one != NULL)
            *ret_one = infos[i];
    }
    return sum;
}

static bool nobody_holds(void *arg)
{
    (void)arg;
    return held(LSHM_HOLDER_HOLD, NULL) == 0 && held(LSHM_HOLDER_WINDOW, NULL) == 0 &&
           held(LSHM_HOLDER_AHEAD, NULL) == 0;
}

static void test_inspect__status__counts(void **state)
{
    struct lshm_broker_status s = { .size = sizeof s };

    (void)state;
    assert_int_equal(lshm_inspector_get_status(rig.inspector, &s), 0);
    assert_int_equal(s.clients, 2);
    assert_int_equal(s.topics, 1);
    assert_int_equal(s.publishers, 1);
    assert_int_equal(s.subscribers, 0);
    assert_int_equal(s.keeper_pid, rig.broker.process.pid);
    assert_int_equal(s.worker_generation, LST_COUNTER_START + 1);
    assert_string_equal(s.version, lshm_version());
    assert_string_equal(s.socket, rig.broker.socket_path);
    assert_int_equal(s.abi_major, LSHM_ABI_MAJOR);
    assert_int_equal(s.ring_entries.max, LSHM_RING_ENTRIES_MAX);
    assert_int_equal(s.holds.max, LSHM_HOLDS_MAX);
    assert_int_equal(s.publishers_max, 16384);
    s.size = 4;
    assert_int_equal(lshm_inspector_get_status(rig.inspector, &s), -EINVAL);
}

static void test_inspect__short_list__is_filled_as_far_as_it_goes(void **state)
{
    struct lshm_client_info infos[2];

    (void)state;
    memset(infos, 0x5a, sizeof infos);
    assert_int_equal(lshm_inspector_list_clients(rig.inspector, NULL, 0), 2);
    assert_int_equal(lshm_inspector_list_clients(rig.inspector, infos, 1), 2);
    assert_int_equal(infos[1].client, 0x5a5a5a5a5a5a5a5a);
    assert_int_equal(lshm_inspector_list_clients(rig.inspector, infos, 2), 2);
    for (int i = 0; i < 2; i++) {
        bool own = infos[i].client == lshm_context_get_client(rig.context);

        assert_int_equal(infos[i].pid, getpid());
        assert_int_equal(infos[i].state, own ? LSHM_CLIENT_ALIVE : LSHM_CLIENT_INSPECTOR);
        assert_int_equal(infos[i].publishers, own);
        assert_int_equal(infos[i].asleep, own ? 0 : LSHM_UNKNOWN_32);
    }
}

static void test_inspect__topic_by_name__is_found_or_told_from_a_bad_name(void **state)
{
    struct lshm_topic_info info = { .topic = 77 };
    struct lshm_error error = { 0 };

    (void)state;
    assert_int_equal(lshm_inspector_find_topic(rig.inspector, "a//b", &error, &info),
                     -LSHM_ENAME);
    assert_non_null(strstr(error.text, "\"a//b\" is not a topic name: use"));
    assert_int_equal(lshm_inspector_find_topic(rig.inspector, NULL, &error, &info), -LSHM_ENAME);
    assert_int_equal(lshm_inspector_find_topic(rig.inspector, "seen/no", &error, &info),
                     -LSHM_ENOTOPIC);
    assert_int_equal(error.number, LSHM_ENOTOPIC);
    assert_non_null(strstr(error.text, "no topic \"seen/no\" now"));
    assert_int_equal(lshm_inspector_find_topic(NULL, "seen", &error, &info), -LSHM_ECLOSED);
    assert_int_equal(info.topic, 77);
    assert_int_equal(lshm_inspector_find_topic(rig.inspector, "seen", NULL, &info), 0);
    assert_string_equal(info.name, "seen");
    assert_int_equal(info.publishers, 1);
    assert_true(info.memory_bytes > 0);
}

static void test_inspect__slots__are_counted_by_state(void **state)
{
    struct lshm_subscriber *subscriber;
    struct lshm_publisher_info info;
    struct lshm_topic_info topic;
    struct lshm_message loan;

    (void)state;
    assert_int_equal(open_subscriber(rig.context, "seen", &subscriber), 0);
    send_messages(3);
    assert_int_equal(lshm_publisher_loan(rig.publisher, PAYLOAD, &loan), 0);
    assert_int_equal(lshm_inspector_list_publishers(rig.inspector, &info, 1), 1);
    assert_int_equal(info.published, 3);
    assert_int_equal(info.bytes, 3 * PAYLOAD);
    assert_int_equal(info.slots, SLOTS);
    assert_int_equal(info.slots_window, 3);
    assert_int_equal(info.slots_loaned, 1);
    assert_int_equal(info.slots_free, SLOTS - 4);
    assert_int_equal(info.waiting, 0);
    assert_int_equal(info.dead, 0);
    assert_int_equal(lshm_inspector_list_topics(rig.inspector, &topic, 1), 1);
    assert_string_equal(topic.name, "seen");
    assert_int_equal(topic.published, 3);
    assert_int_equal(topic.subscribers, 1);
    assert_int_equal(topic.memory_bytes, info.memory_bytes);
    assert_int_equal(held(LSHM_HOLDER_LOAN, NULL), 1);
    lshm_publisher_abort(rig.publisher, &loan);
    assert_int_equal(held(LSHM_HOLDER_LOAN, NULL), 0);
}

static void test_inspect__subscriber__has_position_or_no_publisher(void **state)
{
    struct lshm_subscriber *reading, *lonely;
    struct lshm_subscriber_info infos[2];
    struct lshm_message message;

    (void)state;
    assert_int_equal(open_subscriber(rig.context, "seen", &reading), 0);
    assert_int_equal(open_subscriber(rig.context, "silent", &lonely), 0);
    send_messages(3);
    assert_int_equal(lshm_subscriber_take(reading, &message), 1);
    assert_int_equal(lshm_inspector_list_subscribers(rig.inspector, infos, 2), 2);
    assert_int_equal(infos[0].taken, 1);
    assert_int_equal(infos[0].position, LST_SEQ_FIRST + 1);
    assert_int_equal(infos[0].cursor, LST_SEQ_FIRST);
    assert_int_equal(infos[0].tail, LST_SEQ_FIRST + 3);
    assert_int_equal(infos[0].lost, 0);
    assert_int_equal(infos[0].window, WINDOW);
    assert_int_equal(infos[0].state, LSHM_ROW_LIVE);
    assert_int_equal(infos[1].publisher, 0);
    assert_true(infos[1].tail == LSHM_UNKNOWN && infos[1].taken == LSHM_UNKNOWN);
    assert_int_equal(infos[1].state, LSHM_ROW_FREE);
}

static void test_inspect__hold__is_listed_until_it_is_released(void **state)
{
    struct lshm_holder_info info = { 0 };

    (void)state;
    start_child("holder", "3");
    send_messages(3);
    lst_must(lst_child_expect(&rig.child, "holding"));
    assert_int_equal(held(LSHM_HOLDER_HOLD, &info), 1);
    assert_int_equal(info.seq, LST_SEQ_FIRST);
    assert_int_equal(info.at_most, 0);
    assert_true(info.since_ns > 0);
    lst_must(lst_child_say(&rig.child, "release"));
    lst_must(lst_child_expect(&rig.child, "released"));
    assert_true(nobody_holds(NULL));
    lst_must(lst_child_say(&rig.child, "end"));
    assert_int_equal(lst_child_wait(&rig.child, LST_DEADLINE_MS), 0);
}

static void test_inspect__killed_holder__holds_nothing(void **state)
{
    struct lshm_holder_info info = { 0 };

    (void)state;
    start_child("holder", "2");
    send_messages(5);
    lst_must(lst_child_expect(&rig.child, "holding"));
    assert_int_equal(held(LSHM_HOLDER_HOLD, NULL), 1);
    assert_int_equal(held(LSHM_HOLDER_AHEAD, &info), 3);
    assert_int_equal(info.at_most, 1);
    lst_must(lst_child_kill(&rig.child));
    assert_int_equal(lst_wait_until(nobody_holds, NULL, GONE_WITHIN_MS), 0);
}

static void test_inspect__window__is_at_most_what_was_taken(void **state)
{
    struct lshm_holder_info info = { 0 };

    (void)state;
    start_child("holder", "1");
    send_messages(4);
    lst_must(lst_child_expect(&rig.child, "holding"));
    assert_int_equal(held(LSHM_HOLDER_WINDOW, &info), 1);
    assert_int_equal(info.seq, LST_SEQ_FIRST);
    assert_int_equal(info.at_most, 1);
    assert_int_equal(held(LSHM_HOLDER_AHEAD, &info), 3);
    assert_int_equal(info.seq, LST_SEQ_FIRST + 1);
    assert_int_equal(held(LSHM_HOLDER_HOLD, NULL), 0);
}

static void test_inspect__worker_killed__goes_on(void **state)
{
    struct lshm_broker_status before = { .size = sizeof before }, after = { .size = sizeof after };

    (void)state;
    send_messages(2);
    assert_int_equal(lshm_inspector_get_status(rig.inspector, &before), 0);
    assert_int_equal(kill((pid_t)before.worker_pid, SIGKILL), 0);
    assert_int_equal(lshm_inspector_list_publishers(rig.inspector, NULL, 0), 1);
    assert_int_equal(lshm_inspector_list_holders(rig.inspector, NULL, 0), 0);
    assert_int_equal(lshm_inspector_get_status(rig.inspector, &after), 0);
    assert_int_equal(after.worker_generation, before.worker_generation + 1);
    assert_int_equal(after.publishers, 1);
}

static void check_hostile_lists(void)
{
    static struct lshm_holder_info holders[4096];
    struct lshm_publisher_info publishers[2];
    struct lshm_subscriber_info subscribers[2];
    struct lshm_client_info clients[4];
    struct lshm_topic_info topics[2];
    int n;

    assert_int_equal(lshm_inspector_list_clients(rig.inspector, clients, 4), 3);
    assert_int_equal(lshm_inspector_list_topics(rig.inspector, topics, 2), 2);
    assert_int_equal(lshm_inspector_list_publishers(rig.inspector, publishers, 2), 2);
    for (int i = 0; i < 2; i++) {
        const struct lshm_publisher_info *p = &publishers[i];

        assert_int_equal(p->slots, SLOTS);
        assert_true(p->slots_free + p->slots_loaned + p->slots_window + p->slots_limbo +
                    p->slots_quarantine <= SLOTS);
    }
    assert_int_equal(lshm_inspector_list_subscribers(rig.inspector, subscribers, 2), 1);
    n = lshm_inspector_list_holders(rig.inspector, holders, COUNT_OF(holders));
    assert_in_range(n, 0, COUNT_OF(holders));
    for (int i = 0; i < n; i++)
        if (holders[i].kind == LSHM_HOLDER_WINDOW)
            assert_in_range(holders[i].count, 1, WINDOW);
}

static void test_inspect__nonsense__is_bounded(void **state)
{
    (void)state;
    start_child("scribbler", NULL);
    for (int i = 0; i < 5; i++) {
        lst_must(lst_child_say(&rig.child, "go"));
        lst_must(lst_child_expect(&rig.child, "done"));
        check_hostile_lists();
    }
}

static void test_inspect__each_word_forged__is_bounded(void **state)
{
    char line[LST_LINE_MAX];
    unsigned count = 0;

    (void)state;
    start_child("forger", NULL);
    for (;; count++) {
        lst_must(lst_child_say(&rig.child, "go"));
        lst_must(lst_child_hear(&rig.child, line, LST_DEADLINE_MS));
        if (strcmp(line, "done") != 0)
            break;
        check_hostile_lists();
        lst_must(lst_child_say(&rig.child, "back"));
    }
    assert_string_equal(line, "last");
    assert_true(count > 700);
}

static void test_inspect__no_broker__says_so(void **state)
{
    struct lshm_context_options options = { .size = sizeof options, .socket = "/nonexistent" };
    struct lshm_inspector *inspector = NULL;
    struct lshm_error error = { 0 };

    (void)state;
    assert_int_equal(lshm_inspector_open(&options, &error, &inspector), -LSHM_ENOBROKER);
    assert_null(inspector);
    assert_non_null(strstr(error.text, "start brokerd"));
    options.reserved = 1;
    assert_int_equal(lshm_inspector_open(&options, &error, &inspector), -EINVAL);
    lshm_inspector_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_inspect__status__counts),
        TEST(test_inspect__short_list__is_filled_as_far_as_it_goes),
        TEST(test_inspect__topic_by_name__is_found_or_told_from_a_bad_name),
        TEST(test_inspect__slots__are_counted_by_state),
        TEST(test_inspect__subscriber__has_position_or_no_publisher),
        TEST(test_inspect__hold__is_listed_until_it_is_released),
        TEST(test_inspect__killed_holder__holds_nothing),
        TEST(test_inspect__window__is_at_most_what_was_taken),
        TEST(test_inspect__worker_killed__goes_on),
        TEST(test_inspect__nonsense__is_bounded),
        TEST(test_inspect__each_word_forged__is_bounded),
        cmocka_unit_test(test_inspect__no_broker__says_so),
    };

    return cmocka_run_group_tests_name("inspect", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct lst_role roles[] = {
        { "holder", run_holder },
        { "scribbler", run_scribbler },
        { "forger", run_forger },
    };

    return lst_main(argc, argv, roles, COUNT_OF(roles), run_all);
}
