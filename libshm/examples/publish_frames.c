/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publish raw frames from a pipe: publish_frames TOPIC FRAME_BYTES SLOTS < frames
 *
 * Each frame is read straight into the slot it is published in. user[0] is its number; an empty
 * message, whose user[0] counts the frames, ends the stream. It waits for readers: none is lost.
 * On SIGUSR1, and at the end, it says how many of its slots it can loan at once.
 */
#include <signal.h>
#include <unistd.h>

#include "example.h"

#define RING_ENTRIES 64u /* at least SLOTS */
#define WAIT_NS INT64_C(300000000)

/* 0 at the end of the input; a part of a frame does not count. */
static int read_frame(unsigned char *frame, size_t bytes)
{
    ssize_t n = 1;

    for (size_t got = 0; got < bytes && n > 0; got += (size_t)(n > 0 ? n : 0))
        n = read(STDIN_FILENO, frame + got, bytes - got);
    return n > 0;
}

static void loan_all(struct lshm_publisher *publisher, size_t bytes, uint32_t slots)
{
    struct lshm_message loans[RING_ENTRIES];
    uint32_t count = 0;

    while (count < slots && lshm_publisher_loan(publisher, bytes, &loans[count]) == 0)
        count++;
    must(lshm_publisher_abort_batch(publisher, loans, count), "abort", NULL);
    printf("loaned %u of %u\n", count, slots);
}

int main(int argc, char **argv)
{
    struct lshm_publisher_options options = { .size = sizeof options, .wait_ns = WAIT_NS };
    struct lshm_context *context;
    struct lshm_publisher *publisher;
    struct lshm_message m;
    struct lshm_error error = { 0 };
    uint64_t count = 0;
    sigset_t asked;
    int r;

    if (argc != 4 || number_argument(argv[3]) > RING_ENTRIES)
        return fprintf(stderr, "usage: publish_frames TOPIC FRAME_BYTES SLOTS\n"), EXIT_FAILURE;
    setlinebuf(stdout);
    sigemptyset(&asked);
    sigaddset(&asked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &asked, NULL);
    options.payload_bytes = number_argument(argv[2]);
    options.slot_count = options.loans_max = number_argument(argv[3]);
    options.ring_entries = RING_ENTRIES;
    options.flags = LSHM_PUBLISHER_TIMESTAMPS;
    must(lshm_context_open(NULL, &error, &context), "open context", &error);
    must(lshm_publisher_open(context, argv[1], &options, &error, &publisher), argv[1], &error);
    for (;;) {
        if (sigtimedwait(&asked, NULL, &(struct timespec){ 0 }) == SIGUSR1)
            loan_all(publisher, options.payload_bytes, options.slot_count);
        r = lshm_publisher_loan(publisher, options.payload_bytes, &m);
        if (r == -LSHM_EAGAIN)
            continue; /* a reader is slow */
        must(r, "loan", NULL);
        if (!read_frame(m.data, options.payload_bytes))
            break;
        m.user[0] = count++;
        must(lshm_publisher_publish(publisher, &m), "publish", NULL);
    }
    m.length = 0;
    m.user[0] = count;
    must(lshm_publisher_publish(publisher, &m), "publish", NULL);
    printf("published %llu\n", (unsigned long long)count);
    loan_all(publisher, options.payload_bytes, options.slot_count);
    lshm_context_close(context);
    return 0;
}
