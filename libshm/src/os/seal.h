/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seals: what makes "one writer per memory file" a fact and not a habit.
 *
 * A read-only descriptor is no grant by itself: its holder can re-open /proc/self/fd/N read-write.
 * So the writer maps first, and then F_SEAL_FUTURE_WRITE ends writing for everybody else: old
 * writable mappings go on, new ones and write() fail. F_SEAL_SEAL keeps it that way.
 */
#ifndef LSI_OS_SEAL_H
#define LSI_OS_SEAL_H

#include <stdint.h>

/* Seals the size, before anybody else gets the file. */
int lsi_seal_size(int fd);
/* Ends writing for all who have not mapped the file yet, and further sealing; checks the result. */
int lsi_seal_writes(int fd);
/* A read-only descriptor of a file that was sealed so. */
int lsi_seal_reopen(int fd, int *ret_fd);
/* 0 when every byte of the file has memory behind it, else −ENODATA. */
int lsi_seal_check_filled(int fd, uint64_t bytes);
/* What a receiver checks: access mode, seals, size. 0 or −LSHM_ECORRUPT. */
int lsi_seal_check_reader(int fd, uint64_t bytes);
int lsi_seal_check_writer(int fd, uint64_t bytes);

#endif
