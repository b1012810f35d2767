/* SPDX-License-Identifier: MIT */
/* Recounts from attempts what the core keeps beside them, and asserts that nothing startable is
 * left lying. */
#pragma once

struct berth_core;

void core_check(const struct berth_core *core);
