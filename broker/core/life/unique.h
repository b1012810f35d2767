/* SPDX-License-Identifier: MIT */
/* Unique keys: of the live jobs of a dispatcher one has it. It is held from the arrival, before
 * that is stored, until the end is stored. */
#pragma once

#include "rare.h"

/* The live job that has it, or 0. */
uint32_t unique_find(const struct berth_core *core, uint32_t dispatcher, struct berth_slice key);
/* Nobody else may have it: 0, -ENOMEM, BERTH_ECONFLICT. */
int unique_take(struct berth_core *core, uint32_t job, struct berth_slice key);
void unique_drop(struct berth_core *core, struct ties *ties);
