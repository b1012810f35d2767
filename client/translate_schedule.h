/* SPDX-License-Identifier: MIT */
/* The part of translate.h that sees generated names of schedules; for the translate files alone. */
#pragma once

#include <berth/v1/envelope.pb-c.h>

#include "client/translate.h"

/* The rows, into the answer's memory. 0 or -ENOMEM. */
int berth_translate_schedules(const Berth__V1__Schedules *schedules, struct berth_answer *answer);
