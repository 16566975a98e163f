/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this directory offer each other. The structs are in objects.h.
 */
#ifndef LSI_INTERNAL_H
#define LSI_INTERNAL_H

#include "api/objects.h"

/* error.c */
void lsi_error_set(struct lshm_error *reterr_error, int number, const char *format, ...)
    LSI_PRINTF(3, 4);

/* context.c */
static inline bool lsi_context_forked(const struct lshm_context *context)
{
    return *context->alive == 0;
}
/* Entry of every public call on a port. */
#define LSI_ENTER(port, port_magic)                                                                \
    do {                                                                                           \
        if (LSI_UNLIKELY((port) == NULL || (port)->magic != (port_magic)))                         \
            return -LSHM_ECLOSED;                                                                  \
        if (LSI_UNLIKELY(lsi_context_forked((port)->context)))                                     \
            return -ECHILD;                                                                        \
    } while (0)
/* Debug builds notice a port that two threads use at once. */
#ifdef NDEBUG
static inline bool lsi_port_enter(uint32_t *busy)
{
    (void)busy;
    return true;
}
static inline void lsi_port_leave(uint32_t *busy)
{
    (void)busy;
}
#else
static inline bool lsi_port_enter(uint32_t *busy)
{
    /* ORD T1 acq_rel -> T2: the one who enters next sees what was done inside. */
    return lsi_exchange_acq_rel(busy, 1) == 0;
}
/* DIE none: private memory. */
static inline void lsi_port_leave(uint32_t *busy)
{
    /* ORD T2 release -> T1: as above. */
    lsi_store_release(busy, 0);
}
#endif
/* Which thread this is: cheaper than a call, and never that of another one alive. */
extern __thread char lsi_thread_mark __attribute__((tls_model("initial-exec")));
static inline uintptr_t lsi_thread(void)
{
    return (uintptr_t)&lsi_thread_mark;
}
/* Of the option: the greatest ends after every deadline, and added to a time it is still one. */
static inline uint64_t lsi_spin_ns(uint64_t spin_ns)
{
    return spin_ns < INT64_MAX ? spin_ns : INT64_MAX;
}
uint64_t lsi_now_ns(void);
uint64_t lsi_now_coarse_ns(void);
/* A line run of a part, or NULL when it is not inside (or the part not mapped). */
void *lsi_part_at(const struct lsi_part *parts, struct lshm_ref ref, uint64_t bytes);
/* A copy of an options struct of another size: missing fields are zero, unknown ones must be. */
int lsi_options_copy(void *copy, size_t bytes, const void *options);
static inline unsigned lsi_context_map_flags(const struct lshm_context *context)
{
    return LSI_MAP_NO_FORK | (context->flags & LSHM_CONTEXT_DUMP ? 0 : LSI_MAP_NO_DUMP);
}
/* Fills, maps and heads a part of the own control region. */
int lsi_context_map_control(struct lshm_context *context, int fd, uint64_t region, uint32_t part,
                            uint64_t bytes);

/* What ports get that do not ask, and what is not a limit of the layout (abi.h). */
#define LSI_PAYLOAD_BYTES_USUAL 4096u
#define LSI_ENTRIES_USUAL 1024u
#define LSI_ENTRY_BYTES_USUAL 128u
#define LSI_LOANS_USUAL 64u
#define LSI_LOANS_MAX 65536u
#define LSI_WINDOW_USUAL 64u
#define LSI_HOLDS_USUAL 8u

/* For tokens: one of 65,535 in this process. */
uint32_t lsi_new_port(void);

/* subscriber.c: what both kinds of port begin with; statistics are filled up to their size */
int lsi_name_check(const char *topic, struct lshm_error *reterr_error);
int lsi_port_check(struct lshm_context *context, const char *topic, void *copy, size_t bytes,
                   const void *options, struct lshm_error *reterr_error);
int lsi_statistics_copy(void *to, const void *from, size_t bytes);

/* control.c: all with context->control held */
/*
 * Sends `request` (type set, id filled in here) and waits for its reply: the reply's status or 0.
 * What the broker says goes to reterr_error. The caller owns the reply's descriptors, also on
 * failure.
 */
int lsi_control_request(struct lshm_context *context, struct lsi_ctl_header *request, size_t bytes,
                        struct lsi_ctl_packet *reply, struct lshm_error *reterr_error);
/* A further reply to the same request. */
int lsi_control_await(struct lshm_context *context, struct lsi_ctl_header *request, size_t bytes,
                      struct lsi_ctl_packet *reply, struct lshm_error *reterr_error);
