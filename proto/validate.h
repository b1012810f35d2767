/* SPDX-License-Identifier: MIT
 *
 * The meaning of every field of every message: ranges, names, lengths, what must be there, which
 * columns belong together, and which messages a side receives at all. Who passes this can be
 * translated without another check.
 *
 * Not here: what depends on state (is there such a job, is this the current join), and what lies in
 * bodies and results (body.h).
 */
#pragma once

#include <berth/error.h>
#include <berth/v1/envelope.pb-c.h>

#include "proto/limits.h"

enum berth_side { BERTH_SIDE_BROKER = 1, BERTH_SIDE_WORKER, BERTH_SIDE_CLIENT };

/* `receiver` is the side that got the envelope (from berth_wire_unpack). Returns 0, or with a
 * sentence that names the field, the value and what is allowed ("priority 300 of job 2: allowed is
 * -100 to 100"; things are counted from 0): BERTH_EPROTO  a field is missing, malformed or out of
 * range, or this side never receives such a message -EMSGSIZE     more things than one message may
 * hold, or one of them is too large `ret_field` (NULL allowed) gets the field's name, static text:
 * written on failure, NULL if it is no single field. */
int berth_validate(const Berth__V1__Envelope *envelope, enum berth_side receiver,
                   struct berth_error *err, const char **ret_field);
