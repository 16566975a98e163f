/* SPDX-License-Identifier: Apache-2.0 */
/* Text for people: other processes' bytes made safe, figures made short. */
#ifndef LSHM_TOOL_TEXT_H
#define LSHM_TOOL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_SAFE_BYTES(bytes) (4 * (bytes) + 1)
#define TEXT_FIGURE_BYTES 32

/* What the locale cannot print comes as vis(3) escapes; cut when it does not fit. */
char *text_safe(char *buffer, size_t buffer_bytes, const char *text);
/* Any bytes; buffer has TEXT_SAFE_BYTES(bytes). Returns the length. */
size_t text_safe_bytes(char *buffer, const void *data, size_t bytes);
bool text_is_utf8(const void *data, size_t bytes);

/* Figures; LSHM_UNKNOWN is "?". */
char *text_bytes(char buffer[TEXT_FIGURE_BYTES], uint64_t bytes);
char *text_count(char buffer[TEXT_FIGURE_BYTES], uint64_t count);
/* 0.50, 99.7, 12345, 1.2M */
char *text_rate(char buffer[TEXT_FIGURE_BYTES], double rate);
/* 850 ns, 12 us, 3.4 ms, 5 s, 7 min, 3 h, 2 d */
char *text_duration(char buffer[TEXT_FIGURE_BYTES], uint64_t ns);

#endif
