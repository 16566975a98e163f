/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A memory barrier in all registered processes at once (membarrier(2), GLOBAL_EXPEDITED): what each
 * of their threads stored before it is visible after it, and what they load after it is not older.
 * Costs the caller some 10 us and every running thread an interrupt: for rare events.
 */
#ifndef LSI_OS_BARRIER_H
#define LSI_OS_BARRIER_H

/* This process takes part from now on, until exec: 0 or −errno (an old kernel, a sandbox). */
int lsi_barrier_register(void);
/* 0 or −errno. */
int lsi_barrier_all(void);

#endif
