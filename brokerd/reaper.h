/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Burying the dead, and those who said BYE.
 *
 * Death is known from the pidfd only; a hang-up is a reason to look. First its subscriptions:
 * their rows go GONE, so that no publisher waits for them. Then its publishers: the final tail,
 * and DEAD for their readers. Then its own memory. Nobody writes the dead process's memory. Again
 * is fine. (Publishers first, and no more yet, while somebody reads what it forwarded: forward.h.)
 */
#ifndef BROKERD_REAPER_H
#define BROKERD_REAPER_H

#include "worker.h"

void reaper_bury(struct broker *broker, struct client *client);
/* Dead ones that waited until what they forwarded is drained. */
void reaper_bury_drained(struct broker *broker);

#endif
