/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the broker writes on boards: a publisher's record and roster, a subscriber's reader records.
 *
 * The order of each change is the one abi.h states; readers of these words run concurrently and may
 * look at any instant. All functions may be called twice with the same result.
 */
#ifndef BROKERD_ROSTER_H
#define BROKERD_ROSTER_H

#include "worker.h"

#define ROSTER_NO_ROW UINT32_MAX

/* Rows of the parts before part `part`. */
uint32_t roster_rows_before(uint32_t part);
/* Lines of part `part`. */
uint32_t roster_part_lines(uint32_t part);

/* The publisher's own line. */
void roster_write_record(struct broker *broker, struct publisher *publisher);
/* Finds a row for the link, growing the roster. 0 or −errno, −LSHM_ELIMIT. */
int roster_take_row(struct broker *broker, struct link *link);
/* Row LIVE, and the version. */
void roster_write_row(struct broker *broker, struct link *link);
/* Row GONE, the version, and a LOOK; the row may be used again. */
void roster_end_row(struct broker *broker, struct link *link);
/* The reader's line says EVICTED, and a LOOK; the row says EVICTED, the version, and a LOOK. */
void roster_evict_reader(struct broker *broker, struct link *link);
void roster_evict_row(struct broker *broker, struct link *link);
/* Its reader is dead, and a ring of its own may name what it holds: row ORPHAN. */
void roster_orphan_row(struct broker *broker, struct link *link);
/* Private half after a change of worker. */
int roster_mark_row(struct publisher *publisher, struct link *link);
/* The lines go back: the publisher has ended. */
void roster_close(struct broker *broker, struct publisher *publisher);

/* The reader's line: LIVE; DEAD with the final tail, and a LOOK; FREE. */
void roster_write_reader(struct broker *broker, struct link *link);
void roster_end_reader(struct broker *broker, struct link *link);
/* Which segments the ring may name. */
void roster_write_segments(struct broker *broker, struct link *link);
/* Whether the publisher's messages are stamped; whether the reader counts, and where. */
void roster_write_watched(struct publisher *publisher);
void roster_write_histogram(struct link *link);
void roster_free_reader(struct link *link);

#endif
