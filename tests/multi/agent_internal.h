/* SPDX-License-Identifier: Apache-2.0 */
/* What the child's files of an agent share. */
#ifndef AGENT_INTERNAL_H
#define AGENT_INTERNAL_H

#include <stdbool.h>
#include <time.h>

#include "agent.h"
#include "agent_ledger.h"

#define AGENT_RINGS 256
#define AGENT_KEPT_MAX 512
#define AGENT_MS INT64_C(1000000)

struct agent_writer {
    struct lshm_publisher *port;
    uint64_t key;
    uint64_t sent;
    int record; /* in the ledger */
};

/* What a subscriber has seen of one publisher. */
struct agent_ring {
    uint64_t publisher;
    uint64_t key;
    uint64_t next;
};

struct agent_reader {
    struct lshm_subscriber *port;
    bool loses;
    bool excused; /* it was told of something that it does not get, or not now */
    bool hears_all; /* also this process */
    uint64_t history;
    char topic[128];
    struct agent_ledger_note before, after; /* it was opened */
    uint64_t gaps; /* messages missed between two of one publisher */
    struct agent_ring rings[AGENT_RINGS];
    size_t ring_count;
    struct lshm_message kept[AGENT_KEPT_MAX];
    size_t kept_count;
};

extern struct lshm_context *agent_context;

/* The answer to the command. */
void agent_ok(long long number);
void agent_no(int error, const char *text);
/* For calls that say no more than a number: with what the library says of that. */
void agent_refused(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
void agent_say_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The value of "name=" in the command; the number, and what it names, at this place behind it. */
long long agent_option(const char *arguments, const char *name, long long otherwise);
uint64_t agent_number(const char *arguments, int place);
struct agent_writer *agent_writer_at(const char *arguments, int place);
struct agent_reader *agent_reader_at(const char *arguments, int place);
uint64_t agent_now_ns(clockid_t clock);

/*
 * What it took, lost and has ahead is what the ledger says was published since it was opened; the
 * causes of its losses make up all of them. Else false, and the answer says what is wrong.
 */
bool agent_reader_adds_up(struct agent_reader *reader);

/* Commands of agent_stream.c. */
void agent_send(const char *arguments);
void agent_take(const char *arguments);
void agent_pass(const char *arguments);
void agent_grab(const char *arguments);
void agent_drop(const char *arguments);
void agent_intact(const char *arguments);
void agent_none(const char *arguments);
void agent_ping(const char *arguments);
void agent_pong(const char *arguments);
void agent_gaps(const char *arguments);
void agent_slow(const char *arguments);
void agent_poll(const char *arguments);

#endif
