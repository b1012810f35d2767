/* SPDX-License-Identifier: MIT
 *
 * SIGQUIT makes a dump on stderr: by a thread that does nothing else, so that it works when all
 * others are stuck; the handler only wakes it.
 */
#pragma once

#include <stdbool.h>

/* Takes the signal, unless somebody else has it. That it cannot is no error. */
void weft_quit_open(void);

/* Gives it back; a dump that is under way is cut short. Whether it was open. Never under a lock. */
bool weft_quit_close(void);
