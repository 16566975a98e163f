/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kind of pages a mapping has, when they come, whether they stay, and on which node.
 *
 * All of it is advice to the kernel about memory that works without it: what cannot be had is said,
 * and the caller decides. Calls return 0 or −errno.
 */
#ifndef LSI_OS_PAGES_H
#define LSI_OS_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#define LSI_HUGE_PAGE_BYTES (UINT64_C(2) << 20)

/* As lsi_memory_create(), of huge pages that are reserved for it: its mapper gets them. `bytes` is
 * a multiple of LSI_HUGE_PAGE_BYTES. Any failure: use others. */
int lsi_pages_create_huge(const char *name, uint64_t bytes, int *ret_fd);
/* Asks for huge pages where the system gives them on request; before the memory is filled. */
void lsi_pages_wish_huge(void *base, uint64_t bytes);
/* Whether the mapping that starts there has huge pages now, all that fit. */
bool lsi_pages_are_huge(const void *base, uint64_t bytes);
/* Makes every page present, for writing or for reading, so that no access faults later. */
int lsi_pages_populate(void *base, uint64_t bytes, bool is_written);
/* −EPERM, −ENOMEM: RLIMIT_MEMLOCK */
int lsi_pages_lock(void *base, uint64_t bytes);
/* The memory of a node and no other; before it is filled. */
int lsi_pages_bind(void *base, uint64_t bytes, uint32_t node);
/* Whether there are several nodes, and this one is among them. */
bool lsi_pages_has_node(uint32_t node);

#endif
