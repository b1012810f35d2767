/* SPDX-License-Identifier: MIT */
/* Why jobs wait, as a plain struct: a part of translate_answer.c. */
#pragma once

#include <berth/v1/envelope.pb-c.h>

#include "client/translate.h"

/* 0 or -ENOMEM. */
int berth_translate_explained(const Berth__V1__Explained *explained, struct berth_answer *answer);
