/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments that a publisher gets while it is in use.
 *
 *   FREE -> CREATED -(MAPPED)-> OPEN -(REMOVE)-> LEAVING -(last reader LEFT)-> FREE
 *
 * While CREATED, its publisher alone knows it. Before the publisher hears that it is OPEN, and can
 * name it in a message, the board of each reader has its bit and its push is on the way. Whoever
 * joins later gets it behind the ring. While LEAVING it stays charged: readers may have it mapped.
 */
#ifndef BROKERD_SEGMENT_H
#define BROKERD_SEGMENT_H

#include "worker.h"

void segment_add(struct broker *broker, struct client *client,
                 const struct lsi_ctl_segment_add *request);
void segment_remove(struct broker *broker, struct client *client,
                    const struct lsi_ctl_segment_end *request);
void segment_left(struct broker *broker, struct client *client,
                  const struct lsi_ctl_segment_end *request);
/* Its layout is there: to all readers, then OPEN; all readers are to unmap it. */
void segment_open(struct broker *broker, struct publisher *publisher, uint32_t number);
void segment_leave(struct broker *broker, struct publisher *publisher, uint32_t number);
/* A reader is no more: what only it had goes. */
void segment_drop_left(struct broker *broker, struct publisher *publisher);
/* Sealed: to its readers, then the answer. Nothing for a segment made with the ring. */
void segment_mapped(struct broker *broker, struct publisher *publisher,
                    const struct region *region);
/* A link that goes live, or a new worker's first look: the bits; the pushes that are missing. */
void segment_show_all(struct broker *broker, struct link *link);
void segment_tell_all(struct broker *broker, struct link *link);
/* The reader has this one: its region's number * LSI_CTL_SEGMENTS + its own. */
void segment_acknowledge(struct link *link, uint64_t segment);
/* It has ended, and nobody reads it: what is not among these bits is of no use. */
void segment_keep_only(struct broker *broker, struct publisher *publisher, uint32_t bits);
/* After a change of worker: what was begun and has no memory (any more) is nobody's. */
void segment_rebuild(struct broker *broker, struct publisher *publisher);

#endif
