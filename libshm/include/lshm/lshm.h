/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lshm: messages between processes on one machine, without copying them.
 *
 * A publisher, whole:                             A subscriber, whole:
 *
 *     struct lshm_context *ctx;                       struct lshm_context *ctx;
 *     struct lshm_publisher *pub;                     struct lshm_subscriber *sub;
 *     struct lshm_message m;                          struct lshm_message m;
 *
 *     lshm_context_open(NULL, NULL, &ctx);            lshm_context_open(NULL, NULL, &ctx);
 *     lshm_publisher_open(ctx, "hello",               lshm_subscriber_open(ctx, "hello",
 *                         NULL, NULL, &pub);                               NULL, NULL, &sub);
 *     lshm_publisher_loan(pub, 6, &m);                while (lshm_subscriber_wait(sub, -1) > 0)
 *     memcpy(m.data, "hello", 6);                       while (lshm_subscriber_take(sub, &m) > 0) {
 *     lshm_publisher_publish(pub, &m);                      puts(m.data);
 *     lshm_context_close(ctx);                              lshm_subscriber_release(sub, &m);
 *                                                       }
 *
 * RESULTS    Every call returns a count or 0, or a negative number: −errno from the system, or
 *            −LSHM_E… (lshm/error.h). Nothing there, full and timed out are results: take and wait
 *            return 0, loan returns −LSHM_EAGAIN. lshm_strerror() names any of them. Calls that set
 *            something up also take an optional struct lshm_error and write one line: what, why,
 *            how to fix it.
 * OWNERSHIP  A loan is the publisher's until it is published or aborted. A sample is the
 *            subscriber's until it is released; nobody changes its bytes before. Closing a port
 *            gives everything back. struct lshm_message is a plain value: copy it, move it, keep
 *            it; its token is what counts, and using one twice is −LSHM_ESTALE, never undefined.
 * THREADS    Ports of one context may be used from different threads at once; one port from one
 *            thread at a time. Only release is legal from any thread. Open and close are not for
 *            signal handlers.
 * FORK       A forked child must not use its parent's context: calls that return an int return
 *            −ECHILD there, close does nothing. Messages are not mapped in the child: touching one
 *            is a fault. exec() is fine.
 * TIME       Time-outs of waits are in ns; negative waits for ever, 0 does not wait. A signal does
 *            not end a wait.
 * OPTIONS    Structs that begin with `size`: set it to sizeof, zero the rest; zero means default.
 */
#ifndef LSHM_LSHM_H
#define LSHM_LSHM_H

#include <stddef.h>
#include <stdint.h>

#include <lshm/error.h>
#include <lshm/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lshm_context;
struct lshm_publisher;
struct lshm_subscriber;

/* One line of text about a failure of a set-up call. */
struct lshm_error {
    int number; /* what the call returned, positive */
    char text[508];
};

/* What `number` (of either sign) means: a static string, never NULL. */
const char *lshm_strerror(int number);
/* Its name: "LSHM_EHELD", "ENOMEM", "OK"; "E?" when unknown. */
const char *lshm_error_name(int number);
/* The library's version, LSHM_VERSION of its build. */
const char *lshm_version(void);

/*
 * A message: a loan before it is published, a sample after it is taken.
 */
#define LSHM_SEQ_NONE UINT64_MAX    /* seq of a message that was dropped instead of published */
#define LSHM_MESSAGE_TIME 4u        /* time_ns is set */
#define LSHM_MESSAGE_USER_SHIFT 16u /* the upper 16 bits of flags are the application's */
struct lshm_message {
    void *data;         /* payload; a sample's is read-only memory */
    uint64_t length;    /* payload bytes; a publisher may lower it before publishing */
    uint64_t seq;       /* samples: number of the message, from 0, per publisher */
    uint64_t publisher; /* samples: number of the publisher, unique on this broker */
    uint64_t time_ns;   /* CLOCK_MONOTONIC at publication, with LSHM_MESSAGE_TIME */
    uint64_t user[2];   /* the application's, carried along */
    uint32_t flags;     /* LSHM_MESSAGE_… and the application's upper bits */
    uint32_t schema;    /* version of the payload's schema, 0: none */
    uint64_t token;     /* the library's */
};

