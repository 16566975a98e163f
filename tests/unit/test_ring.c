/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring, by one thread: what a take sees at each entry size and after each kind of commit word,
 * also those that only a hostile publisher writes. tests/threads has the concurrent part.
 * covers: P0 P1 C1 C2
 */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "core/ring.h"

struct rig {
    struct lshm_ring header;
    struct lsi_ring_writer writer;
    struct lsi_ring_reader reader;
    unsigned char *entries;
    uint32_t count, bytes;
};

/* Exactly as large as needed, so that the address sanitizer sees one byte past. */
static void rig_init(struct rig *rig, uint32_t count, uint32_t bytes)
{
    *rig = (struct rig){ .count = count, .bytes = bytes };
    rig->entries = aligned_alloc(64, (size_t)count * bytes);
    assert_non_null(rig->entries);
    memset(rig->entries, 0, (size_t)count * bytes);
    lsi_ring_writer_init(&rig->writer, &rig->header, rig->entries, count, bytes);
    lsi_ring_reader_init(&rig->reader, &rig->header, rig->entries, count, bytes);
}

static struct lshm_entry *entry(struct rig *rig, uint64_t seq)
{
    return (struct lshm_entry *)(rig->entries + (seq % rig->count) * rig->bytes);
}

static struct lsi_descriptor descriptor(uint64_t seq)
{
    return (struct lsi_descriptor){
        .handle = seq * 3 + 1,
        .length = (uint32_t)seq,
        .offset = (uint32_t)seq + 7,
        .flags = LSHM_ENTRY_TIME | 0xabcd0000u,
        .schema = (uint32_t)seq * 5,
        .time_ns = seq << 33,
        .user = { ~seq, seq ^ 0x5555 },
    };
}

static void assert_same(const struct lsi_descriptor *got, const struct lsi_descriptor *want)
{
    assert_int_equal(got->handle, want->handle);
    assert_int_equal(got->length, want->length);
    assert_int_equal(got->offset, want->offset);
    assert_int_equal(got->flags, want->flags);
    assert_int_equal(got->schema, want->schema);
    assert_int_equal(got->time_ns, want->time_ns);
    assert_int_equal(got->user[0], want->user[0]);
    assert_int_equal(got->user[1], want->user[1]);
}

static void test_ring__fresh__has_nothing(void **state)
{
    struct lsi_descriptor got;
    struct rig rig;

    (void)state;
    rig_init(&rig, LSHM_RING_ENTRIES_MIN, LSHM_ENTRY_BYTES_MIN);
    for (uint64_t seq = 0; seq < 2 * LSHM_RING_ENTRIES_MIN; seq++) {
        assert_int_equal(lsi_ring_take(&rig.reader, seq, &got, NULL), LSI_RING_NOTHING);
        assert_false(lsi_ring_has(&rig.reader, seq));
    }
    free(rig.entries);
}

static void laps(uint32_t count, uint64_t first, bool marks)
{
    struct lsi_descriptor got;
    struct rig rig;

    rig_init(&rig, count, LSHM_ENTRY_BYTES_MIN);
    rig.writer.tail = first;
    rig.writer.marks_rewrites = marks;
    for (uint64_t seq = first; seq < first + 3 * count; seq++) {
        struct lsi_descriptor want = descriptor(seq);

        assert_int_equal(lsi_ring_take(&rig.reader, seq, &got, NULL), LSI_RING_NOTHING);
        lsi_ring_publish(&rig.writer, &want, NULL);
        assert_int_equal(rig.writer.tail, seq + 1);
        assert_int_equal(lsi_ring_take(&rig.reader, seq, &got, NULL), LSI_RING_TAKEN);
        assert_same(&got, &want);
        assert_true(lsi_ring_has(&rig.reader, seq));
        assert_false(lsi_ring_has(&rig.reader, seq + 1));
        if (seq < first + count)
            continue;
        assert_int_equal(lsi_ring_take(&rig.reader, seq - count, &got, NULL), LSI_RING_LAPPED);
        assert_true(lsi_ring_has(&rig.reader, seq - count));
        want = descriptor(seq - count + 1);
        assert_int_equal(lsi_ring_take(&rig.reader, seq - count + 1, &got, NULL), LSI_RING_TAKEN);
        assert_same(&got, &want);
    }
    free(rig.entries);
}

static void test_ring__published__is_taken_until_lapped(void **state)
{
    (void)state;
    laps(LSHM_RING_ENTRIES_MIN, 0, false);
    laps(64, 0, false);
    laps(LSHM_RING_ENTRIES_MAX, 0, false);
}

static void test_ring__marks_rewrites__is_the_same_to_one_thread(void **state)
{
    (void)state;
    laps(LSHM_RING_ENTRIES_MIN, 0, true);
}

static void test_ring__past_32_bits__goes_on(void **state)
{
    (void)state;
    laps(8, (1ull << 32) - 10, false);
    laps(8, (1ull << 48) - 10, true);
}

