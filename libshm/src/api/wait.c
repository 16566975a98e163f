/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeping, and the pollable descriptor.
 *
 * MODEL  One way to wait: drain the channels that signalled, store the next odd generation in the
 *        sleep word, fence, look at everything again, block. On return the next even generation is
 *        stored. Whoever publishes or releases looks at the sleep word after a fence of its own and
 *        sends one byte through its channel, once per generation (design.md, section 4, Sleep and
 *        wake; the store-buffering shape needs the fence on both sides).
 *
 *        The sleep word is one per process. Of several sleeping threads one leads: it alone arms,
 *        looks for all of them, blocks in epoll and drains; the others wait for the end of its
 *        round on a private condition. One that comes while the leader blocks kicks it, so that its
 *        port is looked at behind the fence too.
 *
 * INVARIANTS  I11 nobody waits for a peer without a time-out  I12 drain, flag, fence, look, block
 */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "api/internal.h"

/* Inside a trust domain a sleeper looks for itself this often, whatever its peers do. */
#define LOOK_AGAIN_NS UINT64_C(1000000000)
/* For that long after a join, this often: a publisher that had no reader that may block spares its
 * flush's fence until it sees the roster's new version, and its last store may be late. */
#define JOINED_LOOK_NS UINT64_C(10000000)
/* Without a broker, this often: who has no channel to us yet gets none any more. */
#define ALONE_LOOK_NS UINT64_C(10000000)
/* While a push waits for descriptors, this often. */
#define STARVED_LOOK_NS UINT64_C(100000000)
#define EVENTS 16

static int epoll_add(const struct lshm_context *context, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data = { .fd = fd } };

    return epoll_ctl(context->epoll, EPOLL_CTL_ADD, fd, &event) != 0 ? -errno : 0;
}

int lsi_wait_open(struct lshm_context *context)
{
    pthread_condattr_t attributes;
    int r;

    pthread_mutex_init(&context->sleep_lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&context->sleep_changed, &attributes);
    pthread_condattr_destroy(&attributes);
    context->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (context->epoll < 0)
        return -errno;
    context->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (context->event < 0)
        return -errno;
    r = epoll_add(context, context->event);
    return r < 0 ? r : epoll_add(context, context->socket);
}

void lsi_wait_watch_control(struct lshm_context *context, bool watch)
{
    struct epoll_event event = {
        .events = watch ? EPOLLIN : 0,
        .data = { .fd = context->socket },
    };

    epoll_ctl(context->epoll, EPOLL_CTL_MOD, context->socket, &event);
}

static void channels_close(struct lshm_context *context)
{
    for (uint32_t i = 0; i < context->channel_count; i++)
        close(context->channels[i]);
    free(context->channels);
}

void lsi_wait_close(struct lshm_context *context)
{
    if (context->epoll < 0)
        return;
    channels_close(context);
    close(context->epoll);
    if (context->event >= 0)
        close(context->event);
    if (context->timer >= 0)
        close(context->timer);
    pthread_mutex_destroy(&context->sleep_lock);
    pthread_cond_destroy(&context->sleep_changed);
}

int lsi_wait_add_channel(struct lshm_context *context, int fd)
{
    int *channels;
    int r;

    pthread_mutex_lock(&context->sleep_lock);
    channels = reallocarray(context->channels, context->channel_count + 1, sizeof *channels);
    r = channels == NULL ? -ENOMEM : epoll_add(context, fd);
    if (channels != NULL)
        context->channels = channels;
    if (r == 0)
        context->channels[context->channel_count++] = fd;
    pthread_mutex_unlock(&context->sleep_lock);
    return r;
}

/* The other end is closed. With sleep_lock held. */
static void channel_drop(struct lshm_context *context, int fd)
{
    for (uint32_t i = 0; i < context->channel_count; i++) {
        if (context->channels[i] != fd)
            continue;
        context->channels[i] = context->channels[--context->channel_count];
        epoll_ctl(context->epoll, EPOLL_CTL_DEL, fd, NULL);
        close(fd);
        return;
    }
}

/* Empties what epoll reported. True: the control socket has something. With sleep_lock held. */
static bool drain_events(struct lshm_context *context, const struct epoll_event *events, int count)
{
    char bytes[64];
    bool control = false;

    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;
        ssize_t n;

        if (fd == context->socket) {
            control = true;
        } else if (fd == context->event || fd == context->timer) {
            uint64_t value;

            n = read(fd, &value, sizeof value);
        } else {
            do
                n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
            while (n > 0);
            if (n == 0 || errno != EAGAIN)
                channel_drop(context, fd);
        }
    }
    return control;
}

