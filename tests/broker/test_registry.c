/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry's tables and the line allocator.
 *
 * covers: E1 E2 (a table opened anew has the records whose state was set, and only those)
 */
#include "support.h"

#include <errno.h>

#include "lines.h"
#include "os/memory.h"
#include "registry.h"

static struct registry *registry;
static struct table tables[TABLE_COUNT];

static int setup(void **state)
{
    void *base;

    (void)state;
    if (lsi_memory_reserve(sizeof(*registry), 1, &base) < 0)
        return -1;
    registry = base;
    return registry_open(registry, tables);
}

static int teardown(void **state)
{
    (void)state;
    registry_close(tables);
    lsi_memory_unmap(registry, sizeof(*registry));
    return 0;
}

/* As a new worker does. */
static void reopen(void)
{
    registry_close(tables);
    assert_int_equal(registry_open(registry, tables), 0);
}

static void test_registry__taken_without_state__is_free_for_the_next_worker(void **state)
{
    struct table *table = &tables[TABLE_TOPICS];
    const uint64_t before = LST_COUNTER_START * REGISTRY_TOPICS_MAX;
    struct topic_record *first, *second;

    (void)state;
    first = table_take(table);
    record_set_state(&first->record, TOPIC_USED);
    second = table_take(table); /* its worker dies before the state */
    assert_int_equal(table_number(table, first), before + 1);
    assert_int_equal(table_number(table, second), before + 2);
    reopen();
    assert_int_equal(table_count(table), 1);
    assert_ptr_equal(table_find(table, before + 1), first);
    assert_null(table_find(table, before + 2));
    assert_ptr_equal(table_take(table), second);
    assert_int_equal(table_number(table, second), before + 2 + REGISTRY_TOPICS_MAX);
}

static void test_registry__given_back__its_number_finds_nothing(void **state)
{
    struct table *table = &tables[TABLE_LINKS];
    struct link_record *link = table_take(table);
    uint64_t number = table_number(table, link);

    (void)state;
    record_set_state(&link->record, LINK_LIVE);
    assert_ptr_equal(table_find(table, number), link);
    table_give(table, link);
    assert_null(table_find(table, number));
    assert_ptr_equal(table_take(table), link);
    record_set_state(&link->record, LINK_LIVE);
    assert_null(table_find(table, number));
    assert_int_equal(link->row, 0);
    assert_null(table_find(table, 0));
    assert_null(table_find(table, UINT64_MAX));
}

static void test_registry__full_table__gives_null(void **state)
{
    struct table *table = &tables[TABLE_CLIENTS];
    struct client_record *client = NULL;
    uint32_t i;

    (void)state;
    for (i = 0; i < table->capacity; i++) {
        client = table_take(table);
        assert_non_null(client);
        record_set_state(&client->record, CLIENT_ALIVE);
    }
    assert_null(table_take(table));
    table_give(table, client);
    assert_ptr_equal(table_take(table), client);
}

static void test_lines__runs__do_not_overlap_and_are_given_again(void **state)
{
    struct region_record record = {.bytes = 8192, .part = 0};
    struct region region = {.record = &record};
    struct parts parts = {0};
    struct lshm_ref first, second, third;

    (void)state;
    assert_int_equal(lines_add_part(&parts, &region, 2), 0);
    assert_int_equal(lines_count_free(&parts), 62);
    assert_int_equal(lines_take(&parts, 3, &first), 0);
    assert_int_equal(first.line, 2);
    assert_int_equal(lines_take(&parts, 59, &second), 0);
    assert_int_equal(second.line, 5);
    assert_int_equal(lines_take(&parts, 1, &third), -EAGAIN);
    lines_give(&parts, first, 3);
    assert_int_equal(lines_take(&parts, 4, &third), -EAGAIN);
    assert_int_equal(lines_take(&parts, 2, &third), 0);
    assert_int_equal(third.line, 2);
    lines_mark(&parts, (struct lshm_ref){7, 1}, 1); /* no such part: nothing happens */
    assert_int_equal(lines_count_free(&parts), 1);
    lines_close(&parts);
}

static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    TEST(test_registry__taken_without_state__is_free_for_the_next_worker),
    TEST(test_registry__given_back__its_number_finds_nothing),
    TEST(test_registry__full_table__gives_null),
    cmocka_unit_test(test_lines__runs__do_not_overlap_and_are_given_again),
};

static int run(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
