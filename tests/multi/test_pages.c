/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a publisher's memory is made of: huge pages where there are some and where there are none,
 * present before it is used, locked, of a node. What only root may set up is put back.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <lshm/inspect.h>

#include "support.h"

#define MIB (1u << 20)
#define SLOTS 4u
#define PAGE 4096u
#ifdef __SANITIZE_ADDRESS__ /* its own memory faults too, and it makes mlock() do nothing */
#define HAS_OWN_PAGES true
#else
#define HAS_OWN_PAGES false
#endif
#define HUGE_PAGES "/proc/sys/vm/nr_hugepages"
#define SHMEM_ENABLED "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#define NODES "/sys/devices/system/node/online"

static struct lst_broker broker;
static struct lshm_context *context;
static char huge_pages[256], shmem_enabled[256];

static bool write_setting(const char *path, const char *value)
{
    FILE *file = fopen(path, "we");
    bool ok = file && fputs(value, file) >= 0;

    return file && fclose(file) == 0 && ok;
}

static void read_setting(const char *path, char text[256])
{
    FILE *file = fopen(path, "re");

    text[0] = '\0';
    if (file) {
        (void)!fgets(text, 256, file);
        (void)fclose(file);
    }
}

/* As it was before the test, also after one that failed. */
static void restore_settings(void)
{
    char now[256], *word = strchr(shmem_enabled, '[');

    read_setting(HUGE_PAGES, now);
    if (strcmp(now, huge_pages) != 0)
        assert_true(write_setting(HUGE_PAGES, huge_pages));
    read_setting(SHMEM_ENABLED, now);
    if (word && strcmp(now, shmem_enabled) != 0) {
        word[strcspn(word, "]")] = '\0';
        assert_true(write_setting(SHMEM_ENABLED, word + 1));
    }
}

static int setup(void **state)
{
    struct lshm_context_options options = { .size = sizeof options };

    read_setting(HUGE_PAGES, huge_pages);
    read_setting(SHMEM_ENABLED, shmem_enabled);
    if (lst_setup(state) < 0)
        return -1;
    lst_must(lst_broker_start(&broker, ((struct lst_fixture *)*state)->dir));
    options.socket = broker.socket_path;
    return lshm_context_open(&options, NULL, &context);
}

static int teardown(void **state)
{
    lshm_context_close(context);
    lst_must(lst_broker_stop(&broker));
    restore_settings();
    return lst_teardown(state);
}

static struct lshm_publisher *open_publisher(uint32_t flags, uint64_t memory_max)
{
    const struct lshm_publisher_options options = {
        .size = sizeof options, .payload_bytes = MIB, .slot_count = SLOTS, .flags = flags,
        .memory_max = memory_max,
    };
    struct lshm_publisher *publisher = NULL;

    assert_int_equal(lshm_publisher_open(context, "pages", &options, NULL, &publisher), 0);
    return publisher;
}

static uint32_t pages_of(unsigned segment)
{
    const struct lshm_context_options options = { .size = sizeof options,
                                                  .socket = broker.socket_path };
    struct lshm_segment_info infos[4] = { 0 };
    struct lshm_inspector *inspector;

    assert_int_equal(lshm_inspector_open(&options, NULL, &inspector), 0);
    assert_true(lshm_inspector_list_segments(inspector, infos, 4) > (int)segment);
    lshm_inspector_close(inspector);
    return infos[segment].pages;
}

/* Through every slot, and through memory it grows by. */
static void exchange(struct lshm_publisher *publisher)
{
    struct lshm_message loans[SLOTS + 1], m;
    struct lshm_subscriber *subscriber;

    assert_int_equal(lshm_subscriber_open(context, "pages", NULL, NULL, &subscriber), 0);
    for (unsigned i = 0; i <= SLOTS; i++) {
        assert_int_equal(lshm_publisher_loan(publisher, MIB, &loans[i]), 0);
        memset(loans[i].data, (int)i + 1, MIB);
    }
    for (unsigned i = 0; i <= SLOTS; i++) {
        assert_int_equal(lshm_publisher_publish(publisher, &loans[i]), 0);
        assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
        assert_int_equal(((unsigned char *)m.data)[MIB - 1], i + 1);
        assert_int_equal(lshm_subscriber_release(subscriber, &m), 0);
    }
    lshm_subscriber_close(subscriber);
}

