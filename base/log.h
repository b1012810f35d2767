/* SPDX-License-Identifier: MIT
 *
 * The log: one line of key=value pairs per event to stderr, in one write, from any thread.
 *
 *     berth_log(BERTH_LOG_INFO, "listening", BERTH_LOG_TEXT("url", url), BERTH_LOG_U64("epoch",
 * epoch)); time=2026-11-21T09:30:00.000250Z level=info program=berthd event=listening
 * url=tcp://127.0.0.1:7411 epoch=3
 *
 * For shells alone: libraries return errors. The level and the program's name are the one global
 * state we allow ourselves. Logging never fails, never allocates and never waits for a reader: a
 * line that a pipe, a socket or a terminal does not take at once is lost, and the next one that
 * goes out is preceded by event=log_lines_lost with their number. A line is at most
 * BERTH_LOG_LINE_MAX bytes (so that a pipe takes it whole, PIPE_BUF), longer ones are cut and end
 * in "...".
 */
#pragma once

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#define BERTH_LOG_LINE_MAX 4096

enum berth_log_level { BERTH_LOG_ERROR, BERTH_LOG_WARN, BERTH_LOG_INFO, BERTH_LOG_DEBUG };

enum berth_log_kind { BERTH_LOG_KIND_TEXT, BERTH_LOG_KIND_U64, BERTH_LOG_KIND_I64 };

struct berth_log_field {
    const char *key;
    enum berth_log_kind kind;
    union {
        const char *text; /* NULL is shown as empty */
        uint64_t u64;
        int64_t i64;
    };
};

/* Macros, so that the value's type is checked where it is written. */
#define BERTH_LOG_TEXT(key_, value_)                                                               \
    ((struct berth_log_field){ .key = (key_), .kind = BERTH_LOG_KIND_TEXT, .text = (value_) })
#define BERTH_LOG_U64(key_, value_)                                                                \
    ((struct berth_log_field){ .key = (key_), .kind = BERTH_LOG_KIND_U64, .u64 = (value_) })
#define BERTH_LOG_I64(key_, value_)                                                                \
    ((struct berth_log_field){ .key = (key_), .kind = BERTH_LOG_KIND_I64, .i64 = (value_) })
/* An error's sentence. */
#define BERTH_LOG_ERR(err_) BERTH_LOG_TEXT("error", (err_)->message)

/* The name on each line (borrowed, NULL: none) and the highest level that is written; info before
 * any call. */
void berth_log_init(const char *program, enum berth_log_level level);
enum berth_log_level berth_log_level(void);

/* "error" "warn" "info" "debug", in the order of the levels and ended by NULL: the choices of a
 * setting. */
extern const char *const berth_log_level_names[];

#define berth_log(level, event, ...)                                                               \
    berth_log_write(level, event,                                                                  \
                    (const struct berth_log_field[]){ __VA_ARGS__ __VA_OPT__(, ){ .key = NULL } })

/* What berth_log calls. `fields` ends with a key of NULL; all is borrowed. */
void berth_log_write(enum berth_log_level level, const char *event,
                     const struct berth_log_field *fields);

/* The line itself, with its newline, in `line`; returns its length. Values that are empty or have
 * other than letters, digits and the signs of addresses, paths and numbers stand in quotes, with \"
 * \\ \n \t \xNN. */
size_t berth_log_format(char line[static BERTH_LOG_LINE_MAX], int64_t unix_us, const char *program,
                        enum berth_log_level level, const char *event,
                        const struct berth_log_field *fields);
