/* SPDX-License-Identifier: MIT */
/* See json.h. */
#include "cli/json.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static void put_bytes(FILE *file, struct berth_slice bytes);

void json_init(struct json *json, FILE *file)
{
    *json = (struct json){ .file = file };
}

/* What stands before a value: a comma, and its key. */
static void lead(struct json *json, const char *key)
{
    if (json->depth > 0 && json->has_item[json->depth - 1])
        (void)fputc(',', json->file);
    if (json->depth > 0)
        json->has_item[json->depth - 1] = true;
    if (!key)
        return;
    put_bytes(json->file, berth_slice_of(key));
    (void)fputc(':', json->file);
}

static void list_open(struct json *json)
{
    const char *schema = json->list_schema;
    json->list_schema = NULL;
    json_document_begin(json, schema);
    json_array_begin(json, "items");
}

static void begin(struct json *json, const char *key, char bracket)
{
    if (json->list_schema)
        list_open(json);
    BERTH_ASSERT(json->depth < JSON_DEPTH_MAX);
    lead(json, key);
    (void)fputc(bracket, json->file);
    json->has_item[json->depth++] = false;
}

static void end(struct json *json, char bracket)
{
    BERTH_ASSERT(json->depth > 0);
    json->depth--;
    (void)fputc(bracket, json->file);
}

void json_object_begin(struct json *json, const char *key)
{
    begin(json, key, '{');
}

void json_object_end(struct json *json)
{
    end(json, '}');
}

void json_array_begin(struct json *json, const char *key)
{
    begin(json, key, '[');
}

void json_array_end(struct json *json)
{
    end(json, ']');
}

void json_document_begin(struct json *json, const char *schema)
{
    json_object_begin(json, NULL);
    json_text(json, "schema", schema);
}

void json_document_end(struct json *json)
{
    json_object_end(json);
    BERTH_ASSERT(json->depth == 0);
    (void)fputc('\n', json->file);
}

void json_removed(FILE *file, const char *name)
{
    struct json json;
    json_init(&json, file);
    json_document_begin(&json, "berth.removed/1");
    json_text(&json, "name", name);
    json_document_end(&json);
}

void json_list_begin(struct json *json, const char *schema)
{
    BERTH_ASSERT(json->depth == 0);
    json->list_schema = schema;
}

void json_list_end(struct json *json, uint64_t next, int rc)
{
    if (json->list_schema && rc < 0)
        return;
    if (json->list_schema)
        list_open(json);
    json_array_end(json);
    if (next > 0 && rc >= 0)
        json_u64(json, "next", next);
    else
        json_null(json, "next");
    json_document_end(json);
}

void json_null(struct json *json, const char *key)
{
    lead(json, key);
    (void)fputs("null", json->file);
}

void json_bool(struct json *json, const char *key, bool value)
{
    lead(json, key);
    (void)fputs(value ? "true" : "false", json->file);
}

void json_i64(struct json *json, const char *key, int64_t value)
{
    lead(json, key);
    (void)fprintf(json->file, "%" PRId64, value);
}

void json_u64(struct json *json, const char *key, uint64_t value)
{
    lead(json, key);
    (void)fprintf(json->file, "%" PRIu64, value);
}

void json_bytes(struct json *json, const char *key, struct berth_slice bytes)
{
    lead(json, key);
    put_bytes(json->file, bytes);
}

void json_text(struct json *json, const char *key, const char *text)
{
    json_bytes(json, key, berth_slice_of(text));
}

void json_text_or_null(struct json *json, const char *key, const char *text)
{
    if (text[0] == '\0')
        json_null(json, key);
    else
        json_text(json, key, text);
}

void json_time(struct json *json, const char *key, int64_t unix_us)
{
    char text[BERTH_TIME_TEXT_MAX];
    if (unix_us == 0)
        json_null(json, key);
    else
        json_text(json, key, berth_time_format(unix_us, text));
}

/* Where the second byte of a character may lie after `lead_byte` (RFC 3629, section 4), and how
 * long the character is; 0: it starts none. */
static size_t char_bytes(unsigned char lead_byte, unsigned char *ret_low, unsigned char *ret_high)
{
    *ret_low = lead_byte == 0xe0 ? 0xa0 : lead_byte == 0xf0 ? 0x90 : 0x80;
    *ret_high = lead_byte == 0xed ? 0x9f : lead_byte == 0xf4 ? 0x8f : 0xbf;
    if (lead_byte < 0x80)
        return 1;
    if (lead_byte >= 0xc2 && lead_byte <= 0xdf)
        return 2;
    if (lead_byte >= 0xe0 && lead_byte <= 0xef)
        return 3;
    return lead_byte >= 0xf0 && lead_byte <= 0xf4 ? 4 : 0;
}

/* How many bytes the next character has; `*ret_is_valid` false: so many are replaced by one U+FFFD.
 */
static size_t next_char(const unsigned char *at, size_t left, bool *ret_is_valid)
{
    unsigned char low, high;
    size_t wanted = char_bytes(at[0], &low, &high), have = 1;
    while (have < wanted && have < left && at[have] >= low && at[have] <= high) {
        have++;
        low = 0x80;
        high = 0xbf;
    }
    *ret_is_valid = have == wanted;
    return have;
}

static void put_ascii(FILE *file, unsigned char c)
{
    static const char escaped[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = c != '\0' ? strchr(escaped, c) : NULL;
    if (found)
        (void)fprintf(file, "\\%c", letters[found - escaped]);
    else if (c < 0x20 || c == 0x7f)
        (void)fprintf(file, "\\u%04x", c);
    else
        (void)fputc(c, file);
}

static void put_bytes(FILE *file, struct berth_slice bytes)
{
    const unsigned char *at = bytes.data;
    (void)fputc('"', file);
    for (size_t left = bytes.bytes; left > 0;) {
        bool is_valid;
        size_t count = next_char(at, left, &is_valid);
        if (!is_valid)
            (void)fputs(REPLACEMENT, file);
        else if (count == 1)
            put_ascii(file, *at);
        else
            (void)fwrite(at, 1, count, file);
        at += count;
        left -= count;
    }
    (void)fputc('"', file);
}
