/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishers.
 *
 *   CREATED -MAPPED-> SEALED -record on the board-> LINKING -all subscribers linked-> OPEN
 *   any of them -closed, or its client died-> ENDED -last reader left, not retained-> FREE
 */
#ifndef BROKERD_PUBLISHER_H
#define BROKERD_PUBLISHER_H

#include "worker.h"

/* Requests of a client; each answers or refuses. */
void publisher_open(struct broker *broker, struct client *client,
                    const struct lsi_ctl_publisher_open *request);
void publisher_close(struct broker *broker, struct client *client,
                     const struct lsi_ctl_port_close *request);
/* MAPPED for a ring or a segment of it. 0 or −errno. */
int publisher_mapped(struct broker *broker, struct publisher *publisher, struct region *region);
/* What its writer says it got for a segment. */
void publisher_note_pages(struct publisher *publisher, struct region *region, uint32_t pages);
/* CREATED … LINKING: goes on, and answers when it is done. */
void publisher_advance(struct broker *broker, struct publisher *publisher);
/* Its readers drain what was committed; nothing more comes. */
void publisher_end(struct broker *broker, struct publisher *publisher);
void publisher_free_if_drained(struct broker *broker, struct publisher *publisher);
/* Whether readers can be linked to it. */
int publisher_is_linkable(const struct publisher *publisher);
/* Opens that waited too long for a peer are refused; ms until the next is due, −1: none. */
int publisher_expire(struct broker *broker);
int publisher_rebuild(struct broker *broker, struct publisher *publisher);
/* A part of a ring that was made before the worker changed. */
void publisher_adopt(struct broker *broker, struct region *region);
/* Uncharged, and gone as soon as no queued message needs it; *region is NULL. */
void publisher_release_region(struct broker *broker, struct publisher *publisher,
                              struct region **region);

#endif
