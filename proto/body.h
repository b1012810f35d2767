/* SPDX-License-Identifier: MIT
 *
 * What a job carries for its handler (Body) and what an attempt leaves behind (Result). Clients and
 * workers pack and open them; the broker never does.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <berth/error.h>
#include <berth/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "proto/limits.h"

/* Text is NUL-terminated, and so cannot hold a NUL; the payload is any bytes. */
struct berth_body {
    const char *const *argv; /* the command of an exec job, ended by NULL; NULL if there is none */
    size_t argv_count;
    struct berth_slice payload; /* of a command: its stdin */
    const struct berth_field *context;
    size_t context_count;
    bool has_array_index;
    uint64_t array_index; /* of an array of jobs: a command's BERTH_ARRAY_INDEX */
    const char *line;     /* of a list of lines: a command's BERTH_LINE; NULL: of none */
};

/* Appends the packed body. The same body always gives the same bytes: a repeat of a submit is
 * recognised by them. Returns 0, or with a sentence that names the field: -EMSGSIZE     more than
 * BERTH_PAYLOAD_BYTES_MAX of payload, BERTH_ARGV_COUNT_MAX arguments, BERTH_CONTEXT_COUNT_MAX
 * fields, BERTH_CONTEXT_BYTES_MAX bytes of them, a line of more than BERTH_LINE_BYTES_MAX, or
 * BERTH_BODY_BYTES_MAX in all BERTH_EVALUE  an
 * empty command, an empty or repeated context key, text that is not UTF-8 -ENOMEM */
int berth_body_pack(const struct berth_body *body, struct berth_buf *buf, struct berth_error *err);

/* Opens a packed body under the same rules. All of `*ret_body` lives in `arena`, but for nothing:
 * it borrows nothing from `packed`. Returns 0; BERTH_EPROTO for what pack would have refused, or
 * for bytes that are no Body; -EMSGSIZE; -ENOMEM. */
int berth_body_unpack(struct berth_slice packed, struct berth_arena *arena,
                      struct berth_body *ret_body, struct berth_error *err);

struct berth_result {
    bool has_exit_code; /* exec */
    int32_t exit_code;
    struct berth_slice out, err; /* the last bytes of stdout and stderr */
    uint64_t out_from, err_from; /* so many bytes came before them */
    bool out_truncated, err_truncated;
    struct berth_slice payload; /* a handler's own result */
    bool has_progress;
    uint64_t done, total; /* how far a handler said that it was; total 0: not known */
};

/* Appends the packed result; nothing at all if there is nothing to say. 0; -EMSGSIZE beyond
 * BERTH_OUTPUT_BYTES_MAX for each of out and err, or BERTH_PAYLOAD_BYTES_MAX; -ENOMEM. */
int berth_result_pack(const struct berth_result *result, struct berth_buf *buf,
                      struct berth_error *err);

/* Slices point into `arena`. 0, BERTH_EPROTO, -EMSGSIZE or -ENOMEM. */
int berth_result_unpack(struct berth_slice packed, struct berth_arena *arena,
                        struct berth_result *ret_result, struct berth_error *err);
