/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attached process (or one of its contexts): its boards, its control region, their lines.
 *
 *   ACCEPTED -HELLO-> ATTACHING -MAPPED-> ALIVE -socket ends-> HUNG_UP -pidfd-> DEAD -> FREE
 *
 * An inspector has no control region and is ALIVE with its HELLO.
 */
#ifndef BROKERD_CLIENT_H
#define BROKERD_CLIENT_H

#include "worker.h"

/* A connection. Its record, or −errno; takes the socket over when it returns 0. */
int client_accept(struct broker *broker, int socket_fd);
/* HELLO: makes its regions and answers. 0 or what to refuse it with. */
int client_attach(struct broker *broker, struct client *client, uint64_t hello_id);
/* MAPPED for its control part 0. */
int client_attached(struct broker *broker, struct client *client, uint64_t id);
/* A control part that it has mapped: its lines can be given out. */
int client_part_mapped(struct broker *broker, struct client *client, struct region *region);

/* The part 0 that it sees; NULL when there is none (any more). */
struct lshm_board *client_board(const struct client *client);
/* Lines on its board, which grows at once. 0 or −errno. */
int client_board_take(struct broker *broker, struct client *client, uint32_t run,
                      struct lshm_ref *ret_ref);
/* Lines of its control region. −EAGAIN: it must map another part first, and was asked to. */
int client_control_take(struct broker *broker, struct client *client, uint32_t run,
                        struct lshm_ref *ret_ref);
/* The same, but nothing is kept free behind it. */
int client_control_take_only(struct broker *broker, struct client *client, uint32_t run,
                             struct lshm_ref *ret_ref);
/* Cells of that many lines for publishers to come: parts are pushed before it lacks any. */
void client_control_reserve(struct broker *broker, struct client *client, uint32_t run);
/* Tells it of a board or control part. */
void client_push_part(struct broker *broker, struct client *client, struct region *region);
/* "pid 12 (name)", for texts. */
const char *client_describe(const struct client *client, char *text, size_t text_bytes);
/* Whether pushes reach it. */
int client_has_session(const struct client *client);
void client_init(struct client *client, struct client_record *record);
/* Its regions and its record go; ports are gone already. */
void client_free(struct broker *broker, struct client *client);

#endif
