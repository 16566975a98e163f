/* SPDX-License-Identifier: Apache-2.0 */
/* What `lshm` asks for: figures, lists, and for inspectors a region's read-only descriptor. */
#ifndef BROKERD_INSPECT_H
#define BROKERD_INSPECT_H

#include "worker.h"

void inspect_status(struct broker *broker, struct client *client,
                    const struct lsi_ctl_header *request);
void inspect_list(struct broker *broker, struct client *client, const struct lsi_ctl_list *request);
void inspect_region(struct broker *broker, struct client *client,
                    const struct lsi_ctl_region *request);

#endif
