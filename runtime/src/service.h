/* SPDX-License-Identifier: MIT
 *
 * The service thread: timers and descriptors of those who have no seat, and an eye on the seats.
 */
#pragma once

#include <stdint.h>

#include "poller.h"
#include "timer.h"

/* Starts and ends the thread. open: 0 or -errno. close: nobody may be waiting any more. */
int weft_service_open(void);
void weft_service_close(void);

struct weft_clock *weft_service_clock(void);
struct weft_poller *weft_service_poller(void);

/* Makes it look at its timers again. Any thread, between open and close. */
void weft_service_kick(void);
