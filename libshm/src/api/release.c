/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Releasing.
 *
 * A release by the thread that takes goes straight to the window. One by any other thread goes on
 * the subscription's list: each sample has a word of its own for that (pending), so nothing is
 * allocated, and a sample can be on the list only once. The list is drained at the subscription's
 * next call.
 */
#include "api/forward.h"
#include "api/internal.h"
#include "api/token.h"

/* A node of the list: link and sample, plus 1 so that 0 is the end. */
#define NODE(link, sample) ((((uint64_t)(link) << 16) | (sample)) + 1)
#define NODE_LINK(node) ((uint32_t)(((node) - 1) >> 16))
#define NODE_SAMPLE(node) ((uint32_t)(((node) - 1) & 0xffffu))

/* The model is said again: a definition without it has the default one, which calls the loader. */
__thread char lsi_thread_mark __attribute__((tls_model("initial-exec")));

/* The link that a token names: 0, −LSHM_ESTALE, −LSHM_EFOREIGN. */
static int find_link(const struct lshm_subscriber *subscriber, uint64_t token,
                     struct lsi_link **ret_link)
{
    uint32_t index = lsi_token_link(token);

    if (lsi_token_port(token) != subscriber->port)
        return -LSHM_EFOREIGN;
    if (index >= subscriber->links_count || subscriber->links[index] == NULL)
        return -LSHM_ESTALE;
    *ret_link = subscriber->links[index];
    return 0;
}

/* Whether it is out; *ret_sample is its index. */
static inline bool is_out(const struct lsi_link *link, const struct lshm_message *m,
                          uint32_t *ret_sample)
{
    uint32_t sample = lsi_token_sample(m->token);
    const struct lsi_sample *s;

    if (link->publisher != m->publisher || sample >= link->window.window + link->window.holds)
        return false;
    s = &link->window.samples[sample];
    *ret_sample = sample;
    /* RLX: the taker's thread may release it, and use it again, at this moment. What is out does
     * not change; that something else was taken for it is found by the drain. */
    return (lsi_load_relaxed(&s->generation) & 0xffffu) == lsi_token_generation(m->token) &&
           lsi_load_relaxed(&s->seq) == m->seq; /* the generation goes up at the release */
}

/* The sample that a token names, checked: 0, −LSHM_ESTALE, −LSHM_EFOREIGN. */
static int find_sample(const struct lshm_subscriber *subscriber, const struct lshm_message *m,
                       struct lsi_link **ret_link, uint32_t *ret_sample)
{
    int r = find_link(subscriber, m->token, ret_link);

    return r < 0 ? r : is_out(*ret_link, m, ret_sample) ? 0 : -LSHM_ESTALE;
}

void lsi_link_settle(struct lsi_link *link, bool dropped)
{
    struct lsi_window *window = &link->window;
    bool all_released = window->position - window->cursor == window->released_ahead;
    bool moved = lsi_window_settle(window, all_released ? 0 : lsi_now_coarse_ns());

    if (LSI_UNLIKELY(link->evicted))
        lsi_link_close_if_empty(link);
    else if (moved || dropped)
        lsi_link_notify(link);
    if (LSI_UNLIKELY(link->dead || link->drained) && !lsi_link_look(link) &&
        lsi_window_out(&link->window) == 0)
        link->subscriber->drained = 1; /* the next take or wait leaves the ring */
}

/* As is_out, for the thread that takes: not one that another thread has released. */
static inline bool is_own(struct lshm_subscriber *subscriber, const struct lsi_link *link,
                          const struct lshm_message *m, uint32_t *ret_sample)
{
    if (LSI_UNLIKELY(!is_out(link, m, ret_sample)))
        return false;
    /* RLX: who put it there has said so to nobody yet; the drain brings the order. */
    if (LSI_LIKELY(lsi_load_relaxed(&link->window.samples[*ret_sample].pending) == 0))
        return true;
    lsi_subscriber_drain_released(subscriber);
    return is_out(link, m, ret_sample);
}

int lsi_subscriber_find(struct lshm_subscriber *subscriber, const struct lshm_message *m,
                        struct lsi_link **ret_link, uint32_t *ret_sample)
{
    int r = find_link(subscriber, m->token, ret_link);

    return r < 0 ? r : is_own(subscriber, *ret_link, m, ret_sample) ? 0 : -LSHM_ESTALE;
}

/* Messages of the only ring in the order in which they were taken: how many. */
LSI_HOT size_t release_oldest(struct lshm_subscriber *subscriber, const struct lshm_message *m,
                              size_t count)
{
    struct lsi_link *link = subscriber->only;
    uint32_t sample;
    size_t done;

    if (LSI_UNLIKELY(link == NULL))
        return 0;
    for (done = 0; done < count; done++)
        if (LSI_UNLIKELY(!lsi_token_is_of_link(m[done].token, link->token) ||
                         !is_own(subscriber, link, &m[done], &sample) ||
                         !lsi_window_release_oldest(&link->window, sample)))
            break;
    if (LSI_LIKELY(done > 0)) {
        lsi_cell_set_cursor(link->window.cell, link->window.cursor);
        if (link->may_block)
            lsi_link_notify(link);
    }
    return done;
}

