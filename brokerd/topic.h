/* SPDX-License-Identifier: Apache-2.0 */
/* Topics: made by the first port that opens one, gone with the last and with what it retains. */
#ifndef BROKERD_TOPIC_H
#define BROKERD_TOPIC_H

#include "worker.h"

RB_PROTOTYPE(topic_tree, topic, by_name, topic_compare)
int topic_compare(const struct topic *a, const struct topic *b);

/* Finds or makes it; NULL: too many. The name is a topic name. */
struct topic *topic_get(struct broker *broker, const char *name);
/* NULL: there is none of that name. */
struct topic *topic_find_name(struct broker *broker, const char *name);
/* After a change of worker. */
void topic_rebuild(struct broker *broker, struct topic *topic);
/* A port has gone: so does the topic, when it was the last. */
void topic_put(struct broker *broker, struct topic *topic);

#endif
