/* SPDX-License-Identifier: Apache-2.0 */
#include "reaper.h"

#include "client.h"
#include "peer.h"
#include "publisher.h"
#include "session.h"
#include "subscriber.h"

void reaper_bury(struct broker *broker, struct client *client)
{
    struct subscriber *subscriber;
    struct publisher *publisher;

    record_set_state(&client->record->record, CLIENT_DEAD);
    session_hang_up(broker, client);
    while ((subscriber = LIST_FIRST(&client->subscribers)))
        subscriber_bury(broker, subscriber);
    while ((publisher = LIST_FIRST(&client->publishers))) {
        const uint64_t number = publisher_number(broker, publisher);

        publisher_end(broker, publisher);
        if (publisher_find(broker, number) == publisher) { /* readers are still draining it */
            LIST_REMOVE(publisher, of_client);
            publisher->client = NULL;
        }
    }
    peer_forget(broker, client);
    client_free(broker, client);
}