/*
 * CONTEXT: this process's attachment to a broker.
 */
struct lshm_context_options {
    uint64_t size;
    const char *socket;     /* NULL: LSHM_SOCKET, then the usual places (lshm_socket_path) */
    const char *name;       /* shown by tools; NULL: the program's name */
    int64_t timeout_ns;     /* for each request to the broker; 0 or less: 5 s */
    uint32_t flags;         /* LSHM_CONTEXT_… */
    uint32_t reserved;
};
#define LSHM_CONTEXT_DUMP 1u /* payload memory goes into core dumps too */

int lshm_context_open(const struct lshm_context_options *options, struct lshm_error *reterr_error,
                      struct lshm_context **ret_context);
/* Closes its ports, gives back every loan and sample. NULL is fine. */
void lshm_context_close(struct lshm_context *context);
/*
 * One descriptor for poll/epoll/select that becomes readable when a port of this context may have
 * something: a message to take, room to loan, news. Owned by the context. Once it was asked for, a
 * take that returned 0 and a loan that returned −LSHM_EAGAIN have armed it: call them until then,
 * then poll. A process that polls it uses all ports of the context from one thread.
 */
int lshm_context_get_fd(struct lshm_context *context);
/* The number the broker gave this client. */
uint64_t lshm_context_get_client(const struct lshm_context *context);
/* 1 once the broker was told to stop: it waits a little for its clients to close their contexts. */
int lshm_context_is_draining(const struct lshm_context *context);
/*
 * Drops what publishers that have ended left on the topic (retain): of how many. −LSHM_ENOTOPIC: it
 * has nothing of the kind. Ports that are open stay; who reads it already reads it to its end.
 */
int lshm_context_clear_topic(struct lshm_context *context, const char *topic,
                             struct lshm_error *reterr_error);
/*
 * Where a context is looked for: option, LSHM_SOCKET, $XDG_RUNTIME_DIR/lshm/broker.sock,
 * /run/lshm/broker.sock, lshm-UID/broker.sock in the temporary directory. 0 or −ENAMETOOLONG.
 */
int lshm_socket_path(const char *option, char *path, size_t path_bytes);

/*
 * PUBLISHER
 */
#define LSHM_PUBLISHER_TIMESTAMPS 1u /* stamp each message (some 25 ns each) */
#define LSHM_PUBLISHER_NEVER_WAITS 2u /* spins at most, never sleeps: readers release fence-free */
#define LSHM_PUBLISHER_DROP_NEWEST 4u /* no room: the loan is scratch memory, its message dropped */
#define LSHM_PUBLISHER_PREFAULT 8u /* its own pages are there before open or the loan returns */
#define LSHM_PUBLISHER_LOCK 16u    /* and stay in memory: mlock(2), RLIMIT_MEMLOCK */
#define LSHM_PUBLISHER_HUGE 32u    /* slots in 2 MiB pages, as far as there are any */
struct lshm_publisher_options {
    uint64_t size;
    uint64_t payload_bytes;  /* largest payload; 0: 4096 */
    uint32_t slot_count;     /* slots for payloads that do not fit an entry; 0: by payload_bytes */
    uint32_t ring_entries;   /* messages in flight, a power of two; 0: 1024 */
    uint32_t entry_bytes;    /* 64, 128, 256, 512 or 1024: the first 64 are the descriptor, the rest
                                takes a small payload; 0: 128 */
    uint32_t loans_max;      /* loans out at a time; 0: 64 */
    int64_t wait_ns;         /* how long loan waits for room; 0: −LSHM_EAGAIN at once, < 0: ever */
    uint64_t spin_ns;        /* of that, how long it spins before it sleeps; who spins does not
                                hear that the broker is gone */
    uint32_t flags;          /* LSHM_PUBLISHER_… */
    uint32_t history;        /* messages kept for newcomers, at most 3/4 of ring_entries */
    int64_t stall_ns;        /* a lossless subscriber that holds this publisher up for so long, not
                                moving, loses its place (−LSHM_EEVICTED there); 0: never */
    uint64_t memory_max;     /* bytes of slots it may have in all: a loan that finds none of a
                                fitting size gets another segment from the broker; slot_count 0
                                then reserves nothing. 0: it has slot_count slots, and no more */
    uint32_t numa_node;      /* 1 + the node that its memory comes from; 0: any */
    uint32_t retain;         /* messages that stay when it has ended, however it ended, for
                                subscribers that ask for history; it keeps as much history */
};

