/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#define LIBBSD_OPENBSD_VIS /* which of two strnvis() the header declares; none is used */
#include <bsd/vis.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include <lshm/inspect.h>

size_t text_safe_bytes(char *buffer, const void *data, size_t bytes)
{
    static locale_t plain;
    const unsigned char *text = data;
    locale_t before = (locale_t)0;
    int length;

    if (plain == (locale_t)0)
        plain = newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
    if (!text_is_utf8(data, bytes) && plain != (locale_t)0)
        before = uselocale(plain); /* else stray bytes would come out as they are */
    length = strvisx(buffer, data, bytes, VIS_TAB | VIS_NL | VIS_CSTYLE);
    if (before != (locale_t)0)
        uselocale(before);
    if (length >= 0)
        return (size_t)length;
    for (size_t i = 0; i < bytes; i++) /* out of memory */
        buffer[i] = text[i] >= 0x20 && text[i] < 0x7f ? (char)text[i] : '?';
    buffer[bytes] = '\0';
    return bytes;
}

char *text_safe(char *buffer, size_t buffer_bytes, const char *text)
{
    text_safe_bytes(buffer, text, strnlen(text, (buffer_bytes - 1) / 4));
    return buffer;
}

/* Length of the sequence at `text`, 0 when it is none. */
static size_t utf8_sequence(const unsigned char *text, size_t bytes)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t length;
    uint32_t code;

    if (text[0] < 0x80)
        return 1;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return 0;
    length = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    if (length > bytes)
        return 0;
    code = text[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    return length;
}

bool text_is_utf8(const void *data, size_t bytes)
{
    const unsigned char *text = data;
    size_t length;

    for (size_t i = 0; i < bytes; i += length) {
        length = utf8_sequence(text + i, bytes - i);
        if (length == 0)
            return false;
    }
    return true;
}

/* value in the largest unit that leaves at least 1, with one digit behind the point below 10. */
static char *scale(char *buffer, uint64_t value, unsigned step, const char *const *units,
                   size_t unit_count, const char *space)
{
    double scaled = (double)value;
    size_t unit = 0;

    while (scaled >= step && unit + 1 < unit_count) {
        scaled /= step;
        unit++;
    }
    snprintf(buffer, TEXT_FIGURE_BYTES, unit > 0 && scaled < 9.95 ? "%.1f%s%s" : "%.0f%s%s",
             scaled, units[unit][0] != '\0' ? space : "", units[unit]);
    return buffer;
}

char *text_bytes(char buffer[TEXT_FIGURE_BYTES], uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };

    if (bytes == LSHM_UNKNOWN)
        snprintf(buffer, TEXT_FIGURE_BYTES, "?");
    else
        scale(buffer, bytes, 1024, units, sizeof units / sizeof units[0], " ");
    return buffer;
}

char *text_count(char buffer[TEXT_FIGURE_BYTES], uint64_t count)
{
    static const char *const units[] = { "", "k", "M", "G", "T", "P", "E" };

    if (count == LSHM_UNKNOWN)
        snprintf(buffer, TEXT_FIGURE_BYTES, "?");
    else if (count < 100000)
        snprintf(buffer, TEXT_FIGURE_BYTES, "%llu", (unsigned long long)count);
    else
        scale(buffer, count, 1000, units, sizeof units / sizeof units[0], "");
    return buffer;
}

char *text_rate(char buffer[TEXT_FIGURE_BYTES], double rate)
{
    if (rate < 1000)
        snprintf(buffer, TEXT_FIGURE_BYTES, "%.*f", rate < 10 ? 2 : 1, rate);
    else
        text_count(buffer, (uint64_t)rate);
    return buffer;
}

char *text_duration(char buffer[TEXT_FIGURE_BYTES], uint64_t ns)
{
    static const char *const units[] = { "ns", "us", "ms", "s" };
    uint64_t seconds = ns / 1000000000;

    if (ns == LSHM_UNKNOWN)
        snprintf(buffer, TEXT_FIGURE_BYTES, "?");
    else if (seconds < 120)
        scale(buffer, ns, 1000, units, sizeof units / sizeof units[0], " ");
    else if (seconds < UINT64_C(2) * 3600)
        snprintf(buffer, TEXT_FIGURE_BYTES, "%llu min", (unsigned long long)(seconds / 60));
    else if (seconds < UINT64_C(48) * 3600)
        snprintf(buffer, TEXT_FIGURE_BYTES, "%llu h", (unsigned long long)(seconds / 3600));
    else
        snprintf(buffer, TEXT_FIGURE_BYTES, "%llu d", (unsigned long long)(seconds / 86400));
    return buffer;
}
