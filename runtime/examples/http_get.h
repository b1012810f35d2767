/* SPDX-License-Identifier: MIT
 *
 * A client of HTTP, written twice: with calls that block, as most code is, and with calls that do
 * not, waiting between them as weft has it.
 */
#pragma once

#include <stddef.h>

/* GET http://127.0.0.1:PORT/PATH. `ret_body`: what came after the head, with a NUL, cut to
 * `body_bytes`. 0; -EPROTO: no answer, or not 200; or -errno. */
int http_get_blocking(int port, const char *path, char *ret_body, size_t body_bytes);

/* The same; only in a coroutine. -ECANCELED when that is cancelled. */
int http_get_waiting(int port, const char *path, char *ret_body, size_t body_bytes);
