/* SPDX-License-Identifier: MIT
 *
 * Errors: one table of codes, and the sentence that goes with a code. Public and stable.
 *
 * A function that can fail returns 0 or a useful positive number for success, and for failure
 * -errno (-1 .. -999) or one of the codes below. Where a person needs the reason, its last
 * parameter is `struct berth_error *err`, which may be NULL and is written only on failure.
 */
#pragma once

#include <berth/types.h>

/* X(name, value, text): the one list of codes. Numbers are for ever; a new code is appended. */
#define BERTH_ERRORS(X)                                                                            \
    X(BERTH_ECONFLICT, -1001, "the same idempotency key was used for another body")                \
    X(BERTH_EUNKNOWN, -1002, "it is unknown whether the request was carried out")                  \
    X(BERTH_EFULL, -1003, "full")                                                                  \
    X(BERTH_ENOTFOUND, -1004, "not found")                                                         \
    X(BERTH_EDENIED, -1005, "not allowed")                                                         \
    X(BERTH_EPROTO, -1006, "a message or a field of it is malformed")                              \
    X(BERTH_EVERSION, -1007, "the other side speaks another version")                              \
    X(BERTH_EFENCED, -1008, "somebody newer has taken over")                                       \
    X(BERTH_ESTORE, -1009, "the store failed")                                                     \
    X(BERTH_ELOST, -1010, "the lease is lost")                                                     \
    X(BERTH_ECONF, -1011, "the configuration is wrong")                                            \
    X(BERTH_EUSAGE, -1012, "the command line is wrong")                                            \
    X(BERTH_ELIMIT, -1013, "refused by a limit")                                                   \
    X(BERTH_ELATER, -1014, "not now; try later")                                                   \
    X(BERTH_EVALUE, -1015, "a value is not allowed")

enum berth_code {
#define BERTH_ERROR_ENUM(name, value, text) name = (value),
    BERTH_ERRORS(BERTH_ERROR_ENUM)
#undef BERTH_ERROR_ENUM
};

#define BERTH_ERROR_MESSAGE_MAX 252 /* bytes, the closing NUL included */

/* `message`: one sentence without a full stop that names the thing, the value and what is allowed.
 * A longer one is cut at the end and closes with "...". */
struct berth_error {
    int code;
    char message[BERTH_ERROR_MESSAGE_MAX];
};

#ifdef __cplusplus
extern "C" {
#endif

/* Failing in one line: writes `code` and the message to `err` (NULL: nowhere) and returns `code`.
 *
 * `code` is negative. For an -errno the text of the error is appended: berth_fail(err, -ENOENT,
 * "open '%s'", path) says "open 'x': No such file or directory". A BERTH_E... code means just what
 * `format` says. Arguments may point into `err` itself. Keeps errno. */
int berth_fail(struct berth_error *err, int code, const char *format, ...) BERTH_PRINTF(3, 4);

/* The same with the context in front of what `err` already says: berth_fail_wrap(err, rc, "open
 * config") makes "line 3: unknown key 'limt'" into "open config: line 3: unknown key 'limt'". If
 * `err` does not hold `code`, the text of the code takes its place. Returns `code`. */
int berth_fail_wrap(struct berth_error *err, int code, const char *format, ...) BERTH_PRINTF(3, 4);

/* The same sentence under another code: a value that is not allowed is BERTH_EUSAGE on the command
 * line, BERTH_ECONF in a file and BERTH_EPROTO in a message. Returns `code`. */
int berth_fail_as(struct berth_error *err, int code);

/* What a code of ours or an -errno means; static text, any thread, never NULL. */
const char *berth_strerror(int code);

/* The code's name, "BERTH_EFULL" or "ENOENT"; "EUNNAMED" for a number nobody gave a name. Static
 * text. */
const char *berth_error_name(int code);

#ifdef __cplusplus
}
#endif
