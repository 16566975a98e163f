/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new worker: private indexes from the registry, then every step that its predecessor began and
 * did not finish, and everything it pushed that nobody acknowledged.
 */
#ifndef BROKERD_REBUILD_H
#define BROKERD_REBUILD_H

#include "worker.h"

/* Indexes only; nothing is sent. 0 or −errno. */
int rebuild_indexes(struct broker *broker);
/* Unfinished steps, unacknowledged pushes. */
void rebuild_redo(struct broker *broker);

#endif
