/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stage between two topics: negate_frames FROM TO FRAME_BYTES SLOTS
 *
 * Writes the negative of each frame of FROM into a slot of TO. Both ends wait for each other, so no
 * frame is lost. user[0], the frame's number, goes along; user[1] says when FROM was published.
 */
#include "example.h"

static void negate(unsigned char *to, const unsigned char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (unsigned char)(255 - from[i]);
}

int main(int argc, char **argv)
{
    struct lshm_publisher_options options = { .size = sizeof options, .wait_ns = -1 };
    struct lshm_subscriber_options from_options = { .size = sizeof from_options, .window = 4 };
    struct lshm_context *context;
    struct lshm_publisher *publisher;
    struct lshm_subscriber *subscriber;
    struct lshm_message in = { .length = 1 }, out;
    struct lshm_error error = { 0 };

    if (argc != 5)
        return fprintf(stderr, "usage: negate_frames FROM TO FRAME_BYTES SLOTS\n"), EXIT_FAILURE;
    options.payload_bytes = number_argument(argv[3]);
    options.slot_count = number_argument(argv[4]);
    options.flags = LSHM_PUBLISHER_TIMESTAMPS;
    must(lshm_context_open(NULL, &error, &context), "open context", &error);
    must(lshm_publisher_open(context, argv[2], &options, &error, &publisher), argv[2], &error);
    must(lshm_subscriber_open(context, argv[1], &from_options, &error, &subscriber), argv[1],
         &error);
    do {
        must(lshm_subscriber_wait(subscriber, -1), "wait", NULL);
        if (must(lshm_subscriber_take(subscriber, &in), "take", NULL) == 0)
            continue;
        must(lshm_publisher_loan(publisher, in.length, &out), "loan", NULL);
        negate(out.data, in.data, in.length);
        out.user[0] = in.user[0];
        out.user[1] = in.time_ns;
        must(lshm_subscriber_release(subscriber, &in), "release", NULL);
        must(lshm_publisher_publish(publisher, &out), "publish", NULL);
    } while (in.length > 0);
    lshm_context_close(context);
    return 0;
}
