/* SPDX-License-Identifier: MIT
 *
 * The last EXEC_OUTPUT_BYTES_MAX bytes of a stream. A place in the stream is the number of bytes
 * that were taken before it.
 *
 * The buffer grows to twice that before the older half is dropped, so that each byte is moved once
 * at the most.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/types.h>

#include "base/buf.h"
#include "worker/handlers/exec.h"

struct exec_output {
    struct berth_buf buf;
    uint64_t from;     /* the place of what `buf` begins with */
    bool is_truncated; /* something came that is not kept */
};

void exec_output_init(struct exec_output *output);
void exec_output_fini(struct exec_output *output);

/* Takes what came. Without memory for it, it is lost, and the output truncated. */
void exec_output_put(struct exec_output *output, const char *data, size_t bytes);

/* The end of the stream; borrowed until the next call. `ret_from`: its place. */
struct berth_slice exec_output_slice(struct exec_output *output, uint64_t *ret_from);

/* What is kept from the place `*from` on, which is moved to where that begins; borrowed until the
 * next call. */
struct berth_slice exec_output_after(const struct exec_output *output, uint64_t *from);
