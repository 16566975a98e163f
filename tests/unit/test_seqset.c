/* SPDX-License-Identifier: Apache-2.0 */
/* The set of held message numbers: exact membership at every size it may be asked for. */
#include "support.h"

#include <string.h>

#include "core/cell.h"
#include "core/seqset.h"

#define WORDS 64u

static void test_seqset__is_zeroed__has_nothing(void **state)
{
    struct lsi_seqset set = { 0 };

    (void)state;
    lsi_seqset_clear(&set);
    assert_false(lsi_seqset_find(&set, 0));
}

static void test_seqset__memory_is_dirty__starts_empty(void **state)
{
    uint64_t words[WORDS];
    struct lsi_seqset set;

    (void)state;
    memset(words, 0xa5, sizeof words);
    lsi_seqset_init(&set, words, WORDS);
    assert_int_equal(set.count, 0);
    for (uint64_t seq = 0; seq < WORDS; seq++)
        assert_false(lsi_seqset_find(&set, seq));
    assert_false(lsi_seqset_find(&set, 0xa5a5a5a5a5a5a5a4u));
}

static void test_seqset__half_full__takes_no_more(void **state)
{
    uint64_t words[8];
    struct lsi_seqset set;

    (void)state;
    lsi_seqset_init(&set, words, 8);
    for (uint64_t seq = 0; seq < 4; seq++)
        assert_true(lsi_seqset_add(&set, seq, LSI_SEQSET_HELD));
    assert_false(lsi_seqset_add(&set, 4, LSI_SEQSET_HELD));
    assert_false(lsi_seqset_find(&set, 4));
    for (uint64_t seq = 0; seq < 4; seq++)
        assert_true(lsi_seqset_find(&set, seq));
}

static void test_seqset__smallest__keeps_one(void **state)
{
    uint64_t words[2];
    struct lsi_seqset set;

    (void)state;
    lsi_seqset_init(&set, words, 2);
    assert_true(lsi_seqset_add(&set, 7, LSI_SEQSET_HELD));
    assert_false(lsi_seqset_add(&set, 8, LSI_SEQSET_HELD));
    assert_true(lsi_seqset_find(&set, 7));
    assert_false(lsi_seqset_find(&set, 8)); /* and the search ends */
}

static void test_seqset__added_twice__counts_once(void **state)
{
    uint64_t words[8];
    struct lsi_seqset set;

    (void)state;
    lsi_seqset_init(&set, words, 8);
    for (int i = 0; i < 100; i++)
        assert_true(lsi_seqset_add(&set, 42, LSI_SEQSET_HELD));
    assert_int_equal(set.count, 1);
}

static void test_seqset__largest_number__is_a_member(void **state)
{
    uint64_t words[8];
    struct lsi_seqset set;

    (void)state;
    lsi_seqset_init(&set, words, 8);
    assert_true(lsi_seqset_add(&set, LSI_SEQ_MAX, LSI_SEQSET_PINNED));
    assert_int_equal(lsi_seqset_find(&set, LSI_SEQ_MAX), LSI_SEQSET_PINNED);
    assert_int_equal(lsi_seqset_find(&set, LSI_SEQ_MAX - 1), LSI_SEQSET_ABSENT);
}

static void test_seqset__held_and_pinned__stays_what_it_was_first(void **state)
{
    uint64_t words[8];
    struct lsi_seqset set;

    (void)state;
    lsi_seqset_init(&set, words, 8);
    assert_true(lsi_seqset_add(&set, 1, LSI_SEQSET_HELD));
    assert_true(lsi_seqset_add(&set, 1, LSI_SEQSET_PINNED));
    assert_true(lsi_seqset_add(&set, 2, LSI_SEQSET_PINNED));
    assert_int_equal(lsi_seqset_find(&set, 1), LSI_SEQSET_HELD);
    assert_int_equal(lsi_seqset_find(&set, 2), LSI_SEQSET_PINNED);
    assert_int_equal(set.count, 2);
}

static void test_seqset__cleared__has_nothing(void **state)
{
    uint64_t words[WORDS];
    struct lsi_seqset set;

    (void)state;
    lsi_seqset_init(&set, words, WORDS);
    for (uint64_t seq = 100; seq < 100 + WORDS / 2; seq++)
        assert_true(lsi_seqset_add(&set, seq, LSI_SEQSET_HELD));
    lsi_seqset_clear(&set);
    for (uint64_t seq = 100; seq < 100 + WORDS / 2; seq++)
        assert_false(lsi_seqset_find(&set, seq));
    assert_true(lsi_seqset_add(&set, 5, LSI_SEQSET_HELD));
}

/* Where an otherwise empty set of WORDS words puts seq. */
static uint32_t place(uint64_t seq)
{
    uint64_t words[WORDS];
    struct lsi_seqset set;
    uint32_t at = 0;

    lsi_seqset_init(&set, words, WORDS);
    assert_true(lsi_seqset_add(&set, seq, LSI_SEQSET_HELD));
    while (words[at] == 0)
        at++;
    return at;
}

static void test_seqset__all_collide_at_the_end__wraps_and_finds(void **state)
{
    uint64_t words[WORDS], members[WORDS / 2], stranger, seq = 0;
    struct lsi_seqset set;

    (void)state;
    lsi_seqset_init(&set, words, WORDS);
    for (uint32_t i = 0; i < WORDS / 2; i++, seq++) {
        while (place(seq) != WORDS - 1)
            seq++;
        members[i] = seq;
        assert_true(lsi_seqset_add(&set, seq, LSI_SEQSET_HELD));
    }
    stranger = seq;
    while (place(stranger) != WORDS - 1)
        stranger++;
    for (uint32_t i = 0; i < WORDS / 2; i++)
        assert_true(lsi_seqset_find(&set, members[i]));
    assert_false(lsi_seqset_find(&set, stranger));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seqset__is_zeroed__has_nothing),
        cmocka_unit_test(test_seqset__memory_is_dirty__starts_empty),
        cmocka_unit_test(test_seqset__half_full__takes_no_more),
        cmocka_unit_test(test_seqset__smallest__keeps_one),
        cmocka_unit_test(test_seqset__added_twice__counts_once),
        cmocka_unit_test(test_seqset__largest_number__is_a_member),
        cmocka_unit_test(test_seqset__held_and_pinned__stays_what_it_was_first),
        cmocka_unit_test(test_seqset__cleared__has_nothing),
        cmocka_unit_test(test_seqset__all_collide_at_the_end__wraps_and_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