int lshm_publisher_open(struct lshm_context *context, const char *topic,
                        const struct lshm_publisher_options *options,
                        struct lshm_error *reterr_error, struct lshm_publisher **ret_publisher);
void lshm_publisher_close(struct lshm_publisher *publisher);

/*
 * Memory for one payload of at most `length` bytes: 0, or
 *   −LSHM_EAGAIN   readers have not passed the oldest messages, or keep the slots (after wait_ns)
 *   −LSHM_ENOSLOT  loans_max loans are out, or every slot is
 *   −LSHM_EQUOTA   with memory_max: no more memory may be had, and none will come back; likewise
 *                  other refusals of the broker
 *   −LSHM_ETOOBIG  length > payload_bytes
 *   −EDEADLK       it would wait for a subscriber that this very thread reads
 *   −LSHM_EGONE    the broker is gone, so that nobody can say whether the readers live, and calls
 *                  waited for the context's timeout_ns in which they gave nothing back
 * A loan is also the right to publish: publish never waits and never fails for want of room.
 * With LSHM_PUBLISHER_DROP_NEWEST a loan that would get −LSHM_EAGAIN gets scratch memory instead,
 * shared by all such loans; to publish it is to drop it: 0, counted, and seq is LSHM_SEQ_NONE.
 */
int lshm_publisher_loan(struct lshm_publisher *publisher, size_t length,
                        struct lshm_message *ret_message);
/* Hands the message over; sets its seq. 0, −LSHM_ESTALE, −LSHM_EFOREIGN, −LSHM_ETOOBIG. */
int lshm_publisher_publish(struct lshm_publisher *publisher, struct lshm_message *message);
/* Gives a loan back unpublished. */
int lshm_publisher_abort(struct lshm_publisher *publisher, struct lshm_message *message);
/*
 * Batches. loan_batch gives 1 … count loans of one length, or an error as above; publish_batch and
 * abort_batch end before the first message that is refused: they return how many were done, or the
 * error when it was the first one.
 * One flush per batch: the cost of waking readers is paid once.
 */
int lshm_publisher_loan_batch(struct lshm_publisher *publisher, size_t length,
                              struct lshm_message *ret_messages, size_t count);
int lshm_publisher_publish_batch(struct lshm_publisher *publisher, struct lshm_message *messages,
                                 size_t count);
int lshm_publisher_abort_batch(struct lshm_publisher *publisher, struct lshm_message *messages,
                               size_t count);
/* Copies `length` bytes into a loan and publishes it. */
int lshm_publisher_send(struct lshm_publisher *publisher, const void *data, size_t length);
/*
 * FORWARD  Publishes parts of a sample, each as a message of its own, with no copy: its readers get
 * the memory that the sample is in, which its first publisher has back when none of them and of
 * their readers uses it any more. The sample stays to be released, at any time. A chain may have
 * any length. What the sample's publisher and this one's readers may keep is the subscriber's
 * `holds`; a part is copied, and counted, when that is used up, or the sample was small enough to
 * be copied anyway, or this publisher retains messages. Its history counts against `holds`.
 *
 * The publisher, and all subscribers whose samples it forwards, are used by one thread at a time,
 * all of them together. Views come back in calls of theirs; a port that is closed with some stays
 * until they are back, or its context is closed. When the process ends, they stay until they are
 * read.
 */
