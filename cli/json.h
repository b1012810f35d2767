/* SPDX-License-Identifier: MIT */
/* Writing JSON to a stream as it comes, without holding any of it.
 *
 * What is written is always valid UTF-8 and valid JSON, whatever the bytes: ill-formed ones become
 * U+FFFD, one for each maximal part of a character (Unicode 15, section 3.9). Errors of the stream
 * are found by its ferror() in the end.
 *
 * A `key` is NULL inside an array and outside of everything, else the member's name.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <berth/types.h>

#define JSON_DEPTH_MAX 8

struct json {
    FILE *file;
    unsigned depth;
    bool has_item[JSON_DEPTH_MAX]; /* of each open object or array: something stands in it */
    const char *list_schema;       /* of a list of which nothing is written yet */
};

void json_init(struct json *json, FILE *file);

/* {"schema":"berth.job/1", ... and the newline behind the last brace. */
void json_document_begin(struct json *json, const char *schema);
void json_document_end(struct json *json);

/* The whole document that tells what was removed, by its name. */
void json_removed(FILE *file, const char *name);

/* {"schema":"berth.jobs/1","items":[ ... ],"next":null}. Nothing is written before the first item,
 * so that a list that fails before it leaves no document that looks like an empty one: `rc` says
 * whether it has. `next`: where the list goes on; 0: nowhere. */
void json_list_begin(struct json *json, const char *schema);
void json_list_end(struct json *json, uint64_t next, int rc);

void json_object_begin(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array_begin(struct json *json, const char *key);
void json_array_end(struct json *json);

void json_null(struct json *json, const char *key);
void json_bool(struct json *json, const char *key, bool value);
void json_i64(struct json *json, const char *key, int64_t value);
void json_u64(struct json *json, const char *key, uint64_t value);
void json_bytes(struct json *json, const char *key, struct berth_slice bytes);
void json_text(struct json *json, const char *key, const char *text);
/* null for "". */
void json_text_or_null(struct json *json, const char *key, const char *text);
/* A time as RFC 3339 with microseconds; null for 0. */
void json_time(struct json *json, const char *key, int64_t unix_us);
