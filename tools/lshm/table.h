/* SPDX-License-Identifier: Apache-2.0 */
/* A table on stdout: columns as wide as their widest cell, two blanks apart. */
#ifndef LSHM_TOOL_TABLE_H
#define LSHM_TOOL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct table {
    const char *const *headers; /* a '>' in front: aligned to the right */
    size_t columns;
    char **cells;
    size_t count;
    size_t capacity;
    bool failed; /* out of memory: it prints nothing */
};

void table_init(struct table *table, const char *const *headers, size_t columns);
/* The next cell, row by row; its text is copied and made safe. */
void table_cell(struct table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Prints and frees. */
void table_end(struct table *table, bool colour);

#endif
