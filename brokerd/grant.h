/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of a publisher's memory one reader may keep: its window B and its holds H.
 *
 * A lossless reader gets what it asks for: it makes the publisher wait anyway, by declared policy.
 * Lossy ones must never do that, so all of theirs together leave the publisher slots to go on with
 * (design.md, section 4: slots >= history + the sum of B + H + loans). Each gets half of what is
 * left for them, so that the next one finds something too.
 */
#ifndef BROKERD_GRANT_H
#define BROKERD_GRANT_H

#include "worker.h"

/* Fills the link's window and holds. 0 or −LSHM_EQUOTA: nothing is left for it. */
int grant_link(struct link *link);
/* What to do about it, for a refusal. */
void grant_explain(const struct publisher *publisher, char *text, size_t text_bytes);

#endif
