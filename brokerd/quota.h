/* SPDX-License-Identifier: Apache-2.0 */
/* What one client and one topic may own, and what the machine has: before anything is created. */
#ifndef BROKERD_QUOTA_H
#define BROKERD_QUOTA_H

#include "worker.h"

/* 0, −LSHM_EQUOTA or −ENOMEM with the text that says what, why and how to fix it. */
int quota_check(struct broker *broker, const struct client *client, uint64_t bytes, char *ret_text,
                size_t text_bytes);
/* As above, for a publisher of the topic; NULL: there is no such topic yet. */
int quota_check_topic(struct broker *broker, const struct client *client,
                      const struct topic *topic, uint64_t bytes, char *ret_text,
                      size_t text_bytes);
/* What the publishers of the topic own. */
uint64_t quota_topic_bytes(const struct topic *topic);
/* Bytes that one client may own, now. */
uint64_t quota_client_bytes(const struct broker *broker);

#endif
