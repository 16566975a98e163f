/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a dead worker left in the shared table of descriptors without a record of it is closed by
 * its successor, before it opens anything itself. Connections just accepted are kept.
 */
#ifndef BROKERD_SWEEP_H
#define BROKERD_SWEEP_H

#include "registry.h"

#define SWEEP_ADOPTED_MAX 16

/* Connections that nobody has a record of; their number. */
int sweep(const struct registry *registry, int ret_adopted[SWEEP_ADOPTED_MAX]);
/* Notes what is open now as the keeper's: it stays. */
int sweep_note_keeper(struct registry *registry);

#endif
