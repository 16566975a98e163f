/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a system whose API is not C provides to shim.c. None of these returns on failure: they
 * print why and end the process.
 */
#ifndef SHIM_H
#define SHIM_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shim_options {
    const char *name;      /* of this run: a topic */
    const char *directory; /* for the system's files, or "" */
    uint32_t size;         /* of a message */
    uint32_t slots;        /* as many messages in flight, if the system allows */
    uint32_t publishers, subscribers;
    uint32_t number;       /* of this process among those of the run */
    bool block;            /* receive sleeps */
    bool lossy;            /* a slow subscriber loses messages */
};

typedef void (*shim_message)(void *context, const void *data);

/* Once in each process, before all else. */
void shim_start(const struct shim_options *options);

void *shim_sender_open(const struct shim_options *options);
/* Waits until all subscribers get what is sent. */
void shim_sender_ready(void *sender);
/* Memory for one message; waits for room. */
void *shim_loan(void *sender);
void shim_publish(void *sender);
void shim_sender_close(void *sender);

void *shim_receiver_open(const struct shim_options *options);
/* Calls on_message for 1 ... most messages; 0 if there is none and `wait` is false. */
uint32_t shim_receive(void *receiver, uint32_t most, bool wait, shim_message on_message,
                      void *context);
void shim_give_back(void *receiver);
void shim_receiver_close(void *receiver);

/* Before the ends are forked: NULL, or why the cell can't be measured. */
const char *shim_refuses(const struct shim_options *options, bool fan, uint32_t batch);
/* The system's daemon takes over this process. */
bool shim_has_daemon(void);
void shim_daemon(const char *directory);

#ifdef __cplusplus
}
#endif

#endif
