/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client without the client library: the bare control protocol, for tests of the broker.
 *
 * Pushes are taken in whenever an answer is awaited, counted, mapped and acknowledged, unless the
 * test says otherwise. Calls return ≥ 0 or what the broker refused with.
 */
#ifndef RAW_H
#define RAW_H

#include "support.h"

#include <lshm/error.h>

#include "ctl/codec.h"

#define RAW_PARTS 16
#define RAW_RINGS 64
#define RAW_TIMEOUT_MS 5000

struct raw_map {
    void *base;
    uint64_t bytes;
    uint64_t region;
};

struct raw_ring {
    struct lsi_ctl_push_ring push;
    struct raw_map map;
};

struct raw_client {
    int fd;
    int channel; /* the first that came, 0: none yet */
    uint64_t number;
    uint64_t next_id;
    uint64_t keeper_pid;
    struct raw_map public;
    struct raw_map board[RAW_PARTS];
    struct raw_map control[RAW_PARTS];
    struct raw_ring rings[RAW_RINGS];
    struct raw_map memory[1 + LSI_CTL_SEGMENTS]; /* of the last publisher opened */
    uint32_t ring_count, peer_count, gone_count, look_count, worker_count, channel_count;
    uint32_t segment_count, segment_gone_count;
    uint32_t control_parts_waiting; /* pushed and not mapped, with is_lazy */
    int is_lazy;                    /* maps no control part that is pushed */
    int is_silent;                  /* acknowledges nothing */
    uint64_t push_number;           /* the highest seen */
    struct lsi_ctl_packet packet;   /* the last answer */
};

struct raw_broker {
    pid_t pid;
    char socket_path[LST_PATH_MAX];
};

/* What a broker to come does before it becomes one; NULL: nothing. */
extern void (*raw_before_exec)(void);
/* brokerd with more options (NULL-terminated): started and listening, or its exit code and text. */
void raw_broker_start(struct raw_broker *broker, const char *dir, const char *const options[]);
int raw_broker_run(const char *const options[], char *text, size_t text_bytes);
/* SIGTERM and its exit code. */
int raw_broker_stop(struct raw_broker *broker);
pid_t raw_worker_pid(struct raw_client *inspector);

int raw_connect(struct raw_client *client, const char *path);
int raw_attach(struct raw_client *client, const char *path, uint64_t flags);
void raw_close(struct raw_client *client);
/* Sends with a new id. */
int raw_send(struct raw_client *client, void *message, size_t bytes);
/* Waits for the answer to `id`; its status. −ETIME. */
int raw_answer(struct raw_client *client, uint64_t id, int timeout_ms);
int raw_call(struct raw_client *client, void *message, size_t bytes);
/* Takes in what there is, until *count reaches `value`. */
int raw_wait(struct raw_client *client, const uint32_t *count, uint32_t value);
/* One turn: 1 a push was taken, 0 nothing came in time, 2 an answer, or a negative number. */
int raw_turn(struct raw_client *client, int timeout_ms);

struct lsi_ctl_publisher_open raw_publisher_wish(const char *topic);
/* Number of the port in *ret_number. */
int raw_publisher_open(struct raw_client *client, struct lsi_ctl_publisher_open wish,
                       uint64_t *ret_number, struct lshm_ref *ret_record);
/* The first half: its memory is mapped, MAPPED is not said. The request's id, or its refusal. */
int64_t raw_publisher_begin(struct raw_client *client, struct lsi_ctl_publisher_open wish);
int raw_say_mapped(struct raw_client *client, uint64_t id);
int raw_subscriber_open(struct raw_client *client, const char *topic, uint32_t flags,
                        uint64_t *ret_number);
int raw_port_close(struct raw_client *client, uint32_t type, uint64_t number);
int raw_link(struct raw_client *client, uint32_t type, uint64_t subscriber, uint64_t link);

void *raw_line(const struct raw_map *parts, struct lshm_ref ref);
const struct lshm_roster_row *raw_row(const struct raw_client *client, struct lshm_ref record,
                                      uint32_t row);

#endif
