/* SPDX-License-Identifier: Apache-2.0 */
/* The findings of `lshm doctor`, by the file that looks for them. */
#ifndef LSHM_TOOL_DOCTOR_H
#define LSHM_TOOL_DOCTOR_H

#include "json.h"
#include "tool.h"

/* What a full broker has, and what it costs. */
#define DOCTOR_PUBLISHERS_MAX UINT64_C(16384)
#define DOCTOR_PUBLISHER_MAPS 2u  /* mappings of each reader */
#define DOCTOR_PUBLISHER_FILES 2u /* descriptors of the broker */
#define DOCTOR_CLIENT_FILES 4u
#define DOCTOR_BROKER_FILES 64u

enum level { LEVEL_OK, LEVEL_WARN, LEVEL_FAIL };

struct doctor {
    const struct tool *tool;
    struct json json;
    unsigned count[LEVEL_FAIL + 1];
    bool broker_failed;
};

/* Reports one finding: what was found and, unless it is fine (fix NULL), how to fix it. */
void doctor_find(struct doctor *doctor, enum level level, const char *name, const char *fix,
                 const char *format, ...) TOOL_PRINTF(5, 6);
/* The first line of a file, without its newline: 0 or −errno. */
int doctor_read(const char *path, char *text, size_t text_bytes);

void doctor_versions(struct doctor *doctor);
void doctor_limits(struct doctor *doctor);
void doctor_memory(struct doctor *doctor);
void doctor_kernel(struct doctor *doctor);
void doctor_processor(struct doctor *doctor);
void doctor_broker(struct doctor *doctor);

#endif
