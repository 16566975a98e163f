/* SPDX-License-Identifier: Apache-2.0 */
/* How far a dead publisher got, from its ring and from one that can't be read. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/handle.h"
#include "log.h"
#include "os/memory.h"
#include "tail.h"

#define ENTRIES 8u
#define ENTRIES_OFFSET 1024u
#define ENTRY_BYTES 128u
#define RING_BYTES (ENTRIES_OFFSET + ENTRIES * ENTRY_BYTES)

static const struct lsi_ctl_geometry geometry = {
    .entry_count = ENTRIES, .entry_bytes = ENTRY_BYTES, .entries_offset = ENTRIES_OFFSET};
static unsigned lines_logged;
static char logged[256];

/* brokerd's log, here. */
void log_info(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(logged, sizeof(logged), format, arguments);
    va_end(arguments);
    lines_logged++;
}

static void write_word(int fd, uint64_t offset, uint64_t word)
{
    assert_int_equal(pwrite(fd, &word, sizeof(word), (off_t)offset), (ssize_t)sizeof(word));
}

/* A ring with that tail hint whose messages up to `end` are committed. */
static int make_ring(uint64_t hint, uint64_t end)
{
    uint64_t seq;
    int fd;

    assert_int_equal(lsi_memory_create("ring", RING_BYTES, &fd), 0);
    write_word(fd, offsetof(struct lshm_ring, tail), hint);
    for (seq = end > ENTRIES ? end - ENTRIES : 0; seq < end; seq++)
        write_word(fd, ENTRIES_OFFSET + seq % ENTRIES * ENTRY_BYTES +
                           offsetof(struct lshm_entry, commit), seq + 1);
    return fd;
}

static uint64_t read_tail(int fd, const struct lsi_ctl_geometry *of)
{
    struct region_record record = {.reader_fd = fd};
    struct region region = {.record = &record};

    lines_logged = 0;
    return tail_read_final(of, &region);
}

static void test_tail__hint_behind__counts_on_to_the_last_commit(void **state)
{
    static const struct {
        uint64_t hint, end;
    } rings[] = {{0, 0}, {0, 5}, {3, 5}, {5, 5}, {17, 22}, {16, 24}};
    size_t i;

    (void)state;
    for (i = 0; i < LSI_COUNT_OF(rings); i++) {
        int fd = make_ring(rings[i].hint, rings[i].end);

        assert_int_equal(read_tail(fd, &geometry), rings[i].end);
        assert_int_equal(lines_logged, 0);
        close(fd);
    }
}

static void test_tail__hint_is_nonsense__ends_within_a_ring(void **state)
{
    int fd = make_ring(UINT64_MAX - 2, 5);

    (void)state;
    assert_int_equal(read_tail(fd, &geometry), UINT64_MAX - 2);
    close(fd);
}

static void test_tail__ring_too_short__ends_there_and_is_logged(void **state)
{
    struct lsi_ctl_geometry longer = geometry;
    int fd = make_ring(6, 8);

    (void)state;
    longer.entry_count = 2 * ENTRIES; /* of which the second half is not there */
    assert_int_equal(read_tail(fd, &longer), 8);
    assert_int_equal(lines_logged, 1);
    assert_non_null(strstr(logged, "too short"));
    close(fd);
}

static void test_tail__ring_unreadable__is_empty_and_is_logged(void **state)
{
    int fd = make_ring(3, 5);

    (void)state;
    close(fd);
    assert_int_equal(read_tail(fd, &geometry), 0);
    assert_int_equal(lines_logged, 2); /* the hint, and the entry it would have named */
    assert_non_null(strstr(logged, strerror(EBADF)));
    assert_non_null(strstr(logged, "messages may be lost"));
}

/* The end, how many are asked for, how many are there. */
static void test_count_back__of_a_ring__counts_what_is_committed(void **state)
{
    static const struct {
        uint64_t end;
        uint32_t most, count;
    } wishes[] = {{22, 8, 8}, {22, 3, 3}, {22, 0, 0}, {16, 8, 2},
                  {24, 8, 0}, {15, 4, 1}, {14, 8, 0}};
    uint32_t segments;
    size_t i;
    int fd = make_ring(22, 22);
    struct region_record record = {.reader_fd = fd};
    struct region region = {.record = &record};

    (void)state;
    for (i = 0; i < LSI_COUNT_OF(wishes); i++)
        assert_int_equal(tail_count_back(&geometry, &region, wishes[i].end, wishes[i].most,
                                         &segments), wishes[i].count);
    write_word(fd, ENTRIES_OFFSET + 19 % ENTRIES * ENTRY_BYTES, 19); /* being written anew */
    assert_int_equal(tail_count_back(&geometry, &region, 22, 8, &segments), 2);
    close(fd);
    assert_int_equal(tail_count_back(&geometry, &region, 22, 8, &segments), 0);
}

static void test_count_back__of_a_ring__names_the_segments(void **state)
{
    const struct lshm_entry in_slot = {.commit = 21, .handle = lsi_handle(32, 0, 1)};
    const struct lshm_entry inlined = {.commit = 22, .flags = LSHM_ENTRY_INLINE,
                                       .handle = lsi_handle(2, 0, 0)};
    const struct lshm_entry wrong = {.commit = 20, .handle = lsi_handle(33, 0, 0)};
    uint32_t segments;
    int fd = make_ring(22, 22);
    struct region_record record = {.reader_fd = fd};
    struct region region = {.record = &record};

    (void)state;
    assert_true(pwrite(fd, &wrong, sizeof(wrong), ENTRIES_OFFSET + 19 % 8 * ENTRY_BYTES) > 0);
    assert_true(pwrite(fd, &in_slot, sizeof(in_slot), ENTRIES_OFFSET + 20 % 8 * ENTRY_BYTES) > 0);
    assert_true(pwrite(fd, &inlined, sizeof(inlined), ENTRIES_OFFSET + 21 % 8 * ENTRY_BYTES) > 0);
    assert_int_equal(tail_count_back(&geometry, &region, 22, 1, &segments), 1);
    assert_int_equal(segments, 0);
    assert_int_equal(tail_count_back(&geometry, &region, 22, 3, &segments), 3);
    assert_int_equal(segments, UINT32_C(1) << 31);
    close(fd);
}

static int run(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tail__hint_behind__counts_on_to_the_last_commit),
        cmocka_unit_test(test_tail__hint_is_nonsense__ends_within_a_ring),
        cmocka_unit_test(test_tail__ring_too_short__ends_there_and_is_logged),
        cmocka_unit_test(test_tail__ring_unreadable__is_empty_and_is_logged),
        cmocka_unit_test(test_count_back__of_a_ring__counts_what_is_committed),
        cmocka_unit_test(test_count_back__of_a_ring__names_the_segments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
