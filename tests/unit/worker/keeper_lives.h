/* SPDX-License-Identifier: MIT
 *
 * Runtime children that behave as a test of the keeper wishes. They and their commands hold the
 * FIFO DIR/alive open for writing, and say in the FIFO DIR/child what there is to say: first
 * "NUMBER EPOCH_SEEN PID".
 */
#pragma once

#include <stdint.h>

#define LIFE_LONG_MS        60000 /* a lease that no test waits for */
#define LIFE_SHORT_MS       INT64_C(300)
#define LIFE_LINE_BYTES_MAX 64
#define LIFE_EPOCH          9
#define LIFE_SESSION        (((uint64_t)LIFE_EPOCH << 40) + 1)
#define LIFE_ATTEMPT        (((uint64_t)LIFE_EPOCH << 40) + 7)

/* Lives the named life in `dir`, with the fence that was inherited as `fd`. */
int keeper_live(int fd, const char *name, const char *dir);

/* As a keeper for a suspect: says "alone PID", and pauses. */
int keeper_live_alone(const char *dir);

/* Opens DIR/NAME. */
int keeper_open_in(const char *dir, const char *name, int flags);
