/* SPDX-License-Identifier: Apache-2.0 */
/* What agents write into a message, and whether it is still all there. */
#ifndef AGENT_MESSAGE_H
#define AGENT_MESSAGE_H

#include <stdbool.h>

#include <lshm/lshm.h>

/* The message of this number from the port with this key; its length is set. */
void agent_message_fill(struct lshm_message *m, uint64_t key, uint64_t number);
bool agent_message_is_whole(const struct lshm_message *m, uint64_t key);

#endif
