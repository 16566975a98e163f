/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at a broker and its arena from outside, without disturbing anyone: what `lshm` uses.
 *
 * An inspector is a session of the broker's uid or root. It maps regions read-only and reads words
 * that others are writing: each figure is true of some instant, not all of one and the same. What
 * cannot be known from outside is said to be "at most"; what cannot be seen at all (memory that is
 * not mapped yet, a reader that has not joined yet) is LSHM_UNKNOWN, never 0.
 *
 * An inspector is used by one thread at a time, and not by forked children.
 */
#ifndef LSHM_INSPECT_H
#define LSHM_INSPECT_H

#include <lshm/abi.h>
#include <lshm/lshm.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lshm_inspector;

#define LSHM_UNKNOWN UINT64_MAX
#define LSHM_UNKNOWN_32 UINT32_MAX

int lshm_inspector_open(const struct lshm_context_options *options, struct lshm_error *reterr_error,
                        struct lshm_inspector **ret_inspector);
void lshm_inspector_close(struct lshm_inspector *inspector);

/* What an option of a port may be, and what it is when it is not given. */
struct lshm_limit {
    uint64_t min;
    uint64_t usual;          /* 0: it depends on the others */
    uint64_t max;
};

struct lshm_broker_status {
    uint64_t size;
    uint64_t keeper_pid;
    uint64_t worker_pid;
    uint64_t worker_generation;
    uint64_t start_ns;       /* CLOCK_REALTIME */
    uint64_t clients;
    uint64_t topics;
    uint64_t publishers;
    uint64_t subscribers;
    uint64_t regions;        /* memfds */
    uint64_t region_bytes;
    uint64_t clients_max;    /* limits in force */
    uint64_t topics_max;
    uint64_t client_bytes_max;
    uint32_t abi_major;
    uint32_t abi_minor;
    char version[32];
    char socket[108];
    uint32_t reserved;
    uint64_t publishers_max;
    uint64_t subscribers_max;
    struct lshm_limit payload_bytes; /* of each publisher: */
    struct lshm_limit slot_count;
    struct lshm_limit ring_entries;
    struct lshm_limit entry_bytes;
    struct lshm_limit loans;
    struct lshm_limit history;
    struct lshm_limit window;        /* of each subscriber: */
    struct lshm_limit holds;
    uint64_t topic_bytes_max;        /* of all publishers of a topic; 0: no limit */
    struct lshm_limit retain;        /* of each publisher */
    uint64_t retained;               /* publishers that ended and left messages */
    uint64_t retained_bytes;         /* rings and segments that these lie in */
    uint64_t retain_bytes_max;       /* of publishers that retain messages or have left some */
};
int lshm_inspector_get_status(struct lshm_inspector *inspector, struct lshm_broker_status *status);

struct lshm_client_info {
    uint64_t client;
    uint64_t pid;            /* as seen by the broker */
    uint64_t uid;
    uint64_t since_ns;       /* CLOCK_REALTIME */
    uint64_t publishers;
    uint64_t subscribers;
    uint64_t bytes;          /* memory it is charged for */
    uint32_t state;          /* LSHM_CLIENT_… */
    uint32_t asleep;         /* waits right now, for a message or for room; LSHM_UNKNOWN_32 */
    char name[LSHM_NAME_BYTES];
};
#define LSHM_CLIENT_ALIVE 1u
#define LSHM_CLIENT_HUNG_UP 2u /* closed its socket, but its process is there */
#define LSHM_CLIENT_DEAD 3u
#define LSHM_CLIENT_INSPECTOR 4u /* alive, has no memory of its own: only looks (or attaches) */

struct lshm_topic_info {
    uint64_t topic;
    uint64_t publishers;
    uint64_t subscribers;
    uint64_t published;      /* messages, by the publishers there are now */
    uint64_t bytes;          /* likewise, payload bytes */
    uint64_t memory_bytes;   /* of their rings and segments, and of those that are retained */
    uint64_t retained;       /* publishers that ended and left messages; not counted above */
    uint64_t retained_bytes; /* of memory_bytes, what these take */
    char name[LSHM_TOPIC_BYTES];
};

struct lshm_publisher_info {
    uint64_t publisher;
    uint64_t topic;
    uint64_t client;
    uint64_t published;      /* messages */
    uint64_t bytes;          /* payload bytes */
    uint64_t refused;        /* loans refused because readers gate */
    uint64_t aborts;         /* loans given back unpublished */
    uint64_t unmapped;       /* readers it could not map yet: nothing is reclaimed meanwhile */
    uint64_t memory_bytes;   /* ring and segments */
    uint64_t grown_bytes;    /* of these, segments that came later and may go */
    uint64_t memory_max;     /* what its segments may grow to; 0: it does not grow */
    uint64_t slot_bytes;     /* of its largest slots */
    uint64_t slots;          /* and by state: */
    uint64_t slots_free;
    uint64_t slots_loaned;
    uint64_t slots_window;
    uint64_t slots_limbo;
    uint64_t slots_quarantine;
    uint32_t ring_entries;
    uint32_t entry_bytes;
    uint32_t waiting;        /* sleeps for room right now; LSHM_UNKNOWN_32 */
    uint32_t dead;           /* it has ended: readers are still draining it, or it is retained */
    uint64_t retained;       /* the last messages that it left for subscribers to come */
    uint64_t ended_ns;       /* CLOCK_REALTIME; 0: it has not */
    uint64_t pid;            /* whose it is or was, as seen by the broker */
    char name[LSHM_NAME_BYTES];
};

