/* SPDX-License-Identifier: Apache-2.0 */
/* Messages about segments that a ring gets, and loses, while it is in use: see message.h. */
#ifndef LSI_CTL_SEGMENT_H
#define LSI_CTL_SEGMENT_H

#include "ctl/message.h"

struct lsi_ctl_segment_add {
    struct lsi_ctl_header header;
    uint64_t publisher;
    uint64_t slot_bytes;
    uint32_t slot_count;
    uint32_t reserved;
};

struct lsi_ctl_segment_import {
    struct lsi_ctl_header header;
    uint64_t publisher;
    uint64_t link;       /* through which its messages come; the number ends with it */
    uint64_t region;
};

struct lsi_ctl_segment_end { /* REMOVE: port is the publisher; LEFT: port is the link */
    struct lsi_ctl_header header;
    uint64_t port;
    uint64_t region;
    uint32_t number;     /* LEFT: a ring may name a foreign region by two */
    uint32_t reserved;
};

struct lsi_ctl_segment_reply { /* SEGMENT_MEMORY: one descriptor; ADD, IMPORT: none */
    struct lsi_ctl_header header;
    uint64_t publisher;
    uint32_t number;
    uint32_t reserved;
    struct lsi_ctl_segment layout;
};

#endif
