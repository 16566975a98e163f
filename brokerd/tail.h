/* SPDX-License-Identifier: Apache-2.0 */
/* How far a publisher got before it ended. */
#ifndef BROKERD_TAIL_H
#define BROKERD_TAIL_H

#include "worker.h"

/*
 * The first message, from the tail hint on, whose entry is not committed: at most one ring further.
 * Each word is read once. What can't be read ends the count, and is logged.
 */
uint64_t tail_read_final(const struct lsi_ctl_geometry *geometry, const struct region *ring);
/*
 * How many messages before `end` are there, one after the other: at most `most`, which is no more
 * than the ring has. *ret_segments: bits of the segments that their payloads are said to lie in.
 */
uint32_t tail_count_back(const struct lsi_ctl_geometry *geometry, const struct region *ring,
                         uint64_t end, uint32_t most, uint32_t *ret_segments);

#endif
