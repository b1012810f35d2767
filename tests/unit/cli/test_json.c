/* SPDX-License-Identifier: MIT
 *
 * The JSON writer: structure, escaping, bytes that are no text.
 */
#include "support/berthtest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/json.h"

struct fixture {
    struct json json;
    FILE *file;
    char *text;
    size_t bytes;
};

static int setup(void **state)
{
    static struct fixture f;
    f.file = open_memstream(&f.text, &f.bytes);
    json_init(&f.json, f.file);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    (void)fclose(f->file);
    free(f->text);
    return 0;
}

static void assert_written(struct fixture *f, const char *wanted)
{
    (void)fflush(f->file);
    assert_string_equal(f->text, wanted);
}

static void a_document_begins_with_its_schema_and_ends_with_a_newline(void **state)
{
    struct fixture *f = *state;
    json_document_begin(&f->json, "berth.jobs/1");
    json_array_begin(&f->json, "items");
    json_array_end(&f->json);
    json_null(&f->json, "next");
    json_document_end(&f->json);
    assert_written(f, "{\"schema\":\"berth.jobs/1\",\"items\":[],\"next\":null}\n");
}

static void a_list_that_fails_before_its_first_item_is_not_written(void **state)
{
    struct fixture *f = *state;
    json_list_begin(&f->json, "berth.jobs/1");
    json_list_end(&f->json, 0, -1);
    assert_written(f, "");

    json_list_begin(&f->json, "berth.jobs/1");
    json_list_end(&f->json, 0, 0);
    json_list_begin(&f->json, "berth.jobs/1");
    json_object_begin(&f->json, NULL);
    json_object_end(&f->json);
    json_list_end(&f->json, 7, 0);
    assert_written(f, "{\"schema\":\"berth.jobs/1\",\"items\":[],\"next\":null}\n"
                      "{\"schema\":\"berth.jobs/1\",\"items\":[{}],\"next\":7}\n");
}

static void commas_stand_between_members_and_between_items(void **state)
{
    struct fixture *f = *state;
    json_object_begin(&f->json, NULL);
    json_u64(&f->json, "a", UINT64_MAX);
    json_i64(&f->json, "b", INT64_MIN);
    json_bool(&f->json, "c", true);
    json_array_begin(&f->json, "d");
    json_bool(&f->json, NULL, false);
    json_object_begin(&f->json, NULL);
    json_object_end(&f->json);
    json_object_begin(&f->json, NULL);
    json_null(&f->json, "x");
    json_object_end(&f->json);
    json_array_end(&f->json);
    json_text(&f->json, "e", "");
    json_object_end(&f->json);
    assert_written(f, "{\"a\":18446744073709551615,\"b\":-9223372036854775808,\"c\":true,"
                      "\"d\":[false,{},{\"x\":null}],\"e\":\"\"}");
}

static void absent_texts_and_times_are_null(void **state)
{
    struct fixture *f = *state;
    json_array_begin(&f->json, NULL);
    json_text_or_null(&f->json, NULL, "");
    json_text_or_null(&f->json, NULL, "x");
    json_time(&f->json, NULL, 0);
    json_time(&f->json, NULL, 1767225600000250);
    json_array_end(&f->json);
    assert_written(f, "[null,\"x\",null,\"2026-01-01T00:00:00.000250Z\"]");
}

static void whatever_the_bytes_what_is_written_is_text(void **state)
{
    struct fixture *f = *state;
    const struct {
        struct berth_slice bytes;
        const char *wanted;
    } cases[] = {
        { { "a\"b\\c/", 6 }, "\"a\\\"b\\\\c/\"" },
        { { "\b\f\n\r\t", 5 }, "\"\\b\\f\\n\\r\\t\"" },
        { { "\0\x01\x1f\x7f", 4 }, "\"\\u0000\\u0001\\u001f\\u007f\"" },
        { { "Grüße \xe2\x82\xac \xf0\x9f\x90\x99", 16 },
          "\"Grüße \xe2\x82\xac \xf0\x9f\x90\x99\"" },
        { { "\xff", 1 }, "\"\xef\xbf\xbd\"" },
        { { "a\x80z", 3 }, "\"a\xef\xbf\xbdz\"" },
        { { "\xc3", 1 }, "\"\xef\xbf\xbd\"" },                 /* cut short */
        { { "\xe2\x82", 2 }, "\"\xef\xbf\xbd\"" },             /* cut short: one */
        { { "\xe2\x82z", 3 }, "\"\xef\xbf\xbdz\"" },           /* a letter inside */
        { { "\xc0\xaf", 2 }, "\"\xef\xbf\xbd\xef\xbf\xbd\"" }, /* overlong */
        { { "\xe0\x80\x80", 3 }, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { { "\xed\xa0\x80", 3 }, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, /* a surrogate */
        { { "\xf0\x9f\x90", 3 }, "\"\xef\xbf\xbd\"" },
        { { "\xf4\x90\x80\x80", 4 },
          "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, /* above U+10FFFF */
        { { NULL, 0 }, "\"\"" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rewind(f->file);
        json_init(&f->json, f->file);
        json_bytes(&f->json, NULL, cases[i].bytes);
        (void)fputc('\0', f->file);
        assert_written(f, cases[i].wanted);
    }
}

static void every_pair_of_bytes_becomes_valid_utf8(void **state)
{
    struct fixture *f = *state;
    for (unsigned pair = 0; pair < 65536; pair++) {
        char bytes[2] = { (char)(pair >> 8), (char)(pair & 0xff) };
        rewind(f->file);
        json_init(&f->json, f->file);
        json_bytes(&f->json, NULL, (struct berth_slice){ bytes, 2 });
        (void)fflush(f->file);
        assert_true(berth_utf8_is_valid((struct berth_slice){ f->text, f->bytes }));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_document_begins_with_its_schema_and_ends_with_a_newline),
        TEST(a_list_that_fails_before_its_first_item_is_not_written),
        TEST(commas_stand_between_members_and_between_items),
        TEST(absent_texts_and_times_are_null),
        TEST(whatever_the_bytes_what_is_written_is_text),
        TEST(every_pair_of_bytes_becomes_valid_utf8),
    };
    return berth_test_main(tests, NULL, NULL);
}
