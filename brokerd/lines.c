/* SPDX-License-Identifier: Apache-2.0 */
#include "lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64u

static int is_used(const struct part *part, uint32_t line)
{
    return (int)((part->used[line / WORD_BITS] >> (line % WORD_BITS)) & 1u);
}

static void set_used(struct part *part, uint32_t line, int used)
{
    const uint64_t bit = UINT64_C(1) << (line % WORD_BITS);

    if (is_used(part, line) == used)
        return;
    if (used) {
        part->used[line / WORD_BITS] |= bit;
        part->lines_free--;
    } else {
        part->used[line / WORD_BITS] &= ~bit;
        part->lines_free++;
    }
}

/* Parts may come in any order after a change of worker: the array has holes then. */
int lines_add_part(struct parts *parts, struct region *region, uint32_t reserved)
{
    const uint32_t number = region->record->part;
    struct part *part;
    uint32_t i;

    if (number >= parts->count) {
        struct part *items = realloc(parts->items, (number + 1) * sizeof(*items));

        if (!items)
            return -ENOMEM;
        memset(&items[parts->count], 0, (number + 1 - parts->count) * sizeof(*items));
        parts->items = items;
        parts->count = number + 1;
    }
    part = &parts->items[number];
    if (part->used)
        return 0;
    part->lines = (uint32_t)(region->record->bytes / LSHM_LINE_BYTES);
    part->used = calloc(part->lines / WORD_BITS + 1, sizeof(part->used[0]));
    if (!part->used)
        return -ENOMEM;
    part->region = region;
    part->lines_free = part->lines;
    for (i = 0; i < reserved; i++)
        set_used(part, i, 1);
    return 0;
}

static int find_run(const struct part *part, uint32_t run, uint32_t *ret_line)
{
    uint32_t line, length = 0;

    for (line = 0; line < part->lines; line++) {
        if (line % WORD_BITS == 0 && part->used[line / WORD_BITS] == UINT64_MAX) {
            length = 0;
            line += WORD_BITS - 1;
            continue;
        }
        length = is_used(part, line) ? 0 : length + 1;
        if (length == run) {
            *ret_line = line + 1 - run;
            return 1;
        }
    }
    return 0;
}

int lines_take(struct parts *parts, uint32_t run, struct lshm_ref *ret_ref)
{
    uint32_t number, line = 0;

    for (number = 0; number < parts->count; number++) {
        struct part *part = &parts->items[number];

        if (!part->used || part->lines_free < run || !find_run(part, run, &line))
            continue;
        ret_ref->part = number;
        ret_ref->line = line;
        lines_mark(parts, *ret_ref, run);
        return 0;
    }
    return -EAGAIN;
}

static void set_run(struct parts *parts, struct lshm_ref ref, uint32_t run, int used)
{
    struct part *part;
    uint32_t i;

    if (ref.part >= parts->count || !parts->items[ref.part].used)
        return;
    part = &parts->items[ref.part];
    for (i = 0; i < run && ref.line + i < part->lines; i++)
        set_used(part, ref.line + i, used);
}

void lines_mark(struct parts *parts, struct lshm_ref ref, uint32_t run)
{
    set_run(parts, ref, run, 1);
}

void lines_give(struct parts *parts, struct lshm_ref ref, uint32_t run)
{
    set_run(parts, ref, run, 0);
}

uint32_t lines_count_free(const struct parts *parts)
{
    uint32_t number, count = 0;

    for (number = 0; number < parts->count; number++)
        count += parts->items[number].lines_free;
    return count;
}

uint32_t lines_count(const struct parts *parts)
{
    uint32_t number, count = 0;

    for (number = 0; number < parts->count; number++)
        count += parts->items[number].lines;
    return count;
}

void *lines_at(const struct parts *parts, struct lshm_ref ref)
{
    unsigned char *base = parts->items[ref.part].region->base;

    return base + (size_t)ref.line * LSHM_LINE_BYTES;
}

void lines_close(struct parts *parts)
{
    uint32_t number;

    for (number = 0; number < parts->count; number++)
        free(parts->items[number].used);
    free(parts->items);
    parts->items = NULL;
    parts->count = 0;
}
