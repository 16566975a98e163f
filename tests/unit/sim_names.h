/* SPDX-License-Identifier: Apache-2.0 */
/* Other names for the core's functions, for sim.h: the linked core has theirs already. */
#ifndef SIM_NAMES_H
#define SIM_NAMES_H

#define lsi_cell_join sim_cell_join
#define lsi_cell_set_cursor sim_cell_set_cursor
#define lsi_cell_close sim_cell_close
#define lsi_cell_reset sim_cell_reset
#define lsi_cell_hold sim_cell_hold
#define lsi_cell_drop sim_cell_drop
#define lsi_cell_waited_for sim_cell_waited_for
#define lsi_publication_flush sim_publication_flush
#define lsi_publication_gate sim_publication_gate
#define lsi_publication_publish sim_publication_publish
#define lsi_publication_wanted sim_publication_wanted
#define lsi_reclaim sim_reclaim
#define lsi_ring_has sim_ring_has
#define lsi_ring_publish sim_ring_publish
#define lsi_ring_reader_init sim_ring_reader_init
#define lsi_ring_take sim_ring_take
#define lsi_ring_writer_init sim_ring_writer_init
#define lsi_roster_changed sim_roster_changed
#define lsi_roster_clear sim_roster_clear
#define lsi_roster_init sim_roster_init
#define lsi_roster_sync sim_roster_sync
#define lsi_slots_free sim_slots_free
#define lsi_slots_init sim_slots_init
#define lsi_slots_loan sim_slots_loan
#define lsi_slots_move sim_slots_move
#define lsi_window_add sim_window_add
#define lsi_window_init sim_window_init
#define lsi_window_make_room sim_window_make_room
#define lsi_window_release sim_window_release
#define lsi_window_settle sim_window_settle
#define lsi_window_skip sim_window_skip
#define lsi_window_slots sim_window_slots

#endif
