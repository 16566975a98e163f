/* SPDX-License-Identifier: Apache-2.0 */
/* Starting: everything that can fail fails here, in one line that says what, why and what to do. */
#ifndef BROKERD_START_H
#define BROKERD_START_H

#include "ctl/message.h"
#include "keeper.h"

struct options {
    char socket[LSI_CTL_TEXT_BYTES]; /* empty: the usual places */
    int is_foreground;
    uint64_t drain_ns;
    uint64_t client_bytes_max; /* 0: half of what is available */
    uint64_t topic_bytes_max;  /* 0: none */
    uint64_t retain_bytes_max; /* 0: as for one client */
    uint64_t clients_max;
};

/*
 * Directory, lock, socket, memory, signals. Exits when it can't. Without --foreground the process
 * that was started stays to wait, and another one returns.
 */
void start_keeper(const struct options *options, struct keeper *ret_keeper);
/* It serves: leaves the foreground, and says so to whoever waits for that. */
void start_done(const struct keeper *keeper);

#endif
