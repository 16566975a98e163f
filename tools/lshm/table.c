/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define CELL_BYTES_MAX 512
#define COLUMNS_MAX 16

void table_init(struct table *table, const char *const *headers, size_t columns)
{
    *table = (struct table){ .headers = headers, .columns = columns };
}

void table_cell(struct table *table, const char *format, ...)
{
    char text[CELL_BYTES_MAX], safe[TEXT_SAFE_BYTES(CELL_BYTES_MAX)];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (table->count == table->capacity) {
        size_t capacity = table->capacity * 2 + 64;
        char **cells = reallocarray(table->cells, capacity, sizeof *cells);

        if (cells == NULL) {
            table->failed = true;
            return;
        }
        table->cells = cells;
        table->capacity = capacity;
    }
    table->cells[table->count] = strdup(text_safe(safe, sizeof safe, text));
    table->failed |= table->cells[table->count] == NULL;
    table->count++;
}

static const char *title(const struct table *table, size_t column)
{
    const char *header = table->headers[column];

    return header[0] == '>' ? header + 1 : header;
}

static void print_cell(const struct table *table, size_t column, const char *text, int width)
{
    bool last = column + 1 == table->columns;

    if (table->headers[column][0] == '>')
        printf("%*s", width, text);
    else
        printf("%-*s", last ? 0 : width, text);
    fputs(last ? "\n" : "  ", stdout);
}

static void print(const struct table *table, bool colour)
{
    int widths[COLUMNS_MAX] = { 0 };

    for (size_t c = 0; c < table->columns; c++)
        widths[c] = (int)strlen(title(table, c));
    for (size_t i = 0; i < table->count; i++) {
        int width = (int)strlen(table->cells[i]);

        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    fputs(colour ? "\033[1m" : "", stdout);
    for (size_t c = 0; c < table->columns; c++)
        print_cell(table, c, title(table, c), widths[c]);
    fputs(colour ? "\033[0m" : "", stdout);
    for (size_t i = 0; i < table->count; i++)
        print_cell(table, i % table->columns, table->cells[i], widths[i % table->columns]);
}

void table_end(struct table *table, bool colour)
{
    if (!table->failed && table->columns <= COLUMNS_MAX)
        print(table, colour);
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
}
