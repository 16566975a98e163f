/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core itself on the simulated memory of sim.h, and the words of a publication's rig that are
 * shared.
 */
#ifndef CORE_SIM_H
#define CORE_SIM_H

#include "explore.h"

#include "core/cell.c"
#include "core/reclaim.c"
#include "core/ring.c"
#include "core/roster.c"
#include "core/seqset.c"
#include "core/slots.c"
#include "core/window.c"

#include "core_rig.h"

#ifdef __SANITIZE_ADDRESS__
#define RUNS 150 /* each switch of stacks costs it much */
#else
#define RUNS 2500
#endif

/* Forgets what an earlier run shared. The rig has one part and cells 0 to `cells` - 1. */
static inline void sim_share_pub(struct lst_pub *pub, uint32_t cells, uint32_t holds)
{
    const struct lsi_ring_writer *writer = &pub->publication.writer;

    sim.shared_count = 0;
    sim_share(&pub->ring->tail, 8);
    sim_share(&pub->ring->horizon, 8);
    sim_share(&pub->ring->waiting, 16);
    sim_share(pub->entries, (writer->mask + (size_t)1) * writer->entry_bytes);
    sim_share(pub->parts[0], LSHM_ROSTER_ROWS * sizeof(struct lshm_roster_row));
    sim_share(&pub->record, sizeof pub->record);
    sim_share(pub->sleep, sizeof pub->sleep);
    for (uint32_t i = 0; i < cells; i++)
        sim_share(pub->cells[i], (size_t)lsi_cell_lines(holds) * LSHM_LINE_BYTES);
}

#endif
