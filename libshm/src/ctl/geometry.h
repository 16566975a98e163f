/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are in a ring and in its segments.
 *
 * The broker lays them out (lsi_geometry_plan), and clients check what they were told
 * (lsi_geometry_check) before they map anything: both with full-width arithmetic in which every sum
 * and product is checked, so that no offset can ever point outside its region.
 *
 *   ring: struct lshm_ring in the first LSI_RING_HEADER_BYTES, a state byte for each slot, then, on
 *   a page boundary, the entries; rounded up to pages. Segments: slots only, rounded up to pages.
 */
#ifndef LSI_CTL_GEOMETRY_H
#define LSI_CTL_GEOMETRY_H

#include <stdint.h>

#include "ctl/message.h"

#define LSI_RING_HEADER_BYTES 1024u
#define LSI_SLOT_ALIGN_BYTES 64u            /* of slots smaller than a page */
#define LSI_SLOT_PAGE_BYTES 4096u           /* of all others */
#define LSI_SLOT_BYTES_MAX 0xfffff000u      /* an entry's length has 32 bits */
#define LSI_GROWN_SLOT_BYTES 4096u          /* the smallest that a publisher grows by */
#define LSI_HUGE_BYTES (UINT64_C(2) << 20)   /* segments of huge pages are rounded to these */
#define LSI_PAYLOAD_BYTES_MAX (UINT64_C(1) << 46) /* ring and segments of one publisher */

/* An option that is not in its range. */
struct lsi_bad_option {
    const char *name; /* as in lshm_publisher_options; NULL: none is bad */
    const char *kind; /* "", or what else it must be: "a power of two " */
    uint64_t value;
    uint64_t min;
    uint64_t max;
};

/*
 * Fills everything of *geometry but the numbers of the regions. 0; −EINVAL: an option is out of its
 * range, −EOVERFLOW: all together are more than LSI_PAYLOAD_BYTES_MAX, either in *ret_bad.
 */
int lsi_geometry_plan(const struct lsi_ctl_publisher_open *request, uint64_t page_bytes,
                      struct lsi_ctl_geometry *ret_geometry, struct lsi_bad_option *ret_bad);
/* 1 when everything named lies inside its region and in its limits. */
int lsi_geometry_check(const struct lsi_ctl_geometry *geometry);
/* 1 when it lies inside its region, and its states inside their room. */
int lsi_geometry_check_segment(const struct lsi_ctl_segment *segment, uint32_t slot_room);
/*
 * Lays out one segment more, in a geometry that was checked: its number. −EINVAL: slots of no such
 * size or number; −LSHM_ELIMIT: no number or no room for their states is left.
 */
int lsi_geometry_add(struct lsi_ctl_geometry *geometry, uint64_t slot_bytes, uint32_t slot_count,
                     uint64_t page_bytes, uint32_t *ret_number);
uint64_t lsi_geometry_segment_bytes(const struct lsi_ctl_geometry *geometry);
/* Of all segments there are. */
uint32_t lsi_geometry_slots(const struct lsi_ctl_geometry *geometry);
/* Ring and segments together. */
uint64_t lsi_geometry_bytes(const struct lsi_ctl_geometry *geometry);
/* Lines of a reader cell with its hold table. */
uint32_t lsi_geometry_cell_lines(uint32_t holds);

#endif
