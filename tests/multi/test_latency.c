/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long messages take: counted while somebody watches, exactly, and by nobody else; whoever of
 * observer, subscriber and broker dies; and whatever a subscriber writes there.
 *
 * kills: L1 L2
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lshm/inspect.h>

#include "support.h"

#define SECOND INT64_C(1000000000)
#define TOPIC "timed"
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

struct rig {
    struct lst_broker broker;
    struct lst_child child;
    struct lshm_context *context;
    struct lshm_publisher *publisher;
    struct lshm_subscriber *subscriber;
    struct lshm_inspector *inspector;
    struct lshm_latency_info info;
    bool stamped; /* the last message taken by take_all() */
};

static struct rig rig;

static int open_context(const char *socket, struct lshm_context **ret_context)
{
    struct lshm_context_options options = { .size = sizeof options, .socket = socket };

    return lshm_context_open(&options, NULL, ret_context);
}

static int open_inspector(const char *socket, struct lshm_inspector **ret_inspector)
{
    struct lshm_context_options options = { .size = sizeof options, .socket = socket };

    return lshm_inspector_open(&options, NULL, ret_inspector);
}

static int setup(void **state)
{
    struct lst_fixture *fixture;

    rig = (struct rig){ 0 };
    if (lst_setup(state) < 0)
        return -1;
    fixture = *state;
    lst_must(lst_broker_start(&rig.broker, fixture->dir));
    assert_int_equal(open_context(rig.broker.socket_path, &rig.context), 0);
    assert_int_equal(lshm_publisher_open(rig.context, TOPIC, NULL, NULL, &rig.publisher), 0);
    assert_int_equal(open_inspector(rig.broker.socket_path, &rig.inspector), 0);
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

static void start_child(const char *role)
{
    const char *const args[] = { rig.broker.socket_path, NULL };

    lst_must(lst_child_start(&rig.child, role, args));
    lst_must(lst_child_expect(&rig.child, "ready"));
}

/* Watches when it is told to, until it is told to end, or is killed. */
static int run_observer(int argc, char **argv)
{
    struct lshm_inspector *inspector;

    (void)argc;
    if (open_inspector(argv[0], &inspector) < 0)
        return 1;
    lst_say("ready");
    lst_expect("watch");
    if (lshm_inspector_watch(inspector, TOPIC, NULL) < 0)
        return 2;
    lst_say("watching");
    lst_expect("end");
    lshm_inspector_close(inspector);
    return 0;
}

static int take_some(struct lshm_subscriber *subscriber, unsigned long count)
{
    struct lshm_message message;

    for (unsigned long i = 0; i < count; i++) {
        if (lshm_subscriber_wait(subscriber, 10 * SECOND) <= 0 ||
            lshm_subscriber_take(subscriber, &message) <= 0 ||
            lshm_subscriber_release(subscriber, &message) < 0)
            return -1;
    }
    return 0;
}

/* Its histogram, in which it has counted so many: all of its memory is searched. */
static struct lshm_histogram *find_histogram(unsigned long link, uint64_t count)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    struct lshm_histogram *found = NULL;
    char line[512];

    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;

        if (sscanf(line, "%lx-%lx rw-s", &from, &to) != 2 || strstr(line, " rw-s ") == NULL ||
            strstr(line, "/memfd:lshm-control") == NULL)
            continue;
        for (; from + sizeof *found <= to; from += LSHM_LINE_BYTES) {
            struct lshm_histogram *here = (struct lshm_histogram *)from;

            if (here->link == link && lshm_histogram_count(here) == count)
                found = here;
        }
    }
    if (maps != NULL)
        fclose(maps);
    return found;
}

/* Writes a pattern over all of it but the link. */
static int forge(unsigned long link, int pattern)
{
    static struct lshm_histogram *histogram;

    if (histogram == NULL)
        histogram = find_histogram(link, 3);
    if (histogram == NULL)
        return -1;
    memset((char *)histogram + sizeof histogram->link, pattern,
           sizeof *histogram - sizeof histogram->link);
    return 0;
}

/* "take N", "forge LINK PATTERN", "look" (a call of the library), "end". */
static int run_reader(int argc, char **argv)
{
    struct lshm_subscriber *subscriber;
    struct lshm_context *context;
    struct lshm_message message;
    char line[LST_LINE_MAX];
    unsigned long number;
    int pattern;

    (void)argc;
    if (open_context(argv[0], &context) < 0 ||
        lshm_subscriber_open(context, TOPIC, NULL, NULL, &subscriber) < 0)
        return 1;
    lst_say("ready");
    while (lst_hear(line, LST_DEADLINE_MS) >= 0 && strcmp(line, "end") != 0) {
        if (sscanf(line, "take %lu", &number) == 1) {
            if (take_some(subscriber, number) < 0)
                return 2;
        } else if (sscanf(line, "forge %lu %d", &number, &pattern) == 2) {
            if (forge(number, pattern) < 0)
                return 3;
        } else if (lshm_subscriber_take(subscriber, &message) != 0) {
            return 4;
        }
        lst_say("done");
    }
    _exit(0); /* it may have forged its own words */
}

