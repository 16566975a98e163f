/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session with the broker, as contexts and inspectors both have one: finding the socket, one
 * packet out, waiting for one to come in, what a refusal says.
 */
#ifndef LSI_SESSION_H
#define LSI_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lshm/lshm.h>

#include "ctl/codec.h"
#include "os/socket.h"

/*
 * Connects to the broker that `option` (may be NULL) names, see lshm_socket_path, and makes sure
 * that it is root's or our own. `path` is where it was looked for.
 */
int lsi_session_connect(const char *option, char path[LSI_SOCKET_PATH_BYTES],
                        struct lshm_error *reterr_error, int *ret_fd);
/* Waits for the socket until the deadline (CLOCK_MONOTONIC): 1 (or a signal came), 0 or −errno. */
int lsi_session_poll(int fd, short events, uint64_t deadline_ns);
/* 0, −ETIMEDOUT, −LSHM_EGONE, −errno. */
int lsi_session_send(int fd, struct lsi_ctl_header *message, size_t bytes, uint64_t deadline_ns);
/* What the broker says it speaks: 0, or −LSHM_EVERSION. */
int lsi_session_check_abi(uint32_t abi_major, uint32_t abi_minor,
                          struct lshm_error *reterr_error);
/* The reply's status; a refusal's text goes to reterr_error. */
int lsi_session_status(const struct lsi_ctl_packet *reply, struct lshm_error *reterr_error);
/* Whether this is the broker's last word: it ends the session and says why. */
bool lsi_session_is_cut(const struct lsi_ctl_packet *reply);

#endif
