/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which lines of a client's board parts or control parts are given out. Runs are contiguous and lie
 * in one part. Private: a new worker marks what the registry names.
 */
#ifndef BROKERD_LINES_H
#define BROKERD_LINES_H

#include "worker.h"

/* Makes a part's lines available; the first `reserved` are never given out. 0 or −ENOMEM. */
int lines_add_part(struct parts *parts, struct region *region, uint32_t reserved);
/* First fit. 0 or −EAGAIN: no part has such a run. */
int lines_take(struct parts *parts, uint32_t run, struct lshm_ref *ret_ref);
void lines_mark(struct parts *parts, struct lshm_ref ref, uint32_t run);
void lines_give(struct parts *parts, struct lshm_ref ref, uint32_t run);
uint32_t lines_count_free(const struct parts *parts);
uint32_t lines_count(const struct parts *parts);
/* Where a line of a broker-written part is mapped here. */
void *lines_at(const struct parts *parts, struct lshm_ref ref);
void lines_close(struct parts *parts);

#endif
