/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: what clients say, and how they are told no.
 *
 * A packet is looked at (MSG_PEEK), handled, and only then taken out of the socket: a worker
 * killed in between leaves it to its successor, and every handler may run twice. Who breaks the
 * protocol is cut off with a reason: the refusal of a HELLO, whatever it had sent, then the end of
 * the session.
 */
#ifndef BROKERD_SESSION_H
#define BROKERD_SESSION_H

#include "worker.h"

void session_accept(struct broker *broker);
/* Its socket is readable, or hung up. The client may be gone afterwards. */
void session_read(struct broker *broker, struct client *client);
/* The answer to a request that can't be served. */
void session_refuse(struct broker *broker, struct client *client,
                    const struct lsi_ctl_header *request, int status, const char *format, ...)
    LSI_PRINTF(5, 6);
/* Ends a session, with a reason. */
void session_cut(struct broker *broker, struct client *client, int status, const char *format, ...)
    LSI_PRINTF(4, 5);
/* The session is over; the process may live on. */
void session_hang_up(struct broker *broker, struct client *client);

#endif
