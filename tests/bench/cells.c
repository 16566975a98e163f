/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured. Sizes are multiples of 64. */
#include <string.h>

#include "bench.h"

#define KIB 1024u
#define MIB (1024u * 1024u)
#define RT BENCH_ROUNDTRIP
#define OW BENCH_ONEWAY
#define SPIN BENCH_SPIN
#define BLOCK BENCH_BLOCK
#define ALL BENCH_TOUCH_ALL
#define HEAD BENCH_TOUCH_HEAD
#define CELL(kind_, size_, batch_, mode_, touch_, quick_, target_, ratio_max_)                     \
    {.kind = kind_, .size = size_, .batch = batch_, .mode = mode_, .touch = touch_,                \
     .quick = quick_, .target = target_, .ratio_max = ratio_max_}

const struct bench_cell bench_cells[] = {
    /* kind, size, batch, mode, touch, quick, target, ratio_max */
    {.kind = RT, .size = 64, .batch = 1, .mode = SPIN, .touch = ALL, .quick = true, .target = 'a',
     .ratio_max = 1.3, .p99_ratio_max = 1.5},
    CELL(RT, 4 * KIB, 1, SPIN, ALL, false, 0, 0),
    CELL(RT, 4 * KIB, 1, SPIN, HEAD, false, 0, 0),
    CELL(RT, 64 * KIB, 1, SPIN, ALL, false, 0, 0),
    CELL(RT, 64 * KIB, 1, SPIN, HEAD, true, 'a', 2.0),
    CELL(RT, 1 * MIB, 1, SPIN, ALL, false, 0, 0),
    CELL(RT, 1 * MIB, 1, SPIN, HEAD, false, 0, 0),
    CELL(RT, 4 * MIB, 1, SPIN, ALL, false, 0, 0),
    CELL(RT, 4 * MIB, 1, SPIN, HEAD, false, 0, 0),
    CELL(RT, 64, 1, BLOCK, ALL, true, 'a', 1.15),
    CELL(RT, 64 * KIB, 1, BLOCK, HEAD, false, 0, 0),
    CELL(RT, 1 * MIB, 1, BLOCK, ALL, false, 0, 0),
    CELL(OW, 64, 1, SPIN, ALL, true, 'b', 2.0),
    CELL(OW, 64, 32, SPIN, ALL, true, 'b', 1.6),
    CELL(OW, 4 * KIB, 1, SPIN, ALL, false, 'c', 1 / 0.95),
    CELL(OW, 4 * KIB, 32, SPIN, ALL, false, 0, 0),
    CELL(OW, 4 * KIB, 1, SPIN, HEAD, false, 0, 0),
    CELL(OW, 64 * KIB, 1, SPIN, ALL, false, 'c', 1 / 0.95),
    CELL(OW, 64 * KIB, 1, SPIN, HEAD, false, 0, 0),
    CELL(OW, 64 * KIB, 32, SPIN, HEAD, false, 0, 0),
    CELL(OW, 1 * MIB, 1, SPIN, ALL, true, 'c', 1 / 0.95),
    CELL(OW, 4 * MIB, 1, SPIN, ALL, false, 0, 0),
    CELL(OW, 64, 1, BLOCK, ALL, true, 0, 0),
    CELL(OW, 64, 32, BLOCK, ALL, false, 0, 0),
    CELL(OW, 4 * KIB, 1, BLOCK, ALL, false, 0, 0),
    CELL(OW, 64 * KIB, 1, BLOCK, ALL, false, 0, 0),
    CELL(OW, 1 * MIB, 1, BLOCK, ALL, false, 0, 0),
    CELL(OW, 4 * MIB, 1, BLOCK, ALL, false, 0, 0),
};
const size_t bench_cell_count = sizeof(bench_cells) / sizeof(bench_cells[0]);

uint32_t bench_slot_count(const struct bench_cell *cell)
{
    uint32_t bytes = cell->pool_bytes ? cell->pool_bytes : BENCH_POOL_BYTES;
    uint32_t count = bytes / cell->size;
    count = count > BENCH_RING_ENTRIES ? BENCH_RING_ENTRIES : count;
    return count < BENCH_POOL_SLOTS_MIN ? BENCH_POOL_SLOTS_MIN : count;
}

const char *bench_kind_name(enum bench_kind kind)
{
    static const char *const names[] = {"roundtrip", "oneway", "wake", "attach",
                                        "fanout", "fanin"};
    return names[kind];
}

const char *bench_mode_name(enum bench_mode mode)
{
    return mode == BENCH_SPIN ? "spin" : "block";
}

const char *bench_touch_name(enum bench_touch touch)
{
    return touch == BENCH_TOUCH_ALL ? "all" : "head";
}

void bench_cell_name(const struct bench_cell *cell, char *name, size_t bytes)
{
    int length = snprintf(name, bytes, "%s:%u/%u/%s/%s", bench_kind_name(cell->kind), cell->size,
                          cell->batch, bench_mode_name(cell->mode), bench_touch_name(cell->touch));
    if (cell->fan && length > 0 && (size_t)length < bytes) {
        snprintf(name + length, bytes - (size_t)length, "/%u%s", cell->fan,
                 cell->lossy ? "/lossy" : "");
    }
}

bool bench_selects(const char *only, const char *bench)
{
    size_t length = only ? strcspn(only, ":") : 0;
    return !only || (strlen(bench) == length && strncmp(only, bench, length) == 0);
}

bool bench_cell_selected(const struct bench_cell *cell, const struct bench_options *options)
{
    char name[64];
    if (options->targets ? !cell->target : options->quick && !options->only && !cell->quick) {
        return false;
    }
    if (!bench_selects(options->only, bench_kind_name(cell->kind))) {
        return false;
    }
    const char *filter = options->only ? strchr(options->only, ':') : NULL;
    bench_cell_name(cell, name, sizeof(name));
    const char *rest = strchr(name, ':') + 1;
    return !filter || strncmp(rest, filter + 1, strlen(filter + 1)) == 0;
}
