/* SPDX-License-Identifier: MIT */
/* The samples of Explain and Explained. */
#pragma once

#include <berth/v1/envelope.pb-c.h>

extern Berth__V1__Explain sample_explain, sample_explain_dispatcher;
extern Berth__V1__Explained sample_explained;
