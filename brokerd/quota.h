/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one client, one topic and all that is retained may own, and what the machine has: before
 * anything is created.
 */
#ifndef BROKERD_QUOTA_H
#define BROKERD_QUOTA_H

#include "worker.h"

/* 0, −LSHM_EQUOTA or −ENOMEM with the text that says what, why and how to fix it. */
int quota_check(struct broker *broker, const struct client *client, uint64_t bytes, char *ret_text,
                size_t text_bytes);
/* What a publisher asks for. */
struct quota_claim {
    const struct client *client;
    struct topic *topic; /* NULL: there is no such topic yet */
    uint64_t bytes;
    int retains;         /* it may leave messages when it ends */
    uint64_t supersedes; /* up to which end, once it has published (retain.h) */
};
/* As above, as if `spared` bytes of what the topic retains were not there. */
int quota_check_claim(struct broker *broker, const struct quota_claim *claim, uint64_t spared,
                      char *ret_text, size_t text_bytes);
/* What the publishers of the topic own, and what it retains of others. */
uint64_t quota_topic_bytes(const struct topic *topic);
/* Bytes that one client may own, now. */
uint64_t quota_client_bytes(const struct broker *broker);
/* Bytes that publishers may own that retain messages, or have left some, now. */
uint64_t quota_retain_bytes(const struct broker *broker);

#endif
