/* SPDX-License-Identifier: Apache-2.0 */
/* How far a dead publisher got, from its ring and from one that can't be read. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static int run(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tail__hint_behind__counts_on_to_the_last_commit),
        cmocka_unit_test(test_tail__hint_is_nonsense__ends_within_a_ring),
        cmocka_unit_test(test_tail__ring_too_short__ends_there_and_is_logged),
        cmocka_unit_test(test_tail__ring_unreadable__is_empty_and_is_logged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