struct lshm_slice {
    uint64_t offset;    /* in the sample */
    uint64_t length;
    uint64_t user[2];
    uint32_t flags;     /* the application's upper bits */
    uint32_t schema;
    uint64_t seq;       /* set: its number among this publisher's messages */
};
/*
 * How many were published, or the error of the first: as loan, and −LSHM_ESTALE, −LSHM_EFOREIGN
 * (also: not of one context), −EINVAL (a slice is not inside), −LSHM_EHELD (to be copied, and too
 * large for this publisher).
 */
int lshm_publisher_forward(struct lshm_publisher *publisher, struct lshm_subscriber *subscriber,
                           const struct lshm_message *sample, struct lshm_slice *slices,
                           size_t count);
/*
 * 1 when a loan would not have to wait, 0 when that did not happen in time; −LSHM_ENOSLOT,
 * −LSHM_EGONE, −EDEADLK as above. With slots it waits for one, also when the next message would fit
 * an entry.
 */
int lshm_publisher_wait(struct lshm_publisher *publisher, int64_t timeout_ns);

/*
 * Gives back what it grew by and does not use now, without waiting until that was idle for some
 * seconds: bytes.
 */
int64_t lshm_publisher_trim(struct lshm_publisher *publisher);

struct lshm_publisher_statistics {
    uint64_t size;
    uint64_t publisher;      /* its number */
    uint64_t published;      /* messages */
    uint64_t bytes;          /* payload bytes */
    uint64_t refused;        /* loans refused because readers gate */
    uint64_t readers;        /* rows that are live */
    uint64_t unmapped;       /* of those, not mapped yet: nothing is reclaimed meanwhile */
    uint64_t slots;          /* by state: */
    uint64_t slots_free;
    uint64_t slots_loaned;
    uint64_t slots_window;   /* published, and some reader's cursor has not passed it */
    uint64_t slots_limbo;    /* passed by all, held by some */
    uint64_t slots_quarantine;
    uint64_t joined;         /* readers that get what is published from now on */
    uint64_t dropped;        /* messages dropped for want of room, with DROP_NEWEST */
    uint64_t evicted;        /* subscribers that lost their place */
    uint64_t forwarded;      /* of published: parts of samples */
    uint64_t forward_copies; /* of those, copied */
    uint64_t views;          /* of those, in use by readers or on their way */
};
int lshm_publisher_get_statistics(struct lshm_publisher *publisher,
                                  struct lshm_publisher_statistics *statistics);

/*
 * SUBSCRIBER: gets every message published after `open` returned, of every publisher of the topic,
 * in each publisher's order.
 *
 * LOSSLESS  A publisher waits until it has taken and released what is in the way.
 * LATEST    It never makes a publisher wait: what is still in the ring is what it gets, the oldest
 *           that it did not come to in time is lost, and counted. A sample that was taken stays
 *           intact until it is released. window and holds are what it may keep from a publisher at
 *           most; the broker grants less where the publisher has few slots.
 */
#define LSHM_SUBSCRIBER_NO_LOCAL 1u    /* nothing from publishers of this context */
#define LSHM_SUBSCRIBER_NEVER_WAITS 2u /* only polls: publishers need not look whether it sleeps */
#define LSHM_SUBSCRIBER_LATEST 4u      /* loses its oldest messages rather than make one wait */
#define LSHM_SUBSCRIBER_BY_TIME 8u     /* of several publishers, the message with the earliest time
                                          of those that are there first; such without one before */
