/* SPDX-License-Identifier: MIT
 *
 * Dispatchers of the user's own making, as weft sees them.
 */
#pragma once

#include <stdbool.h>

/* With the runtime. Whether one is still open; frees those that are closed. */
bool weft_customs_are_open(void);
void weft_customs_fini(void);
