/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread between the library and a real broker that passes every packet on, and puts another
 * memory file, or another word, in the place of one that the broker sent.
 *
 * It serves one session after the other, in the process that uses the library, so that the broker
 * sees the right one at the other end.
 */
#ifndef RELAY_H
#define RELAY_H

#include <pthread.h>

#include "support.h"

/* What is wrong with the file; its size and contents are those of the real one. */
enum relay_kind {
    RELAY_HONEST,
    RELAY_NO_SEALS,
    RELAY_SIZE_SEALED, /* for readers: somebody may still map it writable */
    RELAY_SHORT,       /* sealed, but a page less */
    RELAY_OTHER_MODE,  /* sealed, but read-write for a reader, read-only for a writer */
    RELAY_WORD,        /* nothing; a word of the packet is another */
};

struct relay {
    char path[LST_PATH_MAX];
    const char *broker_path;
    int listener;
    int stop; /* an eventfd */
    pthread_t thread;
    /* Set while no packet is awaited. */
    uint32_t kind;
    uint32_t type;  /* of the packets */
    uint32_t index; /* of the descriptor; RELAY_WORD: offset of the word */
    uint32_t value; /* RELAY_WORD */
    /* The thread's. */
    uint32_t forged;
    int32_t refusal; /* the last status that was not 0 in a MAPPED */
    uint32_t board_lines, control_lines; /* of the last session's first parts */
};

void relay_start(struct relay *relay, const char *dir, const char *broker_path);
void relay_stop(struct relay *relay);
void relay_forge(struct relay *relay, enum relay_kind kind, uint32_t type, uint32_t index);
void relay_forge_word(struct relay *relay, uint32_t type, size_t offset, uint32_t value);

#endif