struct lshm_segment_info {
    uint64_t publisher;
    uint64_t number;         /* as in handles, from 1; used again when it has gone */
    uint64_t bytes;
    uint64_t slot_bytes;
    uint32_t slots;
    uint32_t grown;          /* 1: came later, and may go; 0: made with the ring */
    uint32_t pages;          /* LSHM_PAGES_… */
    uint32_t reserved;
};
#define LSHM_PAGES_NORMAL 0u
#define LSHM_PAGES_HUGE 1u    /* transparent huge pages */
#define LSHM_PAGES_HUGETLB 2u /* reserved ones (vm.nr_hugepages) */

struct lshm_subscriber_info { /* one for each publisher that a subscriber reads, else one in all */
    uint64_t subscriber;
    uint64_t topic;
    uint64_t client;
    uint64_t publisher;      /* 0: it reads none now, and all up to tail is unknown */
    uint64_t taken;
    uint64_t lost;           /* sum of the causes: */
    uint64_t lost_start;     /* given up by the publisher before this reader had joined */
    uint64_t lost_lapped;
    uint64_t lost_limit;
    uint64_t lost_evicted;
    uint64_t lost_corrupt;   /* descriptors that were not valid */
    uint64_t holds;          /* samples kept beyond the window */
    uint64_t position;       /* next message */
    uint64_t cursor;         /* oldest message it may be using; unknown before it joins */
    uint64_t tail;           /* of the publisher's ring */
    uint32_t window;
    uint32_t holds_max;
    uint32_t flags;          /* LSHM_READER_… */
    uint32_t state;          /* LSHM_ROW_…; FREE without a publisher */
};

struct lshm_holder_info {
    uint64_t topic;
    uint64_t publisher;      /* whose slot */
    uint64_t client;         /* who holds it */
    uint64_t subscriber;
    uint64_t seq;            /* which message, the oldest of `count`; LSHM_UNKNOWN */
    uint64_t count;          /* messages; loans: slots */
    uint64_t since_ns;       /* CLOCK_MONOTONIC, 0 when unknown */
    uint32_t at_most;        /* 1: an upper bound */
    uint32_t kind;           /* LSHM_HOLDER_… */
};
#define LSHM_HOLDER_HOLD 1u    /* a sample kept beyond the window: exact */
#define LSHM_HOLDER_WINDOW 2u  /* taken, and the oldest of them not released */
#define LSHM_HOLDER_AHEAD 3u   /* published and not taken yet: a lossless reader will need them */
#define LSHM_HOLDER_LOAN 4u    /* the publisher itself: slots loaned, not published */
#define LSHM_HOLDER_UNKNOWN 5u /* its cell cannot be seen: it may hold anything */

/*
 * Lists. Each returns the number of all entries there are (which may be more than `count`) and
 * fills at most `count` of them; or a negative error.
 */
int lshm_inspector_list_clients(struct lshm_inspector *inspector, struct lshm_client_info *infos,
                                size_t count);
int lshm_inspector_list_topics(struct lshm_inspector *inspector, struct lshm_topic_info *infos,
                               size_t count);
int lshm_inspector_list_publishers(struct lshm_inspector *inspector,
                                   struct lshm_publisher_info *infos, size_t count);
int lshm_inspector_list_segments(struct lshm_inspector *inspector,
                                 struct lshm_segment_info *infos, size_t count);
int lshm_inspector_list_subscribers(struct lshm_inspector *inspector,
                                    struct lshm_subscriber_info *infos, size_t count);
int lshm_inspector_list_holders(struct lshm_inspector *inspector, struct lshm_holder_info *infos,
                                size_t count);

/*
 * How long messages take from their publication until they are taken. Nobody counts that unless an
 * inspector watches the topic: then its publishers stamp their messages and its subscribers count,
 * each for itself; both learn of it with one of their next calls. It ends with the inspector, or
 * when it watches another topic; NULL: none. 0, −LSHM_ENAME, −LSHM_ENOTOPIC.
 */
int lshm_inspector_watch(struct lshm_inspector *inspector, const char *topic,
                         struct lshm_error *reterr_error);

struct lshm_latency_info { /* one for each publisher that a subscriber reads */
    uint64_t link;                   /* the pair: never used again */
    uint64_t topic;
    uint64_t subscriber;
    uint64_t client;
    uint64_t publisher;
    uint32_t known;                  /* 0: the subscriber has counted nothing yet */
    uint32_t reserved;
    struct lshm_histogram histogram; /* ns, since the pair was first watched: subtract an earlier
                                        one to get those in between */
};
/* Of all pairs that are or were watched, filled as lists are. */
int lshm_inspector_list_latencies(struct lshm_inspector *inspector,
                                  struct lshm_latency_info *infos, size_t count);

/*
 * Private histograms (abi.h), all zero to begin with; their figures may be anything, sums stop at
 * UINT64_MAX. The quantile is the end of the bucket that holds it, at most an eighth above it, and
 * never more than the maximum; part is 0 … 1. Subtracting leaves the maximum if it is new, else the
 * end of the last bucket.
 */
void lshm_histogram_add(struct lshm_histogram *histogram, uint64_t value);
void lshm_histogram_merge(struct lshm_histogram *histogram, const struct lshm_histogram *other);
void lshm_histogram_subtract(struct lshm_histogram *histogram,
                             const struct lshm_histogram *earlier);
uint64_t lshm_histogram_count(const struct lshm_histogram *histogram);
uint64_t lshm_histogram_quantile(const struct lshm_histogram *histogram, double part);

/*
 * The topic of that name: 0, −LSHM_ENAME when no topic can have it, −LSHM_ENOTOPIC when nobody
 * publishes or subscribes to it now.
 */
int lshm_inspector_find_topic(struct lshm_inspector *inspector, const char *name,
                              struct lshm_error *reterr_error, struct lshm_topic_info *ret_info);

#ifdef __cplusplus
}
#endif

#endif
