/* SPDX-License-Identifier: MIT
 *
 * Writing errors: berth_fail and its relatives. Never allocates, never logs, keeps errno.
 */
#include <berth/error.h>

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

#define ERRNO_MAX 999 /* Codes below -999 are ours. */

static const char cut_mark[] = "...";

/* `is_cut`: the text did not fit; shows it, without leaving half a UTF-8 character before the mark.
 */
static void set_message(struct berth_error *err, const char *text, bool is_cut)
{
    size_t bytes = strnlen(text, sizeof err->message - 1);
    if (text[bytes] != '\0' || is_cut) {
        if (bytes > sizeof err->message - sizeof cut_mark)
            bytes = sizeof err->message - sizeof cut_mark;
        while (bytes > 0 && ((unsigned char)text[bytes] & 0xc0) == 0x80)
            bytes--;
        memmove(err->message, text, bytes);
        memcpy(err->message + bytes, cut_mark, sizeof cut_mark);
        return;
    }
    memmove(err->message, text, bytes + 1);
}

/* Twice the room of a message: what is longer is cut anyhow, and the cut is seen. */
struct scratch {
    char text[2 * BERTH_ERROR_MESSAGE_MAX];
    size_t used;
    bool is_cut;
};

BERTH_PRINTF(2, 0)
static void scratch_vprintf(struct scratch *scratch, const char *format, va_list args)
{
    size_t room = sizeof scratch->text - scratch->used;
    int bytes = vsnprintf(scratch->text + scratch->used, room, format, args);
    if (bytes < 0)
        return;
    if ((size_t)bytes >= room) {
        scratch->is_cut = true;
        scratch->used = sizeof scratch->text - 1;
        return;
    }
    scratch->used += (size_t)bytes;
}

static void scratch_append(struct scratch *scratch, const char *text)
{
    size_t room = sizeof scratch->text - scratch->used - 1;
    size_t bytes = strlen(text);
    if (bytes > room) {
        scratch->is_cut = true;
        bytes = room;
    }
    memcpy(scratch->text + scratch->used, text, bytes);
    scratch->used += bytes;
    scratch->text[scratch->used] = '\0';
}

int berth_fail(struct berth_error *err, int code, const char *format, ...)
{
    BERTH_ASSERT(code < 0);
    if (!err)
        return code;

    int saved_errno = errno;
    struct scratch scratch = { .used = 0 };
    va_list args;
    va_start(args, format);
    scratch_vprintf(&scratch, format, args);
    va_end(args);
    if (code >= -ERRNO_MAX) {
        scratch_append(&scratch, ": ");
        scratch_append(&scratch, berth_strerror(code));
    }
    err->code = code;
    set_message(err, scratch.text, scratch.is_cut);
    errno = saved_errno;
    return code;
}

int berth_fail_wrap(struct berth_error *err, int code, const char *format, ...)
{
    BERTH_ASSERT(code < 0);
    if (!err)
        return code;

    int saved_errno = errno;
    struct scratch scratch = { .used = 0 };
    va_list args;
    va_start(args, format);
    scratch_vprintf(&scratch, format, args);
    va_end(args);
    scratch_append(&scratch, ": ");
    bool has_reason = err->code == code && err->message[0] != '\0';
    scratch_append(&scratch, has_reason ? err->message : berth_strerror(code));
    err->code = code;
    set_message(err, scratch.text, scratch.is_cut);
    errno = saved_errno;
    return code;
}

int berth_fail_as(struct berth_error *err, int code)
{
    BERTH_ASSERT(code < 0);
    if (err)
        err->code = code;
    return code;
}

const char *berth_strerror(int code)
{
    switch (code) {
#define ERROR_TEXT(name, value, text)                                                              \
    case value: return text;
        BERTH_ERRORS(ERROR_TEXT)
#undef ERROR_TEXT
    }
    if (code == 0)
        return "success";
    const char *text = code < 0 && code >= -ERRNO_MAX ? strerrordesc_np(-code) : NULL;
    return text ? text : "unknown error";
}

const char *berth_error_name(int code)
{
    switch (code) {
#define ERROR_NAME(name, value, text)                                                              \
    case value: return #name;
        BERTH_ERRORS(ERROR_NAME)
#undef ERROR_NAME
    }
    const char *name = code < 0 && code >= -ERRNO_MAX ? strerrorname_np(-code) : NULL;
    return name ? name : "EUNNAMED";
}