static void test_pages__huge_ones_reserved__are_used_and_come_back(void **state)
{
    struct lshm_publisher *publisher;
    char after[256];

    (void)state;
    if (strtol(huge_pages, NULL, 10) != 0 || !write_setting(HUGE_PAGES, "6"))
        skip(); /* not root */
    read_setting(HUGE_PAGES, after);
    if (strtol(after, NULL, 10) != 6)
        skip(); /* memory is too fragmented */
    publisher = open_publisher(LSHM_PUBLISHER_HUGE, 64 * MIB);
    exchange(publisher);
    assert_int_equal(pages_of(0), LSHM_PAGES_HUGETLB);
    assert_int_equal(pages_of(1), LSHM_PAGES_HUGETLB);
    lshm_publisher_close(publisher);
    restore_settings();
    read_setting(HUGE_PAGES, after);
    assert_string_equal(after, huge_pages);
}

static void test_pages__fewer_huge_ones_than_wanted__others_are_used(void **state)
{
    struct lshm_publisher *publisher;

    (void)state;
    if (strtol(huge_pages, NULL, 10) != 0 || !write_setting(HUGE_PAGES, "1"))
        skip();
    publisher = open_publisher(LSHM_PUBLISHER_HUGE, 64 * MIB);
    exchange(publisher);
    assert_int_not_equal(pages_of(0), LSHM_PAGES_HUGETLB);
}

static void test_pages__transparent_huge_ones__are_seen(void **state)
{
    (void)state;
    if (!strchr(shmem_enabled, '[') || !write_setting(SHMEM_ENABLED, "advise"))
        skip();
    exchange(open_publisher(LSHM_PUBLISHER_HUGE, 64 * MIB));
    assert_int_equal(pages_of(0), LSHM_PAGES_HUGE);
}

static long faults(void)
{
    struct rusage usage;

    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_minflt;
}

/* How often touching all slots faults. */
static long touch_all(uint32_t flags)
{
    struct lshm_publisher *publisher = open_publisher(flags, 0);
    struct lshm_message loans[SLOTS];
    long before;

    for (unsigned i = 0; i < SLOTS; i++)
        assert_int_equal(lshm_publisher_loan(publisher, MIB, &loans[i]), 0);
    before = faults();
    for (unsigned i = 0; i < SLOTS; i++)
        for (unsigned at = 0; at < MIB; at += PAGE)
            ((unsigned char *)loans[i].data)[at] = 1;
    before = faults() - before;
    lshm_publisher_close(publisher);
    return before;
}

static void test_pages__prefault__no_faults_when_it_is_used(void **state)
{
    (void)state;
    if (HAS_OWN_PAGES)
        skip();
    assert_in_range(touch_all(LSHM_PUBLISHER_PREFAULT), 0, 8);
    assert_in_range(touch_all(0), SLOTS * MIB / PAGE / 32, SLOTS * MIB / PAGE + 8);
}

static unsigned long locked_kib(void)
{
    unsigned long kib = 0;
    char line[128];
    FILE *file = fopen("/proc/self/status", "re");

    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmLck: %lu", &kib) == 1)
            break;
    if (file)
        (void)fclose(file);
    return kib;
}

/* Root may lock what it likes: without that right. */
static void set_may_lock(bool may)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];

    assert_int_equal(syscall(SYS_capget, &header, data), 0);
    if (may)
        data[0].effective |= data[0].permitted & (1u << CAP_IPC_LOCK);
    else
        data[0].effective &= ~(1u << CAP_IPC_LOCK);
    assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

