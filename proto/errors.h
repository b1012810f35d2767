/* SPDX-License-Identifier: MIT
 *
 * Our codes and those of the wire (enum ErrorCode), both ways, and the Error message.
 */
#pragma once

#include <stdint.h>

#include <berth/error.h>
#include <berth/v1/envelope.pb-c.h>

/* What `rc`, 0 or negative, is called on the wire; 0 is UNSPECIFIED. What has no name there is
 * INTERNAL. */
Berth__V1__ErrorCode berth_wire_code(int rc);

/* And back: negative, but 0 for UNSPECIFIED. A number this version does not know is -EREMOTEIO, as
 * INTERNAL is. */
int berth_wire_rc(uint32_t code);

/* The code's name in lower case, as people see it: "not_found"; "unknown" for an unknown number.
 * Static. */
const char *berth_wire_code_name(uint32_t code);

/* Fills `ret_error`; `field` and `message` may be NULL and are borrowed for as long as it is used.
 * With BERTH_EVERSION it says which versions are spoken here. */
void berth_wire_error(int rc, const char *field, const char *message, Berth__V1__Error *ret_error);

/* What an Error that came in says, as a failure of ours: writes code and message to `err` and
 * returns the code. */
int berth_wire_error_fail(const Berth__V1__Error *error, struct berth_error *err);