/* The id of a new request. */
static inline uint64_t lsi_control_next_id(struct lshm_context *context)
{
    context->last_request = lsi_counter_next(context->last_request);
    return context->last_request;
}
/* Sends without an answer; 0 or a negative error. */
int lsi_control_send(struct lshm_context *context, struct lsi_ctl_header *message, size_t bytes);
/*
 * Reads what the broker has pushed. A push for whose memory no descriptors are left stays in the
 * socket, and so does what is behind it: the subscribers say −EMFILE, once, and it is tried again
 * a few times a second, and by every request.
 */
void lsi_control_drain(struct lshm_context *context);
/* Any thread: such a push waits, and it is too early to try again. */
bool lsi_control_is_starved(const struct lshm_context *context);

/* Whether the broker has pushed something that was not read yet; one load. */
static inline bool lsi_control_has_news(const struct lshm_context *context)
{
    /* RLX: a hint to read the socket, which brings the news itself. */
    return lsi_load_relaxed(&context->board0->pushed) !=
               lsi_load_relaxed(&context->pushes_seen) && !lsi_control_is_starved(context);
}
/* Takes the lock and drains. */
void lsi_control_poll(struct lshm_context *context);

/* push.c: with context->control held; takes over the descriptors. */
void lsi_push_handle(struct lshm_context *context, struct lsi_ctl_packet *push);

/* peer.c */
struct lsi_peer *lsi_peer_get(struct lshm_context *context, uint64_t client, bool create);
void lsi_peer_forget(struct lshm_context *context, uint64_t client);
void lsi_peers_clear(struct lshm_context *context);
/* Wakes `client` through its channel; false: there is none yet, it was asked for. */
bool lsi_peer_wake(struct lshm_context *context, uint64_t client);
/* As above, but a sleep generation at most once. */
void lsi_peer_signal(struct lshm_context *context, uint64_t client, uint64_t generation);
extern const struct lsi_roster_operations lsi_publisher_roster_operations;

/* wait.c */
int lsi_wait_open(struct lshm_context *context);
void lsi_wait_close(struct lshm_context *context);
int lsi_wait_add_channel(struct lshm_context *context, int fd);
/* Whether packets in the control socket end a wait; its hang-up always does. */
void lsi_wait_watch_control(struct lshm_context *context, bool watch);
/*
 * Without a broker nobody can say that a peer died: a port's waits end when all of them together
 * took a request's time in which nothing moved. 0 or −LSHM_EGONE; `moved` is any number that
 * changes when the port gets something done.
 */
int lsi_wait_alone(const struct lshm_context *context, struct lsi_alone *alone, uint64_t moved);
/*
 * Sleeps until ready() says so or the deadline (CLOCK_MONOTONIC, UINT64_MAX: none): 1, 0, or
 * −LSHM_EGONE when the time without a broker is over first. Looks once, however late it is.
 */
int lsi_wait(struct lshm_context *context, lsi_ready_function *ready, void *port,
             struct lsi_alone *alone, uint64_t deadline_ns);
/* Wakes this process's own sleepers. */
void lsi_wait_kick(struct lshm_context *context);
/*
 * A port had nothing to give: makes the pollable descriptor, if it was asked for, tell when any
 * port has something. A process that polls it uses the context's ports from one thread.
 */
void lsi_wait_arm(struct lshm_context *context);

/* link.c: with context->control held where noted */
int lsi_link_create(struct lshm_context *context, struct lshm_subscriber *subscriber,
                    const struct lsi_ctl_packet *push, struct lsi_link **ret_link);
/* A ring that cannot be mapped is left at once, or its publisher would wait for us for ever. */
void lsi_link_refuse(struct lshm_context *context, struct lshm_subscriber *subscriber,
                     const struct lsi_ctl_packet *push, int error);
void lsi_link_destroy(struct lsi_link *link);
/* With control held: the broker has confirmed a leave; a new worker may not know of those open. */
void lsi_link_left(struct lshm_context *context, uint64_t request);
void lsi_links_leave_again(struct lshm_context *context);
/* With control held: the one that was being opened has this number; what came for another goes. */
void lsi_links_keep(struct lshm_subscriber *subscriber, uint64_t number);
/* With control held: whether the subscriber has this link, or it is on its way. */
bool lsi_subscriber_knows(const struct lshm_subscriber *subscriber, uint64_t link);
/* Takes in rings that arrived since. */
void lsi_subscriber_adopt(struct lshm_subscriber *subscriber);
/* Leaves rings that are dead, drained and without samples. */
void lsi_subscriber_prune(struct lshm_subscriber *subscriber);
/* Looks at the board once: dead, final tail, evicted. False: nothing more can be taken from it. */
bool lsi_link_look(struct lsi_link *link);
/* Signals the publisher if it waits for what was just released. */
void lsi_link_notify(struct lsi_link *link);

