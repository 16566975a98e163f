/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a chain: check_frames TOPIC
 *
 * Prints a line for each frame: its number, its MD5, and how long ago, in ns, it and what it was
 * made of were published; at the end of the stream "end" and the number of frames.
 */
#include <md5.h>

#include "example.h"

static void print_frame(const struct lshm_message *m, uint64_t taken_ns)
{
    char text[MD5_DIGEST_STRING_LENGTH];
    uint64_t made_ns = m->user[1] != 0 ? m->user[1] : m->time_ns;

    MD5Data(m->data, m->length, text);
    printf("%llu %s %llu %llu\n", (unsigned long long)m->user[0], text,
           (unsigned long long)(taken_ns - m->time_ns), (unsigned long long)(taken_ns - made_ns));
}

int main(int argc, char **argv)
{
    struct lshm_subscriber_options options = { .size = sizeof options, .window = 4 };
    struct lshm_context *context;
    struct lshm_subscriber *subscriber;
    struct lshm_message m = { .length = 1 };
    struct lshm_error error = { 0 };

    if (argc != 2)
        return fprintf(stderr, "usage: check_frames TOPIC\n"), EXIT_FAILURE;
    setlinebuf(stdout);
    must(lshm_context_open(NULL, &error, &context), "open context", &error);
    must(lshm_subscriber_open(context, argv[1], &options, &error, &subscriber), argv[1], &error);
    do {
        must(lshm_subscriber_wait(subscriber, -1), "wait", NULL);
        if (must(lshm_subscriber_take(subscriber, &m), "take", NULL) == 0)
            continue;
        if (m.length > 0)
            print_frame(&m, now_ns());
        else
            printf("end %llu\n", (unsigned long long)m.user[0]);
        must(lshm_subscriber_release(subscriber, &m), "release", NULL);
    } while (m.length > 0);
    lshm_context_close(context);
    return 0;
}
