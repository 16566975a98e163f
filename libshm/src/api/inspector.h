/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inspectors: a session without ports, and read-only views of other processes' regions.
 *
 * MODEL  A list call collects the broker's records, maps the regions that they name, and copies out
 *        of these each word once. Sizes and places come from the broker; the words are of processes
 *        that may be hostile, so they are bounded or only passed on, never followed.
 *        Views are kept by the region's number, which the broker never uses twice, and dropped when
 *        some calls went by without a use: memory of the dead is not kept alive.
 */
#ifndef LSI_INSPECTOR_H
#define LSI_INSPECTOR_H

#include <stdbool.h>
#include <sys/queue.h>

#include <lshm/inspect.h>

#include "api/internal.h"
#include "api/session.h"

#define LSI_VIEW_BUCKETS 256u

struct lsi_view {
    LIST_ENTRY(lsi_view) entry;
    uint64_t region;
    uint64_t bytes;
    void *base;
    uint64_t pass; /* the call that used it last */
};
LIST_HEAD(lsi_view_list, lsi_view);

struct lshm_inspector {
    uint32_t magic;
    int socket;
    int64_t timeout_ns;
    int broken;            /* not 0: the session is over */
    uint32_t abi_major;    /* the broker's */
    uint32_t abi_minor;
    uint64_t last_request;
    uint64_t pass;         /* list calls so far */
    struct lsi_view_list views[LSI_VIEW_BUCKETS];
    char path[LSI_SOCKET_PATH_BYTES];
};

/* inspect.c */
/* As lsi_control_request: the reply's status or 0; its descriptors are the caller's. */
int lsi_inspector_request(struct lshm_inspector *inspector, struct lsi_ctl_header *request,
                          size_t bytes, struct lsi_ctl_packet *reply,
                          struct lshm_error *reterr_error);
/* All records of one table (LSI_CTL_LIST_…) in one allocation: how many, or a negative error. */
int lsi_inspector_collect(struct lshm_inspector *inspector, uint32_t what, void **ret_records);
/* Begins and ends a list call; end takes its result and says what the caller gets. */
int lsi_inspector_begin(struct lshm_inspector *inspector);
int lsi_inspector_end(struct lshm_inspector *inspector, int result);

/* inspect_view.c */
/* A region of exactly `bytes`, or NULL: it is gone, not filled yet, or not to be had. */
const void *lsi_inspector_view(struct lshm_inspector *inspector, uint64_t region, uint64_t bytes);
/* Drops views that the last calls did not use; all of them. */
void lsi_inspector_trim(struct lshm_inspector *inspector);
void lsi_inspector_drop_views(struct lshm_inspector *inspector);

/* What a ring says of itself, LSHM_UNKNOWN all over when it cannot be seen. */
struct lsi_ring_look {
    uint64_t tail;
    uint64_t published;
    uint64_t horizon;
    uint64_t bytes;
    uint64_t refused;
    uint64_t aborts;
    uint64_t unmapped;
    uint64_t in_state[LSHM_SLOT_QUARANTINE + 1];
    uint32_t waiting;
    bool seen;
};
/* states: count them, too. */
void lsi_inspector_look_ring(struct lshm_inspector *inspector,
                             const struct lsi_ctl_geometry *geometry, bool states,
                             struct lsi_ring_look *ret_look);

/* What a reader's cell says; cursor first, then the holds: one that left the window is found. */
struct lsi_cell_look {
    uint64_t cursor; /* the oldest message in use; LSHM_UNKNOWN: not joined */
    uint64_t position;
    uint64_t taken;
    uint64_t lost_start;
    uint64_t lost_lapped;
    uint64_t lost_limit;
    uint64_t lost_evicted;
    uint64_t lost_corrupt;
    uint64_t hold_count;
    bool seen;       /* else everything is unknown */
    bool joined;
    bool closed;     /* nothing but its holds is in use */
};
/* What a pair has counted; false: nothing yet, and the copy is empty. */
bool lsi_inspector_look_histogram(struct lshm_inspector *inspector,
                                  const struct lsi_ctl_link_record *record,
                                  struct lshm_histogram *ret_copy);
/* holds (room for record->holds, may be NULL) gets hold_count copies of what is held. */
void lsi_inspector_look_cell(struct lshm_inspector *inspector,
                             const struct lsi_ctl_link_record *record, struct lshm_hold *holds,
                             struct lsi_cell_look *ret_look);

#endif