/* Up to the first that is not valid: how many, or the error when that was the first. */
static int release_here(struct lshm_subscriber *subscriber, struct lshm_message *m, size_t count)
{
    struct lsi_link *link = NULL, *next = NULL;
    uint64_t which = 0; /* of the tokens of this link */
    uint32_t sample;
    bool dropped = false;
    size_t done;
    int r = 0;

    for (done = 0; done < count; done++) {
        if (LSI_UNLIKELY(link == NULL || m[done].token >> 32 != which)) {
            r = find_link(subscriber, m[done].token, &next);
            if (r < 0)
                break;
            if (link != NULL)
                lsi_link_settle(link, dropped);
            link = next;
            dropped = false;
            which = m[done].token >> 32;
        }
        if (LSI_UNLIKELY(!is_own(subscriber, link, &m[done], &sample))) {
            r = -LSHM_ESTALE;
            break;
        }
        dropped |= lsi_link_release(link, sample);
    }
    if (link != NULL)
        lsi_link_settle(link, dropped);
    return done > 0 ? (int)done : r;
}

/* From another thread than the one that takes.
 * DIE none: private memory; the owner, which would release it, dies too. */
static int release_there(struct lshm_subscriber *subscriber, struct lshm_message *m)
{
    struct lsi_link *link;
    uint32_t sample;
    uint64_t node, head, none = 0;
    int r;

    pthread_mutex_lock(&subscriber->release_lock); /* the link does not go meanwhile */
    r = find_sample(subscriber, m, &link, &sample);
    /* ORD L5 acquire <- L4 */
    if (r == 0 && !lsi_cas_acquire(&link->window.samples[sample].pending, &none, UINT64_MAX))
        r = -LSHM_ESTALE;
    if (r == 0 && find_sample(subscriber, m, &link, &sample) < 0) { /* drained in between */
        lsi_store_relaxed(&link->window.samples[sample].pending, 0); /* RLX: our own claim */
        r = -LSHM_ESTALE;
    }
    if (r < 0) {
        pthread_mutex_unlock(&subscriber->release_lock);
        return r;
    }
    node = NODE(lsi_token_link(m->token), sample);
    link->window.samples[sample].pending_generation = (uint16_t)lsi_token_generation(m->token);
    /* RLX: the CAS below decides. */
    head = lsi_load_relaxed(&subscriber->released);
    do
        lsi_store_relaxed(&link->window.samples[sample].pending, head + 1); /* RLX: before L1 */
    /* ORD L1 release -> L2: this thread's reads of the payload, and the word above, come before the
     * drain; without it the publisher may overwrite what is still being read here. */
    while (!lsi_cas_release(&subscriber->released, &head, node));
    pthread_mutex_unlock(&subscriber->release_lock);
    /* ORD L3 full -> S1: as a publisher's flush: the owner may be asleep. */
    lsi_fence_full();
    /* RLX: after L3. */
    if (lsi_load_relaxed(&subscriber->context->control0->sleep) & 1)
        lsi_wait_kick(subscriber->context);
    return 0;
}

/* DIE none: private memory; window and cursor have their own. */
void lsi_subscriber_drain_released(struct lshm_subscriber *subscriber)
{
    /* ORD L2 acq_rel <- L1 */
    uint64_t node = lsi_exchange_acq_rel(&subscriber->released, 0);

    while (node != 0) {
        struct lsi_link *link = subscriber->links[NODE_LINK(node)];
        uint32_t sample = NODE_SAMPLE(node);
        struct lsi_sample *s = &link->window.samples[sample];
        bool dropped = false;
        /* Else its owner released it at the same moment. */
        bool is_out = (s->generation & 0xffffu) == s->pending_generation;

        /* RLX: after L2. */
        node = lsi_load_relaxed(&s->pending) - 1;
        if (is_out)
            dropped = lsi_link_release(link, sample);
        /* ORD L4 release -> L5: who can put it on the list again finds its next generation. */
        lsi_store_release(&s->pending, 0);
        if (is_out)
            lsi_link_settle(link, dropped);
    }
}

LSI_API int lshm_subscriber_release_batch(struct lshm_subscriber *subscriber,
                                          struct lshm_message *messages, size_t count)
{
    size_t done = 0;
    int r = 0;

    LSI_ENTER(subscriber, LSI_SUBSCRIBER_MAGIC);
    if (count > INT32_MAX)
        count = INT32_MAX;
    /* RLX: the owner's own store, or another thread's, which is not us. */
    if (LSI_LIKELY(lsi_load_relaxed(&subscriber->owner) == lsi_thread())) {
        done = release_oldest(subscriber, messages, count);
        if (LSI_UNLIKELY(done < count))
            r = release_here(subscriber, messages + done, count - done);
        return r > 0 ? (int)done + r : done > 0 ? (int)done : r;
    }
    while (done < count && (r = release_there(subscriber, &messages[done])) == 0)
        done++;
    return done > 0 ? (int)done : r;
}

LSI_API int lshm_subscriber_release(struct lshm_subscriber *subscriber,
                                    struct lshm_message *message)
{
    int r;

    LSI_ENTER(subscriber, LSI_SUBSCRIBER_MAGIC);
    /* RLX: as above. */
    if (LSI_UNLIKELY(lsi_load_relaxed(&subscriber->owner) != lsi_thread()))
        return release_there(subscriber, message);
    if (LSI_LIKELY(release_oldest(subscriber, message, 1) == 1))
        return 0;
    r = release_here(subscriber, message, 1);
    return r < 0 ? r : 0;
}
