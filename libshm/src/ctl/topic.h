/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topic names: seg(/seg)*, a segment being one or more of A-Z a-z 0-9 _ . - ; at most 127 bytes.
 * No path is ever derived from one.
 */
#ifndef LSI_CTL_TOPIC_H
#define LSI_CTL_TOPIC_H

#include <stddef.h>

/* A name in a field of `bytes`: its length, or 0 when it is not a topic name that ends in it. */
size_t lsi_topic_check(const char *name, size_t bytes);

#endif
