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
#define LSI_PAYLOAD_BYTES_MAX (UINT64_C(1) << 46) /* ring and segments of one publisher */

/*
 * Fills everything of *geometry but the numbers of the regions. 0; −EINVAL: a field of the request
 * is out of its range, *ret_field names it; −EOVERFLOW: more than LSI_PAYLOAD_BYTES_MAX.
 */
int lsi_geometry_plan(const struct lsi_ctl_publisher_open *request, uint64_t page_bytes,
                      struct lsi_ctl_geometry *ret_geometry, const char **ret_field);
/* 1 when everything named lies inside its region and in its limits. */
int lsi_geometry_check(const struct lsi_ctl_geometry *geometry);
/* Of all segments there are. */
uint32_t lsi_geometry_slots(const struct lsi_ctl_geometry *geometry);
/* Ring and segments together. */
uint64_t lsi_geometry_bytes(const struct lsi_ctl_geometry *geometry);
/* Lines of a reader cell with its hold table. */
uint32_t lsi_geometry_cell_lines(uint32_t holds);

#endif
