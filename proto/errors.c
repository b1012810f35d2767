/* SPDX-License-Identifier: MIT
 *
 * One table: the first row of a wire code says what it means here, every row what it is called
 * there.
 */
#include "proto/errors.h"

#include <errno.h>
#include <string.h>

#include "proto/columns.h"
#include "proto/limits.h"

#define CODE(name) BERTH__V1__ERROR_CODE__ERROR_##name

static const struct code_row {
    int rc;
    Berth__V1__ErrorCode code;
} code_rows[] = {
    { BERTH_EVALUE, CODE(INVALID) },
    { BERTH_EPROTO, CODE(INVALID) },
    { BERTH_EUSAGE, CODE(INVALID) },
    { -EINVAL, CODE(INVALID) },
    { BERTH_EVERSION, CODE(VERSION) },
    { -EMSGSIZE, CODE(TOO_LARGE) },
    { -E2BIG, CODE(TOO_LARGE) },
    { BERTH_ENOTFOUND, CODE(NOT_FOUND) },
    { BERTH_ECONFLICT, CODE(CONFLICT) },
    { BERTH_ELIMIT, CODE(LIMIT) },
    { BERTH_EFULL, CODE(FULL) },
    { -ENOSPC, CODE(FULL) },
    { BERTH_ELATER, CODE(LATER) },
    { -EAGAIN, CODE(LATER) },
    { -ENOMEM, CODE(LATER) },
    { BERTH_EDENIED, CODE(DENIED) },
    { -EALREADY, CODE(ALREADY) },
    { -EOPNOTSUPP, CODE(UNSUPPORTED) },
    { -EREMOTEIO, CODE(INTERNAL) },
    { -EDEADLK, CODE(DEADLOCK) },
    { 0, CODE(UNSPECIFIED) },
};

#define CODE_ROW_COUNT (sizeof code_rows / sizeof *code_rows)

Berth__V1__ErrorCode berth_wire_code(int rc)
{
    for (size_t i = 0; i < CODE_ROW_COUNT; i++)
        if (code_rows[i].rc == rc)
            return code_rows[i].code;
    return CODE(INTERNAL);
}

int berth_wire_rc(uint32_t code)
{
    for (size_t i = 0; i < CODE_ROW_COUNT; i++)
        if ((uint32_t)code_rows[i].code == code)
            return code_rows[i].rc;
    return -EREMOTEIO;
}

const char *berth_wire_code_name(uint32_t code)
{
    static const char *const names[] = {
        [CODE(UNSPECIFIED)] = "none",
        [CODE(INVALID)] = "invalid",
        [CODE(VERSION)] = "version",
        [CODE(TOO_LARGE)] = "too_large",
        [CODE(NOT_FOUND)] = "not_found",
        [CODE(CONFLICT)] = "conflict",
        [CODE(LIMIT)] = "limit",
        [CODE(LATER)] = "later",
        [CODE(DENIED)] = "denied",
        [CODE(ALREADY)] = "already",
        [CODE(UNSUPPORTED)] = "unsupported",
        [CODE(INTERNAL)] = "internal",
        [CODE(DEADLOCK)] = "deadlock",
        [CODE(FULL)] = "full",
    };
    return code < sizeof names / sizeof *names ? names[code] : "unknown";
}

void berth_wire_error(int rc, const char *field, const char *message, Berth__V1__Error *ret_error)
{
    berth__v1__error__init(ret_error);
    ret_error->has_code = 1;
    ret_error->code = berth_wire_code(rc);
    ret_error->has_field = field && *field;
    ret_error->field = berth_bytes_of(berth_slice_of(field));
    ret_error->has_message = message && *message;
    ret_error->message = berth_bytes_of(berth_slice_of(message));
    if (ret_error->code != CODE(VERSION))
        return;
    ret_error->has_version_min = ret_error->has_version_max = 1;
    ret_error->version_min = ret_error->version_max = BERTH_PROTOCOL_VERSION;
}

int berth_wire_error_fail(const Berth__V1__Error *error, struct berth_error *err)
{
    int rc = berth_wire_rc((uint32_t)error->code);
    if (rc >= 0)
        rc = -EREMOTEIO;
    if (!err)
        return rc;
    /* berth_fail() would append the text of an -errno; the sender's sentence is whole. */
    struct berth_slice message = berth_slice_from(error->message);
    if (message.bytes == 0)
        return berth_fail(err, rc, "the broker refused the request");
    size_t bytes = message.bytes < sizeof err->message ? message.bytes : sizeof err->message - 1;
    memcpy(err->message, message.data, bytes);
    err->message[bytes] = '\0';
    err->code = rc;
    return rc;
}
