/* SPDX-License-Identifier: MIT
 *
 * One valid message of each kind with all its fields set, for the tests of proto/. Never changed
 * once released: their packed form is in golden/.
 */
#pragma once

#include <stddef.h>

#include <berth/v1/envelope.pb-c.h>

#include "proto/body.h"
#include "proto/validate.h"

/* A message kind: the envelope, and a side that receives it. */
struct sample {
    const char *name; /* of its golden file; of the first of a message, as in the .proto */
    enum berth_side receiver;
    Berth__V1__Envelope envelope; /* to be packed, never written */
};

extern const struct sample samples[];
extern const size_t sample_count;

/* Asserts that there is one. */
const struct sample *sample_get(const char *name);

extern const struct berth_body sample_body;
extern const struct berth_result sample_result;
