/* SPDX-License-Identifier: MIT */
/* Who is to blame when the process dies of a fatal signal: while a handler runs on a thread, that
 * thread notes its attempt; a signal that a thread brings on itself (a bad access, an abort) is
 * named in the fence before it kills.
 *
 * 1. Nothing is caught: after the note the signal does what it would have done, core dump included.
 * 2. A signal from outside, or on a thread that runs no handler, names nobody.
 * 3. A handler that a plugin sets for such a signal, later, is the plugin's: then nobody is named.
 */
#pragma once

#include <stdint.h>

#include <berth/error.h>
#include <weft/weft.h>

#include "worker/fence.h"

/* From now on culprits are named in `fence`, which is borrowed for the rest of the process' life.
 * Once, from a plain thread; starts weft, whose own handler says more of an overflow and stays
 * behind ours. */
int culprit_watch(struct fence *fence, struct berth_error *err);

/* The body of `scope`, and what it launches from now on, runs `*attempt`. Both are borrowed until
 * the scope is closed; `space` is written. */
void culprit_note(struct weft_scope *scope, const uint64_t *attempt, struct weft_element *space);
