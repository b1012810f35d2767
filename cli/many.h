/* SPDX-License-Identifier: MIT */
/* Submitting many jobs of one command: what expand.h makes, in batches, and the wait for them. */
#pragma once

#include <stdbool.h>

#include "cli/cli.h"
#include "cli/expand.h"

/* Prints the id of each job that was taken, a line each, in order, as they are taken; with
 * `is_waiting` then a line "ID STATE" for each as it ends. With --json one document at the end.
 * Returns the exit code, and has said what failed: after a batch of which not all were taken, no
 * further one is sent, and nothing is waited for. The client is opened here. */
int many_submit(struct cli *cli, struct expand *expand, bool is_waiting);
