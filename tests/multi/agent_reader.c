/* SPDX-License-Identifier: Apache-2.0 */
/* The sum that a reader's statistics must have. */
#include "agent_internal.h"

#define LAST_TAKES 1000

/* Takes what is there, if that is little: so that it has heard of all publishers. */
static bool has_nothing_ahead(struct agent_reader *reader)
{
    struct lshm_subscriber_statistics s = { .size = sizeof s };
    struct lshm_message m;
    int r = lshm_subscriber_get_statistics(reader->port, &s) < 0 || s.ahead != 0;

    for (int i = 0; i < LAST_TAKES && r == 0; i++) {
        r = lshm_subscriber_take(reader->port, &m);
        if (r == 0)
            return true;
        if (r == 1)
            r = lshm_subscriber_release(reader->port, &m);
    }
    return false;
}

/* What the later note says of a record of the earlier one; 0 when that did not have it yet. */
static uint64_t find(const struct agent_ledger_note *note, const uint64_t *counts, uint32_t record)
{
    for (uint32_t i = 0; i < note->count; i++)
        if (note->record[i] == record)
            return counts[i];
    return 0;
}

/* The least and the most that it can have got of all records. */
static void range(const struct agent_reader *reader, const struct agent_ledger_note *now,
                  const struct agent_ledger_note *then, uint64_t *ret_least, uint64_t *ret_most)
{
    *ret_least = *ret_most = 0;
    for (uint32_t i = 0; i < now->count; i++) {
        uint64_t joined = find(&reader->after, reader->after.announced, now->record[i]);

        *ret_least += now->done[i] > joined ? now->done[i] - joined : 0;
    }
    for (uint32_t i = 0; i < then->count; i++) {
        uint64_t joined = find(&reader->before, reader->before.done, then->record[i]);

        joined -= joined < reader->history ? joined : reader->history;
        *ret_most += then->announced[i] - joined;
    }
}

bool agent_reader_adds_up(struct agent_reader *reader)
{
    struct lshm_subscriber_statistics s = { .size = sizeof s };
    struct agent_ledger_note now, then;
    uint64_t sum, least, most;
    bool knows_all = has_nothing_ahead(reader);

    agent_ledger_note(reader->topic, &now);
    if (lshm_subscriber_get_statistics(reader->port, &s) < 0)
        return true;
    agent_ledger_note(reader->topic, &then);
    sum = s.taken + s.lost + s.ahead;
    knows_all = (knows_all || s.publishers >= then.count) && reader->hears_all && !reader->excused;
    range(reader, &now, &then, &least, &most);
    if (s.lost != s.lost_start + s.lost_lapped + s.lost_limit + s.lost_evicted + s.corrupt) {
        agent_say_wrong("lost %llu, but not by its causes", (unsigned long long)s.lost);
        return false;
    }
    if (now.exact && then.exact && (sum > most || (knows_all && sum < least))) {
        agent_say_wrong("taken %llu, lost %llu, ahead %llu; published %llu to %llu",
                        (unsigned long long)s.taken, (unsigned long long)s.lost,
                        (unsigned long long)s.ahead, (unsigned long long)least,
                        (unsigned long long)most);
        return false;
    }
    return true;
}
