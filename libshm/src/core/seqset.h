/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of message numbers: those that some reader keeps, and how. Open addressing, rebuilt at each
 * reclaim, asked for each message that leaves the window. Private; the owner passes the memory.
 */
#ifndef LSI_SEQSET_H
#define LSI_SEQSET_H

#include <stdint.h>

#define LSI_SEQSET_ABSENT 0
#define LSI_SEQSET_HELD 1   /* a hold names it */
#define LSI_SEQSET_PINNED 2 /* it lies in the window of a reader that does not gate */

struct lsi_seqset {
    uint64_t *words; /* (seq + 1) * 2, + 1: pinned; 0: empty */
    uint32_t mask;   /* a power of two, at least twice the members it will get, minus 1 */
    uint32_t count;
};

/* words: a power of two of them, at least twice what will be added. */
void lsi_seqset_init(struct lsi_seqset *set, uint64_t *words, uint32_t word_count);
void lsi_seqset_clear(struct lsi_seqset *set);
/* Adds seq, at most LSI_SEQ_MAX; who is there already stays what it was. A set that is half full
 * stays as it is and returns 0. */
int lsi_seqset_add(struct lsi_seqset *set, uint64_t seq, int how);
/* LSI_SEQSET_… */
int lsi_seqset_find(const struct lsi_seqset *set, uint64_t seq);

#endif
