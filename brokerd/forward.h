/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings that name messages of other rings.
 *
 * A foreign segment has a number of the forwarder's ring, as its own segments have, and comes to
 * its readers as those do. It is there as long as the link through which its messages come, and
 * that is there as long as its reader holds any of them.
 *
 * A dead forwarder is not buried before its rings that have foreign segments are drained: until
 * then its rows are ORPHAN, so that its holds count and its cursors don't.
 */
#ifndef BROKERD_FORWARD_H
#define BROKERD_FORWARD_H

#include "worker.h"

void forward_import(struct broker *broker, struct client *client,
                    const struct lsi_ctl_segment_import *request);
/* Nothing that came through the link from this region is forwarded any more; 0: from any. */
void forward_end(struct broker *broker, struct link *link, uint64_t region);
/* Whether its ring may name what its client holds. */
int forward_has_imports(const struct publisher *publisher);
/* After a change of worker: the memory of a foreign segment. */
void forward_rebuild(struct broker *broker, struct publisher *publisher, uint32_t number);

#endif
