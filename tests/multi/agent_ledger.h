/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all agents of a test have published, written down beside the library: so that each reader's
 * taken + lost + ahead can be compared with it when it leaves, in every test.
 *
 * The ledger is a file beside the broker's socket, with a record for each publisher. Its writer
 * says what it is about to publish, and then what it has published: between the two it may be
 * killed. A reader notes all records before and after it subscribes; messages published meanwhile
 * may be its own or not. Without such races what it is compared with is one number, not a range.
 */
#ifndef AGENT_LEDGER_H
#define AGENT_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#define AGENT_LEDGER "ledger"
#define AGENT_LEDGER_RECORDS 256

/* Of the records of one topic; `exact` unless there are too many, or messages that none counts. */
struct agent_ledger_note {
    uint32_t record[AGENT_LEDGER_RECORDS];
    uint64_t announced[AGENT_LEDGER_RECORDS];
    uint64_t done[AGENT_LEDGER_RECORDS];
    uint32_t count;
    bool exact;
};

/* The ledger beside this socket; without one nothing is written and nothing compared. */
void agent_ledger_open(const char *socket);
/* A record for a publisher of the topic, or -1. */
int agent_ledger_add(const char *topic);
/* It is about to have published so many; it has, and no more than that. */
void agent_ledger_announce(int record, uint64_t count);
void agent_ledger_done(int record, uint64_t count);
/* From now on somebody publishes on the topic who counts nothing. */
void agent_ledger_spoil(const char *topic);
void agent_ledger_note(const char *topic, struct agent_ledger_note *ret_note);

#endif