static void test_pages__lock__stays_in_memory_or_names_the_limit(void **state)
{
    const struct lshm_publisher_options options = {
        .size = sizeof options, .payload_bytes = MIB, .slot_count = SLOTS,
        .flags = LSHM_PUBLISHER_LOCK,
    };
    struct lshm_publisher *publisher;
    struct lshm_error error = { 0 };
    struct rlimit limit, none;
    int r;

    (void)state;
    if (HAS_OWN_PAGES)
        skip();
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    if (geteuid() == 0 || limit.rlim_cur > SLOTS * MIB * 2) {
        publisher = open_publisher(LSHM_PUBLISHER_LOCK, 0);
        assert_in_range(locked_kib(), SLOTS * 1024, SLOTS * 1024 + 1024);
        lshm_publisher_close(publisher);
        assert_int_equal(locked_kib(), 0);
    }
    none = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &none), 0);
    set_may_lock(false);
    r = lshm_publisher_open(context, "pages", &options, &error, &publisher);
    set_may_lock(true);
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    assert_true(r == -EPERM || r == -ENOMEM);
    assert_non_null(strstr(error.text, "RLIMIT_MEMLOCK"));
}

static void test_pages__numa_node__bound_or_refused(void **state)
{
    struct lshm_publisher_options options = {
        .size = sizeof options, .payload_bytes = MIB, .slot_count = SLOTS, .numa_node = 1,
    };
    struct lshm_publisher *publisher;
    struct lshm_error error = { 0 };
    char nodes[256];

    (void)state;
    read_setting(NODES, nodes);
    if (strpbrk(nodes, "-,")) {
        assert_int_equal(lshm_publisher_open(context, "pages", &options, NULL, &publisher), 0);
        lshm_publisher_close(publisher);
    } else {
        assert_int_equal(lshm_publisher_open(context, "pages", &options, &error, &publisher),
                         -EINVAL);
        assert_non_null(strstr(error.text, "numa_node is 1"));
    }
    options.numa_node = 1000;
    assert_int_equal(lshm_publisher_open(context, "pages", &options, NULL, &publisher), -EINVAL);
}

/* Every page of what it reads is mapped before it is read. */
static void test_pages__prefault_of_a_reader__messages_arrive(void **state)
{
    const struct lshm_subscriber_options options = { .size = sizeof options,
                                                     .flags = LSHM_SUBSCRIBER_PREFAULT };
    struct lshm_publisher *publisher = open_publisher(LSHM_PUBLISHER_PREFAULT, 0);
    struct lshm_subscriber *subscriber;
    struct lshm_message m;
    unsigned sum = 0;
    long before;

    (void)state;
    assert_int_equal(lshm_publisher_loan(publisher, MIB, &m), 0);
    assert_int_equal(lshm_subscriber_open(context, "pages", &options, NULL, &subscriber), 0);
    assert_int_equal(lshm_publisher_publish(publisher, &m), 0);
    assert_int_equal(lshm_subscriber_take(subscriber, &m), 1);
    before = faults();
    for (unsigned at = 0; at < MIB; at += PAGE)
        sum += ((unsigned char *)m.data)[at];
    assert_true(HAS_OWN_PAGES || faults() - before <= 4);
    assert_int_equal(sum, 0);
}

static int run(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_pages__huge_ones_reserved__are_used_and_come_back),
        TEST(test_pages__fewer_huge_ones_than_wanted__others_are_used),
        TEST(test_pages__transparent_huge_ones__are_seen),
        TEST(test_pages__prefault__no_faults_when_it_is_used),
        TEST(test_pages__lock__stays_in_memory_or_names_the_limit),
        TEST(test_pages__numa_node__bound_or_refused),
        TEST(test_pages__prefault_of_a_reader__messages_arrive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
