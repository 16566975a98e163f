/* SPDX-License-Identifier: Apache-2.0 */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

int reader_init(struct reader *reader, int fd, size_t line_bytes)
{
    *reader = (struct reader){ .fd = fd };
    if (line_bytes == 0)
        return 0;
    reader->buffer_bytes = line_bytes + 1;
    reader->buffer = malloc(reader->buffer_bytes);
    return reader->buffer == NULL ? -ENOMEM : 0;
}

void reader_free(struct reader *reader)
{
    free(reader->buffer);
}

int reader_rewind(struct reader *reader)
{
    reader->start = reader->end = 0;
    return lseek(reader->fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

/* One read(); 0 at the end and when told to stop. */
static ssize_t read_some(struct reader *reader, void *to, size_t bytes)
{
    ssize_t n;
    int r = stop_poll_in(reader->fd);

    if (r <= 0)
        return r;
    do
        n = read(reader->fd, to, bytes);
    while (n < 0 && errno == EINTR && !stop_wanted());
    return n < 0 ? (errno == EINTR ? 0 : -errno) : n;
}

ssize_t reader_chunk(struct reader *reader, void *to, size_t bytes)
{
    size_t got = 0;

    while (got < bytes) {
        ssize_t n = read_some(reader, (char *)to + got, bytes - got);

        if (n < 0)
            return n;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

int reader_line(struct reader *reader, const char **ret_line, size_t *ret_bytes)
{
    size_t looked = 0;

    for (;;) {
        char *line = reader->buffer + reader->start;
        size_t bytes = reader->end - reader->start;
        char *newline = memchr(line + looked, '\n', bytes - looked);
        ssize_t n;

        if (newline != NULL) {
            *ret_line = line;
            *ret_bytes = (size_t)(newline - line);
            reader->start += *ret_bytes + 1;
            return 1;
        }
        looked = bytes;
        memmove(reader->buffer, line, bytes);
        reader->start = 0;
        reader->end = bytes;
        if (bytes == reader->buffer_bytes)
            return -E2BIG;
        n = read_some(reader, reader->buffer + bytes, reader->buffer_bytes - bytes);
        if (n < 0)
            return (int)n;
        reader->end += (size_t)n;
        if (n == 0) {
            reader->start = reader->end; /* a last line without a newline */
            *ret_line = reader->buffer;
            *ret_bytes = bytes;
            return bytes > 0 && !stop_wanted();
        }
    }
}
