/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for messages: of one subscriber, or of the first of several that has some. A set of one
 * and a set of many are the same: spin, sleep (wait.c), look at each.
 */
#include "api/forward.h"
#include "api/internal.h"

struct set {
    struct lshm_subscriber *const *items;
    size_t count;
    size_t first; /* where a look begins: behind the one that was found last */
    struct lshm_subscriber *last; /* whose time without a broker began last */
};

/* The index of one that has something; count: none has. */
static size_t find(const struct set *set, bool look(struct lshm_subscriber *))
{
    for (size_t i = 0; i < set->count; i++) {
        size_t index = (set->first + i) % set->count;

        if (look(set->items[index]))
            return index;
    }
    return set->count;
}

static bool is_ready(struct lshm_subscriber *subscriber)
{
    return lsi_subscriber_ready(subscriber);
}

static bool any_is_ready(void *port)
{
    const struct set *set = port;

    return find(set, is_ready) < set->count;
}

int lsi_subscriber_wait_alone(struct lshm_subscriber *subscriber)
{
    struct lsi_account sum = subscriber->before;

    for (uint32_t i = 0; i < subscriber->links_count; i++)
        if (subscriber->links[i] != NULL)
            lsi_account_add(&sum, &subscriber->links[i]->account);
    return lsi_wait_alone(subscriber->context, &subscriber->alone,
                          sum.taken + lsi_account_lost(&sum));
}

/* Whether a wait that brings nothing has an end: 0 or −LSHM_EGONE. It has when that of the one has
 * that got something last; set->last says which. */
static int all_wait_alone(struct set *set)
{
    int result = 0;

    set->last = set->items[0];
    /* RLX: set once. */
    if (LSI_LIKELY(lsi_load_relaxed(&set->last->context->broken) == 0))
        return 0;
    for (size_t i = 0; i < set->count; i++) {
        int r = lsi_subscriber_wait_alone(set->items[i]);

        if (i == 0 || set->items[i]->alone.since_ns > set->last->alone.since_ns) {
            set->last = set->items[i];
            result = r;
        }
    }
    return result;
}

static bool none_has_rings(const struct set *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i]->links_count > 0)
            return false;
    return true;
}

static uint64_t spin_of(const struct set *set)
{
    uint64_t longest = 0;

    for (size_t i = 0; i < set->count; i++)
        if (set->items[i]->spin_ns > longest)
            longest = set->items[i]->spin_ns;
    return longest;
}

/* As lshm_subscriber_wait_any. */
static int wait_for_message(struct set *set, int64_t timeout_ns)
{
    struct lshm_subscriber *subscriber = set->items[0];
    uint64_t now = lsi_now_ns();
    uint64_t deadline = timeout_ns < 0 ? UINT64_MAX : now + (uint64_t)timeout_ns;
    uint64_t spin_end = now + spin_of(set);
    size_t index;

    while (now < spin_end && now < deadline) {
        if ((index = find(set, lsi_subscriber_has)) < set->count)
            return (int)index + 1;
        lsi_cpu_relax();
        now = lsi_now_ns();
    }
    do {
        int woken;

        for (size_t i = 0; i < set->count; i++)
            lsi_forward_sleep(set->items[i]);
        woken = lsi_wait(subscriber->context, any_is_ready, set, &set->last->alone,
                             deadline);

        if ((index = find(set, lsi_subscriber_has)) < set->count)
            return (int)index + 1;
        if (woken < 0)
            return woken;
        /* RLX: set once. */
        if (lsi_load_relaxed(&subscriber->context->broken) != 0 && none_has_rings(set))
            return -LSHM_EGONE;
    } while (lsi_now_ns() < deadline);
    return 0;
}

static int wait_in(struct set *set, int64_t timeout_ns)
{
    size_t index = find(set, lsi_subscriber_has);
    int r;

    if (index < set->count)
        return (int)index + 1;
    r = all_wait_alone(set);
    if (r < 0 || timeout_ns == 0)
        return r;
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i]->flags & LSHM_SUBSCRIBER_NEVER_WAITS)
            return -EINVAL;
    return wait_for_message(set, timeout_ns);
}

LSI_API int lshm_subscriber_wait(struct lshm_subscriber *subscriber, int64_t timeout_ns)
{
    struct set set = { .items = &subscriber, .count = 1 };
    int r;

    LSI_ENTER(subscriber, LSI_SUBSCRIBER_MAGIC);
    if (!lsi_port_enter(&subscriber->busy))
        return -LSHM_EBUSY;
    r = wait_in(&set, timeout_ns);
    lsi_port_leave(&subscriber->busy);
    return r;
}

static void leave_all(const struct set *set, size_t count)
{
    for (size_t i = 0; i < count; i++)
        lsi_port_leave(&set->items[i]->busy);
}

LSI_API int lshm_subscriber_wait_any(struct lshm_subscriber *const *subscribers, size_t count,
                                     int64_t timeout_ns)
{
    struct set set = { .items = subscribers, .count = count };
    int r;

    if (count == 0 || count > INT32_MAX)
        return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        LSI_ENTER(subscribers[i], LSI_SUBSCRIBER_MAGIC);
        if (subscribers[i]->context != subscribers[0]->context)
            return -LSHM_EFOREIGN;
    }
    for (size_t i = 0; i < count; i++) {
        if (!lsi_port_enter(&subscribers[i]->busy)) {
            leave_all(&set, i);
            return -LSHM_EBUSY;
        }
    }
    set.first = subscribers[0]->next_in_set;
    r = wait_in(&set, timeout_ns);
    if (r > 0)
        subscribers[0]->next_in_set = (uint32_t)r % (uint32_t)count;
    leave_all(&set, count);
    return r;
}
