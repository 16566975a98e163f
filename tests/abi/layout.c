/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints the shared layout and the error table as data: libshm/abi/layout-v1.json is this output.
 * Other languages' bindings are checked against it, and a change of it is a change of the ABI.
 */
#include <stdio.h>

#include <lshm/abi.h>
#include <lshm/error.h>

struct constant {
    const char *name;
    unsigned long long value;
};

#define CONSTANT(name) { #name, name }
static const struct constant constants[] = {
    CONSTANT(LSHM_ABI_MAJOR),
    CONSTANT(LSHM_ABI_MINOR),
    CONSTANT(LSHM_LINE_BYTES),
    CONSTANT(LSHM_REGION_MAGIC),
    CONSTANT(LSHM_REGION_PUBLIC),
    CONSTANT(LSHM_REGION_BOARD),
    CONSTANT(LSHM_REGION_CONTROL),
    CONSTANT(LSHM_REGION_RING),
    CONSTANT(LSHM_REGION_SEGMENT),
    CONSTANT(LSHM_TOPIC_BYTES),
    CONSTANT(LSHM_NAME_BYTES),
    CONSTANT(LSHM_ROSTER_ROWS),
    CONSTANT(LSHM_ROSTER_PARTS),
    CONSTANT(LSHM_RING_ENTRIES_MIN),
    CONSTANT(LSHM_RING_ENTRIES_MAX),
    CONSTANT(LSHM_ENTRY_BYTES_MIN),
    CONSTANT(LSHM_ENTRY_BYTES_MAX),
    CONSTANT(LSHM_WINDOW_MAX),
    CONSTANT(LSHM_HOLDS_MAX),
    CONSTANT(LSHM_SEGMENTS_MAX),
    CONSTANT(LSHM_SLOTS_MAX),
    CONSTANT(LSHM_BOARD_FIRST_LINE_PART0),
    CONSTANT(LSHM_BOARD_FIRST_LINE),
    CONSTANT(LSHM_BOARD_WATCHED),
    CONSTANT(LSHM_CONTROL_FIRST_LINE_PART0),
    CONSTANT(LSHM_CONTROL_FIRST_LINE),
    CONSTANT(LSHM_CELL_LINES),
    CONSTANT(LSHM_HOLDS_PER_LINE),
    CONSTANT(LSHM_HISTOGRAM_BUCKETS),
    CONSTANT(LSHM_HISTOGRAM_LINES),
    CONSTANT(LSHM_ROW_FREE),
    CONSTANT(LSHM_ROW_LIVE),
    CONSTANT(LSHM_ROW_EVICTED),
    CONSTANT(LSHM_ROW_ORPHAN),
    CONSTANT(LSHM_ROW_GONE),
    CONSTANT(LSHM_ROW_STATE_MASK),
    CONSTANT(LSHM_ROW_GENERATION_SHIFT),
    CONSTANT(LSHM_READER_LOSSY),
    CONSTANT(LSHM_READER_MAY_BLOCK),
    CONSTANT(LSHM_READER_NO_LOCAL),
    CONSTANT(LSHM_READER_EVICTABLE),
    CONSTANT(LSHM_LINK_FREE),
    CONSTANT(LSHM_LINK_LIVE),
    CONSTANT(LSHM_LINK_DEAD),
    CONSTANT(LSHM_LINK_EVICTED),
    CONSTANT(LSHM_CURSOR_UNSET),
    CONSTANT(LSHM_CURSOR_CLOSED),
    CONSTANT(LSHM_WAITING_NONE),
    CONSTANT(LSHM_WAITING_ANY),
    CONSTANT(LSHM_RING_MAY_BLOCK),
    CONSTANT(LSHM_RING_TIMESTAMPS),
    CONSTANT(LSHM_RING_LOSSY_READERS),
    CONSTANT(LSHM_SLOT_FREE),
    CONSTANT(LSHM_SLOT_LOANED),
    CONSTANT(LSHM_SLOT_WINDOW),
    CONSTANT(LSHM_SLOT_LIMBO),
    CONSTANT(LSHM_SLOT_QUARANTINE),
    CONSTANT(LSHM_ENTRY_INLINE),
    CONSTANT(LSHM_ENTRY_VIEW),
    CONSTANT(LSHM_ENTRY_TIME),
    CONSTANT(LSHM_ENTRY_USER_SHIFT),
    CONSTANT(LSHM_HANDLE_SEGMENT_SHIFT),
    CONSTANT(LSHM_HANDLE_GENERATION_SHIFT),
    CONSTANT(LSHM_HANDLE_FIELD_MASK),
};

#define FIELD(type, field, at)                                                                     \
    printf("    {\"struct\": \"" #type "\", \"field\": \"" #field                                  \
           "\", \"offset\": %zu, \"bytes\": %zu},\n",                                              \
           offsetof(struct type, field), sizeof(((struct type *)0)->field));
#define SIZE(type, bytes) /* printed apart */
#define NO_FIELD(type, field, at)
#define TYPE(type, bytes)                                                                          \
    printf("    {\"struct\": \"" #type "\", \"bytes\": %zu},\n", sizeof(struct type));
#define ERROR(name, number, text)                                                                  \
    printf("    {\"name\": \"LSHM_" #name "\", \"number\": %d},\n", number);

int main(void)
{
    printf("{\n  \"fields\": [\n");
    LSHM_LAYOUT(FIELD, SIZE)
    printf("    {}\n  ],\n  \"structs\": [\n");
    LSHM_LAYOUT(NO_FIELD, TYPE)
    printf("    {}\n  ],\n  \"errors\": [\n");
    LSHM_ERROR_TABLE(ERROR)
    printf("    {}\n  ],\n  \"constants\": {\n");
    for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++)
        printf("    \"%s\": %llu%s\n", constants[i].name, constants[i].value,
               i + 1 < sizeof constants / sizeof constants[0] ? "," : "");
    printf("  }\n}\n");
    return 0;
}
