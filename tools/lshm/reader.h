/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a descriptor until it ends or the command is told to stop. */
#ifndef LSHM_TOOL_READER_H
#define LSHM_TOOL_READER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct reader {
    int fd;
    char *buffer; /* for lines; chunks are read straight into the caller's memory */
    size_t buffer_bytes;
    size_t start;
    size_t end;
};

/* line_bytes: the longest line, 0 when only chunks are read. 0 or −ENOMEM. */
int reader_init(struct reader *reader, int fd, size_t line_bytes);
void reader_free(struct reader *reader);
/* From the beginning again; −ESPIPE when fd cannot. */
int reader_rewind(struct reader *reader);
/* Up to `bytes`, less only at the end or when told to stop: count, 0 at the end, −errno. */
ssize_t reader_chunk(struct reader *reader, void *to, size_t bytes);
/* The next line without its newline: 1, 0 at the end, −E2BIG, −errno. Valid until the next call. */
int reader_line(struct reader *reader, const char **ret_line, size_t *ret_bytes);

#endif