static void tell_child(const char *format, unsigned long a, int b)
{
    char line[LST_LINE_MAX];

    snprintf(line, sizeof line, format, a, b);
    lst_must(lst_child_say(&rig.child, line));
    lst_must(lst_child_expect(&rig.child, "done"));
}

static void start_observer(void)
{
    start_child("observer");
    lst_must(lst_child_say(&rig.child, "watch"));
    lst_must(lst_child_expect(&rig.child, "watching"));
}

static void open_subscriber(void)
{
    assert_int_equal(lshm_subscriber_open(rig.context, TOPIC, NULL, NULL, &rig.subscriber), 0);
}

/* The publisher looks at its board. */
static void sync_publisher(void)
{
    struct lshm_publisher_statistics statistics = { .size = sizeof statistics };

    assert_int_equal(lshm_publisher_get_statistics(rig.publisher, &statistics), 0);
}

static void send(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(lshm_publisher_send(rig.publisher, "x", 1), 0);
}

/* Everything that is there, in batches; how many. */
static unsigned take_all(void)
{
    struct lshm_message messages[8];
    unsigned sum = 0;
    int n;

    while ((n = lshm_subscriber_take_batch(rig.subscriber, messages, COUNT_OF(messages))) > 0) {
        rig.stamped = messages[n - 1].flags & LSHM_MESSAGE_TIME;
        assert_int_equal(lshm_subscriber_release_batch(rig.subscriber, messages, (size_t)n), n);
        sum += (unsigned)n;
    }
    assert_int_equal(n, 0);
    return sum;
}

/* The one pair there is has lines to count on: it has mapped them. */
static bool is_placed(void *arg)
{
    if (rig.subscriber != NULL)
        take_all();
    else
        tell_child("look", 0, 0);
    (void)arg;
    return lshm_inspector_list_latencies(rig.inspector, &rig.info, 1) == 1;
}

static void watch(void)
{
    assert_int_equal(lshm_inspector_watch(rig.inspector, TOPIC, NULL), 0);
    lst_must(lst_wait_until(is_placed, NULL, LST_DEADLINE_MS));
    sync_publisher();
}

static uint64_t count_now(void)
{
    assert_int_equal(lshm_inspector_list_latencies(rig.inspector, &rig.info, 1), 1);
    assert_int_equal(rig.info.known, 1);
    return lshm_histogram_count(&rig.info.histogram);
}

static void test_latency__nobody_watches__nothing_is_stamped_or_counted(void **state)
{
    (void)state;
    open_subscriber();
    send(20);
    assert_int_equal(take_all(), 20);
    assert_false(rig.stamped);
    assert_int_equal(lshm_inspector_list_latencies(rig.inspector, &rig.info, 1), 0);
}

static void test_latency__watched__every_message_is_counted_once(void **state)
{
    struct lshm_message message;

    (void)state;
    open_subscriber();
    watch();
    for (unsigned i = 0; i < 25; i++) {
        send(40);
        assert_int_equal(lshm_subscriber_take(rig.subscriber, &message), 1);
        assert_int_equal(lshm_subscriber_release(rig.subscriber, &message), 0);
        assert_int_equal(take_all(), 39); /* in batches */
    }
    assert_true(rig.stamped);
    assert_int_equal(count_now(), 1000);
    assert_int_equal(rig.info.histogram.untimed, 0);
    assert_true(rig.info.histogram.max > 0);
    assert_int_equal(rig.info.client, lshm_context_get_client(rig.context));
    assert_int_equal(lshm_histogram_quantile(&rig.info.histogram, 1), rig.info.histogram.max);
}

static void test_latency__message_from_before__is_counted_as_untimed(void **state)
{
    (void)state;
    open_subscriber();
    watch();
    assert_int_equal(lshm_inspector_watch(rig.inspector, NULL, NULL), 0);
    sync_publisher();
    send(3);
    assert_int_equal(lshm_inspector_watch(rig.inspector, TOPIC, NULL), 0);
    sync_publisher();
    send(2);
    assert_int_equal(take_all(), 5);
    assert_int_equal(count_now(), 2);
    assert_int_equal(rig.info.histogram.untimed, 3);
}

