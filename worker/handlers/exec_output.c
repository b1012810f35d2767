/* SPDX-License-Identifier: MIT
 *
 * A bounded tail of a stream over a growing buffer.
 */
#include "worker/handlers/exec_output.h"

void exec_output_init(struct exec_output *output)
{
    berth_buf_init(&output->buf, (size_t)2 * EXEC_OUTPUT_BYTES_MAX);
    output->from = 0;
    output->is_truncated = false;
}

void exec_output_fini(struct exec_output *output)
{
    berth_buf_fini(&output->buf);
}

/* Keeps the last `bytes` of what is there. */
static void keep(struct exec_output *output, size_t bytes)
{
    size_t dropped = output->buf.bytes - bytes;
    berth_buf_drop(&output->buf, dropped);
    output->from += dropped;
    output->is_truncated = true;
}

void exec_output_put(struct exec_output *output, const char *data, size_t bytes)
{
    if (bytes > EXEC_OUTPUT_BYTES_MAX) {
        size_t skipped = bytes - EXEC_OUTPUT_BYTES_MAX;
        keep(output, 0);
        data += skipped;
        bytes = EXEC_OUTPUT_BYTES_MAX;
        output->from += skipped;
    }
    if (output->buf.bytes + bytes > output->buf.bytes_max)
        keep(output, EXEC_OUTPUT_BYTES_MAX - bytes);
    if (berth_buf_append(&output->buf, data, bytes) < 0)
        output->is_truncated = true;
}

struct berth_slice exec_output_slice(struct exec_output *output, uint64_t *ret_from)
{
    if (output->buf.bytes > EXEC_OUTPUT_BYTES_MAX)
        keep(output, EXEC_OUTPUT_BYTES_MAX);
    *ret_from = output->from;
    return berth_buf_slice(&output->buf);
}

struct berth_slice exec_output_after(const struct exec_output *output, uint64_t *from)
{
    uint64_t end = output->from + output->buf.bytes;
    if (*from < output->from)
        *from = output->from;
    if (*from >= end)
        return (struct berth_slice){ 0 };
    return (struct berth_slice){ .data = output->buf.data + (*from - output->from),
                                 .bytes = (size_t)(end - *from) };
}
