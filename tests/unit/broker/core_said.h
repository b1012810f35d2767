/* SPDX-License-Identifier: MIT
 *
 * Copies of what the core said, that outlive the step. For core_fixture.c alone.
 */
#pragma once

#include "core_fixture.h"

/* A deep copy in f->arena. */
struct berth_effect said_copy(struct fixture *f, const struct berth_effect *effect);