static void test_latency__port_opened_while_watched__counts_from_its_first_message(void **state)
{
    struct lshm_publisher *second;

    (void)state;
    open_subscriber();
    watch();
    lshm_publisher_close(rig.publisher);
    take_all(); /* leaves the old ring */
    assert_int_equal(lshm_publisher_open(rig.context, TOPIC, NULL, NULL, &second), 0);
    rig.publisher = second;
    lst_must(lst_wait_until(is_placed, NULL, LST_DEADLINE_MS));
    send(10);
    assert_int_equal(take_all(), 10);
    assert_true(rig.stamped);
    assert_int_equal(count_now(), 10);
}

static bool is_unstamped(void *arg)
{
    (void)arg;
    sync_publisher();
    send(1);
    take_all();
    return !rig.stamped;
}

static void check_off(void)
{
    uint64_t before;

    lst_must(lst_wait_until(is_unstamped, NULL, LST_DEADLINE_MS));
    before = count_now() + rig.info.histogram.untimed;
    send(7);
    assert_int_equal(take_all(), 7);
    assert_int_equal(count_now() + rig.info.histogram.untimed, before);
}

static void test_latency__observer_killed__is_switched_off(void **state)
{
    (void)state;
    open_subscriber();
    start_observer();
    lst_must(lst_wait_until(is_placed, NULL, LST_DEADLINE_MS));
    sync_publisher();
    send(5);
    assert_int_equal(take_all(), 5);
    assert_int_equal(count_now(), 5);
    lst_must(lst_child_kill(&rig.child));
    check_off();
}

static bool observer_is_buried(void *arg)
{
    (void)arg;
    return lshm_inspector_list_clients(rig.inspector, NULL, 0) == 2;
}

static void test_latency__one_of_two_observers_ends__the_other_still_watches(void **state)
{
    (void)state;
    open_subscriber();
    watch();
    start_observer();
    lst_must(lst_child_say(&rig.child, "end"));
    assert_int_equal(lst_child_wait(&rig.child, LST_DEADLINE_MS), 0);
    lst_must(lst_wait_until(observer_is_buried, NULL, LST_DEADLINE_MS));
    sync_publisher();
    send(5);
    assert_int_equal(take_all(), 5);
    assert_int_equal(count_now(), 5);
    assert_int_equal(lshm_inspector_watch(rig.inspector, NULL, NULL), 0);
    check_off();
}

static void kill_worker(void)
{
    struct lshm_broker_status status = { .size = sizeof status };

    assert_int_equal(lshm_inspector_get_status(rig.inspector, &status), 0);
    assert_int_equal(kill((pid_t)status.worker_pid, SIGKILL), 0);
    /* The answer is the next worker's, which has written all boards again. */
    assert_int_equal(lshm_inspector_get_status(rig.inspector, &status), 0);
}

static void test_latency__worker_killed__counts_on(void **state)
{
    (void)state;
    open_subscriber();
    watch();
    send(5);
    assert_int_equal(take_all(), 5);
    kill_worker();
    sync_publisher();
    send(5);
    assert_int_equal(take_all(), 5);
    assert_int_equal(count_now(), 10);
    assert_int_equal(lshm_inspector_watch(rig.inspector, NULL, NULL), 0);
    check_off();
}

static void test_latency__observer_killed_with_the_worker__is_switched_off(void **state)
{
    (void)state;
    open_subscriber();
    start_observer();
    lst_must(lst_wait_until(is_placed, NULL, LST_DEADLINE_MS));
    sync_publisher();
    send(5);
    assert_int_equal(take_all(), 5);
    lst_must(lst_child_stop(&rig.child));
    kill_worker();
    lst_must(lst_child_kill(&rig.child));
    check_off();
}

/* The publisher's record on the board of this process. */
static const struct lshm_board_publisher *find_record(void)
{
    struct lshm_publisher_statistics statistics = { .size = sizeof statistics };
    const struct lshm_board_publisher *found = NULL;
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];

    assert_non_null(maps);
    assert_int_equal(lshm_publisher_get_statistics(rig.publisher, &statistics), 0);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;

        if (sscanf(line, "%lx-%lx r--s", &from, &to) != 2 ||
            strstr(line, "/memfd:lshm-board") == NULL)
            continue;
        for (from += sizeof(struct lshm_board); from < to; from += LSHM_LINE_BYTES) {
            const struct lshm_board_publisher *here = (const struct lshm_board_publisher *)from;

            if (here->publisher == statistics.publisher && here->roster_parts > 0)
                found = here;
        }
    }
    fclose(maps);
    return found;
}

static void step(pid_t pid, enum __ptrace_request request)
{
    int status;

    assert_int_equal(ptrace(request, pid, NULL, NULL), 0);
    assert_int_equal(waitpid(pid, &status, __WALL), pid);
    assert_true(WIFSTOPPED(status));
}

/* One instruction behind the other, up to the first store to a board: the publisher's says that it
 * is watched, with its old version, and the reader's nothing yet. */
