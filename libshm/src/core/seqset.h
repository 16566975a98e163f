/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of message numbers: those that some reader holds. Open addressing, rebuilt when a hold
 * table changed, asked for each message that leaves the window. Private; the owner passes the
 * memory.
 */
#ifndef LSI_SEQSET_H
#define LSI_SEQSET_H

#include <stdint.h>

struct lsi_seqset {
    uint64_t *words; /* seq + 1, 0: empty */
    uint32_t mask;   /* a power of two, at least twice the members it will get, minus 1 */
    uint32_t count;
};

/* words: a power of two of them, at least twice what will be added. */
void lsi_seqset_init(struct lsi_seqset *set, uint64_t *words, uint32_t word_count);
void lsi_seqset_clear(struct lsi_seqset *set);
/* Adds seq; a set that is half full stays as it is and returns 0. */
int lsi_seqset_add(struct lsi_seqset *set, uint64_t seq);
int lsi_seqset_has(const struct lsi_seqset *set, uint64_t seq);

#endif