#define LSHM_SUBSCRIBER_PREFAULT 16u   /* maps the pages of slots before the first access */
struct lshm_subscriber_options {
    uint64_t size;
    uint32_t window;         /* samples out at a time per publisher before they are holds; 0: 64 */
    uint32_t holds;          /* samples kept beyond the window, per publisher; 0: 8 */
    uint64_t spin_ns;        /* how long wait spins before it sleeps; who spins does not hear that
                                the broker is gone */
    uint32_t flags;          /* LSHM_SUBSCRIBER_… */
    uint32_t queue_limit;    /* with LATEST: passes what is further behind than this; 0: none */
    uint32_t history;        /* messages from before it opened, per publisher: as many of its last
                                ones as that publisher keeps for newcomers, or has left when it
                                ended (retain), at most this */
    uint32_t reserved;
};

int lshm_subscriber_open(struct lshm_context *context, const char *topic,
                         const struct lshm_subscriber_options *options,
                         struct lshm_error *reterr_error, struct lshm_subscriber **ret_subscriber);
void lshm_subscriber_close(struct lshm_subscriber *subscriber);

/*
 * The next message: 1, 0 when there is none, −LSHM_EHELD when window and holds are full of samples
 * not released, −LSHM_ECORRUPT when a descriptor made no sense (it is counted and passed over),
 * once −ENOMEM when a new publisher's memory could not be mapped: its messages do not come; once
 * −EMFILE when no descriptors were left for it: they come when there are; once −LSHM_EEVICTED when
 * it has held up a publisher for longer than that one's stall limit: it goes on at that publisher's
 * live end, what it missed is lost and counted (lost_evicted), samples that are out stay good.
 */
int lshm_subscriber_take(struct lshm_subscriber *subscriber, struct lshm_message *ret_message);
/* Done with a sample: 0, −LSHM_ESTALE, −LSHM_EFOREIGN. Any order, any thread. */
int lshm_subscriber_release(struct lshm_subscriber *subscriber, struct lshm_message *message);
/*
 * Batches: take_batch gives 0 … count messages; release_batch ends before the first sample that is
 * refused: it returns how many were released, or the error when it was the first one.
 */
int lshm_subscriber_take_batch(struct lshm_subscriber *subscriber,
                               struct lshm_message *ret_messages, size_t count);
int lshm_subscriber_release_batch(struct lshm_subscriber *subscriber,
                                  struct lshm_message *messages, size_t count);
/*
 * 1 when there is something to take (or an error to be told), 0 when there was nothing in time,
 * −LSHM_EGONE when the broker is gone, so that nobody can say whether the publishers live: at once
 * when it reads none, else when nothing came for timeout_ns of the context, over all calls.
 * −EINVAL when it would have to wait with LSHM_SUBSCRIBER_NEVER_WAITS.
 */
int lshm_subscriber_wait(struct lshm_subscriber *subscriber, int64_t timeout_ns);
/*
 * The same for several subscribers of one context: the place in the array, counted from 1, of one
 * that has something; they take turns. 0 and errors as above; −LSHM_EFOREIGN: of two contexts.
 */
int lshm_subscriber_wait_any(struct lshm_subscriber *const *subscribers, size_t count,
                             int64_t timeout_ns);

struct lshm_subscriber_statistics {
    uint64_t size;
    uint64_t publishers;     /* rings it reads now */
    uint64_t taken;
    uint64_t lost;           /* sum over all causes; taken + lost + ahead is what was published
                                since it joined, and of the history it asked for */
    uint64_t corrupt;        /* of those: descriptors that were not valid */
    uint64_t ahead;          /* published and not yet taken */
    uint64_t out;            /* samples not released */
    uint64_t holds;          /* of those, kept as holds */
    uint64_t oldest_publisher; /* the oldest sample out: its publisher and seq */
    uint64_t oldest_seq;
    uint64_t lost_start;     /* of lost: given up before it could join */
    uint64_t lost_lapped;    /* written over before it came (latest) */
    uint64_t lost_limit;     /* beyond its queue limit */
    uint64_t lost_evicted;   /* between its eviction and its new start */
};
int lshm_subscriber_get_statistics(struct lshm_subscriber *subscriber,
                                   struct lshm_subscriber_statistics *statistics);

#ifdef __cplusplus
}
#endif

#endif
