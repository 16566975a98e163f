/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slot handles: segment (16 bits, counted from 1 within its ring) | generation (24) | slot (24).
 * 0 names nothing, also when the generation is 0: segments count from 1. The generation catches
 * misuse; safety never depends on it (design.md, section 2), so it may come round: after 2^24 uses
 * of its slot an old handle looks right again.
 */
#ifndef LSI_HANDLE_H
#define LSI_HANDLE_H

#include <stdint.h>

#include <lshm/abi.h>

static inline uint64_t lsi_handle(uint32_t segment, uint32_t generation, uint32_t slot)
{
    return (uint64_t)segment << LSHM_HANDLE_SEGMENT_SHIFT |
           (uint64_t)(generation & LSHM_HANDLE_FIELD_MASK) << LSHM_HANDLE_GENERATION_SHIFT |
           (slot & LSHM_HANDLE_FIELD_MASK);
}

static inline uint32_t lsi_handle_segment(uint64_t handle)
{
    return (uint32_t)(handle >> LSHM_HANDLE_SEGMENT_SHIFT);
}

static inline uint32_t lsi_handle_generation(uint64_t handle)
{
    return (uint32_t)(handle >> LSHM_HANDLE_GENERATION_SHIFT) & LSHM_HANDLE_FIELD_MASK;
}

static inline uint32_t lsi_handle_slot(uint64_t handle)
{
    return (uint32_t)handle & LSHM_HANDLE_FIELD_MASK;
}

#endif
