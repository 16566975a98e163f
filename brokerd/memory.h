/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions: one memory file, one writer each.
 *
 * Broker-written (public region, boards): created, mapped read-write by the keeper and here at one
 * place of the arena, then sealed; a new worker inherits the keeper's mapping, which is the only
 * way to go on writing a sealed file. Client-written (control parts, rings, segments): created,
 * sent read-write to the client, which maps and fills it and says MAPPED; then sealed here.
 * Everybody else gets reader_fd. Nobody can map it writable: the seal stands before it exists.
 */
#ifndef BROKERD_MEMORY_H
#define BROKERD_MEMORY_H

#include "worker.h"

#define REGION_NO_FD (-1)

struct region_wish {
    uint32_t kind;
    uint32_t part;
    uint64_t client; /* 0: the broker's own */
    uint64_t port;
    uint64_t bytes;
    int is_huge; /* huge pages, if enough are reserved; bytes are multiples of them */
};

/* A broker-written region, mapped, with its header, sealed. 0 or −errno, −LSHM_ELIMIT. */
int region_create_own(struct broker *broker, const struct region_wish *wish,
                      struct region **ret_region);
/* A client-written one, to be sent. */
int region_create_for(struct broker *broker, const struct region_wish *wish,
                      struct region **ret_region);
/*
 * The client has mapped it: seals it, makes the read-only descriptor. Again is fine.
 * −ENODATA: it was not filled.
 */
int region_seal(struct broker *broker, struct region *region);
/* Not wanted any more: goes as soon as no queued message needs it. */
void region_release(struct broker *broker, struct region *region);
void region_unpin(struct broker *broker, struct region *region);
/* After a change of worker: the private half, and the steps that were not finished. */
int region_rebuild(struct broker *broker, struct region *region);

#endif
