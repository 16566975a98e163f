/* SPDX-License-Identifier: Apache-2.0 */
#include <lshm/lshm.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) /* "hello TEXT" sends it, "hello" prints what arrives */
{
    struct lshm_context *ctx;
    struct lshm_publisher *pub;
    struct lshm_subscriber *sub;
    struct lshm_message m;

    if (lshm_context_open(NULL, NULL, &ctx) < 0)
        return 1;
    if (argc > 1 && lshm_publisher_open(ctx, "hello", NULL, NULL, &pub) == 0)
        lshm_publisher_send(pub, argv[1], strlen(argv[1]) + 1);
    if (argc == 1 && lshm_subscriber_open(ctx, "hello", NULL, NULL, &sub) == 0)
        while (lshm_subscriber_wait(sub, -1) > 0 && lshm_subscriber_take(sub, &m) > 0) {
            puts(m.data);
            lshm_subscriber_release(sub, &m);
        }
    lshm_context_close(ctx);
    return 0;
}
