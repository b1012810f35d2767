/* SPDX-License-Identifier: MIT
 *
 * Text from people and for people: strict parsers, checks, and the formats that every front door
 * shares. Pure: no locale, no time zone, no allocation.
 *
 * A parser takes all of its text or refuses it with BERTH_EVALUE and a sentence that names the
 * option (`what`), the value and what is allowed. Numbers are decimal digits with an optional '-',
 * without blanks, '+' or leading junk.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <berth/error.h>
#include <berth/types.h>

#define BERTH_NAME_BYTES_MAX    64  /* a name of a dispatcher, handler or worker, without its NUL */
#define BERTH_KEY_BYTES_MAX     255 /* a group or an idempotency key */
#define BERTH_TIME_TEXT_MAX     64  /* room for berth_time_format, the NUL included */
#define BERTH_DURATION_TEXT_MAX 32
#define BERTH_BYTES_TEXT_MAX    32

/* A name: [A-Za-z0-9][A-Za-z0-9._-]{0,63}. */
bool berth_name_is_valid(const char *name);
int berth_name_check(const char *what, const char *name, struct berth_error *err);

/* A group or an idempotency key: 1 to 255 bytes of UTF-8. */
int berth_key_check(const char *what, struct berth_slice key, struct berth_error *err);

/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. NUL is
 * allowed. */
bool berth_utf8_is_valid(struct berth_slice text);

/* Numbers within min .. max. */
int berth_u64_parse(const char *what, const char *text, uint64_t min, uint64_t max,
                    uint64_t *ret_value, struct berth_error *err);
int berth_i64_parse(const char *what, const char *text, int64_t min, int64_t max,
                    int64_t *ret_value, struct berth_error *err);

/* A duration is a whole number and a unit: 250ms 30s 5m 1h 7d. A bare number is refused. min_ms >=
 * 0. */
int berth_duration_parse(const char *what, const char *text, int64_t min_ms, int64_t max_ms,
                         int64_t *ret_ms, struct berth_error *err);

/* A size is a whole number and a unit: 100B 64KiB 1MiB 2GiB. A bare number is refused. */
int berth_bytes_parse(const char *what, const char *text, uint64_t min_bytes, uint64_t max_bytes,
                      uint64_t *ret_bytes, struct berth_error *err);

/* yes no true false on off. */
int berth_bool_parse(const char *what, const char *text, bool *ret_value, struct berth_error *err);

/* For a value that may also be the word "none": adds that to the sentence of a refusal. Returns
 * `rc`. */
int berth_or_none(int rc, struct berth_error *err);

/* Unix time in microseconds as RFC 3339 in UTC: "2026-11-21T09:30:00.000250Z". Outside the years
 * 0000 to 9999 the nearest time within. Returns `text`. */
const char *berth_time_format(int64_t unix_us, char text[static BERTH_TIME_TEXT_MAX]);

/* Reads such a time: RFC 3339 with a zone, "2026-11-21T09:30:00Z" "2026-11-21T10:30:00.5+01:00"; of
 * a fraction the microseconds count. Years 0000 to 9999; no leap seconds. */
int berth_time_parse(const char *what, const char *text, int64_t *ret_unix_us,
                     struct berth_error *err);

/* For people, with two units at most, rounded towards zero: "250ms" "1.2s" "5m30s" "1h5m" "7d"
 * "3d4h". */
const char *berth_duration_format(int64_t ms, char text[static BERTH_DURATION_TEXT_MAX]);

/* The shortest form without loss that berth_bytes_parse reads back: "64KiB" "1000B". */
const char *berth_bytes_format(uint64_t bytes, char text[static BERTH_BYTES_TEXT_MAX]);

/* The candidate that `word` was probably meant to be, or NULL if none is near enough: at most a
 * third of the letters differ (insert, delete, change, swap of neighbours). `candidate` i is given
 * by `name_of(arg, i)`. */
const char *berth_suggest(const char *word, size_t count,
                          const char *(*name_of)(const void *arg, size_t index), const void *arg);

/* The bytes of a NUL-terminated text. NULL is the empty slice. */
struct berth_slice berth_slice_of(const char *text);
bool berth_slice_is_equal(struct berth_slice a, struct berth_slice b);
