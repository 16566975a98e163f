/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: the process that stays.
 *
 * It owns nothing but descriptors, mappings and the registry, and does nothing but three things: it
 * makes workers, it maps broker-written memory for those to come, and it ends the broker when told.
 * It touches no client's data, so nothing a client does can kill it.
 *
 * Keeper and workers share one table of descriptors (clone with CLONE_FILES): what a worker opened
 * outlives it under the same number, and nothing is ever passed between the two. Therefore neither
 * of them may use a library call that caches a descriptor behind their back. A worker is made only
 * when its predecessor was reaped: a registry has one writer.
 *
 * The two see each other's death by SIGCHLD and by a pidfd; with a shared table their socket pair
 * never hangs up.
 */
#ifndef BROKERD_KEEPER_H
#define BROKERD_KEEPER_H

#include <stdint.h>

#include "registry.h"

struct broker;

struct keeper {
    struct registry *registry;
    void *arena;
    int request_fd;  /* the keeper's end */
    int signal_fd;
    int tell_fd;     /* the process that was started waits there until it stands; −1: none does */
    int is_standing; /* the first worker has said that it can serve */
    uint64_t drain_ns;
};

/* Runs until the broker ends; returns the exit code. */
int keeper_run(struct keeper *keeper);
/* Unlinks the socket and the lock. */
void keeper_remove_files(const struct registry *registry);

/* The worker's side: each waits for the keeper, which never waits for anyone. 0 or −errno. */
int keeper_map(struct broker *broker, int fd, uint64_t offset, uint64_t bytes);
void keeper_unmap(struct broker *broker, uint64_t offset, uint64_t bytes);
/* The worker can serve: whoever waits for that is told. 1: it is in the background from now on. */
int keeper_say_ready(struct broker *broker);
/* Takes what the keeper says unasked: 1 when it said to drain. */
int keeper_take_news(struct broker *broker);

#endif
