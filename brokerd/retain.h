/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlives a publisher: the last messages of one that was opened with `retain`.
 *
 * When it ends, by whatever cause, its ring and the segments that the last `retain` messages lie in
 * stay: the record is ENDED, in its topic's list `retained`, until it is dropped. Newcomers that
 * ask for history are linked to it: they get the ring read-only, with a reader record that says
 * DEAD from the start and no roster row, since there is no publisher to look at one.
 *
 *   ENDED, retained > 0 -superseded, or removed-> ENDED, retained 0 -last reader left-> FREE
 *
 * SUPERSEDED  Publishers are ordered by the count of ends: what is retained was there before a
 *             publisher opened when its number is not above that one's `ends_before`. Once a
 *             publisher that retains has published, all that was there before it opened is dropped.
 *             The broker is not told of a first message: it looks when somebody joins or opens the
 *             topic, when a publisher of it ends or asks for more memory.
 */
#ifndef BROKERD_RETAIN_H
#define BROKERD_RETAIN_H

#include "quota.h"
#include "worker.h"

/* It ends: how many messages are to outlive it, in its record, which does not say ENDED yet. */
void retain_decide(struct broker *broker, struct publisher *publisher);
int retain_is_kept(const struct publisher *publisher);
/* From its topic's publishers to what the topic retains. */
void retain_enter(struct publisher *publisher);
/* The same for a new worker, which has no list yet. */
void retain_rebuild(struct publisher *publisher, struct topic *topic);
/* No reader is left: gives back the segments that none of its last messages lies in. */
void retain_trim(struct broker *broker, struct publisher *publisher);
/* Drops what is superseded. */
void retain_settle(struct broker *broker, struct topic *topic);
/* Request of a client: drops all that a topic retains. */
void retain_clear(struct broker *broker, struct client *client,
                  const struct lsi_ctl_topic_clear *request);
/*
 * Whether a publisher may have what it claims: 0, or as quota_check(). Of what its topic retains,
 * that which it supersedes once it has published is dropped now, if it may have it only so.
 */
int retain_check_quota(struct broker *broker, const struct quota_claim *claim, char *ret_text,
                       size_t text_bytes);
/* What all topics retain: publishers and bytes. */
void retain_count(const struct broker *broker, uint64_t *ret_publishers, uint64_t *ret_bytes);
/* Bytes that the topic retains. */
uint64_t retain_topic_bytes(const struct topic *topic);

#endif