static void test_ring__inline_of_any_length__comes_back(void **state)
{
    (void)state;
    for (uint32_t bytes = 128; bytes <= LSHM_ENTRY_BYTES_MAX; bytes += 64) {
        uint32_t room = lsi_ring_inline_bytes(bytes);
        unsigned char *from = malloc(room), *to = malloc(room);
        struct rig rig;

        assert_true(from && to);
        rig_init(&rig, LSHM_RING_ENTRIES_MIN, bytes);
        for (uint32_t length = 0; length <= room; length++) {
            struct lsi_descriptor got, want = descriptor(length);

            want.flags |= LSHM_ENTRY_INLINE;
            for (uint32_t i = 0; i < room; i++)
                from[i] = (unsigned char)(length + i * 7);
            memset(to, 0xee, room);
            lsi_ring_publish(&rig.writer, &want, from);
            assert_int_equal(lsi_ring_take(&rig.reader, length, &got, to), LSI_RING_TAKEN);
            assert_same(&got, &want);
            assert_memory_equal(to, from, length);
            for (uint32_t i = (length + 7) / 8 * 8; i < room; i++)
                assert_int_equal(to[i], 0xee);
        }
        free(rig.entries);
        free(from);
        free(to);
    }
}

static void test_ring__inline_too_long__is_corrupt(void **state)
{
    static const uint32_t bytes[] = { 64, 128, 1024 };

    (void)state;
    for (size_t k = 0; k < sizeof bytes / sizeof bytes[0]; k++) {
        uint32_t room = lsi_ring_inline_bytes(bytes[k]);
        uint32_t lengths[] = { room + 1, room + 7, room + 64, UINT32_MAX - 6, UINT32_MAX };
        unsigned char *to = malloc(room + 1);
        struct rig rig;

        assert_non_null(to);
        rig_init(&rig, 4, bytes[k]);
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            struct lsi_descriptor got;

            entry(&rig, 2)->flags = LSHM_ENTRY_INLINE;
            entry(&rig, 2)->length = lengths[i];
            entry(&rig, 2)->commit = 3;
            memset(to, 0xee, room + 1);
            assert_int_equal(lsi_ring_take(&rig.reader, 2, &got, to), LSI_RING_CORRUPT);
            for (uint32_t at = 0; at <= room; at++)
                assert_int_equal(to[at], 0xee);
        }
        free(rig.entries);
        free(to);
    }
}

static void test_ring__commit_word_is_strange__is_never_taken(void **state)
{
    static const uint64_t older[] = { 0, 1, 2, 5, 6 };
    static const uint64_t newer[] = { 8, 11, 1ull << 32, UINT64_MAX - 1, UINT64_MAX };
    struct lsi_descriptor got;
    struct rig rig;

    (void)state;
    rig_init(&rig, 4, 64);
    for (size_t i = 0; i < sizeof older / sizeof older[0]; i++) {
        entry(&rig, 6)->commit = older[i];
        assert_int_equal(lsi_ring_take(&rig.reader, 6, &got, NULL), LSI_RING_NOTHING);
        assert_false(lsi_ring_has(&rig.reader, 6));
    }
    for (size_t i = 0; i < sizeof newer / sizeof newer[0]; i++) {
        entry(&rig, 6)->commit = newer[i];
        assert_int_equal(lsi_ring_take(&rig.reader, 6, &got, NULL), LSI_RING_LAPPED);
        assert_true(lsi_ring_has(&rig.reader, 6));
    }
    free(rig.entries);
}

static void test_ring__header_lies__is_not_asked(void **state)
{
    struct lsi_descriptor got, want = descriptor(0);
    struct rig rig;

    (void)state;
    rig_init(&rig, 4, 64);
    rig.header.entry_count = UINT32_MAX;
    rig.header.entry_bytes = UINT32_MAX;
    rig.header.entries_offset = UINT64_MAX;
    rig.header.tail = UINT64_MAX;
    lsi_ring_publish(&rig.writer, &want, NULL);
    assert_int_equal(lsi_ring_take(&rig.reader, 0, &got, NULL), LSI_RING_TAKEN);
    assert_int_equal(lsi_ring_take(&rig.reader, 1, &got, NULL), LSI_RING_NOTHING);
    free(rig.entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring__fresh__has_nothing),
        cmocka_unit_test(test_ring__published__is_taken_until_lapped),
        cmocka_unit_test(test_ring__marks_rewrites__is_the_same_to_one_thread),
        cmocka_unit_test(test_ring__past_32_bits__goes_on),
        cmocka_unit_test(test_ring__inline_of_any_length__comes_back),
        cmocka_unit_test(test_ring__inline_too_long__is_corrupt),
        cmocka_unit_test(test_ring__commit_word_is_strange__is_never_taken),
        cmocka_unit_test(test_ring__header_lies__is_not_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
