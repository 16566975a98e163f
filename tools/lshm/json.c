/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include <lshm/inspect.h>

#include "text.h"

void json_init(struct json *json, FILE *file)
{
    *json = (struct json){ .file = file };
}

static void write_string(struct json *json, const unsigned char *text, size_t bytes)
{
    putc('"', json->file);
    for (size_t i = 0; i < bytes;) {
        size_t length = 1;

        while (length <= 4 && length <= bytes - i && !text_is_utf8(text + i, length))
            length++;
        if (length > 4 || length > bytes - i) {
            fputs("\\ufffd", json->file);
            length = 1;
        } else if (text[i] == '"' || text[i] == '\\') {
            fprintf(json->file, "\\%c", text[i]);
        } else if (text[i] < 0x20 || text[i] == 0x7f) {
            fprintf(json->file, "\\u%04x", text[i]);
        } else {
            fwrite(text + i, 1, length, json->file);
        }
        i += length;
    }
    putc('"', json->file);
}

/* Comma and key. */
static void begin(struct json *json, const char *key)
{
    if (json->depth == 0)
        return;
    if (json->more[json->depth - 1])
        putc(',', json->file);
    json->more[json->depth - 1] = true;
    assert((key != NULL) == (json->close[json->depth - 1] == '}'));
    if (key != NULL) {
        write_string(json, (const unsigned char *)key, strlen(key));
        putc(':', json->file);
    }
}

static void open_level(struct json *json, const char *key, char open, char close)
{
    begin(json, key);
    assert(json->depth < JSON_DEPTH_MAX);
    json->close[json->depth] = close;
    json->more[json->depth] = false;
    json->depth++;
    putc(open, json->file);
}

void json_object(struct json *json, const char *key)
{
    open_level(json, key, '{', '}');
}

void json_array(struct json *json, const char *key)
{
    open_level(json, key, '[', ']');
}

void json_end(struct json *json)
{
    assert(json->depth > 0);
    json->depth--;
    putc(json->close[json->depth], json->file);
    if (json->depth == 0)
        putc('\n', json->file);
}

void json_string_bytes(struct json *json, const char *key, const void *text, size_t bytes)
{
    begin(json, key);
    write_string(json, text, bytes);
}

void json_string(struct json *json, const char *key, const char *text)
{
    json_string_bytes(json, key, text, strlen(text));
}

void json_base64(struct json *json, const char *key, const void *data, size_t bytes)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *from = data;

    begin(json, key);
    putc('"', json->file);
    for (size_t i = 0; i < bytes; i += 3) {
        size_t left = bytes - i;
        unsigned word = (unsigned)from[i] << 16;

        word |= left > 1 ? (unsigned)from[i + 1] << 8 : 0;
        word |= left > 2 ? from[i + 2] : 0;
        putc(digits[word >> 18], json->file);
        putc(digits[word >> 12 & 63], json->file);
        putc(left > 1 ? digits[word >> 6 & 63] : '=', json->file);
        putc(left > 2 ? digits[word & 63] : '=', json->file);
    }
    putc('"', json->file);
}

void json_number(struct json *json, const char *key, uint64_t number)
{
    begin(json, key);
    fprintf(json->file, "%llu", (unsigned long long)number);
}

void json_figure(struct json *json, const char *key, uint64_t figure)
{
    if (figure == LSHM_UNKNOWN)
        json_null(json, key);
    else
        json_number(json, key, figure);
}

void json_real(struct json *json, const char *key, double number)
{
    begin(json, key);
    if (isfinite(number))
        fprintf(json->file, "%.6g", number);
    else
        fputs("null", json->file);
}

void json_boolean(struct json *json, const char *key, bool value)
{
    begin(json, key);
    fputs(value ? "true" : "false", json->file);
}

void json_null(struct json *json, const char *key)
{
    begin(json, key);
    fputs("null", json->file);
}
