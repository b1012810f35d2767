/* SPDX-License-Identifier: MIT */
/* Submitting: checking what is to be done, packing it, and splitting it into messages.
 *
 * All is checked and packed before anything is sent, in the caller's thread and without the lock.
 * The broker knows a message that comes again by the client's id and the request's number, so a job
 * without an idempotency key is taken once, too.
 */
#include <berth/client.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "client/call.h"
#include "proto/limits.h"

#define PARTS_UNDER_WAY_MAX 4
#define NAMES_RECENT        16
#define SPEC_BYTES          64 /* of a job's columns, about */

/* What goes into one message. */
struct part {
    struct berth_call call;
    struct berth_buf bodies;
    size_t first, count, bytes;
    size_t dispatchers, handlers; /* different names, or more */
};

/* The whole call. */
struct submit {
    const struct berth_job_spec *specs;
    size_t count;
    uint32_t *body_bytes;
    struct part *parts; /* sorted by `first` */
    size_t parts_count, parts_room;
};

/* Names seen lately, so that a table of names is not counted fuller than it is. */
struct recent {
    const char *names[NAMES_RECENT];
    size_t at;
};

static int prepare(struct submit *submit, struct berth_error *err);
static void send_parts(struct berth_client *client, struct submit *submit, int64_t deadline_ms);
static int collect(const struct submit *submit, struct berth_submitted *ret_submitted,
                   struct berth_error *err);
static void submit_fini(struct submit *submit);

int berth_submit_many(struct berth_client *client, const struct berth_job_spec *specs, size_t count,
                      struct berth_submitted *ret_submitted, int64_t timeout_ms,
                      struct berth_error *err)
{
    if (count == 0 || count > BERTH_SUBMIT_JOBS_MAX)
        return berth_fail(err, -E2BIG, "submit %zu jobs: allowed is 1 to %d", count,
                          BERTH_SUBMIT_JOBS_MAX);
    int64_t deadline_ms = berth_deadline_ms(timeout_ms);
    struct submit submit = { .specs = specs, .count = count };
    int rc = prepare(&submit, err);
    if (rc == 0) {
        for (size_t i = 0; i < submit.parts_count; i++)
            submit.parts[i].call.submitted = ret_submitted + submit.parts[i].first;
        send_parts(client, &submit, deadline_ms);
        rc = collect(&submit, ret_submitted, err);
    }
    submit_fini(&submit);
    return rc;
}

int berth_submit(struct berth_client *client, const struct berth_job_spec *spec,
                 berth_job_id *ret_id, int64_t timeout_ms, struct berth_error *err)
{
    struct berth_submitted submitted;
    int rc = berth_submit_many(client, spec, 1, &submitted, timeout_ms, err);
    if (rc < 0)
        return rc;
    *ret_id = submitted.id;
    return 0;
}

/* Whether `name` has not been seen lately; it has been from now on. */
static bool is_new_name(struct recent *recent, const char *name)
{
    for (size_t i = 0; i < NAMES_RECENT; i++)
        if (recent->names[i] && strcmp(recent->names[i], name) == 0)
            return false;
    recent->names[recent->at++ % NAMES_RECENT] = name;
    return true;
}

static int add_part(struct submit *submit, size_t first)
{
    if (submit->parts_count == submit->parts_room) {
        size_t room = submit->parts_room ? 2 * submit->parts_room : 1;
        struct part *parts = reallocarray(submit->parts, room, sizeof *parts);
        if (!parts)
            return -ENOMEM;
        submit->parts = parts;
        submit->parts_room = room;
    }
    struct part *part = &submit->parts[submit->parts_count++];
    *part = (struct part){ .first = first };
    berth_buf_init(&part->bodies, BERTH_FRAME_BYTES_MAX);
    return 0;
}

