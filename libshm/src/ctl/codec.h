/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of the control protocol: checked when they come in, whole before they are used.
 *
 * Both ends treat every packet as hostile. A packet passes when its size is exactly that of its
 * type, the header's byte and descriptor counts are those that arrived, the number of descriptors
 * is one the type may have, strings end inside their fields, reserved fields are zero, flags are
 * known and geometries make sense. Whether numbers name something is the receiver's business.
 */
#ifndef LSI_CTL_CODEC_H
#define LSI_CTL_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "ctl/listing.h"
#include "ctl/segment.h"

/* A packet as it was received, and the descriptors that came with it. */
struct lsi_ctl_packet {
    union {
        struct lsi_ctl_header header;
        struct lsi_ctl_refusal refusal;
        struct lsi_ctl_hello hello;
        struct lsi_ctl_hello_reply hello_reply;
        struct lsi_ctl_mapped mapped;
        struct lsi_ctl_publisher_open publisher_open;
        struct lsi_ctl_publisher_memory publisher_memory;
        struct lsi_ctl_publisher_open_reply publisher_open_reply;
        struct lsi_ctl_segment_add segment_add;
        struct lsi_ctl_segment_import segment_import;
        struct lsi_ctl_segment_reply segment_reply;
        struct lsi_ctl_segment_end segment_end;
        struct lsi_ctl_port_close port_close;
        struct lsi_ctl_subscriber_open subscriber_open;
        struct lsi_ctl_subscriber_open_reply subscriber_open_reply;
        struct lsi_ctl_link link;
        struct lsi_ctl_evict evict;
        struct lsi_ctl_topic_clear topic_clear;
        struct lsi_ctl_topic_clear_reply topic_clear_reply;
        struct lsi_ctl_received received;
        struct lsi_ctl_channel channel;
        struct lsi_ctl_push_part push_part;
        struct lsi_ctl_push_ring push_ring;
        struct lsi_ctl_push_segment push_segment;
        struct lsi_ctl_push_channel push_channel;
        struct lsi_ctl_push_client push_client;
        struct lsi_ctl_status_reply status_reply;
        struct lsi_ctl_list list;
        struct lsi_ctl_watch watch;
        struct lsi_ctl_list_reply list_reply;
        struct lsi_ctl_region region;
        struct lsi_ctl_region_reply region_reply;
        unsigned char bytes[LSI_CTL_BYTES_MAX];
    };
    uint32_t fd_count;
    int fds[LSI_CTL_FDS_MAX];
};

/* What a broker may get from a client: 0 or −LSHM_EPROTO. A HELLO of any ABI passes. */
int lsi_ctl_check_request(const struct lsi_ctl_packet *packet, size_t bytes);
/* What a client may get from a broker. The answer to HELLO of any ABI passes. */
int lsi_ctl_check_answer(const struct lsi_ctl_packet *packet, size_t bytes);

/* Whether ours and this one can talk to each other. */
int lsi_ctl_is_same_abi(uint32_t abi_major, uint32_t abi_minor);

/*
 * For clients: one packet from the broker. 1, 0 when there is none now, −LSHM_EGONE when the broker
 * ended the session, −LSHM_EPROTO, −errno. The descriptors are the caller's.
 */
int lsi_ctl_receive(int fd, struct lsi_ctl_packet *ret_packet);
/*
 * For brokers: the same, but the packet stays in the socket until lsi_socket_drop(), and
 * descriptors are refused: −LSHM_EPROTO.
 */
int lsi_ctl_peek(int fd, struct lsi_ctl_packet *ret_packet);
/* Fills in the header's bytes and fds and sends. 0, −EAGAIN, −LSHM_EGONE, −errno. */
int lsi_ctl_send(int fd, void *message, size_t bytes, const int *fds, uint32_t fd_count);
/* Closes the descriptors from number `first` on and forgets them. */
void lsi_ctl_close_fds(struct lsi_ctl_packet *packet, uint32_t first);

/* A name for logs: "PUBLISHER_OPEN", "?" when unknown. */
const char *lsi_ctl_type_name(uint32_t type);
/* Sets a text field: cut at its end, NUL-terminated, the rest zero. */
void lsi_ctl_set_text(char *field, size_t field_bytes, const char *text);

#endif
