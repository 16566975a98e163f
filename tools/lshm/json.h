/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer of JSON: always valid, whatever the strings hold.
 *
 * In an object every value has a key, in an array (and at the top) the key is NULL. Bytes that are
 * not UTF-8 become U+FFFD each; control characters are escaped. Nothing is buffered.
 */
#ifndef LSHM_TOOL_JSON_H
#define LSHM_TOOL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 16

struct json {
    FILE *file;
    unsigned depth;
    char close[JSON_DEPTH_MAX]; /* what ends each level */
    bool more[JSON_DEPTH_MAX];  /* it has a value already */
};

void json_init(struct json *json, FILE *file);
void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
/* Ends the innermost object or array; the outermost with a newline. */
void json_end(struct json *json);

void json_string(struct json *json, const char *key, const char *text);
void json_string_bytes(struct json *json, const char *key, const void *text, size_t bytes);
void json_base64(struct json *json, const char *key, const void *data, size_t bytes);
void json_number(struct json *json, const char *key, uint64_t number);
/* null for LSHM_UNKNOWN. */
void json_figure(struct json *json, const char *key, uint64_t figure);
void json_real(struct json *json, const char *key, double number);
void json_boolean(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);

#endif
