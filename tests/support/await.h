/* SPDX-License-Identifier: MIT
 *
 * Waiting in tests: for a condition with a deadline, never for a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Asks every millisecond until `is_true` says yes; false if it has not within `timeout_ms`. For
 * what no descriptor and no exit announces. */
bool await(bool (*is_true)(void *arg), void *arg, int64_t timeout_ms);

/* Whether `fd` becomes readable (or is at its end) within `timeout_ms`. */
bool await_readable(int fd, int64_t timeout_ms);

/* A TCP port on 127.0.0.1 that is free, and stays so for this program, also between two who listen
 * on it in turn: no other test is given it, and it is none of those that the kernel takes for
 * outgoing connections (one of which may even meet itself on a port that nobody listens on). For
 * one thread at a time. */
uint16_t free_port(void);
