/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_ledger.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOT_COUNTED UINT64_MAX

struct record {
    char topic[128];
    uint64_t broker; /* of which broker: one that was started again knows nothing of the others */
    uint64_t announced;
    uint64_t done;
};

static int ledger = -1;
static uint64_t broker;

void agent_ledger_open(const char *socket)
{
    const char *slash = strrchr(socket, '/');
    char path[256];
    struct stat status;

    if (ledger >= 0)
        (void)close(ledger);
    (void)snprintf(path, sizeof path, "%.*s/" AGENT_LEDGER, slash ? (int)(slash - socket) : 0,
                   socket);
    ledger = open(path, O_RDWR | O_CLOEXEC);
    if (stat(socket, &status) == 0)
        broker = (uint64_t)status.st_ctim.tv_sec * 1000000000u + (uint64_t)status.st_ctim.tv_nsec;
}

int agent_ledger_add(const char *topic)
{
    struct record record = { .broker = broker };
    struct stat status;
    int place = -1;

    (void)snprintf(record.topic, sizeof record.topic, "%s", topic);
    if (ledger < 0 || flock(ledger, LOCK_EX) != 0)
        return -1;
    if (fstat(ledger, &status) == 0 &&
        pwrite(ledger, &record, sizeof record, status.st_size) == (ssize_t)sizeof record)
        place = (int)((size_t)status.st_size / sizeof record);
    (void)flock(ledger, LOCK_UN);
    return place;
}

static void write_at(int record, size_t offset, uint64_t value)
{
    off_t at = (off_t)((size_t)record * sizeof(struct record) + offset);

    if (ledger >= 0 && record >= 0 && pwrite(ledger, &value, sizeof value, at) < 0)
        perror("# ledger");
}

void agent_ledger_announce(int record, uint64_t count)
{
    write_at(record, offsetof(struct record, announced), count);
}

void agent_ledger_done(int record, uint64_t count)
{
    write_at(record, offsetof(struct record, announced), count);
    write_at(record, offsetof(struct record, done), count);
}

void agent_ledger_spoil(const char *topic)
{
    agent_ledger_announce(agent_ledger_add(topic), NOT_COUNTED);
}

void agent_ledger_note(const char *topic, struct agent_ledger_note *ret_note)
{
    struct record record;
    uint32_t place = 0;

    ret_note->count = 0;
    ret_note->exact = ledger >= 0;
    for (; ledger >= 0 && pread(ledger, &record, sizeof record,
                                (off_t)(place * sizeof record)) == (ssize_t)sizeof record;
         place++) {
        if (record.broker != broker || strcmp(record.topic, topic) != 0)
            continue;
        if (record.announced == NOT_COUNTED || ret_note->count == AGENT_LEDGER_RECORDS) {
            ret_note->exact = false;
            return;
        }
        ret_note->record[ret_note->count] = place;
        ret_note->announced[ret_note->count] = record.announced;
        ret_note->done[ret_note->count++] = record.done;
    }
}
