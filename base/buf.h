/* SPDX-License-Identifier: MIT
 *
 * A growing buffer with a maximum. It owns its bytes and never grows beyond `bytes_max`.
 *
 * Invariants
 * 1. bytes <= bytes_max, and data[bytes] is a NUL that does not count, so that text needs no copy.
 * 2. A call that fails leaves the contents as they were.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include <berth/types.h>

#include "base/cleanup.h"

/* Readable by everyone, written by buf.c alone; but after berth_buf_reserve() a caller may write
 * behind the end and say so with berth_buf_added(). */
struct berth_buf {
    char *data; /* NULL until something was put in */
    size_t bytes, capacity, bytes_max;
};

/* In the caller's memory: init cannot fail and allocates nothing. */
void berth_buf_init(struct berth_buf *buf, size_t bytes_max);
void berth_buf_fini(struct berth_buf *buf);

/* On the heap: NULL if there is no memory. */
struct berth_buf *berth_buf_new(size_t bytes_max);
void berth_buf_free(struct berth_buf *buf);
BERTH_AUTO_DEFINE(berth_buf);

/* The contents as bytes and as text (which ends at the first NUL in it); both borrowed, until the
 * next change. */
struct berth_slice berth_buf_slice(const struct berth_buf *buf);
const char *berth_buf_text(const struct berth_buf *buf);

/* Empties it and keeps the memory. */
void berth_buf_clear(struct berth_buf *buf);

/* Makes room for `bytes` more behind the end. 0, -EMSGSIZE (beyond bytes_max) or -ENOMEM. */
int berth_buf_reserve(struct berth_buf *buf, size_t bytes);

/* The caller wrote `bytes` behind the end, within what was reserved. */
void berth_buf_added(struct berth_buf *buf, size_t bytes);

/* Each: 0, -EMSGSIZE or -ENOMEM. What is appended must not lie in the buffer itself. */
int berth_buf_append(struct berth_buf *buf, const void *data, size_t bytes);
int berth_buf_append_text(struct berth_buf *buf, const char *text);
int berth_buf_printf(struct berth_buf *buf, const char *format, ...) BERTH_PRINTF(2, 3);
int berth_buf_vprintf(struct berth_buf *buf, const char *format, va_list args) BERTH_PRINTF(2, 0);

/* Drops the first `bytes` and moves the rest to the front. */
void berth_buf_drop(struct berth_buf *buf, size_t bytes);

/* Reads `fd` until its end. Blocks as `fd` does. 0; -EMSGSIZE if there is more than fits (then it
 * is full); -ENOMEM; or the -errno of read(2), with what came before it kept. */
int berth_buf_fill(struct berth_buf *buf, int fd);
