/* SPDX-License-Identifier: Apache-2.0 */
/* Where things are in a ring and its segments: as control messages say it, geometry.h checks it. */
#ifndef LSI_CTL_LAYOUT_H
#define LSI_CTL_LAYOUT_H

#include <stdint.h>

#define LSI_CTL_SEGMENTS 32u /* of one publisher, at a time */

/* What a segment's memory is made of; as in lshm/inspect.h. */
#define LSI_CTL_PAGES_NORMAL 0u
#define LSI_CTL_PAGES_HUGE 1u    /* transparent huge pages */
#define LSI_CTL_PAGES_HUGETLB 2u /* reserved ones */

/* A data segment: slots of one size. Their state bytes are the ring's from first_slot on. */
struct lsi_ctl_segment {
    uint64_t region;
    uint64_t bytes;
    uint64_t slot_bytes;
    uint32_t slot_count;         /* 0: there is no segment of this number */
    uint32_t first_slot;
    uint32_t pages;              /* LSI_CTL_PAGES_… */
    uint32_t is_foreign;         /* another publisher's: the ring has views of its slots */
};

/* Where things are in a ring and its segments, as the broker laid them out. */
struct lsi_ctl_geometry {
    uint64_t ring_region;
    uint64_t ring_bytes;
    uint64_t states_offset;
    uint64_t entries_offset;
    uint64_t slot_bytes;         /* of the largest slots it may have */
    uint64_t memory_max;         /* bytes of all its segments; 0: it does not grow */
    uint32_t entry_count;
    uint32_t entry_bytes;
    uint32_t slot_room;          /* state bytes: slots of all segments at most */
    uint32_t segment_count;      /* made with the ring: numbers 0 to segment_count - 1 */
    uint32_t flags;              /* LSHM_RING_… */
    uint32_t history;
    uint32_t retain;             /* at most history: the ring keeps them while it is written */
    uint32_t is_huge;            /* its segments are whole huge pages */
    struct lsi_ctl_segment segments[LSI_CTL_SEGMENTS];
};

#endif