void lsi_wait_kick(struct lshm_context *context)
{
    uint64_t one = 1;

    if (context->event >= 0 && write(context->event, &one, sizeof one) < 0)
        return; /* full: readable already */
}

/* With sleep_lock held. */
static void store_sleep(struct lshm_context *context, bool asleep)
{
    uint64_t next = lsi_counter_next(context->sleep_generation);

    if ((next & 1) != asleep)
        next++;
    context->sleep_generation = next;
    /* RLX: ordered by the fence when it says asleep; awake early is only a spared signal. */
    lsi_store_relaxed(&context->control0->sleep, next);
    /* DIE S1: asleep for ever: peers send one byte into a socket that the kernel has closed. */
    if (!asleep)
        return;
    /* ORD S1 full -> W1, W2, L3: either our look after this sees what was published (or the room
     * that was made, when a publisher waits), or the other side sees that we sleep; without it both
     * may miss. */
    lsi_fence_full();
}

static uint64_t look_again_ns(const struct lshm_context *context)
{
    /* RLX: see where it is set. */
    uint64_t joined = lsi_load_relaxed(&context->joined_ns);

    /* RLX: set once, by whoever reads the control socket's end; that wakes us, too. */
    if (LSI_UNLIKELY(lsi_load_relaxed(&context->broken) != 0))
        return ALONE_LOOK_NS;
    if (LSI_UNLIKELY(lsi_control_is_starved(context)))
        return STARVED_LOOK_NS;
    return lsi_now_ns() - joined < LOOK_AGAIN_NS ? JOINED_LOOK_NS : LOOK_AGAIN_NS;
}

static int block(struct lshm_context *context, struct epoll_event *events, uint64_t deadline_ns)
{
    uint64_t now = lsi_now_ns();
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    uint64_t again = look_again_ns(context);
    struct timespec timeout;
    int n;

    if (left > again)
        left = again;
    timeout.tv_sec = (time_t)(left / 1000000000u);
    timeout.tv_nsec = (long)(left % 1000000000u);
    n = epoll_pwait2(context->epoll, events, EVENTS, &timeout, NULL);
    if (n < 0 && errno == ENOSYS) {
        int ms = (int)((left + 999999) / 1000000);

        n = epoll_wait(context->epoll, events, EVENTS, ms);
    }
    return n < 0 ? 0 : n;
}

/* Asks every sleeping thread's port. With sleep_lock held, behind the fence. */
static bool look_for_all(struct lshm_context *context)
{
    struct lsi_waiter *waiter;
    bool any = false;

    LIST_FOREACH(waiter, &context->waiters, entry) {
        waiter->covered = true;
        if (waiter->found)
            continue; /* on its way out, for which it needs the lock that only blocking gives up */
        waiter->found = waiter->ready(waiter->port);
        any |= waiter->found;
    }
    return any;
}

static void read_control(struct lshm_context *context)
{
    lsi_control_poll(context);
    if (context->broken)
        epoll_ctl(context->epoll, EPOLL_CTL_DEL, context->socket, NULL);
}

/* One round; sleep_lock is held on entry and exit.
 * DIE none: a counter; the sleep word is store_sleep()'s. */
static void lead(struct lshm_context *context, uint64_t deadline_ns)
{
    struct epoll_event events[EVENTS];
    struct lsi_waiter *waiter;
    bool control;
    int n;

    context->leading = true;
    store_sleep(context, true);
    /* RLX: a counter for inspectors. */
    lsi_store_relaxed(&context->control0->sleeps, context->control0->sleeps + 1);
    if (!look_for_all(context)) {
        pthread_mutex_unlock(&context->sleep_lock);
        n = block(context, events, deadline_ns);
        pthread_mutex_lock(&context->sleep_lock);
        control = drain_events(context, events, n);
        if (control) {
            pthread_mutex_unlock(&context->sleep_lock);
            read_control(context);
            pthread_mutex_lock(&context->sleep_lock);
        }
    }
    store_sleep(context, false);
    LIST_FOREACH(waiter, &context->waiters, entry)
        waiter->covered = false;
    context->leading = false;
    context->rounds++;
    pthread_cond_broadcast(&context->sleep_changed);
}

