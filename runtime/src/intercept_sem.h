/* SPDX-License-Identifier: MIT
 *
 * For runtime.c: the end of the thread that intercept_sem.c may have started.
 */
#pragma once

/* When nothing is parked any more. */
void weft_sem_close(void);
