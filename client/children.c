/* SPDX-License-Identifier: MIT */
/* Children of an attempt, for the worker; see children.h. */
#include "client/children.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "client/translate.h"
#include "proto/limits.h"

static bool has_key(const struct berth_job_spec *spec, const char *key)
{
    for (size_t i = 0; i < spec->context_count; i++)
        if (strcmp(spec->context[i].key, key) == 0)
            return true;
    return false;
}

/* Its own fields, and behind them what it inherits. */
static int pack_body(const struct berth_job_spec *spec, const struct berth_field *context,
                     size_t context_count, struct berth_buf *bodies, struct berth_error *err)
{
    BERTH_AUTO_MEM struct berth_field *fields =
        calloc(spec->context_count + context_count + 1, sizeof *fields);
    if (!fields)
        return berth_fail(err, -ENOMEM, "submit children");
    size_t count = 0;
    for (size_t i = 0; i < spec->context_count; i++)
        fields[count++] = spec->context[i];
    for (size_t i = 0; i < context_count; i++)
        if (!has_key(spec, context[i].key))
            fields[count++] = context[i];
    struct berth_job_spec heir = *spec;
    heir.context = fields;
    heir.context_count = count;
    return berth_pack_body(&heir, bodies, err);
}

static int check(const struct berth_job_spec *spec, struct berth_error *err)
{
    if (spec->idempotency_key)
        return berth_fail(err, BERTH_EVALUE,
                          "idempotency_key '%s': a child has none, its place among them is its key",
                          spec->idempotency_key);
    for (size_t i = 0; i < spec->context_count; i++)
        if (!spec->context[i].key || !spec->context[i].value)
            return berth_fail(err, BERTH_EVALUE, "context: field %zu has no key or no value", i);
    return berth_spec_check(spec, err);
}

int berth_child_pack(const struct berth_job_spec *specs, size_t count,
                     const struct berth_field *context, size_t context_count,
                     struct berth_buf *submit, struct berth_error *err)
{
    if (count == 0 || count > BERTH_SUBMIT_JOBS_MAX)
        return berth_fail(err, -E2BIG, "submit %zu children: allowed is 1 to %d", count,
                          BERTH_SUBMIT_JOBS_MAX);
    BERTH_AUTO_MEM uint32_t *body_bytes = calloc(count, sizeof *body_bytes);
    if (!body_bytes)
        return berth_fail(err, -ENOMEM, "submit %zu children", count);
    struct berth_buf bodies;
    berth_buf_init(&bodies, BERTH_FRAME_BYTES_MAX);
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < count; i++) {
        size_t before = bodies.bytes;
        rc = check(&specs[i], err);
        if (rc >= 0)
            rc = pack_body(&specs[i], context, context_count, &bodies, err);
        body_bytes[i] = (uint32_t)(bodies.bytes - before);
        if (rc < 0)
            (void)berth_fail_wrap(err, rc, "child %zu", i);
    }
    if (rc >= 0) {
        const struct berth_pack_jobs jobs = { .specs = specs,
                                              .body_bytes = body_bytes,
                                              .count = count,
                                              .bodies = berth_buf_slice(&bodies) };
        rc = berth_pack_children(&jobs, submit);
        if (rc < 0)
            (void)berth_fail(err, rc, "submit %zu children at once", count);
    }
    berth_buf_fini(&bodies);
    return rc;
}

int berth_child_read(struct berth_slice frame, berth_job_id id, struct berth_job **ret_job,
                     struct berth_error *err)
{
    uint64_t number;
    BERTH_AUTO(berth_answer) answer = NULL;
    int rc = berth_answer_read(frame, &answer, &number, err);
    if (rc < 0)
        return rc;
    if (answer->type == BERTH_ANSWER_ERROR) {
        if (err)
            *err = answer->error;
        return answer->error.code;
    }
    if (answer->type != BERTH_ANSWER_JOBS)
        return berth_fail(err, BERTH_EPROTO, "the broker's answer is no job");
    return berth_job_of_answer(&answer, id, ret_job, err);
}