/* Waits for the end of the leader's round or the deadline. */
static void follow(struct lshm_context *context, struct lsi_waiter *self, uint64_t deadline_ns)
{
    uint64_t round = context->rounds;
    struct timespec until = {
        .tv_sec = (time_t)(deadline_ns / 1000000000u),
        .tv_nsec = (long)(deadline_ns % 1000000000u),
    };

    if (!self->covered)
        lsi_wait_kick(context);
    while (context->leading && context->rounds == round) {
        if (deadline_ns == UINT64_MAX)
            pthread_cond_wait(&context->sleep_changed, &context->sleep_lock);
        else if (pthread_cond_timedwait(&context->sleep_changed, &context->sleep_lock, &until) != 0)
            return;
    }
}

/* When the port's time without a broker is over; counted from when it was noticed. */
static uint64_t alone_until(const struct lshm_context *context, struct lsi_alone *alone)
{
    /* RLX: set once. */
    if (LSI_LIKELY(lsi_load_relaxed(&context->broken) == 0))
        return UINT64_MAX;
    if (alone->since_ns == 0)
        alone->since_ns = lsi_now_ns();
    return alone->since_ns + (uint64_t)context->timeout_ns;
}

int lsi_wait_alone(const struct lshm_context *context, struct lsi_alone *alone, uint64_t moved)
{
    if (alone->moved != moved)
        *alone = (struct lsi_alone){ .moved = moved };
    return lsi_now_ns() < alone_until(context, alone) ? 0 : -LSHM_EGONE;
}

int lsi_wait(struct lshm_context *context, lsi_ready_function *ready, void *port,
             struct lsi_alone *alone, uint64_t deadline_ns)
{
    struct lsi_waiter self = { .ready = ready, .port = port };
    uint64_t alone_end, end, now;

    if (ready(port))
        return 1;
    pthread_mutex_lock(&context->sleep_lock);
    LIST_INSERT_HEAD(&context->waiters, &self, entry);
    do {
        alone_end = alone_until(context, alone);
        end = alone_end < deadline_ns ? alone_end : deadline_ns;
        if (context->leading)
            follow(context, &self, end);
        else
            lead(context, end);
        if (!self.found)
            self.found = ready(port);
        now = lsi_now_ns();
    } while (!self.found && now < end);
    LIST_REMOVE(&self, entry);
    pthread_mutex_unlock(&context->sleep_lock);
    if (self.found)
        return 1;
    return now < alone_end ? 0 : -LSHM_EGONE;
}

LSI_API int lshm_context_get_fd(struct lshm_context *context)
{
    int r = 0;

    if (context == NULL || context->magic != LSI_CONTEXT_MAGIC)
        return -LSHM_ECLOSED;
    if (lsi_context_forked(context))
        return -ECHILD;
    pthread_mutex_lock(&context->sleep_lock);
    if (!context->polled) {
        context->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        r = context->timer < 0 ? -errno : epoll_add(context, context->timer);
        context->polled = r == 0;
    }
    pthread_mutex_unlock(&context->sleep_lock);
    return r < 0 ? r : context->epoll;
}

/* With control held. */
static bool any_port_ready(struct lshm_context *context)
{
    struct lshm_publisher *publisher;
    struct lshm_subscriber *subscriber;

    LIST_FOREACH(subscriber, &context->subscribers, entry)
        if (!subscriber->closing && lsi_subscriber_ready(subscriber))
            return true;
    LIST_FOREACH(publisher, &context->publishers, entry)
        if (publisher->wants_room && lsi_publisher_ready(publisher))
            return true;
    return false;
}

void lsi_wait_arm(struct lshm_context *context)
{
    struct itimerspec again = { 0 };
    struct epoll_event events[EVENTS];
    bool control = false;
    int n;

    if (!context->polled)
        return;
    pthread_mutex_lock(&context->control);
    pthread_mutex_lock(&context->sleep_lock);
    n = epoll_wait(context->epoll, events, EVENTS, 0);
    if (n > 0)
        control = drain_events(context, events, n);
    if (n > 0 || !(context->sleep_generation & 1)) {
        uint64_t ns = look_again_ns(context);

        again.it_value.tv_sec = (time_t)(ns / 1000000000u);
        again.it_value.tv_nsec = (long)(ns % 1000000000u);
        store_sleep(context, true);
        timerfd_settime(context->timer, 0, &again, NULL);
    }
    pthread_mutex_unlock(&context->sleep_lock);
    if (control)
        lsi_control_drain(context);
    if (context->broken)
        epoll_ctl(context->epoll, EPOLL_CTL_DEL, context->socket, NULL);
    if (any_port_ready(context))
        lsi_wait_kick(context);
    pthread_mutex_unlock(&context->control);
}
