/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the control protocol that is there for those who look after a broker: what it knows,
 * as tables, any region read-only, and what a topic retains, dropped. See message.h for the rest.
 */
#ifndef LSI_LISTING_H
#define LSI_LISTING_H

#include "ctl/message.h"

struct lsi_ctl_status_reply {
    struct lsi_ctl_header header;
    uint64_t keeper_pid;
    uint64_t worker_pid;
    uint64_t worker_generation;
    uint64_t start_ns;
    uint64_t clients;
    uint64_t topics;
    uint64_t publishers;
    uint64_t subscribers;
    uint64_t regions;
    uint64_t region_bytes;
    uint64_t clients_max;
    uint64_t topics_max;
    uint64_t publishers_max;
    uint64_t subscribers_max;
    uint64_t client_bytes_max;
    uint64_t topic_bytes_max; /* 0: none */
    uint64_t retained;        /* publishers that ended and left messages */
    uint64_t retained_bytes;
    uint64_t retain_bytes_max;
    char version[32];
};

/* LIST: a page of the broker's tables from index `from` on. */
#define LSI_CTL_LIST_CLIENTS 1u
#define LSI_CTL_LIST_TOPICS 2u
#define LSI_CTL_LIST_PUBLISHERS 3u
#define LSI_CTL_LIST_LINKS 4u
#define LSI_CTL_LIST_SUBSCRIBERS 5u
struct lsi_ctl_list {
    struct lsi_ctl_header header;
    uint32_t what;
    uint32_t reserved;
    uint64_t from;
};

struct lsi_ctl_list_reply { /* then `count` records of `record_bytes` */
    struct lsi_ctl_header header;
    uint32_t what;
    uint32_t count;
    uint32_t record_bytes;
    uint32_t reserved;
    uint64_t next; /* ask from here; 0: that was the last page */
};

struct lsi_ctl_client_record {
    uint64_t client, pid, uid, since_ns, publishers, subscribers, bytes;
    uint32_t state; /* 1 alive, 2 hung up, 3 dead (lshm/inspect.h) */
    uint32_t reserved;
    uint64_t control_region; /* part 0 */
    uint64_t control_bytes;
    char name[LSHM_NAME_BYTES];
};

struct lsi_ctl_topic_record {
    uint64_t topic, publishers, subscribers, retained, retained_bytes;
    char name[LSHM_TOPIC_BYTES];
};

struct lsi_ctl_publisher_record {
    uint64_t publisher, topic, client, memory_bytes, pid, ended_ns;
    uint32_t dead;
    uint32_t retained;       /* messages */
    char name[LSHM_NAME_BYTES]; /* its client's */
    struct lsi_ctl_geometry geometry;
};

struct lsi_ctl_subscriber_record {
    uint64_t subscriber, topic, client;
    uint32_t window, holds, flags, reserved;
};

struct lsi_ctl_link_record {
    uint64_t link, subscriber, publisher, topic, client;
    uint64_t control_region; /* the part that has the cell */
    uint64_t control_bytes;
    uint32_t cell_line;
    uint32_t state;          /* LSHM_ROW_… */
    uint32_t window, holds, flags;
    uint32_t histogram_line;
    uint64_t histogram_region; /* the control part that has its histogram; 0: it has none */
    uint64_t histogram_bytes;
};

/* WATCH: from now on the latencies of this topic are counted, and of no other that this session
 * watched before; empty: of none. The reply is a bare header. */
struct lsi_ctl_watch {
    struct lsi_ctl_header header;
    char topic[LSHM_TOPIC_BYTES];
};

struct lsi_ctl_topic_clear {
    struct lsi_ctl_header header;
    char topic[LSHM_TOPIC_BYTES];
};

struct lsi_ctl_topic_clear_reply {
    struct lsi_ctl_header header;
    uint64_t publishers; /* whose messages were dropped */
};

struct lsi_ctl_region {
    struct lsi_ctl_header header;
    uint64_t region;
};

struct lsi_ctl_region_reply { /* one read-only descriptor */
    struct lsi_ctl_header header;
    uint64_t region;
    uint64_t bytes;
    uint32_t kind;
    uint32_t part;
};

#endif