static void test_latency__worker_killed_between_two_boards__is_done_by_the_next(void **state)
{
    struct lshm_broker_status status = { .size = sizeof status };
    const struct lshm_board_publisher *record;
    pid_t pid;
    int end;

    (void)state;
    open_subscriber();
    record = find_record();
    assert_non_null(record);
    start_child("observer");
    assert_int_equal(lshm_inspector_get_status(rig.inspector, &status), 0);
    pid = (pid_t)status.worker_pid;
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0) {
        print_message("cannot trace: %s\n", strerror(errno));
        skip();
    }
    step(pid, PTRACE_INTERRUPT);
    lst_must(lst_child_say(&rig.child, "watch"));
    while (!(record->flags & LSHM_BOARD_WATCHED))
        step(pid, PTRACE_SINGLESTEP);
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (waitpid(pid, &end, __WALL) == pid && WIFSTOPPED(end))
        continue;
    lst_must(lst_child_expect(&rig.child, "watching")); /* says the next worker */
    lst_must(lst_wait_until(is_placed, NULL, LST_DEADLINE_MS));
    sync_publisher();
    send(5);
    assert_int_equal(take_all(), 5);
    assert_int_equal(count_now(), 5);
    lst_must(lst_child_kill(&rig.child));
    check_off();
}

static bool nobody_counts(void *arg)
{
    struct lshm_latency_info info;
    int n = lshm_inspector_list_latencies(rig.inspector, &info, 1);

    (void)arg;
    if (n == 1 && info.known)
        assert_int_equal(lshm_histogram_count(&info.histogram), 30);
    return n == 0;
}

static void test_latency__subscriber_killed__its_counts_are_whole_or_gone(void **state)
{
    (void)state;
    start_child("reader");
    watch();
    send(30);
    tell_child("take %lu", 30, 0);
    assert_int_equal(count_now(), 30);
    lst_must(lst_child_kill(&rig.child));
    lst_must(lst_wait_until(nobody_counts, NULL, LST_DEADLINE_MS));
}

static void test_latency__forged_histogram__is_bounded(void **state)
{
    static const int patterns[] = { 0xff, 0x01, 0x7f, 0x80, 0x5a, 0x00 };
    static const double parts[] = { 0, 0.5, 0.999, 1 };

    (void)state;
    start_child("reader");
    watch();
    send(3);
    tell_child("take %lu", 3, 0);
    assert_int_equal(count_now(), 3);
    for (size_t i = 0; i < COUNT_OF(patterns); i++) {
        struct lshm_histogram before = rig.info.histogram;
        uint64_t last = 0;

        tell_child("forge %lu %d", rig.info.link, patterns[i]);
        (void)count_now();
        lshm_histogram_merge(&before, &rig.info.histogram);
        lshm_histogram_subtract(&before, &rig.info.histogram);
        for (size_t k = 0; k < COUNT_OF(parts); k++) {
            uint64_t value = lshm_histogram_quantile(&rig.info.histogram, parts[k]);

            assert_true(value >= last && value <= rig.info.histogram.max);
            last = value;
        }
    }
}

static void test_latency__what_cannot_be_watched__is_refused(void **state)
{
    struct lshm_error error = { 0 };

    (void)state;
    assert_int_equal(lshm_inspector_watch(rig.inspector, "a//b", &error), -LSHM_ENAME);
    assert_int_equal(lshm_inspector_watch(rig.inspector, "nobody", &error), -LSHM_ENOTOPIC);
    assert_non_null(strstr(error.text, "lshm topic ls"));
    assert_int_equal(lshm_inspector_watch(NULL, TOPIC, NULL), -LSHM_ECLOSED);
    assert_int_equal(lshm_inspector_watch(rig.inspector, NULL, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_latency__nobody_watches__nothing_is_stamped_or_counted),
        TEST(test_latency__watched__every_message_is_counted_once),
        TEST(test_latency__message_from_before__is_counted_as_untimed),
        TEST(test_latency__port_opened_while_watched__counts_from_its_first_message),
        TEST(test_latency__observer_killed__is_switched_off),
        TEST(test_latency__one_of_two_observers_ends__the_other_still_watches),
        TEST(test_latency__worker_killed__counts_on),
        TEST(test_latency__observer_killed_with_the_worker__is_switched_off),
        TEST(test_latency__worker_killed_between_two_boards__is_done_by_the_next),
        TEST(test_latency__subscriber_killed__its_counts_are_whole_or_gone),
        TEST(test_latency__forged_histogram__is_bounded),
        TEST(test_latency__what_cannot_be_watched__is_refused),
    };

    return cmocka_run_group_tests_name("latency", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct lst_role roles[] = {
        { "observer", run_observer },
        { "reader", run_reader },
    };

    return lst_main(argc, argv, roles, COUNT_OF(roles), run_all);
}
