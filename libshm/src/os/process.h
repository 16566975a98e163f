/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes, by descriptor: a pidfd becomes readable when the last thread is gone, and is never
 * confused with a later process of the same number.
 */
#ifndef LSI_OS_PROCESS_H
#define LSI_OS_PROCESS_H

#include <sys/types.h>

/* CLOEXEC; −ESRCH when there is no such process. */
int lsi_process_open(pid_t pid, int *ret_pidfd);
/* 1 alive, 0 gone. */
int lsi_process_is_alive(int pidfd);
/* A child that shares the table of descriptors: 0 in the child, its pid in the parent. */
pid_t lsi_process_clone_files(void);

#endif
