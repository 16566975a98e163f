/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory files: create, fill, map.
 *
 * A memory file is sized once and sealed against SHRINK and GROW before anybody else sees it, so no
 * mapper is ever hit by SIGBUS through truncation. Its writer fills it (fallocate) before it is
 * announced, so neither sparse pages nor a late ENOMEM can hit a mapper. Calls return 0 or −errno.
 */
#ifndef LSI_OS_MEMORY_H
#define LSI_OS_MEMORY_H

#include <stdint.h>

#define LSI_MAP_WRITE 1u     /* read-write */
#define LSI_MAP_NO_FORK 2u   /* a forked child has no such mapping */
#define LSI_MAP_NO_DUMP 4u   /* nor has a core dump */

/* A new memory file of `bytes`, CLOEXEC, not executable, with SHRINK|GROW sealed. */
int lsi_memory_create(const char *name, uint64_t bytes, int *ret_fd);
/* Allocates every page. The pages are charged to the caller's cgroup. */
int lsi_memory_fill(int fd, uint64_t bytes);
int lsi_memory_map(int fd, uint64_t bytes, unsigned flags, void **ret_base);
/* Maps over whatever is at `base`, which the caller has reserved. */
int lsi_memory_map_at(int fd, uint64_t bytes, unsigned flags, void *base);
void lsi_memory_unmap(void *base, uint64_t bytes);
/* Address space without memory behind it; shared: zero pages that forked children share. */
int lsi_memory_reserve(uint64_t bytes, int shared, void **ret_base);
/* Takes back what lsi_memory_map_at() put there. */
int lsi_memory_unreserve_at(void *base, uint64_t bytes);
/* MemAvailable of /proc/meminfo. */
int lsi_memory_available(uint64_t *ret_bytes);
uint64_t lsi_memory_page_bytes(void);

#endif