/* Packs one job behind the others of its part. */
static int pack_spec(struct submit *submit, size_t index, struct recent *recent,
                     struct berth_error *err)
{
    const struct berth_job_spec *spec = &submit->specs[index];
    struct part *part = &submit->parts[submit->parts_count - 1];
    size_t before = part->bodies.bytes;
    int rc = berth_pack_body(spec, &part->bodies, err);
    if (rc < 0)
        return rc;
    submit->body_bytes[index] = (uint32_t)(part->bodies.bytes - before);
    part->count++;
    part->bytes += submit->body_bytes[index] + SPEC_BYTES +
                   berth_slice_of(spec->idempotency_key).bytes + berth_slice_of(spec->group).bytes +
                   berth_slice_of(spec->unique).bytes + spec->after_count * sizeof *spec->after;
    part->dispatchers += is_new_name(&recent[0], spec->dispatcher ? spec->dispatcher : "");
    part->handlers += is_new_name(&recent[1], spec->handler ? spec->handler : "");
    return 0;
}

/* Whether another job, of any size, has its place in it. */
static bool is_full(const struct part *part)
{
    return part->bytes + BERTH_PAYLOAD_BYTES_MAX > BERTH_ASK_BYTES_MAX ||
           part->dispatchers == BERTH_PACK_NAMES_MAX || part->handlers == BERTH_PACK_NAMES_MAX;
}

static int prepare(struct submit *submit, struct berth_error *err)
{
    submit->body_bytes = calloc(submit->count, sizeof *submit->body_bytes);
    if (!submit->body_bytes)
        return berth_fail(err, -ENOMEM, "submit %zu jobs", submit->count);
    struct recent recent[2] = { 0 };
    for (size_t i = 0; i < submit->count; i++) {
        int rc = berth_spec_check(&submit->specs[i], err);
        if (rc == 0 && (i == 0 || is_full(&submit->parts[submit->parts_count - 1]))) {
            memset(recent, 0, sizeof recent);
            rc = add_part(submit, i);
            if (rc < 0)
                return berth_fail(err, rc, "submit %zu jobs", submit->count);
        }
        if (rc == 0)
            rc = pack_spec(submit, i, recent, err);
        if (rc < 0)
            return submit->count == 1 ? rc : berth_fail_wrap(err, rc, "job %zu", i);
    }
    for (size_t i = 0; i < submit->parts_count; i++) {
        struct part *part = &submit->parts[i];
        part->call.kind = REQUEST_SUBMIT;
        part->call.jobs = (struct berth_pack_jobs){ .specs = submit->specs + part->first,
                                                    .body_bytes = submit->body_bytes + part->first,
                                                    .count = part->count,
                                                    .bodies = berth_buf_slice(&part->bodies) };
        part->call.bytes = part->bytes;
    }
    return 0;
}

/* A few at a time, so that not all of it is under way at once. */
static void send_parts(struct berth_client *client, struct submit *submit, int64_t deadline_ms)
{
    struct berth_waiter waiter;
    berth_waiter_init(&waiter);
    pthread_mutex_lock(&client->lock);
    size_t first = 0, next = 0;
    while (first < submit->parts_count) {
        while (next < submit->parts_count && next - first < PARTS_UNDER_WAY_MAX)
            berth_call_start(client, &submit->parts[next++].call, &waiter, deadline_ms);
        berth_call_wait(client, &waiter);
        while (first < next && submit->parts[first].call.is_done)
            first++;
    }
    pthread_mutex_unlock(&client->lock);
    berth_waiter_fini(&waiter);
}

static int collect(const struct submit *submit, struct berth_submitted *ret_submitted,
                   struct berth_error *err)
{
    int durable = 0, failed = 0;
    for (size_t p = 0; p < submit->parts_count; p++) {
        const struct part *part = &submit->parts[p];
        for (size_t i = part->first; i < part->first + part->count; i++) {
            if (part->call.rc < 0)
                ret_submitted[i] = (struct berth_submitted){ .rc = part->call.rc };
            durable += ret_submitted[i].rc == 0;
            if (ret_submitted[i].rc == 0 || failed < 0)
                continue;
            failed = ret_submitted[i].rc;
            if (err)
                *err = part->call.err;
        }
    }
    return durable > 0 ? durable : failed;
}

static void submit_fini(struct submit *submit)
{
    for (size_t i = 0; i < submit->parts_count; i++)
        berth_buf_fini(&submit->parts[i].bodies);
    free(submit->parts);
    free(submit->body_bytes);
}
