/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/geometry.h"

#include <errno.h>
#include <string.h>

#include <lshm/error.h>

#define GROWN_SLOTS_MIN 3072u /* with the header: a page */
#define RING_FLAGS (LSHM_RING_MAY_BLOCK | LSHM_RING_TIMESTAMPS)

_Static_assert(sizeof(struct lshm_ring) <= LSI_RING_HEADER_BYTES, "the header fits its room");
_Static_assert(LSHM_ENTRY_BYTES_MIN == sizeof(struct lshm_entry), "smallest entry: a descriptor");

/* value rounded up to a multiple of a power of two; 0 when it does not fit 64 bits */
static uint64_t round_up(uint64_t value, uint64_t multiple)
{
    uint64_t sum;

    if (__builtin_add_overflow(value, multiple - 1, &sum))
        return 0;
    return sum & ~(multiple - 1);
}

static int is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static int is_entry_count(uint32_t count)
{
    return is_power_of_two(count) && count >= LSHM_RING_ENTRIES_MIN &&
           count <= LSHM_RING_ENTRIES_MAX;
}

static int is_entry_bytes(uint32_t bytes)
{
    return bytes >= LSHM_ENTRY_BYTES_MIN && bytes <= LSHM_ENTRY_BYTES_MAX &&
           bytes % LSHM_ENTRY_BYTES_MIN == 0;
}

static struct lsi_bad_option bad_option(const struct lsi_ctl_publisher_open *request)
{
    const uint32_t entries = request->entry_count;
    const int has_slots = request->slot_bytes != 0;

#define BAD(...) ((struct lsi_bad_option){__VA_ARGS__})
    if (!is_entry_count(entries))
        return BAD("ring_entries", "a power of two ", entries, LSHM_RING_ENTRIES_MIN,
                   LSHM_RING_ENTRIES_MAX);
    if (!is_entry_bytes(request->entry_bytes))
        return BAD("entry_bytes", "a multiple of 64 ", request->entry_bytes, LSHM_ENTRY_BYTES_MIN,
                   LSHM_ENTRY_BYTES_MAX);
    if (request->slot_bytes > LSI_SLOT_BYTES_MAX)
        return BAD("payload_bytes", "", request->slot_bytes, 0, LSI_SLOT_BYTES_MAX);
    if (request->slot_count > LSHM_SLOTS_MAX || (request->slot_count != 0 && !has_slots) ||
        (request->slot_count == 0 && has_slots && request->memory_max == 0))
        return BAD("slot_count", "", request->slot_count, (uint64_t)has_slots,
                   has_slots ? LSHM_SLOTS_MAX : 0);
    if (request->memory_max > (has_slots ? LSI_PAYLOAD_BYTES_MAX : 0))
        return BAD("memory_max", "", request->memory_max, 0, has_slots ? LSI_PAYLOAD_BYTES_MAX : 0);
    if (request->retain > entries - entries / 4)
        return BAD("retain", "", request->retain, 0, entries - entries / 4);
    if (request->history > entries - entries / 4)
        return BAD("history", "", request->history, 0, entries - entries / 4);
    if (request->flags & ~RING_FLAGS)
        return BAD("flags", "", request->flags, 0, RING_FLAGS);
    return BAD(NULL, "", 0, 0, 0);
}

static uint64_t slot_bytes(uint64_t payload_bytes)
{
    return round_up(payload_bytes, payload_bytes < LSI_SLOT_PAGE_BYTES ? LSI_SLOT_ALIGN_BYTES
                                                                       : LSI_SLOT_PAGE_BYTES);
}

static uint64_t segment_unit(const struct lsi_ctl_geometry *geometry, uint64_t page_bytes)
{
    return geometry->is_huge ? LSI_HUGE_BYTES : page_bytes;
}

/* Slots that it may grow by, one state byte each: as many as its ring has entries of each of a
 * number of sizes. */
