/* SPDX-License-Identifier: MIT */
/* All that a worker needs of the client: how an attempt's children are described to the broker, and
 * how a job is shown. Knows no socket.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <berth/client.h>
#include <berth/types.h>

#include "base/buf.h"

/* Appends a packed Submit of `count` children. Each inherits `context`, but for keys that it has
 * itself. 0, or with a sentence that names the child by its index, from 0: -E2BIG: not 1 ..
 * BERTH_SUBMIT_JOBS_MAX; BERTH_EVALUE, -EMSGSIZE: one is malformed, or has an idempotency key,
 * which its place among the children is; -EMSGSIZE: all together are more than the buffer takes;
 * -ENOMEM.
 */
int berth_child_pack(const struct berth_job_spec *specs, size_t count,
                     const struct berth_field *context, size_t context_count,
                     struct berth_buf *submit, struct berth_error *err);

/* Reads the answer to a JobGet of one id. 0; BERTH_ENOTFOUND; BERTH_EPROTO and the like: it is
 * none; -ENOMEM; or the broker's refusal. The job is the caller's. */
int berth_child_read(struct berth_slice frame, berth_job_id id, struct berth_job **ret_job,
                     struct berth_error *err);
