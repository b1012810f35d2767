/* SPDX-License-Identifier: MIT */
/* The runtime child of berth-worker: one session, from the keeper's page to the exit status that
 * the keeper understands. */
#pragma once

#include "worker/options.h"

/* Runs it; `options->child_fd` is the page. To be called once, on the main thread, before any other
 * thread exists, with TERM, INT, HUP and QUIT blocked. Returns or ends the process with one of enum
 * keeper_child_exit, or another status, which counts as a crash. `args` is read again at HUP. */
int child_run(struct options *options, const struct berth_args *args);