static uint32_t growth_slots(const struct lsi_ctl_publisher_open *request, uint64_t largest)
{
    const uint64_t smallest = largest < LSI_GROWN_SLOT_BYTES ? largest : LSI_GROWN_SLOT_BYTES;
    const uint64_t useful = GROWN_SLOTS_MIN + UINT64_C(16) * request->entry_count;
    uint64_t slots = smallest > 0 ? request->memory_max / smallest : 0;

    if (slots > useful)
        slots = useful;
    if (slots > LSHM_SLOTS_MAX - request->slot_count)
        slots = LSHM_SLOTS_MAX - request->slot_count;
    return (uint32_t)slots;
}

int lsi_geometry_plan(const struct lsi_ctl_publisher_open *request, uint64_t page_bytes,
                      struct lsi_ctl_geometry *ret_geometry, struct lsi_bad_option *ret_bad)
{
    struct lsi_ctl_geometry geometry = {0};

    *ret_bad = bad_option(request);
    if (ret_bad->name)
        return -EINVAL;
    if (page_bytes < LSI_SLOT_PAGE_BYTES)
        page_bytes = LSI_SLOT_PAGE_BYTES;
    geometry.entry_count = request->entry_count;
    geometry.entry_bytes = request->entry_bytes;
    geometry.flags = request->flags;
    geometry.history = request->history > request->retain ? request->history : request->retain;
    geometry.retain = request->retain;
    geometry.slot_bytes = slot_bytes(request->slot_bytes);
    geometry.memory_max = request->memory_max;
    geometry.is_huge = request->is_huge;
    geometry.slot_room = request->slot_count + growth_slots(request, geometry.slot_bytes);
    geometry.states_offset = LSI_RING_HEADER_BYTES;
    geometry.entries_offset =
        round_up(geometry.states_offset + geometry.slot_room, LSI_SLOT_PAGE_BYTES);
    geometry.ring_bytes =
        round_up(geometry.entries_offset + (uint64_t)request->entry_count * request->entry_bytes,
                 page_bytes);
    if (request->slot_count > 0) {
        geometry.segment_count = 1;
        geometry.segments[0] = (struct lsi_ctl_segment){
            .bytes = round_up(geometry.slot_bytes * request->slot_count,
                              segment_unit(&geometry, page_bytes)),
            .slot_bytes = geometry.slot_bytes,
            .slot_count = request->slot_count,
        };
    }
    if (lsi_geometry_bytes(&geometry) > LSI_PAYLOAD_BYTES_MAX) {
        *ret_bad = BAD("payload_bytes * slot_count", "", lsi_geometry_bytes(&geometry), 0,
                       LSI_PAYLOAD_BYTES_MAX);
        return -EOVERFLOW;
    }
    if (geometry.memory_max > 0 && geometry.segments[0].bytes > geometry.memory_max) {
        *ret_bad = BAD("memory_max", "", geometry.memory_max, geometry.segments[0].bytes,
                       LSI_PAYLOAD_BYTES_MAX);
        return -EINVAL;
    }
#undef BAD
    *ret_geometry = geometry;
    return 0;
}

static int check_ring(const struct lsi_ctl_geometry *geometry)
{
    uint64_t end;

    if (!is_entry_count(geometry->entry_count) || !is_entry_bytes(geometry->entry_bytes))
        return 0;
    if (geometry->history > geometry->entry_count - geometry->entry_count / 4)
        return 0;
    if (geometry->states_offset < sizeof(struct lshm_ring) ||
        geometry->entries_offset % LSHM_ENTRY_BYTES_MIN != 0)
        return 0;
    if (__builtin_add_overflow(geometry->states_offset, (uint64_t)geometry->slot_room, &end) ||
        end > geometry->entries_offset)
        return 0;
    if (__builtin_add_overflow(geometry->entries_offset,
                               (uint64_t)geometry->entry_count * geometry->entry_bytes, &end))
        return 0;
    return end <= geometry->ring_bytes;
}

int lsi_geometry_check_segment(const struct lsi_ctl_segment *segment, uint32_t slot_room)
{
    if (segment->pages > LSI_CTL_PAGES_HUGETLB || segment->is_foreign > 1)
        return 0;
    if (segment->slot_count == 0 || segment->slot_count > LSHM_SLOTS_MAX ||
        segment->first_slot > slot_room ||
        segment->slot_count > slot_room - segment->first_slot)
        return 0;
    if (segment->slot_bytes == 0 || segment->slot_bytes > LSI_SLOT_BYTES_MAX ||
        segment->slot_bytes % LSI_SLOT_ALIGN_BYTES != 0)
        return 0;
    /* 2^24 slots of less than 2^32 bytes: the product fits */
    return segment->slot_count * segment->slot_bytes <= segment->bytes;
}

