/* SPDX-License-Identifier: Apache-2.0 */
#include "evict.h"

#include <string.h>

#include "client.h"
#include "ctl/error.h"
#include "link.h"
#include "log.h"
#include "os/barrier.h"
#include "publisher.h"
#include "roster.h"
#include "subscriber.h"

/* Places that a subscriber has lost at one publisher, and keeps samples of. */
#define EVICTED_MAX 2

static int gates(const struct link *link)
{
    return record_state(&link->record->record) == LINK_LIVE && !link->record->is_evicted &&
           !(link->subscriber->record->flags & LSHM_READER_LOSSY);
}

void evict_redo(struct broker *broker, struct link *link)
{
    roster_evict_reader(broker, link);
    if (link->subscriber->client->record->has_barrier)
        (void)lsi_barrier_all(); /* evict() has seen it succeed */
    roster_evict_row(broker, link);
}

void evict(struct broker *broker, struct client *client, const struct lsi_ctl_evict *request)
{
    struct link *link = link_find(broker, request->link);
    int status;

    if (!link || link->publisher->client != client || !gates(link) ||
        publisher_number(broker, link->publisher) != request->publisher)
        return;
    status = link->subscriber->client->record->has_barrier ? lsi_barrier_all() : 0;
    if (status < 0) {
        log_info("can't evict a subscriber: membarrier: %s; allow it in brokerd's sandbox",
                 lsi_error_text(-status));
        return;
    }
    /* If we die before: the publisher asks again. */
    link->record->is_evicted = 1;
    evict_redo(broker, link);
}

/* Not when it has a place already, and not while more than one that it lost keeps slots: or who
 * never releases anything would take all of them, a window at a time. It asks again when it has
 * left one. */
static int may_rejoin(const struct link *evicted)
{
    const struct link *link;
    int kept = 0;

    LIST_FOREACH (link, &evicted->subscriber->links, of_subscriber) {
        if (link->publisher != evicted->publisher ||
            record_state(&link->record->record) == LINK_LEFT)
            continue;
        if (!link->record->is_evicted)
            return 0;
        kept++;
    }
    return kept < EVICTED_MAX;
}

void evict_rejoin(struct broker *broker, struct client *client, const struct lsi_ctl_link *request)
{
    struct link *link = link_find(broker, request->link);

    if (!link || link->subscriber->client != client || !link->record->is_evicted ||
        !publisher_is_linkable(link->publisher) || !may_rejoin(link) ||
        !subscriber_wants(link->subscriber, link->publisher))
        return;
    if (link_make_again(broker, link->publisher, link->subscriber) < 0)
        log_info("no room for a subscriber to rejoin: see `lshm status` for the limits");
}
