/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring that is overwritten while others read it: what a take calls TAKEN is one message's
 * descriptor and payload, never a mixture (I8), and a mixture is never called corrupt.
 * covers: P0 P1 C1 C2
 */
#include "core_rig.h"

#include <pthread.h>
#include <sched.h>

#define TAKES 2000u      /* that each reader is to get */
#define MESSAGES 20000000u /* give up here */
#define PAUSES 400u
#define READERS 2u
#define ENTRIES 4u
#define ENTRY_BYTES 128u
#define ROOM 64u

struct shared {
    struct lst_pub pub;
    uint32_t started, finished;
};

struct reader {
    pthread_t thread;
    struct shared *shared;
    uint64_t taken, lapped, corrupt, mixed;
};

/* Each lap changes from inline to a length that no entry has room for, and back. */
static bool is_inline(uint64_t seq)
{
    return seq / ENTRIES & 1;
}

static struct lsi_descriptor descriptor(uint64_t seq)
{
    return (struct lsi_descriptor){
        .handle = seq * 7,
        .length = is_inline(seq) ? (uint32_t)(seq % (ROOM + 1)) : ROOM + 1 + (uint32_t)seq,
        .offset = (uint32_t)seq + 1,
        .flags = is_inline(seq) ? LSHM_ENTRY_INLINE : 0,
        .schema = (uint32_t)seq + 2,
        .time_ns = seq << 8,
        .user = { ~seq, seq + 3 },
    };
}

static bool is_message(const struct lsi_descriptor *d, const uint64_t *block, uint64_t seq)
{
    struct lsi_descriptor want = descriptor(seq);
    bool same = d->handle == want.handle && d->length == want.length &&
                d->offset == want.offset && d->flags == want.flags && d->schema == want.schema &&
                d->time_ns == want.time_ns && d->user[0] == want.user[0] &&
                d->user[1] == want.user[1];

    for (uint32_t i = 0; same && is_inline(seq) && i < (d->length + 7) / 8; i++)
        same = block[i] == seq * 1000 + i;
    return same;
}

static void *read_ring(void *arg)
{
    struct reader *reader = arg;
    struct shared *shared = reader->shared;
    const struct lshm_ring *ring = shared->pub.ring;
    struct lsi_ring_reader from;
    uint64_t seq = LST_SEQ_FIRST, block[ROOM / 8];
    struct lsi_descriptor d;

    lsi_ring_reader_init(&from, ring, shared->pub.entries, ENTRIES, ENTRY_BYTES);
    lsi_add_relaxed(&shared->started, 1);
    while (reader->taken < TAKES && lsi_load_relaxed(&ring->tail) < LST_SEQ_FIRST + MESSAGES) {
        switch (lsi_ring_take(&from, seq, &d, block)) {
        case LSI_RING_TAKEN:
            reader->taken++;
            reader->mixed += !is_message(&d, block, seq);
            seq++;
            break;
        case LSI_RING_LAPPED:
            reader->lapped++;
            seq = lsi_load_relaxed(&ring->tail); /* the one that is being written */
            seq -= seq < LST_SEQ_FIRST + 2 ? 0 : 2; /* … is two past one that soon will be */
            break;
        case LSI_RING_CORRUPT:
            reader->corrupt++;
            seq++;
            break;
        default:
            sched_yield();
            break;
        }
    }
    lsi_add_relaxed(&shared->finished, 1);
    return NULL;
}

static void write_ring(struct shared *shared)
{
    struct lsi_ring_writer *writer = &shared->pub.publication.writer;
    uint64_t block[ROOM / 8];

    while (lsi_load_relaxed(&shared->started) < READERS)
        sched_yield();
    while (lsi_load_relaxed(&shared->finished) < READERS) {
        struct lsi_descriptor d = descriptor(writer->tail);

        for (uint32_t i = 0; i < ROOM / 8; i++)
            block[i] = writer->tail * 1000 + i;
        lsi_store_relaxed(&writer->ring->tail, writer->tail);
        lsi_ring_publish(writer, &d, block);
        for (uint64_t i = 0; i < writer->tail / 16 % PAUSES; i++)
            lsi_cpu_relax();
    }
}

static void test_ring__overwritten_while_read__never_gives_a_mixture(void **state)
{
    struct shared *shared = lst_zeroed(1, sizeof *shared);
    struct reader readers[READERS] = { { 0 } };

    (void)state;
    lst_pub_init(&shared->pub, ENTRIES, ENTRY_BYTES, 1, LST_SEQ_FIRST);
    shared->pub.publication.writer.marks_rewrites = true;
    for (uint32_t i = 0; i < READERS; i++) {
        readers[i].shared = shared;
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_ring, &readers[i]), 0);
    }
    write_ring(shared);
    for (uint32_t i = 0; i < READERS; i++)
        pthread_join(readers[i].thread, NULL);
    for (uint32_t i = 0; i < READERS; i++) {
        assert_int_equal(readers[i].mixed, 0);
        assert_int_equal(readers[i].corrupt, 0);
        assert_int_equal(readers[i].taken, TAKES);
        assert_true(readers[i].lapped > 0);
    }
    lst_pub_free(&shared->pub);
    free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring__overwritten_while_read__never_gives_a_mixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