/* segment.c: with context->control held but for lsi_link_fetch */
/* A SEGMENT push. */
void lsi_segment_take(struct lshm_context *context, struct lsi_ctl_packet *push);
/* Takes in what arrived; by the port's thread. */
void lsi_subscriber_adopt_segments(struct lshm_subscriber *subscriber);
/* A descriptor names a segment that is not mapped: 1, now it is; 0, it is on its way;
 * −LSHM_ECORRUPT, there is none. */
int lsi_link_fetch(struct lsi_link *link, uint32_t number);
void lsi_link_drop_arrivals(struct lsi_link *link);

/* release.c */
void lsi_subscriber_drain_released(struct lshm_subscriber *subscriber);

/* take.c */
/* As take would, up to the look; _ready only looks. */
bool lsi_subscriber_has(struct lshm_subscriber *subscriber);
bool lsi_subscriber_ready(void *subscriber);

/* subscriber_wait.c: a wait or a polled take brought nothing: 0, or, when that has been so for too
 * long without a broker, −LSHM_EGONE. */
int lsi_subscriber_wait_alone(struct lshm_subscriber *subscriber);

/* evict.c */
/* The board says that the link has lost its place. */
void lsi_link_evict(struct lsi_link *link);
/* Evicted: nothing of its window is in use any more, so the publisher may have its slots. */
void lsi_link_close_if_empty(struct lsi_link *link);
/* The successor of an evicted link of the same publisher has joined, or will start here at least:
 * NULL when there is none. */
struct lsi_link *lsi_link_predecessor(const struct lsi_link *link);
void lsi_link_replaced(struct lsi_link *evicted, uint64_t start);
/* Evicted links whose publishers have ended. */
void lsi_subscriber_end_evictions(struct lshm_subscriber *subscriber);
/* −LSHM_EEVICTED, once; asks for new places. */
int lsi_subscriber_tell_evictions(struct lshm_subscriber *subscriber);
/* With control held: asks again, a new worker may not know. */
void lsi_subscribers_rejoin(struct lshm_context *context);
/*
 * A publisher has no room to publish `gain` more: asks the broker to evict who has gated for longer
 * than its stall limit. Returns when to look again (CLOCK_MONOTONIC), UINT64_MAX: never.
 */
uint64_t lsi_publisher_watch_stalls(struct lshm_publisher *publisher, uint64_t gain);

/* account.c */
/*
 * Lossy, with room for `count` messages: announces as many and passes what is gone. How many may be
 * taken, 0: none now, −LSHM_EHELD.
 */
int64_t lsi_link_announce(struct lsi_link *link, uint32_t count);
/* Lossy, and the message at the position was written over: 1, it is passed or is to be tried again;
 * 0, the ring says that it is still there; −LSHM_EHELD. */
int lsi_link_pass_lapped(struct lsi_link *link);
/* Published and not yet taken. */
uint64_t lsi_link_ahead(const struct lsi_link *link);
/* Shows the counters to inspectors: after a take that lost nothing, and after any other.
 * DIE none: they are nobody else's. */
static inline void lsi_link_count_taken(struct lsi_link *link)
{
    struct lshm_cell *cell = link->window.cell;

    /* RLX: only this process writes them; an inspector takes them as of some instant. */
    lsi_store_relaxed(&cell->position, link->window.position);
    lsi_store_relaxed(&cell->taken, link->account.taken);
}
void lsi_link_count(struct lsi_link *link);
/* latency.c: somebody watches; these were just taken (none, if it is an error). Returns count, so
 * that nothing needs to be kept over the call. */
int lsi_link_count_latencies(struct lsi_link *link, const struct lshm_message *messages,
                             int count);
uint64_t lsi_account_lost(const struct lsi_account *account);
void lsi_account_add(struct lsi_account *sum, const struct lsi_account *account);

/* map.c */
/* Maps and fills memory that the broker made for it. pages, LSI_CTL_PAGES_…: of a segment, as the
 * broker says, then as it is; NULL: the ring. */
int lsi_publisher_map(struct lshm_publisher *publisher, int fd, uint64_t bytes, uint32_t *pages,
                      struct lsi_part *ret_part);
/* Memory of a publisher, read-only. */
int lsi_reader_map(const struct lshm_subscriber *subscriber, int fd, uint64_t bytes,
                   struct lsi_part *ret_part);

/* grow.c */
/* A segment with slots for this length; 0, or why not: −LSHM_ENOSLOT, it does not grow;
 * −LSHM_EQUOTA and other refusals. */
int lsi_publisher_grow(struct lshm_publisher *publisher, uint64_t length);
/* Now and then: what nobody used for a while. */
void lsi_publisher_give_back_idle(struct lshm_publisher *publisher);
/* With control held: the broker lets go of it when its readers have. */
void lsi_segment_remove(struct lshm_context *context, uint64_t publisher, uint64_t region);

/* loan.c */
bool lsi_publisher_ready(void *publisher);
void lsi_publisher_return_loans(struct lshm_publisher *publisher);

#endif