static int overlap(const struct lsi_ctl_segment *a, const struct lsi_ctl_segment *b)
{
    return a->slot_count > 0 && b->slot_count > 0 && !a->is_foreign && !b->is_foreign &&
           a->first_slot < b->first_slot + b->slot_count &&
           b->first_slot < a->first_slot + a->slot_count;
}

static int check_segments(const struct lsi_ctl_geometry *geometry)
{
    uint32_t i, k;

    if (geometry->segment_count > LSI_CTL_SEGMENTS)
        return 0;
    for (i = 0; i < LSI_CTL_SEGMENTS; i++) {
        const struct lsi_ctl_segment *segment = &geometry->segments[i];

        if (segment->slot_count == 0) {
            if (i < geometry->segment_count || segment->bytes != 0)
                return 0;
            continue;
        }
        if (!lsi_geometry_check_segment(segment, geometry->slot_room))
            return 0;
        for (k = 0; k < i; k++) {
            if (overlap(segment, &geometry->segments[k]))
                return 0;
        }
    }
    return 1;
}

int lsi_geometry_check(const struct lsi_ctl_geometry *geometry)
{
    return check_ring(geometry) && check_segments(geometry) &&
           lsi_geometry_bytes(geometry) <= LSI_PAYLOAD_BYTES_MAX;
}

uint32_t lsi_geometry_slots(const struct lsi_ctl_geometry *geometry)
{
    uint32_t slots = 0, i;

    for (i = 0; i < LSI_CTL_SEGMENTS; i++)
        slots += geometry->segments[i].is_foreign ? 0 : geometry->segments[i].slot_count;
    return slots;
}

uint64_t lsi_geometry_segment_bytes(const struct lsi_ctl_geometry *geometry)
{
    return lsi_geometry_bytes(geometry) - geometry->ring_bytes;
}

int lsi_geometry_add(struct lsi_ctl_geometry *geometry, uint64_t bytes, uint32_t count,
                     uint64_t page_bytes, uint32_t *ret_number)
{
    struct lsi_ctl_segment segment = {.slot_bytes = bytes, .slot_count = count};
    uint32_t number = geometry->segment_count, i;

    while (number < LSI_CTL_SEGMENTS && geometry->segments[number].slot_count > 0)
        number++;
    if (bytes == 0 || bytes != slot_bytes(bytes) || bytes > geometry->slot_bytes || count == 0 ||
        count > LSHM_SLOTS_MAX)
        return -EINVAL;
    if (number >= LSI_CTL_SEGMENTS)
        return -LSHM_ELIMIT;
    segment.bytes = round_up(bytes * count, segment_unit(geometry, page_bytes));
    /* behind what is in its way, until nothing is */
    for (i = 0; i < LSI_CTL_SEGMENTS; i++) {
        if (overlap(&segment, &geometry->segments[i])) {
            segment.first_slot =
                geometry->segments[i].first_slot + geometry->segments[i].slot_count;
            i = UINT32_MAX; /* from the start */
        }
    }
    if (!lsi_geometry_check_segment(&segment, geometry->slot_room))
        return -LSHM_ELIMIT;
    geometry->segments[number] = segment;
    *ret_number = number;
    return 0;
}

uint64_t lsi_geometry_bytes(const struct lsi_ctl_geometry *geometry)
{
    uint64_t bytes = geometry->ring_bytes;
    uint32_t i;

    for (i = 0; i < LSI_CTL_SEGMENTS; i++) {
        if (!geometry->segments[i].is_foreign &&
            __builtin_add_overflow(bytes, geometry->segments[i].bytes, &bytes))
            return UINT64_MAX;
    }
    return bytes;
}

uint32_t lsi_geometry_cell_lines(uint32_t holds)
{
    return LSHM_CELL_LINES + holds / LSHM_HOLDS_PER_LINE + (holds % LSHM_HOLDS_PER_LINE != 0);
}
