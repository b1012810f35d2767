/* SPDX-License-Identifier: MIT */
/* What an agent says to the broker, as the messages that its link would send. */
#pragma once

#include "sim.h"

void say_hello(struct worker *worker, uint32_t epoch);
void say_join(struct worker *worker, const struct agent_effect *effect);
void say_renew(struct worker *worker, const struct agent_effect *effect);
void say_reports(struct worker *worker, const struct agent_effect *effect);
void say_show(struct worker *worker, const struct agent_effect *effect);
