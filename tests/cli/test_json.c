/* SPDX-License-Identifier: Apache-2.0 */
/* The tool's JSON writer and text helpers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "json.h"
#include "text.h"

static char *written;
static size_t written_bytes;

static FILE *begin(struct json *json)
{
    FILE *file = open_memstream(&written, &written_bytes);

    assert_non_null(file);
    json_init(json, file);
    return file;
}

static void expect(FILE *file, const char *text)
{
    assert_int_equal(fclose(file), 0);
    assert_string_equal(written, text);
    free(written);
}

static void test_json__nested__has_commas_and_keys(void **state)
{
    struct json json;
    FILE *file = begin(&json);

    (void)state;
    json_object(&json, NULL);
    json_array(&json, "a");
    json_number(&json, NULL, 0);
    json_number(&json, NULL, UINT64_MAX - 1);
    json_object(&json, NULL);
    json_end(&json);
    json_end(&json);
    json_figure(&json, "b", UINT64_MAX);
    json_boolean(&json, "c", true);
    json_real(&json, "d", 0.5);
    json_real(&json, "e", 1.0 / 0.0);
    json_end(&json);
    expect(file, "{\"a\":[0,18446744073709551614,{}],\"b\":null,\"c\":true,\"d\":0.5,"
                 "\"e\":null}\n");
}

static void test_json__strings__are_escaped(void **state)
{
    struct json json;
    FILE *file = begin(&json);

    (void)state;
    json_array(&json, NULL);
    json_string(&json, NULL, "\"\\\n\t\x7f\x01");
    json_string(&json, NULL, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    json_string_bytes(&json, NULL, "a\0b", 3);
    json_end(&json);
    expect(file, "[\"\\\"\\\\\\u000a\\u0009\\u007f\\u0001\","
                 "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\",\"a\\u0000b\"]\n");
}

static void test_json__bad_utf8__becomes_replacements(void **state)
{
    struct json json;
    FILE *file = begin(&json);

    (void)state;
    json_array(&json, NULL);
    json_string(&json, NULL, "\xff""x\xc3");
    json_string(&json, NULL, "\xc0\xaf");         /* overlong */
    json_string(&json, NULL, "\xed\xa0\x80");     /* a surrogate */
    json_string(&json, NULL, "\xf4\x90\x80\x80"); /* past the last code point */
    json_end(&json);
    expect(file, "[\"\\ufffdx\\ufffd\",\"\\ufffd\\ufffd\",\"\\ufffd\\ufffd\\ufffd\","
                 "\"\\ufffd\\ufffd\\ufffd\\ufffd\"]\n");
}

static void test_json__base64__pads(void **state)
{
    struct json json;
    FILE *file = begin(&json);

    (void)state;
    json_array(&json, NULL);
    json_base64(&json, NULL, "", 0);
    json_base64(&json, NULL, "f", 1);
    json_base64(&json, NULL, "fo", 2);
    json_base64(&json, NULL, "foo", 3);
    json_base64(&json, NULL, "\xff\xef\xfe\x00", 4);
    json_end(&json);
    expect(file, "[\"\",\"Zg==\",\"Zm8=\",\"Zm9v\",\"/+/+AA==\"]\n");
}

static void test_text__hostile_name__is_made_safe(void **state)
{
    char buffer[TEXT_SAFE_BYTES(16)];

    (void)state;
    assert_string_equal(text_safe(buffer, sizeof buffer, "a\033[31m\n\x9b"), "a\\^[[31m\\n\\M^[");
    assert_true(strlen(text_safe(buffer, sizeof buffer, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"
                                 "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80")) <
                sizeof buffer);
}

static void test_text__figures__have_units(void **state)
{
    char buffer[TEXT_FIGURE_BYTES];

    (void)state;
    assert_string_equal(text_bytes(buffer, 0), "0 B");
    assert_string_equal(text_bytes(buffer, 1023), "1023 B");
    assert_string_equal(text_bytes(buffer, 1536), "1.5 KiB");
    assert_string_equal(text_bytes(buffer, UINT64_C(10) << 20), "10 MiB");
    assert_string_equal(text_bytes(buffer, UINT64_MAX), "?");
    assert_string_equal(text_bytes(buffer, UINT64_MAX - 1), "16 EiB");
    assert_string_equal(text_count(buffer, 99999), "99999");
    assert_string_equal(text_count(buffer, 1234567), "1.2M");
    assert_string_equal(text_duration(buffer, 850), "850 ns");
    assert_string_equal(text_duration(buffer, 1500), "1.5 us");
    assert_string_equal(text_duration(buffer, 119000000000), "119 s");
    assert_string_equal(text_duration(buffer, 180000000000), "3 min");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json__nested__has_commas_and_keys),
        cmocka_unit_test(test_json__strings__are_escaped),
        cmocka_unit_test(test_json__bad_utf8__becomes_replacements),
        cmocka_unit_test(test_json__base64__pads),
        cmocka_unit_test(test_text__hostile_name__is_made_safe),
        cmocka_unit_test(test_text__figures__have_units),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
